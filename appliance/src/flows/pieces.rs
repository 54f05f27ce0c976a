//! Datagrams that come in pieces, put together within bounds of time, bytes and number; what is given up is counted.
//!
//! An id of IPv4 has 16 bits: who sends 2,200 datagrams a second in pieces has used them all within 30 s, and a piece whose others were
//! lost would join those of another datagram (RFC 4963). So pieces have an age, those that overlap are given up with their datagram
//! (RFC 5722), and who can tell a datagram by its checksum judges what was joined.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use super::flow::Address;
use crate::limits::{DATAGRAM_FRAGMENTS_MAX, DATAGRAM_PIECES_BYTES_MAX, DATAGRAM_PIECES_NS_MAX, DATAGRAMS_IN_PIECES_MAX};

/// Whose pieces they are: source, destination, id. Of IPv4 only UDP's are taken, so the protocol need not be here.
pub(super) type PieceKey = (Address, Address, u32);

/// What IP carries ends here at the latest.
const BODY_BYTES_MAX: usize = 65_535;
/// What a datagram takes beside its pieces: its places in two tables, about.
const UPKEEP_BYTES: usize = 320;

/// One piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// Where it stands in the datagram, bytes.
    pub(super) offset: usize,
    /// Another one is behind it.
    pub(super) more: bool,
    /// What the first piece says that the datagram is.
    pub(super) protocol: u8,
    pub(super) body: &'a [u8],
}

/// What is said of a datagram by its first piece, or by all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is wanted.
    Ours,
    /// Nobody asked for it.
    Others,
    /// It cannot have been sent so.
    Broken,
    /// The first piece does not tell.
    Unknown,
}

/// Asked of the first piece, and of the whole (`true`): protocol and bytes.
pub(super) type Judge<'a> = dyn Fn(u8, &[u8], bool) -> Verdict + 'a;

/// Datagrams in pieces, since the start: begun = joined + others + incomplete + waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PieceCounts {
    /// Of which a piece came.
    pub(super) begun: u64,
    /// Put together.
    pub(super) joined: u64,
    /// Of which the first piece, or the whole, said that nobody asked for them.
    pub(super) others: u64,
    /// Given up.
    pub(super) incomplete: u64,
    /// That wait now.
    pub(super) waiting: u64,
    /// Pieces (not datagrams) that came again.
    pub(super) copies: u64,
}

#[derive(Debug)]
struct Part {
    from: usize,
    to: usize,
    more: bool,
    /// Of its bytes: they are gone once the datagram is settled, and a copy is still known.
    print: u64,
    body: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Joined,
    Others,
}

#[derive(Debug)]
struct Known {
    serial: u64,
    began_ns: u64,
    state: State,
    protocol: u8,
    end: Option<usize>,
    /// In their order, none within another.
    parts: Vec<Part>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    known: HashMap<PieceKey, Known>,
    /// The same by when they began, the oldest first.
    order: BTreeMap<u64, PieceKey>,
    serial: u64,
    /// That all of it takes.
    bytes: usize,
    counts: PieceCounts,
    prints: RandomState,
}

impl Pieces {
    /// Takes a piece that came at this time; the datagram that it completes, if that is wanted: its protocol and bytes.
    pub(super) fn take(&mut self, key: PieceKey, piece: Piece<'_>, time_ns: u64, judge: &Judge<'_>) -> Option<(u8, Vec<u8>)> {
        self.turn(time_ns);
        let print = self.prints.hash_one(piece.body);
        if self.is_settled(&key, (&piece, print), time_ns) {
            return None;
        }
        self.make_room(&key, piece.body.len() + size_of::<Part>());
        let known = self.begin(key, time_ns);
        if !known.add(&piece, print) {
            self.forget(&key);
            return None;
        }
        if piece.offset == 0 {
            known.protocol = piece.protocol;
        }
        self.bytes += piece.body.len() + size_of::<Part>();
        self.judged(&key, &piece, judge)
    }

    /// It is so late: what began too long before is given up. A time that went back is no reason to keep it.
    pub(super) fn turn(&mut self, now_ns: u64) {
        while let Some((_, key)) = self.order.first_key_value()
            && self.known.get(key).is_none_or(|known| known.is_old(now_ns))
        {
            self.forget_first();
        }
    }

    /// Nothing more will come.
    pub(super) fn end(&mut self) {
        while self.forget_first() {}
    }

    pub(super) const fn counts(&self) -> PieceCounts {
        self.counts
    }

    /// Whether this piece came already, or is of what nobody asked for. What had its id before and is settled, or too old, is forgotten.
    fn is_settled(&mut self, key: &PieceKey, (piece, print): (&Piece<'_>, u64), time_ns: u64) -> bool {
        let Some(known) = self.known.get(key) else { return false };
        let (is_old, state) = (known.is_old(time_ns), known.state);
        let is_copy = !is_old && known.has(piece, print);
        self.counts.copies += u64::from(is_copy && state != State::Others);
        // Another first piece is of another datagram; of a later one nobody knows.
        let is_settled = is_copy || !is_old && state == State::Others && piece.offset > 0;
        if !is_settled && (is_old || state != State::Waiting) {
            self.forget(key);
        }
        is_settled
    }

    /// The oldest go, until there is room.
    fn make_room(&mut self, key: &PieceKey, bytes: usize) {
        let bytes = bytes + UPKEEP_BYTES;
        while self.bytes + bytes > DATAGRAM_PIECES_BYTES_MAX || self.known.len() >= DATAGRAMS_IN_PIECES_MAX && !self.known.contains_key(key)
        {
            if !self.forget_first() {
                break;
            }
        }
    }

    fn begin(&mut self, key: PieceKey, time_ns: u64) -> &mut Known {
        let Self { known, order, serial, bytes, counts, .. } = self;
        known.entry(key).or_insert_with(|| {
            *serial += 1;
            order.insert(*serial, key);
            *bytes += UPKEEP_BYTES;
            (counts.begun, counts.waiting) = (counts.begun + 1, counts.waiting + 1);
            Known { serial: *serial, began_ns: time_ns, state: State::Waiting, protocol: 0, end: None, parts: Vec::new() }
        })
    }

    /// What a piece that was added makes of its datagram.
    fn judged(&mut self, key: &PieceKey, piece: &Piece<'_>, judge: &Judge<'_>) -> Option<(u8, Vec<u8>)> {
        let first = if piece.offset == 0 { judge(piece.protocol, piece.body, false) } else { Verdict::Unknown };
        let known = self.known.get(key)?;
        let (verdict, whole) = match first {
            Verdict::Others | Verdict::Broken => (first, (0, Vec::new())),
            Verdict::Ours | Verdict::Unknown => {
                let whole = known.whole()?;
                (judge(known.protocol, &whole, true), (known.protocol, whole))
            }
        };
        match verdict {
            Verdict::Ours => {
                self.settle(key, State::Joined);
                Some(whole)
            }
            Verdict::Others => {
                self.settle(key, State::Others);
                None
            }
            Verdict::Broken | Verdict::Unknown => {
                self.forget(key);
                None
            }
        }
    }

    /// Nothing of it is waited for; what comes again of it is still known.
    fn settle(&mut self, key: &PieceKey, state: State) {
        let Some(known) = self.known.get_mut(key) else { return };
        known.state = state;
        for part in &mut known.parts {
            self.bytes -= part.body.len();
            part.body = Box::default();
        }
        self.counts.waiting -= 1;
        match state {
            State::Joined => self.counts.joined += 1,
            State::Others | State::Waiting => self.counts.others += 1,
        }
    }

    /// Forgets what began first; false: there is nothing.
    fn forget_first(&mut self) -> bool {
        let first = self.order.pop_first();
        first.iter().for_each(|(_, key)| self.forget(key));
        first.is_some()
    }

    /// Forgets it; if it waited it is given up.
    fn forget(&mut self, key: &PieceKey) {
        let Some(known) = self.known.remove(key) else { return };
        self.order.remove(&known.serial);
        self.bytes -= UPKEEP_BYTES + known.parts.iter().map(|part| part.body.len() + size_of::<Part>()).sum::<usize>();
        if known.state == State::Waiting {
            self.counts.waiting -= 1;
            self.counts.incomplete += 1;
        }
    }
}

impl Known {
    const fn is_old(&self, now_ns: u64) -> bool {
        now_ns.abs_diff(self.began_ns) > DATAGRAM_PIECES_NS_MAX
    }

    /// Whether this very piece came already: mirrors and networks repeat packets (RFC 8200, 4.5).
    fn has(&self, piece: &Piece<'_>, print: u64) -> bool {
        let is_it =
            |part: &Part| (part.from, part.to, part.more, part.print) == (piece.offset, piece.offset + piece.body.len(), piece.more, print);
        self.parts.iter().any(is_it)
    }

    /// Puts a piece to the others. False, and nothing is added: they cannot be of one datagram, or are too many.
    fn add(&mut self, piece: &Piece<'_>, print: u64) -> bool {
        let (from, to) = (piece.offset, piece.offset + piece.body.len());
        // Of what is not the last all but a multiple of eight bytes would leave a hole.
        let is_odd = piece.more && (piece.body.is_empty() || !piece.body.len().is_multiple_of(8));
        let at = self.parts.partition_point(|part| part.from < from);
        let overlaps = at.checked_sub(1).and_then(|before| self.parts.get(before)).is_some_and(|before| before.to > from)
            || self.parts.get(at).is_some_and(|behind| behind.from < to);
        let end = if piece.more { self.end } else { Some(to) };
        let is_beyond =
            self.end.is_some_and(|end| !piece.more || to > end) || end.zip(self.parts.last()).is_some_and(|(end, last)| last.to > end);
        if is_odd || overlaps || is_beyond || to > BODY_BYTES_MAX || self.parts.len() >= DATAGRAM_FRAGMENTS_MAX {
            return false;
        }
        self.end = end;
        self.parts.insert(at, Part { from, to, more: piece.more, print, body: piece.body.into() });
        true
    }

    /// All of it, if nothing is missing: no part is within another, so their lengths tell.
    fn whole(&self) -> Option<Vec<u8>> {
        let held: usize = self.parts.iter().map(|part| part.body.len()).sum();
        if self.end != Some(held) {
            return None;
        }
        let mut whole = Vec::with_capacity(held);
        self.parts.iter().for_each(|part| whole.extend_from_slice(&part.body));
        Some(whole)
    }
}
