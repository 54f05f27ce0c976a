//! Which core hands what to which: the two modes, out of the same parts.

use std::sync::Arc;

use super::generations::Generations;
use super::made_of;
use super::memory::MemoryPlan;
use super::receiver::Receiver;
use super::world::World;
use crate::analyse::Analysis;
use crate::exports::Tap;
use crate::flows::tap::Tap as PortTap;
use crate::report::CoreName;
use crate::spread::{self, Dispatcher, Worker};
use crate::telemetry::{LiveCore, Registry};
use crate::window::stream::{Stream, stream};
use crate::window::{Room, Shard};

/// lcores of the data path.
#[derive(Clone, Debug)]
pub struct Cores {
    /// Receiving.
    pub rx: Vec<u32>,
    /// Working; empty in run-to-completion.
    pub workers: Vec<u32>,
}

/// A receiving core of either mode.
pub enum AnyReceiver {
    /// Runs the kernels on its own shard.
    Own(Box<Receiver<Shard>>),
    /// Sends batches to workers.
    Sends(Box<Receiver<Dispatcher>>),
}

impl AnyReceiver {
    /// Its frames are sampled from now on.
    pub fn sample_for(&mut self, tap: Tap) {
        match self {
            Self::Own(receiver) => receiver.sample_for(tap),
            Self::Sends(receiver) => receiver.sample_for(tap),
        }
    }

    /// Hands export datagrams over from now on.
    pub fn take_exports_by(&mut self, tap: PortTap) {
        match self {
            Self::Own(receiver) => receiver.take_exports_by(tap),
            Self::Sends(receiver) => receiver.take_exports_by(tap),
        }
    }
}

/// Everything that is to be put on cores.
pub struct Wired {
    /// In the order of [`Cores::rx`].
    pub receivers: Vec<AnyReceiver>,
    /// In the order of [`Cores::workers`].
    pub workers: Vec<(Worker<Shard>, Arc<LiveCore>)>,
    /// For the reporter.
    pub streams: Vec<(CoreName, Stream)>,
    /// Analyses flow records, where a stat asks for them: whoever receives these has it. Its windows close when it is told the time.
    pub analysis: Option<Analysis>,
    /// For the control; the reporter's end is still to be added.
    pub generations: Generations,
}

/// Wires cores. `waits`: full rings make their senders wait, as in a replay.
pub fn wire(world: &Arc<World>, cores: &Cores, registry: &Registry, waits: bool) -> Wired {
    wire_with((&MemoryPlan::new(world, cores), None), world, cores, registry, waits)
}

/// Stands for who receives flow records, which is no lcore.
pub const FLOWS_LCORE: u32 = u32::MAX;

/// Moves the calling thread to the CPU of an lcore.
pub type Move<'a> = &'a (dyn Fn(u32) + Sync);

/// The same, each core with this memory. What a core works in is made, and so touched first, on its own CPU, if that is told: there it
/// lies on the node of that CPU.
pub fn wire_with(
    (memory, move_to): (&MemoryPlan, Option<Move<'_>>),
    world: &Arc<World>,
    cores: &Cores,
    registry: &Registry,
    waits: bool,
) -> Wired {
    let mut wired =
        Wired { receivers: Vec::new(), workers: Vec::new(), streams: Vec::new(), analysis: None, generations: Generations::default() };
    let (of_account, of_blocks) =
        (Room::of_account(world.ports, world.tag_room, world.links).with_copies(world.duplicates.is_some()), world.room);
    let mut ends = Generations::default();
    let mut told = |lcore: u32, role: &'static str, room: Room| {
        let (outlet, reader) = stream(room, waits);
        wired.streams.push((CoreName { lcore, role }, reader));
        outlet
    };
    let feeders = if cores.workers.is_empty() { 1 } else { cores.rx.len() };
    let shard = |lcore, outlet| {
        let (plans, hash_key) = (Arc::clone(&world.plans), world.hash_key.clone());
        near((lcore, move_to), || Shard::new(plans, hash_key, world.calendar, memory.shard, outlet, feeders))
    };
    let mut lanes: Vec<Vec<spread::Lane>> = cores.rx.iter().map(|_| Vec::new()).collect();
    for lcore in &cores.workers {
        let mut inboxes = Vec::new();
        for lanes in &mut lanes {
            let (lane, inbox) = spread::lane();
            lanes.push(lane);
            inboxes.push(inbox);
        }
        let mut worker = Worker::new(inboxes, shard(*lcore, told(*lcore, "worker", of_blocks)));
        if world.sheds && !waits {
            worker.sheds();
        }
        made_of::tell(*lcore, "worker", &worker.stage().regions());
        ends.shards.push(worker.stage().control());
        wired.workers.push((worker, registry.core(*lcore, "worker")));
    }
    for (lcore, lanes) in cores.rx.iter().zip(lanes) {
        let live = registry.core(*lcore, "rx");
        let outlet = told(*lcore, "rx", of_account);
        let world = Arc::clone(world);
        wired.receivers.push(if lanes.is_empty() {
            let shard = shard(*lcore, told(*lcore, "rx", of_blocks));
            let mut receiver = near((*lcore, move_to), || Receiver::new(world, shard, outlet, live, memory.logs));
            ends.receivers.push(receiver.control());
            ends.shards.push(receiver.stage().control());
            let [roots, sketches] = receiver.stage_ref().regions();
            made_of::tell(*lcore, "rx", &[("logs", receiver.logs()), roots, sketches]);
            AnyReceiver::Own(Box::new(receiver))
        } else {
            let make = || {
                let dispatcher = Dispatcher::new(lanes, Arc::clone(&world.efforts), world.plans.real, waits);
                Receiver::new(world, dispatcher, outlet, live, memory.logs)
            };
            let mut receiver = near((*lcore, move_to), make);
            ends.receivers.push(receiver.control());
            made_of::tell(*lcore, "rx", &[("logs", receiver.logs())]);
            AnyReceiver::Sends(Box::new(receiver))
        });
    }
    if let Some(plans) = &world.flow_plans {
        let outlet = told(FLOWS_LCORE, CoreName::FLOWS, of_blocks);
        let make = || Shard::new(Arc::clone(plans), world.hash_key.clone(), world.calendar, memory.shard, outlet, 1);
        let shard = near((FLOWS_LCORE, move_to), make);
        let mut analysis = Analysis::new(Arc::clone(&world.flow_sides), shard, world.calendar);
        ends.flows = Some(analysis.controls());
        wired.analysis = Some(analysis);
    }
    wired.generations = ends;
    wired
}

/// Makes something where its core runs: memory belongs to the node of the CPU that touches it first.
fn near<T: Send>((lcore, move_to): (u32, Option<Move<'_>>), make: impl FnOnce() -> T + Send) -> T {
    let Some(move_to) = move_to else { return make() };
    let there = || {
        move_to(lcore);
        make()
    };
    std::thread::scope(|scope| scope.spawn(there).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}
