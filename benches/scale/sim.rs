//! Cores, queues and rings in discrete steps: a burst is received, a batch is worked off.
//!
//! Receiving cores take bursts of 64 from queues of 1,024 frames, gather records to batches of 64 of one range, and put them into a
//! ring of 256 batches to each worker that has a part of them; what finds a full ring, or a full queue, is lost. Workers take from
//! their rings in turn. Of ours, a receiving core that is behind hands bursts to others that have time, as `spread/handover.rs` does
//! it (`scale/handing.rs`). Times are the prices that were measured, but for handing, whose price is stated there; nothing else delays
//! anybody: no cache that cores share, no memory bandwidth. So it says what balance, rings and handing over cost, and is an upper bound
//! of all else.

use std::collections::VecDeque;

use tailwater::arch::hash::spread;
use tailwater::limits::BURST_FRAMES_MAX;

use super::handing::{GIVEN_NS, Hands, TAKEN_NS};
use super::prices::Prices;
use super::shape::Crowd;
use super::support::assign;

const BURST: usize = BURST_FRAMES_MAX;
const BATCH: u32 = 64;
const QUEUE_FRAMES: f64 = 1_024.0;
const RING_BATCHES: usize = 256;
/// Packets of a run: many times what queues and rings hold of one that is carried.
const PACKETS: u64 = 1_500_000;
/// Of these, so many may be lost, or still wait at the end.
const UNSERVED_MAX: f64 = 0.02;
/// Seconds of a window, and records of a range in it after which its batches go round.
const WINDOW_S: f64 = 10.0;
const HOT_RECORDS: f64 = 2_048.0;
const STEPS: usize = 12;

/// Who does what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Every core receives and works.
    RunToCompletion,
    /// Ours: a cold range has a home, a hot one's batches go to whoever was given least.
    Pipeline,
    ByRange,
    ByType,
    ByStat,
}

impl Scheme {
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("ours", Self::Pipeline),
        ("ours-run-to-completion", Self::RunToCompletion),
        ("by-range", Self::ByRange),
        ("by-type", Self::ByType),
        ("by-stat", Self::ByStat),
    ];
}

/// A batch, or the part of it that one worker has: how long it takes there.
struct Job {
    ns: f64,
    /// Packets that are served with it: all of the batch, told with the last of its parts alone.
    packets: u32,
}

struct Worker {
    /// From each receiving core.
    rings: Vec<VecDeque<Job>>,
    turn: usize,
    free_ns: f64,
}

/// Millions of packets a second that so many cores carry, and how many of them receive.
pub(crate) fn carried(scheme: Scheme, cores: usize, prices: &Prices, crowd: &Crowd) -> (f64, usize) {
    if scheme == Scheme::RunToCompletion {
        return (most(|load| unserved(scheme, (cores, 0), prices, crowd, load), cores as f64 / prices.alone_ns), cores);
    }
    // Around the split that would be right if work spread evenly, and with more workers where a few of them have most of it.
    let even = cores as f64 * prices.receives_ns / (prices.receives_ns + prices.works_ns());
    let splits = [even.floor(), even.ceil(), even / 2.0].map(|rx| (rx as usize).clamp(1, cores - 1));
    let mut best = (0.0, 0);
    for (_, rx) in splits.into_iter().enumerate().filter(|(at, rx)| !splits[..*at].contains(rx)) {
        let bound = rx as f64 / prices.receives_ns;
        let load = most(|load| unserved(scheme, (rx, cores - rx), prices, crowd, load), bound);
        if load > best.0 {
            best = (load, rx);
        }
    }
    best
}

/// The largest load, packets a nanosecond, of which nearly all is served; in millions a second.
fn most(unserved: impl Fn(f64) -> f64, bound: f64) -> f64 {
    let (mut low, mut high) = (0.0, bound * 1.02);
    for _ in 0..STEPS {
        let middle = (low + high) / 2.0;
        if unserved(middle) <= UNSERVED_MAX { low = middle } else { high = middle }
    }
    // What is lost or still waits is not carried.
    if low > 0.0 { low * 1e3 * (1.0 - unserved(low)) } else { 0.0 }
}

/// Share of packets that are lost or left at the end.
fn unserved(scheme: Scheme, (rx, workers): (usize, usize), prices: &Prices, crowd: &Crowd, load: f64) -> f64 {
    let mut sim = Sim::new(scheme, rx, workers, prices, crowd, load);
    let end_ns = PACKETS as f64 / load;
    loop {
        let core = (0..rx).min_by(|one, other| sim.at_ns[*one].total_cmp(&sim.at_ns[*other])).unwrap_or(0);
        let now = sim.at_ns[core];
        if now >= end_ns {
            break;
        }
        sim.work(now);
        sim.receive(core, now);
    }
    sim.work(end_ns);
    1.0 - sim.served as f64 / PACKETS as f64
}

struct Sim<'a> {
    scheme: Scheme,
    prices: &'a Prices,
    crowd: &'a Crowd,
    load: f64,
    /// When each receiving core is free, and what it has taken or missed so far.
    at_ns: Vec<f64>,
    taken: Vec<f64>,
    /// Records that each receiving core has gathered, by range.
    gathered: Vec<Vec<u8>>,
    /// What each receiving core has given to each worker; others' it does not know.
    given: Vec<Vec<f64>>,
    hands: Hands,
    workers: Vec<Worker>,
    served: u64,
    drawn: u64,
}

impl<'a> Sim<'a> {
    fn new(scheme: Scheme, rx: usize, workers: usize, prices: &'a Prices, crowd: &'a Crowd, load: f64) -> Self {
        let worker = || Worker { rings: (0..rx).map(|_| VecDeque::new()).collect(), turn: 0, free_ns: 0.0 };
        // Batches are somewhere between empty and full when the run begins.
        let gathered = (0..rx).map(|core| (0..crowd.ranges()).map(|range| (spread((core << 32 | range) as u64) % 64) as u8).collect());
        Self {
            scheme,
            prices,
            crowd,
            load,
            at_ns: (0..rx).map(|core| core as f64 * BURST as f64 / load / rx as f64).collect(),
            taken: vec![0.0; rx],
            gathered: gathered.collect(),
            given: vec![vec![0.0; workers]; rx],
            hands: Hands::of(if matches!(scheme, Scheme::Pipeline | Scheme::RunToCompletion) { rx } else { 1 }),
            workers: (0..workers).map(|_| worker()).collect(),
            served: 0,
            drawn: 0,
        }
    }

    /// A receiving core takes what waits in its queue, a burst at most, and one that another core has handed to it.
    fn receive(&mut self, core: usize, now: f64) {
        let of_core = self.load * self.crowd.share_of_queue(core, self.at_ns.len());
        let come = now * of_core;
        // What the queue had no room for is missed.
        self.taken[core] = self.taken[core].max(come - QUEUE_FRAMES);
        let waiting = come - self.taken[core];
        if let Some(taker) = self.hands.give(core, waiting) {
            self.taken[core] += BURST as f64;
            self.at_ns[core] = now + BURST as f64 * (self.prices.rx_ns + GIVEN_NS);
            // One that slept until a burst of its own would be there.
            if self.hands.wakes(taker) {
                self.at_ns[taker] = now;
            }
            return;
        }
        let (own, handed) = (waiting >= BURST as f64, self.hands.take(core));
        if !own && !handed {
            self.hands.sleeps(core);
            let next = self.taken[core] + BURST as f64;
            self.at_ns[core] = if of_core > 0.0 { (next / of_core).max(now + 1.0) } else { f64::MAX };
            return;
        }
        self.at_ns[core] = now;
        if own {
            self.taken[core] += BURST as f64;
            self.at_ns[core] += self.burst(core, self.prices.rx_ns);
        }
        if handed {
            self.at_ns[core] += self.burst(core, TAKEN_NS);
        }
    }

    /// What a burst takes whose frames took so long to come.
    fn burst(&mut self, core: usize, rx_ns: f64) -> f64 {
        let (now, beside) = (self.at_ns[core], rx_ns - self.prices.rx_ns);
        if self.scheme == Scheme::RunToCompletion {
            self.served += BURST as u64;
            return BURST as f64 * (self.prices.alone_ns + beside);
        }
        let mut sent = 0;
        for _ in 0..BURST {
            self.drawn += 1;
            let range = self.crowd.pick(self.drawn);
            let have = &mut self.gathered[core][range];
            *have += 1;
            if u32::from(*have) == BATCH {
                *have = 0;
                sent += self.send(core, range, now);
            }
        }
        // The price of receiving has one sending in it; who sends a batch to several pays for each.
        let more = (sent as f64 - BURST as f64 / f64::from(BATCH)).max(0.0) * f64::from(BATCH) * self.prices.sends_ns;
        let each = if matches!(self.scheme, Scheme::Pipeline | Scheme::ByRange) { 0.0 } else { more };
        BURST as f64 * (self.prices.receives_ns + beside) + each
    }

    /// Puts a batch, or its parts, into rings. Says how many.
    fn send(&mut self, core: usize, range: usize, now: f64) -> usize {
        let workers = self.workers.len();
        let parts = self.parts(core, range, workers);
        let fits = parts.iter().all(|(to, _)| self.workers[*to].rings[core].len() < RING_BATCHES);
        for (at, (to, share)) in parts.iter().enumerate() {
            let ring = &mut self.workers[*to].rings[core];
            if ring.len() >= RING_BATCHES {
                continue;
            }
            let ns = f64::from(BATCH) * self.prices.part_ns(*share);
            // Counted only if every owner gets it.
            let packets = if fits && at + 1 == parts.len() { BATCH } else { 0 };
            ring.push_back(Job { ns, packets });
            let worker = &mut self.workers[*to];
            worker.free_ns = worker.free_ns.max(if worker.rings.iter().map(VecDeque::len).sum::<usize>() == 1 { now } else { 0.0 });
        }
        parts.len()
    }

    /// Workers that have a part of a range's batch, and which share of the stats' cost each has.
    fn parts(&mut self, core: usize, range: usize, workers: usize) -> Vec<(usize, f64)> {
        let gathered = |parts: &[f64], to: &dyn Fn(usize, usize) -> usize| {
            let mut of = vec![0.0; workers];
            parts.iter().enumerate().for_each(|(part, share)| of[to(range, part) % workers] += share);
            of.into_iter().enumerate().filter(|(_, share)| *share > 0.0).collect()
        };
        match self.scheme {
            Scheme::ByRange => vec![(assign::by_range(range, 0) % workers, 1.0)],
            Scheme::ByType => gathered(&self.prices.kinds, &assign::by_type),
            Scheme::ByStat => gathered(&self.prices.stats, &assign::by_stat),
            Scheme::Pipeline | Scheme::RunToCompletion => {
                let hot = self.crowd.chance(range) * self.load * 1e9 * WINDOW_S / self.at_ns.len() as f64 > 2.0 * HOT_RECORDS;
                let given = &mut self.given[core];
                let least = given.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at);
                // A cold one has a home of each receiving core's own: whoever was given least, as ranges come in turn.
                let to = if hot { least } else { (range + core) % workers };
                given[to] += 1.0;
                vec![(to, 1.0)]
            }
        }
    }

    /// Workers take from their rings in turn until this time.
    fn work(&mut self, until: f64) {
        for worker in &mut self.workers {
            while worker.free_ns < until {
                let rings = worker.rings.len();
                let Some(ring) = (0..rings).map(|n| (worker.turn + n) % rings).find(|ring| !worker.rings[*ring].is_empty()) else { break };
                worker.turn = ring + 1;
                if let Some(job) = worker.rings[ring].pop_front() {
                    worker.free_ns += job.ns;
                    self.served += u64::from(job.packets);
                }
            }
        }
    }
}
