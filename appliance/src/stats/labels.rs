//! Histograms over names: protocols, TCP flags, ICMP types. One bin a value, only of those seen.
//!
//! A range's table grows with the values that it sees, at most 65,536. A report lists the [`HISTOGRAM_LABELS_MAX`]
//! largest; the rest are one bin, `other`, so that the list does not depend on how packets were spread over shards. What
//! finds no place for want of memory is in `other` too, and the bounds of every bin say so.

use std::collections::BTreeMap;

use super::columns::View;
use super::figure::{Bin, BinOf, Figure, Unseen};
use super::interval::{Question, estimate, estimate_key};
use super::pool::{Handle, Memory, Pool};
use super::stretch::{Stretch, chunk};
use super::weighted::{SumLayout, Weighted};
use super::{Context, Exhausted, Kernel, Summary};
use crate::arch::lanes::{self, Lanes, Work};
use crate::axes::KeySpec;
use crate::config::StatSpec;
use crate::limits::{BATCH_RECORDS_MAX, HISTOGRAM_LABELS_MAX};
use crate::units::Family;

/// Labels that a table is made for at first.
const ENTRIES_MIN: usize = 4;
/// Root: chunk, number of entries; then the sum of what found no place.
const ROOT_HEAD_WORDS: usize = 2;

/// A kernel for a stat whose key is a name.
pub(super) fn kernel(spec: &StatSpec, context: &Context) -> Box<dyn Kernel> {
    let labels = 1 << (8 * spec.key.width(context.family)).min(16);
    let layout = SumLayout::of(context, spec.metric);
    let is_counted = layout.counts(spec.metric) && spec.key.width(context.family) == 1;
    Box::new(LabelKernel { key: spec.key.clone(), family: context.family, layout, labels, is_counted })
}

/// Entries stand in the order in which their labels came: a label is one word, its key plus one; then its sum.
struct LabelKernel {
    key: KeySpec,
    family: Family,
    layout: SumLayout,
    labels: usize,
    /// Labels are bytes, and packets count as one each: those of a batch are counted before their entries are looked for.
    is_counted: bool,
}

/// How often each label stands in a batch.
struct Counts {
    /// In the order in which they came.
    list: [Count; BATCH_RECORDS_MAX],
    len: usize,
}

#[derive(Clone, Copy, Default)]
struct Count {
    label: u8,
    /// Packets that stand for themselves, and those that do not.
    plain: u8,
    sampled: u8,
}

impl Count {
    /// To a sum that holds both kinds, or in one word all packets, where no sample stands for more than itself.
    #[inline(always)]
    fn add_to(self, sum: &mut [u64]) {
        let (plain, sampled) = (u64::from(self.plain), u64::from(self.sampled));
        match sum {
            [all] => *all = all.saturating_add(plain + sampled),
            [all, samples] => (*all, *samples) = (all.saturating_add(plain), samples.saturating_add(sampled)),
            _ => {}
        }
    }
}

/// Counts the labels of a batch, which are these bytes.
struct Counting<'a, 'v>(&'a View<'v>, &'a [u8; BATCH_RECORDS_MAX]);

impl Work for Counting<'_, '_> {
    type Out = Counts;

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "64 at most")]
    fn run<L: Lanes>(self, lanes: L) -> Counts {
        let Self(view, bytes) = self;
        let (mut left, mut counts) = (view.selected(), Counts { list: [Count::default(); BATCH_RECORDS_MAX], len: 0 });
        while left != 0 {
            let label = bytes[left.trailing_zeros() as usize % BATCH_RECORDS_MAX];
            let same = lanes.equal_bytes(bytes, label) & left;
            let (plain, sampled) = (view.plain_of(same).count_ones() as u8, view.sampled_of(same).count_ones() as u8);
            counts.list[counts.len % BATCH_RECORDS_MAX] = Count { label, plain, sampled };
            counts.len += 1;
            left ^= same;
        }
        counts
    }
}

impl LabelKernel {
    /// Adds the labels of a batch, each once.
    fn add_counted(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) {
        let Some(bytes) = view.key_bytes() else { return };
        let counts = lanes::run(Counting(view, bytes));
        let counts = &counts.list[..counts.len.min(BATCH_RECORDS_MAX)];
        let known = self.add_to_known(root, memory, counts);
        for (_, count) in counts.iter().enumerate().filter(|(at, _)| known >> at & 1 == 0) {
            let sum = match self.place(root, memory, u64::from(count.label) + 1) {
                Some(entry) => &mut memory.pool.get_mut(Handle::from_word(root[0]))[entry + 1..entry + self.entry_words()],
                None => &mut root[ROOT_HEAD_WORDS..],
            };
            count.add_to(sum);
        }
    }

    /// Adds labels that have entries, which are nearly all. Which they are: a bit each.
    fn add_to_known(&self, root: &[u64], memory: &mut Memory<'_>, counts: &[Count]) -> u64 {
        if root[0] == 0 {
            return 0;
        }
        let table = memory.pool.get_mut(Handle::from_word(root[0]));
        let (words, mask, mut known) = (self.entry_words(), self.slots(table.len()) - 1, 0);
        for (at, count) in counts.iter().enumerate() {
            let label = u64::from(count.label) + 1;
            let entry = Self::probe(table, label, words, mask);
            if let Some([have, sum @ ..]) = table.get_mut(entry..entry + words)
                && *have == label
            {
                count.add_to(sum);
                known |= 1 << at;
            }
        }
        known
    }

    fn entry_words(&self) -> usize {
        1 + self.layout.words()
    }

    /// First word of the slot of a label, or of the free one where it belongs.
    fn find(&self, table: &[u64], label: u64) -> usize {
        Self::probe(table, label, self.entry_words(), self.slots(table.len()) - 1)
    }

    /// The largest power of two of slots in so many words.
    fn slots(&self, words: usize) -> usize {
        let fit = words / self.entry_words();
        (fit / 2 + 1).next_power_of_two()
    }

    /// Makes room for one more entry. False: there is none.
    fn reserve(&self, root: &mut [u64], memory: &mut Memory<'_>) -> bool {
        let old = Handle::from_word(root[0]);
        if old.is_none() {
            root[0] = memory.alloc(2 * ENTRIES_MIN * self.entry_words()).unwrap_or_default().word();
            return root[0] != 0;
        }
        let (slots, used) = (self.slots(memory.pool.get(old).len()), usize::try_from(root[1]).unwrap_or(usize::MAX / 4));
        if (used + 1) * 2 <= slots || slots >= 2 * self.labels {
            return true;
        }
        let Some(new) = memory.alloc(2 * slots * self.entry_words()) else {
            // It fills up further, but one slot stays free: probing ends there.
            return used + 2 <= slots;
        };
        for slot in 0..slots {
            let mut entry = [0; 1 + SumLayout::WORDS_MAX];
            let entry = &mut entry[..self.entry_words()];
            entry.copy_from_slice(&memory.pool.get(old)[slot * self.entry_words()..][..self.entry_words()]);
            if entry[0] != 0 {
                let table = memory.pool.get_mut(new);
                let at = self.find(table, entry[0]);
                table[at..at + entry.len()].copy_from_slice(entry);
            }
        }
        memory.pool.free(old);
        root[0] = new.word();
        true
    }

    /// Adds records whose labels have entries. Ends at the first whose label has none.
    fn add_known(&self, root: &[u64], pool: &mut Pool, view: &View<'_>, places: &mut impl Iterator<Item = usize>) -> Option<usize> {
        if root[0] == 0 {
            return places.next();
        }
        let table = pool.get_mut(Handle::from_word(root[0]));
        let (words, ones, mask) = (self.entry_words(), matches!(self.layout, SumLayout::Ones { .. }), self.slots(table.len()) - 1);
        for at in places {
            let label = view.number(at) + 1;
            let entry = Self::probe(table, label, words, mask);
            if table[entry] != label {
                return Some(at);
            }
            if ones {
                table[entry + 1 + usize::from(view.is_sampled(at))] += 1;
            } else {
                self.layout.add(&mut table[entry + 1..entry + words], &view.row(at));
            }
        }
        None
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    fn probe(table: &[u64], label: u64, words: usize, mask: usize) -> usize {
        let mut slot = crate::arch::hash::spread(label) as usize & mask;
        while table[slot * words] != 0 && table[slot * words] != label {
            slot = (slot + 1) & mask;
        }
        slot * words
    }

    /// Words of the table at which a label's entry starts, which may be new; none: it found no place.
    fn place(&self, root: &mut [u64], memory: &mut Memory<'_>, label: u64) -> Option<usize> {
        if root[0] != 0 {
            let table = memory.pool.get(Handle::from_word(root[0]));
            let at = self.find(table, label);
            if table[at] == label {
                return Some(at);
            }
        }
        if !self.reserve(root, memory) {
            return None;
        }
        let table = memory.pool.get_mut(Handle::from_word(root[0]));
        let at = self.find(table, label);
        table[at] = label;
        root[1] += 1;
        Some(at)
    }
}

impl Kernel for LabelKernel {
    fn root_words(&self) -> usize {
        ROOT_HEAD_WORDS + self.layout.words()
    }

    fn reads_hashes(&self) -> bool {
        false
    }

    fn prefetches(&self) -> bool {
        false
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        if self.is_counted {
            self.add_counted(root, memory, view);
            return Ok(());
        }
        let mut places = view.places();
        while let Some(at) = self.add_known(root, memory.pool, view, &mut places) {
            match self.place(root, memory, view.number(at) + 1) {
                Some(entry) => {
                    let table = memory.pool.get_mut(Handle::from_word(root[0]));
                    self.layout.add(&mut table[entry + 1..entry + self.entry_words()], &view.row(at));
                }
                None => self.layout.add(&mut root[ROOT_HEAD_WORDS..], &view.row(at)),
            }
        }
        Ok(())
    }

    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        self.export_some(root, pool, Stretch::WHOLE, out);
    }

    fn export_some(&self, root: &[u64], pool: &Pool, stretch: Stretch, out: &mut Vec<u64>) -> Option<usize> {
        stretch.entries(&root[ROOT_HEAD_WORDS..], chunk(pool, root[0]), self.entry_words(), out)
    }

    fn export_words_max(&self) -> usize {
        self.layout.words() + self.labels * self.entry_words()
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        pool.free(Handle::from_word(root[0]));
    }

    fn summary(&self) -> Box<dyn Summary> {
        Box::new(LabelSummary {
            key: self.key.clone(),
            family: self.family,
            layout: self.layout,
            sums: BTreeMap::new(),
            unplaced: Weighted::default(),
        })
    }
}

struct LabelSummary {
    key: KeySpec,
    family: Family,
    layout: SumLayout,
    sums: BTreeMap<u64, Weighted>,
    /// For want of memory.
    unplaced: Weighted,
}

impl Summary for LabelSummary {
    fn absorb(&mut self, words: &[u64]) {
        let (unplaced, words) = words.split_at(self.layout.words());
        self.unplaced.merge(&self.layout.read(unplaced));
        for entry in words.chunks_exact(1 + self.layout.words()) {
            self.sums.entry(entry[0] - 1).or_default().merge(&self.layout.read(&entry[1..]));
        }
    }

    fn figure(&self, question: &Question) -> Figure {
        let mut by_size: Vec<(&u64, &Weighted)> = self.sums.iter().collect();
        by_size.sort_by_key(|(label, sum)| (std::cmp::Reverse(sum.total()), **label));
        let rest = by_size.split_off(by_size.len().min(HISTOGRAM_LABELS_MAX));
        by_size.sort_by_key(|(label, _)| **label);
        let width = self.key.width(self.family);
        let text = |label: &u64| self.key.text(&label.to_be_bytes()[8 - width..], self.family);
        let unseen = Unseen::of(&self.unplaced);
        let value = |sum: &Weighted| estimate_key(sum, &unseen, 1, question);
        let bin = |label: String, sum: &Weighted| Bin { of: BinOf::Label(label), value: value(sum), sufficient: *sum };
        let mut bins: Vec<Bin> = by_size.into_iter().map(|(label, sum)| bin(text(label), sum)).collect();
        if !rest.is_empty() || self.unplaced != Weighted::default() {
            let mut other = self.unplaced;
            rest.iter().for_each(|(_, sum)| other.merge(sum));
            bins.push(Bin { of: BinOf::Label("other".to_owned()), value: estimate(&other, question), sufficient: other });
        }
        Figure::Histogram(bins)
    }
}
