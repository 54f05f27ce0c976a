//! The slow and obvious truth of flow records: record by record, from what the test meant, never from a datagram's bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

/// A flow as the test means it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) exporter: IpAddr,
    pub(crate) in_if: u32,
    pub(crate) out_if: u32,
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) protocol: u8,
    pub(crate) tos: u8,
    pub(crate) tcp_flags: u8,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// 0: not told.
    pub(crate) rate: u64,
    pub(crate) is_random: bool,
    /// It shows headers: TTL and size are known.
    pub(crate) ttl: Option<u8>,
    pub(crate) blocked: bool,
    /// Metered where it leaves, not where it comes in: NetFlow 9 and IPFIX say so.
    pub(crate) leaves: bool,
    pub(crate) time_ns: u64,
    /// The frame that a sample shows, where it is not one of ours.
    pub(crate) frame: Option<Vec<u8>>,
}

impl Seen {
    /// An Ethernet frame with its headers.
    pub(crate) fn framed(&self) -> Vec<u8> {
        let mut out = vec![2; 12];
        let body = match self.protocol {
            6 => {
                let mut tcp = [self.src_port.to_be_bytes(), self.dst_port.to_be_bytes()].concat();
                tcp.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, self.tcp_flags, 1, 0, 0, 0, 0, 0]);
                tcp
            }
            17 => [&self.src_port.to_be_bytes()[..], &self.dst_port.to_be_bytes(), &[0, 28, 0, 0], &[0; 20]].concat(),
            _ => vec![0; 20],
        };
        let ttl = self.ttl.unwrap_or(64);
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let length = (20 + body.len() as u16).to_be_bytes();
                out.extend([8, 0, 0x45, self.tos, length[0], length[1], 0, 0, 0, 0, ttl, self.protocol, 0, 0]);
                out.extend([src.octets(), dst.octets()].concat());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let length = (body.len() as u16).to_be_bytes();
                out.extend([0x86, 0xDD, 0x60 | self.tos >> 4, self.tos << 4, 0, 0, length[0], length[1], self.protocol, ttl]);
                out.extend([src.octets(), dst.octets()].concat());
            }
            _ => unreachable!("a flow has one family"),
        }
        [out, body].concat()
    }

    /// A key as reports write it; none: the record does not tell it.
    pub(crate) fn key(&self, key: &str) -> Option<String> {
        let has_ports = matches!(self.protocol, 6 | 17) && (self.src_port > 0 || self.dst_port > 0);
        let ports = |port: u16| has_ports.then(|| port.to_string());
        Some(match key {
            "none" => String::new(),
            "src_ip" => self.src.to_string(),
            "dst_ip" => self.dst.to_string(),
            "src_prefix" => {
                let length = if self.src.is_ipv6() { 48 } else { 24 };
                IpNet::new(self.src, length).expect("a length that fits").trunc().to_string()
            }
            "src_port" => return ports(self.src_port),
            "dst_port" => return ports(self.dst_port),
            "protocol" => self.protocol.to_string(),
            "dscp" => (self.tos >> 2).to_string(),
            "ttl" => return self.ttl.map(|ttl| ttl.to_string()),
            "packet_size" => return (self.packets == 1 && self.bytes > 0).then(|| self.bytes.to_string()),
            "tcp_flags" if self.protocol == 6 && self.tcp_flags > 0 => {
                "FSRPAUEC".chars().enumerate().filter(|(bit, _)| self.tcp_flags >> bit & 1 == 1).map(|(_, letter)| letter).collect()
            }
            "tcp_flags" => return None,
            "src_asn" | "dst_asn" => (64_500 + net(if key.starts_with("src") { self.src } else { self.dst })?).to_string(),
            "src_country" | "dst_country" => {
                ["DE", "FR", "US", "JP"][usize::from(net(if key.starts_with("src") { self.src } else { self.dst })?)].to_owned()
            }
            "exporter" => self.exporter.to_string(),
            "in_if" => self.in_if.to_string(),
            "out_if" => self.out_if.to_string(),
            other => unreachable!("the model knows no key {other}"),
        })
    }
}

/// Of 198.18.N.0/24 and 2001:db8:N::/48 the number, up to 3: so far databases know them.
fn net(of: IpAddr) -> Option<u16> {
    let net = match of {
        IpAddr::V4(v4) => u16::from(v4.octets()[2]),
        IpAddr::V6(v6) => v6.segments()[2],
    };
    (net < 4).then_some(net)
}

/// A stat as the test means it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) calculation: &'static str,
    pub(crate) keys: Vec<&'static str>,
    pub(crate) bytes: bool,
    pub(crate) direction: &'static str,
    pub(crate) decision: &'static str,
    /// A key and the values that it may have.
    pub(crate) only: Option<(&'static str, Vec<String>)>,
}

/// A flow in a range, with its directions.
pub(crate) struct View<'a> {
    pub(crate) flow: &'a Seen,
    pub(crate) ingress: bool,
    pub(crate) egress: bool,
}

/// Where flows go.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) records: u64,
    pub(crate) matched: u64,
    pub(crate) unmatched: u64,
    pub(crate) duplicate_view: u64,
    pub(crate) views: u64,
    pub(crate) rate_unknown: u64,
}

/// The longest of some prefixes that holds an address.
fn longest(ranges: &[IpNet], address: IpAddr) -> Option<IpNet> {
    ranges.iter().filter(|range| range.contains(&address)).max_by_key(|range| range.prefix_len()).copied()
}

/// Flows of one window by range, each where it crosses an external interface.
pub(crate) fn views<'a>(
    ranges: &[IpNet],
    external: impl Fn(IpAddr, u32) -> bool,
    flows: &[&'a Seen],
) -> (BTreeMap<IpNet, Vec<View<'a>>>, Ledger) {
    let (mut by_range, mut ledger) = (BTreeMap::<IpNet, Vec<View<'a>>>::new(), Ledger::default());
    for flow in flows.iter().copied() {
        ledger.records += 1;
        let (to, from) = (longest(ranges, flow.dst), longest(ranges, flow.src));
        if to.is_none() && from.is_none() {
            ledger.unmatched += 1;
            continue;
        }
        let to = to.filter(|_| external(flow.exporter, flow.in_if));
        let from = from.filter(|_| external(flow.exporter, flow.out_if));
        let of: BTreeSet<IpNet> = to.into_iter().chain(from).collect();
        if of.is_empty() {
            ledger.duplicate_view += 1;
            continue;
        }
        ledger.matched += 1;
        ledger.rate_unknown += u64::from(flow.rate == 0);
        ledger.views += of.len() as u64;
        for range in of {
            let view = View { flow, ingress: to == Some(range), egress: from == Some(range) };
            by_range.entry(range).or_default().push(view);
        }
    }
    (by_range, ledger)
}

impl Wanted {
    /// The metric by key, scaled, over a range's flows; an unknown rate counts as 1.
    pub(crate) fn counts(&self, views: &[View<'_>]) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for View { flow, ingress, egress } in views {
            let goes = match self.direction {
                "ingress" => *ingress,
                "egress" => *egress,
                _ => true,
            };
            let decided = match self.decision {
                "passed" => !flow.blocked,
                "blocked" => flow.blocked,
                _ => true,
            };
            let is_asked = self.only.as_ref().is_none_or(|(key, values)| flow.key(key).is_some_and(|value| values.contains(&value)));
            let key: Option<Vec<String>> = self.keys.iter().map(|key| flow.key(key)).collect();
            let value = flow.rate.max(1) * if self.bytes { flow.bytes } else { flow.packets };
            if let Some(key) = key.filter(|_| goes && decided && is_asked && value > 0) {
                *counts.entry(key.join("|")).or_default() += value;
            }
        }
        counts
    }

    /// As a row of the configuration.
    pub(crate) fn row(&self) -> String {
        let Self { name, calculation, direction, decision, .. } = self;
        let keys = self.keys.iter().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(", ");
        let key = if self.keys == ["none"] { String::new() } else { format!("key = [{keys}]\n") };
        let metric = if self.bytes { "bytes" } else { "packets" };
        let only = self.only.as_ref().map_or_else(String::new, |(key, values)| {
            let numbers = !matches!(*key, "exporter" | "src_ip" | "dst_ip" | "tcp_flags" | "src_country" | "dst_country");
            let values: Vec<String> = values.iter().map(|value| if numbers { value.clone() } else { format!("\"{value}\"") }).collect();
            format!("where = {{ {key} = [{}] }}\n", values.join(", "))
        });
        format!(
            "[[stats]]\nname = \"{name}\"\ncalculation = \"{calculation}\"\nsource = \"flows\"\n{key}metric = \"{metric}\"\n\
             direction = \"{direction}\"\ndecision = \"{decision}\"\n{only}"
        )
    }
}
