//! Prefixes that lie as badly as they can, in every form, against the trie of domains: trees that are tall or just full, entries of any
//! length, and random neighbours.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Lpm;
use super::cells::Layout;
use super::lpm_tests::{edges, in_bursts, padded, prepared, random};
use super::trie::SmallLpm;
use crate::arch::cells::Form;
use crate::units::Family;

fn v4(bits: u32, length: u32) -> IpNet {
    IpNet::from(Ipv4Net::new(bits.into(), u8::try_from(length).unwrap()).unwrap().trunc())
}

fn v6(bits: u128, length: u32) -> IpNet {
    IpNet::from(Ipv6Net::new(bits.into(), u8::try_from(length).unwrap()).unwrap().trunc())
}

/// Addresses at the edges of a prefix, and at those of the halves that it begins and ends in.
fn asked(net: &IpNet) -> impl Iterator<Item = (Family, [u8; 16])> {
    const LOW: u128 = u64::MAX as u128;
    let IpNet::V6(of) = net else { return edges(net).into_iter().chain(Vec::new()) };
    let (first, last) = (u128::from(of.network()), u128::from(of.broadcast()));
    let halves = [first | LOW, last & !LOW, (first & !LOW).wrapping_sub(1), (last | LOW).wrapping_add(1)];
    edges(net).into_iter().chain(halves.map(|address| (Family::V6, address.to_be_bytes())).to_vec())
}

/// All that is asked of so many of the prefixes is what the trie says, in every form.
fn agree(nets: Vec<IpNet>, layouts: &[Option<Layout>], one_in: usize, what: &str) {
    let nets = prepared(nets);
    let indexed = || (0..).zip(nets.iter().copied());
    let small = SmallLpm::of(indexed());
    let all: Vec<(Family, [u8; 16])> = nets.iter().step_by(one_in).flat_map(asked).collect();
    for family in [Family::V4, Family::V6] {
        let ends = [[0; 16], if family == Family::V4 { padded(u32::MAX) } else { [0xFF; 16] }];
        let asked: Vec<[u8; 16]> = all.iter().filter(|(of, _)| *of == family).map(|(_, address)| *address).chain(ends).collect();
        let truth: Vec<_> = asked.iter().map(|address| small.lookup(family, address)).collect();
        for (form, layout) in Form::all().into_iter().flat_map(|form| layouts.iter().map(move |layout| (form, *layout))) {
            let lpm = Lpm::made(indexed(), form, layout);
            for burst in [64, 48, 7] {
                assert!(in_bursts(&lpm, family, &asked, burst) == truth, "{what}: {form:?} {layout:?}, bursts of {burst}");
            }
            assert!(asked.iter().map(|address| lpm.lookup(family, address)).eq(truth.iter().copied()), "{what}: {form:?} {layout:?}");
        }
    }
}

/// Four lines before a leaf.
#[test]
fn a_tall_tree_is_right() {
    let many = (0..70_000_u128).map(|i| v6((0x2001_0DB8 << 96) + (i << 79), 49));
    agree(many.chain([v6(0, 9), v6(1 << 127, 3)]).collect(), &[None], 16, "tall");
}

/// Runs that just fill leaves and lines, side by side and with gaps, at the first and at the last of what can be.
#[test]
fn full_lines_are_right() {
    let blocks: [(u128, u32, u32); 5] = [
        (0x2001_0DB8 << 96, 80, 48),
        (0x2001_0DB8 << 96, 64, 64),
        (0x2001_0DB8 << 96 | 7 << 64, 0, 128),
        (u128::MAX << 92, 80, 48),
        (0, 0, 128),
    ];
    for count in [1, 3, 4, 7, 8, 9, 15, 16, 17, 32, 33, 63, 65, 127, 128, 129, 256, 257, 1_024, 1_025] {
        for ((bits, at, length), step) in blocks.into_iter().flat_map(|block| [(block, 1), (block, 2)]) {
            let one_in = 1 + count as usize / 64;
            let nets: Vec<IpNet> = (0..count).map(|i| v6(bits | (step * i) << at, length)).collect();
            let what = format!("{count} of /{length}, one in {step}, at {bits:x}");
            agree(nets.iter().copied().chain([v6(1 << 127, 3), v6(0, 9)]).collect(), &[None], one_in, &what);
            let last = if at == 0 { 0xFFF } else { 0xFFFF };
            agree((0..count).map(|i| v6(bits | (last - step * i) << at, length)).collect(), &[None], one_in, &what);
        }
    }
}

/// A prefix of each length, and its neighbour: all codes that entries have.
#[test]
fn entries_of_any_length_are_right() {
    for (length, bits) in
        (0..=128_u32).flat_map(|length| [0, u128::MAX, 0x2001_0DB8_1234_5678_9ABC_DEF0_1234_5679].map(|bits| (length, bits)))
    {
        let own = [v6(bits, length), v6(bits ^ 1_u128.checked_shl(128 - length).unwrap_or(0), length)];
        for beside in [vec![], vec![v6(0, 16), v6(0x8000 << 112, 16)], vec![v6(bits ^ 1 << 95, 40)], vec![v6(0, 0)]] {
            agree([&own[..1], &beside].concat(), &[None], 1, &format!("/{length} of {bits:x}"));
            agree([&own[..], &beside].concat(), &[None], 1, &format!("two /{length} of {bits:x}"));
        }
    }
    for (length, bits) in (0..=32_u32).flat_map(|length| [0, u32::MAX, 0x0A01_0203].map(|bits| (length, bits))) {
        let own = [v4(bits, length), v4(bits ^ 1_u32.checked_shl(32 - length).unwrap_or(0), length)];
        for beside in [vec![], vec![v4(0, 8), v4(1 << 31, 8)]] {
            agree([&own[..], &beside].concat(), &[None], 1, &format!("two /{length} of {bits:x}"));
        }
    }
}

/// Each differs from one before it in some bit, behind which there are zeros, ones, or anything.
#[allow(clippy::cast_possible_truncation, reason = "numbers below 128, and what is cut on purpose")]
fn neighbours(count: usize, bits_of_all: u32, random: &mut impl FnMut() -> u64) -> Vec<(u128, u32)> {
    let mut below = |bound: u32| (random() >> 16) as u32 % bound;
    let mut known = vec![[0, u128::MAX, 0x2001_0DB8 << 96, u128::MAX << 64, u128::from(u64::MAX)][below(5) as usize]];
    let style = below(4);
    let net = |_| {
        let one = if below(3) == 0 { 0 } else { below(known.len() as u32) as usize };
        let at = match style {
            1 => bits_of_all / 8 + below(bits_of_all / 3),
            2 => bits_of_all / 2 + below(bits_of_all / 2),
            _ => below(bits_of_all),
        };
        let rest = u128::MAX >> 1 >> at;
        let bits = known[one] ^ 1 << (127 - at);
        let any = (0..4).fold(0, |any, _| any << 32 | u128::from(below(u32::MAX)));
        let bits = [bits, bits & !rest, bits | rest, bits & !rest | any & rest][below(4) as usize];
        let longer = (at + 1 + below(6)).min(bits_of_all);
        let half = bits_of_all / 2;
        let length =
            [bits_of_all, bits_of_all - 1, half, half - 1 + below(3), below(bits_of_all + 1), longer, longer, longer][below(8) as usize];
        known.push(bits);
        (bits, length)
    };
    (0..count).map(net).collect()
}

#[test]
#[allow(clippy::cast_possible_truncation, reason = "an address of IPv4 stands in the first 32 bits")]
fn random_neighbours_are_right() {
    let mut random = random();
    for round in 0..24 {
        let count = [3, 20, 60, 110, 300, 800][round % 6];
        agree(neighbours(count, 128, &mut random).into_iter().map(|(bits, length)| v6(bits, length)).collect(), &[None], 1, "IPv6");
        let nets = neighbours(count, 32, &mut random).into_iter().map(|(bits, length)| v4((bits >> 96) as u32, length)).collect();
        let layouts: Vec<Option<Layout>> = if round % 6 == 4 { Layout::all().map(Some).collect() } else { vec![None] };
        agree(nets, &layouts, 1, "IPv4");
    }
}
