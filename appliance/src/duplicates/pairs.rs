//! The same packet again: by pair of ports.
//!
//! The unit is the distinct packet, not the frame: one hash counts once in a window and pair of ports, however often it comes. So a
//! flood of one packet, all bytes alike, is one packet seen twice, whatever its rate; and, since hashes are keyed, distinct packets are
//! sampled independently of each other: the share is a binomial one, and Garwood's interval of its count holds for it.
//!
//! A packet counts as seen twice by a pair if it came by both ports (of a port with itself: twice) within the time, with the
//! same TTL or one less. That an attacker sends each of many packets twice looks alike, but stays where the attack goes. So destinations
//! are parted into sixteen by a keyed hash of their /24 or /48, and what is told as the mirror's fault has to show in most parts.

use std::collections::BTreeMap;

use super::Plan;
use super::copies::{Copies, Sample};
use super::sight::PARTS;

/// Distinct packets from which on a part counts.
const PART_MIN: u64 = 8;
/// Distinct packets from which on something is said of a pair.
const ENOUGH: u64 = 64;
/// Ports that a packet is looked at by; no mirror has as many on one path.
const PORTS_SEEN_MAX: usize = 32;
/// Copies behind one that it is compared with.
const NEAR_MAX: usize = 16;
/// A pair of ports; the lower one first.
pub type Pair = (u16, u16);

/// What is said of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Too little was seen.
    #[default]
    Unknown,
    /// Fewer than `alarm_share`, as far as the sample tells.
    Few,
    /// For sure more, and in most parts of the destinations: the mirror.
    Duplicated,
    /// For sure more, but in few parts of the destinations: perhaps who sends.
    Concentrated,
}

/// What was seen of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairFigures {
    /// Distinct packets sampled that came by one of its ports; while they are counted, by both.
    pub sampled: u64,
    /// Of them those that were seen twice.
    pub twice: u64,
    /// Of those the ones whose TTLs differ by one.
    pub hop: u64,
    /// By part of the destinations: distinct, twice.
    parts: [(u32, u32); PARTS as usize],
}

impl PairFigures {
    /// `low`: what the share is at least, with 97.5 %.
    pub fn standing(&self, low: f64, alarm_share: f64) -> Standing {
        if self.sampled < ENOUGH {
            return Standing::Unknown;
        }
        if low <= alarm_share {
            return Standing::Few;
        }
        let counted = self.parts.iter().filter(|(sampled, _)| u64::from(*sampled) >= PART_MIN);
        let (mut all, mut above) = (0, 0);
        for (sampled, twice) in counted {
            (all, above) = (all + 1, above + u32::from(f64::from(*twice) > alarm_share * f64::from(*sampled)));
        }
        if all > 1 && 2 * above > all { Standing::Duplicated } else { Standing::Concentrated }
    }
}

/// Counts over a long window, epoch by epoch.
#[derive(Clone, Debug)]
pub struct Pairs {
    plan: Plan,
    /// Of the end of the epoch before: its copies may come in this one.
    tail: Vec<Sample>,
    tail_level: u32,
    figures: BTreeMap<Pair, PairFigures>,
    level: u32,
}

impl Pairs {
    /// Of nothing yet.
    pub const fn new(plan: Plan) -> Self {
        Self { plan, tail: Vec::new(), tail_level: 0, figures: BTreeMap::new(), level: 0 }
    }

    /// What is asked.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// An epoch is over; what all cores kept of it.
    pub fn close(&mut self, copies: Copies) {
        self.level = self.level.max(copies.level());
        let mut now = Copies::default();
        now.merge(copies);
        let limit = (u64::MAX / u64::from(self.plan.sample.max(1))) >> self.tail_level.max(now.level()).min(63);
        let mut all: Vec<(Sample, bool)> = now.samples().iter().map(|sample| (*sample, true)).collect();
        all.extend(self.tail.drain(..).filter(|sample| sample.hash < limit).map(|sample| (sample, false)));
        all.sort_unstable();
        for same in all.chunk_by(|a, b| a.0.hash == b.0.hash) {
            self.count(same);
        }
        let last_ns = now.samples().iter().map(|sample| sample.time_ns).max().unwrap_or(0);
        let from_ns = last_ns.saturating_sub(self.plan.within_ns);
        self.tail.extend(now.samples().iter().filter(|sample| sample.time_ns >= from_ns));
        self.tail_level = now.level();
    }

    /// One packet: it counts in this epoch if one of its copies came in it.
    fn count(&mut self, same: &[(Sample, bool)]) {
        let mut pairs = BTreeMap::<Pair, (bool, bool)>::new();
        let ports: Vec<u16> = same.iter().filter(|(_, new)| *new).map(|(sample, _)| sample.port).collect();
        let Some(part) = same.iter().find(|(_, new)| *new).map(|(sample, _)| sample.part) else { return };
        for (i, (one, is_new)) in same.iter().enumerate() {
            // Of a flood of one packet all are alike: a few behind each are enough.
            let near = same[i + 1..].iter().take_while(|(other, _)| other.time_ns - one.time_ns <= self.plan.within_ns);
            for (other, is_other_new) in near.take(NEAR_MAX) {
                let apart = one.ttl.abs_diff(other.ttl);
                if (*is_new || *is_other_new) && apart <= 1 {
                    let pair = (one.port.min(other.port), one.port.max(other.port));
                    let entry = pairs.entry(pair).or_default();
                    (entry.0, entry.1) = (true, entry.1 || apart == 1);
                }
            }
        }
        let mut seen: Vec<u16> = ports;
        seen.sort_unstable();
        seen.dedup();
        seen.truncate(PORTS_SEEN_MAX);
        for (i, first) in seen.iter().enumerate() {
            for second in &seen[i..] {
                self.book((*first, *second), part, pairs.remove(&(*first, *second)));
            }
        }
        // One of the copies came in the epoch before.
        for (pair, twice) in pairs {
            self.book(pair, part, Some(twice));
        }
    }

    fn book(&mut self, pair: Pair, part: u8, twice: Option<(bool, bool)>) {
        let of = self.figures.entry(pair).or_default();
        let (is_twice, hop) = twice.unwrap_or_default();
        let of_part = &mut of.parts[usize::from(part % PARTS)];
        (of.sampled, of.twice, of.hop) = (of.sampled + 1, of.twice + u64::from(is_twice), of.hop + u64::from(is_twice && hop));
        (of_part.0, of_part.1) = (of_part.0 + 1, of_part.1 + u32::from(is_twice));
    }

    /// The long window is over: what was seen of each pair, and one in how many was sampled. Of two ports, packets that came by either.
    pub fn take(&mut self) -> (Vec<(Pair, PairFigures)>, u64) {
        let figures = std::mem::take(&mut self.figures);
        let sample = u64::from(self.plan.sample) << std::mem::take(&mut self.level).min(32);
        let own = |port: u16| figures.get(&(port, port)).copied().unwrap_or_default();
        let of = |(pair, of): (&Pair, &PairFigures)| {
            let (a, b) = *pair;
            if a == b {
                return (*pair, *of);
            }
            let (one, other, mut all) = (own(a), own(b), *of);
            // Those that came by both, near each other or not, are counted with each.
            all.sampled = (one.sampled + other.sampled).saturating_sub(of.sampled);
            for (i, part) in all.parts.iter_mut().enumerate() {
                part.0 = (one.parts[i].0 + other.parts[i].0).saturating_sub(part.0);
            }
            (*pair, all)
        };
        let told = figures.iter().filter(|((a, b), of)| a == b || of.twice > 0);
        (told.map(of).collect(), sample)
    }
}

#[cfg(test)]
#[path = "pairs_tests.rs"]
mod tests;
