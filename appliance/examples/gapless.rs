//! Proves that no report is missing, and drops repeats: `gapless BROKERS [RANGES_TOPIC APPLIANCE_TOPIC]`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prost::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use tailwater::report::pb;

/// Appliance, boot id, domain and prefix, or customer, with its scope.
type Source = (String, u64, String, String);

#[derive(Default)]
struct Seen {
    /// The last number of each, and the parts that came of it.
    last: BTreeMap<Source, (u64, BTreeSet<(u32, u32)>)>,
    reports: u64,
    repeats: u64,
    gaps: u64,
    cut_off: u64,
}

impl Seen {
    fn look(&mut self, source: Source, number: u64, part: (u32, u32)) {
        let name = format!("{} {} {}{} sequence", source.0, source.1, source.2, source.3);
        let (last, parts) = self.last.entry(source).or_default();
        if number < *last || (number == *last && parts.contains(&part)) {
            self.repeats += 1;
            println!("repeat: {name} {number}");
            return;
        }
        if number > *last + 1 {
            self.gaps += 1;
            println!("gap: {name} {} to {}", *last + 1, number - 1);
        }
        if number > *last {
            self.reports += 1;
            self.gaps += lacking(&name, *last, parts);
            (*last, *parts) = (number, BTreeSet::new());
        }
        // Another number of parts is another attempt: what the one before brought is replaced.
        parts.retain(|(_, of)| *of == part.1);
        // Here stands what is to be done with a report that is no repeat.
        parts.insert(part);
    }
}

/// Fast windows may overtake long ones: each kind is numbered on its own.
fn kind(of: pb::WindowKind) -> &'static str {
    if of == pb::WindowKind::Fast { " fast" } else { "" }
}

/// A report of which parts are missing is as good as none.
fn lacking(name: &str, number: u64, parts: &BTreeSet<(u32, u32)>) -> u64 {
    let lacks = parts.iter().any(|(_, of)| parts.len() < *of as usize);
    if lacks {
        println!("gap: {name} {number}: parts are missing");
    }
    u64::from(lacks)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let argument = |at: usize, default| arguments.get(at).map_or(default, |text| &**text);
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", argument(1, "127.0.0.1:9092")).set("group.id", "gapless").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = client.set("enable.partition.eof", "true").create()?;
    let mut seen = Seen::default();
    for (topic, is_range) in [(argument(2, "tailwater.v1.ranges"), true), (argument(3, "tailwater.v1.appliance"), false)] {
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10))?;
        if metadata.topics().iter().all(|topic| topic.partitions().is_empty()) {
            return Err(format!("{topic} cannot be read: nothing is proven").into());
        }
        let (mut open, mut all) = (0, TopicPartitionList::new());
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            all.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
            open += 1;
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
            let payload = message.payload().unwrap_or_default();
            if is_range {
                let report = pb::RangeReport::decode(payload)?;
                let part = report.part.map_or((0, 0), |part| (part.number, part.of));
                // A roll-up is a source of its own, beside the range or customer that it is named after.
                let scope = if report.scope() == pb::Scope::Own { String::new() } else { format!(" {}", report.scope().as_str_name()) };
                let kind = kind(report.window_kind());
                let name = if report.prefix.is_empty() { report.customer } else { report.prefix } + &scope + kind;
                seen.look((report.appliance, report.boot_id, report.domain, name), report.kind_sequence, part);
            } else {
                let report = pb::ApplianceReport::decode(payload)?;
                let account = (report.appliance.clone(), report.boot_id, String::new(), "(appliance)".to_owned());
                let is_first =
                    report.kind_sequence == 1 && report.window_kind() == pb::WindowKind::Long && !seen.last.contains_key(&account);
                if let Some(run) = report.previous_run.filter(|run| is_first && !run.ended) {
                    seen.cut_off += 1;
                    println!("nobody counted: {} from {} to {}", report.appliance, run.long_end_ns, report.window_start_ns);
                }
                let name = format!("(appliance){}", kind(report.window_kind()));
                seen.look((report.appliance, report.boot_id, String::new(), name), report.kind_sequence, (0, 0));
            }
        }
    }
    for (source, (number, parts)) in &seen.last {
        seen.gaps += lacking(&format!("{} {} {}{} sequence", source.0, source.1, source.2, source.3), *number, parts);
    }
    println!("{} reports, {} repeats, {} gaps, {} runs cut off", seen.reports, seen.repeats, seen.gaps, seen.cut_off);
    std::process::exit(i32::from(seen.gaps > 0))
}
