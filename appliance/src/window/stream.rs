//! One core's stream of words to the reporter.

use super::ledger::Site;
use crate::arch::Patience;
use crate::arch::ring::{Consumer, Producer, RingBuffer};
use crate::stats::plan::Period;
use crate::units::{Epoch, RangeIndex};

/// Words before each message's body: kind, length of the body, and five of its own.
const HEAD_WORDS: usize = 7;
const FAST: u64 = 1;
const LONG: u64 = 2;
const CLOSED: u64 = 3;

/// The writing end.
pub struct Outlet {
    to: Producer<u64>,
    message: Vec<u64>,
    /// Words that blocks leave free for accounts.
    kept: usize,
    waits: bool,
}

/// The reading end.
pub struct Stream {
    from: Consumer<u64>,
    body: Vec<u64>,
}

/// Says what a message seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Which of its windows.
    pub period: Period,
    /// The window's number: an epoch, or that of a long window.
    pub number: u64,
    /// The range.
    pub range: RangeIndex,
    /// Which of the period's stats the words begin with: a long block comes in parts.
    pub first: usize,
    /// Records that the block counts; told with its first part.
    pub records: u64,
    /// Those among them of which a stat found no memory.
    pub starved: u64,
}

/// What a core told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// A sealed block, or a part of it: for each stat its length, then its words.
    Block(Sealed, &'a [u64]),
    /// Epochs before `next` are over; the account of `epoch`.
    Closed {
        /// The epoch that was open.
        epoch: Epoch,
        /// The one that is open now.
        next: Epoch,
        /// What the core counted in `epoch`.
        site: Site,
    },
}

/// What came of telling that an epoch is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way, or nobody is left to hear it.
    Yes,
    /// The reader is too far behind.
    Full,
}

/// Longest blocks that a stream holds, at least.
const BLOCKS_HELD: usize = 1;
/// Words of a stream, beside what it keeps for accounts: the reporter takes a few microseconds for a block, and a walk
/// pauses while it is behind.
const CAPACITY_WORDS: usize = if cfg!(feature = "loom") { 1 } else { 1 << 17 };
/// Accounts that find room in a stream that is full of blocks.
const ACCOUNTS_KEPT: usize = if cfg!(feature = "loom") { 1 } else { 16 };

/// What a stream is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Words of the longest block, all its parts together with their heads; 0: there are none.
    pub block: usize,
    /// Words of the longest part of a block.
    pub part: usize,
    /// Words of an account.
    pub account: usize,
}

impl Room {
    /// Room of an account alone.
    pub const fn of_account(ports: usize, tag_rules: usize) -> Self {
        Self { block: 0, part: 0, account: Site::words_max(ports, tag_rules) }
    }

    /// For blocks that are twice as long.
    #[must_use]
    pub const fn twice(self) -> Self {
        Self { block: 2 * self.block, part: 2 * self.part, ..self }
    }

    /// Whether what needs `other` finds room.
    pub const fn holds(&self, other: &Self) -> bool {
        other.block <= self.block && other.part <= self.part
    }

    /// Words that a block takes in so many parts.
    pub const fn of_block(words: usize, parts: usize) -> usize {
        words + HEAD_WORDS * if parts == 0 { 1 } else { parts }
    }

    pub(super) const fn kept(&self) -> usize {
        ACCOUNTS_KEPT * (self.account + HEAD_WORDS)
    }

    const fn capacity(&self) -> usize {
        let blocks = BLOCKS_HELD * self.block;
        let blocks = if self.block > 0 && blocks < CAPACITY_WORDS { CAPACITY_WORDS } else { blocks };
        blocks + self.kept()
    }

    const fn body_max(&self) -> usize {
        if self.part > self.account { self.part } else { self.account }
    }

    /// Bytes of a stream, both ends.
    pub const fn bytes(&self) -> usize {
        8 * (self.capacity() + 2 * (self.body_max() + HEAD_WORDS))
    }
}

/// A stream. `waits`: a writer waits for a reader that is behind, as in a replay; else it is refused.
pub fn stream(room: Room, waits: bool) -> (Outlet, Stream) {
    stream_of(room, room.capacity(), waits)
}

/// Of so many words.
pub(super) fn stream_of(room: Room, capacity: usize, waits: bool) -> (Outlet, Stream) {
    let (kept, body_max) = (room.kept(), room.body_max());
    let (to, from) = RingBuffer::new(capacity);
    let outlet = Outlet { to, message: Vec::with_capacity(body_max + HEAD_WORDS), kept, waits };
    (outlet, Stream { from, body: Vec::with_capacity(body_max) })
}

impl Outlet {
    /// Sends a block whose body `fill` appends; false if the reader is too far behind. Never waits, unless the stream
    /// was made to, as in a replay.
    pub fn block(&mut self, sealed: &Sealed, fill: impl FnOnce(&mut Vec<u64>)) -> bool {
        let kind = if sealed.period == Period::Fast { FAST } else { LONG };
        self.message.clear();
        self.message.extend([kind, 0, sealed.number, u64::from(sealed.range.0), sealed.records, sealed.starved, sealed.first as u64]);
        fill(&mut self.message);
        self.send(self.kept) == Sent::Yes
    }

    /// Whether a block of up to so many words in so many parts finds room; also if nobody is left to read, or the writer
    /// waits for it anyway.
    pub fn has_room(&self, words: usize, parts: usize) -> bool {
        self.waits || self.to.slots() >= Room::of_block(words, parts) + self.kept || self.to.is_abandoned()
    }

    /// Whether the writer waits for the reader, as in a replay.
    pub const fn waits(&self) -> bool {
        self.waits
    }

    /// Sends the mark that an epoch is over.
    pub fn closed(&mut self, epoch: Epoch, next: Epoch, site: &Site) -> Sent {
        self.message.clear();
        self.message.extend([CLOSED, 0, epoch.0, next.0, 0, 0, 0]);
        site.to_words(&mut self.message);
        self.send(0)
    }

    /// Sends the message if so many words stay free behind it.
    fn send(&mut self, kept: usize) -> Sent {
        self.message[1] = (self.message.len() - HEAD_WORDS) as u64;
        let mut patience = Patience::default();
        loop {
            if self.to.is_abandoned() || self.to.slots() >= self.message.len() + kept && self.to.push_entire_slice(&self.message).is_ok() {
                return Sent::Yes;
            }
            if !self.waits {
                return Sent::Full;
            }
            patience.wait();
        }
    }
}

impl Stream {
    /// Gives the next message to `take`; false if there is none.
    pub fn next(&mut self, take: impl FnOnce(Told<'_>)) -> bool {
        let mut head = [0; HEAD_WORDS];
        if self.from.pop_entire_slice(&mut head).is_err() {
            return false;
        }
        let [kind, len, a, b, c, d, e] = head;
        self.body.clear();
        self.body.resize(usize::try_from(len).unwrap_or(0), 0);
        // A message is pushed whole.
        let whole = self.from.pop_entire_slice(&mut self.body);
        debug_assert!(whole.is_ok());
        let range = RangeIndex(u32::try_from(b).unwrap_or(u32::MAX));
        let first = usize::try_from(e).unwrap_or(usize::MAX);
        let sealed = |period| Sealed { period, number: a, range, first, records: c, starved: d };
        match kind {
            FAST => take(Told::Block(sealed(Period::Fast), &self.body)),
            LONG => take(Told::Block(sealed(Period::Long), &self.body)),
            _ => take(Told::Closed { epoch: Epoch(a), next: Epoch(b), site: Site::from_words(&self.body) }),
        }
        true
    }

    /// Whether its core is gone and all was read.
    pub fn is_over(&self) -> bool {
        self.from.is_abandoned() && self.from.is_empty()
    }
}
