//! SIMULATION: what 2 to 32 cores carry under each shape of traffic, by who is given which work.
//!
//! `bash scripts/bench scale [SECONDS]`: measures a core's prices with `tailwater plan`'s own code (the standard set over 10,000
//! ranges, for 90 seconds unless told otherwise), then lets queues, rings, receiving cores and workers play at these prices, in discrete
//! steps (`scale/sim.rs` says what is modelled and what is not). One line of JSON a row, in millions of packets a second, beside as
//! many cores that need not share anything; on stderr a table a shape. No row was measured on that many cores.
//!
//! First the simulation is held against the real thing, as far as two cores reach: the appliance's own dispatcher and worker, each
//! on a thread, against one core that does both: time and instructions (callgrind) a packet, and what a pipeline loses by handing over
//! (the ratio is what it keeps: 1 is all).
//!
//! `one-tunnel` is `one-range` where RSS leaves nine packets in ten in one queue; ours hand bursts to receiving cores that have time.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench"
)]

#[path = "scale/handing.rs"]
mod handing;
#[path = "scale/prices.rs"]
mod prices;
#[path = "scale/real.rs"]
mod real;
#[path = "scale/shape.rs"]
mod shape;
#[path = "scale/sim.rs"]
mod sim;
mod support;

use prices::Prices;
use shape::{Crowd, RANGES};
use sim::{Scheme, carried};
use support::{Figure, in_turn, median, standard};
use tailwater::config::{Cores, Mode};
use tailwater::generate::Shape;
use tailwater::runtime::plan::{self, Account, Options};

const CORES: [usize; 7] = [2, 4, 6, 8, 16, 24, 32];
const MEMORY_MB: usize = 2_048;
const FRAMES: u64 = 500_000;

/// Prices of one core.
fn measured(seconds: u64) -> Account {
    let map = Cores { mode: Mode::RunToCompletion, main: 0, rx: vec![1], workers: Vec::new(), reporter: 2, io: Vec::new() };
    let options = Options { seconds, receives: true, frames: None, shapes: Vec::new() };
    plan::plan(&standard(RANGES, MEMORY_MB, ""), &map, &options, &mut |line| eprintln!("measuring: {line}"))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The simulation's two cores against two real ones, and what a pipeline loses.
fn validate(account: &Account) {
    for (name, shape) in [("uniform", Shape::Uniform), ("one-range", Shape::OneRange)] {
        let frames = real::frames(shape, FRAMES);
        let (mut both, mut own) = (Vec::new(), Vec::new());
        let (alone, pipeline) = in_turn(
            5,
            || {
                let ran = real::run(false, &frames, 2);
                own.push(ran.receives_ns);
                ran.receives_ns
            },
            || {
                let ran = real::run(true, &frames, 2);
                both.push(ran);
                ran.receives_ns + ran.works_ns
            },
        );
        let slower = median(both.iter().map(|ran| ran.receives_ns.max(ran.works_ns)).collect());
        // Frames come from memory here: what receiving costs is left out of both.
        let row = account.shapes.iter().find(|of| of.shape == name).expect("a shape");
        let rx_ns = row.costs.stages[0].1;
        let mut prices = Prices::of(account, row);
        (prices.alone_ns, prices.receives_ns, prices.rx_ns) = (prices.alone_ns - rx_ns, prices.receives_ns - rx_ns, 0.0);
        let (said, _) = carried(Scheme::Pipeline, 2, &prices, &Crowd::of(name));
        let figure = |case: &str, unit: &str, ours: f64, against: &str, theirs: f64| {
            // Of prices the lower is the better one; a ratio is always the better, the higher it is.
            let ratio = if unit == "Mpps" { ours / theirs } else { theirs / ours };
            let more = if unit == "Mpps" { "\"simulation\": true" } else { "\"simulation\": false" };
            Figure { bench: "scale", case: &format!("{name}-{case}"), unit, ours, against, theirs, ratio }.print_with(more);
        };
        figure("simulated-2", "Mpps", said, "a real receiver and a real worker, by what each ran", 1e3 / slower);
        figure("efficiency", "ns of both cores a packet", pipeline, "run-to-completion", alone);
        if let (true, Some(pipeline), Some(alone)) = (real::has_valgrind(), real::instructions(true, name), real::instructions(false, name))
        {
            figure("instructions", "instructions of both cores a packet", pipeline, "run-to-completion", alone);
        }
    }
}

/// What so many cores carry in one shape.
fn simulate(name: &str, prices: &Prices) {
    let crowd = Crowd::of(name);
    eprintln!("\nSIMULATED, {name}: millions of packets a second (cores that receive)\n");
    eprintln!("| cores | {} | without sharing |", Scheme::ALL.map(|(scheme, _)| scheme).join(" | "));
    eprintln!("|---|{}", "---|".repeat(Scheme::ALL.len() + 1));
    for cores in CORES {
        let bound = cores as f64 * 1e3 / prices.alone_ns;
        let mut row = format!("| {cores} |");
        for (scheme, which) in Scheme::ALL {
            let (mpps, rx) = carried(which, cores, prices, &crowd);
            row += &format!(" {mpps:.1} ({rx}) |");
            let case = format!("{name}-{scheme}-{cores}");
            let more = format!("\"simulation\": true, \"rx\": {rx}");
            let against = "as many cores that share nothing";
            Figure { bench: "scale", case: &case, unit: "Mpps", ours: mpps, against, theirs: bound, ratio: mpps / bound }.print_with(&more);
        }
        eprintln!("{row} {bound:.1} |");
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let [inside, mode, shape, frames, times] = &words[..]
        && inside == "inside"
    {
        return real::inside(mode, shape, frames, times);
    }
    let account = measured(words.first().map_or(plan::SECONDS, |text| text.parse().expect("seconds")));
    eprintln!("{account}");
    validate(&account);
    for of in &account.shapes {
        simulate(of.shape, &Prices::of(&account, of));
    }
    if let Some(of) = account.shapes.iter().find(|of| of.shape == "one-range") {
        simulate("one-tunnel", &Prices::of(&account, of));
    }
}
