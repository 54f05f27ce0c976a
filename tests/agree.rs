//! Random configurations over generated captures, through the real `tailwater replay` in both modes: the same reports.
//!
//! `scripts/agree [COUNT] [SEED]` runs many; `TAILWATER_AGREE` says how many here, `SEED` with which seed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

#[path = "agree_support/mod.rs"]
mod agree_support;
#[allow(dead_code, reason = "shared by several tests")]
mod replaying;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use agree_support::dice::Dice;
use agree_support::setup::Setup;
use agree_support::{captures, differences};
use replaying::{Ran, count, replay, seed};

/// Configurations of one run of the tests.
const COUNT: usize = 12;
/// Different captures that they draw from.
const CAPTURES: u64 = 8;

/// A mode and its workers, drawn.
fn way(dice: &mut Dice) -> Vec<String> {
    let mode = dice.of(&["run-to-completion", "pipeline", "pipeline"]);
    ["--mode", mode, "--workers", &(1 + dice.below(6)).to_string()].map(str::to_owned).to_vec()
}

fn run(config: &Path, pcap: &Path, way: &[String]) -> Ran {
    let ran = replay(config, &[pcap], &way.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ran.status, Some(0), "{way:?}: {}", ran.stderr);
    assert_eq!(ran.ledger_faults(), Vec::<String>::new(), "{way:?}");
    ran
}

/// One configuration in one and in two drawn ways; what differs, and how many reports were compared.
fn judge(folder: &Path, number: usize, seed: u64, pcaps: &[PathBuf]) -> (Vec<String>, usize) {
    let mut dice = Dice::new(seed.wrapping_add(number as u64));
    // A capture of seconds has too many windows of milliseconds.
    let setup = Setup::of_windows(&mut dice, &[(1_000, 1_000), (1_000, 250), (500, 100), (10_000, 1_000)]);
    let pcap = &pcaps[usize::try_from(dice.below(pcaps.len() as u64)).unwrap()];
    let own = folder.join(number.to_string());
    std::fs::create_dir(&own).unwrap();
    let config = own.join("tailwater.toml");
    std::fs::write(own.join("ranges.csv"), setup.csv()).unwrap();
    std::fs::write(&config, setup.toml()).unwrap();
    let first = run(&config, pcap, &[]);
    let mut all = Vec::new();
    for _ in 0..2 {
        let way = way(&mut dice);
        let other = run(&config, pcap, &way);
        let ledger = |ran: &Ran| ["received", "parsed", "matched", "records", "counted"].map(|name| count(&ran.total()["ledger"][name]));
        let mut found = differences(&first, &other);
        if ledger(&first) != ledger(&other) {
            found.push(format!("the ledger of totals: {:?}, {:?}", ledger(&first), ledger(&other)));
        }
        all.extend(found.into_iter().map(|what| format!("{way:?}: {what}")));
    }
    if all.is_empty() {
        std::fs::remove_dir_all(&own).unwrap();
    }
    (all.into_iter().map(|what| format!("configuration {number}, {}: {what}", pcap.display())).collect(), first.range_lines().len())
}

#[test]
fn both_modes_agree_on_random_configurations() {
    let (seed, since) = (seed(), Instant::now());
    let configurations = std::env::var("TAILWATER_AGREE").ok().and_then(|text| text.parse().ok()).unwrap_or(COUNT);
    let folder = tempfile::tempdir().unwrap();
    let pcaps = captures(folder.path(), CAPTURES, seed);
    let (next, reports) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut faults = Vec::new();
        while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < configurations && faults.len() < 20) {
            let (found, compared) = judge(folder.path(), number, seed, &pcaps);
            faults.extend(found);
            reports.fetch_add(compared, Ordering::Relaxed);
        }
        faults
    };
    let faults: Vec<String> = std::thread::scope(|scope| {
        let both = [scope.spawn(work), scope.spawn(work)];
        both.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let shown = faults.iter().take(10).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(faults.is_empty(), "SEED={seed}: {} differences, the first:\n{shown}", faults.len());
    let reports = reports.load(Ordering::Relaxed);
    assert!(reports > 10 * configurations, "{reports} reports only");
    println!("SEED={seed}: {configurations} configurations, {reports} reports alike in both modes, {:.0} s", since.elapsed().as_secs_f64());
}
