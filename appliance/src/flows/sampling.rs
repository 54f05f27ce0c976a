//! At which rate an exporter samples: what it told, where, and what holds for a record. What is not known is 0, never 1.

use std::collections::BTreeMap;

use super::cursor::number;
use super::elements::What;
use super::flow::RateFrom;
use super::lru::Lru;
use crate::limits::SAMPLING_RATES_MAX;

/// What one record, of data or of options, tells of sampling.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Told {
    /// Element 149: whose rate it is.
    pub(super) domain: Option<u32>,
    /// Elements 48 and 302.
    pub(super) sampler: Option<u64>,
    interval: u64,
    random_interval: u64,
    packet_interval: u64,
    packet_space: Option<u64>,
    time_interval: u64,
    time_space: Option<u64>,
    size: u64,
    population: u64,
    probability: f64,
    /// By elements 35, 49 and 304.
    is_random: bool,
    /// Some rate is told to be 0.
    is_zero: bool,
}

/// Beside a rate: its sampler is known to be random.
const RANDOM: u64 = 1 << 63;

/// One in how many, and whether at random, of what is kept of a rate.
pub(super) const fn parted(rate: u64) -> (u64, bool) {
    (rate & !RANDOM, rate & RANDOM != 0)
}

impl Told {
    pub(super) fn put(&mut self, what: What, v: &[u8]) {
        let is_rate = matches!(
            what,
            What::Interval | What::RandomInterval | What::PacketInterval | What::TimeInterval | What::SampleSize | What::Probability
        );
        self.is_zero |= is_rate && !v.is_empty() && v.iter().all(|byte| *byte == 0);
        match what {
            What::Domain => self.domain = u32::try_from(number(v)).ok(),
            What::SamplerId => self.sampler = Some(number(v)),
            What::Interval => self.interval = number(v),
            What::RandomInterval => self.random_interval = number(v),
            What::PacketInterval => self.packet_interval = number(v),
            What::PacketSpace => self.packet_space = Some(number(v)),
            What::TimeInterval => self.time_interval = number(v),
            What::TimeSpace => self.time_space = Some(number(v)),
            What::SampleSize => self.size = number(v),
            What::SamplePopulation => self.population = number(v),
            What::Probability => self.probability = double(v),
            // Of IANA's registry of IPFIX elements: 1 is deterministic.
            What::Algorithm => self.is_random |= number(v) == 2,
            // n out of N, and with one probability each (RFC 5477, 8.2; IANA's registry of selectors).
            What::Selector => self.is_random |= matches!(number(v), 3 | 4),
            _ => {}
        }
    }

    /// A rate of no sampler, nor of the interface.
    pub(super) fn is_of_no_part(&self, interface: Option<u32>) -> bool {
        self.sampler.is_none() && interface.is_none() && (self.rate().is_some() || self.ends())
    }

    /// A rate of 0, and no other: what was told before holds no longer, and what does is not told.
    fn ends(&self) -> bool {
        self.is_zero && self.rate().is_none()
    }

    /// Anything of sampling.
    pub(super) fn tells(&self) -> bool {
        self.sampler.is_some() || self.rate().is_some() || self.ends()
    }

    /// One in how many, for [`parted`].
    pub(super) fn rate(&self) -> Option<u64> {
        let rate = self.one_in().map(|rate| parted(rate).0).filter(|rate| *rate > 0);
        rate.map(|rate| rate | if self.is_random { RANDOM } else { 0 })
    }

    /// Rounded to the nearest. Where several are told the newer elements count.
    fn one_in(&self) -> Option<u64> {
        let of = |total: u64, taken: u64| total.saturating_add(taken / 2) / taken;
        if self.probability > 0.0 && self.probability <= 1.0 {
            return Some(inverse(self.probability));
        }
        if self.size > 0 && self.population >= self.size {
            return Some(of(self.population, self.size));
        }
        // So many in a row are taken, so many are left out (RFC 5477, 8.2); a space of 0 leaves out none. By time the same holds in
        // the long run: so many microseconds are looked at, so many are not.
        for (taken, left) in [(self.packet_interval, self.packet_space), (self.time_interval, self.time_space)] {
            if let Some(left) = left.filter(|_| taken > 0) {
                return Some(of(taken.saturating_add(left), taken));
            }
        }
        // Alone it is the whole interval, as those who send it so mean it.
        [self.packet_interval, self.random_interval, self.interval].into_iter().find(|rate| *rate > 0)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "saturates")]
fn double(v: &[u8]) -> f64 {
    match *v {
        [a, b, c, d] => f64::from(f32::from_bits(u32::from_be_bytes([a, b, c, d]))),
        [_, _, _, _, _, _, _, _] => f64::from_bits(number(v)),
        _ => 0.0,
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is positive")]
fn inverse(probability: f64) -> u64 {
    (1.0 / probability).round() as u64
}

/// What one exporter's domain told.
#[derive(Debug)]
pub(super) struct Rates {
    samplers: Lru<u64, u64>,
    interfaces: Lru<u32, u64>,
    /// Samplers of interfaces whose rate is told elsewhere.
    assigned: Lru<u32, u64>,
    domain: Option<u64>,
    /// How many samplers have a rate.
    counts: BTreeMap<u64, usize>,
    /// The last answer.
    last: Option<(Question, Option<u64>)>,
}

/// A row in its table, about.
const ROW_BYTES: usize = 96;
/// A rate in its count, about.
const COUNT_BYTES: usize = 40;

type Question = (Option<u64>, Option<u32>);

impl Rates {
    pub(super) fn new() -> Self {
        Self { samplers: Lru::new(), interfaces: Lru::new(), assigned: Lru::new(), domain: None, counts: BTreeMap::new(), last: None }
    }

    /// Takes up a record of options. True: it told something new.
    pub(super) fn learn(&mut self, told: &Told, interface: Option<u32>) -> bool {
        let before = match (told.rate(), told.sampler, interface) {
            (Some(rate), Some(sampler), _) => self.learn_sampler(sampler, rate),
            (Some(rate), None, Some(interface)) => bounded(&mut self.interfaces, interface, rate),
            (Some(rate), None, None) => self.domain.replace(rate) != Some(rate),
            (None, sampler, interface) if told.ends() => self.forget(sampler, interface),
            (None, Some(sampler), Some(interface)) => bounded(&mut self.assigned, interface, sampler),
            (None, _, _) => return false,
        };
        if before {
            self.last = None;
        }
        before
    }

    fn learn_sampler(&mut self, sampler: u64, rate: u64) -> bool {
        let gone = match self.samplers.get(&sampler) {
            Some(row) if *row == rate => return false,
            Some(row) => Some(std::mem::replace(row, rate)),
            None => {
                self.samplers.insert(sampler, rate);
                let full = self.samplers.len() > SAMPLING_RATES_MAX;
                if full { self.samplers.evict().map(|(_, rate)| rate) } else { None }
            }
        };
        *self.counts.entry(rate).or_default() += 1;
        gone.into_iter().for_each(|rate| self.count_less(rate));
        true
    }

    fn count_less(&mut self, rate: u64) {
        if let Some(count) = self.counts.get_mut(&rate) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&rate);
            }
        }
    }

    /// The rate of a sampler, else of an interface, else of the domain is no longer known. True: it was.
    fn forget(&mut self, sampler: Option<u64>, interface: Option<u32>) -> bool {
        let gone = match (sampler, interface) {
            (Some(sampler), _) => self.samplers.remove(&sampler).inspect(|rate| self.count_less(*rate)),
            (None, Some(interface)) => self.interfaces.remove(&interface),
            (None, None) => self.domain.take(),
        };
        gone.is_some()
    }

    /// Nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.domain.is_none() && self.memory_bytes() == 0
    }

    /// A record that names no sampler may be of several that differ.
    pub(super) fn is_in_doubt(&self, sampler: Option<u64>) -> bool {
        sampler.is_none() && self.domain.is_none() && self.counts.len() > 1
    }

    /// The rate that all samplers have, if they agree.
    fn common(&self) -> Option<u64> {
        self.counts.first_key_value().filter(|_| self.counts.len() == 1).map(|(rate, _)| *rate)
    }

    /// The rate that holds for a record, as options told it.
    #[inline]
    pub(super) fn of(&mut self, sampler: Option<u64>, interface: Option<u32>) -> Option<u64> {
        let question = (sampler, interface);
        if let Some((asked, answer)) = self.last
            && asked == question
        {
            return answer;
        }
        let answer = self.look_up(sampler, interface);
        self.last = Some((question, answer));
        answer
    }

    fn look_up(&mut self, sampler: Option<u64>, interface: Option<u32>) -> Option<u64> {
        if let Some(rate) = sampler.and_then(|sampler| self.samplers.get(&sampler)) {
            return Some(*rate);
        }
        if let Some(rate) = interface.and_then(|interface| self.interfaces.get(&interface)) {
            return Some(*rate);
        }
        let assigned = interface.and_then(|interface| self.assigned.get(&interface).copied());
        if let Some(rate) = assigned.and_then(|sampler| self.samplers.get(&sampler)) {
            return Some(*rate);
        }
        // A record that names no sampler may be of any: only if all agree is its rate known.
        self.domain.or_else(|| self.common().filter(|_| sampler.is_none()))
    }

    /// Memory that they take, about.
    pub(super) fn memory_bytes(&self) -> usize {
        ROW_BYTES * (self.samplers.len() + self.interfaces.len() + self.assigned.len()) + COUNT_BYTES * self.counts.len()
    }

    /// All that was told, for keeping: kind (0 domain, 1 sampler, 2 interface, 3 interface's sampler), id, value.
    pub(super) fn rows(&self) -> Vec<(u8, u64, u64)> {
        let domain = self.domain.iter().map(|rate| (0, 0, *rate));
        let samplers = self.samplers.iter().map(|(id, rate)| (1, *id, *rate));
        let interfaces = self.interfaces.iter().map(|(id, rate)| (2, u64::from(*id), *rate));
        let assigned = self.assigned.iter().map(|(id, sampler)| (3, u64::from(*id), *sampler));
        domain.chain(samplers).chain(interfaces).chain(assigned).collect()
    }

    /// Takes back one of [`Self::rows`].
    pub(super) fn restore(&mut self, (kind, id, value): (u8, u64, u64)) {
        let interface = u32::try_from(id).ok();
        let told = match kind {
            3 => Told { sampler: Some(value), ..Told::default() },
            1 => Told { sampler: Some(id), interval: parted(value).0, is_random: parted(value).1, ..Told::default() },
            _ => Told { interval: parted(value).0, is_random: parted(value).1, ..Told::default() },
        };
        self.learn(&told, if kind >= 2 { interface } else { None });
    }
}

/// Sets a row; true: it is new or another than before.
fn bounded<K: Eq + std::hash::Hash + Clone>(rows: &mut Lru<K, u64>, key: K, value: u64) -> bool {
    if let Some(row) = rows.get(&key) {
        return std::mem::replace(row, value) != value;
    }
    rows.insert(key, value);
    if rows.len() > SAMPLING_RATES_MAX {
        rows.evict();
    }
    true
}

/// Where a rate comes from: the operator's word, else the record's own, else what options told.
pub(super) fn choose(operator: Option<u64>, record: Option<u64>, options: Option<u64>) -> (u64, RateFrom) {
    match (operator, record, options) {
        (Some(rate), _, _) => (rate, RateFrom::Operator),
        (None, Some(rate), _) => (rate, RateFrom::Record),
        (None, None, Some(rate)) => (rate, RateFrom::Options),
        (None, None, None) => (0, RateFrom::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rows: &[(What, u64)]) -> Told {
        let mut told = Told::default();
        rows.iter().for_each(|(what, value)| told.put(*what, &value.to_be_bytes()));
        told
    }

    #[test]
    fn rates_of_all_elements() {
        assert_eq!(told(&[]).rate(), None);
        assert_eq!(told(&[(What::Interval, 0)]).rate(), None);
        assert_eq!(told(&[(What::Interval, 100)]).rate(), Some(100));
        assert_eq!(told(&[(What::RandomInterval, 512)]).rate(), Some(512));
        assert_eq!(told(&[(What::PacketInterval, 1), (What::PacketSpace, 999)]).rate(), Some(1_000));
        assert_eq!(told(&[(What::PacketInterval, 2_048)]).rate(), Some(2_048));
        // No packet is left out; by time; half of that says nothing.
        assert_eq!(told(&[(What::PacketInterval, 10), (What::PacketSpace, 0)]).rate(), Some(1));
        assert_eq!(told(&[(What::TimeInterval, 1_000), (What::TimeSpace, 9_000)]).rate(), Some(10));
        assert_eq!(told(&[(What::TimeInterval, 1_000), (What::TimeSpace, 0)]).rate(), Some(1));
        assert_eq!([What::TimeInterval, What::TimeSpace, What::PacketSpace].map(|what| told(&[(what, 1_000)]).rate()), [None; 3]);
        assert_eq!(told(&[(What::SampleSize, 2), (What::SamplePopulation, 64)]).rate(), Some(32));
        assert_eq!(told(&[(What::Probability, 0.01f64.to_bits())]).rate(), Some(100));
        let random = |rows| told(rows).rate().map(parted);
        assert_eq!(random(&[(What::Interval, 100), (What::Algorithm, 2)]), Some((100, true)));
        assert_eq!(random(&[(What::Interval, 100), (What::Algorithm, 1)]), Some((100, false)));
        assert_eq!(random(&[(What::SampleSize, 1), (What::SamplePopulation, 50), (What::Selector, 3)]), Some((50, true)));
        assert_eq!(random(&[(What::PacketInterval, 1), (What::PacketSpace, 9), (What::Selector, 1)]), Some((10, false)));
        assert_eq!(random(&[(What::Interval, u64::MAX)]), Some((u64::MAX >> 1, false)));
        assert_eq!(told(&[(What::Probability, f64::NAN.to_bits()), (What::Interval, 7)]).rate(), Some(7));
    }

    #[test]
    fn the_nearest_that_was_told() {
        let mut rates = Rates::new();
        assert_eq!(rates.of(None, Some(1)), None);
        assert!(rates.learn(&told(&[(What::SamplerId, 1), (What::RandomInterval, 10)]), None));
        assert_eq!((rates.of(None, Some(1)), rates.of(Some(1), None), rates.of(Some(2), None)), (Some(10), Some(10), None));
        rates.learn(&told(&[(What::SamplerId, 2), (What::RandomInterval, 20)]), None);
        assert_eq!((rates.of(None, Some(1)), rates.of(Some(2), None)), (None, Some(20)));
        rates.learn(&told(&[(What::SamplerId, 2)]), Some(5));
        rates.learn(&told(&[(What::Interval, 30)]), Some(6));
        assert_eq!((rates.of(None, Some(5)), rates.of(None, Some(6)), rates.of(None, Some(7))), (Some(20), Some(30), None));
        rates.learn(&told(&[(What::Interval, 40), (What::Algorithm, 2)]), None);
        assert_eq!((rates.of(None, Some(7)), rates.of(Some(9), None)), (Some(40 | RANDOM), Some(40 | RANDOM)));
        let mut again = Rates::new();
        rates.rows().into_iter().for_each(|row| again.restore(row));
        assert_eq!([5, 6, 7].map(|i| again.of(None, Some(i))), [5, 6, 7].map(|i| rates.of(None, Some(i))));
    }

    #[test]
    fn samplers_agree_as_a_walk_over_all_finds() {
        let mut rates = Rates::new();
        let mut number = 12_345u64;
        for _ in 0..30_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (sampler, rate) = ((number >> 33) % 5_000, 1 + u64::from((number >> 20).is_multiple_of(500)));
            rates.learn(&told(&[(What::SamplerId, sampler), (What::Interval, rate)]), None);
        }
        for sampler in 0..5_000 {
            let mut walk: Vec<u64> = rates.samplers.iter().map(|(_, rate)| *rate).collect();
            walk.sort_unstable();
            walk.dedup();
            assert_eq!(rates.common(), if walk.len() == 1 { Some(walk[0]) } else { None });
            rates.learn(&told(&[(What::SamplerId, sampler), (What::Interval, 2)]), None);
        }
        assert_eq!((rates.common(), rates.samplers.len()), (Some(2), SAMPLING_RATES_MAX));
    }
}
