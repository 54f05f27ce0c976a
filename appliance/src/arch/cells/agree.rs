//! Lookups in small tables of every kind, which are drawn: what a form of the code says of them. `arch/agree` holds forms against each
//! other.
//!
//! Keys, prefixes and what leads on are drawn of the addresses that are asked, so that many lie just where a run ends. Units' keys are
//! in no order: they are counted, whichever come first.

use std::marker::PhantomData;

use super::tree;
use super::{Cells, Entry, Form, GRAIN_WORDS, KEY_NONE, LEAF_KEYS, LINE_WORDS, LINK, Link, Reference, Root, Shape, V4, V6, VALUE_MAX};
use super::{WAYS_KEYS, WIDE_BYTES, WIDE_LINK};
use crate::arch::hash::spread;
use crate::arch::lanes;

/// Rounds that ask one table, a burst each.
const TABLE_ROUNDS: u64 = 16;
/// Addresses of a round's burst, in turn: whole vectors of any number, and what ends within one.
const BURSTS: [usize; 8] = [64, 16, 5, 48, 64, 33, 32, 64];
/// Addresses that a table is asked for, of which a burst takes some behind each other.
const ASKED: usize = 160;
/// Prefixes in entries of the root that are asked; a table is small.
const PREFIXES: usize = 48;
/// Bits that a link has told of a position, where it is by the first half.
const LINK_DEPTH: u32 = 26;

/// A kind of table.
pub(in super::super) struct Kind {
    shift: u32,
    bits: u32,
    wide: bool,
    /// Entries of the root that lead on, and to units of which classes.
    leads: usize,
    classes: &'static [usize],
    links: usize,
}

const fn kind((shift, bits): (u32, u32), leads: usize, classes: &'static [usize], links: usize) -> Kind {
    Kind { shift, bits, wide: false, leads, classes, links }
}

/// A family whose tables can be drawn.
pub(in super::super) trait Drawn: Shape {
    /// An address.
    type Address;
    /// One at least for each way that some form has of its own.
    const KINDS: &'static [Kind];

    /// Of its halves.
    fn address(halves: (u64, u64)) -> Self::Address;

    /// Looks a burst up.
    fn find(cells: &Cells<Self>, addresses: &[Self::Address], values: &mut [u32]);
}

impl Drawn for V4 {
    type Address = u32;
    const KINDS: &'static [Kind] = &[
        kind((43, 10), 20, &[0, 1, 2, 3], 6),
        kind((52, 12), 12, &[0], 4),
        Kind { shift: 40, bits: 10, wide: true, leads: 0, classes: &[], links: 24 },
        kind((43, 10), 24, &[0], 4),
        kind((52, 12), 8, &[0, 1, 2, 3], 6),
        // Few entries lead on: whether any does is asked first.
        kind((52, 12), 2, &[0], 0),
        kind((43, 10), 1, &[0], 1),
    ];

    fn address((position, _): (u64, u64)) -> u32 {
        (position >> 32) as u32
    }

    fn find(cells: &Cells<Self>, addresses: &[u32], values: &mut [u32]) {
        cells.find_all(addresses, values);
    }
}

impl Drawn for V6 {
    type Address = [u8; 16];
    const KINDS: &'static [Kind] =
        &[kind((40, 8), 24, &[0, 1, 2, 3], 8), kind((44, 10), 30, &[3], 4), kind((53, 11), 24, &[0, 1, 2], 6), kind((40, 8), 0, &[], 0)];

    fn address((position, second): (u64, u64)) -> [u8; 16] {
        (u128::from(position) << 64 | u128::from(second)).to_be_bytes()
    }

    fn find(cells: &Cells<Self>, addresses: &[[u8; 16]], values: &mut [u32]) {
        cells.find_all(addresses, values);
    }
}

/// All that lookups say in so many rounds, in one number, by what there is for this kind of processor; another number where code that
/// gathers and code that does not say different things.
pub(in super::super) fn answers<S: Drawn>(processor: lanes::Form, rounds: u64) -> u64 {
    let said = Form::of(processor).into_iter().map(|form| said::<S>(form, rounds));
    said.reduce(|one, other| if one == other { one } else { spread(one ^ other) }).unwrap_or(0)
}

fn said<S: Drawn>(form: Form, rounds: u64) -> u64 {
    let tables = (0..rounds.div_ceil(TABLE_ROUNDS)).map(|number| (number, table::<S>(number, form)));
    tables.fold(0, |all, (number, table)| {
        let rounds = number * TABLE_ROUNDS..rounds.min((number + 1) * TABLE_ROUNDS);
        // What cannot be made says nothing; that there is none of these is for the tests to show.
        table.map_or(all, |(cells, asked)| rounds.fold(all, |all, round| spread(all ^ burst(&cells, &asked, round))))
    })
}

/// What a table says of a round's burst.
fn burst<S: Drawn>(cells: &Cells<S>, asked: &[S::Address], round: u64) -> u64 {
    let mut draws = Draws(round);
    let (length, mut values) = (BURSTS[round as usize % BURSTS.len()], [0; 64]);
    let from = draws.below(ASKED - length);
    S::find(cells, &asked[from..from + length], &mut values[..length]);
    values.iter().fold(0, |all, value| spread(all ^ u64::from(*value)))
}

/// A table that is drawn, and what it is asked for.
fn table<S: Drawn>(number: u64, form: Form) -> Result<(Cells<S>, Vec<S::Address>), &'static str> {
    let (kind, mut draws) = (&S::KINDS[number as usize % S::KINDS.len()], Draws(spread(number)));
    let first = if kind.shift + kind.bits == 64 { 0 } else { draws.next() >> (kind.shift + kind.bits) << (kind.shift + kind.bits) };
    let root = Root { first, shift: kind.shift, bits: kind.bits, wide: kind.wide };
    let asked = asked::<S>(root, &mut draws);
    let mut new = Drawing::<S> { draws, asked, words: vec![0; root.words::<S>()], links: Vec::new(), shape: PhantomData };
    // What links lead to leads no further.
    new.links = (0..kind.links).map(|_| new.link()).collect();
    if kind.wide {
        new.wide(root)
    } else {
        new.narrow(root, kind)
    }
    let addresses = new.asked.iter().map(|halves| S::address(*halves)).collect();
    Ok((Cells::new(root, &new.words, new.links, form)?, addresses))
}

/// Addresses within the root's block, beside it, and anywhere; some of one entry.
fn asked<S: Drawn>(root: Root, draws: &mut Draws) -> Vec<(u64, u64)> {
    let mut asked: Vec<(u64, u64)> = Vec::with_capacity(ASKED);
    for n in 0..ASKED {
        let (drawn, second) = (draws.next(), draws.next());
        let position = match n % 8 {
            0 => root.first.wrapping_sub(1),
            1 => root.first.wrapping_add(1_u64.checked_shl(root.shift + root.bits).unwrap_or(0)),
            2 | 3 => drawn,
            INSIDE | 5 => root.first | drawn & (u64::MAX >> (64 - root.shift - root.bits)),
            _ => asked[draws.below(n)].0 ^ drawn >> (64 - root.shift),
        };
        asked.push((position & u64::MAX << (64 - S::DEPTH_MAX), second));
    }
    asked
}

/// The first of two among eight addresses that are within the root's block.
const INSIDE: usize = 4;

/// Numbers that are drawn, always the same ones.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = spread(self.0.wrapping_add(0x9E37_79B9_7F4A_7C15));
        self.0
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() >> 32) as usize % most
    }
}

/// A table that is being drawn.
struct Drawing<S> {
    draws: Draws,
    asked: Vec<(u64, u64)>,
    words: Vec<u32>,
    links: Vec<Link>,
    shape: PhantomData<S>,
}

impl<S: Drawn> Drawing<S> {
    /// An address that is asked, within the root's block.
    fn inside(&mut self) -> (u64, u64) {
        self.asked[8 * self.draws.below(ASKED / 8) + INSIDE + self.draws.below(2)]
    }

    /// A value as units have them, or a link.
    fn value(&mut self) -> u32 {
        let drawn = self.draws.next();
        match self.links.len() {
            links if links > 0 && drawn.is_multiple_of(8) => LINK | ((drawn >> 32) as u32 % links as u32),
            _ => drawn as u32 & !LINK,
        }
    }

    /// Room for so many words; where they begin.
    fn room(&mut self, words: usize, multiple: usize) -> usize {
        let first = self.words.len().next_multiple_of(multiple);
        self.words.resize(first + words, 0);
        first
    }

    fn link(&mut self) -> Link {
        let (position, second) = self.inside();
        let is_second = S::DEPTH_MAX == 64 && self.draws.below(2) == 0;
        let (depth, position) = if is_second { (0, second) } else { (LINK_DEPTH, position) };
        let class = self.draws.below(S::CLASSES.len());
        let reference = self.units(class, depth, position);
        Link { second: is_second, depth, first: position & !(u64::MAX >> depth), beside: self.value(), reference }
    }

    /// A root of values, some of which are links.
    fn wide(&mut self, root: Root) {
        for at in 0..root.entries() {
            let drawn = self.draws.next();
            self.put_wide(at, if drawn.is_multiple_of(4) { 0 } else { (drawn >> 32) as u32 & (WIDE_LINK - 1) });
        }
        for number in 0..self.links.len() {
            self.put_wide(root.at(self.links[number].first), WIDE_LINK | number as u32);
        }
    }

    fn put_wide(&mut self, at: usize, entry: u32) {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.words);
        bytes[WIDE_BYTES * at..][..WIDE_BYTES].copy_from_slice(&entry.to_le_bytes()[..WIDE_BYTES]);
    }

    /// A root of values with their prefixes, and of what leads on.
    fn narrow(&mut self, root: Root, kind: &Kind) {
        for at in 0..root.entries() {
            let drawn = self.draws.next();
            let entry = if drawn.is_multiple_of(4) { Entry(0) } else { Entry::prefix(0, 0, 1 + (drawn >> 32) as u32 % VALUE_MAX) };
            S::put(&mut self.words, at, entry);
        }
        for n in 0..PREFIXES + kind.leads {
            let (position, _) = self.inside();
            let entry = if n < PREFIXES {
                self.prefix(position, 64 - root.shift)
            } else {
                let class = kind.classes[self.draws.below(kind.classes.len())];
                Entry::units(self.units(class, 64 - root.shift, position))
            };
            S::put(&mut self.words, root.at(position), entry);
        }
    }

    /// A prefix of which a position is, or just is not.
    fn prefix(&mut self, position: u64, depth: u32) -> Entry {
        let longer = self.draws.below(1 + S::LONGER_MAX.min(S::DEPTH_MAX - depth) as usize) as u32;
        let bits = (position << depth).checked_shr(64 - longer).unwrap_or(0);
        let other = u64::from(longer > 0 && self.draws.below(2) == 0);
        Entry::prefix(bits ^ other, longer, 1 + self.draws.below(VALUE_MAX as usize) as u32)
    }

    /// What tells positions apart of which so many bits were looked at, most of all those near to this one.
    fn units(&mut self, class: usize, depth: u32, near: u64) -> Reference {
        if class >= S::ROWS {
            let (levels, line) = (self.draws.below(3) as u32, self.room(LINE_WORDS, LINE_WORDS) / LINE_WORDS);
            self.line(line, levels, tree::key(near, depth));
            return Reference::tree::<S>(line as u32, levels);
        }
        self.row(class, depth, near)
    }

    fn row(&mut self, class: usize, depth: u32, near: u64) -> Reference {
        let (of_class, step) = (S::CLASSES[class], 1 << (64 - S::DEPTH_MAX));
        let bits = (S::DEPTH_MIN.saturating_sub(depth) + self.draws.below(3) as u32).min(S::DEPTH_MAX - depth);
        let (words, values) = ((1_usize << of_class.shift) / 4, (of_class.keys * S::KEY_BYTES / 4) as usize);
        let row = self.room(words << bits, words.max(GRAIN_WORDS));
        for unit in (row..row + (words << bits)).step_by(words) {
            for place in 0..of_class.keys as usize {
                let of = if self.draws.below(3) == 0 { self.inside().0 } else { near };
                let key = of.wrapping_add(step * self.draws.below(3) as u64).wrapping_sub(step);
                S::store(&mut self.words[unit..], place, S::key(key));
            }
            for place in 0..=of_class.keys as usize {
                self.words[unit + values + place] = self.value();
            }
        }
        Reference::new((row / GRAIN_WORDS) as u32, class, bits)
    }

    /// Fills a tree's line, and those that it leads to, so many levels deep.
    fn line(&mut self, line: usize, levels: u32, near: u32) {
        let at = LINE_WORDS * line;
        let most = if levels > 0 { WAYS_KEYS } else { LEAF_KEYS };
        let keys = if levels > 1 { 2 } else { 1 + self.draws.below(most) };
        for place in 0..most {
            let drawn = [near.wrapping_sub(1), near, near.wrapping_add(1), self.draws.next() as u32][self.draws.below(4)];
            self.words[at + place] = if place < keys { drawn } else { KEY_NONE };
        }
        if levels == 0 {
            return (0..=LEAF_KEYS).for_each(|place| self.words[at + LEAF_KEYS + place] = self.value());
        }
        let next = self.room(LINE_WORDS * (keys + 1), LINE_WORDS) / LINE_WORDS;
        self.words[at + WAYS_KEYS] = next as u32;
        (next..=next + keys).for_each(|line| self.line(line, levels - 1, near));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Below;
    use super::*;

    /// Tables that [`said`] asks in as many rounds as any test, bench or check has.
    const TABLES: u64 = 5_000_u64.div_ceil(TABLE_ROUNDS);

    /// Of all tables: which ways their roots lead on, how many values and how many links a burst of each finds, at most.
    fn seen<S: Drawn>(is_linked: impl Fn(&Cells<S>, &S::Address) -> bool) -> Vec<(Below, bool, usize, bool)> {
        let one = |number| {
            let (cells, asked) = table::<S>(number, Form::Scalar).unwrap();
            let mut values = [0; ASKED];
            S::find(&cells, &asked, &mut values);
            assert!(values.iter().all(|value| value & LINK == 0), "links lead to values");
            let found = values.iter().filter(|value| **value > 0).count();
            (cells.below, cells.root.is_all(), found, asked.iter().any(|address| is_linked(&cells, address)))
        };
        (0..if cfg!(miri) { 2 * S::KINDS.len() as u64 } else { TABLES }).map(one).collect()
    }

    #[test]
    fn tables_of_each_kind_are_made_and_find_some_and_not_all() {
        let linked = |cells: &Cells<V4>, address: &u32| {
            let (words, at) = (cells.pages.words(), cells.root.at(u64::from(*address) << 32));
            cells.root.wide && super::super::wide(words, at) & LINK != 0
                || !cells.root.wide && cells.resolve(V4::entry(words, at), u64::from(*address) << 32) & LINK != 0
        };
        let v4 = seen::<V4>(linked);
        for below in [Below::Keyed, Below::Rare, Below::Often] {
            assert!([true, false].iter().all(|all| v4.iter().any(|seen| seen.0 == below && seen.1 == *all)), "{below:?}");
        }
        let v6 = seen::<V6>(|cells, address| {
            let (position, _) = super::super::halves(address);
            cells.resolve(V6::entry(cells.pages.words(), cells.root.at(position)), position) & LINK != 0
        });
        for seen in [&v4, &v6] {
            assert!(seen.iter().all(|(.., found, _)| (1..ASKED).contains(found)) && seen.iter().any(|(.., linked)| *linked), "{seen:?}");
        }
    }

    /// Who says something else of one address is told from the others, by those bursts alone that ask it.
    #[test]
    fn what_one_lane_says_counts() {
        let (cells, asked) = table::<V4>(0, Form::Scalar).unwrap();
        let all: Vec<u64> = (0..TABLE_ROUNDS).map(|round| burst(&cells, &asked, round)).collect();
        let mut other = asked.clone();
        let (at, _) = asked.iter().enumerate().find(|(at, address)| *at > 96 && cells.find(**address) == 0).unwrap();
        other[at] = asked[asked.iter().position(|address| cells.find(*address) != 0).unwrap()];
        let differ = (0..).zip(&all).filter(|(round, one)| burst(&cells, &other, *round) != **one).count();
        assert!((1..all.len()).contains(&differ), "{differ}");
    }
}
