//! An engine driven over packets while its configuration changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tailwater::arch::HashKey;
use tailwater::config::Config;
use tailwater::gather::Stage;
use tailwater::report::Edition;
use tailwater::runtime::fits::{self, Start};
use tailwater::runtime::generations::{Decision, Generations};
use tailwater::runtime::memory::MemoryPlan;
use tailwater::runtime::receiver::Receiver;
use tailwater::runtime::wiring::{AnyReceiver, Cores};
use tailwater::runtime::world::World;
use tailwater::spread::Worker;
use tailwater::stats::plan::Period;
use tailwater::units::Epoch;
use tailwater::window::Shard;

use super::beneath::Beneath;
use super::dice::Dice;
use super::drive::{Event, Log, PORTS, Pace, any, cores, engine, finish, give, in_time, load, queues, setting_of};
use super::history::History;
use super::setup::Setup;
use super::traffic::Packet;

/// The control: one configuration after the other.
pub struct Reloads<'a> {
    later: &'a [Setup],
    started: (Config, Cores),
    world: Arc<World>,
    generations: Generations,
    /// The configurations that were decided for, by number, and from which time on.
    pub history: History,
    /// How many were sent, or refused: what they need finds no room.
    pub sent: usize,
    /// The last is not decided for yet.
    pub pending: bool,
    refused: usize,
    live: bool,
}

impl<'a> Reloads<'a> {
    fn new(eras: (&Setup, &'a [Setup]), started: (Config, Cores), world: &Arc<World>, generations: Generations, live: bool) -> Self {
        let (world, history) = (Arc::clone(world), History::of(eras.0));
        Self { later: eras.1, started, world, generations, history, sent: 0, pending: false, refused: 0, live }
    }

    /// Sends the next, if there is one and nothing is on its way, or what is can be taken back.
    fn send(&mut self) -> bool {
        let Some(setup) = self.later.get(self.sent).filter(|_| !self.pending) else { return false };
        let config = load(&setup.toml(), &setup.csv());
        let world = Arc::new(self.world.next(&config, self.sent as u64 + 2).unwrap());
        let (first, cores) = &self.started;
        if fits::fits(&config, Start { config: first, world: &self.world, cores }, &world).is_err() {
            self.sent += 1;
            self.refused += 1;
            return false;
        }
        let on_its_way = !self.generations.is_started() && !self.generations.is_settled();
        if on_its_way {
            if !self.generations.revoke() {
                return false;
            }
            self.history.eras.pop();
        }
        let edition = Edition { setting: setting_of(&config, &world, self.live), plans: Arc::clone(&world.plans) };
        if !self.generations.send(&world, edition) {
            return false;
        }
        self.sent += 1;
        self.pending = true;
        true
    }

    /// Loads and decides for the next configuration, once all receivers wait for it.
    fn at(&mut self, gates: &Gates<'_>) {
        let passed = gates.passed.load(Ordering::Relaxed);
        if !gates.waiting.iter().all(|gate| (passed + 1..usize::MAX).contains(&gate.load(Ordering::Acquire))) {
            return;
        }
        if self.sent == passed {
            self.send();
        }
        if self.pending {
            self.decide();
        }
        if self.sent > passed && !self.pending {
            gates.passed.store(passed + 1, Ordering::Release);
        }
    }

    /// Decides for what was sent, if everybody has it.
    fn decide(&mut self) {
        let calendar = self.world.calendar;
        match self.generations.decide(|floor| calendar.after_long(calendar.long(floor))) {
            Decision::From(epoch) => {
                self.history.eras.push((calendar.bounds_ns(Period::Fast, epoch.0).0, self.later[self.sent - 1].clone()));
                self.pending = false;
            }
            Decision::Never => self.pending = false,
            Decision::Waiting => {}
        }
    }
}

fn look(receiver: &mut AnyReceiver) {
    match receiver {
        AnyReceiver::Own(receiver) => receiver.look(),
        AnyReceiver::Sends(receiver) => receiver.look(),
    }
}

/// As [`super::drive::simulate`], with a reload tried once in so many events.
pub fn simulate(
    eras: (&Setup, &[Setup]),
    packets: &[Packet],
    (receivers, workers): (u32, u32),
    seed: u64,
    (pace, every): (Pace, u64),
) -> (Log, History) {
    let config = load(&eras.0.toml(), &eras.0.csv());
    let world = Arc::new(World::first(&config, HashKey::constant(), PORTS).unwrap());
    let cores = cores(receivers, workers);
    assert_eq!(MemoryPlan::new(&world, &cores).lacking(&world), None, "what `run` refuses");
    let (mut wired, mut reporter) = engine(&config, &world, &cores, (false, pace.live), &Beneath::default());
    wired.generations.reporter = Some(reporter.control());
    let mut control = Reloads::new(eras, (config.clone(), cores.clone()), &world, std::mem::take(&mut wired.generations), pace.live);
    let mut queues: Vec<_> = queues(&world, packets, receivers).into_iter().map(|q| q.into_iter().peekable()).collect();
    let (mut dice, mut at) = (Dice::new(seed), 0);
    while queues.iter_mut().any(|queue| queue.peek().is_some()) {
        if dice.one_in(12) || queues[at].peek().is_none() {
            at = usize::try_from(dice.below(u64::from(receivers))).unwrap();
        }
        let Some(event) = queues[at].next() else { continue };
        let idle = matches!((&event, queues[at].peek()), (Event::Epoch(_), Some(Event::Epoch(_)) | None));
        if !(pace.sleepy && idle) {
            any(&mut wired.receivers[at], Some(&event));
            in_time(&mut wired.receivers[at]);
        }
        if dice.one_in(pace.steps) {
            any(&mut wired.receivers[at], None);
        }
        if dice.one_in(every) {
            control.send();
        }
        if dice.one_in(3) {
            look(&mut wired.receivers[usize::try_from(dice.below(u64::from(receivers))).unwrap()]);
        }
        if control.pending {
            control.decide();
        }
        if dice.one_in(pace.workers) && workers > 0 {
            let worker = &mut wired.workers[usize::try_from(dice.below(u64::from(workers))).unwrap()].0;
            worker.stage().look();
            worker.poll();
        }
        if dice.one_in(pace.reporter) {
            reporter.poll();
        }
    }
    let log = finish(wired, reporter, |receiver, _| match receiver {
        AnyReceiver::Own(mut receiver) => receiver.end(),
        AnyReceiver::Sends(mut receiver) => receiver.end(),
    });
    (log, control.history)
}

/// Before which epochs a reload is to have been decided for, and how far that is.
pub struct Gates<'a> {
    epochs: &'a [Epoch],
    waiting: Vec<AtomicUsize>,
    passed: AtomicUsize,
}

impl<'a> Gates<'a> {
    pub fn new(epochs: &'a [Epoch], receivers: usize) -> Self {
        Self { epochs, waiting: (0..receivers).map(|_| AtomicUsize::new(0)).collect(), passed: AtomicUsize::new(0) }
    }

    /// Receiver `i` comes to an epoch, and waits for what is to be decided before it. `gate`: those that are behind it.
    pub fn pass<S: Stage>(&self, i: usize, gate: &mut usize, next: Epoch, receiver: &mut Receiver<S>) {
        while self.epochs.get(*gate).is_some_and(|epoch| *epoch <= next) {
            *gate += 1;
            self.waiting[i].store(*gate, Ordering::Release);
            while self.passed.load(Ordering::Acquire) < *gate {
                receiver.look();
                if !receiver.step() {
                    std::thread::yield_now();
                }
            }
        }
    }

    /// Receiver `i` has behind it whatever comes.
    pub fn leave(&self, i: usize) {
        self.waiting[i].store(usize::MAX, Ordering::Release);
    }
}

/// On threads, as [`super::drive::run`], where before each epoch of `at` the next configuration is loaded. All are
/// decided for: those that no receiver turned to give way to the next.
pub fn run(eras: (&Setup, &[Setup]), at: &[Epoch], packets: &[Packet], (receivers, workers): (u32, u32), cuts: u64) -> (Log, History) {
    let run = Run { eras, at, shape: (receivers, workers), waits: true, scarce: false };
    let receive = |receiver, i: usize, (gates, world): (&Gates<'_>, &World)| {
        let queues = queues(world, packets, receivers);
        match receiver {
            AnyReceiver::Own(receiver) => receive(receiver, &queues[i], (gates, i), cuts * 64 + i as u64),
            AnyReceiver::Sends(receiver) => receive(receiver, &queues[i], (gates, i), cuts * 64 + i as u64),
        }
    };
    run.on_threads(&receive, &|mut worker| work(&mut worker))
}

fn receive<S: Stage>(mut receiver: Box<Receiver<S>>, events: &[Event<'_>], (gates, i): (&Gates<'_>, usize), seed: u64) {
    let (mut dice, mut left, mut gate) = (Dice::new(seed), 0, 0);
    for event in events {
        if let Event::Epoch(next) = event {
            gates.pass(i, &mut gate, *next, &mut receiver);
        }
        give(&mut receiver, event);
        if left == 0 {
            receiver.step();
            left = dice.below(40);
        }
        left -= u64::from(left > 0);
    }
    gates.leave(i);
    receiver.end();
}

/// Takes batches until every receiver has said its last.
pub fn work(worker: &mut Worker<Shard>) {
    loop {
        worker.stage().look();
        if !worker.poll() {
            if worker.at() == Epoch::END {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// What a run on threads is made of.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub eras: (&'a Setup, &'a [Setup]),
    /// Before each of these the next configuration is loaded.
    pub at: &'a [Epoch],
    pub shape: (u32, u32),
    /// Full rings make their senders wait, as in a replay.
    pub waits: bool,
    /// With less memory than `run` would start with.
    pub scarce: bool,
}

impl Run<'_> {
    /// Each core on a thread, doing what `receive` and `work` say.
    pub fn on_threads(
        &self,
        receive: &(impl Fn(AnyReceiver, usize, (&Gates<'_>, &World)) + Sync),
        work: &(impl Fn(Worker<Shard>) + Sync),
    ) -> (Log, History) {
        let (eras, live) = (self.eras, !self.waits);
        let config = load(&eras.0.toml(), &eras.0.csv());
        let world = Arc::new(World::first(&config, HashKey::constant(), PORTS).unwrap());
        let cores = cores(self.shape.0, self.shape.1);
        assert!(self.scarce == MemoryPlan::new(&world, &cores).lacking(&world).is_some(), "what `run` refuses");
        let (mut wired, mut reporter) = engine(&config, &world, &cores, (self.waits, live), &Beneath::default());
        wired.generations.reporter = Some(reporter.control());
        let mut control = Reloads::new(eras, (config, cores), &world, std::mem::take(&mut wired.generations), live);
        let (gates, world) = (&Gates::new(self.at, wired.receivers.len()), &*world);
        std::thread::scope(|scope| {
            for (worker, _) in wired.workers {
                scope.spawn(move || work(worker));
            }
            for (i, receiver) in wired.receivers.into_iter().enumerate() {
                scope.spawn(move || receive(receiver, i, (gates, world)));
            }
            while reporter.poll() || !reporter.is_over() {
                assert!(!reporter.is_abandoned(), "a core went away");
                control.at(gates);
                std::thread::yield_now();
            }
        });
        reporter.finish();
        (std::mem::take(reporter.publisher()), control.history)
    }
}
