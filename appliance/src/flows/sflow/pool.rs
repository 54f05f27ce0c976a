//! Data sources of an agent: their samples' numbers, and whether the rate they tell agrees with the packets they say they had.

use super::super::lru::Lru;
use super::super::sequence::Sequence;
use crate::limits::{SEQUENCE_HOLES_MAX, SFLOW_SOURCES_MAX};

/// What a data source counts on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) enum Stream {
    Flows,
    Counters,
    Discards,
}

/// Stream, class and index.
type SourceKey = (Stream, u32, u32);

/// Samples from which on a rate is judged.
const JUDGED_SAMPLES_MIN: u64 = 100;

/// One data source.
#[derive(Debug, Default)]
pub(in super::super) struct Source {
    pub(super) sequence: Sequence,
    rate: u32,
    last: Option<(u32, u32)>,
    /// Since the rate is what it is: samples that came, packets of the pool, samples that the agent dropped.
    samples: u64,
    packets: u64,
    drops: u64,
}

impl Source {
    /// Takes a sample's running totals.
    pub(super) fn pool(&mut self, rate: u32, pool: u32, drops: u32) {
        let known = self.last.replace((pool, drops)).filter(|_| rate == self.rate);
        let Some((before, dropped_before)) = known else {
            (self.rate, self.samples, self.packets, self.drops) = (rate, 0, 0, 0);
            return;
        };
        self.samples += 1;
        self.packets += u64::from(pool.wrapping_sub(before));
        self.drops += u64::from(drops.wrapping_sub(dropped_before));
    }

    /// The rate told, and the one that the pool and the samples make, where they cannot both be right.
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    fn doubt(&self, lost: u64) -> Option<(u32, f64)> {
        let samples = self.samples + self.drops + lost;
        if self.samples < JUDGED_SAMPLES_MIN || self.packets == 0 || self.rate == 0 {
            return None;
        }
        let found = self.packets as f64 / samples as f64;
        let apart = (found / f64::from(self.rate) - 1.0).abs();
        // Five standard deviations of so many random samples, and a twentieth for those who count in other ways.
        (apart > 0.05 + 5.0 / (samples as f64).sqrt()).then_some((self.rate, found))
    }
}

/// All data sources of an agent that were heard of lately.
#[derive(Debug)]
pub(in super::super) struct Sources(Lru<SourceKey, Source>);

impl Sources {
    pub(in super::super) fn new() -> Self {
        Self(Lru::new())
    }

    /// Memory that they take, about.
    pub(in super::super) fn memory_bytes(&self) -> usize {
        self.0.len() * (2 * size_of::<(SourceKey, Source)>() + 8 * SEQUENCE_HOLES_MAX)
    }

    /// A source, new or known.
    pub(super) fn of(&mut self, key: SourceKey) -> &mut Source {
        if self.0.get(&key).is_none() {
            if self.0.len() >= SFLOW_SOURCES_MAX {
                self.0.evict();
            }
            self.0.insert(key, Source::default());
        }
        self.0.get(&key).expect("it was put there")
    }

    /// Says which rates are in doubt.
    pub(in super::super) fn warnings(&self, who: &str, found: &mut Vec<String>) {
        for ((_, class, index), source) in self.0.iter() {
            if let Some((told, makes)) = source.doubt(u64::from(source.sequence.missing())) {
                let (packets, samples, drops) = (source.packets, source.samples, source.drops);
                found.push(format!(
                    "{who}, source {class}:{index}: it tells a sampling rate of {told}, but {packets} packets for {samples} samples \
                     and {drops} dropped ones make {makes:.0}"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(rate: u32, step: u32, drops: u32) -> Source {
        let mut source = Source::default();
        (0..200u32).for_each(|i| source.pool(rate, u32::MAX.wrapping_add(i * step), drops * i));
        source
    }

    #[test]
    fn a_rate_that_the_pool_denies() {
        assert_eq!(fed(100, 100, 0).doubt(0), None);
        assert_eq!(fed(100, 200, 1).doubt(0), None);
        assert_eq!(fed(100, 1_000, 0).doubt(0), Some((100, 1_000.0)));
        assert_eq!(fed(100, 0, 0).doubt(0), None);
    }
}
