//! Proves that no report is missing, and drops repeats: `gapless BROKERS [RANGES_TOPIC APPLIANCE_TOPIC]`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prost::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use tailwater::report::pb::{ApplianceReport, RangeReport, Scope, WindowKind};

/// The last number of each source, and the parts that came of it; reports, repeats, gaps, and runs that were cut off.
type Seen = (BTreeMap<[String; 6], (u64, BTreeSet<(u32, u32)>)>, [u64; 4]);

/// A report of which parts are missing is as good as none.
fn lacking(source: &[String; 6], number: u64, parts: &BTreeSet<(u32, u32)>, count: &mut [u64; 4]) {
    if parts.iter().any(|(_, of)| parts.len() < *of as usize) {
        count[2] += 1;
        println!("gap: {} {number}: parts are missing", name(source));
    }
}

fn name(source: &[String; 6]) -> String {
    source.iter().filter(|word| !word.is_empty()).map(|word| format!("{word} ")).collect::<String>() + "sequence"
}

fn look((last, count): &mut Seen, source: [String; 6], number: u64, part: (u32, u32)) {
    let (before, parts) = last.entry(source.clone()).or_default();
    if number < *before || (number == *before && parts.contains(&part)) {
        count[1] += 1;
        return println!("repeat: {} {number}", name(&source));
    }
    if number > *before {
        count[0] += 1;
        lacking(&source, *before, parts, count);
    }
    if number > *before + 1 {
        count[2] += 1;
        println!("gap: {} {} to {}", name(&source), *before + 1, number - 1);
    }
    // Another number of parts is another attempt: what the one before brought is replaced.
    parts.retain(|(_, of)| number == *before && *of == part.1);
    parts.insert(part);
    *before = number; // Here stands what is to be done with a report that is neither lost nor a repeat.
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", argument("127.0.0.1:9092")).set("group.id", "gapless").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = client.set("enable.partition.eof", "true").create()?;
    let mut seen = Seen::default();
    for (topic, is_range) in [(argument("tailwater.v1.ranges"), true), (argument("tailwater.v1.appliance"), false)] {
        let metadata = consumer.fetch_metadata(Some(&topic), Duration::from_secs(10))?;
        let (mut all, mut open) = (TopicPartitionList::new(), 0);
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            all.add_partition_offset(&topic, partition.id(), Offset::Beginning)?;
            open += 1;
        }
        if open == 0 {
            return Err(format!("{topic} cannot be read: nothing is proven").into());
        }
        consumer.assign(&all)?;
        // Up to the present end. Who goes on reading keeps `seen` together with the offsets.
        while open > 0 {
            let message = match consumer.poll(Duration::from_secs(1)) {
                None => continue,
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    open -= 1;
                    continue;
                }
                Some(message) => message?,
            };
            let fast = |kind| if kind == WindowKind::Fast { "fast".to_owned() } else { String::new() };
            if is_range {
                let r = RangeReport::decode(message.payload().unwrap_or_default())?;
                let scope = if r.scope() == Scope::Own { "" } else { r.scope().as_str_name() };
                let (part, kind) = (r.part.map_or((0, 0), |part| (part.number, part.of)), fast(r.window_kind()));
                let of = if r.prefix.is_empty() { r.customer } else { r.prefix };
                look(&mut seen, [r.appliance, r.boot_id.to_string(), r.domain, of, scope.to_owned(), kind], r.kind_sequence, part);
            } else {
                let r = ApplianceReport::decode(message.payload().unwrap_or_default())?;
                let (of, kind) = ("(appliance)".to_owned(), fast(r.window_kind()));
                let source = [r.appliance.clone(), r.boot_id.to_string(), String::new(), of, String::new(), kind];
                let is_first = source[5].is_empty() && !seen.0.contains_key(&source);
                if let Some(run) = r.previous_run.filter(|run| is_first && !run.ended) {
                    seen.1[3] += 1;
                    println!("nobody counted: {} from {} to {}", r.appliance, run.long_end_ns, r.window_start_ns);
                }
                look(&mut seen, source, r.kind_sequence, (0, 0));
            }
        }
    }
    seen.0.iter().for_each(|(source, (number, parts))| lacking(source, *number, parts, &mut seen.1));
    let [reports, repeats, gaps, cut_off] = seen.1;
    println!("{reports} reports, {repeats} repeats, {gaps} gaps, {cut_off} runs cut off");
    std::process::exit(i32::from(gaps > 0))
}
