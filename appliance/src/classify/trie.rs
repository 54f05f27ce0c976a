//! Longest prefix match in one domain, of which there may be thousands: small rather than fast.
//!
//! A multibit trie whose nodes are compressed by population count (Asai and Ohara, "Poptrie", SIGCOMM 2015): nodes of 64
//! ways. A node holds one bit a way that leads on, and one bit where a run of equal leaves starts; what they lead to stands
//! side by side in two arrays. 24 bytes a node and 4 a run. IPv4 and IPv6 share the code, and differ in the width of the
//! address.
//!
//! Immutable once built: any number of cores read it without a lock.

use ipnet::IpNet;

use super::prefix::{Address, Prefix, by_family};
use crate::units::{Family, RangeIndex};

/// Bits that index the root: 256 bytes a family.
const ROOT_BITS: u32 = WAY_BITS;
/// Bits that index a node.
const WAY_BITS: u32 = 6;
/// Leaves and root entries: no range.
const NONE: u32 = u32::MAX >> 1;
/// Root entries: the rest is a leaf, else a node.
const LEAF: u32 = 1 << 31;

/// Ranges of both families behind one question.
#[derive(Clone, Debug, Default)]
pub(super) struct SmallLpm {
    v4: Trie<u32>,
    v6: Trie<u128>,
}

impl SmallLpm {
    /// Of prefixes without host bits, none of them twice, sorted by family (IPv4 first), address and length, each with its
    /// [`RangeIndex`].
    pub(super) fn of(prefixes: impl IntoIterator<Item = (u32, IpNet)>) -> Self {
        let (v4, v6) = by_family(prefixes);
        Self { v4: Trie::new(&v4), v6: Trie::new(&v6) }
    }

    /// The longest range that holds an address; IPv4 stands in the first four bytes.
    #[inline]
    pub(super) fn lookup(&self, family: Family, address: &[u8; 16]) -> Option<RangeIndex> {
        let [a, b, c, d, ..] = *address;
        let leaf = match family {
            Family::V4 => self.v4.lookup(u32::from_be_bytes([a, b, c, d])),
            Family::V6 => self.v6.lookup(u128::from_be_bytes(*address)),
        };
        (leaf != NONE).then_some(RangeIndex(leaf))
    }
}

/// 64 ways.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Ways that lead to a node.
    onward: u64,
    /// Ways where a run of equal leaves starts; ways that lead on are skipped by runs.
    starts: u64,
    /// The first of its nodes.
    nodes: u32,
    /// The first of its leaves.
    leaves: u32,
}

/// One family's trie.
#[derive(Clone, Debug)]
struct Trie<A> {
    /// Empty where there is no prefix.
    root: Vec<u32>,
    nodes: Vec<Node>,
    leaves: Vec<u32>,
    address: std::marker::PhantomData<A>,
}

impl<A> Default for Trie<A> {
    fn default() -> Self {
        Self { root: Vec::new(), nodes: Vec::new(), leaves: Vec::new(), address: std::marker::PhantomData }
    }
}

impl<A: Address> Trie<A> {
    fn new(prefixes: &[Prefix<A>]) -> Self {
        let mut trie = Self::default();
        if prefixes.is_empty() {
            return trie;
        }
        let (ways, below) = spread(prefixes, 0, ROOT_BITS, NONE);
        trie.root = ways.iter().map(|leaf| LEAF | leaf).collect();
        for (way, inner) in below {
            let node = trie.room(1);
            trie.fill(node, inner, ROOT_BITS, ways[way]);
            trie.root[way] = node;
        }
        trie.nodes.shrink_to_fit();
        trie.leaves.shrink_to_fit();
        trie
    }

    /// So many new nodes side by side.
    fn room(&mut self, count: usize) -> u32 {
        let first = self.nodes.len();
        self.nodes.resize(first + count, Node::default());
        u32::try_from(first).expect("fewer nodes than 20 a prefix, and at most 2^20 prefixes")
    }

    /// Fills a node, and all below it, with prefixes longer than `depth`; where none fits, `leaf` holds. At most 20 deep.
    fn fill(&mut self, at: u32, prefixes: &[Prefix<A>], depth: u32, leaf: u32) {
        let (ways, below) = spread(prefixes, depth, WAY_BITS, leaf);
        let mut node = Node { nodes: self.room(below.len()), ..Node::default() };
        node.leaves = u32::try_from(self.leaves.len()).expect("fewer leaves than 64 a node");
        for (way, _) in &below {
            node.onward |= 1 << way;
        }
        let mut last = None;
        for (way, leaf) in ways.iter().enumerate().filter(|(way, _)| node.onward >> way & 1 == 0) {
            if last != Some(*leaf) {
                node.starts |= 1 << way;
                self.leaves.push(*leaf);
                last = Some(*leaf);
            }
        }
        self.nodes[at as usize] = node;
        for (child, (way, inner)) in (node.nodes..).zip(below) {
            self.fill(child, inner, depth + WAY_BITS, ways[way]);
        }
    }

    #[inline]
    fn lookup(&self, address: A) -> u32 {
        let Some(&entry) = self.root.get(address.bits(0, ROOT_BITS)) else { return NONE };
        if entry & LEAF != 0 {
            return entry & !LEAF;
        }
        let (mut at, mut depth) = (entry, ROOT_BITS);
        while depth < A::BITS {
            let Some(node) = self.nodes.get(at as usize) else { break };
            let way = address.bits(depth, WAY_BITS);
            let upto = (2_u64 << way).wrapping_sub(1);
            if node.onward >> way & 1 == 0 {
                let run = (node.starts & upto).count_ones();
                return self.leaves.get((node.leaves + run - 1) as usize).copied().unwrap_or(NONE);
            }
            at = node.nodes + (node.onward & upto).count_ones() - 1;
            depth += WAY_BITS;
        }
        NONE
    }
}

/// What leads on: a way, and the prefixes within it.
type Below<'a, A> = Vec<(usize, &'a [Prefix<A>])>;

/// Spreads prefixes longer than `depth` over `1 << bits` ways: the leaf of each way, and the longer ones within it.
fn spread<A: Address>(prefixes: &[Prefix<A>], depth: u32, bits: u32, leaf: u32) -> (Vec<u32>, Below<'_, A>) {
    let mut ways = vec![leaf; 1 << bits];
    let mut below: Below<'_, A> = Vec::new();
    let way = |p: &Prefix<A>| p.bits.bits(depth, bits);
    let mut from = 0;
    while let Some(prefix) = prefixes.get(from) {
        let first = way(prefix);
        if prefix.length <= depth + bits {
            // Sorted by address and then length, so what is nested comes behind what it is nested in, and overwrites it.
            ways[first..first + (1 << (depth + bits - prefix.length))].fill(prefix.index);
            from += 1;
        } else {
            let count = prefixes[from..].iter().take_while(|p| way(p) == first).count();
            below.push((first, &prefixes[from..from + count]));
            from += count;
        }
    }
    (ways, below)
}
