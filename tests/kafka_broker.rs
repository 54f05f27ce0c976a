//! Our Kafka sink against a real broker, read back by a consumer that shares no code with us.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

#[path = "kafka_support/mod.rs"]
mod kafka_support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_support::{Broker, read, start_to, wait_for};
use serde_json::Value;
use tailwater::config::KafkaSink;
use tailwater::journal::{Journal, Message};
use tailwater::report::pb;
use tailwater::sink::{self, RunningSinks, kafka};
use tailwater::telemetry::SinkState;

/// Reports of ranges in the long test; half of them while the broker is away.
const REPORTS: u64 = 600;

fn start(brokers: &str) -> (RunningSinks, Arc<Journal>) {
    start_to(KafkaSink::to(brokers))
}

fn estimate(value: f64) -> pb::Estimate {
    pb::Estimate { value, low: value - 0.5, high: (value > 1.0).then_some(value * 1.25), basis: 1, confidence: 1 }
}

/// A report with every kind of field in it: large counters, absent bounds, bytes, text that is not ASCII.
fn range(n: u64) -> pb::RangeReport {
    let distinct = pb::Distinct { value: Some(estimate(3.0)), sketch: n.to_be_bytes().to_vec(), p: 12, ..Default::default() };
    let stat =
        |name: &str, figure| pb::Stat { name: name.to_owned(), calculation: "sum".to_owned(), figure: Some(figure), ..Default::default() };
    pb::RangeReport {
        schema_version: 1,
        appliance: "pop1-a".to_owned(),
        boot_id: u64::MAX - 1,
        sequence: n / 20,
        window_start_ns: 1_750_000_000_000_000_000 + n / 20 * 1_000_000_000,
        window_end_ns: 1_750_000_001_000_000_000 + n / 20 * 1_000_000_000,
        prefix: format!("198.51.100.{}/32", n % 20),
        customer: "Überland \"GmbH\"".to_owned(),
        labels: vec![pb::Label { name: "plan".to_owned(), value: "premium".to_owned() }],
        stats: vec![stat("packets", pb::stat::Figure::Total(estimate(n as f64))), stat("sources", pb::stat::Figure::Distinct(distinct))],
        ..Default::default()
    }
}

fn appliance(n: u64) -> pb::ApplianceReport {
    let ledger = pb::Ledger {
        offered: 10 + n,
        received: 10,
        nic_missed: n,
        parsed: 9,
        parse_drops: vec![pb::NamedCount { name: "not_ip".to_owned(), value: 1 }],
        matched: 5,
        unmatched: 4,
        records: 6,
        counted: 6,
        ..Default::default()
    };
    pb::ApplianceReport { appliance: "pop1-a".to_owned(), sequence: n, ledger: Some(ledger), ..Default::default() }
}

/// What the consumer should print of a message, in the order of the keys.
fn our_json(message: &Message) -> Value {
    let mut line = Vec::new();
    sink::to_json_line(message, &mut line).unwrap();
    serde_json::from_slice(&line).unwrap()
}

fn append(journal: &Journal, range_reports: std::ops::Range<u64>) {
    for n in range_reports {
        assert!(journal.append(Message::range(&range(n))));
        if n % 20 == 19 {
            assert!(journal.append(Message::appliance(&appliance(n / 20))));
        }
    }
}

#[test]
fn a_real_broker_that_is_restarted_holds_every_report() {
    let broker = Broker::start();
    let address = broker.address();
    assert_eq!(broker.script(&["start", "--port", "0"]).unwrap().trim(), address, "a second start changes nothing");
    assert_eq!(kafka::probe(&KafkaSink::to(&address), Duration::from_secs(10)).unwrap().brokers.join(","), address);

    let (mut sinks, journal) = start(&address);
    append(&journal, 0..REPORTS / 2);
    wait_for(&sinks, "the first half", |kafka| kafka.behind == 0 && kafka.state == SinkState::Up);
    broker.script(&["stop"]).unwrap();
    append(&journal, REPORTS / 2..REPORTS);
    wait_for(&sinks, "the outage", |kafka| kafka.state == SinkState::Down);
    let port = address.rsplit_once(':').unwrap().1;
    assert_eq!(broker.script(&["start", "--port", port]).unwrap().trim(), address);
    let status = sinks.stop(Instant::now() + Duration::from_secs(60));
    let all = REPORTS + REPORTS / 20;
    assert_eq!((status[0].delivered, status[0].failed, status[0].behind, status[0].overflow), (all, 0, 0, 0), "{status:?}");

    compare_messages(&address);
    compare_sums(&address);
    let topics = broker.script(&["topics"]).unwrap();
    assert!(topics.contains("tailwater.v1.ranges\t4\t600\n") && topics.contains("tailwater.v1.appliance\t4\t30\n"), "{topics}");
    assert!(broker.script(&["status"]).is_ok());
}

/// Every message once, under its key, equal field by field to our own JSON, and in order within its range.
fn compare_messages(address: &str) {
    let mut ours: Vec<(String, Value)> = Vec::new();
    for n in 0..REPORTS {
        ours.push((range(n).prefix, our_json(&Message::range(&range(n)))));
    }
    for n in 0..REPORTS / 20 {
        ours.push(("pop1-a".to_owned(), our_json(&Message::appliance(&appliance(n)))));
    }
    let parse = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        (line["key"].as_str().unwrap().to_owned(), line["message"].take())
    };
    let mut theirs: Vec<(String, Value)> = read(address, &[]).lines().map(parse).collect();
    // Partitions come in any order; the order within a key is what counts.
    ours.sort_by(|a, b| a.0.cmp(&b.0));
    theirs.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(theirs.len(), ours.len());
    for (their, our) in theirs.iter().zip(&ours) {
        assert_eq!(their, our);
    }
}

fn compare_sums(address: &str) {
    let sums: Value = serde_json::from_str(&read(address, &["--sums"])).unwrap();
    for (what, count) in [("windows", REPORTS / 20), ("repeated", 0), ("gaps", 0), ("unbalanced", 0), ("wrong_keys", 0)] {
        assert_eq!(sums[what], count, "{what}");
    }
    let packets: f64 = sums["ranges"].as_object().unwrap().values().map(|range| range["stats"]["packets"].as_f64().unwrap()).sum();
    assert_eq!(packets, (0..REPORTS).sum::<u64>() as f64);
    assert_eq!(sums["ledger"]["received"], 10 * REPORTS / 20);
    assert_eq!(sums["ledger"]["nic_missed"], (0..REPORTS / 20).sum::<u64>());
}

#[test]
fn the_embedded_cluster_can_be_read_by_others() {
    let (mut sinks, journal) = start(kafka::MOCK);
    append(&journal, 0..100);
    assert_eq!(sinks.stop(Instant::now() + Duration::from_secs(60))[0].delivered, 105);
    let sums: Value = serde_json::from_str(&read(sinks.embedded_kafka().unwrap(), &["--sums"])).unwrap();
    assert_eq!((sums["windows"].as_u64(), sums["ranges"].as_object().unwrap().len()), (Some(5), 20));
}

#[test]
fn the_script_says_what_is_wrong() {
    let broker = Broker::none();
    let fault = broker.script(&["status"]).unwrap_err();
    assert!(fault.contains("no broker runs in") && fault.contains("start it: scripts/kafka.sh start"), "{fault}");
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let fault = broker.script(&["start", "--port", &port]).unwrap_err();
    assert!(fault.contains(&format!("port {port} of 127.0.0.1 is taken")), "{fault}");
    assert!(broker.script(&["stop"]).is_ok(), "nothing to stop is well");
    assert!(broker.script(&["start", "--port", "many"]).unwrap_err().contains("--port wants a number"));
}

/// Before a topic is there `check` names the command that makes it; of customers' topics it names the first, and how many more.
#[test]
fn check_says_which_topics_are_not_there_and_counters_come_by_one() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    std::fs::write(folder.path().join("ranges.csv"), "prefix,customer\n10.0.0.0/8,a\n11.0.0.0/8,b\n12.0.0.0/8,b\n").unwrap();
    let text = format!(
        "[ranges]\nfile = \"ranges.csv\"\n[[stats]]\nname = \"s\"\ncalculation = \"sum\"\n[[tags]]\nmatch = {{ vlan = 6 }}\n\
         decision = \"blocked\"\nsampling = 40\n[audit]\ncounters = {{ topic = \"scrubber.counters\" }}\n\
         [sinks.kafka]\nbrokers = \"{}\"\nranges_topic = \"r.{{customer}}\"\n",
        broker.address()
    );
    std::fs::write(&file, text).unwrap();
    let config = tailwater::config::load(&file, &tailwater::stats::check).unwrap();
    let said = || {
        let findings = tailwater::runtime::check::check(&config).into_iter().map(|finding| finding.to_string());
        findings.filter(|finding| finding.contains("topics of sinks.kafka") || finding.contains("audit.counters")).collect::<Vec<_>>()
    };
    let absent = said();
    let [ours, audit] = &absent[..] else { panic!("{absent:#?}") };
    assert!(ours.starts_with("weak ") && ours.contains(":12: topics of sinks.kafka: 6 of 6 are not there"), "{ours}");
    assert!(ours.contains("for topic in r.a r.b tailwater.v1.appliance "), "{ours}");
    assert!(audit.contains(":11: audit.counters: 1 of 1 are not there: scrubber.counters; nothing"), "{audit}");

    let mut counters = tailwater::runtime::counters::listen(&config).unwrap();
    let producer: rdkafka::producer::BaseProducer =
        rdkafka::config::ClientConfig::new().set("bootstrap.servers", broker.address()).create().unwrap();
    let (mut rows, end) = (Vec::new(), Instant::now() + Duration::from_secs(60));
    // Who listens begins at the topic's end: rows are written until one has come.
    for dropped in 1.. {
        let row = format!("{{\"time_ns\": {dropped}, \"key\": \"10.0.0.0/8\", \"dropped_packets\": {dropped}}}");
        producer.send(rdkafka::producer::BaseRecord::<str, str>::to("scrubber.counters").payload(&row)).unwrap();
        producer.send(rdkafka::producer::BaseRecord::<str, str>::to("scrubber.counters").payload("no row")).unwrap();
        producer.poll(Duration::from_millis(200));
        let heard = counters.take();
        rows.extend(heard.rows);
        if !rows.is_empty() && heard.bad > 0 {
            break;
        }
        assert!(Instant::now() < end, "no counter came in a minute");
    }
    assert!(rows.iter().all(|row| row.key == "10.0.0.0/8" && row.dropped == row.time_ns), "{rows:?}");

    let (sinks, journal) = start_to(config.sinks.kafka.clone().unwrap());
    for customer in ["a", "b"] {
        assert!(journal.append(Message::range(&pb::RangeReport { customer: customer.to_owned(), ..range(1) })));
    }
    assert!(journal.append(Message::appliance(&appliance(1))));
    wait_for(&sinks, "all of it", |kafka| kafka.delivered == 3);
    let there = said();
    assert!(matches!(&there[..], [ours] if ours.contains(": 3 of 6 are not there")), "{there:#?}");
    kafka_support::stop(sinks);
}

/// How long the first fast report takes from the journal to its acknowledgement, a second after the sink began.
fn first_report(brokers: &str, ranges_topic: &str) -> Duration {
    let (sinks, journal) = start_to(KafkaSink { ranges_topic: ranges_topic.to_owned(), ..KafkaSink::to(brokers) });
    std::thread::sleep(Duration::from_secs(2));
    let begun = Instant::now();
    let report = pb::RangeReport { window_kind: pb::WindowKind::Fast.into(), customer: "c".into(), ..range(1) };
    assert!(journal.append(Message::range(&report)));
    wait_for(&sinks, "the first report", |kafka| kafka.delivered == 1);
    let took = begun.elapsed();
    assert_eq!(kafka_support::stop(sinks).delivered, 1);
    took
}

/// A broker that makes topics has them, before anything is sent: the first window waits for none. Times are told, and decide nothing.
#[test]
fn topics_are_made_before_the_first_report() {
    let broker = Broker::start();
    let is_there = |topics: &str| ["ranges", "appliance"].iter().all(|of| topics.contains(&format!("tailwater.v1.{of}\t4\t0\n")));
    // A sink asks once, with a second's patience: one of a few finds time for it on a loaded machine.
    let made = (0..5).any(|_| {
        let (sinks, _journal) = start(&broker.address());
        let deadline = Instant::now() + Duration::from_secs(10);
        // One that is just being made has no offsets yet.
        let made = || {
            std::thread::sleep(Duration::from_millis(200));
            is_there(&broker.script(&["topics"]).unwrap_or_default())
        };
        let made = std::iter::repeat_with(made).any(|made| made || Instant::now() > deadline) && made();
        assert_eq!(kafka_support::stop(sinks).delivered, 0);
        made
    });
    assert!(made, "no topic was made");
    let rows = [
        ("topics known before", "tailwater.v1.ranges"),
        ("a topic to be made", "cold.{customer}"),
        ("a topic to be asked for", "cold.{customer}"),
    ];
    for _ in 0..3 {
        for (what, topic) in rows {
            println!("first report, {what}: {:?}", first_report(&broker.address(), topic));
        }
    }
}
