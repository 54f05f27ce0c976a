//! Rounds of one case: ours for nearly three windows, then each of theirs.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use super::support::clock;
use super::support::programs::{Ours, Theirs};

const ROUNDS: usize = 5;
/// Rounds whose clocks differ by more do not count.
const CLOCKS_MAX: f64 = 1.03;
/// A window of the standard set.
pub(crate) const WINDOW_MS: u64 = 10_000;
/// A round of all takes so long: ours closes three windows in it, which is no less than its share of the time.
const ROUND_MS: u64 = 3 * WINDOW_MS;
/// In the midst of a window, where none is being closed, ours is stopped for so long; that is theirs.
const STOP_AT_MS: u64 = 6_000;
const STOPPED_MS: u64 = 3_200;
/// They find no cache as they left it.
const THEIRS_BEFORE_MS: u64 = 200;
const THEIRS_MS: u64 = 1_000;

/// What a round measured, in millions of frames a second that the core ran.
#[derive(Clone)]
pub(crate) struct Round {
    pub(crate) ours: f64,
    pub(crate) theirs: Vec<f64>,
    /// The fastest clock over the slowest.
    clocks: f64,
    /// It came right behind the one before: the windows that it closed were whole.
    whole: bool,
}

/// What rounds came to.
pub(crate) struct Rounds {
    pub(crate) kept: Vec<Round>,
    pub(crate) tried: usize,
    /// No round had one clock: those that are here had several.
    pub(crate) unsteady: bool,
}

/// Sleeps until so many milliseconds after the start of a round, the next time that this comes.
fn until(phase_ms: u64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    sleep(Duration::from_millis((ROUND_MS + phase_ms - now % ROUND_MS) % ROUND_MS));
}

/// Sleeps until most of a window is over.
pub(crate) fn until_late() {
    until(2 * WINDOW_MS + STOP_AT_MS);
}

/// Ticks of the clock of a CPU.
fn clock_of(cpu: usize) -> f64 {
    let probe = move || core_affinity::set_for_current(core_affinity::CoreId { id: cpu }).then(clock);
    std::thread::spawn(probe).join().ok().flatten().expect("a CPU of ours")
}

fn round(ours: &Ours, theirs: &[Theirs], cpu: usize, last: &mut Option<Instant>) -> Round {
    until(STOP_AT_MS + STOPPED_MS - 100);
    let now = Instant::now();
    let whole = last.replace(now).is_some_and(|last| (now - last).as_millis() < u128::from(ROUND_MS) * 3 / 2);
    let mut clocks = vec![clock_of(cpu)];
    ours.signal("CONT");
    until(STOP_AT_MS + STOPPED_MS);
    let begun = ours.point();
    until(STOP_AT_MS);
    let mpps = ours.point().mpps_since(begun);
    ours.signal("STOP");
    clocks.push(clock_of(cpu));
    let one = |one: &Theirs| {
        one.signal("CONT");
        sleep(Duration::from_millis(THEIRS_BEFORE_MS));
        let begun = one.point();
        sleep(Duration::from_millis(THEIRS_MS));
        let mpps = one.point().mpps_since(begun);
        one.signal("STOP");
        clocks.push(clock_of(cpu));
        mpps
    };
    let theirs = theirs.iter().map(one).collect();
    let (least, most) = clocks.iter().fold((f64::MAX, 0.0_f64), |(least, most), c| (least.min(*c), most.max(*c)));
    Round { ours: mpps, theirs, clocks: most / least, whole }
}

/// Rounds until enough had one clock, or until the time is over. All programs are stopped, before and after.
pub(crate) fn measure(name: &str, ours: &Ours, theirs: &[Theirs], cpu: usize, end: Instant) -> Rounds {
    let (mut last, mut kept, mut whole) = (None, Vec::new(), Vec::new());
    let mut tried = 0;
    round(ours, theirs, cpu, &mut last);
    while kept.len() < ROUNDS && (Instant::now() < end || whole.is_empty() && tried < 3 * ROUNDS) {
        tried += 1;
        let round = round(ours, theirs, cpu, &mut last);
        if round.whole {
            whole.push(round.clone());
        }
        if round.whole && round.clocks <= CLOCKS_MAX {
            kept.push(round);
        } else {
            let why = if round.whole { "its clocks differ by" } else { "its window was not whole; clocks differ by" };
            let percent = (round.clocks - 1.0) * 100.0;
            eprintln!("{name}: {:.2} against {:.1?} Mpps is dropped: {why} {percent:.1} %", round.ours, round.theirs);
        }
    }
    let unsteady = kept.is_empty();
    Rounds { kept: if unsteady { whole } else { kept }, tried, unsteady }
}
