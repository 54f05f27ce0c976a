//! What the tables of all shards say together.

use arrayvec::ArrayVec;
use hashbrown::HashTable;

use super::TopKernel;
use super::cell::Cell;
use super::cells::Sums;
use super::shed::Shed;
use super::table::{HALVES_MAX, Shape};
use crate::axes::KeySpec;
use crate::stats::Summary;
use crate::stats::figure::{Figure, Top, TopEntry, Unseen};
use crate::stats::interval::{Question, estimate};
use crate::stats::weighted::Weighted;
use crate::units::Family;

/// Entries in reserve, for each that is shown.
const RESERVE_RATIO: usize = 1;

/// The union of tables.
pub(super) struct TopSummary {
    key: KeySpec,
    family: Family,
    k: usize,
    shape: Shape,
    /// Into how many parts the tags are cut, at most.
    parts_max: usize,
    all: Weighted,
    entries: Vec<Entry>,
    /// The entries' keys, one behind the other.
    keys: Vec<u32>,
    /// Where each key's entry is; none until a second table comes, since one lists no key twice.
    places: Option<HashTable<u32>>,
    /// Over all tables: what no cell holds, by part of the tags, as fine as any table's buckets; empty if every table is exact.
    missed: Vec<Unseen>,
    thinned: u32,
    short: bool,
    shed: Shed,
}

/// One key, over the tables that list it.
struct Entry {
    /// Which one it is, and so where its key stands.
    at: u32,
    sum: Weighted,
    tag: u32,
    /// What may have come before it was admitted.
    before: Unseen,
    /// What its bucket missed, in the tables that list it: not a part of its bound.
    own_missed: Unseen,
}

impl TopSummary {
    pub(super) fn new(kernel: &TopKernel) -> Self {
        Self {
            key: kernel.key.clone(),
            family: kernel.family,
            k: kernel.k,
            shape: kernel.narrow,
            all: Weighted::default(),
            entries: Vec::new(),
            keys: Vec::new(),
            places: None,
            parts_max: kernel.buckets_max(),
            missed: Vec::new(),
            thinned: 0,
            short: false,
            shed: Shed::default(),
        }
    }

    const fn sums(&self) -> Sums {
        self.shape.sums
    }

    fn of_tag(&self, tag: u32) -> usize {
        Shape::bucket_of(tag, self.parts_max)
    }

    /// What may be missing of a listed key: its U at admission where a table lists it, that table's U where none does.
    fn unseen(&self, entry: &Entry) -> Unseen {
        let mut unseen = self.missed.get(self.of_tag(entry.tag)).copied().unwrap_or_default();
        unseen.sub(&entry.own_missed);
        unseen.add(&entry.before);
        unseen
    }

    fn key(&self, entry: &Entry) -> &[u32] {
        self.key_at(entry.at)
    }

    fn key_at(&self, at: u32) -> &[u32] {
        let from = at as usize * self.shape.halves;
        &self.keys[from..from + self.shape.halves]
    }

    fn text(&self, entry: &Entry) -> String {
        let bytes: ArrayVec<u8, { 4 * HALVES_MAX }> = self.key(entry).iter().flat_map(|half| half.to_be_bytes()).collect();
        self.key.text(&bytes[..self.key.width(self.family)], self.family)
    }

    /// What one table missed, by share of the tags: of buckets that share one, the larger.
    fn missed_of(&self, words: &[u64], buckets: usize) -> Vec<Unseen> {
        let (parts, fine) = (self.sums().parts(), self.parts_max);
        let of = |at: usize| {
            let (first, last) = (at * buckets / fine, ((at + 1) * buckets).div_ceil(fine));
            let mut most = Unseen::default();
            words[first * parts..last * parts].chunks_exact(parts).for_each(|bucket| most.raise(&self.sums().unseen(bucket)));
            most
        };
        (0..if buckets == 0 { 0 } else { fine }).map(of).collect()
    }

    /// Where a key's entry is, or the next one, if it has none.
    #[allow(clippy::cast_possible_truncation, reason = "no tables have so many cells")]
    fn place_of(&mut self, key: &[u32], tag: u32) -> u32 {
        let (next, halves) = (self.entries.len() as u32, key.len());
        let (keys, entries) = (&self.keys, &self.entries);
        self.places.as_mut().map_or(next, |places| {
            let is_it = |at: &u32| keys[*at as usize * halves..][..halves] == *key;
            let place = places.entry(spread(tag), is_it, |at| spread(entries[*at as usize].tag));
            *place.or_insert(next).get()
        })
    }

    /// Finds entries by key from now on.
    fn index(&mut self, entries: usize) {
        let mut places = HashTable::with_capacity(entries);
        for entry in &self.entries {
            places.insert_unique(spread(entry.tag), entry.at, |at| spread(self.entries[*at as usize].tag));
        }
        self.places = Some(places);
    }

    fn absorb_cell(&mut self, cell: &[u64], missed: &[Unseen]) {
        let (key_words, halves) = (1 + (self.shape.halves - 1).div_ceil(2), self.shape.halves);
        let mut key = [0; HALVES_MAX];
        Cell::key_of(cell, &mut key[..halves]);
        let (sums, tag) = (self.sums(), Cell::tag_of(cell));
        let at = self.of_tag(tag);
        let (sum, before) = cell[key_words..].split_at(sums.layout.words());
        let (sum, before) = (sums.layout.read(sum), sums.unseen(before));
        let own_missed = missed.get(at).copied().unwrap_or_default();
        let at = self.place_of(&key[..halves], tag);
        self.shed.count(at, &sum);
        if let Some(entry) = self.entries.get_mut(at as usize) {
            entry.sum.merge(&sum);
            entry.before.add(&before);
            entry.own_missed.add(&own_missed);
        } else {
            self.keys.extend_from_slice(&key[..halves]);
            self.entries.push(Entry { at, sum, tag, before, own_missed });
        }
    }

    /// What was counted of a key, and left out of it, about.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of counts, saturating as they do")]
    fn total(&self, entry: &Entry) -> u64 {
        entry.sum.total().saturating_add(self.shed.share(entry.at).more as u64)
    }

    /// Entries by what puts them into the order of a list: the complement of the total, and the key's first half; then its place, which
    /// says nothing. Where keys have one half no two entries are alike.
    fn ranked(&self) -> Vec<u128> {
        let rank = |entry: &Entry| {
            let first = self.key(entry).first().copied().unwrap_or(0);
            u128::from(!self.total(entry)) << 64 | u128::from(first) << 32 | u128::from(entry.at)
        };
        self.entries.iter().map(rank).collect()
    }

    fn entry(&self, entry: &Entry, keys: u64, question: &Question) -> TopEntry {
        let mut unseen = self.unseen(entry);
        // Where a rate is unknown, it is unknown of what was not counted too.
        let question = Question { random: question.random && self.all.unproven == 0, ..*question };
        let value = self.shed.estimate((&entry.sum, &unseen), &self.shed.share(entry.at), keys, &question);
        unseen.add(&self.shed.left_out);
        TopEntry { key: self.text(entry), value, sufficient: entry.sum, unseen }
    }

    /// How many keys the winners were chosen from, about and rather more: those listed, each uncounted packet its own, and those
    /// that the sample missed, which have weight − 1 packets for each key that it shows once.
    fn keys(&self, question: &Question) -> u64 {
        let samples = || self.entries.iter().map(|entry| entry.sum.sampled_packets);
        let uncounted = self.all.sampled_packets.saturating_sub(samples().sum());
        let once = uncounted + samples().filter(|samples| *samples == 1).count() as u64;
        self.entries.len() as u64 + uncounted + u64::from(question.weight_max - 1) * once
    }

    /// The share of the metric that these entries hold.
    #[allow(clippy::cast_precision_loss, reason = "a share")]
    fn coverage(&self, shown: &[&Entry]) -> f64 {
        let counted: u64 = shown.iter().map(|entry| entry.sum.total()).sum();
        let more: f64 = shown.iter().map(|entry| self.shed.share(entry.at).more).sum();
        if self.all.total() == 0 { 0.0 } else { ((counted as f64 + more) / self.all.total() as f64).min(1.0) }
    }

    /// A bound for every key outside of the lists: what no table counted, or the heaviest entry left out.
    fn absent(&self, left_out: &[&Entry]) -> Unseen {
        let mut absent = Unseen::default();
        self.missed.iter().for_each(|missed| absent.raise(missed));
        for entry in left_out {
            let mut bound = self.unseen(entry);
            bound.add(&Unseen::of(&entry.sum));
            absent.raise(&bound);
        }
        absent.add(&self.shed.left_out);
        absent
    }
}

/// A tag as a hash whose upper and lower bits both tell keys apart (Fibonacci hashing). Tags are bits of a keyed hash, the same in every
/// table.
const fn spread(tag: u32) -> u64 {
    (tag as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Of an entry that was ranked.
#[allow(clippy::cast_possible_truncation, reason = "the lowest 32 bits")]
const fn place(rank: u128) -> u32 {
    rank as u32
}

impl Summary for TopSummary {
    fn absorb(&mut self, words: &[u64]) {
        let Some((head, rest)) = words.split_first() else { return };
        let (all, rest) = rest.split_at(self.sums().layout.words());
        let buckets = usize::try_from(head & 0xFFFF_FFFF).unwrap_or(0);
        let all = self.sums().layout.read(all);
        self.all.merge(&all);
        self.thinned = self.thinned.max(u32::try_from(head >> 32 & 0xFF).unwrap_or(0));
        self.short |= head >> 40 & 1 == 1;
        let shed = u32::try_from(head >> 48 & 7).unwrap_or(0);
        let (left_out, rest) = rest.split_at(if shed > 0 { self.sums().parts() } else { 0 });
        self.shed.begin(shed, &all, &self.sums().unseen(left_out));
        let (heads, cells) = rest.split_at(buckets * self.sums().parts());
        let missed = self.missed_of(heads, buckets);
        if !missed.is_empty() {
            self.missed.resize(self.parts_max, Unseen::default());
        }
        self.missed.iter_mut().zip(&missed).for_each(|(ours, theirs)| ours.add(theirs));
        let cell_words = self.shape.export_words(buckets > 0);
        let more = cells.len() / cell_words;
        self.entries.reserve(more);
        self.keys.reserve(more * self.shape.halves);
        if !self.entries.is_empty() && self.places.is_none() {
            self.index(self.entries.len() + more);
        }
        for cell in cells.chunks_exact(cell_words) {
            self.absorb_cell(cell, &missed);
        }
    }

    fn figure(&self, question: &Question) -> Figure {
        let mut sorted = self.ranked();
        let order = |a: &u128, b: &u128| (a >> 32).cmp(&(b >> 32)).then_with(|| self.key_at(place(*a)).cmp(self.key_at(place(*b))));
        let keys = self.keys(question);
        let shown = sorted.len().min(self.k);
        let listed = sorted.len().min(self.k * (1 + RESERVE_RATIO));
        // Those behind are in no order.
        if listed < sorted.len() {
            sorted.select_nth_unstable_by(listed, order);
        }
        sorted[..listed].sort_unstable_by(order);
        let sorted: Vec<&Entry> = sorted.into_iter().map(|rank| &self.entries[place(rank) as usize]).collect();
        let make = |list: &[&Entry]| list.iter().map(|entry| self.entry(entry, keys, question)).collect::<Vec<_>>();
        Figure::Top(Top {
            entries: make(&sorted[..shown]),
            reserve: make(&sorted[shown..listed]),
            coverage: self.coverage(&sorted[..shown]),
            all: estimate(&self.all, question),
            all_sufficient: self.all,
            absent: self.absent(&sorted[listed..]),
            thinned: 1 << self.thinned,
            short: self.short,
            shed: self.shed.weight(),
        })
    }
}
