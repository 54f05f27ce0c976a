//! DXR (Zec, Rizzo and Mikuc, "DXR: towards a billion routing lookups per second in software", 2012): the address space as sorted
//! ranges. A root asked by the first bits tells a value, or which ranges lie below; those are searched by halves.

use super::rivals::BURST;
use super::sets::Net;

/// Bits that the root is asked by: D18R of the paper.
const ROOT_BITS: u32 = 18;
const LOW_BITS: u32 = 32 - ROOT_BITS;

/// What the root tells of an address's first bits: ranges from `first` on, `more` of them behind it.
#[derive(Clone, Copy, Default)]
struct Chunk {
    first: u32,
    more: u16,
}

/// The low bits where it begins; its value stands beside, so that a search reads nothing else.
#[derive(Clone, Copy)]
struct Range {
    from: u32,
    value: u32,
}

pub struct Dxr {
    root: Vec<Chunk>,
    ranges: Vec<Range>,
}

impl Dxr {
    pub fn new(nets: &[Net<u32>]) -> Self {
        let (starts, mut root, mut ranges) = (starts(nets), Vec::new(), Vec::<Range>::new());
        let (mut next, mut value) = (0, 0);
        for chunk in 0..1_u64 << ROOT_BITS {
            let (begin, first) = (chunk << LOW_BITS, ranges.len());
            ranges.push(Range { from: 0, value });
            while let Some((from, becomes)) = starts.get(next).filter(|(from, _)| *from < begin + (1 << LOW_BITS)) {
                (next, value) = (next + 1, *becomes);
                if *from == begin {
                    ranges.truncate(first);
                }
                ranges.push(Range { from: (from - begin) as u32, value });
            }
            root.push(Chunk { first: first as u32, more: u16::try_from(ranges.len() - first - 1).expect("2^14 addresses") });
        }
        Self { root, ranges }
    }

    /// The burst's chunks first, so that their waits overlap; then each is searched.
    pub fn find(&self, addresses: &[u32], values: &mut [u32]) {
        let mut chunks = [Chunk::default(); BURST];
        for (chunk, address) in chunks.iter_mut().zip(addresses) {
            *chunk = self.root[(address >> LOW_BITS) as usize];
        }
        for ((value, address), chunk) in values.iter_mut().zip(addresses).zip(&chunks) {
            *value = self.search(*chunk, address & ((1 << LOW_BITS) - 1));
        }
    }

    /// The last range that does not begin behind `low`; the first begins at zero.
    #[inline(always)]
    fn search(&self, chunk: Chunk, low: u32) -> u32 {
        let (mut at, mut length) = (chunk.first as usize, usize::from(chunk.more) + 1);
        while length > 1 {
            let half = length / 2;
            at += if self.ranges[at + half].from <= low { half } else { 0 };
            length -= half;
        }
        self.ranges[at].value
    }
}

/// Where the value becomes another: prefixes in order, those around it waiting for a prefix's end.
fn starts(nets: &[Net<u32>]) -> Vec<(u64, u32)> {
    let mut nets: Vec<Net<u32>> = nets.to_vec();
    nets.sort_by_key(|net| (net.bits, net.length));
    let (mut starts, mut around) = (Vec::<(u64, u32)>::new(), Vec::<(u64, u32)>::new());
    let mut becomes = |from: u64, value: u32| {
        // What begins where another ended is what counts there.
        if starts.last().is_some_and(|(last, _)| *last == from) {
            starts.pop();
        }
        starts.push((from, value));
    };
    let leave = |around: &mut Vec<(u64, u32)>, until: u64, becomes: &mut dyn FnMut(u64, u32)| {
        while let Some((end, _)) = around.pop_if(|(end, _)| *end <= until) {
            becomes(end, around.last().map_or(0, |(_, value)| *value));
        }
    };
    for net in &nets {
        let from = u64::from(net.bits);
        leave(&mut around, from, &mut becomes);
        becomes(from, net.value);
        around.push((from + (1_u64 << (32 - u32::from(net.length))), net.value));
    }
    leave(&mut around, u64::MAX, &mut becomes);
    starts
}
