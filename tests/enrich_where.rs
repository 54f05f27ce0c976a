//! `where` of streams against a model: random conditions as they are written, over random flows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

use std::net::IpAddr;

use ipnet::IpNet;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tailwater::config::streams::parse_where;
use tailwater::enrich::admits;
use tailwater::flows::{Added, Address, Flow, FlowType, Text};

struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0.next_u32() % n
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(u32::try_from(of.len()).unwrap()) as usize].clone()
    }
}

const NETS: [&str; 8] =
    ["10.0.0.0/8", "10.1.0.0/16", "10.1.1.1/32", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "2001:db8:1::/48", "::/0"];
const HOSTS: [&str; 7] = ["10.0.0.1", "10.1.1.1", "10.1.2.3", "192.0.2.9", "8.8.8.8", "2001:db8::1", "2001:db8:1::9"];
const NAMES: [&str; 4] = ["acme", "inner", "x y", ""];

fn ip(address: &Address) -> Option<IpAddr> {
    match address.bytes().len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(address.bytes()).unwrap())),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(address.bytes()).unwrap())),
        _ => None,
    }
}

fn flow(dice: &mut Dice) -> (Flow, Added) {
    let (mut flow, mut added) = (Flow::default(), Added::NONE);
    let host = |dice: &mut Dice| match dice.below(10) {
        0 => Address::NONE,
        _ => Address::from(dice.one(&HOSTS).parse::<IpAddr>().unwrap()),
    };
    let f = &mut flow.fields;
    (f.src_addr, f.dst_addr, f.sampler_address, f.exporter_address) = (host(dice), host(dice), host(dice), host(dice));
    f.proto = dice.one(&[0, 1, 6, 17, 58, 47, 132]);
    (f.src_port, f.dst_port) = (dice.one(&[0, 53, 123, 443, 1_023, 1_024, 65_535]), dice.one(&[0, 53, 80, 443, 50_000]));
    (f.tcp_flags, f.ip_tos, f.ip_ttl) = (dice.one(&[0, 2, 18, 16]), dice.one(&[0, 184, 3]), dice.one(&[0, 1, 64, 255]));
    (f.in_if, f.out_if, f.vlan_id, f.src_vlan) = (dice.below(4), dice.below(4), dice.one(&[0, 5]), dice.one(&[0, 5, 6]));
    (f.src_as, f.dst_as, f.icmp_type, f.icmp_code) = (dice.below(3), dice.below(3), dice.one(&[0, 3, 8]), dice.below(2));
    (f.kind, f.src_mac, f.bytes) =
        (dice.one(&[FlowType::Ipfix, FlowType::Sflow5]), u64::from(dice.below(2)) * 0x0200_5E10_0001, 1 << dice.below(40));
    (f.packets, f.fragment_offset, f.ip_flags) = (u64::from(dice.below(3)), dice.one(&[0, 0, 185]), dice.below(4));
    flow.lists.as_path.extend((0..dice.below(3)).map(|_| dice.one(&[1, 2, 64_499, 64_500])));
    flow.lists.layers.extend((0..dice.below(3)).map(|_| (dice.one(&[0, 1, 9]), 20)));
    flow.lists.mpls_ip.extend((0..dice.below(3)).map(|_| Address::from(dice.one(&HOSTS).parse::<IpAddr>().unwrap())));
    let name = |dice: &mut Dice| Text::from(dice.one(&NAMES));
    (added.src_customer, added.dst_customer, added.src_country, added.note) = (name(dice), name(dice), name(dice), name(dice));
    (flow, added)
}

type Holds = Box<dyn Fn(&Flow, &Added) -> bool>;

/// A condition as it is written, and whether it holds by the plainest reading.
fn condition(dice: &mut Dice) -> (String, Holds) {
    let ports = |f: &tailwater::flows::Fields| matches!(f.proto, 6 | 17 | 132);
    match dice.below(20) {
        0 => {
            let (name, number) = dice.one(&[("\"tcp\"", 6), ("\"udp\"", 17), ("47", 47), ("\"icmpv6\"", 58)]);
            (format!("protocol = {name}"), Box::new(move |flow, _| flow.fields.proto == number))
        }
        1 => (
            "src_port = [53, \"1024..\"]".to_owned(),
            Box::new(move |flow, _| ports(&flow.fields) && (flow.fields.src_port == 53 || flow.fields.src_port >= 1_024)),
        ),
        2 => {
            let (key, net) = (dice.one(&["src_ip", "dst_ip", "src_prefix", "dst_prefix", "src_addr", "dst_addr"]), dice.one(&NETS));
            let inner: IpNet = net.parse().unwrap();
            let holds = move |flow: &Flow, _: &Added| {
                let address = if key.starts_with("src") { flow.fields.src_addr } else { flow.fields.dst_addr };
                ip(&address).is_some_and(|ip| inner.contains(&ip))
            };
            (format!("{key} = \"{net}\""), Box::new(holds))
        }
        3 => ("in_if = [1, 3]".to_owned(), Box::new(|flow, _| [1, 3].contains(&flow.fields.in_if))),
        4 => ("out_if = \"2..\"".to_owned(), Box::new(|flow, _| flow.fields.out_if >= 2)),
        5 => {
            let name = dice.one(&NAMES[..3]);
            (format!("customer = [\"{name}\"]"), Box::new(move |_, a| &*a.src_customer == name || &*a.dst_customer == name))
        }
        6 => ("asn = 2".to_owned(), Box::new(|flow, _| flow.fields.src_as == 2 || flow.fields.dst_as == 2)),
        7 => ("src_asn = [0, 1]".to_owned(), Box::new(|flow, _| flow.fields.src_as < 2)),
        8 => {
            let net = dice.one(&NETS);
            let inner: IpNet = net.parse().unwrap();
            let holds = move |flow: &Flow, _: &Added| {
                [flow.fields.sampler_address, flow.fields.exporter_address].iter().any(|own| ip(own).is_some_and(|ip| inner.contains(&ip)))
            };
            (format!("exporter = [\"{net}\"]"), Box::new(holds))
        }
        9 => ("tcp_flags = \"SA\"".to_owned(), Box::new(|flow, _| flow.fields.proto == 6 && flow.fields.tcp_flags == 18)),
        10 => (
            "vlan = \"5..6\"".to_owned(),
            Box::new(|flow, _| flow.fields.vlan_id == 5 || flow.fields.vlan_id == 0 && flow.fields.src_vlan == 5),
        ),
        11 => ("service = \"dns\"".to_owned(), Box::new(|flow, _| flow.fields.proto == 17 && flow.fields.src_port == 53)),
        12 => ("type = \"IPFIX\"".to_owned(), Box::new(|flow, _| flow.fields.kind == FlowType::Ipfix)),
        13 => (
            "icmp = \"3/1\"".to_owned(),
            Box::new(|flow, _| [1, 58].contains(&flow.fields.proto) && (flow.fields.icmp_type, flow.fields.icmp_code) == (3, 1)),
        ),
        14 => ("as_path = [2, \"64500..\"]".to_owned(), Box::new(|flow, _| flow.lists.as_path.iter().any(|n| *n == 2 || *n >= 64_500))),
        15 => ("layer_stack = \"GRE\"".to_owned(), Box::new(|flow, _| flow.lists.layers.iter().any(|(kind, _)| *kind == 9))),
        16 => {
            let net = dice.one(&NETS);
            let inner: IpNet = net.parse().unwrap();
            let holds = move |flow: &Flow, _: &Added| flow.lists.mpls_ip.iter().any(|own| ip(own).is_some_and(|ip| inner.contains(&ip)));
            (format!("mpls_ip = \"{net}\""), Box::new(holds))
        }
        17 => (
            "fragment = [\"first\", \"later\"]".to_owned(),
            Box::new(|flow, _| flow.fields.fragment_offset > 0 || flow.fields.ip_flags & 1 == 1),
        ),
        18 => {
            ("packet_size = \"64..129\"".to_owned(), Box::new(|flow, _| flow.fields.packets == 1 && (64..129).contains(&flow.fields.bytes)))
        }
        _ => ("bytes = \"1000..2000000\"".to_owned(), Box::new(|flow, _| (1_000..2_000_000).contains(&flow.fields.bytes))),
    }
}

#[test]
fn conditions_hold_as_a_plain_reading_says() {
    let seed = std::env::var("ENRICH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(5);
    println!("ENRICH_SEED={seed}");
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    let (mut held, mut not) = (0, 0);
    for _ in 0..3_000 {
        let mut conditions: Vec<(String, Holds)> = Vec::new();
        for _ in 0..=dice.below(2) {
            let (text, holds) = condition(&mut dice);
            let key = |text: &str| text.split(' ').next().unwrap().to_owned();
            if conditions.iter().all(|(other, _)| key(other) != key(&text)) {
                conditions.push((text, holds));
            }
        }
        let text = format!("{{ {} }}", conditions.iter().map(|(text, _)| &text[..]).collect::<Vec<_>>().join(", "));
        let predicate = parse_where(&text, &[]).unwrap_or_else(|faults| panic!("{text}: {faults}"));
        for _ in 0..30 {
            let (flow, added) = flow(&mut dice);
            let wanted = conditions.iter().all(|(_, holds)| holds(&flow, &added));
            assert_eq!(admits(&predicate, &flow, &added), wanted, "{text} of {:?}, ENRICH_SEED={seed}", flow.fields);
            if wanted { held += 1 } else { not += 1 }
        }
    }
    assert!(held > 5_000 && not > 5_000, "{held} {not}");
}

#[test]
fn what_is_wrong_is_said() {
    for (text, wanted) in [
        ("{ colour = 1 }", "unknown key"),
        ("{ payload_size = [64] }", "payload_size: is no key of flows"),
        ("{ packet_size = \"x\" }", "\"x\" is no range"),
        ("{ fragment = \"middle\" }", "it may be none, first or later"),
        ("{ link = \"transit-a\" }", "names none of [[links]]; there are none"),
        ("{ src_pot = 1 }", "did you mean \"src_port\"?"),
        ("{ in_if = \"x\" }", "\"x\" is no range"),
        ("{ in_if = -1 }", "is out of range"),
        ("{ exporter = \"10.0.0.1/8\" }", "has bits beyond its length"),
        ("{ protocol = \"tpc\" }", "did you mean \"tcp\"?"),
        ("{ dst_mac = \"1:2\" }", "is no MAC"),
        ("{ bytes = \"9..9\" }", "is an empty range"),
        ("{}", "is empty"),
        ("{ protocol = \"udp\", in_if = [] }", "in_if: is empty: no flow could have it"),
        ("17", "it must be a table"),
        ("{ in_if = 1", "syntax"),
        ("{ as_path = \"AS1\" }", "\"AS1\" is no range"),
        ("{ mpls_ip = 1 }", "mpls_ip"),
    ] {
        let said = parse_where(text, &[]).unwrap_err().to_string();
        assert!(said.contains(wanted) && said.starts_with("--where"), "{text}: {said}");
    }
}

/// Links as a configuration has them: by the exporter and the number of an interface.
#[test]
fn a_link_is_an_exporters_interface() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ranges.csv"), "prefix,customer\n192.0.2.0/24,acme\n").unwrap();
    let links = "[[links]]\nname = \"a\"\nexporter = \"10.0.0.1\"\nif_index = 3\ncapacity_bps = 1000000\n\
                 [[links]]\nname = \"b\"\nmatch = { port = 0 }\ncapacity_bps = 1000000\n";
    let streams = |named: &str| format!("[[streams]]\nname = \"s\"\nwhere = {{ link = {named} }}\n");
    let start = "stats = []\n[appliance]\nname = \"x\"\nheartbeat = false\n[ranges]\nfile = \"ranges.csv\"\n";
    let load = |named: &str| {
        let file = folder.path().join("t.toml");
        std::fs::write(&file, format!("{start}{links}{}", streams(named))).unwrap();
        tailwater::config::load(&file, &tailwater::stats::check)
    };
    let config = load("\"a\"").unwrap();
    for predicate in [config.streams[0].predicate.clone(), parse_where("{ link = [\"a\"] }", &config.links).unwrap()] {
        for (who, in_if, out_if, wanted) in [
            ("10.0.0.1", 3, 9, true),
            ("10.0.0.1", 9, 3, true),
            ("10.0.0.1", 9, 9, false),
            ("10.0.0.2", 3, 3, false),
            ("::ffff:10.0.0.1", 3, 0, true),
        ] {
            let mut flow = Flow::default();
            let sampler = Address::from(who.parse::<IpAddr>().unwrap());
            (flow.fields.sampler_address, flow.fields.in_if, flow.fields.out_if) = (sampler, in_if, out_if);
            assert_eq!(admits(&predicate, &flow, &Added::NONE), wanted, "{who} {in_if} {out_if}");
        }
    }
    for (named, wanted) in
        [("\"c\"", "names none of [[links]]; they are a, b"), ("\"b\"", "no flow comes by the link `b`"), ("[]", "is empty")]
    {
        let said = load(named).unwrap_err().to_string();
        assert!(said.contains("t.toml:") && said.contains(wanted), "{said}");
    }
}
