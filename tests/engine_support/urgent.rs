//! Fast windows do not wait for a long one that has many ranges to report, and nothing is another for it.

use std::fmt::Write as _;

use tailwater::report::pb;

use super::overload::{plain, traffic};
use super::support::dice::seeds;
use super::support::drive::{Log, Pace, load, simulate};

/// Each report under the number that its kind of window gives it, and each account likewise.
fn by_kind(log: &Log) -> (Vec<pb::RangeReport>, Vec<pb::ApplianceReport>) {
    let mut ranges: Vec<_> = log.ranges.iter().map(|report| pb::RangeReport { sequence: 0, ..report.clone() }).collect();
    ranges.sort_by(|a, b| (a.window_kind, &a.prefix, a.kind_sequence).cmp(&(b.window_kind, &b.prefix, b.kind_sequence)));
    let mut accounts: Vec<_> = log.appliance.iter().map(|report| pb::ApplianceReport { sequence: 0, ..report.clone() }).collect();
    accounts.sort_by_key(|report| (report.window_kind, report.kind_sequence));
    (ranges, accounts)
}

/// Fast windows that were told of before a long one that had ended when they began.
fn overtook(log: &Log) -> usize {
    let place = |report: &pb::ApplianceReport| log.appliance.iter().position(|other| other == report);
    let is = |kind| move |report: &&pb::ApplianceReport| report.window_kind() == kind && !report.total;
    let longs: Vec<_> = log.appliance.iter().filter(is(pb::WindowKind::Long)).collect();
    let before =
        |fast: &&pb::ApplianceReport| longs.iter().any(|long| long.window_end_ns <= fast.window_start_ns && place(fast) < place(long));
    log.appliance.iter().filter(is(pb::WindowKind::Fast)).filter(before).count()
}

#[test]
fn fast_windows_overtake_a_long_one_and_change_nothing() {
    let setup = plain(1_000, 250);
    let mut csv = setup.csv();
    // They only say that they are there, one after the other, each long window.
    (0..700).for_each(|n| writeln!(csv, "172.{}.{}.0/24,idle,basic,", 16 + n / 256, n % 256).unwrap());
    let config = load(&setup.toml().replacen("memory_mb", "heartbeat = true\nmemory_mb", 1), &csv);
    let mut overtaken = 0;
    for seed in seeds(4) {
        println!("TAILWATER_SEED={seed}");
        let packets = traffic(&setup, seed, 400, 4);
        let run = |shape, reporter| {
            let pace = Pace { workers: 1, reporter, steps: 1, live: true, sleepy: false, overdue: false };
            simulate(&config, &packets, shape, seed, pace)
        };
        let shape = [(1, 0), (2, 0), (1, 2)][usize::try_from(seed % 3).unwrap()];
        let (often, late) = (run(shape, 1), run(shape, 0));
        overtaken += overtook(&late);
        let numbers = |log: &Log| log.appliance.iter().map(|report| report.sequence).collect::<Vec<_>>();
        assert_eq!(numbers(&late), (1..=late.appliance.len() as u64).collect::<Vec<_>>(), "as they were told");
        let (often, late) = (by_kind(&often), by_kind(&late));
        assert!(often.0 == late.0, "reports of ranges differ");
        for (often, late) in often.1.iter().zip(&late.1) {
            assert_eq!((often.window_start_ns, &often.ledger, &often.incomplete), (late.window_start_ns, &late.ledger, &late.incomplete));
            assert_eq!((often.ranges_reported, often.kind_sequence), (late.ranges_reported, late.kind_sequence));
        }
        assert_eq!(often.1.len(), late.1.len());
    }
    assert!(overtaken > 0, "no long window was long enough");
}
