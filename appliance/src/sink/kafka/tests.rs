use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::config::{KafkaSink as Config, Own, Sasl, SecretPlace, Sinks, Tls, Trust};
use crate::journal::{Bound, FlowLane, Journal, LotForm, LotWriter, Message, WindowOf};
use crate::report::pb;
use crate::sink::{RunningSinks, SinkError, names, start};
use crate::telemetry::{SinkState, SinkStatus};

fn config(brokers: &str, ranges_topic: &str) -> Sinks {
    let kafka = Config { ranges_topic: ranges_topic.to_owned(), ..Config::to(brokers) };
    Sinks { kafka: Some(kafka), ..Sinks::default() }
}

fn running(brokers: &str, ranges_topic: &str, bound: Bound) -> (RunningSinks, Arc<Journal>) {
    let sinks = config(brokers, ranges_topic);
    let journal = Journal::new(bound, &names(&sinks));
    (start(&sinks, &journal).unwrap(), journal)
}

fn range(n: u64) -> pb::RangeReport {
    let prefix = format!("2001:db8:{:x}::/48", n % 7);
    pb::RangeReport { sequence: n, prefix, customer: format!("c{}", n % 3), ..Default::default() }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn wait_for(sinks: &RunningSinks, what: &str, done: impl Fn(&SinkStatus) -> bool) {
    let deadline = soon();
    while !done(&sinks.status()[0]) {
        assert!(Instant::now() < deadline, "{what} did not come: {:?}", sinks.status());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Everything in a topic, by key, in each partition's order.
fn consume(brokers: &str, topics: &[&str], messages: usize) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", topics[0]).set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(topics).unwrap();
    let (mut read, mut count, deadline) = (BTreeMap::<_, Vec<_>>::new(), 0, soon());
    while count < messages && Instant::now() < deadline {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) else { continue };
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        read.entry(key).or_default().push(message.payload().unwrap().to_vec());
        count += 1;
    }
    read
}

/// Each range's reports came once, in order.
fn assert_all_ranges(read: &BTreeMap<String, Vec<Vec<u8>>>, count: u64) {
    let mut expected = BTreeMap::<String, Vec<Vec<u8>>>::new();
    for n in 0..count {
        expected.entry(range(n).prefix).or_default().push(range(n).encode_to_vec());
    }
    let sequences = |payloads: &Vec<Vec<u8>>| -> Vec<u64> {
        payloads.iter().map(|payload| pb::RangeReport::decode(&**payload).unwrap().sequence).collect()
    };
    for (key, payloads) in &expected {
        assert_eq!(read.get(key).map(&sequences), Some(sequences(payloads)), "key {key}");
    }
    assert_eq!(read, &expected);
}

#[test]
fn the_embedded_cluster_holds_every_report_by_key() {
    let (mut sinks, journal) = running(MOCK, "tailwater.v1.ranges", Bound::default());
    let bootstrap = sinks.embedded_kafka().unwrap().to_owned();
    (0..300).for_each(|n| assert!(journal.append(Message::range(&range(n)))));
    let appliance = pb::ApplianceReport { appliance: "pop1-a".into(), sequence: 9, ..Default::default() };
    journal.append(Message::appliance(&appliance));
    let status = sinks.stop(soon());
    assert_eq!((status[0].delivered, status[0].failed, status[0].behind, status[0].overflow), (301, 0, 0, 0));
    // The cluster outlives the sink's thread: the last window can still be read.
    assert_all_ranges(&consume(&bootstrap, &["tailwater.v1.ranges"], 300), 300);
    let read = consume(&bootstrap, &["tailwater.v1.appliance"], 1);
    assert_eq!(read["pop1-a"], [appliance.encode_to_vec()]);
}

#[test]
fn a_customer_has_a_topic() {
    let (mut sinks, journal) = running(MOCK, "ranges.{customer}", Bound::default());
    let bootstrap = sinks.embedded_kafka().unwrap().to_owned();
    (0..30).for_each(|n| assert!(journal.append(Message::range(&range(n)))));
    assert_eq!(sinks.stop(soon())[0].delivered, 30);
    let read = consume(&bootstrap, &["ranges.c1"], 10);
    let all: Vec<_> = read.values().flatten().map(|payload| pb::RangeReport::decode(&**payload).unwrap()).collect();
    assert_eq!((all.len(), all.iter().all(|report| report.customer == "c1")), (10, true));
}

#[test]
fn a_broker_that_goes_and_comes_back_loses_nothing() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("r", 1, 1).unwrap();
    cluster.broker_down(1).unwrap();
    let (mut sinks, journal) = running(&cluster.bootstrap_servers(), "r", Bound::default());
    (0..50).for_each(|n| assert!(journal.append(Message::range(&range(n)))));
    wait_for(&sinks, "the warning", |kafka| kafka.state == SinkState::Down && kafka.last_error.is_some());
    assert_eq!((sinks.status()[0].delivered, sinks.status()[0].behind), (0, 50));
    cluster.broker_up(1).unwrap();
    wait_for(&sinks, "the first fifty", |kafka| kafka.delivered == 50 && kafka.state == SinkState::Up);
    cluster.broker_down(1).unwrap();
    (50..150).for_each(|n| assert!(journal.append(Message::range(&range(n)))));
    wait_for(&sinks, "the outage", |kafka| kafka.state == SinkState::Down);
    cluster.broker_up(1).unwrap();
    let status = sinks.stop(soon());
    assert_eq!((status[0].delivered, status[0].behind, status[0].failed), (150, 0, 0));
    assert_all_ranges(&consume(&cluster.bootstrap_servers(), &["r"], 150), 150);
}

#[test]
fn what_a_broker_refuses_for_a_while_is_sent_again() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("r", 1, 1).unwrap();
    cluster.topic_error("r", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let (mut sinks, journal) = running(&cluster.bootstrap_servers(), "r", Bound::default());
    (0..20).for_each(|n| assert!(journal.append(Message::range(&range(n)))));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(sinks.status()[0].delivered, 0);
    cluster.topic_error("r", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    let status = sinks.stop(soon());
    assert_eq!((status[0].delivered, status[0].behind), (20, 0), "{status:?}");
}

#[test]
fn a_report_too_large_is_counted_and_stops_no_other() {
    let (mut sinks, journal) = running(MOCK, "r", Bound::default());
    journal.append(Message { payload: vec![0; 33 << 20].into(), ..Message::range(&range(0)) });
    journal.append(Message::range(&range(1)));
    let status = sinks.stop(soon());
    assert_eq!((status[0].delivered, status[0].failed, status[0].behind), (1, 1, 0));
}

#[test]
fn a_broker_that_stays_away_ends_at_the_deadline_and_everything_is_accounted_for() {
    let bound = Bound { messages: 100, bytes: 1 << 30 };
    let (mut sinks, journal) = running("127.0.0.1:1", "r", bound);
    wait_for(&sinks, "the warning", |kafka| kafka.state == SinkState::Down);
    (0..30_000).for_each(|n| assert!(journal.append(Message::range(&range(n)))));
    let before = Instant::now();
    let status = sinks.stop(before + Duration::from_millis(300));
    assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
    let kafka = &status[0];
    assert!(kafka.overflow > 0 && kafka.last_error.as_deref().is_some_and(|text| text.contains("refused")), "{kafka:?}");
    assert_eq!((kafka.delivered, kafka.failed, kafka.overflow + kafka.behind), (0, 0, 30_000));
}

#[test]
fn settings_that_cannot_work_are_refused_at_start() {
    let mut sinks = config("127.0.0.1:1", "r");
    sinks.kafka.as_mut().unwrap().compression = "brotli".to_owned();
    let fault = start(&sinks, &Journal::new(Bound::default(), &["kafka"])).unwrap_err();
    assert!(matches!(&fault, SinkError::Kafka { reason, .. } if reason.contains("`zstd`")), "{fault}");
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        sinks.kafka.as_mut().unwrap().compression = compression.to_owned();
        start(&sinks, &Journal::new(Bound::default(), &["kafka"])).unwrap();
    }
    let fault = start(&config("mock", "a topic"), &Journal::new(Bound::default(), &["kafka"])).unwrap_err().to_string();
    assert!(fault.contains("`ranges_topic` is no name of a topic"), "{fault}");
}

/// What TLS and SASL need is tried when the producer is made: nobody waits for a broker to hear of it.
#[test]
fn mechanisms_and_certificates_are_tried_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let sasl = |mechanism| Sasl { mechanism, username: "u".to_owned(), password: SecretPlace::File(file("p", "hunter2")) };
    let try_it = |trust: Trust| {
        let kafka = Config { trust, ..Config::to("127.0.0.1:1") };
        let sinks = Sinks { kafka: Some(kafka), ..Sinks::default() };
        start(&sinks, &Journal::new(Bound::default(), &["kafka"])).map(drop).map_err(|fault| fault.to_string())
    };
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        for tls in [None, Some(Tls::default())] {
            try_it(Trust { tls, sasl: Some(sasl(mechanism)) }).unwrap();
        }
    }
    let unknown = try_it(Trust { tls: None, sasl: Some(sasl("NTLM")) }).unwrap_err();
    assert!(unknown.contains("NTLM"), "{unknown}");
    let no_pem = file("ca.pem", "hunter2");
    let no_ca = try_it(Trust { tls: Some(Tls { ca_file: Some(no_pem.clone()), own: None }), sasl: None }).unwrap_err();
    assert!(no_ca.contains("ca_file") && !no_ca.contains("hunter2"), "{no_ca}");
    let own = Own { cert_file: no_pem.clone(), key_file: no_pem, key_password: Some(SecretPlace::File(folder.path().join("none"))) };
    let no_secret = try_it(Trust { tls: Some(Tls { ca_file: None, own: Some(own) }), sasl: None }).unwrap_err();
    assert!(no_secret.contains("key_password_file: ") && no_secret.contains("chmod 600"), "{no_secret}");
}

#[test]
fn the_probe_tells_a_broker_from_none() {
    let cluster = MockCluster::new(2).unwrap();
    cluster.create_topic("r", 1, 1).unwrap();
    let found = probe(&Config::to(cluster.bootstrap_servers()), Duration::from_secs(10)).unwrap();
    let topics: Vec<&str> = found.topics.iter().map(|topic| &*topic.name).collect();
    assert_eq!((found.brokers.len(), topics), (2, vec!["r"]));
    let fault = probe(&Config::to("127.0.0.1:1"), Duration::from_millis(600)).unwrap_err().to_string();
    assert!(fault.starts_with("[sinks.kafka] brokers = \"127.0.0.1:1\": no broker answered") && fault.contains("refused"), "{fault}");
}

fn event(summary: &str) -> Message {
    Message::event(&pb::Event { id: "e".to_owned(), summary: summary.to_owned(), ..Default::default() })
}

/// The second event finds brokers that would take it, and need not be asked: the first one of its size was refused. What is smaller goes.
#[test]
fn what_cannot_be_cut_and_was_refused_is_not_asked_again() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("tailwater.v1.events", 1, 1).unwrap();
    let (mut sinks, journal) = running(&cluster.bootstrap_servers(), "r", Bound::default());
    // Once for the batch, once for it alone.
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 2]);
    assert!(journal.append(event("as long as this")));
    wait_for(&sinks, "the refusal", |kafka| kafka.failed == 1);
    assert_ne!(sinks.status()[0].state, SinkState::Down, "a broker that finds something too large is well");
    let asked = sinks.status()[0].retried;
    assert!(journal.append(event("as long as that")) && journal.append(event("and longer, too")) && journal.append(event("shorter")));
    let status = sinks.stop(soon());
    assert_eq!((status[0].delivered, status[0].failed, status[0].behind), (1, 3, 0), "{status:?}");
    assert_eq!(status[0].retried, asked);
}

/// Reports of another topic go on, and still there is trouble until this one is taken.
#[test]
fn a_topic_that_is_refused_is_trouble_until_it_is_taken() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("r", 1, 1).unwrap();
    cluster.create_topic("tailwater.v1.events", 1, 1).unwrap();
    cluster.topic_error("tailwater.v1.events", RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let (mut sinks, journal) = running(&cluster.bootstrap_servers(), "r", Bound::default());
    assert!(journal.append(event("denied")));
    wait_for(&sinks, "the refusal", |kafka| kafka.state == SinkState::Down);
    for n in 0..20 {
        assert!(journal.append(Message::range(&range(n))));
        wait_for(&sinks, "a range", |kafka| kafka.delivered > n);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(sinks.status()[0].state, SinkState::Down, "after {n}");
    }
    cluster.topic_error("tailwater.v1.events", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    wait_for(&sinks, "the event", |kafka| kafka.delivered == 21 && kafka.state == SinkState::Up);
    assert_eq!(sinks.stop(soon())[0].behind, 0);
}

/// A lot of flows: their number is the key, and stands in the value.
fn lot(numbers: std::ops::Range<u32>) -> Message {
    let mut writer = LotWriter::new(LotForm::Bare, 1 << 16);
    numbers
        .for_each(|n| assert!(writer.put(|key| key.extend(n.to_string().bytes()), |value| value.extend([n.to_le_bytes(); 20].concat()))));
    Message::flows("f", writer.take(), WindowOf::default())
}

/// Flows come once each over outages, whatever lot they were in, and none holds a report up.
#[test]
fn flows_of_a_lot_are_settled_one_by_one_over_outages() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("f", 3, 1).unwrap();
    let sinks = config(&cluster.bootstrap_servers(), "r");
    let lane = FlowLane { bound: Bound::default(), disk: None };
    let journal = Journal::new(Bound::default(), &names(&sinks)).with_flows(&lane, &names(&sinks)).unwrap();
    let mut sinks = start(&sinks, &journal).unwrap();
    (0..20).for_each(|n| assert!(journal.append(lot(n * 500..(n + 1) * 500))));
    wait_for(&sinks, "the first lots", |kafka| kafka.flows == 10_000);
    cluster.broker_down(1).unwrap();
    (20..60).for_each(|n| assert!(journal.append(lot(n * 500..(n + 1) * 500))));
    wait_for(&sinks, "the outage", |kafka| kafka.state == SinkState::Down);
    cluster.broker_up(1).unwrap();
    // One that no broker takes goes alone; a lot that nobody can read is counted as what it says it held.
    let mut writer = LotWriter::new(LotForm::Bare, 1 << 16);
    assert!(writer.put(|_| (), |value| value.resize(value.len() + (33 << 20), 0)) && writer.put(|key| key.extend(*b"30000"), |_| ()));
    journal.append(Message::flows("f", writer.take(), WindowOf::default()));
    journal.append(Message { payload: Box::new([0, 7, 0, 0, 0, 9, 9]), ..lot(0..1) });
    // One that is cut: what it says it held, and is not there, is counted too.
    let whole = lot(30_001..30_004);
    journal.append(Message { payload: whole.payload[..whole.payload.len() - 1].into(), ..whole });
    journal.append(Message::range(&range(1)));
    let status = sinks.stop(soon());
    let kafka = &status[0];
    assert_eq!((kafka.flows, kafka.flows_failed, kafka.lots_behind), (30_003, 9, 0), "{kafka:?}");
    assert_eq!((kafka.delivered, kafka.failed, kafka.behind), (1, 0, 0));
    let read = consume(&cluster.bootstrap_servers(), &["f"], 30_003);
    assert!(read.len() == 30_003 && read.values().all(|values| values.len() == 1), "each came once");
    let is_own = |(key, values): (&String, &Vec<Vec<u8>>)| {
        let n = key.parse::<u32>().unwrap();
        n == 30_000 || values[0] == [n.to_le_bytes(); 20].concat()
    };
    assert!(read.iter().all(is_own), "under its own key");
}

fn lot_to(topic: &str, numbers: std::ops::Range<u32>) -> Message {
    Message { key: topic.to_owned(), ..lot(numbers) }
}

/// A topic that brokers refuse holds up no other, and its flows are given up and counted; once it is there they go.
#[test]
fn flows_of_a_refused_topic_are_given_up_and_others_go_on() {
    for code in [RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED] {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("f", 3, 1).unwrap();
        cluster.create_topic("refused", 1, 1).unwrap();
        cluster.topic_error("refused", code).unwrap();
        let sinks = config(&cluster.bootstrap_servers(), "r");
        let lane = FlowLane { bound: Bound::default(), disk: None };
        let journal = Journal::new(Bound::default(), &names(&sinks)).with_flows(&lane, &names(&sinks)).unwrap();
        let mut sinks = start(&sinks, &journal).unwrap();
        // The refused ones stand before, between and behind the others.
        for n in 0..40 {
            assert!(journal.append(lot_to("refused", n * 10..(n + 1) * 10)) && journal.append(lot(n * 10..(n + 1) * 10)));
        }
        wait_for(&sinks, "the others", |kafka| kafka.flows == 400);
        wait_for(&sinks, "the end of patience", |kafka| kafka.flows_failed == 400 && kafka.lots_behind == 0);
        assert_eq!(sinks.status()[0].topics_failed, BTreeMap::from([("refused".to_owned(), 400)]));
        assert!(journal.append(lot_to("refused", 0..7)) && journal.append(lot(400..410)));
        wait_for(&sinks, "what comes later", |kafka| kafka.flows == 410 && kafka.flows_failed == 407);
        cluster.topic_error("refused", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
        let (deadline, mut sent) = (soon(), 0);
        while sinks.status()[0].flows == 410 {
            assert!(Instant::now() < deadline && journal.append(lot_to("refused", 0..1)), "it is not asked again: {:?}", sinks.status());
            sent += 1;
            std::thread::sleep(Duration::from_millis(50));
        }
        let before = sinks.status()[0].clone();
        assert!(journal.append(lot_to("refused", 0..5)));
        let kafka = sinks.stop(soon()).remove(0);
        assert_eq!((kafka.flows + kafka.flows_failed, kafka.lots_behind), (410 + 407 + sent + 5, 0), "{kafka:?}");
        assert!(kafka.flows >= before.flows + 5, "{kafka:?}");
    }
}

/// A topic that is there late gets what waited for it.
#[test]
fn flows_wait_for_a_topic_that_comes() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("late", 1, 1).unwrap();
    cluster.topic_error("late", RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let sinks = config(&cluster.bootstrap_servers(), "r");
    let lane = FlowLane { bound: Bound::default(), disk: None };
    let journal = Journal::new(Bound::default(), &names(&sinks)).with_flows(&lane, &names(&sinks)).unwrap();
    let mut sinks = start(&sinks, &journal).unwrap();
    assert!(journal.append(lot_to("late", 0..500)));
    wait_for(&sinks, "the refusal", |kafka| kafka.retried > 0);
    cluster.topic_error("late", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    wait_for(&sinks, "its flows", |kafka| kafka.flows + kafka.flows_failed == 500);
    let kafka = sinks.stop(soon()).remove(0);
    assert!(kafka.flows == 500 && kafka.lots_behind == 0, "{kafka:?}");
}

/// What librdkafka itself refuses of a lot holds the rest of it up by nothing.
#[test]
fn the_rest_of_a_lot_goes_at_once() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("f", 1, 1).unwrap();
    let sinks = config(&cluster.bootstrap_servers(), "r");
    let lane = FlowLane { bound: Bound::default(), disk: None };
    let journal = Journal::new(Bound::default(), &names(&sinks)).with_flows(&lane, &names(&sinks)).unwrap();
    let mut sinks = start(&sinks, &journal).unwrap();
    let mut writer = LotWriter::new(LotForm::Bare, 1 << 16);
    assert!(writer.put(|_| (), |value| value.resize(value.len() + (33 << 20), 0)));
    (0..9).for_each(|n| assert!(writer.put(|key| key.push(n), |value| value.push(n))));
    journal.append(Message::flows("f", writer.take(), WindowOf::default()));
    wait_for(&sinks, "the rest", |kafka| kafka.flows == 9 && kafka.flows_failed == 1);
    let kafka = sinks.stop(soon()).remove(0);
    assert_eq!(kafka.retried, 1, "the long one was tried once, and nothing was sent again");
}
