//! Fast reports, from their window's end to their acknowledgement, while long windows end too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tailwater::journal::Journal;
use tailwater::runtime::reporting;
use tailwater::sink::RunningSinks;
use tailwater::stats::plan::Period;
use tailwater::units::Epoch;
use tailwater::window::Site;
use tailwater::window::stream::Outlet;

use crate::delivered::Delivery;
use crate::{Beside, Measure, RANGES, blocks, line, ranks, reporter, told, world};

/// 99 of 100 fast reports are acknowledged so soon behind their window's end.
const SECONDS_MAX: f64 = 1.0;
const WINDOWS: u64 = 30;
/// In which whatever is once is: told apart.
const FIRST_WINDOWS: u64 = 10;
const EPOCHS_IN_LONG: u64 = 10;
const LOOK: Duration = Duration::from_millis(2);
/// How long whoever tells waits where the reporter is behind.
const PAUSE: Duration = Duration::from_micros(100);

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
    of_windows(&ends, &seen);
    let mut first = ages(&ends, &seen);
    assert_eq!(first.len() as u64, WINDOWS * u64::from(RANGES + 1), "each is acknowledged once");
    let rest = first.split_off(usize::try_from(FIRST_WINDOWS).expect("few") * (RANGES as usize + 1));
    for (case, mut ages) in [("start-p99", first), ("p99", rest)] {
        ages.sort_by(f64::total_cmp);
        line(&format!("{name}-{case}"), "seconds", ages[ages.len() * 99 / 100], SECONDS_MAX);
        eprintln!("{name}-{case}: median {:.3} s, worst {:.3} s", ages[ages.len() / 2], ages[ages.len() - 1]);
    }
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

/// Tells of each window when half of it was acknowledged, and all.
fn of_windows(ends: &[Instant], seen: &[(Instant, u64)]) {
    let each = u64::from(RANGES + 1);
    for (end, number) in ends.iter().zip(0..) {
        let when = |count: u64| seen.iter().find(|(_, seen)| *seen >= count).map_or(0.0, |(at, _)| (*at - *end).as_secs_f64());
        eprintln!(
            "window {}: half acknowledged after {:.3} s, all after {:.3} s",
            number + 1,
            when(number * each + each / 2),
            when((number + 1) * each)
        );
    }
}

/// Windows of a second, each range having something to tell in each; when each of them ended. The reporter has a thread of its own, as in
/// the program; whoever tells waits where it is behind, as a walk does.
fn windows(folder: &std::path::Path, journal: &Arc<Journal>) -> Vec<Instant> {
    let (config, world) = world(folder, Beside { fast: true, ..Beside::default() });
    let (blocks, made) = (blocks(&world, false), ranks());
    let publisher = Measure { journal: Some(Arc::clone(journal)), ..Measure::default() };
    let (mut outlets, reporter) = reporter(&config, &world, &blocks, publisher, true);
    let longest = blocks.iter().flatten().map(|(.., words)| words.len()).max().unwrap_or(0);
    let reports = std::thread::Builder::new().name("reporter".to_owned()).spawn(move || _ = reporting::run(reporter, || ()));
    let (begun, mut ends) = (Instant::now(), Vec::new());
    let tell = |outlets: &mut Vec<_>, window| {
        for range in 0..RANGES {
            while !outlets.iter().all(|outlet: &Outlet| outlet.has_room(longest)) {
                std::thread::sleep(PAUSE);
            }
            told(range, &made, &blocks, outlets, window);
        }
    };
    for number in 1..=WINDOWS {
        let end = begun + Duration::from_secs(number);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        ends.push(end);
        tell(&mut outlets, (Period::Fast, number));
        if number.is_multiple_of(EPOCHS_IN_LONG) {
            tell(&mut outlets, (Period::Long, number / EPOCHS_IN_LONG - 1));
        }
        let next = if number == WINDOWS { Epoch::END } else { Epoch(number + 1) };
        outlets.iter_mut().for_each(|outlet| _ = outlet.closed(Epoch(number), next, &Site::new(1, 1, 0)));
    }
    reports.expect("a thread").join().expect("it only reports");
    ends
}
