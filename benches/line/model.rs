//! A slow, obvious count of a few ranges' packets in a capture, key by key: what the lists and histograms of a report are held against.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::Value;
use tailwater::rx::capture::Capture as Reader;

use super::support::captures::Capture;
use super::support::sets::PART;

/// Ranges that are looked at whole.
const RANGES: usize = 32;
/// Keys of a list of the standard set.
const K: usize = 20;
/// Behind two addresses.
const ETHERTYPE_AT: usize = 12;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Packets and bytes of a key of a stat.
type Keys = HashMap<(&'static str, String), [u64; 2]>;

/// By prefix, what its packets hold.
pub(crate) struct Model(HashMap<String, Keys>);

impl Model {
    /// Of ranges that nothing was sampled of and that lie in no other, spread over the capture's; of IPv6 none.
    pub(crate) fn of(capture: &Capture) -> Self {
        let nets: Vec<Ipv4Net> = capture.shares.keys().filter_map(|prefix| prefix.parse().ok()).collect();
        let is_alone = |net: &Ipv4Net| !nets.iter().any(|other| other != net && (other.contains(net) || net.contains(other)));
        let mut plain: Vec<Ipv4Net> = nets.iter().copied().filter(|net| capture.shares[&net.to_string()].packets[1] == 0).collect();
        // Those that most packets go to first, then any.
        plain.sort_by_key(|net| (std::cmp::Reverse(capture.shares[&net.to_string()].packets[0]), *net));
        let step = (plain.len() / RANGES).max(1);
        let chosen: Vec<Ipv4Net> = plain.into_iter().step_by(step).filter(is_alone).take(RANGES).collect();
        let mut ranges: HashMap<String, Keys> = chosen.iter().map(|net| (net.to_string(), Keys::new())).collect();
        let mut reader = Reader::open(&capture.pcap).expect("a capture");
        while let Some(frame) = reader.next_frame().expect("a frame") {
            let Some((to, facts)) = facts(frame.bytes) else { continue };
            let Some(net) = chosen.iter().find(|net| net.contains(&to)) else { continue };
            let keys = ranges.get_mut(&net.to_string()).expect("it was chosen");
            for fact in facts {
                let [packets, bytes] = keys.entry(fact).or_default();
                (*packets, *bytes) = (*packets + 1, *bytes + u64::from(frame.wire_bytes));
            }
        }
        Self(ranges)
    }

    /// Whether a report is looked at whole.
    pub(crate) fn has(&self, prefix: &str) -> bool {
        self.0.contains_key(prefix)
    }

    /// How many ranges there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What is wrong with a report, if its window held the capture `loops` times and once in part.
    pub(crate) fn wrong(&self, prefix: &str, report: &Value, loops: u64) -> Option<String> {
        let keys = self.0.get(prefix)?;
        let mut wrong = String::new();
        for stat in report["stats"].as_array().into_iter().flatten() {
            // A part of the packets, of which the model knows nothing.
            if stat["name"].as_str().is_none_or(|name| name.starts_with(PART)) {
                continue;
            }
            let metric = usize::from(stat["metric"] == "bytes");
            let key = stat["key"].as_str().unwrap_or_default();
            let said = stat["top"]["entries"].as_array().or_else(|| stat["histogram"]["bins"].as_array()).into_iter().flatten();
            for entry in said.clone() {
                let Some(name) = entry["key"].as_str().or_else(|| entry["label"].as_str()) else { continue };
                let Some(truth) = truth(keys, key, name) else { continue };
                let (least, most) = ((loops * truth[metric]) as f64, ((loops + 1) * truth[metric]) as f64);
                let [low, high] = ["low", "high"].map(|end| entry["value"][end].as_f64());
                if low.is_none_or(|low| low > most) || high.is_some_and(|high| high < least) {
                    writeln!(wrong, "{prefix} {}: {entry}; the capture has {truth:?} {loops} times and more", stat["name"])
                        .expect("memory");
                }
            }
            let distinct = keys.keys().filter(|(of, _)| *of == key).count();
            if stat["calculation"] == "topk" && said.count() < distinct.min(K) {
                writeln!(wrong, "{prefix} {}: lists fewer than {} of {distinct} keys", stat["name"], distinct.min(K)).expect("memory");
            }
        }
        (!wrong.is_empty()).then_some(wrong)
    }
}

/// What the capture has of a key; of a stat that is not looked at nothing.
fn truth(keys: &Keys, key: &str, name: &str) -> Option<[u64; 2]> {
    let known = ["src_ip", "dst_ip", "src_port", "dst_port", "src_prefix", "protocol"].into_iter().find(|known| *known == key)?;
    Some(keys.get(&(known, name.to_owned())).copied().unwrap_or_default())
}

/// The packet behind an Ethernet header and its VLANs, if it is IPv4.
fn ipv4(frame: &[u8]) -> Option<&[u8]> {
    let mut rest = frame.get(ETHERTYPE_AT..)?;
    while let [0x81, 0x00, _, _, inner @ ..] | [0x88, 0xA8, _, _, inner @ ..] = rest {
        rest = inner;
    }
    rest.strip_prefix(&[0x08, 0x00])
}

/// Where an IPv4 packet goes, and its keys.
fn facts(frame: &[u8]) -> Option<(Ipv4Addr, Vec<(&'static str, String)>)> {
    let ip = ipv4(frame)?;
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?));
    let (from, to, protocol) = (address(12)?, address(16)?, *ip.get(9)?);
    let net = Ipv4Net::new(from, 24).ok()?.trunc();
    let mut facts =
        vec![("src_ip", from.to_string()), ("dst_ip", to.to_string()), ("src_prefix", net.to_string()), ("protocol", protocol.to_string())];
    let is_first = ip.get(6..8)?[0] & 0x1F == 0 && ip[7] == 0;
    if let (TCP | UDP, true, Some(ports)) = (protocol, is_first, ip.get(usize::from(ip[0] & 15) * 4..)?.get(..4)) {
        let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]).to_string();
        facts.extend([("src_port", port(0)), ("dst_port", port(2))]);
    }
    Some((to, facts))
}
