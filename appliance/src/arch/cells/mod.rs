//! Tables from addresses to values: the form that they have in memory, and how a burst is looked up in it.
//!
//! A *position* is the first 64 bits of an address. The bits behind those that all prefixes share choose an *entry* of the
//! root. It is a value with the prefix that it is of, so that one look tells all where a block holds no more than that; or
//! it says where a row of *units* stands and how many bits choose one of them. A unit holds the last position of each of its
//! runs but the last, and then the runs' values: one line, whatever the prefixes' lengths. Where a block has more runs than
//! its units hold, a value is a *link* to a row deeper down. A *wide* root holds values alone, three bytes each.
//!
//! Where a block of IPv6 has many, a tree of lines stands in place of a row.
//!
//! Units without keys are values, one behind the other: where the root leads to no others, and they are few, a burst asks all of
//! them at once.
//!
//! The scalar forms are the definition. Which form is used is measured once: processors differ in what a gather costs. Who makes one says
//! what stands in memory; [`Cells::new`] looks at each reference once, so that vector forms need not look again.

#![allow(clippy::cast_possible_truncation, reason = "words are cut where that is the point")]

pub(super) mod agree;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod form;
mod format;
mod tree;
#[cfg(test)]
mod tests;

pub use form::Form;
pub use format::{Class, Entry, GRAIN_WORDS, Link, Reference, Root, Shape, V4, V6, VALUE_MAX, WIDE_BYTES, WIDE_LINK};
pub use tree::{KEY_NONE, LEAF_KEYS, LINE_WORDS, WAYS_KEYS};

use std::marker::PhantomData;

use arrayvec::ArrayVec;

use format::wide;
use tree::Lane;

use super::Pages;
use super::prefetch::prefetch;

/// Addresses of one burst, at most; more are taken one burst after the other.
pub const BURST_MAX: usize = 64;
/// Bit of a value that leads to a link, whose number stands in the others.
pub const LINK: u32 = 1 << 31;
/// Links that one lookup can follow: each is at least one bit deeper.
const LINKS_DEEP_MAX: usize = 128;
/// Words behind the last unit: vectors are read whole.
const BEHIND_WORDS: usize = 8;

/// How a table's root leads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Below {
    /// To units of any class.
    Keyed,
    /// To units without keys, and seldom: whether it does is asked first.
    Rare,
    /// To units without keys: to ask one for nothing costs less than to guess wrong whether any is asked.
    Often,
}

impl Below {
    /// Entries that hold a prefix, to one that leads on.
    const RARE: usize = 512;

    fn of(mut entries: impl Iterator<Item = Entry> + Clone) -> Self {
        let is_keyed = |entry: &Entry| entry.reference().is_some_and(|reference| !reference.is_direct());
        let leads = entries.clone().filter(|entry| entry.reference().is_some()).count();
        let holds = entries.clone().filter(|entry| entry.holds()).count();
        match entries.find(is_keyed) {
            Some(_) => Self::Keyed,
            None if leads * Self::RARE < holds || leads == 0 => Self::Rare,
            None => Self::Often,
        }
    }
}

/// A table of one family. Never changed once it is made: cores share it without a lock, and another one takes its place.
#[derive(Debug)]
pub struct Cells<S> {
    root: Root,
    pages: Pages,
    links: Vec<Link>,
    below: Below,
    form: Form,
    shape: PhantomData<S>,
}

impl<S: Shape> Cells<S> {
    /// Of words: first the root's entries, then units.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(root: Root, words: &[u32], links: Vec<Link>, form: Form) -> Result<Self, &'static str> {
        root.checked::<S>()?;
        let depth = 64 - root.shift;
        if words.len() > Reference::WORDS_MAX {
            return Err("more words than references reach");
        }
        let entries = words.get(..root.words::<S>()).ok_or("a root that ends behind the words")?;
        let entries = (0..if root.wide { 0 } else { root.entries() }).map(|at| S::entry(entries, at));
        let of_root = entries.clone().filter_map(|entry| Some((entry.reference()?, depth)));
        let mut all = of_root.chain(links.iter().map(|link| (link.reference, link.depth)));
        all.try_for_each(|(reference, depth)| reference.checked::<S>(words, depth))?;
        if !Form::all().contains(&form) {
            return Err("a form that the processor lacks");
        }
        Ok(Self { root, pages: Pages::of(words, BEHIND_WORDS), links, below: Below::of(entries), form, shape: PhantomData })
    }

    /// Memory that it takes, bytes.
    pub fn bytes(&self) -> usize {
        self.pages.bytes() + size_of::<Link>() * self.links.capacity()
    }

    /// The value at a position; `second` is the other half of the address.
    #[inline]
    fn value(&self, position: u64, second: u64) -> u32 {
        let (words, at) = (self.pages.words(), self.root.at(position));
        let value = match self.root.wide {
            true => wide(words, at),
            false => self.resolve(S::entry(words, at), position),
        };
        if value & LINK == 0 { value } else { self.follow(value, position, second) }
    }

    /// One after the other, but what all need is asked for first.
    fn find_each<A>(&self, addresses: &[A], halves: impl Fn(&A) -> (u64, u64), values: &mut [u32]) {
        if self.root.wide {
            let found = addresses.iter().map(|address| wide(self.pages.words(), self.root.at(halves(address).0)));
            values.iter_mut().zip(found).for_each(|(value, found)| *value = found);
            return self.follow_all(addresses, values, halves);
        }
        let (words, depth) = (self.pages.words(), 64 - self.root.shift);
        let mut entries = [Entry(0); BURST_MAX];
        for (address, entry) in addresses.iter().zip(&mut entries) {
            let (position, _) = halves(address);
            *entry = S::entry(words, self.root.at(position));
            if let Some(reference) = entry.reference() {
                words.get(reference.unit::<S>(position, depth)).into_iter().for_each(prefetch);
            }
        }
        let mut trees = ArrayVec::new();
        for (lane, ((address, entry), value)) in addresses.iter().zip(entries).zip(&mut *values).enumerate() {
            let (position, _) = halves(address);
            match entry.reference().filter(|reference| reference.is_tree::<S>()) {
                Some(reference) => trees.push(self.lane(lane, position, reference)),
                None => *value = self.resolve(entry, position),
            }
        }
        self.walk(&mut trees, values);
        self.follow_all(addresses, values, halves);
    }

    /// The value, or a link.
    #[inline]
    fn resolve(&self, entry: Entry, position: u64) -> u32 {
        let depth = 64 - self.root.shift;
        entry
            .reference()
            .map_or_else(|| entry.value(position, depth), |reference| reference.value::<S>(self.pages.words(), position, depth))
    }

    /// A lane that the root leads to a tree.
    #[inline]
    fn lane(&self, lane: usize, position: u64, reference: Reference) -> Lane {
        (lane as u8, tree::key(position, 64 - self.root.shift), tree::first(reference), reference.bits())
    }

    /// What trees say to a burst's lanes.
    #[inline]
    fn walk(&self, lanes: &mut ArrayVec<Lane, BURST_MAX>, values: &mut [u32]) {
        tree::walk(self.pages.words(), lanes, |lane, found| {
            values.get_mut(usize::from(lane)).into_iter().for_each(|value| *value = found);
        });
    }

    /// Follows the links among a burst's values, all of them a step at a time: while one waits for memory, others ask.
    #[cold]
    #[inline(never)]
    fn follow_all<A>(&self, addresses: &[A], values: &mut [u32], halves: impl Fn(&A) -> (u64, u64)) {
        let words = self.pages.words();
        let mut lanes: ArrayVec<(u8, u64, u64), BURST_MAX> = ArrayVec::new();
        let linked = values.iter().zip(addresses).enumerate().filter(|(_, (value, _))| **value & LINK != 0);
        lanes.extend(linked.take(BURST_MAX).map(|(lane, (_, address))| {
            let (position, second) = halves(address);
            (lane as u8, position, second)
        }));
        for _ in 0..LINKS_DEEP_MAX {
            let mut steps: ArrayVec<(u8, u64, &Link), BURST_MAX> = ArrayVec::new();
            for (lane, position, second) in &lanes {
                let Some(link) = self.links.get((values[usize::from(*lane)] & !LINK) as usize) else { continue };
                let position = if link.second { *second } else { *position };
                words.get(link.reference.unit::<S>(position, link.depth)).into_iter().for_each(prefetch);
                steps.push((*lane, position, link));
            }
            for (lane, position, link) in steps {
                let value = link.value::<S>(words, position);
                values[usize::from(lane)] = value;
                self.links.get((value & !LINK) as usize).filter(|_| value & LINK != 0).into_iter().for_each(prefetch);
            }
            lanes.retain(|(lane, ..)| values[usize::from(*lane)] & LINK != 0);
            if lanes.is_empty() {
                return;
            }
        }
    }

    #[cold]
    fn follow(&self, mut value: u32, position: u64, second: u64) -> u32 {
        for _ in 0..LINKS_DEEP_MAX {
            let Some(link) = (value & LINK != 0).then(|| self.links.get((value & !LINK) as usize)).flatten() else { break };
            value = link.value::<S>(self.pages.words(), if link.second { second } else { position });
        }
        value
    }
}

/// Of both as many as there are of each: so no form writes more.
#[inline]
fn paired<'a, A>(addresses: &'a [A], values: &'a mut [u32]) -> (&'a [A], &'a mut [u32]) {
    let count = addresses.len().min(values.len());
    (&addresses[..count], &mut values[..count])
}

/// An IPv4 address as the first half of one: there is no other.
#[inline]
fn halves_v4(address: &u32) -> (u64, u64) {
    (u64::from(*address) << 32, 0)
}

/// Both halves of an IPv6 address.
#[inline]
fn halves(address: &[u8; 16]) -> (u64, u64) {
    let all = u128::from_be_bytes(*address);
    ((all >> 64) as u64, all as u64)
}

impl Cells<V4> {
    /// The value of an address.
    #[inline]
    pub fn find(&self, address: u32) -> u32 {
        self.value(u64::from(address) << 32, 0)
    }

    /// Values of addresses, as many as there is room for; what is behind them stays as it is.
    #[inline]
    pub fn find_all(&self, addresses: &[u32], values: &mut [u32]) {
        let (addresses, values) = paired(addresses, values);
        if addresses.len() <= BURST_MAX {
            return self.find_burst(addresses, values);
        }
        addresses.chunks(BURST_MAX).zip(values.chunks_mut(BURST_MAX)).for_each(|(addresses, values)| self.find_burst(addresses, values));
    }

    #[inline]
    fn find_burst(&self, addresses: &[u32], values: &mut [u32]) {
        match self.form {
            #[cfg(target_arch = "x86_64")]
            Form::Avx2 { gathers: true } => avx2::v4::<true>(self, addresses, values),
            #[cfg(target_arch = "x86_64")]
            Form::Avx2 { gathers: false } => avx2::v4::<false>(self, addresses, values),
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 { gathers: true } => avx512::v4::<true>(self, addresses, values),
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 { gathers: false } => avx512::v4::<false>(self, addresses, values),
            _ => self.find_each(addresses, halves_v4, values),
        }
    }
}

impl Cells<V6> {
    /// The value of an address.
    #[inline]
    pub fn find(&self, address: &[u8; 16]) -> u32 {
        let (position, second) = halves(address);
        self.value(position, second)
    }

    /// Values of addresses, as many as there is room for; what is behind them stays as it is.
    #[inline]
    pub fn find_all(&self, addresses: &[[u8; 16]], values: &mut [u32]) {
        let (addresses, values) = paired(addresses, values);
        if addresses.len() <= BURST_MAX {
            return self.find_burst(addresses, values);
        }
        addresses.chunks(BURST_MAX).zip(values.chunks_mut(BURST_MAX)).for_each(|(addresses, values)| self.find_burst(addresses, values));
    }

    #[inline]
    fn find_burst(&self, addresses: &[[u8; 16]], values: &mut [u32]) {
        match self.form {
            #[cfg(target_arch = "x86_64")]
            Form::Avx2 { .. } => avx2::v6(self, addresses, values),
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 { gathers: true } => avx512::v6::<true>(self, addresses, values),
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 { gathers: false } => avx512::v6::<false>(self, addresses, values),
            _ => self.find_each(addresses, halves, values),
        }
    }
}
