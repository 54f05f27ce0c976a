//! What brokers do to a sink: too large, moved, deleted, made anew. Nothing is lost, and what comes twice is known by its number.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

#[path = "kafka_support/mod.rs"]
mod kafka_support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_support::{Broker, read_ranges, start_to, stop, wait_for};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use serde_json::Value;
use tailwater::config::KafkaSink;
use tailwater::journal::{Journal, Message};
use tailwater::report::pb;
use tailwater::telemetry::SinkState;

/// Ranges that reports are of.
const RANGES: u64 = 7;

/// The administrator of a cluster.
struct Admin {
    client: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

impl Admin {
    fn of(brokers: &str) -> Self {
        let client = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
        Self { client, runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap() }
    }

    fn create(&self, topic: &str, partitions: i32, replicas: i32, settings: &[(&str, &str)]) {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
        for (key, value) in settings {
            new = new.set(key, value);
        }
        // A topic that was deleted a moment ago is in the way for another one.
        for _ in 0..100 {
            let done = self.runtime.block_on(self.client.create_topics([&new], &AdminOptions::new())).unwrap().remove(0);
            if done.is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("topic {topic} could not be created");
    }

    fn delete(&self, topic: &str) {
        self.runtime.block_on(self.client.delete_topics(&[topic], &AdminOptions::new())).unwrap().remove(0).unwrap();
    }
}

fn sink_to(brokers: &str, topic: &str) -> KafkaSink {
    KafkaSink { ranges_topic: topic.to_owned(), compression: "none".to_owned(), ..KafkaSink::to(brokers) }
}

/// Stats of these sizes.
fn range(n: u64, sizes: &[usize]) -> Message {
    let sketch = |bytes: usize| pb::stat::Figure::Distinct(pb::Distinct { sketch: vec![7; bytes], ..Default::default() });
    let stat = |(i, bytes): (usize, &usize)| pb::Stat { name: format!("s{i}"), figure: Some(sketch(*bytes)), ..Default::default() };
    let (sequence, prefix) = (n / RANGES + 1, format!("198.51.100.{}/32", n % RANGES));
    Message::range(&pb::RangeReport { sequence, prefix, stats: sizes.iter().enumerate().map(stat).collect(), ..Default::default() })
}

fn append(journal: &Journal, numbers: std::ops::Range<u64>) {
    numbers.for_each(|n| assert!(journal.append(range(n, &[100]))));
}

fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap()
}

/// The sequences of each range, as they came.
fn sequences(read: &[Value]) -> BTreeMap<String, Vec<u64>> {
    let mut of = BTreeMap::<_, Vec<u64>>::new();
    for report in read {
        of.entry(report["prefix"].as_str().unwrap().to_owned()).or_default().push(number(&report["sequence"]));
    }
    of
}

/// Every range has all of its numbers up to `last`, in order where repeats are left out.
fn nothing_is_missing(read: &[Value], reports: u64) {
    let of = sequences(read);
    assert_eq!(of.len() as u64, RANGES.min(reports));
    for (prefix, came) in &of {
        let mut seen = BTreeSet::new();
        let fresh: Vec<u64> = came.iter().copied().filter(|number| seen.insert(*number)).collect();
        let expected: Vec<u64> = (1..=fresh.len() as u64).collect();
        assert_eq!(fresh, expected, "{prefix}");
    }
    let all: usize = of.values().map(|came| came.iter().collect::<BTreeSet<_>>().len()).sum();
    assert_eq!(all as u64, reports);
}

#[test]
fn what_is_refused_or_deleted_is_not_lost() {
    let broker = Broker::start();
    let (address, admin) = (broker.address(), Admin::of(&broker.address()));
    too_large_goes_in_parts(&address, &admin);
    a_sketch_too_large_is_folded_and_not_asked_for_again(&address, &admin);
    a_topic_is_deleted_and_made_anew(&address, &admin);
}

/// Longer than a session lasts: the client may forget its only broker, and what it held is older than the topic takes.
#[test]
fn a_broker_that_stood_still_gets_everything() {
    let broker = Broker::start();
    let (address, admin) = (broker.address(), Admin::of(&broker.address()));
    admin.create("old", 4, 1, &[("message.timestamp.before.max.ms", "5000")]);
    let (sinks, journal) = start_to(sink_to(&address, "old"));
    append(&journal, 0..70);
    wait_for(&sinks, "the first", |status| status.delivered == 70);
    broker.signal("STOP");
    for n in 0..13 {
        append(&journal, 70 + 10 * n..80 + 10 * n);
        std::thread::sleep(Duration::from_secs(1));
    }
    broker.signal("CONT");
    wait_for(&sinks, "the rest", |status| status.delivered == 200);
    let status = stop(sinks);
    assert_eq!((status.delivered, status.failed, status.behind), (200, 0, 0), "{status:?}");
    nothing_is_missing(&read_ranges(&address, "old"), 200);
}

/// A topic that takes 20,000 bytes: batches become shorter, a report goes in parts, and a stat that is longer alone is told of.
fn too_large_goes_in_parts(address: &str, admin: &Admin) {
    admin.create("small", 2, 1, &[("max.message.bytes", "20000")]);
    let (sinks, journal) = start_to(sink_to(address, "small"));
    append(&journal, 0..700);
    assert!(journal.append(range(700, &[1_500; 30])));
    assert!(journal.append(range(701, &[1_000, 30_000, 1_000])));
    append(&journal, 702..1_400);
    let status = stop(sinks);
    assert_eq!((status.delivered, status.failed, status.behind), (1_400, 1, 0), "{status:?}");
    let read = read_ranges(address, "small");
    nothing_is_missing(&read, 1_400);
    stats_are_there_once(&read, 700, &[1_500; 30].map(Some));
    stats_are_there_once(&read, 701, &[Some(1_000), None, Some(1_000)]);
    let left_out: BTreeSet<String> = read.iter().map(|report| report["statsLeftOut"].to_string()).collect();
    assert!(left_out.contains("[\"s1\"]") && left_out.len() == 2, "{left_out:?}");
    // The appliance's own log says which; the small ones are whole.
    let small = read.iter().filter(|report| report["part"].is_null());
    assert!(small.count() >= 1_398);
}

/// Sketches of 2^15 registers to a topic that takes 20,000 bytes: all come, of 2^14, and after the first ones no broker is asked for more.
fn a_sketch_too_large_is_folded_and_not_asked_for_again(address: &str, admin: &Admin) {
    admin.create("tiny", 2, 1, &[("max.message.bytes", "20000")]);
    let registers = |n: u64| -> Vec<u8> {
        let rank = |i: u64| u8::try_from((i * 2_654_435_761 + n).wrapping_mul(0x9E37_79B9_7F4A_7C15).leading_zeros().min(40)).unwrap();
        (0..1 << 15).map(rank).collect()
    };
    let report = |n: u64| {
        let value = Some(pb::Estimate { value: 9e4, low: 8e4, high: Some(1e5), basis: pb::Basis::Sketched.into(), confidence: 1 });
        let distinct = pb::Distinct { value, sketch: registers(n), sketch_kind: "hll".to_owned(), p: 15, ..Default::default() };
        let stat = pb::Stat { name: "d".to_owned(), figure: Some(pb::stat::Figure::Distinct(distinct)), ..Default::default() };
        let (sequence, prefix) = (n / RANGES + 1, format!("198.51.100.{}/32", n % RANGES));
        Message::range(&pb::RangeReport { sequence, prefix, stats: vec![stat], ..Default::default() })
    };
    let (sinks, journal) = start_to(sink_to(address, "tiny"));
    (0..21).for_each(|n| assert!(journal.append(report(n))));
    wait_for(&sinks, "the first", |kafka| kafka.behind == 0);
    let learned = sinks.status()[0].retried;
    (21..210).for_each(|n| assert!(journal.append(report(n))));
    let status = stop(sinks);
    assert_eq!((status.delivered, status.failed, status.behind), (210, 0, 0), "{status:?}");
    assert_eq!(status.retried, learned, "what was refused once is not asked again with each report");
    let read = read_ranges(address, "tiny");
    nothing_is_missing(&read, 210);
    // A second attempt has another number of parts than the first one, if need be by a part without any stat.
    let with_stats: Vec<&Value> = read.iter().filter(|report| !report["stats"].as_array().unwrap().is_empty()).collect();
    assert!(with_stats.len() >= 210);
    for report in with_stats {
        let stat = &report["stats"][0];
        assert_eq!(
            (number(&stat["distinct"]["p"]), stat["distinct"]["sketch"].as_str().unwrap().len()),
            (14, (1_usize << 14).div_ceil(3) * 4)
        );
        assert!(number(&stat["reducedFromBytes"]) > 1 << 15);
    }
}

/// The parts of the last attempt: their stats together are the report's.
fn stats_are_there_once(read: &[Value], n: u64, sizes: &[Option<usize>]) {
    let (sequence, prefix) = (n / RANGES + 1, format!("198.51.100.{}/32", n % RANGES));
    let of = |report: &&Value| report["prefix"] == prefix.as_str() && number(&report["sequence"]) == sequence;
    let parts: Vec<&Value> = read.iter().filter(of).collect();
    let of = |report: &Value| report["part"].get("of").map_or(1, number);
    let last = of(parts.last().unwrap());
    let mut stats = BTreeMap::new();
    for part in parts.iter().filter(|part| of(part) == last) {
        for stat in part["stats"].as_array().unwrap() {
            let bytes = stat["distinct"]["sketch"].as_str().unwrap().len() / 4 * 3;
            stats.insert(stat["name"].as_str().unwrap().to_owned(), bytes);
        }
    }
    let expected = sizes.iter().enumerate().filter_map(|(i, bytes)| bytes.map(|bytes| (format!("s{i}"), bytes.div_ceil(3) * 3)));
    assert_eq!(stats, expected.collect(), "{n}");
}

/// The topic goes while reports are on their way, and comes again with one partition where there were four.
fn a_topic_is_deleted_and_made_anew(address: &str, admin: &Admin) {
    admin.create("gone", 4, 1, &[]);
    let (sinks, journal) = start_to(sink_to(address, "gone"));
    append(&journal, 0..140);
    wait_for(&sinks, "the first", |kafka| kafka.behind == 0);
    admin.delete("gone");
    admin.create("gone", 1, 1, &[]);
    append(&journal, 140..280);
    wait_for(&sinks, "the second", |kafka| kafka.behind == 0 && kafka.state == SinkState::Up);
    let status = stop(sinks);
    assert_eq!((status.delivered, status.failed), (280, 0), "{status:?}");
    let of = sequences(&read_ranges(address, "gone"));
    let came: BTreeSet<u64> = of.values().flatten().copied().collect();
    assert!(of.len() as u64 == RANGES && (21..=40).all(|sequence| came.contains(&sequence)), "{of:?}");
}

/// Two brokers hold each partition; the one that leads half of them goes, and comes again.
#[test]
fn a_leader_that_goes_is_followed_by_another() {
    let first = Broker::start();
    let second = Broker::start_with(&["--join", &first.folder.path().display().to_string()]);
    let (address, admin) = (first.address(), Admin::of(&first.address()));
    admin.create("moving", 4, 2, &[]);
    let (sinks, journal) = start_to(sink_to(&address, "moving"));
    append(&journal, 0..350);
    wait_for(&sinks, "the first", |kafka| kafka.behind == 0);
    append(&journal, 350..700);
    second.script(&["stop"]).unwrap();
    append(&journal, 700..1_050);
    wait_for(&sinks, "the second", |kafka| kafka.behind == 0);
    let status = stop(sinks);
    assert_eq!((status.delivered, status.failed), (1_050, 0), "{status:?}");
    nothing_is_missing(&read_ranges(&address, "moving"), 1_050);
    too_few_replicas_are_waited_for(&first, &second);
}

/// A topic that two brokers must have, while one is away: its reports wait, and go when it is back.
fn too_few_replicas_are_waited_for(first: &Broker, second: &Broker) {
    let again = || second.script(&["start", "--port", "0", "--join", &first.folder.path().display().to_string()]).unwrap();
    again();
    let (address, admin) = (&first.address(), Admin::of(&first.address()));
    admin.create("strict", 2, 2, &[("min.insync.replicas", "2")]);
    let (sinks, journal) = start_to(sink_to(address, "strict"));
    append(&journal, 0..70);
    wait_for(&sinks, "what both have", |kafka| kafka.behind == 0);
    second.script(&["stop"]).unwrap();
    append(&journal, 70..140);
    wait_for(&sinks, "a sink that says so", |kafka| kafka.state == SinkState::Down);
    assert_eq!(sinks.status()[0].delivered, 70, "one of two brokers is not enough");
    again();
    wait_for(&sinks, "the rest", |kafka| kafka.behind == 0);
    let status = stop(sinks);
    assert_eq!((status.delivered, status.failed), (140, 0), "{status:?}");
    nothing_is_missing(&read_ranges(address, "strict"), 140);
}
