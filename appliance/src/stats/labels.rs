//! Histograms over names: protocols, TCP flags, ICMP types. One bin a value, only of those seen.
//!
//! A range's table grows with the values that it sees, at most 65,536. A report lists the [`HISTOGRAM_LABELS_MAX`]
//! largest; the rest are one bin, `other`, so that the list does not depend on how packets were spread over shards.

use std::collections::BTreeMap;

use super::columns::View;
use super::figure::{Bin, BinOf, Figure};
use super::interval::{Question, estimate};
use super::pool::{Handle, Memory, Pool};
use super::weighted::{SumLayout, Weighted};
use super::{Context, Exhausted, Kernel, Summary};
use crate::axes::KeySpec;
use crate::axes::key::number;
use crate::config::StatSpec;
use crate::limits::HISTOGRAM_LABELS_MAX;
use crate::units::Family;

/// Labels that a table is made for at first.
const ENTRIES_MIN: usize = 4;
/// Root: chunk, number of entries.
const ROOT_WORDS: usize = 2;

/// A kernel for a stat whose key is a name.
pub(super) fn kernel(spec: &StatSpec, context: &Context) -> Box<dyn Kernel> {
    let labels = 1 << (8 * spec.key.width(context.family)).min(16);
    Box::new(LabelKernel { key: spec.key.clone(), family: context.family, layout: SumLayout::of(context, spec.metric), labels })
}

/// Entries stand in the order in which their labels came: a label is one word, its key plus one; then its sum.
struct LabelKernel {
    key: KeySpec,
    family: Family,
    layout: SumLayout,
    labels: usize,
}

impl LabelKernel {
    fn entry_words(&self) -> usize {
        1 + self.layout.words()
    }

    /// First word of the slot of a label, or of the free one where it belongs.
    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    fn find(&self, table: &[u64], label: u64) -> usize {
        let slots = self.slots(table.len());
        let mut slot = crate::arch::hash::spread(label) as usize & (slots - 1);
        while table[slot * self.entry_words()] != 0 && table[slot * self.entry_words()] != label {
            slot = (slot + 1) & (slots - 1);
        }
        slot * self.entry_words()
    }

    /// The largest power of two of slots in so many words.
    fn slots(&self, words: usize) -> usize {
        let fit = words / self.entry_words();
        (fit / 2 + 1).next_power_of_two()
    }

    /// Makes room for one more entry.
    fn reserve(&self, root: &mut [u64], memory: &mut Memory<'_>) -> Result<(), Exhausted> {
        let old = Handle::from_word(root[0]);
        if old.is_none() {
            root[0] = memory.alloc(2 * ENTRIES_MIN * self.entry_words()).ok_or(Exhausted)?.word();
            return Ok(());
        }
        let slots = self.slots(memory.pool.get(old).len());
        if (usize::try_from(root[1]).unwrap_or(usize::MAX / 4) + 1) * 2 <= slots || slots >= 2 * self.labels {
            return Ok(());
        }
        let new = memory.alloc(2 * slots * self.entry_words()).ok_or(Exhausted)?;
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
        Ok(())
    }
}

impl Kernel for LabelKernel {
    fn root_words(&self) -> usize {
        ROOT_WORDS
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        for row in view.rows() {
            self.reserve(root, memory)?;
            let table = memory.pool.get_mut(Handle::from_word(root[0]));
            let label = number(row.key) + 1;
            let at = self.find(table, label);
            root[1] += u64::from(table[at] == 0);
            table[at] = label;
            self.layout.add(&mut table[at + 1..at + self.entry_words()], &row);
        }
        Ok(())
    }

    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        if root[0] != 0 {
            let entries = pool.get(Handle::from_word(root[0])).chunks_exact(self.entry_words());
            entries.filter(|entry| entry[0] != 0).for_each(|entry| out.extend_from_slice(entry));
        }
    }

    fn export_words_max(&self) -> usize {
        self.labels * self.entry_words()
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        pool.free(Handle::from_word(root[0]));
    }

    fn summary(&self) -> Box<dyn Summary> {
        Box::new(LabelSummary { key: self.key.clone(), family: self.family, layout: self.layout, sums: BTreeMap::new() })
    }
}

struct LabelSummary {
    key: KeySpec,
    family: Family,
    layout: SumLayout,
    sums: BTreeMap<u64, Weighted>,
}

impl Summary for LabelSummary {
    fn absorb(&mut self, words: &[u64]) {
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
        let bin = |label: String, sum: &Weighted| Bin { of: BinOf::Label(label), value: estimate(sum, question), sufficient: *sum };
        let mut bins: Vec<Bin> = by_size.into_iter().map(|(label, sum)| bin(text(label), sum)).collect();
        if !rest.is_empty() {
            let mut other = Weighted::default();
            rest.iter().for_each(|(_, sum)| other.merge(sum));
            bins.push(bin("other".to_owned(), &other));
        }
        Figure::Histogram(bins)
    }
}
