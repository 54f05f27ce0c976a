//! A batch turned on its side: one column a key, one a metric, one mask a condition, each computed once for all stats.
//!
//! A batch has at most 64 records, so that any choice among them is one word.

mod kept;
mod key;
mod lies;

use super::told::Told;
use super::values::Tally;
use super::weights::Weights;
use crate::axes::key::number;
use crate::limits::BATCH_RECORDS_MAX;

pub use super::values::ValueColumn;
pub use key::{KeyColumn, Read};
pub(super) use lies::Lies;

/// A mask of the first `n` records.
pub const fn first(n: usize) -> u64 {
    if n >= BATCH_RECORDS_MAX { u64::MAX } else { (1 << n) - 1 }
}

/// What one stat sees of a batch: its key, its metric, and which records count.
#[derive(Clone, Copy)]
pub struct View<'a> {
    keys: &'a KeyColumn,
    values: &'a ValueColumn,
    weights: &'a Weights,
    selected: u64,
    group: usize,
    /// Of those that count, a kernel that may leave some out looks at these.
    kept: u64,
    /// log2 of how many records stand behind each that is looked at, about; 0: all are.
    shed: u32,
    beside: Option<&'a Beside<'a>>,
}

/// What only some kernels ask for.
#[derive(Clone, Copy, Default)]
pub struct Beside<'a> {
    /// A further key of each record.
    pub other: Option<&'a KeyColumn>,
    /// When each record was received, nanoseconds since 1970.
    pub times_ns: &'a [u64],
    /// When the stat's window started.
    pub start_ns: u64,
}

/// One record that counts.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The key's bytes.
    pub key: &'a [u8],
    /// Their keyed hash; of an empty key, meaningless.
    pub hash: u64,
    /// What the packet adds, at least 1.
    pub value: u64,
    /// How many packets it stands for, at least 1.
    pub weight: u64,
    /// How many such packets the row is, at least 1; of packets always 1, of flow records perhaps more.
    pub times: u64,
    /// Whether its weight can be relied on: it was sampled at random, or not at all.
    pub proven: bool,
}

impl Row<'_> {
    /// Whether the packet stands for others, or may.
    #[inline]
    pub const fn is_sampled(&self) -> bool {
        self.weight > 1 || !self.proven
    }
}

impl<'a> View<'a> {
    /// Of those among `selected` that have the key and add something. Of a stat that selects the records of this group, which is
    /// not zero, and keeps them for the same time as others of it.
    #[inline]
    pub(super) const fn new(keys: &'a KeyColumn, values: &'a ValueColumn, weights: &'a Weights, (group, selected): (usize, u64)) -> Self {
        let selected = selected & keys.present & values.nonzero();
        Self { keys, values, weights, selected, group, kept: u64::MAX, shed: 0, beside: None }
    }

    /// With what its kernel asks for beside. Records that lack the further key do not count.
    #[must_use]
    pub(super) fn with(mut self, beside: &'a Beside<'a>) -> Self {
        self.selected &= beside.other.map_or(u64::MAX, |column| column.present);
        self.beside = Some(beside);
        self
    }

    /// Start of the stat's window, nanoseconds since 1970; only for calculations that read times.
    pub fn start_ns(&self) -> u64 {
        self.beside.map_or(0, |beside| beside.start_ns)
    }

    /// When a record was received, by its place in the batch; only for calculations that read times.
    pub fn time_ns(&self, at: usize) -> u64 {
        self.beside.map_or(0, |beside| beside.times_ns.get(at).copied().unwrap_or(beside.start_ns))
    }

    /// A record's further key and its keyed hash; only for calculations that ask for one.
    pub fn other(&self, at: usize) -> (&'a [u8], u64) {
        self.beside.and_then(|beside| beside.other).map_or((&[], 0), |column| (column.key(at), column.hashes[at]))
    }

    /// Whether no record counts.
    pub const fn is_empty(&self) -> bool {
        self.selected == 0
    }

    /// Whether a record that counts stands for others, or may.
    pub const fn any_sampled(&self) -> bool {
        self.selected & self.weights.sampled != 0
    }

    /// Whether a record counts whose weight cannot be relied on.
    pub const fn any_unproven(&self) -> bool {
        self.selected & !self.weights.proven != 0
    }

    /// How many packets count that stand for others, or may; or how many that stand for themselves.
    pub fn count(&self, sampled: bool) -> u64 {
        let of = self.selected & if sampled { self.weights.sampled } else { !self.weights.sampled };
        let more: u64 = places(self.several_of(of)).map(|at| self.times(at) - 1).sum();
        u64::from(of.count_ones()) + more
    }

    /// What the metric adds up to over the records that count, of which there is one at least.
    pub(super) fn tally(&self) -> Tally {
        self.values.tally(self.plain_of(self.selected), self.sampled_of(self.selected), self.weights)
    }

    /// The bytes of the records' keys, which have one each.
    pub(super) fn key_bytes(&self) -> Option<&'a [u8; BATCH_RECORDS_MAX]> {
        self.keys.bytes.first_chunk().filter(|_| self.keys.width == 1)
    }

    /// What a record's head is to be shifted by to be its key's number, which has at most four bytes; none: it has more.
    pub(super) const fn head_shift(&self) -> Option<u32> {
        match self.keys.width {
            1 => Some(24),
            2 => Some(16),
            3 => Some(8),
            4 => Some(0),
            _ => None,
        }
    }

    /// Those that count and stand for others, or may.
    #[must_use]
    pub const fn sampled(mut self) -> Self {
        self.selected &= self.weights.sampled;
        self
    }

    /// Those that count and stand for themselves.
    #[must_use]
    pub const fn plain(mut self) -> Self {
        self.selected &= !self.weights.sampled;
        self
    }

    /// The records that count: a bit for each place in the batch.
    #[inline]
    pub const fn selected(&self) -> u64 {
        self.selected
    }

    /// Those of these records that stand for others, or may.
    #[inline]
    pub const fn sampled_of(&self, records: u64) -> u64 {
        records & self.weights.sampled
    }

    /// Those of these records that stand for themselves.
    #[inline]
    pub const fn plain_of(&self, records: u64) -> u64 {
        records & !self.weights.sampled
    }

    /// A record that stands for itself, without its key and hash.
    #[inline]
    pub const fn plain_row(&self, at: usize) -> Row<'static> {
        Row { key: &[], hash: 0, value: self.value(at), weight: 1, times: self.times(at), proven: true }
    }

    /// How many keys these records have, at least: hardly less, if they are few.
    #[allow(clippy::cast_possible_truncation, reason = "below the number of bits")]
    pub(super) fn distinct_least(&self, records: u64) -> usize {
        const BITS: u64 = 1_024;
        let (of, least) = self.keys.told.least.get();
        if of == records {
            return least;
        }
        let mut seen = [0_u64; (BITS / 64) as usize];
        for at in places(records) {
            let bit = self.hash(at) >> 20 & (BITS - 1);
            seen[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        let least = seen.iter().map(|word| word.count_ones() as usize).sum();
        self.keys.told.least.set((records, least));
        least
    }

    /// What kernels that read this key tell each other.
    #[inline]
    pub(super) const fn told(&self) -> &'a Told {
        &self.keys.told
    }

    /// Tells of those records whose keys came before, in this window and among the records that the stat selects.
    #[inline]
    pub(super) fn know(&self, rows: u64) {
        self.keys.told.know(self.group, rows);
    }

    /// Records whose keys came before, as far as a kernel that selects the same ones told. A kernel may ask that counts all of
    /// them, whatever they add.
    #[inline]
    pub(super) fn known(&self) -> u64 {
        let (group, known) = self.keys.told.known.get();
        if group == self.group { known } else { 0 }
    }

    /// Places in the batch of the records that count.
    #[inline]
    pub fn places(&self) -> impl Iterator<Item = usize> + use<> {
        places(self.selected)
    }

    /// A record's key.
    #[inline]
    pub fn key(&self, at: usize) -> &'a [u8] {
        self.keys.key(at)
    }

    /// A record's keyed hash.
    #[inline]
    pub const fn hash(&self, at: usize) -> u64 {
        self.keys.hashes[at % BATCH_RECORDS_MAX]
    }

    /// Hashes of all records, whether they count or not.
    pub(super) const fn hashes(&self) -> &'a [u64; BATCH_RECORDS_MAX] {
        &self.keys.hashes
    }

    /// The four bytes of all records' keys, see [`Self::head`].
    pub(super) const fn heads(&self) -> &'a [u32; BATCH_RECORDS_MAX] {
        &self.keys.heads
    }

    /// How many packets a record stands for.
    #[inline]
    pub(super) const fn weight(&self, at: usize) -> u16 {
        self.weights.weights[at % BATCH_RECORDS_MAX]
    }

    /// How many such packets a record is.
    #[inline]
    pub(super) const fn times(&self, at: usize) -> u64 {
        self.weights.times[at % BATCH_RECORDS_MAX]
    }

    /// Those of these records that are several alike: of packets none.
    #[inline]
    pub(super) const fn several_of(&self, records: u64) -> u64 {
        records & self.weights.several
    }

    /// What a record adds.
    #[inline]
    pub const fn value(&self, at: usize) -> u64 {
        self.values.at(at % BATCH_RECORDS_MAX)
    }

    /// The same, as it is kept.
    #[inline]
    pub(super) const fn small_value(&self, at: usize) -> u32 {
        self.values.small_at(at % BATCH_RECORDS_MAX)
    }

    /// Whether a record stands for others, or may.
    #[inline]
    pub const fn is_sampled(&self, at: usize) -> bool {
        self.weights.sampled >> (at % BATCH_RECORDS_MAX) & 1 == 1
    }

    /// A record's key as a number.
    #[inline]
    pub fn number(&self, at: usize) -> u64 {
        match self.keys.width {
            width @ 1..=4 => u64::from(self.head(at) >> (32 - 8 * width)),
            _ => number(self.keys.key(at)),
        }
    }

    /// The four bytes of a record's key as a big-endian number; of a shorter one, its bytes and then zeros.
    #[inline]
    pub const fn head(&self, at: usize) -> u32 {
        self.keys.heads[at % BATCH_RECORDS_MAX]
    }

    /// The records that count, in order.
    #[inline]
    pub fn rows(self) -> impl Iterator<Item = Row<'a>> {
        self.placed().map(|(_, row)| row)
    }

    /// The same, each with its place in the batch.
    #[inline]
    pub fn placed(self) -> impl Iterator<Item = (usize, Row<'a>)> {
        places(self.selected).map(move |at| (at, self.row(at)))
    }

    /// The record at a place.
    #[inline]
    pub fn row(&self, at: usize) -> Row<'a> {
        Row { key: self.keys.key(at), ..self.row_without_key(at) }
    }

    /// The same, its key left out.
    #[inline]
    pub const fn row_without_key(&self, at: usize) -> Row<'a> {
        let (value, weight) = (self.value(at), self.weights.weights[at % BATCH_RECORDS_MAX] as u64);
        let proven = self.weights.proven >> (at % BATCH_RECORDS_MAX) & 1 == 1;
        Row { key: &[], hash: self.hash(at), value, weight, times: self.times(at), proven }
    }
}

/// Places of the bits that are set, ascending.
#[inline]
pub(super) fn places(mask: u64) -> impl Iterator<Item = usize> {
    let mut left = mask;
    std::iter::from_fn(move || {
        let at = left.trailing_zeros() as usize;
        left &= left.wrapping_sub(1);
        (at < BATCH_RECORDS_MAX).then_some(at)
    })
}
