//! The slow and obvious truth: packet by packet, from what the test meant, never from the frames' bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::history::History;
use super::setup::{Row, Setup, Wanted};
use super::traffic::{Body, EXTENSIONS, IP_OPTIONS, Ip, Packet, TCP_OPTIONS};

/// A packet as one range sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub ip: Ip,
    pub tunnelled: bool,
    pub vni: Option<u32>,
    pub carries: usize,
    pub vlans: Vec<u16>,
    pub mac: [u8; 6],
    pub port: u16,
    pub bytes: u64,
    pub blocked: bool,
    pub weight: u64,
    /// Its weight is a random sampler's, or it was not sampled.
    pub proven: bool,
    pub rule: Option<u32>,
    pub ingress: bool,
    pub egress: bool,
    /// When it came.
    pub time_ns: u64,
    /// Start of the shortest window that it counts in: later than its time, if it is late.
    pub epoch_ns: u64,
}

/// A window's counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    pub received: u64,
    pub parsed: u64,
    pub drops: BTreeMap<String, u64>,
    pub matched: u64,
    pub unmatched: u64,
    pub records: u64,
    pub late: u64,
    pub tags: [u64; 4],
    pub untagged: u64,
    pub bytes: u64,
}

/// One window: its number (start over length) and what was in it.
#[derive(Clone, Debug, Default)]
pub struct Window {
    pub counts: Counts,
    /// By position in [`Setup::ranges`].
    pub ranges: BTreeMap<usize, Vec<Seen>>,
    /// Of what is rolled up: each packet once, with the directions of all its ends in there.
    pub rollups: BTreeMap<Rollup, Vec<Seen>>,
}

/// Ranges that are reported together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rollup {
    /// Position of the range that holds the others.
    Subtree(usize),
    Customer(String),
}

/// All windows of one length.
pub fn windows(setup: &Setup, packets: &[Packet], length_ns: u64) -> BTreeMap<u64, Window> {
    windows_over(&History::of(setup), packets, length_ns)
}

/// All that there are, and the positions of their ranges.
pub fn rollups(setup: &Setup) -> Vec<(Rollup, BTreeSet<usize>)> {
    if !setup.rollup {
        return Vec::new();
    }
    let all = || 0..setup.ranges.len();
    let net = |at: usize| setup.ranges[at].0.parse::<ipnet::IpNet>().unwrap();
    let owner = |at: usize| setup.customer(setup.ranges[at].0, setup.ranges[at].2);
    let within = |inner: usize, outer: usize| {
        setup.ranges[inner].2 == setup.ranges[outer].2 && owner(inner) == owner(outer) && net(outer).contains(&net(inner))
    };
    let subtrees = all().map(|outer| (Rollup::Subtree(outer), all().filter(|inner| within(*inner, outer)).collect()));
    let names: BTreeSet<String> = all().map(owner).collect();
    let customers = names.into_iter().map(|name| (Rollup::Customer(name.clone()), all().filter(|at| owner(*at) == name).collect()));
    subtrees.chain(customers).filter(|(_, ranges): &(_, BTreeSet<usize>)| ranges.len() > 1).collect()
}

fn nets_of(setup: &Setup) -> Nets {
    let mut nets = Nets::new();
    for (i, (prefix, _, domain)) in setup.ranges.iter().enumerate() {
        nets.entry(*domain).or_default().push((i, prefix.parse().unwrap()));
    }
    nets
}

/// Under one configuration after the other. Ranges by their position in the window's own.
pub fn windows_over(history: &History, packets: &[Packet], length_ns: u64) -> BTreeMap<u64, Window> {
    let first = history.first();
    let base_ns = 1_000_000 * if first.any_fast() { first.fast_ms } else { first.window_ms };
    let mut out: BTreeMap<u64, Window> = BTreeMap::new();
    let (mut at, mut now, mut nets, mut together) = (0, first, nets_of(first), rollups(first));
    for packet in packets {
        let base = packet.time_ns / base_ns;
        let late = base < at;
        at = at.max(base);
        let setup = history.at(at * base_ns);
        if !std::ptr::eq(setup, now) {
            (now, nets, together) = (setup, nets_of(setup), rollups(setup));
        }
        let window = out.entry(at * base_ns / length_ns).or_default();
        count(setup, (&nets, &together), packet, (late, at * base_ns), window);
    }
    out
}

/// Positions and prefixes of ranges, by domain.
type Nets = BTreeMap<&'static str, Vec<(usize, ipnet::IpNet)>>;

type Ground<'a> = (&'a Nets, &'a [(Rollup, BTreeSet<usize>)]);

fn count(setup: &Setup, (nets, together): Ground<'_>, packet: &Packet, (late, epoch_ns): (bool, u64), window: &mut Window) {
    let frame_bytes = packet.frame().len() as u64;
    let counts = &mut window.counts;
    counts.received += 1;
    counts.bytes += frame_bytes;
    counts.late += u64::from(late);
    let Some(outer) = &packet.ip else {
        *counts.drops.entry("non_ip".to_owned()).or_default() += 1;
        return;
    };
    let (vlan, inner_vlan) = (packet.vlans.first().copied(), packet.vlans.get(1).copied());
    let rule = match (vlan, inner_vlan) {
        (Some(666), Some(1)) => Some(0),
        (Some(666), _) => Some(1),
        (Some(667), _) => Some(2),
        (Some(100), _) => Some(3),
        _ => None,
    };
    match rule {
        None if setup.drops_untagged => {
            *counts.drops.entry("untagged".to_owned()).or_default() += 1;
            return;
        }
        None => counts.untagged += 1,
        Some(rule) => counts.tags[rule] += 1,
    }
    counts.parsed += 1;
    let rate = if setup.one_rate { Some(40) } else { inner_vlan.map(u64::from).filter(|n| *n > 0) };
    let (blocked, weight, proven, added, id) = match rule {
        Some(0) => (true, 40, true, 8, inner_vlan.map(u32::from)),
        Some(1) => (true, 40, !setup.every_nth, 4, None),
        Some(2) => (true, rate.unwrap_or(1), rate.is_some(), 8, Some(99)),
        Some(_) => (false, 1, true, 4, None),
        None => (false, 1, true, 0, None),
    };
    let matches = |ip: &Ip, tunnelled: bool| {
        let domain = domain(nets, packet, tunnelled);
        (longest(nets, &domain, ip.src), longest(nets, &domain, ip.dst))
    };
    let headers: Vec<(&Ip, bool)> = [Some((outer, false)), packet.inner.as_ref().map(|ip| (ip, true))].into_iter().flatten().collect();
    let chosen = match setup.keys_from {
        "outermost" => headers.first(),
        "innermost" => headers.last(),
        _ => headers.iter().find(|(ip, tunnelled)| matches(ip, *tunnelled) != (None, None)).or_else(|| headers.first()),
    };
    let (ip, tunnelled) = *chosen.unwrap();
    let (src, dst) = matches(ip, tunnelled);
    // Behind the UDP header, if there is one.
    let carries = if tunnelled { 0 } else { packet.carried().len().saturating_sub(if packet.vni.is_some() { 8 } else { 0 }) };
    let (src, dst) = (src.filter(|_| setup.egress), dst.filter(|_| setup.ingress));
    let seen = |ingress, egress| Seen {
        ip: ip.clone(),
        tunnelled,
        vni: packet.vni,
        carries,
        vlans: packet.vlans.clone(),
        mac: packet.mac,
        port: packet.port,
        bytes: frame_bytes - added,
        blocked,
        weight,
        proven,
        rule: id,
        ingress,
        egress,
        time_ns: packet.time_ns,
        epoch_ns,
    };
    if (src, dst) == (None, None) {
        counts.unmatched += 1;
        return;
    }
    counts.matched += 1;
    for (rollup, ranges) in together {
        let [comes, goes] = [src, dst].map(|range| range.is_some_and(|range| ranges.contains(&range)));
        if comes || goes {
            window.rollups.entry(rollup.clone()).or_default().push(seen(goes, comes));
        }
    }
    let hits = match (src, dst) {
        (Some(a), Some(b)) if a == b => vec![(a, seen(true, true))],
        _ => [dst.map(|r| (r, seen(true, false))), src.map(|r| (r, seen(false, true)))].into_iter().flatten().collect(),
    };
    for (range, seen) in hits {
        counts.records += 1;
        window.ranges.entry(range).or_default().push(seen);
    }
}

/// The first domain, from the outside, that has ranges.
fn domain(nets: &Nets, packet: &Packet, tunnelled: bool) -> String {
    let vlans = packet.vlans.iter().take(2).map(|vlan| format!("vlan={vlan}"));
    let mpls = packet.mpls.iter().map(|label| format!("mpls={label}"));
    let vni = packet.vni.iter().map(|vni| format!("vni={vni}")).filter(|_| tunnelled);
    vlans.chain(mpls).chain(vni).find(|domain| nets.contains_key(&domain[..])).unwrap_or_default()
}

fn longest(nets: &Nets, domain: &str, address: IpAddr) -> Option<usize> {
    let fits = |domain: &str| {
        let fits = nets.get(domain).into_iter().flatten().filter(|(_, net)| net.contains(&address));
        fits.max_by_key(|(_, net)| net.prefix_len()).map(|(i, _)| *i)
    };
    fits(domain).or_else(|| if domain.is_empty() { None } else { fits("") })
}

/// Sums of what one key, bin or stat counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sum {
    pub passed: u64,
    pub sampled_packets: u64,
    pub scaled: u64,
    pub variance: u128,
    pub largest: u64,
    pub unproven: u64,
    pub seen: u64,
}

impl Sum {
    pub fn add(&mut self, value: u64, packet: &Seen) {
        let w = packet.weight;
        if w == 1 && packet.proven {
            self.passed += value;
            return;
        }
        self.sampled_packets += 1;
        self.scaled += w * value;
        self.variance += u128::from(w * (w - 1)) * u128::from(value * value);
        self.largest = self.largest.max(w * value);
        self.unproven += u64::from(!packet.proven);
        self.seen += value;
    }

    pub fn total(&self) -> u64 {
        self.passed + self.scaled
    }
}

/// A key: bytes that order it, and its text.
pub type KeyOf = (Vec<u8>, String);

impl Row {
    /// What a packet adds; none: it does not count.
    pub fn value(&self, packet: &Seen) -> Option<u64> {
        let ip = &packet.ip;
        let decision = match self.decision {
            "passed" => !packet.blocked,
            "blocked" => packet.blocked,
            _ => true,
        };
        let direction = match self.direction {
            "ingress" => packet.ingress,
            "egress" => packet.egress,
            _ => true,
        };
        let wanted = |wanted: &Wanted| part(wanted.key, packet, (32, 128)).is_some_and(|(_, text)| (wanted.admits)(&text));
        if !decision || !direction || !self.wanted.iter().all(wanted) {
            return None;
        }
        let flags = if let Body::Tcp { flags, .. } = ip.body { Some(flags) } else { None };
        let one = |yes: bool| u64::from(yes);
        let value = match self.metric {
            "bytes" => packet.bytes,
            "connections_opened" => one(flags.is_some_and(|f| f & 0x12 == 0x02)),
            "connections_accepted" => one(flags.is_some_and(|f| f & 0x12 == 0x12)),
            "resets" => one(flags.is_some_and(|f| f & 0x04 != 0)),
            "fragments" => one(matches!(ip.body, Body::LaterFragment | Body::FirstFragment { .. })),
            _ => 1,
        };
        (value > 0).then_some(value)
    }

    /// The packet's key; none: it does not count.
    pub fn key(&self, setup: &Setup, packet: &Seen) -> Option<KeyOf> {
        let keys = if self.metric == "flows" { vec!["flow"] } else { self.keys.clone() };
        let parts: Option<Vec<KeyOf>> = keys.iter().map(|key| part(key, packet, (setup.prefix_v4, setup.prefix_v6))).collect();
        let parts = parts?;
        Some((parts.iter().flat_map(|p| p.0.clone()).collect(), parts.iter().map(|p| p.1.clone()).collect::<Vec<_>>().join("|")))
    }
}

fn part(key: &str, packet: &Seen, lengths: (u8, u8)) -> Option<KeyOf> {
    let ip = &packet.ip;
    let number = |n: u64, width: usize| Some((n.to_be_bytes()[8 - width..].to_vec(), n.to_string()));
    let byte = |n: u8, text: &str| Some((vec![n], text.to_owned()));
    let ports = match ip.body {
        Body::Tcp { ports, .. } | Body::Udp { ports } | Body::FirstFragment { ports } => Some(ports),
        _ => None,
    };
    match key {
        "src_ip" => Some((octets(ip.src), ip.src.to_string())),
        "dst_ip" => Some((octets(ip.dst), ip.dst.to_string())),
        "src_prefix" => Some(prefix(ip.src, lengths)),
        "dst_prefix" => Some(prefix(ip.dst, lengths)),
        "src_port" => number(ports?.0.into(), 2),
        "dst_port" => number(ports?.1.into(), 2),
        "protocol" => number(ip.protocol().into(), 1),
        "tcp_flags" => match ip.body {
            Body::Tcp { flags, .. } => byte(
                flags,
                match flags {
                    0x02 => "S",
                    0x12 => "SA",
                    0x10 => "A",
                    0x18 => "PA",
                    0x04 => "R",
                    0x14 => "RA",
                    0x00 => "-",
                    0xC2 => "SEC",
                    _ => unreachable!("drawn from these"),
                },
            ),
            _ => None,
        },
        "vlan" => number((*packet.vlans.first()?).into(), 2),
        "inner_vlan" => number((*packet.vlans.get(1)?).into(), 2),
        "packet_size" => number(packet.bytes, 4),
        "payload_size" => number(packet.carries.max(ip.payload) as u64, 4),
        "ttl" => number(ip.ttl.into(), 1),
        "dscp" => number(ip.dscp.into(), 1),
        "icmp" => match ip.body {
            Body::Icmp { kind, code } => Some((vec![kind, code], format!("{kind}/{code}"))),
            _ => None,
        },
        "fragment" => match ip.body {
            Body::FirstFragment { .. } => byte(1, "first"),
            Body::LaterFragment => byte(2, "later"),
            _ => byte(0, "none"),
        },
        "tunnel" => match (packet.tunnelled, packet.vni) {
            (false, _) => byte(0, "none"),
            (true, None) => byte(1, "ipip"),
            (true, Some(_)) => byte(4, "vxlan"),
        },
        "flow" => {
            let (s, d) = ports?;
            let bytes = [octets(ip.src), s.to_be_bytes().to_vec(), octets(ip.dst), d.to_be_bytes().to_vec(), vec![ip.protocol()]].concat();
            Some((bytes, format!("{}|{s}|{}|{d}|{}", ip.src, ip.dst, ip.protocol())))
        }
        "rule" => number(packet.rule?.into(), 4),
        "rx_port" => number(packet.port.into(), 2),
        "src_mac" => Some((packet.mac.to_vec(), packet.mac.map(|b| format!("{b:02x}")).join(":"))),
        "tcp_options" => match ip.body {
            Body::Tcp { options, .. } => mask(TCP_OPTIONS[options]),
            _ => None,
        },
        "ip_options" => mask(if ip.src.is_ipv4() { IP_OPTIONS[ip.options] } else { EXTENSIONS[ip.options] }),
        "tcp_window" => match ip.body {
            Body::Tcp { window, .. } => number((0..16).map(|n| 1 << n).take_while(|edge| *edge <= window).last().unwrap_or(0).into(), 2),
            _ => None,
        },
        "tcp_seq" => match ip.body {
            Body::Tcp { seq, .. } => number((seq - seq % (1 << 28)).into(), 4),
            _ => None,
        },
        "service" => match (ip.protocol(), ports?.0) {
            (17, 53) => byte(4, "dns"),
            (17, 138) => byte(8, "netbios"),
            (17, 11_211) => byte(30, "memcached"),
            _ => None,
        },
        other => unreachable!("{other}"),
    }
}

fn mask((_, bits, text): (&[u8], u16, &str)) -> Option<KeyOf> {
    Some((bits.to_be_bytes().to_vec(), text.to_owned()))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

fn prefix(address: IpAddr, (v4, v6): (u8, u8)) -> KeyOf {
    let net = ipnet::IpNet::new(address, if address.is_ipv4() { v4 } else { v6 }).unwrap().trunc();
    (octets(net.addr()), net.to_string())
}
