//! Whole bursts → other receiving cores, over rings.
//!
//! RSS cannot spread one tunnel, one 5-tuple or fragments: one queue has it all, and its core more to do than it can while
//! others have nothing. Then that core takes bursts from its queue and gives them away as they came, unread; whoever takes
//! one counts it like its own. What is given is counted by the taker alone, so a frame is counted once.
//!
//! A core gives where its polls stay full (a little before it sheds work), to cores whose polls leave nothing behind and which
//! have not got enough yet; what nobody has room for it does itself. Between each two cores stands a ring of a few boxes in
//! either direction: full ones one way, empty ones back. Nobody waits, nothing is allocated, and a core that is neither
//! overloaded nor given anything pays one load a poll, of its own cache line.

use crate::arch::ring::{Consumer, Producer, RingBuffer};
use crate::limits::{HANDED_BURSTS_MAX, TAKERS_MAX};
use crate::units::Epoch;

#[cfg(not(feature = "loom"))]
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

#[cfg(feature = "loom")]
use loom::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

/// Bursts in one ring: a taker has enough to do while the giver does one itself, or a piece of what closes a window.
const RING_BURSTS_MAX: usize = 8;
const RING_BURSTS_MIN: usize = 2;
/// Full polls, less those that were not, from which on a core gives. As many frames as a quarter of a queue of 1,024, and half of
/// what makes it shed: work is shed only where nobody takes enough.
const GIVE_POLLS: u32 = 4;
/// More than this is not remembered, so that it ends soon.
const BEHIND_MAX: u32 = 32;
/// Polls in a row that left nothing behind, after which a core takes from others.
const FREE_POLLS: u32 = 64;

/// What a core knows itself, and others may look at; on a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Desk {
    /// Boxes that came, ever.
    came: AtomicU32,
    /// Its queues leave it time.
    is_free: AtomicBool,
}

/// A box on its way.
struct Sent<T> {
    /// The giver's, when it was filled.
    epoch: Epoch,
    /// So much the giver sheds.
    level: u32,
    what: Box<T>,
}

/// A giver's way to one taker.
struct Way<T> {
    to: Producer<Sent<T>>,
    back: Consumer<Box<T>>,
    spare: Vec<Box<T>>,
    desk: Arc<Desk>,
}

impl<T> Way<T> {
    /// Whether the taker has time and not enough to do: then there is an empty box.
    fn is_open(&mut self) -> bool {
        if !self.desk.is_free.load(Ordering::Relaxed) {
            return false;
        }
        if self.spare.is_empty() {
            self.spare.extend(self.back.pop());
        }
        !self.spare.is_empty()
    }

    /// Sends an empty box, if it is filled.
    #[inline]
    fn fill(&mut self, fill: impl FnOnce(&mut T) -> Option<(Epoch, u32)>) -> Option<bool> {
        let mut what = self.spare.pop()?;
        let Some((epoch, level)) = fill(&mut what) else {
            self.spare.push(what);
            return Some(false);
        };
        // There are no more boxes than a ring holds.
        let _ = self.to.push(Sent { epoch, level, what });
        self.desk.came.fetch_add(1, Ordering::Release);
        Some(true)
    }
}

/// A taker's end of it.
struct Inbox<T> {
    from: Consumer<Sent<T>>,
    back: Producer<Box<T>>,
    /// A box that was taken too early: its epoch is not open yet.
    early: Option<Sent<T>>,
}

impl<T> Inbox<T> {
    fn take(&mut self, latest: Epoch) -> Option<Sent<T>> {
        let sent = self.early.take().or_else(|| self.from.pop().ok())?;
        if sent.epoch > latest {
            self.early = Some(sent);
            return None;
        }
        Some(sent)
    }

    /// Nothing is here and nothing will come.
    fn is_over(&self) -> bool {
        // In this order: what was put in before the other end went is seen behind it.
        self.from.is_abandoned() && self.from.is_empty() && self.early.is_none()
    }
}

/// See the module. One for each receiving core; `T` is what a box holds.
pub struct Handover<T> {
    desk: Arc<Desk>,
    ways: Vec<Way<T>>,
    inboxes: Vec<Inbox<T>>,
    /// Boxes taken, ever.
    taken: u32,
    /// Full polls, less those that were not.
    behind: u32,
    /// Polls in a row that left nothing behind.
    calm: u32,
    /// What the desk says.
    is_free: bool,
    next_way: usize,
    next_inbox: usize,
}

/// Boxes of a ring, where a core gives to so many.
fn ring_bursts(takers: usize) -> usize {
    HANDED_BURSTS_MAX.checked_div(takers).unwrap_or(0).clamp(RING_BURSTS_MIN, RING_BURSTS_MAX)
}

/// Cores that one of so many gives to.
pub fn takers_of(cores: usize) -> usize {
    cores.saturating_sub(1).min(TAKERS_MAX)
}

/// Bytes of a core's rings and boxes, where there are so many cores and a box's content takes so many.
pub fn handover_bytes(cores: usize, of_box: usize) -> usize {
    let takers = takers_of(cores);
    takers * ring_bursts(takers) * (of_box + 32 + 16 + 8)
}

/// For so many cores, each giving to those behind it; `make` makes what a core's boxes hold.
pub fn handovers<T>(cores: usize, make: impl FnMut(usize) -> T) -> Vec<Handover<T>> {
    handovers_of(cores, ring_bursts(takers_of(cores)), make)
}

fn handovers_of<T>(cores: usize, bursts: usize, mut make: impl FnMut(usize) -> T) -> Vec<Handover<T>> {
    let mut all: Vec<Handover<T>> = (0..cores).map(|_| Handover::alone()).collect();
    for giver in 0..cores {
        for taker in (1..=takers_of(cores)).map(|behind| (giver + behind) % cores) {
            let (to, from) = RingBuffer::new(bursts);
            let (give_back, back) = RingBuffer::new(bursts);
            let spare = (0..bursts).map(|_| Box::new(make(giver))).collect();
            let desk = Arc::clone(&all[taker].desk);
            all[giver].ways.push(Way { to, back, spare, desk });
            all[taker].inboxes.push(Inbox { from, back: give_back, early: None });
        }
    }
    all
}

impl<T> Handover<T> {
    /// Of a core without others.
    pub fn alone() -> Self {
        Self {
            desk: Arc::default(),
            ways: Vec::new(),
            inboxes: Vec::new(),
            taken: 0,
            behind: 0,
            calm: 0,
            is_free: false,
            next_way: 0,
            next_inbox: 0,
        }
    }

    /// The core's queues were polled; one of them gave all that it may, or none did.
    #[inline]
    pub fn polled(&mut self, is_full: bool) {
        if is_full {
            self.calm = 0;
            self.behind = (self.behind + 1).min(BEHIND_MAX);
            if self.is_free {
                self.tell(false);
            }
        } else {
            self.behind = self.behind.saturating_sub(1);
            if !self.is_free {
                self.calm += 1;
                if self.calm >= FREE_POLLS {
                    self.tell(true);
                }
            }
        }
    }

    #[cold]
    fn tell(&mut self, is_free: bool) {
        (self.is_free, self.calm) = (is_free, 0);
        self.desk.is_free.store(is_free, Ordering::Relaxed);
    }

    /// If this core's queues overflow and another one has time, `fill` is given a box, and says in which epoch it filled it and
    /// how much this core sheds; none: it did not, and the box stays here. Whether a box was sent; none: there is no need, or
    /// nobody. Those that have time take turns.
    #[inline]
    pub fn give(&mut self, fill: impl FnOnce(&mut T) -> Option<(Epoch, u32)>) -> Option<bool> {
        if self.behind < GIVE_POLLS { None } else { self.find()?.fill(fill) }
    }

    #[inline(never)]
    fn find(&mut self) -> Option<&mut Way<T>> {
        let ways = self.ways.len();
        let at = (0..ways).map(|by| (self.next_way + by) % ways).find(|at| self.ways[*at].is_open())?;
        self.next_way = at + 1;
        self.ways.get_mut(at)
    }

    /// A box that another core has sent, but of no later epoch than this one: `with` is given what it holds, its epoch, and how
    /// much the giver sheds. None: there is none.
    #[inline]
    pub fn take<R>(&mut self, latest: Epoch, with: impl FnOnce(&mut T, Epoch, u32) -> R) -> Option<R> {
        if self.desk.came.load(Ordering::Relaxed) == self.taken { None } else { self.look(latest, with) }
    }

    fn look<R>(&mut self, latest: Epoch, with: impl FnOnce(&mut T, Epoch, u32) -> R) -> Option<R> {
        let inboxes = self.inboxes.len();
        for by in 0..inboxes {
            let at = (self.next_inbox + by) % inboxes;
            let inbox = &mut self.inboxes[at];
            let Some(Sent { epoch, level, mut what }) = inbox.take(latest) else { continue };
            let result = with(&mut what, epoch, level);
            // The way back holds as many boxes as there are: it is never full.
            let _ = inbox.back.push(what);
            self.taken = self.taken.wrapping_add(1);
            self.next_inbox = at + 1;
            return Some(result);
        }
        None
    }

    /// Boxes that can wait here at once.
    pub fn waiting_max(&self) -> usize {
        self.inboxes.iter().map(|inbox| inbox.from.buffer().capacity() + 1).sum()
    }

    /// It gives nothing more, and takes only what was sent already.
    pub fn close(&mut self) {
        if self.is_free {
            self.tell(false);
        }
        self.ways.clear();
    }

    /// Whether all that was sent here was taken, and nothing more can come: every giver has closed.
    pub fn is_over(&self) -> bool {
        self.inboxes.iter().all(Inbox::is_over)
    }
}

/// Two cores with rings of so many boxes: the first is behind, the second has time.
#[cfg(all(test, feature = "loom"))]
pub(super) fn tests_of_order(bursts: usize) -> Vec<Handover<u64>> {
    let mut cores = handovers_of(2, bursts, |_| 0);
    (0..GIVE_POLLS).for_each(|_| cores[0].polled(true));
    (0..FREE_POLLS).for_each(|_| cores[1].polled(false));
    cores
}

#[cfg(all(test, not(feature = "loom")))]
#[path = "handover_tests.rs"]
mod tests;
