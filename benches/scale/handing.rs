//! Whole bursts from a receiving core that is behind to others that have time: who gives when and to whom is as in
//! `spread/handover.rs`.

use tailwater::limits::{BURST_FRAMES_MAX, HANDED_BURSTS_MAX, TAKERS_MAX};

/// Frames that wait where a core gives: half a queue, for it gives before that is full.
const GIVES_FROM: f64 = 512.0;
/// Nanoseconds a frame, stated and not measured: the giver puts 64 pointers into a box; the taker's headers, which would have been in its
/// cache, come from another core's, several at a time.
pub(crate) const GIVEN_NS: f64 = 3.0;
pub(crate) const TAKEN_NS: f64 = 15.0;

struct Core {
    /// Bursts that others have handed to it.
    inbox: usize,
    /// Its queue left nothing behind when it last looked.
    is_free: bool,
    /// It waits for a burst of its own.
    sleeps: bool,
    /// Where it looks first for someone to give to.
    next: usize,
}

/// See the module.
pub(crate) struct Hands {
    cores: Vec<Core>,
    /// To how many others each may give, and how many bursts may wait from one to another.
    takers: usize,
    boxes: usize,
}

impl Hands {
    /// Of so many receiving cores; one gives nothing.
    pub(crate) fn of(cores: usize) -> Self {
        let takers = cores.saturating_sub(1).min(TAKERS_MAX);
        let boxes = HANDED_BURSTS_MAX.checked_div(takers).unwrap_or(0).clamp(2, 8);
        let core = |_| Core { inbox: 0, is_free: false, sleeps: false, next: 0 };
        Self { cores: (0..cores).map(core).collect(), takers, boxes }
    }

    /// So many frames wait for a core that looks. Whom it hands a burst to.
    pub(crate) fn give(&mut self, core: usize, waiting: f64) -> Option<usize> {
        let (count, own) = (self.cores.len(), self.cores.get_mut(core)?);
        (own.is_free, own.sleeps) = (waiting < 2.0 * BURST_FRAMES_MAX as f64, false);
        if waiting < GIVES_FROM {
            return None;
        }
        let (next, takers) = (own.next, self.takers);
        let mut turns = (0..takers).map(|by| (next + by) % takers);
        let turn = turns.find(|turn| {
            let taker = &self.cores[(core + 1 + turn) % count];
            taker.is_free && taker.inbox < self.boxes
        })?;
        self.cores[core].next = turn + 1;
        let taker = (core + 1 + turn) % count;
        self.cores[taker].inbox += 1;
        Some(taker)
    }

    /// Whether a burst was handed to this core, which has it now.
    pub(crate) fn take(&mut self, core: usize) -> bool {
        let Some(own) = self.cores.get_mut(core).filter(|own| own.inbox > 0) else { return false };
        own.inbox -= 1;
        true
    }

    pub(crate) fn sleeps(&mut self, core: usize) {
        if let Some(own) = self.cores.get_mut(core) {
            own.sleeps = true;
        }
    }

    /// Whether it slept.
    pub(crate) fn wakes(&mut self, core: usize) -> bool {
        self.cores.get_mut(core).is_some_and(|own| std::mem::take(&mut own.sleeps))
    }
}
