//! What tables take, what they hold at most, and where they end.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Lpm;
use super::lpm_tests::{edges, padded, prepared};
use super::trie::SmallLpm;
use crate::arch::cells::{Form, VALUE_MAX};
use crate::units::{Family, RangeIndex};

/// What a million prefixes of IPv4 may take.
const V4_BYTES_MAX: usize = 64 << 20;

fn host(bits: u32) -> IpNet {
    IpNet::from(Ipv4Net::new(bits.into(), 32).unwrap())
}

/// Of a table that is right; some of the edges of its prefixes are asked.
fn bytes(nets: impl Iterator<Item = IpNet>) -> usize {
    let nets = prepared(nets.collect());
    let (lpm, small) = (Lpm::new(nets.iter().copied()), SmallLpm::of((0..).zip(nets.iter().copied())));
    for (family, address) in nets.iter().step_by(1 + nets.len() / 20_000).flat_map(edges) {
        assert_eq!(lpm.lookup(family, &address), small.lookup(family, &address), "{address:?}");
    }
    println!("{} prefixes take {} bytes", nets.len(), lpm.bytes());
    lpm.bytes()
}

#[test]
fn memory_grows_with_the_prefixes() {
    let nets = (0..50_000_u32).map(|i| IpNet::from(Ipv4Net::new((i << 12).into(), 24).unwrap()));
    assert_eq!(bytes(nets), 2 << 20, "a large page");
    assert_eq!(Lpm::default().bytes(), 0);
}

/// Eight in each of 125,000 blocks, so that keys of a line do not tell them.
#[test]
fn a_million_ipv4_prefixes_take_64_mb_however_they_lie() {
    let hosts = [2, 20, 24, 33, 37, 56, 100, 200];
    let bytes = bytes((0..125_000_u32).flat_map(|block| hosts.map(|at| host(block << 15 | at))));
    assert!(bytes <= V4_BYTES_MAX, "{bytes}");
}

/// In each of 83,333 blocks one at each of seven halvings, and five at their end: of many ways to lie, this took most.
#[test]
fn a_million_ipv4_prefixes_that_are_ever_closer_take_64_mb() {
    let apart = |first: u32| (6..13).map(move |at| first | 1 << at).chain([3, 17, 22, 41, 60].map(|at| first | at));
    let bytes = bytes((0..83_333_u32).flat_map(|block| apart((6 * block) << 13)).map(host));
    assert!(bytes <= V4_BYTES_MAX, "{bytes}");
}

/// Each alone in its /64, of which none lies near another.
#[test]
fn scattered_hosts_of_ipv6_take_150_bytes_each() {
    let bits = |i: u128| 2 << 124 | i.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) >> 4;
    let bytes = bytes((0..100_000).map(|i| IpNet::from(Ipv6Net::new(bits(i).into(), 128).unwrap())));
    assert!(bytes <= 150 * 100_000, "{bytes}");
}

#[test]
fn the_largest_index_is_found() {
    let [v4, v6]: [IpNet; 2] = ["10.0.0.0/8", "2001:db8::/32"].map(|net| net.parse().unwrap());
    let largest = VALUE_MAX - 1;
    for form in Form::all() {
        let lpm = Lpm::made([(largest - 1, v4), (largest, v6)], form, None);
        assert_eq!(lpm.lookup(Family::V4, &padded(0x0A00_0001)), Some(RangeIndex(largest - 1)));
        assert_eq!(lpm.lookup(Family::V6, &(0x2001_0DB8_u128 << 96 | 1).to_be_bytes()), Some(RangeIndex(largest)));
    }
}

#[test]
#[should_panic(expected = "at most RANGES_MAX")]
fn an_index_that_no_table_holds_is_refused() {
    Lpm::of([(VALUE_MAX, "10.0.0.0/8".parse().unwrap())]);
}

#[test]
fn nothing_is_written_behind_the_last_address() {
    for form in Form::all() {
        let lpm = Lpm::made([(0, "0.0.0.0/8".parse().unwrap()), (1, "::/8".parse().unwrap())], form, None);
        for (lpm, [v4, v6]) in [(lpm, [1, 2]), (Lpm::default(), [0, 0])] {
            let mut found = [77; 8];
            lpm.find_v4(&[1, 2, 3], &mut found);
            assert_eq!(found, [v4, v4, v4, 77, 77, 77, 77, 77], "{form:?}");
            let mut found = [77; 8];
            lpm.find_v6(&[[0; 16]; 3], &mut found);
            assert_eq!(found, [v6, v6, v6, 77, 77, 77, 77, 77], "{form:?}");
        }
    }
}
