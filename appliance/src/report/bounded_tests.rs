#![allow(clippy::cast_possible_truncation, reason = "a test of small numbers")]

use super::super::links::RANGES_LISTED;
use super::*;
use crate::limits::{AUDIT_KEYS_MAX, EXPORTS_MAX, LCORES_MAX, LINKS_MAX, PORTS_MAX, RANGE_NAMES_BYTES_MAX, TAG_RULES_MAX, TEXT_BYTES_MAX};

/// What Kafka's brokers take unless told otherwise (`message.max.bytes`), key and overhead of a batch included.
const BROKERS_TAKE: usize = 1_048_588;
/// What a loss that fell off the journal may take in an account: two lists of 3 KiB and some numbers, of each sink, for each of three
/// lanes.
const JOURNAL_LOSSES_BYTES: usize = 3 << 10;

/// As many as there may be of everything, each name of so many bytes.
struct Worst {
    ports: usize,
    cores: usize,
    /// Counters of a driver that moved.
    counters: usize,
    /// Losses of each port and core.
    losses: usize,
    text: String,
}

fn counts(n: usize, bytes: usize) -> Vec<pb::NamedCount> {
    (0..n).map(|n| pb::NamedCount { name: format!("{n:0>bytes$}"), value: u64::MAX }).collect()
}

fn estimate() -> Option<pb::Estimate> {
    Some(pb::Estimate { value: 1.1, low: 1.1, high: Some(1.1), basis: 4, confidence: 2 })
}

fn ledger() -> Option<pb::Ledger> {
    let [a, b] = [9, 15].map(|n| counts(n, 20));
    let n = u64::MAX;
    Some(pb::Ledger {
        offered: n,
        received: n,
        nic_missed: n,
        parsed: n,
        parse_drops: a,
        matched: n,
        unmatched: n,
        records: n,
        counted: n,
        ring_dropped: n,
        late: n,
        faults: b,
        truncated: n,
        received_bytes: n,
        overdue: n,
    })
}

impl Worst {
    fn text(&self) -> String {
        self.text.clone()
    }

    fn port(&self, port: usize) -> pb::PortLedger {
        let queue = |queue| pb::QueueCount { queue, lcore: 127, received: u64::MAX, full_polls: u64::MAX, polls: u64::MAX };
        pb::PortLedger {
            port: port as u32,
            device: self.text(),
            feed: self.text(),
            ledger: ledger(),
            link_up: true,
            device_counters: counts(self.counters, 63),
            queues: (0..self.cores as u32).map(queue).collect(),
            link_bps: Some(u64::MAX),
        }
    }

    fn loss(&self, place: &str, number: usize) -> pb::Loss {
        pb::Loss {
            what: "ring_dropped".to_owned(),
            place: place.to_owned(),
            number: number as u32,
            name: self.text(),
            feed: self.text(),
            count: u64::MAX,
            cause: "reporter_late".to_owned(),
            why: "w".repeat(200),
            remedy: "r".repeat(200),
        }
    }

    fn pairs(&self) -> Vec<pb::PortPair> {
        let pair = |first: usize, second: usize| pb::PortPair {
            first: first as u32,
            second: second as u32,
            first_device: self.text(),
            second_device: self.text(),
            // The last is the one of which something is said.
            verdict: if second + 1 == self.ports && first == second {
                pb::DuplicatesVerdict::Duplicated
            } else {
                pb::DuplicatesVerdict::Few
            }
            .into(),
            share: estimate(),
            sampled_packets: u64::MAX,
            seen_twice: 1,
            seen_twice_a_hop_apart: 1,
        };
        (0..self.ports).flat_map(|first| (first..self.ports).map(move |second| pair(first, second))).collect()
    }

    fn losses_of_journal(&self) -> Vec<pb::JournalLosses> {
        let windows = vec![pb::LostWindow::default(); 1];
        let losses =
            pb::JournalLosses { sink: "stdout".to_owned(), windows, ranges: counts(1, 2 * JOURNAL_LOSSES_BYTES), ..Default::default() };
        vec![losses; 4]
    }

    fn finding(&self) -> pb::AuditFinding {
        pb::AuditFinding { key: self.text(), sampling: estimate(), rate_evidence: 1.1, spread_evidence: 1.1, ..Default::default() }
    }

    fn account(&self) -> pb::ApplianceReport {
        let losses_of_cores = (0..self.losses * self.cores).map(|n| self.loss("core", n / self.losses));
        let tag = |rule| pb::TagCount { rule, decision: "blocked".to_owned(), frames: u64::MAX };
        let sink = pb::SinkAccount { sink: "kafka".to_owned(), trouble: self.text(), ..Default::default() };
        let export = pb::ExportAccount { protocol: "netflow9".to_owned(), to: self.text(), ..Default::default() };
        let doubt = pb::FlowDoubt { of: "o".repeat(100), told: 1, makes: 1.1, why: "w".repeat(400) };
        pb::ApplianceReport {
            appliance: self.text(),
            pop: self.text(),
            boot_id: u64::MAX,
            sequence: u64::MAX,
            config_hash: "0".repeat(64),
            incomplete: Some(pb::Incomplete { reasons: vec!["r".repeat(24); 40], lost_packets_low: 1, lost_packets_high: Some(u64::MAX) }),
            ledger: ledger(),
            cores: (0..self.cores as u32).map(|lcore| pb::CoreLedger { lcore, role: "worker".to_owned(), ledger: ledger() }).collect(),
            ports: (0..self.ports).map(|port| self.port(port)).collect(),
            tags: (0..TAG_RULES_MAX as u32).map(tag).collect(),
            feeds: (0..self.ports).map(|_| pb::Feed { name: self.text(), ledger: ledger(), ..Default::default() }).collect(),
            unmatched_top: vec![pb::UnmatchedPrefix { prefix: "p".repeat(43), packets: estimate() }; 20],
            sink_overflow: counts(4, 8),
            journal_losses: self.losses_of_journal(),
            losses: (0..self.losses * self.ports).map(|n| self.loss("port", n / self.losses)).chain(losses_of_cores).collect(),
            sinks: vec![sink; 4],
            journal: Some(pb::JournalAccount { unsynced: u64::MAX, fault: self.text() }),
            audit: Some(pb::AuditReport {
                rows: counts(8, 16),
                keys_found: AUDIT_KEYS_MAX as u64,
                all: vec![self.finding(); TAG_RULES_MAX],
                found: vec![self.finding(); 100],
                ..Default::default()
            }),
            duplicates: Some(pb::DuplicatesReport { pairs: self.pairs(), ..Default::default() }),
            flows: Some(pb::FlowsAccount {
                datagram_drops: counts(40, 24),
                set_drops: counts(40, 24),
                record_drops: counts(40, 24),
                templates: counts(40, 24),
                journal_losses: self.losses_of_journal(),
                refused_topics: counts(33, 249),
                doubts: vec![doubt; 20],
                ..Default::default()
            }),
            exports: Some(pb::ExportsAccount {
                taps: (0..self.cores as u32).map(|lcore| pb::TapCount { lcore, sampled: u64::MAX, lost: u64::MAX }).collect(),
                exports: vec![export; EXPORTS_MAX],
                packet_logs: Some(pb::PacketLogsAccount { journal_losses: self.losses_of_journal(), ..Default::default() }),
            }),
            ..Default::default()
        }
    }
}

/// An account of as many of everything as there may be, of names as long as they may be.
pub(crate) fn worst_account() -> pb::ApplianceReport {
    Worst { ports: PORTS_MAX, cores: LCORES_MAX, counters: 1_000, losses: 2, text: "x".repeat(TEXT_BYTES_MAX) }.account()
}

/// What lists may be cut, and how long they are.
fn lists(of: &pb::ApplianceReport) -> Vec<(&'static str, usize)> {
    let (audit, exports) = (of.audit.as_ref().unwrap(), of.exports.as_ref().unwrap());
    vec![
        ("ports.device_counters", of.ports.iter().map(|port| port.device_counters.len()).sum()),
        ("duplicates.pairs", of.duplicates.as_ref().unwrap().pairs.len()),
        ("ports.queues", of.ports.iter().map(|port| port.queues.len()).sum()),
        ("exports.taps", exports.taps.len()),
        ("audit.found", audit.found.len()),
        ("audit.all", audit.all.len()),
        ("flows.doubts", of.flows.as_ref().unwrap().doubts.len()),
        ("tags", of.tags.len()),
        ("cores", of.cores.len()),
        ("losses", of.losses.len()),
        ("ports", of.ports.len()),
        ("feeds", of.feeds.len()),
    ]
}

/// What is left and what was left off make the whole; lists are cut in their order, and no list before the one before is gone.
fn check(whole: &pb::ApplianceReport) -> Vec<(String, u64)> {
    let cut = bounded(whole);
    assert!(cut.encoded_len() <= ACCOUNT_BYTES_MAX, "{}", cut.encoded_len());
    let left_off: Vec<_> = cut.left_off.iter().map(|of| (of.name.clone(), of.value)).collect();
    let mut expected = Vec::new();
    for ((name, before), (_, after)) in lists(whole).into_iter().zip(lists(&cut)) {
        if before > after {
            expected.push((name.to_owned(), (before - after) as u64));
        }
    }
    assert_eq!(left_off, expected);
    assert_eq!((&cut.ledger, &cut.sinks, &cut.journal_losses), (&whole.ledger, &whole.sinks, &whole.journal_losses));
    left_off
}

#[test]
fn the_worst_account_there_may_be_is_taken_by_every_broker() {
    let whole = worst_account();
    assert!(whole.encoded_len() > 20 * BROKERS_TAKE && 2 * ACCOUNT_BYTES_MAX <= BROKERS_TAKE);
    // Names of 4 KiB: of such ports some are all that finds room.
    let left_off = check(&whole);
    let of = |name: &str| left_off.iter().find(|(list, _)| list == name).map_or(0, |(_, n)| *n as usize);
    assert_eq!((of("duplicates.pairs"), of("ports.device_counters")), (PORTS_MAX * (PORTS_MAX + 1) / 2, PORTS_MAX * 1_000));
    assert!(crate::journal::Message::appliance(&whole).payload.len() <= ACCOUNT_BYTES_MAX);
}

#[test]
fn with_names_as_they_are_only_the_least_is_left_off() {
    let text = || "0000:3b:00.0".to_owned();
    let usual = Worst { ports: 16, cores: 32, counters: 40, losses: 1, text: text() }.account();
    assert!(matches!(bounded(&usual), Cow::Borrowed(_)), "{}", usual.encoded_len());
    // All counters of many ports, and some of their pairs.
    let large = Worst { ports: PORTS_MAX, cores: LCORES_MAX, counters: 200, losses: 0, text: text() }.account();
    let left_off = check(&large);
    assert!(
        left_off.iter().all(|(name, _)| ["ports.device_counters", "duplicates.pairs", "ports.queues"].contains(&&name[..])),
        "{left_off:?}"
    );
    let cut = bounded(&large);
    // No more than need be.
    assert!(cut.encoded_len() + LEFT_OFF_BYTES + 8_192 > ACCOUNT_BYTES_MAX, "{}", cut.encoded_len());
    // A little too long: some pairs go, and the one of which something is said stays in its place.
    let tight = |cores| Worst { ports: PORTS_MAX, cores, counters: 0, losses: 0, text: text() }.account();
    let tight = (1..LCORES_MAX).map(tight).find(|account| account.encoded_len() > ACCOUNT_BYTES_MAX).unwrap();
    let left_off = check(&tight);
    let cut = bounded(&tight);
    let pairs = &cut.duplicates.as_ref().unwrap().pairs;
    assert_eq!((left_off.len(), &left_off[0].0[..], left_off[0].1 + pairs.len() as u64), (1, "duplicates.pairs", 2_080));
    assert!(pairs.is_sorted_by_key(|pair| (pair.first, pair.second)));
    assert_eq!(pairs.last().unwrap().verdict(), pb::DuplicatesVerdict::Duplicated);
}

#[test]
fn a_links_report_is_within_the_bound_whatever_names_are() {
    let names = "x".repeat(TEXT_BYTES_MAX);
    let range = || pb::LinkRange {
        prefix: "p".repeat(43),
        domain: "d".repeat(16),
        customer: "c".repeat(RANGE_NAMES_BYTES_MAX),
        l2_bits: estimate(),
        l2_bytes_sufficient: Some(pb::WeightedSum::default()),
    };
    let ranges: Vec<_> = (0..RANGES_LISTED).map(|_| range()).collect();
    let [appliance, pop, link, router, interface, provider] = [(); 6].map(|()| names.clone());
    let traffic = Some(pb::LinkTraffic {
        frames: estimate(),
        l2_bits: estimate(),
        l1_bits: estimate(),
        utilisation: estimate(),
        ..Default::default()
    });
    let reasons = Some(pb::Incomplete { reasons: vec!["r".repeat(24); 40], lost_packets_low: 1, lost_packets_high: None });
    let report = pb::LinkReport {
        appliance,
        pop,
        link,
        router,
        interface,
        provider,
        passed: traffic,
        blocked: traffic,
        total: traffic,
        passed_ranges: ranges.clone(),
        blocked_ranges: ranges,
        incomplete: reasons.clone(),
        ranges_incomplete: reasons,
        ..Default::default()
    };
    let bytes = report.encoded_len();
    assert!(bytes <= ACCOUNT_BYTES_MAX && LINKS_MAX > 0, "{bytes}");
}
