//! What is counted of one range in one window, and how it is told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashMap;
use serde::Serialize;

use super::Facts;
use super::detail::Detail;

/// Upper edges of the size bins, the last bin being open.
pub(super) const SIZE_EDGES: [u32; 6] = [64, 128, 256, 512, 1_024, 1_518];
/// Sources that are told by name.
pub(super) const TOP_SOURCES: usize = 20;

/// Sums of one decision in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Figures {
    packets: u64,
    bytes: u64,
    connections_opened: u64,
    connections_accepted: u64,
    resets: u64,
    fragments: u64,
    dns_answer_packets: u64,
    dns_answer_bytes: u64,
    sizes: [u64; SIZE_EDGES.len() + 1],
}

impl Figures {
    fn count(&mut self, facts: &Facts) {
        let bytes = u64::from(facts.bytes);
        self.packets += 1;
        self.bytes += bytes;
        self.connections_opened += u64::from(facts.opens());
        self.connections_accepted += u64::from(facts.accepts());
        self.resets += u64::from(facts.resets());
        self.fragments += u64::from(facts.fragment);
        self.dns_answer_packets += u64::from(facts.is_dns_answer());
        self.dns_answer_bytes += if facts.is_dns_answer() { bytes } else { 0 };
        let bin = SIZE_EDGES.iter().filter(|edge| **edge <= facts.bytes).count();
        if let Some(bin) = self.sizes.get_mut(bin) {
            *bin += 1;
        }
    }

    fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.connections_opened += other.connections_opened;
        self.connections_accepted += other.connections_accepted;
        self.resets += other.resets;
        self.fragments += other.fragments;
        self.dns_answer_packets += other.dns_answer_packets;
        self.dns_answer_bytes += other.dns_answer_bytes;
        for (bin, more) in self.sizes.iter_mut().zip(other.sizes) {
            *bin += more;
        }
    }
}

/// What the scrubber let through, and what not.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Decisions {
    passed: Figures,
    blocked: Figures,
}

/// Towards the range, and from it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Directions {
    ingress: Decisions,
    egress: Decisions,
}

/// Packets of one source towards the range: offered and passed, offered and blocked, captured and passed, captured and blocked.
type Counts = [u32; 4];

/// One range in one window, or in all.
#[derive(Debug, Default)]
pub(super) struct Cell {
    offered: Directions,
    captured: Directions,
    v4: HashMap<u32, Counts>,
    v6: HashMap<u128, Counts>,
    /// Towards the range, and from it; of a window only.
    pub(super) details: [Detail; 2],
}

impl Cell {
    /// Counts a packet in sub-window `slot` of the window.
    pub(super) fn count(&mut self, facts: &Facts, ingress: bool, slot: u64) {
        self.details[usize::from(!ingress)].count(facts, slot);
        let both = [Some(&mut self.offered), facts.captured.then_some(&mut self.captured)];
        for side in both.into_iter().flatten() {
            let direction = if ingress { &mut side.ingress } else { &mut side.egress };
            if facts.blocked { direction.blocked.count(facts) } else { direction.passed.count(facts) }
        }
        if ingress {
            let counts = match facts.src {
                IpAddr::V4(address) => self.v4.entry(address.to_bits()).or_default(),
                IpAddr::V6(address) => self.v6.entry(address.to_bits()).or_default(),
            };
            let at = usize::from(facts.blocked);
            counts[at] += 1;
            counts[2 + at] += u32::from(facts.captured);
        }
    }

    /// Adds a window to the whole.
    pub(super) fn add(&mut self, other: &Self) {
        let sides = [(&mut self.offered, &other.offered), (&mut self.captured, &other.captured)];
        for (mine, theirs) in sides {
            mine.ingress.passed.add(&theirs.ingress.passed);
            mine.ingress.blocked.add(&theirs.ingress.blocked);
            mine.egress.passed.add(&theirs.egress.passed);
            mine.egress.blocked.add(&theirs.egress.blocked);
        }
        for (source, counts) in &other.v4 {
            add_counts(self.v4.entry(*source).or_default(), counts);
        }
        for (source, counts) in &other.v6 {
            add_counts(self.v6.entry(*source).or_default(), counts);
        }
    }

    /// As it stands in the truth. `sampling` weighs blocked packets of the capture.
    pub(super) fn told(&self, sampling: u16) -> Told {
        Told { offered: self.side(self.offered, 0, 1), captured: self.side(self.captured, 2, u64::from(sampling)) }
    }

    fn side(&self, directions: Directions, at: usize, weight: u64) -> Side {
        let v4 = self.v4.iter().map(|(source, counts)| (IpAddr::V4(Ipv4Addr::from_bits(*source)), counts));
        let v6 = self.v6.iter().map(|(source, counts)| (IpAddr::V6(Ipv6Addr::from_bits(*source)), counts));
        let mut distinct_sources = Distinct::default();
        let mut top = Vec::new();
        for (source, counts) in v4.chain(v6) {
            let (passed, blocked) = (counts[at], counts[at + 1]);
            distinct_sources.passed += u64::from(passed > 0);
            distinct_sources.blocked += u64::from(blocked > 0);
            distinct_sources.any += u64::from(passed > 0 || blocked > 0);
            if passed > 0 || blocked > 0 {
                top.push(Source { source, value: u64::from(passed) + u64::from(blocked) * weight, passed, blocked });
            }
            if top.len() >= 4_096 {
                cut(&mut top);
            }
        }
        cut(&mut top);
        Side { ingress: directions.ingress, egress: directions.egress, distinct_sources, top_sources: top }
    }
}

/// Leaves the busiest, equals by address.
fn cut(top: &mut Vec<Source>) {
    top.sort_unstable_by(|a, b| b.value.cmp(&a.value).then_with(|| a.source.cmp(&b.source)));
    top.truncate(TOP_SOURCES);
}

fn add_counts(mine: &mut Counts, theirs: &Counts) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}

/// What a range was sent, and what the capture holds of it.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    offered: Side,
    captured: Side,
}

#[derive(Debug, Serialize)]
struct Side {
    ingress: Decisions,
    egress: Decisions,
    distinct_sources: Distinct,
    top_sources: Vec<Source>,
}

/// Different sources towards the range.
#[derive(Debug, Default, Serialize)]
struct Distinct {
    passed: u64,
    blocked: u64,
    any: u64,
}

/// Packets of one source towards the range; `value` is what they stand for together.
#[derive(Debug, Serialize)]
struct Source {
    source: IpAddr,
    value: u64,
    passed: u32,
    blocked: u32,
}
