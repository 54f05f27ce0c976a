//! Proves that no report is missing, and drops repeats: `gapless BROKERS [RANGES_TOPIC APPLIANCE_TOPIC]`.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use tailwater::report::pb::{ApplianceReport, RangeReport, Scope, WindowKind};

type Of = ([String; 6], (u64, u32, u32), Option<ApplianceReport>);

/// What a report is of (each is numbered on its own, from 1), its number, part and parts; and itself, if it is an account.
fn of(bytes: &[u8], is_range: bool) -> Result<Of, prost::DecodeError> {
    let fast = |kind| if kind == WindowKind::Fast { "fast".to_owned() } else { String::new() };
    if !is_range {
        let r = ApplianceReport::decode(bytes)?;
        let source =
            [r.appliance.clone(), r.boot_id.to_string(), String::new(), "(appliance)".to_owned(), String::new(), fast(r.window_kind())];
        return Ok((source, (r.kind_sequence, 1, 1), Some(r)));
    }
    let r = RangeReport::decode(bytes)?;
    let (part, scope, kind) = (r.part.map_or((1, 1), |part| (part.number, part.of)), r.scope(), fast(r.window_kind()));
    let scope = if scope == Scope::Own { String::new() } else { scope.as_str_name().to_owned() };
    let of = if r.prefix.is_empty() { r.customer } else { r.prefix };
    Ok(([r.appliance, r.boot_id.to_string(), r.domain, of, scope, kind], (r.kind_sequence, part.0, part.1), None))
}

fn name(source: &[String; 6]) -> String {
    source.iter().filter(|word| !word.is_empty()).map(|word| format!("{word} ")).collect()
}

fn told((number, part, of): (u64, u32, u32)) -> String {
    if of > 1 { format!("{number} part {part} of {of}") } else { number.to_string() }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let argument = |at: usize, default: &'static str| arguments.get(at).map_or(default, String::as_str).to_owned();
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", argument(1, "127.0.0.1:9092")).set("group.id", "gapless");
    let consumer: BaseConsumer = client.set("enable.auto.commit", "false").set("enable.partition.eof", "true").create()?;
    let (mut last, mut runs, [mut reports, mut repeats, mut gaps, mut cut, mut lost]) = (BTreeMap::new(), BTreeMap::new(), [0_u64; 5]);
    for (topic, is_range) in [(argument(2, "tailwater.v1.ranges"), true), (argument(3, "tailwater.v1.appliance"), false)] {
        let metadata = consumer.fetch_metadata(Some(&topic), Duration::from_secs(10))?;
        let mut open = TopicPartitionList::new();
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            open.add_partition_offset(&topic, partition.id(), Offset::Beginning)?;
        }
        consumer.assign(&open)?;
        let mut open = Some(open.count()).filter(|count| *count > 0).ok_or_else(|| format!("{topic} cannot be read: nothing is proven"))?;
        // Up to the present end. Who goes on reading keeps `last` together with the offsets.
        while open > 0 {
            let message = match consumer.poll(Duration::from_secs(30)).ok_or("the brokers do not answer: nothing is proven")? {
                Err(KafkaError::PartitionEOF(_)) => {
                    open -= 1;
                    continue;
                }
                message => message?,
            };
            let (source, at, account) = of(message.payload().unwrap_or_default(), is_range)?;
            let words = name(&source);
            let before = last.get(&source).copied().unwrap_or((0, 1, 1));
            let is_anew = at.0 == before.0 && at.2 != before.2; // Another number of parts replaces what came of those before.
            if at <= before && !is_anew {
                println!("repeat: {words}sequence {}", told(at));
                repeats += 1;
                continue;
            }
            let due = if is_anew {
                (at.0, 1)
            } else if before.1 < before.2 {
                (before.0, before.1 + 1)
            } else {
                (before.0 + 1, 1)
            };
            if (at.0, at.1) != due {
                println!("gap: {words}sequence {} comes after {}", told(at), told(before));
                gaps += 1;
            }
            lost += account.iter().flat_map(|r| &r.journal_losses).filter(|told| told.sink == "kafka").map(|told| told.total).sum::<u64>();
            if let Some((r, run)) = account.and_then(|r| r.previous_run.map(|run| (r, run))) {
                if before.0 == 0 && r.window_kind() == WindowKind::Long && !run.ended {
                    println!("nobody counted: {} from {} to {}", r.appliance, run.long_end_ns, r.window_start_ns);
                    cut += 1;
                }
                runs.insert([r.appliance, run.boot_id.to_string()], run.sequence);
            }
            last.insert(source, at); // Here stands what is to be done with a report, or a part of one, that is neither lost nor a repeat.
            reports += u64::from(at.0 > before.0);
        }
    }
    for (source, at) in last.iter().filter(|(_, at)| at.1 < at.2) {
        println!("gap: {}sequence ends with {}", name(source), told(*at));
        gaps += 1;
    }
    for (run, all) in runs {
        // The accounts of both kinds of windows are counted together.
        let accounts = last.iter().filter(|(source, _)| source[..2] == run && source[3] == "(appliance)");
        let read: u64 = accounts.map(|(_, at)| at.0).sum();
        if read < all {
            println!("gap: {} has {all} accounts, and {read} came", run.join(" "));
            gaps += 1;
        }
    }
    println!("{reports} reports, {repeats} repeats, {gaps} gaps, {cut} runs cut off, {lost} told as lost");
    std::process::exit(i32::from(gaps + lost > 0))
}
