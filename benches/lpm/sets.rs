//! Prefixes as they are raced, and addresses to ask for.

use std::collections::BTreeSet;

use tailwater::arch::hash::spread;

use super::support::Chances;

/// A prefix without host bits, and its value: its position and one.
#[derive(Clone, Copy)]
pub struct Net<A> {
    pub bits: A,
    pub length: u8,
    pub value: u32,
}

/// Numbers that look random, the same each time.
pub struct Draws(u64);

impl Draws {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        spread(self.0)
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

/// How long the prefixes of a set are, by a draw.
pub type Lengths = fn(u64) -> u8;

/// Lengths of the routes of the Internet, roughly; none longer than /24.
pub const fn bgp(draw: u64) -> u8 {
    match draw % 100 {
        0..60 => 24,
        60..70 => 23,
        70..82 => 22,
        82..87 => 21,
        87..92 => 20,
        92..95 => 19,
        95..97 => 18,
        97 => 17,
        _ => 16,
    }
}

/// So many IPv4 prefixes, sorted by address and length.
pub fn v4(count: usize, lengths: Lengths) -> Vec<Net<u32>> {
    let (mut draws, mut set) = (Draws::new(4), BTreeSet::new());
    while set.len() < count {
        let length = lengths(draws.next());
        set.insert((draws.next() as u32 >> (32 - length) << (32 - length), length));
    }
    (1..).zip(set).map(|(value, (bits, length))| Net { bits, length, value }).collect()
}

/// So many of 2000::/3, sorted by address and length.
pub fn v6(count: usize, lengths: Lengths) -> Vec<Net<u128>> {
    let (mut draws, mut set) = (Draws::new(6), BTreeSet::new());
    while set.len() < count {
        let length = lengths(draws.next());
        set.insert((global(draws.wide()) >> (128 - length) << (128 - length), length));
    }
    (1..).zip(set).map(|(value, (bits, length))| Net { bits, length, value }).collect()
}

/// Blocks that the registries give from: five /12 and a /16.
const REGISTRIES: [(u128, u8); 6] =
    [(0x2400 << 112, 12), (0x2600 << 112, 12), (0x2800 << 112, 12), (0x2A00 << 112, 12), (0x2C00 << 112, 12), (0x2001 << 112, 16)];

/// Lengths of the routes of the Internet, roughly; none longer than /48.
const fn bgp_v6_length(draw: u64) -> u8 {
    match draw % 100 {
        0..46 => 48,
        46..58 => 44,
        58..68 => 40,
        68..74 => 36,
        74..80 => 45 + (draw / 100 % 3) as u8,
        80..86 => 33 + (draw / 100 % 3) as u8,
        86..97 => 32,
        _ => 29,
    }
}

/// So many as the Internet has them, sorted by address and length: in as many /32 as an eighth of them.
pub fn bgp_v6(count: usize) -> Vec<Net<u128>> {
    let (mut draws, mut set) = (Draws::new(16), BTreeSet::new());
    let holders: Vec<u128> = (0..count / 8)
        .map(|_| {
            let (block, length) = REGISTRIES[draws.next() as usize % REGISTRIES.len()];
            (block | draws.wide() >> length) >> 96 << 96
        })
        .collect();
    while set.len() < count {
        let length = bgp_v6_length(draws.next());
        let holder = holders[draws.next() as usize % holders.len()];
        set.insert(((holder | draws.wide() >> 32) >> (128 - length) << (128 - length), length));
    }
    (1..).zip(set).map(|(value, (bits, length))| Net { bits, length, value }).collect()
}

const fn global(bits: u128) -> u128 {
    bits >> 3 | 1 << 125
}

/// Each inside a prefix, by these chances.
pub fn inside_v4(nets: &[Net<u32>], chances: &Chances, count: usize) -> Vec<u32> {
    let mut draws = Draws::new(41);
    let host = |net: &Net<u32>, draw: u64| net.bits | ((u64::from(draw as u32)) & ((1 << (32 - net.length)) - 1)) as u32;
    (0..count).map(|_| host(&nets[chances.pick(draws.next()) as usize], draws.next())).collect()
}

/// Any.
pub fn random_v4(count: usize) -> Vec<u32> {
    let mut draws = Draws::new(42);
    (0..count).map(|_| draws.next() as u32).collect()
}

/// Each inside a prefix, by these chances.
pub fn inside_v6(nets: &[Net<u128>], chances: &Chances, count: usize) -> Vec<[u8; 16]> {
    let mut draws = Draws::new(61);
    let host = |net: &Net<u128>, draw: u128| (net.bits | draw >> net.length).to_be_bytes();
    (0..count).map(|_| host(&nets[chances.pick(draws.next()) as usize], draws.wide())).collect()
}

/// Any of 2000::/3.
pub fn random_v6(count: usize) -> Vec<[u8; 16]> {
    let mut draws = Draws::new(62);
    (0..count).map(|_| global(draws.wide()).to_be_bytes()).collect()
}
