//! One range in one direction of one window, as far as sums do not tell: what peaks, distributions, busiest and different
//! keys, entropy, fan-out and new keys are judged by.

use std::net::IpAddr;

use hashbrown::HashMap;
use serde_json::{Value, json};

use super::Facts;
use super::keys::{Seen, Tables};

/// Packets that passed; that were blocked, as offered; and those of them that the capture holds.
pub(super) const CLASSES: usize = 3;
pub(super) const PASSED: usize = 0;
const OFFERED: usize = 1;
const CAPTURED: usize = 2;

/// Counts of one key by class.
pub(super) type Packets = [u64; CLASSES];

/// What is told apart before and after the sampling: its name, and how often a packet of each class counts.
pub(super) struct View {
    pub(super) name: &'static str,
    pub(super) weights: [u64; CLASSES],
}

/// All of them; what passed is the same before and after. `sampling` is what a captured packet stands for that was blocked.
pub(super) fn views(sampling: u16) -> [View; 5] {
    let weight = u64::from(sampling);
    [
        View { name: "passed", weights: [1, 0, 0] },
        View { name: "offered_blocked", weights: [0, 1, 0] },
        View { name: "offered_any", weights: [1, 1, 0] },
        View { name: "captured_blocked", weights: [0, 0, weight] },
        View { name: "captured_any", weights: [1, 0, weight] },
    ]
}

impl View {
    /// What counts of each class come to together.
    pub(super) fn of(&self, counts: &Packets) -> u64 {
        self.weights.iter().zip(counts).map(|(weight, count)| weight * count).sum()
    }

    /// Whether it is told of once only: it is but one class, each packet once.
    fn is_class(&self) -> Option<usize> {
        match self.name {
            "passed" => Some(PASSED),
            "offered_blocked" => Some(OFFERED),
            "captured_blocked" => Some(CAPTURED),
            _ => None,
        }
    }
}

/// Source, destination, ports if it has any, protocol.
pub(super) type Tuple = (IpAddr, IpAddr, Option<(u16, u16)>, u8);

/// Packets and bytes of one tuple.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Volume {
    pub(super) packets: Packets,
    pub(super) bytes: Packets,
}

/// Packets, bytes and connections opened in one sub-window.
type Rate = [Packets; 3];

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Detail {
    rates: HashMap<u64, Rate>,
    sizes: HashMap<u32, Packets>,
    protocols: HashMap<u8, Packets>,
    ttls: HashMap<u8, Packets>,
    flags: HashMap<u8, Packets>,
    tuples: HashMap<Tuple, Volume>,
}

impl Detail {
    /// Counts a packet in sub-window `slot` of the window.
    pub(super) fn count(&mut self, facts: &Facts, slot: u64) {
        let classes: &[usize] = match (facts.blocked, facts.captured) {
            (false, _) => &[PASSED],
            (true, false) => &[OFFERED],
            (true, true) => &[OFFERED, CAPTURED],
        };
        let volume = self.tuples.entry((facts.src, facts.dst, facts.ports, facts.protocol)).or_default();
        let rate = self.rates.entry(slot).or_default();
        let opened = u64::from(facts.opens());
        for class in classes.iter().copied() {
            volume.packets[class] += 1;
            volume.bytes[class] += u64::from(facts.bytes);
            for (sum, more) in rate.iter_mut().zip([1, u64::from(facts.bytes), opened]) {
                sum[class] += more;
            }
            self.sizes.entry(facts.bytes).or_default()[class] += 1;
            self.protocols.entry(facts.protocol).or_default()[class] += 1;
            self.ttls.entry(facts.ttl).or_default()[class] += 1;
            if let Some(flags) = facts.flags {
                self.flags.entry(flags).or_default()[class] += 1;
            }
        }
    }

    /// As it stands in the truth: each view that holds anything and is not another. `seen` are the keys of the windows before, and
    /// afterwards also those of this one, number `window`.
    pub(super) fn told(&self, sampling: u16, seen: &mut Seen, window: u64, rate_ms: u64) -> Value {
        let tables = Tables::of(&self.tuples);
        let mut told = serde_json::Map::new();
        let total = self.tuples.values().fold([0; CLASSES], |sum: Packets, volume| std::array::from_fn(|i| sum[i] + volume.packets[i]));
        for view in views(sampling) {
            // Without anything blocked all is what passed, and without anything passed all is what was blocked.
            let double = view.is_class().is_none() && (total[PASSED] == 0 || total[OFFERED] == 0);
            if view.of(&total) > 0 && !double {
                told.insert(view.name.to_owned(), self.view(&view, &tables, seen, window, rate_ms));
            }
        }
        seen.take(&tables, window);
        Value::Object(told)
    }

    fn view(&self, view: &View, tables: &Tables, seen: &Seen, window: u64, rate_ms: u64) -> Value {
        let mut told =
            json!({ "peak": self.peaks(view, rate_ms), "keys": tables.told(view, seen, window), "fanout": tables.fanouts(view) });
        if let Some(class) = view.is_class() {
            let more = json!({
                "rates": self.rates(class),
                "packet_size": distribution(&self.sizes, class),
                "protocol": distribution(&self.protocols, class),
                "ttl": distribution(&self.ttls, class),
                "tcp_flags": distribution(&self.flags, class),
            });
            if let (Value::Object(told), Value::Object(more)) = (&mut told, more) {
                told.extend(more);
            }
        }
        told
    }

    /// Of each metric the highest sub-window, the first of equals: from when on, in milliseconds of the window, and what it holds.
    fn peaks(&self, view: &View, rate_ms: u64) -> Value {
        let peak = |metric: usize| {
            let slots = self.rates.iter().map(|(slot, rate)| (view.of(&rate[metric]), *slot));
            let (high, slot) = slots.max_by_key(|(value, slot)| (*value, std::cmp::Reverse(*slot))).unwrap_or_default();
            json!([slot * rate_ms, high])
        };
        json!({ "packets": peak(0), "bytes": peak(1), "connections_opened": peak(2) })
    }

    /// Sub-windows in which anything happened: number, packets, bytes, connections opened.
    fn rates(&self, class: usize) -> Value {
        let mut rows: Vec<[u64; 4]> =
            self.rates.iter().map(|(slot, [packets, bytes, opened])| [*slot, packets[class], bytes[class], opened[class]]).collect();
        rows.retain(|row| row[1] > 0);
        rows.sort_unstable();
        json!(rows)
    }
}

/// Values that occur, ascending, and packets of each.
fn distribution<K: Copy + Into<u64>>(of: &HashMap<K, Packets>, class: usize) -> Value {
    let mut rows: Vec<[u64; 2]> = of.iter().map(|(key, packets)| [(*key).into(), packets[class]]).collect();
    rows.retain(|row| row[1] > 0);
    rows.sort_unstable();
    json!(rows)
}
