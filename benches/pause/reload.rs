//! A receiving core turns to another generation: all that its loop calls between polls, from the look that finds it in the mailbox to
//! the one that sends the old one back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tailwater::arch::HashKey;
use tailwater::config::{Config, Refusal};
use tailwater::runtime::receiver::Receiver;
use tailwater::runtime::wiring::{AnyReceiver, Cores, Wired, wire};
use tailwater::runtime::world::World;
use tailwater::rx::Frame;
use tailwater::telemetry::{Did, Registry};
use tailwater::units::{Epoch, LinkType};
use tailwater::window::{Compiled, Shard, Start};

/// Frames to each range in a window.
const FRAMES: usize = 4;
const FRAME_BYTES: u32 = 60;

/// Of one turn, nanoseconds.
pub(crate) struct Turn {
    /// The look that takes the generation.
    pub(crate) look: u64,
    /// The turn to the epoch in which it counts.
    pub(crate) epoch: u64,
    /// Each step that closes what was before; with the last the shard has turned too.
    pub(crate) steps: Vec<u64>,
    /// The look that sends back what is no longer used.
    pub(crate) back: u64,
}

/// A core that receives and works, and its control.
pub(crate) struct Core {
    receiver: Box<Receiver<Shard>>,
    wired: Wired,
    world: Arc<World>,
    at: Epoch,
    frames: Vec<Vec<u8>>,
}

impl Core {
    /// With the first generation.
    pub(crate) fn new(config: &Config) -> Self {
        let world = Arc::new(World::first(config, HashKey::constant(), 1).unwrap_or_else(|refusal| refused(&refusal)));
        let registry = Registry::new("bench", "", Duration::from_secs(1));
        let mut wired = wire(&world, &Cores { rx: vec![1], workers: Vec::new() }, &registry, false);
        let Some(AnyReceiver::Own(mut receiver)) = wired.receivers.pop() else { panic!("a core that works too") };
        let at = Epoch(1);
        receiver.epoch(at);
        let frames = (0..FRAMES * config.ranges.list.len()).map(|n| frame(n, n / FRAMES)).collect();
        // What was before the first window is over before it ends.
        while receiver.step() {}
        Self { receiver, wired, world, at, frames }
    }

    /// Counts a window, and turns to the next one with another generation.
    pub(crate) fn turn(&mut self, config: &Config) -> Turn {
        self.count();
        let next = self.world.next(config, self.world.number + 1).unwrap_or_else(|refusal| refused(&refusal));
        let (next, start) = (Arc::new(next), Arc::new(Start::new()));
        let ends = &mut self.wired.generations;
        assert!(ends.shards[0].send(&start, Compiled::new(&next.plans)), "an empty mailbox");
        assert!(ends.receivers[0].send(&start, Arc::clone(&next)), "an empty mailbox");
        let (look, ()) = self.timed(Receiver::look);
        assert_eq!(start.holders(), 2, "the core and its shard took it");
        let first = start.decide(|floor| Epoch(floor.0 + 1)).expect("the core is there");
        let (epoch, did) = self.timed(|receiver| {
            receiver.epoch(first);
            receiver.did()
        });
        assert_eq!(did, Did::Reload, "it turned to another generation");
        let mut steps = Vec::new();
        loop {
            let (ns, busy) = self.timed(Receiver::step);
            steps.push(ns);
            if !busy {
                break;
            }
        }
        let (back, ()) = self.timed(Receiver::look);
        let ends = &mut self.wired.generations;
        assert!(ends.receivers[0].collect() && ends.shards[0].collect(), "the old one came back");
        (self.world, self.at) = (next, first);
        Turn { look, epoch, steps, back }
    }

    /// Frames to all ranges.
    fn count(&mut self) {
        let (epoch, link) = (self.at, LinkType::Ethernet);
        let frame =
            |bytes| Frame { bytes, wire_bytes: FRAME_BYTES, captured_bytes: FRAME_BYTES, time_ns: 1, epoch, port: 0, link, late: false };
        let frames: Vec<Frame<'_>> = self.frames.iter().map(|bytes| frame(&bytes[..])).collect();
        self.receiver.frames(&frames);
    }

    /// What the reporter would read is thrown away behind each call.
    fn timed<T>(&mut self, call: impl FnOnce(&mut Receiver<Shard>) -> T) -> (u64, T) {
        let begun = Instant::now();
        let told = call(self.receiver.as_mut());
        let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        for (_, stream) in &mut self.wired.streams {
            while stream.next(|_| ()) {}
        }
        (ns, told)
    }
}

fn refused<T>(refusal: &Refusal) -> T {
    panic!("{}: {}", refusal.key, refusal.message)
}

/// The nth, a UDP datagram to a range.
fn frame(n: usize, range: usize) -> Vec<u8> {
    let [low, high, ..] = range.to_le_bytes();
    let source = n.to_le_bytes();
    let mut bytes = vec![0; 12];
    bytes.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
    bytes.extend([192, source[2], source[1], source[0]]);
    bytes.extend([10, high, low, 1]);
    bytes.extend([source[1], source[0], 0, 53, 0, 26, 0, 0]);
    bytes.resize(FRAME_BYTES as usize, 0x50);
    bytes
}
