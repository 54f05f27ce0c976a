//! Ranges that are reported together, against a model that counts each of their packets once.

use std::collections::{BTreeMap, BTreeSet};

use tailwater::report::pb;

use crate::support::calculations::Known;
use crate::support::compare::{check, check_over, figure, of_range};
use crate::support::dice::{Dice, seeds};
use crate::support::drive::{Log, Pace, load, run};
use crate::support::history::History;
use crate::support::model::{Rollup, Window, rollups, windows_over};
use crate::support::reloads::simulate;
use crate::support::setup::{Bins, NUMBERS, Row, Setup};
use crate::support::traffic::{Mix, Packet, draw};

/// Receivers and workers.
const SHAPES: [(u32, u32); 6] = [(1, 0), (2, 0), (4, 0), (1, 1), (1, 3), (2, 4)];
/// Keys that are of another width in IPv6.
const ADDRESSES: [&str; 5] = ["src_ip", "dst_ip", "src_prefix", "dst_prefix", "flow"];

fn case(seed: u64) -> (Setup, Vec<Packet>) {
    let mut dice = Dice::new(seed);
    let mut setup = Setup::of_windows(&mut dice, &[(1_000, 1_000), (1_000, 250), (10_000, 1_000)]);
    setup.rollup = true;
    setup.customers = dice.of(&[1, 2, 3]);
    let (spoofed, [tunnels, late, gaps]) = (dice.of(&[0, 0, 2]), [(); 3].map(|()| dice.one_in(2)));
    let mix = Mix { packets: 1_500, windows: 4, window_ns: setup.window_ms * 1_000_000, spoofed, tunnels, late, gaps };
    (setup, draw(&mut dice, &mix))
}

/// The log without what is rolled up, and that.
fn parted(log: &Log) -> (Log, Vec<pb::RangeReport>) {
    let (own, rolled) = log.ranges.iter().cloned().partition(|report| report.scope() == pb::Scope::Own);
    (Log { ranges: own, ..log.clone() }, rolled)
}

/// Stats that all ranges keep; of both families those alone whose keys are the same in both, or of which none is kept.
fn kept<'a>(setup: &'a Setup, ranges: &BTreeSet<usize>, kind: pb::WindowKind) -> Vec<&'a Row> {
    let keeps = |range: &usize, row: &Row| of_range(setup, *range, kind).iter().any(|other| other.name == row.name);
    let families: BTreeSet<bool> = ranges.iter().map(|range| setup.ranges[*range].0.contains(':')).collect();
    let is_keyed = |row: &Row| match row.calculation {
        "topk" | "fanout" => true,
        "histogram" => !matches!(row.bins, Some(Bins::Labels(_))) && !NUMBERS.contains(&row.keys[0]),
        _ => false,
    };
    let merges = |row: &&Row| families.len() == 1 || !is_keyed(row) || row.keys.iter().all(|key| !ADDRESSES.contains(key));
    setup.rows.iter().filter(|row| ranges.iter().all(|range| keeps(range, row))).filter(merges).collect()
}

fn is_of(setup: &Setup, rollup: &Rollup, report: &pb::RangeReport) -> bool {
    match rollup {
        Rollup::Subtree(range) => {
            let (prefix, _, domain) = setup.ranges[*range];
            let of = (report.scope(), &report.prefix[..], &report.domain[..], &report.customer[..]);
            of == (pb::Scope::Subtree, prefix, domain, &setup.customer(prefix, domain)) && !report.labels.is_empty()
        }
        Rollup::Customer(name) => {
            let of = (report.scope(), &report.prefix[..], &report.domain[..], &report.customer, report.labels.len());
            of == (pb::Scope::Customer, "", "", name, 0)
        }
    }
}

/// What earlier windows of a roll-up had, by kind, roll-up and stat.
type Pasts = BTreeMap<(pb::WindowKind, String, String), Known>;

/// What it is called in every configuration.
fn identity(setup: &Setup, rollup: &Rollup) -> String {
    match rollup {
        Rollup::Subtree(range) => format!("{} {}", setup.ranges[*range].0, setup.ranges[*range].2),
        Rollup::Customer(name) => name.clone(),
    }
}

/// Another configuration counts: what a roll-up knows goes on if it is of the same ranges, and has the stat still, defined as it was.
fn forget(known: &mut Pasts, kind: pb::WindowKind, before: &Setup, now: &Setup) {
    let defined = |setup: &Setup, name: &str, row: &str| {
        let (_, ranges) = rollups(setup).into_iter().find(|(rollup, _)| identity(setup, rollup) == name)?;
        let row = kept(setup, &ranges, kind).into_iter().find(|other| other.name == row)?;
        let of: BTreeSet<_> = ranges.iter().map(|range| (setup.ranges[*range].0, setup.ranges[*range].2)).collect();
        Some((of, format!("{:?}", Row { premium: false, ..row.clone() })))
    };
    known.retain(|(of, name, row), _| *of != kind || defined(now, name, row).is_some_and(|now| defined(before, name, row) == Some(now)));
}

/// Panics with what differs.
fn check_rolled(history: &History, packets: &[Packet], log: &Log, rolled: &[pb::RangeReport]) {
    let (mut known, mut explained, first) = (Pasts::new(), 0, history.first());
    for (kind, length_ms) in [(pb::WindowKind::Long, first.window_ms), (pb::WindowKind::Fast, first.fast_ms)] {
        let (length_ns, mut era) = (length_ms * 1_000_000, 0);
        for (number, window) in windows_over(history, packets, length_ns) {
            let bounds = (number * length_ns, (number + 1) * length_ns);
            let now = history.index(bounds.0);
            (era + 1..=now).for_each(|next| forget(&mut known, kind, &history.eras[next - 1].1, &history.eras[next].1));
            era = now;
            let setup = &history.eras[now].1;
            let count = check_window(setup, (kind, bounds), &window, rolled, &mut known);
            let is = |r: &&pb::ApplianceReport| (r.window_start_ns, r.window_kind(), r.total) == (bounds.0, kind, false);
            if let Some(account) = log.appliance.iter().find(is) {
                assert_eq!(account.rollups_reported, setup.rollup.then_some(count as u64));
            }
            explained += count;
        }
    }
    assert_eq!(rolled.len(), explained, "reports that no window explains");
}

type At = (pb::WindowKind, (u64, u64));

/// Says how many reports it has.
fn check_window(setup: &Setup, (kind, bounds): At, window: &Window, rolled: &[pb::RangeReport], known: &mut Pasts) -> usize {
    let is = |r: &&pb::RangeReport| ((r.window_start_ns, r.window_end_ns), r.window_kind()) == (bounds, kind);
    let of_window: Vec<&pb::RangeReport> = rolled.iter().filter(is).collect();
    let mut count = 0;
    for (rollup, ranges) in &rollups(setup) {
        let rows = kept(setup, ranges, kind);
        let Some(packets) = window.rollups.get(rollup).filter(|_| !rows.is_empty()) else { continue };
        let mut found = of_window.iter().filter(|report| is_of(setup, rollup, report));
        let report = found.next().unwrap_or_else(|| panic!("no report of {rollup:?} in {bounds:?}"));
        assert_eq!((found.count(), &report.incomplete, report.idle), (0, &None, false), "{rollup:?} in {bounds:?}");
        let names: Vec<&str> = report.stats.iter().map(|stat| &stat.name[..]).collect();
        assert_eq!(names, rows.iter().map(|row| &row.name[..]).collect::<Vec<_>>(), "{rollup:?} in {bounds:?}");
        for (row, stat) in rows.iter().zip(&report.stats) {
            let known = known.entry((kind, identity(setup, rollup), row.name.clone())).or_default();
            figure(setup, row, stat, packets, bounds, known)
                .unwrap_or_else(|what| panic!("{rollup:?} in {kind:?} {bounds:?}: {row:?}: {what}\n{stat:?}"));
        }
        count += 1;
    }
    assert_eq!(of_window.len(), count, "{of_window:?}");
    count
}

/// Behind the ranges of their window, subtrees as their ranges, then customers by name; each numbered without a gap.
fn order(log: &Log) {
    let mut sequences: BTreeMap<(i32, &str, &str, &str), u64> = BTreeMap::new();
    let net = |prefix: &str| prefix.parse::<ipnet::IpNet>().ok().map(|net| (net.addr(), net.prefix_len()));
    for pair in log.ranges.windows(2) {
        let [one, other] = [0, 1].map(|at| &pair[at]);
        let place = |r: &pb::RangeReport| (r.scope, net(&r.prefix), if r.prefix.is_empty() { r.customer.clone() } else { String::new() });
        if (one.window_start_ns, one.window_kind) == (other.window_start_ns, other.window_kind) {
            assert!(place(one) <= place(other), "{one:?} before {other:?}");
        }
    }
    for report in &log.ranges {
        let customer = if report.prefix.is_empty() { &report.customer[..] } else { "" };
        let last = sequences.entry((report.scope, &report.domain, &report.prefix, customer)).or_default();
        *last += 1;
        assert_eq!(report.sequence, *last, "{} {}", report.prefix, report.customer);
    }
}

#[test]
fn every_packet_counts_once_in_what_is_rolled_up() {
    let mut figures = BTreeMap::<(i32, String, String), usize>::new();
    for seed in seeds(12) {
        println!("TAILWATER_SEED={seed}");
        let (setup, packets) = case(seed);
        let config = load(&setup.toml(), &setup.csv());
        let log = run(&config, &packets, SHAPES[usize::try_from(seed).unwrap() % SHAPES.len()], seed);
        let (own, rolled) = parted(&log);
        check(&setup, &packets, &own);
        check_rolled(&History::of(&setup), &packets, &log, &rolled);
        order(&log);
        for (scope, stat) in rolled.iter().flat_map(|report| report.stats.iter().map(|stat| (report.scope, stat))) {
            *figures.entry((scope, stat.calculation.clone(), stat.direction.clone())).or_default() += 1;
        }
    }
    if std::env::var("TAILWATER_SEED").is_err() {
        assert_eq!(figures.len(), 2 * 9 * 3, "every calculation and direction in both scopes: {figures:?}");
    }
}

/// Also where a customer's packets go from one of its ranges to another, counted on other cores.
#[test]
fn what_is_rolled_up_does_not_depend_on_modes_and_cores() {
    for seed in seeds(2) {
        println!("TAILWATER_SEED={seed}");
        let (setup, packets) = case(seed + 100);
        let config = load(&setup.toml(), &setup.csv());
        let fixed = |shape, cuts| {
            let mut log = run(&config, &packets, shape, cuts);
            check_rolled(&History::of(&setup), &packets, &log, &parted(&log).1);
            log.ranges.iter_mut().for_each(|report| report.stats.retain(|stat| stat.calculation != "topk"));
            log.ranges
        };
        let first = fixed((1, 0), 0);
        for shape in SHAPES {
            assert_eq!(fixed(shape, seed + 1), first, "{shape:?}");
        }
    }
}

/// What a range says of itself is what it says without roll-ups, but for lists of so many keys that they are bounds.
#[test]
fn ranges_say_the_same_without_roll_ups() {
    for seed in seeds(3) {
        println!("TAILWATER_SEED={seed}");
        let (setup, packets) = case(seed + 200);
        let said = |rollup| {
            let setup = Setup { rollup, ..setup.clone() };
            let mut log = parted(&run(&load(&setup.toml(), &setup.csv()), &packets, (1, 0), 0)).0;
            log.ranges.iter_mut().for_each(|report| report.stats.retain(|stat| stat.calculation != "topk"));
            log.ranges
        };
        assert_eq!(said(true), said(false));
    }
}

/// Ranges come and go, change customers, and roll-ups are asked for and not: what is counted together is of one configuration.
#[test]
fn reloads_change_what_is_rolled_up() {
    for seed in seeds(6) {
        println!("TAILWATER_SEED={seed}");
        let setup = Setup { memory_mb: 1_024, ..case(seed + 300).0 };
        let mut dice = Dice::new(seed + 300);
        let redraw = |dice: &mut Dice| {
            let mut later = if dice.one_in(2) { setup.clone() } else { setup.redraw(dice) };
            (later.rollup, later.customers) = (!dice.one_in(4), dice.of(&[setup.customers, setup.customers, 0, 2]));
            later
        };
        let later: Vec<Setup> = (0..15).map(|_| redraw(&mut dice)).collect();
        let window_ns = setup.window_ms * 1_000_000;
        // Not so many epochs that what closes them alone fills a ring.
        let windows = (40 * setup.fast_ms / setup.window_ms).clamp(4, 20);
        let mix = Mix { packets: 1_500, windows, window_ns, spoofed: 0, tunnels: dice.one_in(2), late: dice.one_in(2), gaps: false };
        let packets = draw(&mut dice, &mix);
        let pace = Pace { workers: 2, reporter: 9, steps: 4, live: false, sleepy: seed.is_multiple_of(2), overdue: false };
        let shape = SHAPES[usize::try_from(seed).unwrap() % SHAPES.len()];
        let (log, history) = simulate((&setup, &later), &packets, shape, seed, (pace, 25));
        assert!(history.eras.len() > 1);
        let (own, rolled) = parted(&log);
        check_over(&history, &packets, &own);
        check_rolled(&history, &packets, &log, &rolled);
        order(&log);
    }
}
