//! Counters of the data path: one writer each, written once a burst, read by anybody at any time.
//!
//! The writer is the lcore (or the one thread) that owns the struct. An update is a plain load and a plain store, both
//! relaxed: no locked instruction, no fence. A struct fills cache lines of its own, so that cores do not share one.
//! Readers see each counter whole, but not all counters of one instant: the ledger of reports is computed elsewhere.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::cost::LiveCosts;
use super::pauses::{LivePauses, PauseFigures};

/// Drop and fault reasons that one core can count apart; reasons beyond are counted in the last.
pub const REASONS_MAX: usize = 32;

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds. Only the owner may call this.
    #[inline]
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// Sets. Only the owner may call this.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Reads; anybody may.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Parts of `memory_mb` that cores have apart, by the index of [`LiveCore::memory`].
pub const MEMORY_PARTS: [&str; 3] = ["logs", "roots", "sketches"];

/// Bytes of one part of a core's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartFigures {
    /// In use.
    pub used: u64,
    /// The most that were, since the start.
    pub high: u64,
    /// That there are.
    pub size: u64,
}

impl PartFigures {
    /// Of numbers that the data path has.
    pub const fn of(used: usize, high: usize, size: usize) -> Self {
        Self { used: used as u64, high: high as u64, size: size as u64 }
    }

    const fn add(&mut self, other: &Self) {
        self.used += other.used;
        self.high += other.high;
        self.size += other.size;
    }
}

/// [`PartFigures`], live.
#[derive(Debug, Default)]
pub struct LivePart([Counter; 3]);

impl LivePart {
    /// Only the owner may call this.
    pub fn set(&self, figures: PartFigures) {
        let PartFigures { used, high, size } = figures;
        self.0.iter().zip([used, high, size]).for_each(|(counter, value)| counter.set(value));
    }

    /// Reads; anybody may.
    pub fn get(&self) -> PartFigures {
        let [used, high, size] = self.0.each_ref().map(Counter::get);
        PartFigures { used, high, size }
    }
}

/// Makes a struct of counters and the struct of plain numbers that a read of it gives.
macro_rules! counters {
    ($(#[$live_doc:meta])* $live:ident, $(#[$plain_doc:meta])* $plain:ident { $(#[doc = $doc:literal] $name:ident,)+ }) => {
        $(#[$live_doc])*
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct $live {
            $(#[doc = $doc] pub $name: Counter,)+
            /// Frames without a readable IP header, by reason: see [`Self::drop_frame`].
            pub drops: [Counter; REASONS_MAX],
            /// Its memory, by [`MEMORY_PARTS`].
            pub memory: [LivePart; MEMORY_PARTS.len()],
            /// From poll to poll, of a receiving core.
            pub pauses: LivePauses,
            /// Where its time goes.
            pub costs: LiveCosts,
        }

        $(#[$plain_doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $plain {
            $(#[doc = $doc] pub $name: u64,)+
            /// Frames without a readable IP header, by reason.
            pub drops: [u64; REASONS_MAX],
            /// Its memory, by [`MEMORY_PARTS`].
            pub memory: [PartFigures; MEMORY_PARTS.len()],
            /// From poll to poll, of a receiving core.
            pub pauses: PauseFigures,
        }

        impl $live {
            /// Adds to the counter of one reason. Only the owner may call this.
            #[inline]
            pub fn drop_frame(&self, reason: usize, frames: u64) {
                self.drops[reason.min(REASONS_MAX - 1)].add(frames);
            }

            /// All counters now.
            pub fn read(&self) -> $plain {
                let drops = std::array::from_fn(|reason| self.drops[reason].get());
                let (memory, pauses) = (self.memory.each_ref().map(LivePart::get), self.pauses.get());
                $plain { $($name: self.$name.get(),)+ drops, memory, pauses }
            }
        }

        impl $plain {
            /// Each counter but `drops`: its name, what it says, and its value.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), $doc, self.$name),)+].into_iter().map(|(name, doc, value)| (name, doc.trim().trim_end_matches('.'), value))
            }

            /// Adds another's counters to these.
            pub fn add(&mut self, other: &Self) {
                $(self.$name = self.$name.wrapping_add(other.$name);)+
                for (mine, theirs) in self.drops.iter_mut().zip(other.drops) {
                    *mine = mine.wrapping_add(theirs);
                }
                self.memory.iter_mut().zip(&other.memory).for_each(|(mine, theirs)| mine.add(theirs));
                self.pauses.add(&other.pauses);
            }

            /// What came since `earlier`; 0 where a counter went back.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                Self {
                    $($name: self.$name.saturating_sub(earlier.$name),)+
                    drops: std::array::from_fn(|reason| self.drops[reason].saturating_sub(earlier.drops[reason])),
                    memory: self.memory,
                    pauses: self.pauses.since(&earlier.pauses),
                }
            }
        }
    };
}

counters! {
    /// What one lcore does. A core fills what its role knows and leaves the rest zero.
    LiveCore,
    /// [`LiveCore`], read.
    CoreFigures {
        /// Frames taken from queues, and not handed over, or taken from other cores.
        received,
        /// Bytes of frames received.
        received_bytes,
        /// Frames with a readable IP header.
        parsed,
        /// Frames without a readable IP header.
        parse_drops,
        /// Parsed packets with a fault behind their IP header.
        faults,
        /// Frames cut short before they reached us.
        truncated,
        /// Frames stamped before the open window.
        late,
        /// Frames counted in an earlier window than their own, which could not be opened yet.
        overdue,
        /// Parsed packets that no tag rule matched.
        untagged,
        /// Packets that the scrubber passed.
        passed,
        /// Bytes that the scrubber passed.
        passed_bytes,
        /// Sampled packets that the scrubber blocked, each counted once.
        blocked_samples,
        /// Blocked packets, each sample counted as its sampling rate.
        blocked,
        /// Blocked bytes, each sample counted as its sampling rate.
        blocked_bytes,
        /// Parsed packets that belong to a range.
        matched,
        /// Parsed packets that belong to no range.
        unmatched,
        /// Packet x range.
        records,
        /// Records that every stat of their range has counted.
        counted,
        /// Records dropped at a full ring or for want of memory.
        ring_dropped,
        /// Records at which top-K did not look, since the core had more to do than it could.
        shed,
        /// Records whose log was handed on before it was full: memory for logs was spent.
        early,
        /// Bursts handed over to other cores.
        handed_bursts,
        /// Frames handed over to other cores, which count them.
        handed_frames,
        /// Bursts taken from other cores.
        taken_bursts,
        /// Frames taken from other cores; they are among those received.
        taken_frames,
        /// Polls of the queues or rings.
        polls,
        /// Polls that found nothing.
        empty_polls,
        /// Windows that this core has closed.
        windows,
    }
}

/// What one port says of itself. Written by the one thread that reads the port's counters.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct LivePort {
    /// Frames that reached the port, lost ones included.
    pub offered: Counter,
    /// Frames that the driver handed out.
    pub received: Counter,
    /// Frames that the NIC, or the kernel below a vdev, dropped.
    pub missed: Counter,
    /// 1 once the port was started.
    pub started: Counter,
    /// 1 while the link is up and the device is there.
    pub link_up: Counter,
}

/// What the core that polls a queue counts of it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct LiveQueue {
    /// Frames taken, by this core or by those that it handed them to.
    pub frames: Counter,
    /// Polls that brought as many as they might.
    pub full_polls: Counter,
    /// All of them.
    pub polls: Counter,
}

/// [`LivePort`], read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in LivePort")]
pub struct PortFigures {
    pub offered: u64,
    pub received: u64,
    pub missed: u64,
    pub started: bool,
    pub link_up: bool,
}

impl LivePort {
    /// All counters now.
    pub fn read(&self) -> PortFigures {
        PortFigures {
            offered: self.offered.get(),
            received: self.received.get(),
            missed: self.missed.get(),
            started: self.started.get() != 0,
            link_up: self.link_up.get() != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn counters_add_read_and_subtract() {
        let core = LiveCore::default();
        core.received.add(32);
        core.received.add(8);
        core.drop_frame(3, 2);
        core.drop_frame(REASONS_MAX + 5, 1);
        let first = core.read();
        assert_eq!((first.received, first.drops[3], first.drops[REASONS_MAX - 1]), (40, 2, 1));
        core.received.add(2);
        let delta = core.read().since(&first);
        assert_eq!((delta.received, delta.drops[3]), (2, 0));
        let mut sum = first;
        sum.add(&delta);
        assert_eq!(sum, core.read());
    }

    #[test]
    fn structs_share_no_cache_line() {
        assert_eq!(align_of::<LiveCore>(), 128);
        assert_eq!(size_of::<LiveCore>() % 128, 0);
        assert_eq!(size_of::<LivePort>() % 128, 0);
    }

    #[test]
    fn a_reader_sees_the_last_store() {
        let core = Arc::new(LiveCore::default());
        let writer = std::thread::spawn({
            let core = Arc::clone(&core);
            move || (0..100_000).for_each(|_| core.received.add(1))
        });
        while !writer.is_finished() {
            assert!(core.received.get() <= 100_000);
        }
        writer.join().unwrap();
        assert_eq!(core.received.get(), 100_000);
    }
}
