//! Keys of one range's packets: how many, how even, which are the busiest, which are new, and which touch most others.

use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashMap;
use serde_json::{Value, json};

use super::detail::{CLASSES, Packets, Tuple, View, Volume};

/// Keys that are told by name: so many by packets, so many by bytes, and so many that touch most others.
const TOLD_KEYS: usize = 10;

/// A key's value; its order is that of ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum KeyValue {
    Number(u16),
    Address(IpAddr),
    Prefix(IpAddr),
    Flow(IpAddr, u16, IpAddr, u16, u8),
}

impl std::fmt::Display for KeyValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Prefix(address) => write!(f, "{address}/{}", if address.is_ipv4() { 24 } else { 48 }),
            Self::Flow(src, src_port, dst, dst_port, protocol) => write!(f, "{src}|{src_port}|{dst}|{dst_port}|{protocol}"),
        }
    }
}

/// The /24 or /48 of an address.
const fn prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & !0xff)),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 80 << 80)),
    }
}

/// How a key is read of a tuple; none: the packet has no such key.
type Read = fn(&Tuple) -> Option<KeyValue>;

const SRC_IP: Read = |tuple| Some(KeyValue::Address(tuple.0));
const DST_IP: Read = |tuple| Some(KeyValue::Address(tuple.1));
const DST_PORT: Read = |tuple| tuple.2.map(|(_, port)| KeyValue::Number(port));

/// Keys by their name in the configuration, and whether keys of earlier windows are remembered.
const KEYS: [(&str, Read, bool); 6] = [
    ("src_ip", SRC_IP, true),
    ("dst_ip", DST_IP, true),
    ("src_port", |tuple| tuple.2.map(|(port, _)| KeyValue::Number(port)), true),
    ("dst_port", DST_PORT, true),
    ("src_prefix", |tuple| Some(KeyValue::Prefix(prefix(tuple.0))), true),
    ("flow", |tuple| tuple.2.map(|(src_port, dst_port)| KeyValue::Flow(tuple.0, src_port, tuple.1, dst_port, tuple.3)), false),
];

/// Pairs of which the first is told that touches most of the second.
const PAIRS: [(&str, Read, Read); 4] = [
    ("src_ip>dst_ip", SRC_IP, DST_IP),
    ("src_ip>dst_port", SRC_IP, DST_PORT),
    ("dst_ip>src_ip", DST_IP, SRC_IP),
    ("src_ip>flow", SRC_IP, KEYS[5].1),
];

/// Classes of packets as bits.
type Mask = u8;

fn mask(packets: &Packets) -> Mask {
    packets.iter().zip(0..).fold(0, |mask, (count, class)| mask | Mask::from(*count > 0) << class)
}

impl View {
    /// The classes that count, as bits.
    fn mask(&self) -> Mask {
        mask(&self.weights)
    }
}

/// Keys of earlier windows: in which classes each was there, and those of the last window but once more.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ever: [HashMap<KeyValue, Mask>; KEYS.len()],
    last: [HashMap<KeyValue, Mask>; KEYS.len()],
    last_window: u64,
}

impl Seen {
    /// Takes over the keys of a window.
    pub(super) fn take(&mut self, tables: &Tables, window: u64) {
        self.last_window = window;
        let kept = self.ever.iter_mut().zip(&mut self.last).zip(&tables.keys).zip(KEYS).filter(|(_, (_, _, remembered))| *remembered);
        for (((ever, last), table), _) in kept {
            last.clear();
            last.extend(table.iter().map(|(key, volume)| (*key, mask(&volume.packets))));
            for (key, classes) in last.iter() {
                *ever.entry(*key).or_default() |= classes;
            }
        }
    }
}

/// All keys of one range, direction and window.
pub(super) struct Tables {
    keys: [HashMap<KeyValue, Volume>; KEYS.len()],
    pairs: [HashMap<(KeyValue, KeyValue), Mask>; PAIRS.len()],
}

impl Tables {
    pub(super) fn of(tuples: &HashMap<Tuple, Volume>) -> Self {
        let mut tables = Self { keys: Default::default(), pairs: Default::default() };
        for (tuple, volume) in tuples {
            for ((_, read, _), table) in KEYS.iter().zip(&mut tables.keys) {
                let Some(key) = read(tuple) else { continue };
                let sum = table.entry(key).or_default();
                for class in 0..CLASSES {
                    sum.packets[class] += volume.packets[class];
                    sum.bytes[class] += volume.bytes[class];
                }
            }
            for ((_, one, other), table) in PAIRS.iter().zip(&mut tables.pairs) {
                if let (Some(one), Some(other)) = (one(tuple), other(tuple)) {
                    *table.entry((one, other)).or_default() |= mask(&volume.packets);
                }
            }
        }
        tables
    }

    /// What is told of each key.
    pub(super) fn told(&self, view: &View, seen: &Seen, window: u64) -> Value {
        let told = KEYS.iter().enumerate().map(|(at, (name, _, remembered))| {
            let mut keys: Vec<(KeyValue, u64, u64)> =
                self.keys[at].iter().map(|(key, volume)| (*key, view.of(&volume.packets), view.of(&volume.bytes))).collect();
            keys.retain(|(_, packets, _)| *packets > 0);
            let mut of = json!({
                "distinct": keys.len(),
                "packets": keys.iter().map(|key| key.1).sum::<u64>(),
                "bytes": keys.iter().map(|key| key.2).sum::<u64>(),
                "entropy_packets": entropy(keys.iter().map(|key| key.1).collect()),
                "entropy_bytes": entropy(keys.iter().map(|key| key.2).collect()),
            });
            if *remembered {
                let fresh = |before: &HashMap<KeyValue, Mask>| {
                    keys.iter().filter(|key| before.get(&key.0).is_none_or(|classes| classes & view.mask() == 0)).count()
                };
                of["new"] = fresh(&seen.ever[at]).into();
                of["new_since_last"] = if seen.last_window + 1 == window { fresh(&seen.last[at]) } else { keys.len() }.into();
            }
            of["top"] = json!(busiest(&mut keys));
            ((*name).to_owned(), of)
        });
        Value::Object(told.collect())
    }

    /// Of each pair the keys that touch most others, equals by key.
    pub(super) fn fanouts(&self, view: &View) -> Value {
        let told = PAIRS.iter().zip(&self.pairs).map(|((name, _, _), pairs)| {
            let mut others: HashMap<KeyValue, u64> = HashMap::new();
            pairs
                .iter()
                .filter(|(_, classes)| **classes & view.mask() != 0)
                .for_each(|((one, _), _)| *others.entry(*one).or_default() += 1);
            let mut others: Vec<(KeyValue, u64)> = others.into_iter().collect();
            others.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            others.truncate(TOLD_KEYS);
            ((*name).to_owned(), json!(others.iter().map(|(key, others)| json!([key.to_string(), others])).collect::<Vec<_>>()))
        });
        Value::Object(told.collect())
    }
}

/// Those that are among the first by packets or by bytes, by packets, equals by key.
fn busiest(keys: &mut Vec<(KeyValue, u64, u64)>) -> Vec<Value> {
    let mut by_bytes: Vec<(KeyValue, u64, u64)> = keys.clone();
    by_bytes.sort_unstable_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(&b.0)));
    by_bytes.truncate(TOLD_KEYS);
    let by_packets = |a: &(KeyValue, u64, u64), b: &(KeyValue, u64, u64)| b.1.cmp(&a.1).then(a.0.cmp(&b.0));
    keys.sort_unstable_by(by_packets);
    keys.truncate(TOLD_KEYS);
    keys.extend(by_bytes);
    keys.sort_unstable_by(by_packets);
    keys.dedup();
    keys.iter().map(|(key, packets, bytes)| json!([key.to_string(), packets, bytes])).collect()
}

/// Shannon's, in bits, of a metric spread over keys. Counts are sorted first, so that it is the same to the last bit each time.
#[expect(clippy::cast_precision_loss, reason = "counts of a capture")]
fn entropy(mut counts: Vec<u64>) -> f64 {
    counts.sort_unstable();
    let total = counts.iter().sum::<u64>() as f64;
    let bits = |count: u64| count as f64 / total * (total / count as f64).log2();
    counts.into_iter().filter(|count| *count > 0).map(bits).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropies_that_are_known() {
        assert_eq!(entropy(vec![]), 0.0);
        assert_eq!(entropy(vec![7]), 0.0);
        assert_eq!(entropy(vec![3, 3, 3, 3]), 2.0);
        assert!((entropy(vec![1, 3]) - 0.811_278_124_459_132_8).abs() < 1e-12);
    }

    #[test]
    fn keys_as_the_configuration_writes_them() {
        let (src, dst) = ("198.51.100.7".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert_eq!(KeyValue::Prefix(prefix(src)).to_string(), "198.51.100.0/24");
        assert_eq!(KeyValue::Prefix(prefix(dst)).to_string(), "2001:db8::/48");
        assert_eq!(KeyValue::Flow(src, 1, src, 2, 6).to_string(), "198.51.100.7|1|198.51.100.7|2|6");
    }

    #[test]
    fn new_keys_are_new_by_class() {
        let tuple = |last: u8| -> Tuple { (IpAddr::from([198, 51, 100, last]), IpAddr::from([10, 0, 0, 1]), None, 1) };
        let volume = |packets: Packets| Volume { packets, bytes: packets };
        let mut seen = Seen::default();
        let first = Tables::of(&HashMap::from_iter([(tuple(1), volume([0, 5, 1])), (tuple(2), volume([1, 0, 0]))]));
        seen.take(&first, 8);
        let second = Tables::of(&HashMap::from_iter([(tuple(1), volume([1, 1, 0])), (tuple(3), volume([0, 1, 1]))]));
        let new = |name: &str, window: u64| {
            let view = super::super::detail::views(40).into_iter().find(|view| view.name == name).unwrap();
            let of = &second.told(&view, &seen, window)["src_ip"];
            [&of["distinct"], &of["new"], &of["new_since_last"]].map(|n| n.as_u64().unwrap())
        };
        // Source 1 was blocked before and passes for the first time.
        assert_eq!(new("passed", 9), [1, 1, 1]);
        assert_eq!(new("offered_blocked", 9), [2, 1, 1]);
        assert_eq!(new("captured_blocked", 9), [1, 1, 1]);
        assert_eq!(new("offered_any", 9), [2, 1, 1]);
        assert_eq!(new("offered_any", 10), [2, 1, 2], "nothing of the window just before");
    }
}
