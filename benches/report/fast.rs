//! Fast reports, from their window's end to their acknowledgement, while long windows end too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tailwater::journal::Journal;
use tailwater::sink::RunningSinks;
use tailwater::stats::plan::Period;
use tailwater::units::Epoch;
use tailwater::window::Site;

use crate::delivered::Delivery;
use crate::{Measure, RANGES, blocks, line, ranks, reporter, told, world};

/// 99 of 100 fast reports are acknowledged so soon behind their window's end.
const SECONDS_MAX: f64 = 1.0;
const WINDOWS: u64 = 20;
const EPOCHS_IN_LONG: u64 = 10;
const LOOK: Duration = Duration::from_millis(2);

/// Fast messages that were acknowledged.
fn acknowledged(sinks: &RunningSinks) -> u64 {
    let status = sinks.status();
    status.iter().flat_map(|status| &status.ages).filter(|(kind, _)| *kind == "fast").flat_map(|(_, ages)| ages.counts).sum()
}

pub(crate) fn case(name: &str) {
    let Some(Delivery { journal, running, folder, .. }) = &mut Delivery::start(name) else { return };
    let over = AtomicBool::new(false);
    let (ends, mut seen) = std::thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut seen = vec![(Instant::now(), 0)];
            while !over.load(Ordering::Relaxed) {
                let count = acknowledged(running);
                if seen.last().is_none_or(|(_, before)| *before < count) {
                    seen.push((Instant::now(), count));
                }
                std::thread::sleep(LOOK);
            }
            seen
        });
        let ends = windows(folder.path(), journal);
        assert!(journal.drained_by(Instant::now() + Duration::from_secs(120)), "{:?}", journal.state());
        over.store(true, Ordering::Relaxed);
        (ends, looks.join().expect("it only looks"))
    });
    running.stop(Instant::now() + Duration::from_secs(10));
    seen.push((Instant::now(), acknowledged(running)));
    assert!(journal.end(Instant::now() + Duration::from_secs(10)));
    let mut ages = ages(&ends, &seen);
    ages.sort_by(f64::total_cmp);
    assert_eq!(ages.len() as u64, WINDOWS * u64::from(RANGES + 1), "each is acknowledged once");
    line(&format!("{name}-p99"), "seconds", ages[ages.len() * 99 / 100], SECONDS_MAX);
    eprintln!("{name}: median {:.3} s, worst {:.3} s", ages[ages.len() / 2], ages[ages.len() - 1]);
}

/// How long after its window's end each message was seen to be acknowledged: windows go in their order.
fn ages(ends: &[Instant], seen: &[(Instant, u64)]) -> Vec<f64> {
    let mut ages = Vec::new();
    for two in seen.windows(2) {
        let (at, count) = two[1];
        for number in two[0].1..count {
            let window = usize::try_from(number / u64::from(RANGES + 1)).expect("few windows");
            ages.push((at - ends[window.min(ends.len() - 1)]).as_secs_f64());
        }
    }
    ages
}

/// Windows of a second, each range having something to tell in each; when each of them ended.
fn windows(folder: &std::path::Path, journal: &Arc<Journal>) -> Vec<Instant> {
    let (config, world) = world(folder, false, true);
    let (blocks, made) = (blocks(&world, false), ranks());
    let publisher = Measure { journal: Some(Arc::clone(journal)), ..Measure::default() };
    let (mut outlets, mut reporter) = reporter(&config, &world, &blocks, publisher, true);
    let (begun, mut ends) = (Instant::now(), Vec::new());
    for number in 1..=WINDOWS {
        let end = begun + Duration::from_secs(number);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        ends.push(end);
        for range in 0..RANGES {
            told(range, &made, &blocks, &mut outlets, (Period::Fast, number));
            while reporter.poll() {}
        }
        let is_long = number.is_multiple_of(EPOCHS_IN_LONG);
        for range in (0..RANGES).take_while(|_| is_long) {
            told(range, &made, &blocks, &mut outlets, (Period::Long, number / EPOCHS_IN_LONG - 1));
            while reporter.poll() {}
        }
        let next = if number == WINDOWS { Epoch::END } else { Epoch(number + 1) };
        outlets.iter_mut().for_each(|outlet| _ = outlet.closed(Epoch(number), next, &Site::new(1, 1, 0)));
        while reporter.poll() {}
    }
    while !reporter.is_over() {
        reporter.poll();
    }
    ends
}
