//! Data sources of an agent: their samples' numbers, and whether the rate they tell agrees with the packets they say they had.

use super::super::lru::Lru;
use super::super::sequence::{Sequence, Verdict};
use crate::limits::{SEQUENCE_HOLES_MAX, SFLOW_SOURCES_MAX};

/// A sampling rate that an exporter tells, and that its own totals deny.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    /// Whose it is: exporter and agent.
    pub of: String,
    /// What it tells, one in so many.
    pub told: u32,
    /// What its totals make.
    pub makes: f64,
    /// Both, with what they were made of.
    pub why: String,
}

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
/// From so many on what came earlier counts by half: a rate that turns wrong is not hidden by months in which it was right.
const REMEMBERED_SAMPLES_MAX: u64 = 20_000;

/// A total that moves on by more between two samples went back.
const STEP_MAX: u32 = u32::MAX / 2;

/// One data source.
#[derive(Debug, Default)]
pub(in super::super) struct Source {
    pub(super) sequence: Sequence,
    rate: u32,
    last: Option<(u32, u32)>,
    /// Of lately, while the rate is what it is: samples that came, packets of the pool, samples that the agent dropped.
    samples: u64,
    packets: u64,
    drops: u64,
    /// Samples that did not come, as their numbers tell.
    lost: u64,
}

impl Source {
    /// Takes a sample's running totals, unless its number says that a later sample's were taken before.
    pub(super) fn pool(&mut self, rate: u32, pool: u32, drops: u32, verdict: Verdict) {
        match verdict {
            Verdict::Late(units) if self.lost >= u64::from(units) => {
                (self.lost, self.samples) = (self.lost - u64::from(units), self.samples + 1);
                return;
            }
            Verdict::Late(_) | Verdict::Repeated | Verdict::Odd => return,
            Verdict::Restart(_) => self.last = None,
            Verdict::Next | Verdict::Gap(_) => {}
        }
        let is_first = self.last.is_none();
        let known = self.last.replace((pool, drops)).filter(|_| rate == self.rate);
        let Some((before, dropped_before)) = known else {
            // After a restart only where counting goes on from is another.
            if !is_first || rate != self.rate {
                (self.rate, self.samples, self.packets, self.drops, self.lost) = (rate, 0, 0, 0, 0);
            }
            return;
        };
        let (packets, dropped) = (pool.wrapping_sub(before), drops.wrapping_sub(dropped_before));
        // A step back: the agent counts anew.
        if packets > STEP_MAX || dropped > STEP_MAX {
            return;
        }
        if let Verdict::Gap(units) = verdict {
            self.lost += u64::from(units);
        }
        self.samples += 1;
        self.packets += u64::from(packets);
        self.drops += u64::from(dropped);
        if self.samples + self.drops + self.lost >= REMEMBERED_SAMPLES_MAX {
            [&mut self.samples, &mut self.packets, &mut self.drops, &mut self.lost].into_iter().for_each(|count| *count /= 2);
        }
    }

    /// The rate told, and the one that the pool and the samples make, where they cannot both be right.
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    fn doubt(&self) -> Option<(u32, f64)> {
        let samples = self.samples + self.drops + self.lost;
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

    /// Of those whose rates are in doubt the worst, and how many there are.
    pub(in super::super) fn doubt(&self, who: impl Fn() -> String) -> Option<Doubt> {
        let all = || self.0.iter().filter_map(|(key, source)| Some((key, source, source.doubt()?)));
        let by = |(_, _, (told, makes)): &(&SourceKey, &Source, (u32, f64))| (makes / f64::from(*told)).ln().abs();
        let ((stream, class, index), source, (told, makes)) = all().max_by(|a, b| by(a).total_cmp(&by(b)))?;
        let Source { packets, samples, drops, lost, .. } = source;
        let (discards, others) = (if *stream == Stream::Discards { " (discards)" } else { "" }, all().count() - 1);
        let others = if others == 0 { String::new() } else { format!("; {others} others of its sources are as doubtful") };
        Some(Doubt {
            of: who(),
            told,
            makes,
            why: format!(
                "it tells a sampling rate of {told} for source {class}:{index}{discards}, but lately {packets} packets for {samples} samples \
                 that came, {drops} dropped and {lost} lost ones make {makes:.0}{others}"
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sequence::Times;
    use super::super::super::steps::Units;
    use super::*;

    fn fed(rate: u32, step: u32, drops: u32) -> Source {
        let mut source = Source::default();
        (0..200u32).for_each(|i| source.pool(rate, u32::MAX.wrapping_add(i * step), drops * i, Verdict::Next));
        source
    }

    #[test]
    fn a_rate_that_the_pool_denies() {
        assert_eq!(fed(100, 100, 0).doubt(), None);
        assert_eq!(fed(100, 200, 1).doubt(), None);
        assert_eq!(fed(100, 1_000, 0).doubt(), Some((100, 1_000.0)));
        assert_eq!(fed(100, 0, 0).doubt(), None);
    }

    #[test]
    fn a_rate_that_turns_wrong_is_seen_after_years() {
        let mut source = fed(100, 100, 0);
        let mut pool = 0_u32;
        let mut more = |source: &mut Source, samples: u32, step: u32| {
            for _ in 0..samples {
                pool = pool.wrapping_add(step);
                source.pool(100, pool, 0, Verdict::Next);
            }
        };
        more(&mut source, 200_000, 100);
        assert_eq!(source.doubt(), None);
        more(&mut source, 8_000, 1_000);
        assert!(source.doubt().is_some_and(|(told, makes)| told == 100 && makes > 400.0));
        more(&mut source, 200_000, 100);
        assert_eq!(source.doubt(), None);
    }

    /// Numbers → totals of an agent that takes one in a hundred.
    fn numbered(numbers: impl Iterator<Item = u32>) -> Source {
        let mut source = Source::default();
        for number in numbers {
            let verdict = source.sequence.take(number, (Units::ONE, Units::ONE), Times::default());
            source.pool(100, number * 100, 0, verdict);
        }
        source
    }

    #[test]
    fn order_repeats_and_restarts_add_no_packets() {
        // Pairs change places, and each seventh comes twice.
        let mixed = numbered((0..400u32).flat_map(|n| std::iter::repeat_n(n ^ 1, if n % 7 == 0 { 2 } else { 1 })));
        assert!(mixed.packets <= 40_000 && mixed.packets > 39_000, "{}", mixed.packets);
        assert_eq!(mixed.doubt(), None);
        let restarted = numbered((100_000..100_200u32).chain(0..200));
        // The first of the new count is not taken: it may be a stray.
        assert_eq!((restarted.packets, restarted.samples, restarted.doubt()), (39_700, 397, None));
        // Numbers back by so little that they pass for repeats: the totals tell.
        let near = numbered((300..600u32).chain(0..800));
        assert_eq!((near.packets, near.doubt()), (299 * 100 + 200 * 100, None));
        let mut back = Source::default();
        [5_000_000, 5_000_100, 7, 107].into_iter().for_each(|pool| back.pool(100, pool, 0, Verdict::Next));
        assert_eq!((back.packets, back.samples), (200, 2));
    }

    #[test]
    fn what_is_lost_is_no_fault_of_the_rate() {
        // One of ten is lost on the way, far more often than holes are remembered.
        let source = numbered((0..15_000u32).filter(|n| n % 10 != 3));
        assert_eq!((source.lost, source.doubt()), (1_500, None));
        let mut other = source;
        other.pool(200, 0, 0, Verdict::Next);
        assert_eq!((other.lost, other.samples), (0, 0));
    }
}
