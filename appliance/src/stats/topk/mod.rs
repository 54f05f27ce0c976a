//! `topk`: the keys with the largest share of a metric.
//!
//! A range starts with a small exact table that doubles as keys come. Beyond `max(4k, 128)` keys it becomes buckets of
//! eight cells with decaying scores (after HeavyGuardian, Yang et al., 2018), halved with time so that old keys cannot
//! lock new ones out. Each bucket keeps U, the sum of everything that it did not count: a cell admitted when its bucket
//! had missed U holds a truth within [c, c + U], and no key outside the table is above U. Nothing is lost: the sum over
//! all cells and all U is the sum over all packets.

use super::columns::{Row, View};
use super::pool::{Handle, Memory, Pool};
use super::weighted::{self, Weighted};
use super::{Calculation, Context, Exhausted, Kernel, Summary, settings};
use crate::arch::hash::spread;
use crate::axes::{Key, Metric};
use crate::config::{Refusal, StatSpec};
use crate::limits::{KEY_BYTES_MAX, TOP_K_MAX};

mod layout;
mod summary;

use layout::{Layout, WAYS, key_words, miss, miss_sum, unseen_of};
use summary::TopSummary;

/// Keys shown where the row says nothing.
const K_DEFAULT: u64 = 20;
/// Keys kept exactly, at least.
const EXACT_KEYS_MIN: usize = 128;
/// Slots of the first table.
const SLOTS_MIN: usize = 8;
/// Misses of a bucket after which its scores are halved.
const AGEING_MISSES: u64 = 4_096;
/// A victim that holds more than one in so many of what its bucket missed gets a second chance.
const SECOND_CHANCE_SHARE: u64 = 96;
/// Root: chunk, state; then what was never admitted, then the whole.
const ROOT_HEAD_WORDS: usize = 2;
/// State: the table is buckets.
const BUCKETS: u64 = 1 << 63;
/// Tag of a cell in use; the lowest byte is its score.
const IN_USE: u64 = 1 << 8;
/// The part of a tag that is the key's hash.
const TAG_HASH: u64 = !0xFFF;
/// The widest cell.
const CELL_WORDS_MAX: usize = 1 + KEY_BYTES_MAX.div_ceil(8) + weighted::SAMPLED_WORDS + 3;

/// The calculation.
pub struct TopK;

impl Calculation for TopK {
    fn name(&self) -> &'static str {
        "topk"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["k"]
    }

    fn compile(&self, spec: &StatSpec, context: &Context) -> Result<Box<dyn Kernel>, Refusal> {
        if spec.key.single() == Some(Key::None) {
            return Err(settings::refusal("key", "`topk` ranks keys: name one, such as \"src_ip\""));
        }
        if spec.metric == Metric::Flows {
            return Err(settings::refusal("metric", "`flows` goes with `sum` only"));
        }
        let k = settings::integer(spec, "k", K_DEFAULT, 1..=TOP_K_MAX as u64)?;
        let k = usize::try_from(k).unwrap_or(TOP_K_MAX);
        let layout = Layout::new(spec.key.width(context.family), context.sampled());
        let exact_keys = (4 * k).max(EXACT_KEYS_MIN);
        let buckets = (2 * exact_keys / WAYS).next_power_of_two();
        let by_bytes = spec.metric == Metric::Bytes;
        Ok(Box::new(TopKernel { spec: spec.key.clone(), context: *context, k, layout, exact_keys, buckets, by_bytes }))
    }
}

/// Bucket of a hash, or of a tag, which holds its upper bits.
#[allow(clippy::cast_possible_truncation, reason = "a few bits")]
const fn bucket_of(hash: u64, buckets: usize) -> usize {
    (hash >> 44) as usize & (buckets - 1)
}

/// 2^32 · 1.08^-score: how likely a miss takes a point from that score.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^32")]
const DECAY: [u64; 256] = {
    let mut table = [0; 256];
    let (mut i, mut p) = (0, 4_294_967_296.0_f64);
    while i < 256 {
        table[i] = p as u64;
        p /= 1.08;
        i += 1;
    }
    table
};

struct TopKernel {
    spec: crate::axes::KeySpec,
    context: Context,
    k: usize,
    layout: Layout,
    exact_keys: usize,
    buckets: usize,
    by_bytes: bool,
}

impl TopKernel {
    /// Words of the root behind its head: what was never admitted, and the whole.
    fn tail<'a>(&self, root: &'a mut [u64]) -> (&'a mut [u64], &'a mut [u64]) {
        root[ROOT_HEAD_WORDS..].split_at_mut(self.layout.unseen)
    }

    /// How much a packet moves a score: packets, or units of 256 bytes.
    fn units(&self, row: &Row<'_>) -> u64 {
        let units = if self.by_bytes { row.value / 256 + 1 } else { 1 };
        (units * row.weight).min(64)
    }

    fn count(&self, root: &mut [u64], memory: &mut Memory<'_>, row: &Row<'_>) {
        let mut key = [0; KEY_BYTES_MAX.div_ceil(8)];
        let key = &mut key[..self.layout.key];
        key_words(row.key, key);
        if root[1] & BUCKETS == 0 && self.count_exactly(root, memory, row, key) {
            return;
        }
        if root[1] & BUCKETS != 0 {
            let buckets = memory.pool.get_mut(Handle::from_word(root[0]));
            let at = bucket_of(row.hash, self.buckets) * self.layout.bucket();
            self.count_in(&mut buckets[at..at + self.layout.bucket()], row, key);
        } else {
            miss(self.tail(root).0, row);
        }
    }

    /// Counts in the exact table, which grows. False if there is no room, or buckets took its place.
    fn count_exactly(&self, root: &mut [u64], memory: &mut Memory<'_>, row: &Row<'_>, key: &[u64]) -> bool {
        let cell_words = self.layout.cell();
        if root[0] == 0 {
            let Some(handle) = memory.alloc(SLOTS_MIN * cell_words) else { return false };
            (root[0], root[1]) = (handle.word(), (SLOTS_MIN as u64) << 32);
        }
        let (slots, used) = ((root[1] >> 32) as usize, (root[1] & 0xFFFF_FFFF) as usize);
        let table = memory.pool.get_mut(Handle::from_word(root[0]));
        let tag = row.hash & TAG_HASH | IN_USE;
        let at = self.find(table, slots, tag, key);
        let cell = &mut table[at..at + cell_words];
        if cell[0] != 0 {
            weighted::add(self.layout.cell_sum_mut(cell), row.value, row.weight, row.proven);
            return true;
        }
        if used < self.exact_keys && (used + 1) * 2 <= slots {
            let tail = &root[ROOT_HEAD_WORDS..ROOT_HEAD_WORDS + self.layout.unseen];
            self.layout.write(cell, tag, key, row, tail);
            root[1] += 1;
            return true;
        }
        let moved = if used < self.exact_keys { self.grow(root, memory, slots) } else { self.turn(root, memory, slots) };
        moved && root[1] & BUCKETS == 0 && self.count_exactly(root, memory, row, key)
    }

    /// First word of a key's cell in the exact table, or of the free cell where it belongs.
    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    fn find(&self, table: &[u64], slots: usize, tag: u64, key: &[u64]) -> usize {
        let cell_words = self.layout.cell();
        let mut slot = (tag >> 20) as usize & (slots - 1);
        loop {
            let at = slot * cell_words;
            if table[at] == 0 || self.layout.cell_is(&table[at..at + cell_words], tag, key) {
                return at;
            }
            slot = (slot + 1) & (slots - 1);
        }
    }

    /// Doubles the exact table.
    fn grow(&self, root: &mut [u64], memory: &mut Memory<'_>, slots: usize) -> bool {
        let (cell_words, old) = (self.layout.cell(), Handle::from_word(root[0]));
        let Some(new) = memory.alloc(2 * slots * cell_words) else { return false };
        let mut cell = [0; CELL_WORDS_MAX];
        let cell = &mut cell[..cell_words];
        for slot in 0..slots {
            cell.copy_from_slice(&memory.pool.get(old)[slot * cell_words..][..cell_words]);
            if cell[0] != 0 {
                let table = memory.pool.get_mut(new);
                let at = self.find(table, 2 * slots, cell[0] & !0xFF, &cell[1..=self.layout.key]);
                table[at..at + cell_words].copy_from_slice(cell);
            }
        }
        memory.pool.free(old);
        root[0] = new.word();
        root[1] += (slots as u64) << 32;
        true
    }

    /// Makes buckets of the exact table.
    fn turn(&self, root: &mut [u64], memory: &mut Memory<'_>, slots: usize) -> bool {
        let (cell_words, old) = (self.layout.cell(), Handle::from_word(root[0]));
        let Some(new) = memory.alloc(self.buckets * self.layout.bucket()) else { return false };
        let mut cell = [0; CELL_WORDS_MAX];
        let cell = &mut cell[..cell_words];
        for slot in 0..slots {
            cell.copy_from_slice(&memory.pool.get(old)[slot * cell_words..][..cell_words]);
            if cell[0] != 0 {
                let at = bucket_of(cell[0], self.buckets) * self.layout.bucket();
                self.settle(&mut memory.pool.get_mut(new)[at..at + self.layout.bucket()], cell);
            }
        }
        memory.pool.free(old);
        (root[0], root[1]) = (new.word(), BUCKETS);
        // What found no room before may be any key's: each bucket's U starts with it.
        let tail = &mut root[ROOT_HEAD_WORDS..ROOT_HEAD_WORDS + self.layout.unseen];
        for bucket in memory.pool.get_mut(new).chunks_exact_mut(self.layout.bucket()).take(self.buckets) {
            miss_sum(&mut bucket[..self.layout.unseen], &Weighted { passed: tail[0], ..Weighted::default() });
            if let ([_, scaled, packets], [_, more_scaled, more_packets]) = (&mut bucket[..self.layout.unseen], &*tail) {
                (*scaled, *packets) = (*scaled + more_scaled, *packets + more_packets);
            }
        }
        tail.fill(0);
        true
    }

    /// Puts a cell of the exact table into its bucket, or the lightest one there into U.
    fn settle(&self, bucket: &mut [u64], cell: &mut [u64]) {
        let layout = self.layout;
        let weight = |cell: &[u64]| if cell[0] == 0 { 0 } else { Weighted::from_words(layout.cell_sum(cell)).total() };
        let points = weight(cell) / if self.by_bytes { 256 } else { 1 };
        cell[0] = cell[0] & !0xFF | points.min(255);
        let (head, cells) = bucket.split_at_mut(layout.unseen + 1);
        let Some(least) = cells.chunks_exact_mut(layout.cell()).min_by_key(|c| weight(c)) else { return };
        let out = if least[0] == 0 {
            least.copy_from_slice(cell);
            return;
        } else if weight(least) < weight(cell) {
            least.swap_with_slice(cell);
            &*cell
        } else {
            &*cell
        };
        miss_sum(&mut head[..layout.unseen], &Weighted::from_words(layout.cell_sum(out)));
    }

    /// Counts in a bucket.
    fn count_in(&self, bucket: &mut [u64], row: &Row<'_>, key: &[u64]) {
        let layout = self.layout;
        let (head, cells) = bucket.split_at_mut(layout.unseen + 1);
        let tag = row.hash & TAG_HASH | IN_USE;
        let units = self.units(row);
        let mut free = None;
        for (i, cell) in cells.chunks_exact_mut(layout.cell()).enumerate() {
            if layout.cell_is(cell, tag, key) {
                cell[0] += units.min(0xFF - (cell[0] & 0xFF));
                weighted::add(layout.cell_sum_mut(cell), row.value, row.weight, row.proven);
                return;
            }
            if cell[0] == 0 && free.is_none() {
                free = Some(i);
            }
        }
        let at = match free {
            Some(i) => i,
            None => match self.contest(head, cells, row, units) {
                Some(i) => i,
                None => return miss(&mut head[..layout.unseen], row),
            },
        };
        let cell = &mut cells[at * layout.cell()..(at + 1) * layout.cell()];
        let evicted = (cell[0] != 0).then(|| Weighted::from_words(layout.cell_sum(cell)));
        layout.write(cell, tag | units, key, row, &head[..layout.unseen]);
        if let Some(sum) = evicted {
            miss_sum(&mut head[..layout.unseen], &sum);
        }
    }

    /// A new key against the weakest of a full bucket: the cell that it may take.
    fn contest(&self, head: &mut [u64], cells: &mut [u64], row: &Row<'_>, units: u64) -> Option<usize> {
        let layout = self.layout;
        let misses = head[layout.unseen] + 1;
        head[layout.unseen] = misses;
        if misses.is_multiple_of(AGEING_MISSES) {
            cells.chunks_exact_mut(layout.cell()).for_each(|c| c[0] = (c[0] & !0xFF) | ((c[0] & 0xFF) / 2));
        }
        let (at, cell) = cells.chunks_exact_mut(layout.cell()).enumerate().min_by_key(|(_, c)| c[0] & 0xFF)?;
        let score = cell[0] & 0xFF;
        // Drawn from the keyed hash and the bucket's own count: the same packets in the same order decide alike.
        let draw = spread(row.hash ^ misses.wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 32;
        if draw >= DECAY[score as usize & 0xFF].saturating_mul(units) {
            return None;
        }
        cell[0] -= score.min(1);
        if score > 1 {
            return None;
        }
        let unseen = unseen_of(&head[..layout.unseen]);
        let missed = unseen.passed.saturating_add(unseen.scaled);
        let held = Weighted::from_words(layout.cell_sum(cell)).total();
        if score == 1 && held.saturating_mul(SECOND_CHANCE_SHARE) > missed {
            cell[0] += 2;
            return None;
        }
        Some(at)
    }
}

impl Kernel for TopKernel {
    fn root_words(&self) -> usize {
        ROOT_HEAD_WORDS + self.layout.unseen + self.layout.sum
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        for row in view.rows() {
            weighted::add(self.tail(root).1, row.value, row.weight, row.proven);
            self.count(root, memory, &row);
        }
        Ok(())
    }

    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        let in_buckets = root[1] & BUCKETS != 0;
        out.push(u64::from(in_buckets));
        out.extend_from_slice(&root[ROOT_HEAD_WORDS..]);
        if root[0] == 0 {
            return;
        }
        let chunk = pool.get(Handle::from_word(root[0]));
        let layout = self.layout;
        let used = |cells: &[u64], out: &mut Vec<u64>| {
            cells.chunks_exact(layout.cell()).filter(|cell| cell[0] != 0).for_each(|cell| out.extend_from_slice(cell));
        };
        if !in_buckets {
            let slots = (root[1] >> 32 & 0x7FFF_FFFF) as usize;
            return used(&chunk[..slots * layout.cell()], out);
        }
        let buckets = chunk[..self.buckets * layout.bucket()].chunks_exact(layout.bucket());
        buckets.clone().for_each(|bucket| out.extend_from_slice(&bucket[..layout.unseen]));
        buckets.for_each(|bucket| used(&bucket[layout.unseen + 1..], out));
    }

    fn export_words_max(&self) -> usize {
        let cells = self.buckets * WAYS * self.layout.cell();
        1 + self.layout.unseen + self.layout.sum + self.buckets * self.layout.unseen + cells
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        pool.free(Handle::from_word(root[0]));
    }

    fn summary(&self) -> Box<dyn Summary> {
        Box::new(TopSummary::new(self.spec.clone(), self.context.family, self.k, self.layout, self.buckets))
    }
}
