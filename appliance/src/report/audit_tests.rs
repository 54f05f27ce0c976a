//! Lists of rules that lack samples are compared with nothing.

use std::sync::{Arc, Mutex};

use super::*;
use crate::stats::figure::{TopEntry, Unseen};
use crate::stats::weighted::Weighted;

const S: u64 = 1_000_000_000;

struct Given(Arc<Mutex<Heard>>);

impl CounterRows for Given {
    fn take(&mut self) -> Heard {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A range's list of one rule, all of whose samples were counted.
fn list(sampled_packets: u64) -> Top {
    let sufficient = Weighted { sampled_packets, ..Weighted::default() };
    let entry = TopEntry { key: "77".to_owned(), value: Estimate::exact(0.0), sufficient, unseen: Unseen::default() };
    Top {
        entries: vec![entry],
        reserve: Vec::new(),
        coverage: 1.0,
        all: Estimate::exact(0.0),
        all_sufficient: sufficient,
        absent: Unseen::default(),
        thinned: 1,
        short: false,
        shed: 1,
    }
}

/// Rows that were compared over ten windows of a rule in two ranges, and whether anything was found, where lists of every third window are
/// so.
fn compared(spoil: impl Fn(&mut Top)) -> (u64, u64) {
    let plan = Plan {
        by: By::Rule,
        false_alarms: 0.001,
        tolerance: 0.005,
        skew_ns: 0,
        stale_ns: 300 * S,
        window_ns: S,
        one_in: vec![40],
        random: vec![false],
    };
    let heard = Arc::new(Mutex::new(Heard::default()));
    let counters = Box::new(Given(Arc::clone(&heard)));
    let mut auditing = Auditing { auditor: Auditor::new(plan), counters, ranges: HashSet::new(), bad: 0, left_out: 0 };
    for second in 0..10 {
        let mut audited = Audited::default();
        for range in [0, 5] {
            let mut top = list(100);
            if second % 3 == 1 && range == 5 {
                spoil(&mut top);
            }
            audited.add(range, Figure::Top(top));
        }
        let row = Row { time_ns: (second + 1) * S, key: "077".to_owned(), dropped: (second + 1) * 8_000 };
        *heard.lock().unwrap() = Heard { rows: vec![row], bad: 0, left_out: 1 };
        auditing.close(WindowOf { bounds_ns: (second * S, (second + 1) * S), is_whole: true }, &[], audited, &[]);
    }
    let report = auditing.end(false);
    let row = |name: &str| report.rows.iter().find(|row| row.name == name).unwrap().value;
    assert_eq!((row("no_room"), row("waiting"), row("bad")), (10, 0, 0));
    (row("counted"), report.keys_found)
}

#[test]
fn windows_whose_lists_lack_samples_are_left_out() {
    assert_eq!(compared(|_| {}), (9, 0));
    let missed = Unseen { sampled_packets: 1, ..Unseen::default() };
    let ways: [fn(&mut Top, Unseen); 5] = [
        |top, _| top.shed = 2,
        |top, _| top.thinned = 2,
        |top, _| top.short = true,
        |top, missed| top.absent = missed,
        |top, missed| top.entries[0].unseen = missed,
    ];
    for (at, way) in ways.into_iter().enumerate() {
        let spoil = |top: &mut Top| {
            way(top, missed);
            top.entries[0].sufficient.sampled_packets = 0;
        };
        // Of windows 1, 4 and 7 nothing is compared; left in, a fifth of the samples would lack.
        assert_eq!(compared(spoil), (6, 0), "{at}");
    }
    assert_eq!(compared(|top| top.entries[0].sufficient.sampled_packets = 0), (9, 1), "teeth");
}

#[test]
fn sums_of_ranges_are_samples() {
    let mut audited = Audited::default();
    audited.add(3, Figure::Total(Estimate::exact(0.0), Some(Weighted { sampled_packets: 8, ..Weighted::default() })));
    assert_eq!((audited.samples, audited.is_short), (vec![(3, None, 8)], false));
}
