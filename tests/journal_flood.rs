//! A journal of a tenth of what comes, against a broker that is dead: the disk is bounded, the oldest fall off, and what a consumer is
//! told of them is the truth, though accounts that told it fell off too; then the broker comes, and the rest arrives in order.
//!
//! 60 windows, of 1,000 ranges, or with `TAILWATER_LONG=1` of 50,000, made as fast as the machine makes them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod e2e_support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use e2e_support::Broker;
use rdkafka::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tailwater::config::{KafkaSink, Sinks};
use tailwater::journal::{Bound, Disk, Journal, Message};
use tailwater::report::pb;
use tailwater::sink;

const WINDOWS: u64 = 60;
/// Of a report's figures, about as 24 stats have.
const STATS: u64 = 24;
/// What the sink holds itself at most.
const IN_FLIGHT_MAX: u64 = 10_000;
const TOPIC: &str = "tailwater.v1.ranges";
const ACCOUNTS: &str = "tailwater.v1.appliance";

/// A range's report as large as real ones.
fn report(range: u64, window: u64) -> pb::RangeReport {
    let total = |n: u64| pb::Stat {
        name: format!("stat_{n}"),
        calculation: "sum".into(),
        key: "none".into(),
        figure: Some(pb::stat::Figure::Total(pb::Estimate { value: (range * n) as f64, ..Default::default() })),
        ..Default::default()
    };
    pb::RangeReport {
        appliance: "flood".into(),
        boot_id: 1,
        sequence: window + 1,
        prefix: format!("10.{}.{}.0/24", range / 256, range % 256),
        window_start_ns: window * 10,
        window_end_ns: window * 10 + 10,
        stats: (0..STATS).map(total).collect(),
        ..Default::default()
    }
}

fn disk_bytes(folder: &Path) -> u64 {
    // What is removed meanwhile takes no room.
    std::fs::read_dir(folder).unwrap().filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

/// The account of a window, with what sinks have lost since the one before.
fn account(window: u64, journal: &Journal) -> pb::ApplianceReport {
    pb::ApplianceReport {
        appliance: "flood".into(),
        boot_id: 1,
        sequence: window + 1,
        window_start_ns: window * 10,
        window_end_ns: window * 10 + 10,
        journal_losses: journal.losses().iter().map(|(sink, losses)| losses.told(sink)).collect(),
        ..Default::default()
    }
}

/// What a consumer is told of losses.
#[derive(Default)]
struct Told {
    all: u64,
    /// Reports of ranges, and accounts, by window.
    windows: BTreeMap<u64, [u64; 2]>,
    /// At least.
    ranges: BTreeMap<String, u64>,
    damaged: u64,
}

impl Told {
    fn add(&mut self, account: &pb::ApplianceReport) {
        for losses in &account.journal_losses {
            assert_eq!(losses.sink, "kafka");
            self.all += losses.total;
            self.damaged += losses.damaged;
            for window in &losses.windows {
                let sums = self.windows.entry(window.window_start_ns / 10).or_default();
                (sums[0], sums[1]) = (sums[0] + window.ranges, sums[1] + window.appliance);
            }
            losses.ranges.iter().for_each(|range| *self.ranges.entry(range.name.clone()).or_default() += range.value);
        }
    }
}

/// What came of a topic.
#[derive(Default)]
struct Read {
    /// By key, in the order of its partition.
    sequences: BTreeMap<String, Vec<u64>>,
    accounts: BTreeMap<u64, pb::ApplianceReport>,
}

/// Reports and accounts, each once; until there are so many.
fn consume(brokers: &str, wanted: u64) -> Read {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "flood").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&[TOPIC, ACCOUNTS]).unwrap();
    let (mut read, mut count, mut last) = (Read::default(), 0, Instant::now());
    while count < wanted && last.elapsed() < Duration::from_secs(60) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) else { continue };
        last = Instant::now();
        if message.topic() == ACCOUNTS {
            let account = <pb::ApplianceReport as prost::Message>::decode(message.payload().unwrap()).unwrap();
            count += u64::from(read.accounts.insert(account.sequence, account).is_none());
            continue;
        }
        let report = <pb::RangeReport as prost::Message>::decode(message.payload().unwrap()).unwrap();
        let sequences = read.sequences.entry(String::from_utf8(message.key().unwrap().to_vec()).unwrap()).or_default();
        // Kafka delivers at least once.
        if sequences.last() != Some(&report.sequence) {
            sequences.push(report.sequence);
            count += 1;
        }
    }
    read
}

#[test]
fn what_falls_off_is_told_as_it_is_and_the_rest_arrives_in_order() {
    let ranges: u64 = if std::env::var_os("TAILWATER_LONG").is_some() { 50_000 } else { 1_000 };
    let (broker, folder) = (Broker::new(), tempfile::tempdir().unwrap());
    // A port that is ours: the broker runs once before it is dead.
    let address = broker.start(0);
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    broker.stop();
    let kafka = KafkaSink::to(&*address);
    let sinks = Sinks { kafka: Some(kafka), ..Sinks::default() };
    let bytes_max = WINDOWS * ranges * Message::range(&report(9, 9)).payload.len() as u64 / 10;
    let disk = Disk { folder: folder.path().to_owned(), bytes_max, segment_bytes: bytes_max / 64 };
    let journal = Journal::open(Bound::default(), &disk, &sink::names(&sinks)).unwrap();
    let mut running = sink::start(&sinks, &journal).unwrap();

    let begin = Instant::now();
    for window in 0..WINDOWS {
        for range in 0..ranges {
            assert!(journal.append(Message::range(&report(range, window))));
        }
        assert!(journal.append(Message::appliance(&account(window, &journal))));
        assert!(disk_bytes(folder.path()) <= bytes_max + (1 << 20), "window {window}");
    }
    while journal.state().unsynced > 0 {
        assert!(begin.elapsed() < Duration::from_secs(300), "{:?}", journal.state());
        std::thread::sleep(Duration::from_millis(20));
    }
    println!(
        "{} reports in {:.1} s, {} MB on disk of at most {}",
        WINDOWS * ranges,
        begin.elapsed().as_secs_f64(),
        disk_bytes(folder.path()) >> 20,
        bytes_max >> 20
    );

    broker.start(port);
    let end = Instant::now() + Duration::from_secs(300);
    assert!(journal.drained_by(end), "{:?}", journal.state());
    // What fell off since the account of the last window.
    assert!(journal.append(Message::appliance(&account(WINDOWS, &journal))));
    assert!(journal.drained_by(end), "{:?}", journal.state());
    let status = running.stop(Instant::now() + Duration::from_secs(30));
    let state = journal.state();
    assert!(journal.end(Instant::now() + Duration::from_secs(30)));
    let (delivered, lost) = (status[0].delivered, state.cursors[0].overflow);
    println!("delivered {delivered}, lost {lost}");
    let read = consume(&address, delivered);
    let mut told = Told::default();
    read.accounts.values().for_each(|account| told.add(account));
    assert_eq!((delivered + lost, told.all, told.damaged, status[0].failed), (WINDOWS * (ranges + 1) + 1, lost, 0, 0));
    // A tenth, and what the sink had taken before it knew that nobody is there.
    assert!((1..=WINDOWS * ranges / 10 + IN_FLIGHT_MAX + ranges).contains(&delivered));
    judge(&told, &read, ranges);
}

/// Each range's sequences are those that were not told as lost, in their order; and so are accounts.
fn judge(told: &Told, read: &Read, ranges: u64) {
    let mut of_window: BTreeMap<u64, [u64; 2]> = (0..=WINDOWS).map(|window| (window, [ranges, 1])).collect();
    of_window.insert(WINDOWS, [0, 1]);
    for range in 0..ranges {
        let prefix = report(range, 0).prefix;
        let none = Vec::new();
        let sequences = read.sequences.get(&prefix).unwrap_or(&none);
        assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "{prefix}: {sequences:?}");
        // Of ranges those that lost most are named.
        assert!(told.ranges.get(&prefix).copied().unwrap_or(0) <= WINDOWS - sequences.len() as u64, "{prefix}");
        sequences.iter().for_each(|sequence| of_window.get_mut(&(sequence - 1)).unwrap()[0] -= 1);
    }
    read.accounts.keys().for_each(|sequence| of_window.get_mut(&(sequence - 1)).unwrap()[1] -= 1);
    of_window.retain(|_, lost| *lost != [0, 0]);
    assert_eq!(of_window, told.windows);
    assert!(read.accounts.len() < usize::try_from(WINDOWS).unwrap() / 2, "accounts fell off, too");
}
