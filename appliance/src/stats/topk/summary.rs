//! What the tables of all shards say together.

use hashbrown::HashMap;

use super::bucket_of;
use super::layout::{Layout, unseen_of};
use crate::axes::KeySpec;
use crate::stats::Summary;
use crate::stats::figure::{Figure, Top, TopEntry, Unseen};
use crate::stats::interval::{Question, estimate, estimate_key};
use crate::stats::weighted::Weighted;
use crate::units::Family;

/// Entries in reserve, for each that is shown.
const RESERVE_RATIO: usize = 1;

/// The union of all tables.
pub(super) struct TopSummary {
    key: KeySpec,
    family: Family,
    k: usize,
    layout: Layout,
    all: Weighted,
    entries: HashMap<Vec<u64>, Entry>,
    /// Over all tables: what no cell holds, by bucket.
    missed: Vec<Unseen>,
}

/// One key, over the tables that list it.
#[derive(Default)]
struct Entry {
    sum: Weighted,
    tag: u64,
    /// What may have come before it was admitted.
    before: Unseen,
    /// What its bucket missed, in the tables that list it: not a part of its bound.
    own_missed: Unseen,
}

impl TopSummary {
    pub(super) fn new(key: KeySpec, family: Family, k: usize, layout: Layout, buckets: usize) -> Self {
        let missed = vec![Unseen::default(); buckets];
        Self { key, family, k, layout, all: Weighted::default(), entries: HashMap::new(), missed }
    }

    /// What may be missing of a listed key: its U at admission where a table lists it, that table's U where none does.
    fn unseen(&self, entry: &Entry) -> Unseen {
        let mut unseen = self.missed[bucket_of(entry.tag, self.missed.len())];
        unseen.sub(&entry.own_missed);
        unseen.add(&entry.before);
        unseen
    }

    fn bytes(&self, words: &[u64]) -> Vec<u8> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
        bytes.truncate(self.key.width(self.family));
        bytes
    }

    fn entry(&self, words: &[u64], entry: &Entry, keys: u64, question: &Question) -> TopEntry {
        let unseen = self.unseen(entry);
        // Where a rate is unknown, it is unknown of what was not counted too.
        let question = Question { random: question.random && self.all.unproven == 0, ..*question };
        let value = estimate_key(&entry.sum, &unseen, keys, &question);
        TopEntry { key: self.key.text(&self.bytes(words), self.family), value, sufficient: entry.sum, unseen }
    }

    /// A bound for every key outside of the lists: what no table counted, or the heaviest entry left out.
    fn absent(&self, left_out: &[(&Vec<u64>, &Entry)]) -> Unseen {
        let mut absent = Unseen::default();
        let larger = |a: &mut Unseen, b: &Unseen| {
            a.passed = a.passed.max(b.passed);
            a.scaled = a.scaled.max(b.scaled);
            a.sampled_packets = a.sampled_packets.max(b.sampled_packets);
        };
        self.missed.iter().for_each(|missed| larger(&mut absent, missed));
        for (_, entry) in left_out {
            let mut bound = self.unseen(entry);
            let sum = &entry.sum;
            bound.add(&Unseen { passed: sum.passed, scaled: sum.scaled, sampled_packets: sum.sampled_packets });
            larger(&mut absent, &bound);
        }
        absent
    }
}

impl Summary for TopSummary {
    fn absorb(&mut self, words: &[u64]) {
        let layout = self.layout;
        let Some((in_buckets, rest)) = words.split_first() else { return };
        let (unadmitted, rest) = rest.split_at(layout.unseen);
        let (all, rest) = rest.split_at(layout.sum);
        self.all.merge(&Weighted::from_words(all));
        let mut missed = vec![unseen_of(unadmitted); self.missed.len()];
        let mut cells = rest;
        if *in_buckets == 1 {
            let (heads, after) = rest.split_at(self.missed.len() * layout.unseen);
            heads.chunks_exact(layout.unseen).zip(&mut missed).for_each(|(words, missed)| missed.add(&unseen_of(words)));
            cells = after;
        }
        self.missed.iter_mut().zip(&missed).for_each(|(ours, theirs)| ours.add(theirs));
        for cell in cells.chunks_exact(layout.cell()) {
            let entry = self.entries.entry_ref(&cell[1..=layout.key]).or_default();
            entry.tag = cell[0];
            entry.sum.merge(&Weighted::from_words(layout.cell_sum(cell)));
            entry.before.add(&unseen_of(&cell[1 + layout.key + layout.sum..]));
            entry.own_missed.add(&missed[bucket_of(cell[0], missed.len())]);
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "a share")]
    fn figure(&self, question: &Question) -> Figure {
        let mut sorted: Vec<(&Vec<u64>, &Entry)> = self.entries.iter().collect();
        sorted.sort_by(|a, b| b.1.sum.total().cmp(&a.1.sum.total()).then_with(|| a.0.cmp(b.0)));
        // How many keys the winners were chosen from, at most: those listed, and each uncounted packet its own.
        let keys = sorted.len() as u64 + self.missed.iter().map(|m| m.sampled_packets).sum::<u64>();
        let shown = sorted.len().min(self.k);
        let listed = sorted.len().min(self.k * (1 + RESERVE_RATIO));
        let make = |list: &[(&Vec<u64>, &Entry)]| list.iter().map(|(words, e)| self.entry(words, e, keys, question)).collect::<Vec<_>>();
        let held: u64 = sorted[..shown].iter().map(|(_, e)| e.sum.total()).sum();
        let coverage = if self.all.total() == 0 { 0.0 } else { held as f64 / self.all.total() as f64 };
        Figure::Top(Top {
            entries: make(&sorted[..shown]),
            reserve: make(&sorted[shown..listed]),
            coverage,
            all: estimate(&self.all, question),
            all_sufficient: self.all,
            absent: self.absent(&sorted[listed..]),
        })
    }
}
