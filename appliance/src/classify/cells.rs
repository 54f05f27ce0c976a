//! Runs → [`Cells`]: a root, and rows of units that hold what it cannot tell.

#![allow(clippy::cast_possible_truncation, reason = "a table has fewer words than 2^26, links than runs, and halves are cut on purpose")]

use std::collections::HashMap;

use super::prefix::Prefix;
use super::runs::{Run, blocks, narrowed, parts, runs, within};
use super::trees::untold;
use crate::arch::cells::{Cells, Class, Entry, Form, GRAIN_WORDS, LINK, Link, Reference, Root, Shape, V4, V6, WIDE_BYTES, WIDE_LINK};
use crate::limits::RANGES_MAX;

/// Bytes that a link is held to cost, beside those of what it leads to.
const LINK_BYTES: usize = 128;
/// Runs of a unit that are counted apart: more than any has.
const RUNS_MAX: usize = 16;

/// What a prefix takes is below this. It makes two runs more at most. Where it lies as badly as it can, a row of two units and a
/// link tell it from the others, 88 bytes of IPv6 and 56 of IPv4; where it is alone in its half of an address, it has a link and
/// a unit of 56 bytes there; and up to 32 are lost before a row. Blocks that are asked fast take more than the least, and rows that
/// tell several prefixes less of each. The most that was found, in sets made to take most: 144 bytes of IPv6 and 102 of IPv4,
/// where all is made anew and takes half.
const PREFIX_BYTES_WORST: usize = 200;
const _: () = assert!(
    RANGES_MAX * PREFIX_BYTES_WORST + WIDE_BYTES * ((1 << Root::BITS_MAX) + 1) <= 4 * Reference::WORDS_MAX,
    "no table of all ranges, with the largest root, is beyond what references reach"
);

/// What is being made.
pub(super) struct Builder<S> {
    pub(super) words: Vec<u32>,
    links: Vec<Link>,
    uniform: HashMap<u32, Reference>,
    /// It is second halves of addresses that are told apart.
    second: bool,
    /// Units have no keys: there are as many as tell all.
    direct: bool,
    /// Up to so many bytes, blocks are what is asked fastest; from there on, what takes least.
    fast_bytes_max: usize,
    shape: std::marker::PhantomData<S>,
}

impl<S: Shape> Builder<S> {
    fn new(references: usize, fast_bytes_max: usize) -> Self {
        Self {
            words: vec![0; references],
            links: Vec::new(),
            uniform: HashMap::new(),
            second: false,
            direct: false,
            fast_bytes_max,
            shape: std::marker::PhantomData,
        }
    }

    /// More was chosen than fast blocks may take.
    fn is_sparing(&self) -> bool {
        4 * self.words.len() + size_of::<Link>() * self.links.len() > self.fast_bytes_max
    }

    fn done(mut self, root: Root, form: Form) -> Cells<S> {
        self.links.shrink_to_fit();
        Cells::new(root, &self.words, self.links, form).expect("references to what was just made, and a form that the processor has")
    }

    /// Room for so many words that begins at a multiple of so many.
    pub(super) fn room(&mut self, words: usize, multiple: usize) -> usize {
        let first = self.words.len().next_multiple_of(multiple.max(GRAIN_WORDS));
        assert!(first + words <= Reference::WORDS_MAX, "fewer bytes a prefix than PREFIX_BYTES_WORST, and at most RANGES_MAX");
        self.words.resize(first + words, 0);
        first
    }

    /// One value in a block.
    fn uniform(&mut self, value: u32) -> Reference {
        if let Some(reference) = self.uniform.get(&value) {
            return *reference;
        }
        let class = 1;
        let words = (1 << S::CLASSES[class].shift) / 4;
        let first = self.room(words, words);
        self.unit(class, first, &[Run { first: 0, value }]);
        let reference = Reference::new((first / GRAIN_WORDS) as u32, class, 0);
        self.uniform.insert(value, reference);
        reference
    }

    fn unit(&mut self, class: usize, at: usize, runs: &[Run<u64>]) {
        let Class { keys, .. } = S::CLASSES[class];
        for place in 0..keys as usize {
            let key = runs.get(place + 1).map_or(u64::MAX, |next| next.first - 1);
            S::store(&mut self.words[at..], place, S::key(key));
        }
        let values = at + (keys * S::KEY_BYTES / 4) as usize;
        for place in 0..=keys as usize {
            self.words[values + place] = runs.get(place).or_else(|| runs.last()).map_or(0, |run| run.value);
        }
    }

    /// A block of positions that share `depth` bits; the first run covers its first.
    fn block(&mut self, first: u64, depth: u32, runs: &[Run<u64>]) -> Reference {
        if let [run] = runs {
            return self.uniform(run.value);
        }
        let has_tree = S::TREES && UNTOLD_RARE * untold(first, depth, runs) <= runs.len();
        if has_tree && runs.len() > ROW_RUNS_MAX {
            return self.tree(first, depth, runs);
        }
        let row = match self.direct {
            true => Row { bytes: 0, class: 0, bits: told_by(depth, runs), links: 0 },
            false => cheapest::<S>(first, depth, runs, self.is_sparing()),
        };
        if has_tree && row.links > 0 { self.tree(first, depth, runs) } else { self.row(&row, first, depth, runs) }
    }

    /// The same as this row.
    fn row(&mut self, &Row { class, bits, .. }: &Row, first: u64, depth: u32, runs: &[Run<u64>]) -> Reference {
        let Class { keys, shift } = S::CLASSES[class];
        let words = (1_usize << shift) / 4;
        let row = self.room(words << bits, words);
        for (unit, inner) in parts(first, depth, bits, runs).enumerate() {
            let begin = first + if bits == 0 { 0 } else { (unit as u64) << (64 - depth - bits) };
            let at = row + unit * words;
            if inner.len() <= keys as usize + 1 {
                self.unit(class, at, inner);
            } else {
                let value = self.link(inner, begin);
                self.unit(class, at, &[Run { first: 0, value }]);
            }
        }
        Reference::new((row / GRAIN_WORDS) as u32, class, bits)
    }

    /// The value that leads to a block of its own.
    pub(super) fn link(&mut self, runs: &[Run<u64>], from: u64) -> u32 {
        let (first, depth, beside) = narrowed(runs, from, 64);
        let reference = self.block(first, depth, within(first, runs));
        self.links.push(Link { second: self.second, depth, first, beside, reference });
        LINK | (self.links.len() - 1) as u32
    }
}

/// Bits behind those of a block that tell all its runs apart.
fn told_by(depth: u32, runs: &[Run<u64>]) -> u32 {
    runs.iter().skip(1).map(|run| 64 - run.first.trailing_zeros() - depth).max().unwrap_or(0)
}

/// Blocks of more runs are trees, which take least, however these lie.
const ROW_RUNS_MAX: usize = 32;
/// Runs of a block, to one that a tree cannot tell.
const UNTOLD_RARE: usize = 16;

/// A row of units that a block could be.
#[derive(Clone, Copy)]
struct Row {
    bytes: usize,
    class: usize,
    bits: u32,
    /// How many of its units lead on.
    links: usize,
}

impl Row {
    /// Any other one is better.
    const NONE: Self = Self { bytes: usize::MAX, class: 0, bits: 0, links: 0 };
}

/// One unit in so many may lead on, where that saves memory.
const LINKS_RARE: usize = 64;
/// Bytes a run that rows may take before many of their units lead on.
const RUN_BYTES_MAX: usize = 64;

/// The row of a block that takes least; unless it must, few of its units lead on.
fn cheapest<S: Shape>(first: u64, depth: u32, runs: &[Run<u64>], must: bool) -> Row {
    let (mut best, mut sparing) = (Row::NONE, Row::NONE);
    for bits in S::DEPTH_MIN.saturating_sub(depth)..=Reference::BITS_MAX.min(S::DEPTH_MAX - depth) {
        let least = 4_usize << bits;
        if least > best.bytes || least > RUN_BYTES_MAX * runs.len() && sparing.bytes < usize::MAX {
            break;
        }
        let mut lengths = [0_usize; RUNS_MAX + 1];
        let mut beyond = 0;
        for inner in parts(first, depth, bits, runs) {
            lengths[inner.len().min(RUNS_MAX)] += 1;
            beyond += if inner.len() < RUNS_MAX { 0 } else { inner.len() };
        }
        for (class, Class { keys, shift }) in S::CLASSES.into_iter().enumerate().take(S::ROWS) {
            let more = keys as usize + 2..RUNS_MAX;
            let links: usize = lengths[more.start..].iter().sum();
            let within: usize = more.map(|length| length * lengths[length]).sum();
            let row = (1_usize << shift << bits).max(4 * GRAIN_WORDS);
            let this = Row { bytes: row + LINK_BYTES * links + 8 * (within + beyond), class, bits, links };
            // A row of one unit that leads on would lead to the same block again.
            if (bits > 0 || links == 0) && this.bytes < sparing.bytes {
                sparing = this;
            }
            if LINKS_RARE * links <= 1 << bits && row <= (RUN_BYTES_MAX * runs.len()).max(64) && this.bytes < best.bytes {
                best = this;
            }
        }
    }
    // What few links save must not cost many times the memory.
    if !must && best.bytes < usize::MAX && best.bytes / 2 <= sparing.bytes { best } else { sparing }
}

/// What is no more than one prefix.
fn single<S: Shape>(first: u64, depth: u32, runs: &[Run<u64>]) -> Option<Entry> {
    let last = first + (u64::MAX >> depth);
    let (own, end) = match runs {
        [run] if run.value & LINK == 0 => return Some(Entry::prefix(0, 0, run.value)),
        [before, run, after] if before.value == 0 && after.value == 0 => (run, after.first - 1),
        [run, after] if after.value == 0 => (run, after.first - 1),
        [before, run] if before.value == 0 => (run, last),
        _ => return None,
    };
    let begin = own.first.max(first);
    let longer = (begin ^ end).leading_zeros().checked_sub(depth)?;
    let whole = (end - begin).wrapping_add(1).is_power_of_two();
    let bits = if longer == 0 { 0 } else { (begin << depth) >> (64 - longer) };
    (whole && longer <= S::LONGER_MAX && own.value & LINK == 0).then(|| Entry::prefix(bits, longer, own.value))
}

/// What is below a root of IPv4 may take so many bytes, and so many more a prefix, to be asked fast. Prefixes as networks have
/// them take less than half of that. Where they lie so that it is not enough, all blocks become the smallest that there are:
/// so a million prefixes stay within 64 MB, in all sets that were made to take most.
const FAST_BYTES: usize = 4 << 20;
const PREFIX_FAST_BYTES: usize = 48;

/// Units without keys may take so many bytes.
const DIRECT_BYTES_MAX: usize = 256 << 10;

/// Blocks of a root that are more than one prefix.
fn several(root: Root, runs: &[Run<u64>]) -> impl Iterator<Item = &[Run<u64>]> {
    blocks(root, runs).filter(move |(begin, inner)| single::<V4>(*begin, 64 - root.shift, inner).is_none()).map(|(_, inner)| inner)
}

/// A root and what is below it.
fn rooted<S: Shape>(builder: &mut Builder<S>, root: Root, beside: u32, runs: &[Run<u64>]) {
    let depth = 64 - root.shift;
    for (at, (begin, inner)) in blocks(root, runs).enumerate() {
        let entry = single::<S>(begin, depth, inner).unwrap_or_else(|| Entry::units(builder.block(begin, depth, inner)));
        S::put(&mut builder.words, at, entry);
    }
    S::put(&mut builder.words, 1 << root.bits, Entry::prefix(0, 0, beside));
}

/// What an IPv4 root is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Bits of an address that it looks at, and what all prefixes share.
    depth: u32,
    /// It holds values alone.
    wide: bool,
    /// Blocks take least, however long it takes to ask them.
    sparing: bool,
}

impl Layout {
    /// From so many prefixes on a root of all /24 is worth its 48 MB.
    const WIDE_PREFIXES_MIN: usize = 150_000;
    /// One prefix in so many may be longer.
    const LONGER_RARE: usize = 64;
    const WIDE_DEPTH: u32 = 24;
    /// Bits that another root looks at, at least.
    const DEPTH_MIN: u32 = 16;
    /// Fewer prefixes have a small root.
    const FEW: usize = 250;
    /// Runs, to one that the root cannot tell: such a root is as good as any.
    const UNTOLD_RARE: usize = 2_048;

    /// The fastest for these. A block of the root should seldom have more than one prefix, so that the root tells all; what
    /// it takes of the caches is other tables' loss, so it is no larger than it must be for that.
    fn of(prefixes: &[Prefix<u32>], runs: &[Run<u64>]) -> Self {
        let longer = prefixes.iter().filter(|prefix| prefix.length > Self::WIDE_DEPTH).count();
        if prefixes.len() >= Self::WIDE_PREFIXES_MIN && longer <= prefixes.len() / Self::LONGER_RARE {
            return Self { depth: Self::WIDE_DEPTH, wide: true, sparing: false };
        }
        let bits_max = match prefixes.len() {
            0..Self::FEW => 16,
            Self::FEW..4_000 => 17,
            _ => 18,
        };
        let mut depth = Self::DEPTH_MIN;
        while depth < V4::DEPTH_MAX {
            let untold: usize = several(root_v4(runs, depth, false).0, runs).map(<[_]>::len).sum();
            if untold * Self::UNTOLD_RARE <= runs.len() || root_v4(runs, depth + 1, false).0.bits > bits_max {
                break;
            }
            depth += 1;
        }
        Self { depth, wide: false, sparing: false }
    }

    /// All that can be chosen.
    #[cfg(test)]
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let narrow = |depth: u32, sparing: bool| Self { depth, wide: false, sparing };
        let wide = Self { depth: Self::WIDE_DEPTH, wide: true, sparing: false };
        [narrow(16, false), narrow(17, false), narrow(18, false), narrow(21, false), narrow(16, true), narrow(18, true), wide].into_iter()
    }
}

/// A root that looks at so many bits, and what holds beside it.
fn root_v4(runs: &[Run<u64>], depth: u32, wide: bool) -> (Root, u32) {
    let (first, shared, beside) = narrowed(runs, 0, depth - 1);
    (Root { first, shift: 64 - depth, bits: depth - shared, wide }, beside)
}

/// A table of IPv4.
pub(super) fn v4(prefixes: &[Prefix<u32>], layout: Option<Layout>, form: Form) -> Cells<V4> {
    let runs: Vec<Run<u64>> = runs(prefixes).into_iter().map(|run| Run { first: u64::from(run.first) << 32, value: run.value }).collect();
    let Layout { depth, wide, sparing } = layout.unwrap_or_else(|| Layout::of(prefixes, &runs));
    let (root, beside) = root_v4(&runs, depth, wide);
    let direct_bytes = || several(root, &runs).map(|inner| (4_usize << told_by(depth, inner)).max(4 * GRAIN_WORDS)).sum::<usize>();
    let direct = !wide && direct_bytes() <= DIRECT_BYTES_MAX;
    let made = |fast_bytes_max: usize| {
        let mut builder = Builder::<V4>::new(root.words::<V4>(), fast_bytes_max);
        builder.direct = direct;
        if wide {
            widely(&mut builder, root, beside, &runs)
        } else {
            rooted(&mut builder, root, beside, &runs)
        }
        builder
    };
    let fast_bytes_max = if sparing { 0 } else { 4 * root.words::<V4>() + FAST_BYTES + PREFIX_FAST_BYTES * prefixes.len() };
    let mut builder = made(fast_bytes_max);
    // What comes before the bound is fast and may take more than that: then all is made anew.
    if builder.is_sparing() && !sparing {
        drop(builder);
        builder = made(0);
    }
    builder.done(root, form)
}

/// A table of IPv6.
pub(super) fn v6(prefixes: &[Prefix<u128>], form: Form) -> Cells<V6> {
    let all = runs(prefixes);
    // A few hundred prefixes are worth a root of 128 KB, in which few blocks have one.
    let least = if prefixes.len() < Layout::FEW { 4 } else { 14 };
    let runs_bits = usize::BITS - all.len().leading_zeros();
    // Up to a megabyte, so that few blocks have more than one; of two only where many would.
    let bits = (runs_bits + 3).clamp(least, 17).max((runs_bits + 1).min(18));
    let mut builder = Builder::<V6>::new(V6::ENTRY_WORDS * ((1 << bits) + 1), usize::MAX);
    builder.second = true;
    let halves = halves(&mut builder, &all);
    builder.second = false;
    let (first, shared, beside) = narrowed(&halves, 0, 63 - bits);
    let root = Root { first, shift: 64 - shared - bits, bits, wide: false };
    rooted(&mut builder, root, beside, &halves);
    builder.done(root, form)
}

/// A root that holds values alone.
fn widely(builder: &mut Builder<V4>, root: Root, beside: u32, runs: &[Run<u64>]) {
    let write = |words: &mut Vec<u32>, at: usize, value: u32| {
        let entry = if value & LINK == 0 { value } else { value ^ LINK | WIDE_LINK };
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
        bytes[WIDE_BYTES * at..][..WIDE_BYTES].copy_from_slice(&entry.to_le_bytes()[..WIDE_BYTES]);
    };
    for (at, (begin, inner)) in blocks(root, runs).enumerate() {
        let value = if let [run] = inner { run.value } else { builder.link(inner, begin) };
        write(&mut builder.words, at, value);
    }
    write(&mut builder.words, 1 << root.bits, beside);
}

/// Runs of first halves; where what is within one differs, a link.
fn halves(builder: &mut Builder<V6>, all: &[Run<u128>]) -> Vec<Run<u64>> {
    let mut halves: Vec<Run<u64>> = Vec::new();
    let mut before = 0;
    for same in all.chunk_by(|a, b| a.first >> 64 == b.first >> 64) {
        let half = (same[0].first >> 64) as u64;
        let mut begin = |first: u64, value: u32| {
            halves.pop_if(|run| run.first == first);
            halves.push(Run { first, value });
        };
        let inner = || same.iter().map(|run| Run { first: run.first as u64, value: run.value });
        if same.len() == 1 && same[0].first as u64 == 0 {
            begin(half, same[0].value);
        } else {
            let lead = (same[0].first as u64 != 0).then_some(Run { first: 0, value: before });
            let inner: Vec<Run<u64>> = lead.into_iter().chain(inner()).collect();
            begin(half, builder.link(&inner, 0));
            half.checked_add(1).into_iter().for_each(|next| begin(next, inner[inner.len() - 1].value));
        }
        before = same[same.len() - 1].value;
    }
    halves
}
