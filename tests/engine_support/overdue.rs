//! Cores that come to an epoch while they still close the one before the open one: the next waits, frames count in the open
//! one, and both are said.

use tailwater::report::pb;

use super::overload::{START_NS, plain, traffic};
use super::support::dice::seeds;
use super::support::drive::{Log, Pace, load, simulate};
use super::support::model::windows;

/// However far behind its steps are: no frame is lost or counted twice, every window's ledger balances, and what stands in a
/// window before its own is told.
#[test]
fn frames_of_an_epoch_that_waits_are_counted_and_told() {
    for seed in seeds(3) {
        println!("TAILWATER_SEED={seed}");
        let setup = plain(1_000, 250);
        let mut packets = traffic(&setup, seed, 12_000, 6);
        packets.retain(|packet| packet.time_ns >= START_NS);
        let want = windows(&setup, &packets, u64::MAX).remove(&0).unwrap().counts;
        for shape in [(1, 0), (2, 0), (1, 2), (2, 1)] {
            let pace = Pace { workers: 2, reporter: 20, steps: 300, live: false, sleepy: false, overdue: true };
            let log = simulate(&load(&setup.toml(), &setup.csv()), &packets, shape, seed, pace);
            let total = log.appliance.last().unwrap().ledger.clone().unwrap();
            assert!(total.overdue > 0 && total.overdue < total.received, "{shape:?}: {total:?}");
            assert_eq!((total.received, total.records), (want.received, want.records), "{shape:?}");
            assert_eq!((total.counted, total.ring_dropped), (want.records, 0), "{shape:?}: {total:?}");
            for kind in [pb::WindowKind::Fast, pb::WindowKind::Long] {
                let of_kind: Vec<_> = log.appliance.iter().filter(|report| !report.total && report.window_kind() == kind).collect();
                assert!(of_kind.windows(2).all(|pair| pair[0].window_end_ns <= pair[1].window_start_ns), "{shape:?}: windows ascend");
                let ledgers = || of_kind.iter().map(|report| report.ledger.as_ref().unwrap());
                assert!(ledgers().all(|ledger| ledger.records == ledger.counted + ledger.ring_dropped), "{shape:?}");
                let sum = |of: fn(&pb::Ledger) -> u64| ledgers().map(of).sum::<u64>();
                let sums = (sum(|ledger| ledger.received), sum(|ledger| ledger.overdue), sum(|ledger| ledger.counted));
                assert_eq!(sums, (want.received, total.overdue, want.records), "{shape:?}");
                said(&log, &of_kind);
            }
            let name = |report: &pb::RangeReport| if report.window_kind() == pb::WindowKind::Fast { "fast" } else { "all" };
            let of = |report: &pb::RangeReport| report.stats.iter().find(|stat| stat.name == name(report)).and_then(|stat| stat.sufficient);
            let counted: u64 = log.ranges.iter().filter_map(of).map(|sum| sum.passed + sum.sampled_packets).sum();
            let matched = want.records;
            assert_eq!(counted, 2 * matched, "{shape:?}: each record in one fast report and one long one");
        }
    }
}

/// A window that holds frames of a later one says so, and so does the next one that is told of; every range's report too.
fn said(log: &Log, of_kind: &[&pb::ApplianceReport]) {
    let says = |incomplete: Option<&pb::Incomplete>| incomplete.is_some_and(|i| i.reasons.iter().any(|reason| reason == "overdue"));
    let holds = |report: &pb::ApplianceReport| report.ledger.as_ref().is_some_and(|ledger| ledger.overdue > 0);
    // Within a long window they may be its own.
    let fast = |report: &pb::ApplianceReport| report.window_kind() == pb::WindowKind::Fast;
    for (at, report) in of_kind.iter().enumerate().filter(|(_, report)| fast(report) && holds(report)) {
        assert!(says(report.incomplete.as_ref()), "{report:?}");
        assert!(of_kind.get(at + 1).is_none_or(|next| says(next.incomplete.as_ref())), "the one that lacks them");
    }
    for report in &log.ranges {
        let of_window = |r: &&pb::ApplianceReport| (r.window_start_ns, r.window_kind) == (report.window_start_ns, report.window_kind);
        let account = log.appliance.iter().filter(|r| !r.total).find(of_window).unwrap();
        assert_eq!(says(report.incomplete.as_ref()), says(account.incomplete.as_ref()), "{}", report.prefix);
    }
}
