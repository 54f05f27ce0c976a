use std::net::IpAddr;

use super::*;

/// Key and results of the sample trace that comes with the reference implementation (sample.cpp, sample_trace_sanitized.dat).
const KEY: [u8; 32] = [
    21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16, 216, 152, 143, 131, 121, 121, 101, 39, 98, 87, 76, 45, 42, 132,
    34, 2,
];
const V4: [(&str, &str); 24] = [
    ("128.11.68.132", "135.242.180.132"),
    ("129.118.74.4", "134.136.186.123"),
    ("130.132.252.244", "133.68.164.234"),
    ("141.223.7.43", "141.167.8.160"),
    ("141.233.145.108", "141.129.237.235"),
    ("152.163.225.39", "151.140.114.167"),
    ("156.29.3.236", "147.225.12.42"),
    ("165.247.96.84", "162.9.99.234"),
    ("166.107.77.190", "160.132.178.185"),
    ("192.102.249.13", "252.138.62.131"),
    ("192.215.32.125", "252.43.47.189"),
    ("192.233.80.103", "252.25.108.8"),
    ("198.26.132.101", "249.36.123.202"),
    ("199.217.79.101", "248.38.184.213"),
    ("202.49.198.20", "245.206.7.234"),
    ("207.25.71.27", "241.33.119.156"),
    ("212.120.124.31", "228.135.163.231"),
    ("216.254.18.172", "235.7.16.162"),
    ("24.0.250.221", "100.15.198.226"),
    ("38.15.67.68", "64.3.66.187"),
    ("4.3.88.225", "124.60.155.63"),
    ("63.14.55.111", "95.9.215.7"),
    ("64.39.15.238", "0.219.7.41"),
    ("10.185.25.118", "117.161.29.118"),
];
/// The reference has IPv4 alone; what other implementations agree on for IPv6.
const V6: [(&str, &str); 5] = [
    ("::1", "78ff:f001:9fc0:20df:8380:b1f1:704:ed"),
    ("::2", "78ff:f001:9fc0:20df:8380:b1f1:704:ef"),
    ("::ffff", "78ff:f001:9fc0:20df:8380:b1f1:704:f838"),
    ("2001:db8::1", "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1e"),
    ("2001:db8::2", "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1c"),
];

fn address(text: &str) -> Address {
    Address::from(text.parse::<IpAddr>().unwrap())
}

#[test]
fn the_published_samples_come_out() {
    let pan = Pan::new(&PanKey::new(KEY));
    for (plain, hidden) in V4.iter().chain(&V6) {
        assert_eq!(pan.address(&address(plain)), address(hidden), "{plain}");
    }
    assert_eq!(pan.address(&Address::NONE), Address::NONE);
    assert!(!format!("{:?}", PanKey::new(KEY)).contains("21"));
}

/// What two addresses share of their first bits, they share hidden, and no more.
#[test]
fn prefixes_are_preserved() {
    let pan = Pan::new(&PanKey::new([7; 32]));
    for (number, bit) in (0..32_u32).map(|bit| (0xC0A8_0117 ^ bit.wrapping_mul(0x0101_0101), bit)) {
        let other = number ^ 1 << (31 - bit);
        let [a, b] = [number, other].map(|n| pan.address(&Address::of(&n.to_be_bytes())));
        let [a, b] = [a, b].map(|a| u32::from_be_bytes(a.bytes().try_into().unwrap()));
        assert_eq!((a ^ b).leading_zeros(), bit);
    }
}

#[test]
fn truncation_keeps_the_first_bits() {
    for (plain, bits, cut) in [
        ("198.51.100.77", (24, 48), "198.51.100.0"),
        ("198.51.100.77", (0, 0), "0.0.0.0"),
        ("198.51.100.77", (32, 0), "198.51.100.77"),
        ("2001:db8:1:2:3::4", (24, 48), "2001:db8:1::"),
        ("2001:db8::4", (0, 128), "2001:db8::4"),
        ("2001:db8::4", (0, 0), "::"),
    ] {
        assert_eq!(truncated(&address(plain), bits.0, bits.1), address(cut), "{plain} {bits:?}");
    }
    assert_eq!(truncated(&Address::NONE, 24, 48), Address::NONE);
}

/// Lists of addresses are hidden as single ones are, and nothing beside them.
#[test]
fn lists_are_hidden_too() {
    let fields = ["mpls_ip", "src_addr_encap"].map(|name| crate::axes::flow_field::named(name).unwrap()).to_vec();
    let hiding = Hiding::new(&Anonymise { fields, method: Method::Truncate(16, 32) });
    let mut flow = Flow::default();
    flow.lists.mpls_ip.extend([address("198.51.100.77"), address("2001:db8:1::4")]);
    flow.lists.routing_addresses.push(address("2001:db8:1::5"));
    (flow.fields.src_addr_encap, flow.fields.src_addr) = (address("192.0.2.7"), address("192.0.2.8"));
    hiding.apply(&mut flow);
    assert_eq!(flow.lists.mpls_ip[..], [address("198.51.0.0"), address("2001:db8::")]);
    assert_eq!((flow.fields.src_addr_encap, flow.fields.src_addr), (address("192.0.0.0"), address("192.0.2.8")));
    assert_eq!(flow.lists.routing_addresses[..], [address("2001:db8:1::5")]);
}
