//! An engine driven over packets while its configuration changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tailwater::arch::HashKey;
use tailwater::config::Config;
use tailwater::gather::Stage;
use tailwater::report::{Edition, Reporter};
use tailwater::runtime::fits::{self, Start};
use tailwater::runtime::generations::{Decision, Generations};
use tailwater::runtime::memory::MemoryPlan;
use tailwater::runtime::receiver::Receiver;
use tailwater::runtime::wiring::{AnyReceiver, Cores, Wired};
use tailwater::runtime::world::World;
use tailwater::stats::plan::Period;
use tailwater::units::Epoch;

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
struct Gates<'a> {
    epochs: &'a [Epoch],
    waiting: Vec<AtomicUsize>,
    passed: AtomicUsize,
}

/// On threads, as [`super::drive::run`], where before each epoch of `at` the next configuration is loaded. All are
/// decided for: those that no receiver turned to give way to the next.
pub fn run(eras: (&Setup, &[Setup]), at: &[Epoch], packets: &[Packet], (receivers, workers): (u32, u32), cuts: u64) -> (Log, History) {
    let config = load(&eras.0.toml(), &eras.0.csv());
    let world = Arc::new(World::first(&config, HashKey::constant(), PORTS).unwrap());
    let cores = cores(receivers, workers);
    assert_eq!(MemoryPlan::new(&world, &cores).lacking(&world), None, "what `run` refuses");
    let (mut wired, mut reporter) = engine(&config, &world, &cores, (true, false), &Beneath::default());
    wired.generations.reporter = Some(reporter.control());
    let control = Reloads::new(eras, (config.clone(), cores.clone()), &world, std::mem::take(&mut wired.generations), false);
    let queues = queues(&world, packets, receivers);
    let gates = Gates { epochs: at, waiting: queues.iter().map(|_| AtomicUsize::new(0)).collect(), passed: AtomicUsize::new(0) };
    let (gates, queues) = (&gates, &queues);
    let receive = |receiver, i: usize| match receiver {
        AnyReceiver::Own(receiver) => receive(receiver, &queues[i], (gates, i), cuts * 64 + i as u64),
        AnyReceiver::Sends(receiver) => receive(receiver, &queues[i], (gates, i), cuts * 64 + i as u64),
    };
    on_threads(wired, reporter, control, gates, &receive)
}

fn receive<S: Stage>(mut receiver: Box<Receiver<S>>, events: &[Event<'_>], (gates, i): (&Gates<'_>, usize), seed: u64) {
    let (mut dice, mut left, mut gate) = (Dice::new(seed), 0, 0);
    for event in events {
        if let Event::Epoch(next) = event {
            while gates.epochs.get(gate).is_some_and(|epoch| epoch <= next) {
                gate += 1;
                gates.waiting[i].store(gate, Ordering::Release);
                while gates.passed.load(Ordering::Acquire) < gate {
                    receiver.look();
                    if !receiver.step() {
                        std::thread::yield_now();
                    }
                }
            }
        }
        give(&mut receiver, event);
        if left == 0 {
            receiver.step();
            left = dice.below(40);
        }
        left -= u64::from(left > 0);
    }
    gates.waiting[i].store(usize::MAX, Ordering::Release);
    receiver.end();
}

fn on_threads(
    wired: Wired,
    mut reporter: Reporter<Log, Beneath>,
    mut control: Reloads<'_>,
    gates: &Gates<'_>,
    receive: &(impl Fn(AnyReceiver, usize) + Sync),
) -> (Log, History) {
    std::thread::scope(|scope| {
        for (mut worker, _) in wired.workers {
            scope.spawn(move || {
                loop {
                    worker.stage().look();
                    if !worker.poll() {
                        if worker.at() == Epoch::END {
                            return;
                        }
                        std::thread::yield_now();
                    }
                }
            });
        }
        for (i, receiver) in wired.receivers.into_iter().enumerate() {
            scope.spawn(move || receive(receiver, i));
        }
        while reporter.poll() || !reporter.is_over() {
            assert!(!reporter.is_abandoned(), "a core went away");
            let passed = gates.passed.load(Ordering::Relaxed);
            if gates.waiting.iter().all(|gate| (passed + 1..usize::MAX).contains(&gate.load(Ordering::Acquire))) {
                if control.sent == passed {
                    control.send();
                }
                if control.pending {
                    control.decide();
                }
                if control.sent > passed && !control.pending {
                    gates.passed.store(passed + 1, Ordering::Release);
                }
            }
            std::thread::yield_now();
        }
    });
    reporter.finish();
    (std::mem::take(reporter.publisher()), control.history)
}
