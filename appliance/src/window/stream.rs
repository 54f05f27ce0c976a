//! One core's stream of words to the reporter.
//!
//! A long block is sent in parts, one right behind the other; whoever reads is given it whole.

use super::ledger::Site;
use crate::arch::Patience;
use crate::arch::ring::{Consumer, Producer, RingBuffer};
use crate::duplicates::Copies;
use crate::stats::plan::Period;
use crate::units::{Epoch, RangeIndex};

/// Words before each message's body: kind, length of the body, and five of its own.
const HEAD_WORDS: usize = 7;
/// Words of a part after which it is sent. Also those after which an export pauses: 8 KB, read and written twice; 3 to 8
/// microseconds, as they lie in the cache or not.
pub(super) const PART_WORDS: usize = 1_024;
/// In a part's last word of its own: another part follows; the part begins within a stat, the one that ended the part before.
const MORE: u64 = 1;
const CONTINUES: u64 = 2;
const FAST: u64 = 1;
const LONG: u64 = 2;
const CLOSED: u64 = 3;

/// The writing end.
pub struct Outlet {
    to: Producer<u64>,
    /// What is sent next; of a block, what there is of its part.
    message: Vec<u64>,
    /// The part begins within a stat.
    continues: bool,
    /// Words that blocks leave free for accounts.
    kept: usize,
    waits: bool,
}

/// The reading end.
pub struct Stream {
    from: Consumer<u64>,
    /// Of a block, the parts that came.
    body: Vec<u64>,
    /// Where in them the latest stat begins.
    latest: usize,
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
    /// Records that the block counts.
    pub records: u64,
    /// Those among them of which a stat found no memory.
    pub starved: u64,
}

/// What a core told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "handed on at once, one at a time; never kept")]
pub enum Told<'a> {
    /// A sealed block: for each stat its length, then its words.
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
    pub const fn of_account(ports: usize, tag_rules: usize, links: usize) -> Self {
        Self { block: 0, part: 0, account: Site::words_max(ports, tag_rules, links) }
    }

    /// With packets that are looked for twice.
    #[must_use]
    pub const fn with_copies(self, is_on: bool) -> Self {
        Self { account: self.account + if is_on { Copies::words_max() } else { 0 }, ..self }
    }

    /// For blocks that are twice as long.
    #[must_use]
    pub const fn twice(self) -> Self {
        Self { block: 2 * self.block, part: 2 * self.part, ..self }
    }

    /// For what needs this, and for what needs `other`.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self { block: self.block.max(other.block), part: self.part.max(other.part), account: self.account.max(other.account) }
    }

    /// Whether what needs `other` finds room.
    pub const fn holds(&self, other: &Self) -> bool {
        other.block <= self.block && other.part <= self.part
    }

    /// Words that a block takes: a stat that is cut has a length once more.
    pub const fn of_block(words: usize) -> usize {
        words + (HEAD_WORDS + 1) * (words / (PART_WORDS - 1) + 1)
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

    /// What the reader puts together: a block's parts are one again.
    const fn joined_max(&self) -> usize {
        if self.block > self.account { self.block } else { self.account }
    }

    /// Bytes of a stream, both ends.
    pub const fn bytes(&self) -> usize {
        8 * (self.capacity() + self.body_max() + self.joined_max() + 2 * HEAD_WORDS)
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
    let outlet = Outlet { to, message: Vec::with_capacity(body_max + HEAD_WORDS), continues: false, kept, waits };
    (outlet, Stream { from, body: Vec::with_capacity(room.joined_max()), latest: 0 })
}

impl Outlet {
    /// Sends a block whose body `fill` appends; false if the reader is too far behind. Never waits, unless the stream
    /// was made to, as in a replay.
    pub fn block(&mut self, sealed: &Sealed, fill: impl FnOnce(&mut Vec<u64>)) -> bool {
        fill(self.part(sealed));
        self.send_part(false, false)
    }

    /// What there is of a block's part: to be appended to. Nothing else may be sent before the block's last part.
    pub(super) fn part(&mut self, sealed: &Sealed) -> &mut Vec<u64> {
        if self.message.is_empty() {
            let kind = if sealed.period == Period::Fast { FAST } else { LONG };
            let cut = if self.continues { CONTINUES } else { 0 };
            self.message.extend([kind, 0, sealed.number, u64::from(sealed.range.0), sealed.records, sealed.starved, cut]);
        }
        &mut self.message
    }

    /// Whether the part is long enough to be sent.
    pub(super) const fn is_full(&self) -> bool {
        self.message.len() >= PART_WORDS + HEAD_WORDS
    }

    /// Sends the part; `more`: another one follows, which begins within a stat if this one is `cut`. False if the reader is too
    /// far behind, which it is not where there was room for the whole block.
    pub(super) fn send_part(&mut self, more: bool, cut: bool) -> bool {
        self.message[HEAD_WORDS - 1] |= if more { MORE } else { 0 };
        self.continues = cut;
        self.send(self.kept) == Sent::Yes
    }

    /// Whether a block of up to so many words finds room; also if nobody is left to read, or the writer waits for it anyway.
    pub fn has_room(&self, words: usize) -> bool {
        self.waits || self.to.slots() >= Room::of_block(words) + self.kept || self.to.is_abandoned()
    }

    /// Whether the writer waits for the reader, as in a replay.
    pub const fn waits(&self) -> bool {
        self.waits
    }

    /// Sends the mark that an epoch is over.
    pub fn closed(&mut self, epoch: Epoch, next: Epoch, site: &Site) -> Sent {
        debug_assert!(self.message.is_empty(), "a block's parts stand one behind the other");
        self.message.extend([CLOSED, 0, epoch.0, next.0, 0, 0, 0]);
        site.to_words(&mut self.message);
        self.send(0)
    }

    /// Sends the message if so many words stay free behind it.
    fn send(&mut self, kept: usize) -> Sent {
        self.message[1] = (self.message.len() - HEAD_WORDS) as u64;
        let mut patience = Patience::default();
        let sent = loop {
            if self.to.is_abandoned() || self.to.slots() >= self.message.len() + kept && self.to.push_entire_slice(&self.message).is_ok() {
                break Sent::Yes;
            }
            if !self.waits {
                break Sent::Full;
            }
            patience.wait();
        };
        self.message.clear();
        sent
    }
}

impl Stream {
    /// Takes the next message, and gives to `take` what it makes whole; false if there is none.
    pub fn next(&mut self, take: impl FnOnce(Told<'_>)) -> bool {
        let mut head = [0; HEAD_WORDS];
        if self.from.pop_entire_slice(&mut head).is_err() {
            return false;
        }
        let [kind, len, a, b, c, d, cut] = head;
        let start = self.body.len();
        self.body.resize(start + usize::try_from(len).unwrap_or(0), 0);
        // A message is pushed whole.
        let whole = self.from.pop_entire_slice(&mut self.body[start..]);
        debug_assert!(whole.is_ok());
        self.join(start, cut);
        if cut & MORE > 0 {
            return true;
        }
        let range = RangeIndex(u32::try_from(b).unwrap_or(u32::MAX));
        let sealed = |period| Sealed { period, number: a, range, records: c, starved: d };
        match kind {
            FAST => take(Told::Block(sealed(Period::Fast), &self.body)),
            LONG => take(Told::Block(sealed(Period::Long), &self.body)),
            _ => take(Told::Closed { epoch: Epoch(a), next: Epoch(b), site: Site::from_words(&self.body) }),
        }
        self.body.clear();
        self.latest = 0;
        true
    }

    /// A part came, whose words begin at `start`: of a stat that was cut its two pieces become one.
    fn join(&mut self, start: usize, cut: u64) {
        if cut & CONTINUES > 0 && start < self.body.len() {
            let more = self.body.remove(start);
            self.body[self.latest] += more;
        }
        if cut & MORE == 0 {
            return;
        }
        loop {
            let behind = self.latest + 1 + usize::try_from(self.body[self.latest]).unwrap_or(usize::MAX / 2);
            if behind >= self.body.len() {
                break;
            }
            self.latest = behind;
        }
    }

    /// Whether its core is gone and all was read.
    pub fn is_over(&self) -> bool {
        self.from.is_abandoned() && self.from.is_empty()
    }
}
