//! Synthetic mirrored traffic with attacks in it, and its exact truth.
//!
//! Packets arrive at a scrubber that lets some through and blocks the others. The mirror behind it holds every packet that
//! passed, and a random sample of those that were blocked, tagged with a VLAN. The truth tells of each range what was offered
//! before the sampling and what the capture holds after it. All chance comes from one seed.

mod check;
mod dice;
mod error;
mod frame;
mod matching;
mod packet;
mod payload;
mod plan;
mod scenario;
mod shapes;
mod stage;
mod traffic;
mod truth;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use self::dice::Dice;
pub use self::error::GenerateError;
use self::plan::Plan;
pub use self::scenario::Scenario;
pub use self::shapes::{Crowds, Marks, Shape};
use self::stage::{Actor, Stage};
pub use self::truth::Totals;
use self::truth::Truth;
use crate::rx::capture::PcapWriter;

/// The snap length of a capture that keeps all of each frame.
const FRAME_BYTES_ALL: u32 = 262_144;

/// What is to be made, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// A scenario's name (see --list) or its TOML file
    #[arg(long, value_name = "FILE|NAME", required_unless_present = "list")]
    pub scenario: Option<String>,
    /// Where the capture goes
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    pub pcap: Option<PathBuf>,
    /// Where its truth goes, as JSON
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    pub truth: Option<PathBuf>,
    /// Seed of all chance, instead of the scenario's
    #[arg(long)]
    pub seed: Option<u64>,
    /// Start in UTC, such as 2025-01-01T00:00:00Z, instead of the scenario's
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// Length in seconds, instead of the scenario's
    #[arg(long, value_name = "SECONDS")]
    pub duration: Option<u64>,
    /// Keep so many bytes of each frame, instead of the scenario's; 0 keeps all
    #[arg(long, value_name = "BYTES")]
    pub snap: Option<u32>,
    /// Also write the ranges, as the configuration's ranges.csv
    #[arg(long, value_name = "FILE")]
    pub ranges: Option<PathBuf>,
    /// Also write a configuration that goes with the capture (and ranges.csv beside it, without --ranges)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// List the scenarios that have a name
    #[arg(long)]
    pub list: bool,
}

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The seed that it was made with.
    pub seed: u64,
    /// Sums over all of it.
    pub totals: Totals,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let t = &self.totals;
        let offered = format!("offered {} passed and {} blocked packets", t.offered_passed, t.offered_blocked);
        let held = format!("the capture holds {} frames ({} tagged, {} without IP)", t.frames, t.tagged_frames, t.non_ip_frames);
        write!(
            f,
            "seed {}: {offered}; {held}, {} bytes on the wire; {} in ranges, {} in none",
            self.seed, t.wire_bytes, t.matched, t.unmatched
        )
    }
}

/// Names of scenarios, each with a line.
pub fn list() -> impl Iterator<Item = (&'static str, String)> {
    Scenario::named()
}

/// Makes the capture, its truth, and the files that go with it.
pub fn run(options: &Options) -> Result<Summary, GenerateError> {
    let absent = |what: &str| GenerateError::Scenario("(none)".to_owned(), vec![format!("{what} is not given")]);
    let name = options.scenario.as_deref().ok_or_else(|| absent("--scenario"))?;
    let pcap_file = options.pcap.as_deref().ok_or_else(|| absent("--pcap"))?;
    let truth_file = options.truth.as_deref().ok_or_else(|| absent("--truth"))?;
    let scenario = changed(Scenario::load(name)?, name, options)?;
    let plan = Plan::of(&scenario);
    on_target(&scenario, &plan).map_err(|faults| GenerateError::Scenario(name.to_owned(), faults))?;
    write_matching(name, &scenario, &plan, options)?;
    let truth = Truth::new(name, &scenario, &plan, create(truth_file)?).map_err(GenerateError::write(truth_file))?;
    let snap_bytes = if scenario.snap_bytes == 0 { FRAME_BYTES_ALL } else { scenario.snap_bytes };
    let pcap = PcapWriter::new(create(pcap_file)?, 1, snap_bytes).map_err(GenerateError::write(pcap_file))?;
    let mut stage = Stage::new(&scenario, &plan, Some(truth), pcap);
    play(&scenario, &plan, &mut stage);
    let truth = stage.finish().map_err(GenerateError::write(pcap_file))?;
    let totals = truth.map_or_else(|| Ok(Totals::default()), Truth::finish).map_err(GenerateError::write(truth_file))?;
    Ok(Summary { seed: scenario.seed, totals })
}

/// A scenario's capture in memory, without its truth.
fn capture(scenario: &Scenario) -> io::Result<Vec<u8>> {
    let (plan, mut bytes) = (Plan::of(scenario), Vec::new());
    let to: Box<dyn Write + '_> = Box::new(&mut bytes);
    let mut stage = Stage::new(scenario, &plan, None, PcapWriter::new(to, 1, FRAME_BYTES_ALL)?);
    play(scenario, &plan, &mut stage);
    stage.finish()?;
    Ok(bytes)
}

/// The scenario as the options change it.
fn changed(mut scenario: Scenario, name: &str, options: &Options) -> Result<Scenario, GenerateError> {
    scenario.seed = options.seed.unwrap_or(scenario.seed);
    scenario.duration_s = options.duration.unwrap_or(scenario.duration_s);
    scenario.snap_bytes = options.snap.unwrap_or(scenario.snap_bytes);
    if let Some(start) = &options.start {
        scenario.start.clone_from(start);
    }
    let faults = scenario.faults();
    if faults.is_empty() { Ok(scenario) } else { Err(GenerateError::Scenario(name.to_owned(), faults)) }
}

/// Whether each attack meets a range: the scrubber looks at nothing else.
fn on_target(scenario: &Scenario, plan: &Plan) -> Result<(), Vec<String>> {
    let astray = scenario.attacks.iter().enumerate().filter(|(_, attack)| !attack.target().is_some_and(|target| plan.meets(target)));
    let mut faults =
        astray.map(|(index, attack)| format!("attack {}: target: {} lies in no range", index + 1, attack.target)).collect::<Vec<_>>();
    let empty = scenario.attacks.iter().enumerate().filter(|(_, attack)| {
        attack.over != scenario::Over::Addresses && attack.target().is_some_and(|target| plan.within(target).is_empty())
    });
    faults.extend(empty.map(|(index, attack)| format!("attack {}: over: no range lies in {}", index + 1, attack.target)));
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn create<'a>(file: &Path) -> Result<Box<dyn Write + 'a>, GenerateError> {
    let created = File::create(file).map_err(GenerateError::write(file))?;
    Ok(Box::new(BufWriter::with_capacity(1 << 20, created)))
}

fn write_matching(name: &str, scenario: &Scenario, plan: &Plan, options: &Options) -> Result<(), GenerateError> {
    let beside = options.config.as_ref().map(|config| config.with_file_name("ranges.csv"));
    let Some(ranges) = options.ranges.clone().or(beside) else { return Ok(()) };
    matching::ranges(plan, create(&ranges)?).map_err(GenerateError::write(&ranges))?;
    let Some(config) = &options.config else { return Ok(()) };
    let same_folder = ranges.parent() == config.parent();
    let named = if same_folder { ranges.file_name().map(PathBuf::from) } else { std::path::absolute(&ranges).ok() };
    let text = matching::config(name, scenario, &named.unwrap_or(ranges));
    std::fs::write(config, text).map_err(GenerateError::write(config))
}

/// Who is fired next: its time, the order in which it asked, its place among the actors.
type Turn = Reverse<(u64, u64, usize)>;

/// Fires each actor at its time until the capture's end.
fn play(scenario: &Scenario, plan: &Plan, stage: &mut Stage<'_>) {
    let start_ns = scenario.start_ns().unwrap_or(0);
    let end_ns = start_ns + scenario.duration_s * 1_000_000_000;
    let mut actors: Vec<Option<Box<dyn Actor>>> = Vec::new();
    let mut free = Vec::new();
    let mut queue: BinaryHeap<Turn> = BinaryHeap::new();
    let mut asked = 0;
    stage.spawned = traffic::cast(scenario, plan, &mut Dice::new(scenario.seed, 3), start_ns);
    loop {
        for (time_ns, actor) in stage.spawned.drain(..) {
            let place = free.pop().unwrap_or(actors.len());
            actors.resize_with(actors.len().max(place + 1), || None);
            actors[place] = Some(actor);
            queue.push(Reverse((time_ns, asked, place)));
            asked += 1;
        }
        let Some(Reverse((time_ns, _, place))) = queue.pop() else { return };
        if time_ns >= end_ns || stage.failed() {
            return;
        }
        stage.now_ns = time_ns;
        match actors.get_mut(place).and_then(Option::as_mut).and_then(|actor| actor.fire(stage)) {
            Some(next_ns) => {
                queue.push(Reverse((next_ns, asked, place)));
                asked += 1;
            }
            None => {
                actors[place] = None;
                free.push(place);
            }
        }
    }
}
