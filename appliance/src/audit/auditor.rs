//! All keys' accounts, and what is found of them.

use std::collections::{BTreeMap, VecDeque};

use super::account::{Clocks, STRETCHES_NS, Taken};
use super::counters::Row;
use super::keys::{Keyed, Keys, Standing, rate_of};
use super::rate::{CERTAIN, Counts, RateTest, mean};
use super::spread::{Blocks, Spread};
use super::{Finding, Plan, Verdict};
use crate::limits::AUDIT_ROWS_MAX;

/// Expected samples of a day from which on nothing found says something: a rate off by a quarter would have been seen.
const ENOUGH: f64 = 400.0;
/// Parts of these that may be unknown at the ends.
const APART_MAX: f64 = 0.2;
/// Windows that were not whole and are remembered.
const BROKEN_KEPT: usize = 4_096;
/// Weights of the tests, as divisors: the rate over the day, over each hour, the spread over the day.
const DIVISORS: [f64; 3] = [2.0, 4.0 * 24.0, 4.0];

/// A window of ours that is over.
#[derive(Clone, Copy, Debug)]
pub struct WindowOf {
    /// Start and end.
    pub bounds_ns: (u64, u64),
    /// Nothing was lost of it.
    pub is_whole: bool,
}

/// What became of the counters' rows, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Compared.
    pub counted: u64,
    /// First ones, and those behind a counter that fell or windows that were not whole.
    pub begun: u64,
    /// That came too late.
    pub too_old: u64,
    /// Of keys that are none here.
    pub unknown: u64,
    /// That found no room: too many wait, or too many keys were named before.
    pub dropped: u64,
    /// When the newest one was made.
    pub newest_ns: u64,
}

/// See the module.
pub struct Auditor {
    plan: Plan,
    tests: BTreeMap<u32, RateTest>,
    keys: Keys,
    named: u32,
    /// All keys of one rate together.
    pools: BTreeMap<u32, Standing>,
    /// The same in blocks: a sampler that counts over all of them spreads as a random one in each.
    pooled: BTreeMap<u32, Blocks>,
    waiting: BTreeMap<(u64, String), u64>,
    broken: VecDeque<u64>,
    /// When its first window began.
    begun_ns: Option<u64>,
    end_ns: u64,
    told: Told,
}

impl Auditor {
    /// Of nothing yet.
    pub fn new(plan: Plan) -> Self {
        let tests = plan.one_in.iter().filter(|one_in| **one_in > 1).map(|one_in| (*one_in, RateTest::new(*one_in, plan.tolerance)));
        Self {
            tests: tests.collect(),
            plan,
            keys: Keys::since(None),
            named: 0,
            pools: BTreeMap::new(),
            pooled: BTreeMap::new(),
            waiting: BTreeMap::new(),
            broken: VecDeque::new(),
            begun_ns: None,
            end_ns: 0,
            told: Told::default(),
        }
    }

    /// Goes on with other ranges or rates. What is kept of a key whose rate changed begins anew; a key that is no longer here is forgotten.
    pub fn renew(&mut self, plan: Plan, is_here: impl Fn(&str) -> bool) {
        // Windows are as long as they turn out to be.
        let plan = Plan { window_ns: self.plan.window_ns, ..plan };
        if plan != self.plan {
            let fresh = Self::new(plan);
            (self.plan, self.tests) = (fresh.plan, fresh.tests);
            self.pools.clear();
            self.pooled.clear();
        }
        self.keys.renew(&self.plan, &is_here);
        let before = self.waiting.len();
        self.waiting.retain(|(_, key), _| is_here(key));
        self.told.unknown += (before - self.waiting.len()) as u64;
    }

    /// Windows are this long from here on. What was counted in others begins anew.
    pub fn follow(&mut self, window_ns: u64) {
        if window_ns != self.plan.window_ns {
            let plan = Plan { window_ns, ..self.plan.clone() };
            let keys = Keys::since((self.end_ns / window_ns.max(1)).checked_sub(1));
            *self = Self { told: self.told, begun_ns: self.begun_ns, end_ns: self.end_ns, keys, ..Self::new(plan) };
        }
    }

    /// What is asked.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What became of rows.
    pub const fn told(&self) -> &Told {
        &self.told
    }

    /// Rows that wait for their windows to close.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A window is over; its samples, by key.
    pub fn close(&mut self, window: WindowOf, samples: impl Iterator<Item = (String, u64)>) {
        let number = window.bounds_ns.0 / self.plan.window_ns.max(1);
        self.begun_ns = self.begun_ns.or(Some(window.bounds_ns.0));
        self.end_ns = self.end_ns.max(window.bounds_ns.1);
        if !window.is_whole {
            self.broken.push_back(number);
            if self.broken.len() > BROKEN_KEPT {
                self.broken.pop_front();
            }
        }
        self.keys.add(number, &self.plan, samples);
    }

    /// The scrubber said this. `known`: whether there is such a range.
    pub fn offer(&mut self, row: Row, known: bool) {
        let Row { time_ns, key, dropped } = row;
        if !known {
            self.told.unknown += 1;
        } else if self.waiting.len() >= AUDIT_ROWS_MAX {
            self.told.dropped += 1;
        } else {
            self.told.newest_ns = self.told.newest_ns.max(time_ns);
            self.waiting.insert((time_ns, key), dropped);
        }
    }

    /// Compares all rows whose windows are over; at the `end` there are no others. True: there was one.
    pub fn look(&mut self, end: bool) -> bool {
        let clocks = Clocks { window_ns: self.plan.window_ns, skew_ns: self.plan.skew_ns };
        let mut any = false;
        while let Some(entry) = self.waiting.first_entry() {
            let time_ns = entry.key().0;
            let behind = clocks.windows(time_ns).1.saturating_mul(clocks.window_ns);
            if behind > self.end_ns && !(end && time_ns <= self.end_ns) {
                break;
            }
            let ((time_ns, key), dropped) = entry.remove_entry();
            self.take(&key, (time_ns, dropped), clocks);
            any = true;
        }
        if any {
            self.judge();
        }
        any
    }

    fn take(&mut self, key: &str, row: (u64, u64), clocks: Clocks) {
        let (tolerance, named) = (self.plan.tolerance, self.named);
        let broken = std::mem::take(&mut self.broken);
        let is_whole = |from: u64, to: u64| {
            let (from, to) = (clocks.windows(from).0, clocks.windows(to).1);
            // They came in order.
            broken.get(broken.partition_point(|number| *number < from)).is_none_or(|number| *number >= to)
        };
        let rate = rate_of(&self.plan, key);
        let Some(keyed) = rate.and_then(|rate| self.keys.name(key, rate, named + 1)) else {
            let why = if rate.is_some() { &mut self.told.dropped } else { &mut self.told.unknown };
            (*why, self.broken) = (*why + 1, broken);
            return;
        };
        let taken = keyed.account.take(row, clocks, is_whole);
        if let Taken::Counted(block) = taken {
            keyed.account.add_to_spread(row.0 / STRETCHES_NS[0], block, (keyed.one_in, tolerance));
            if keyed.random {
                self.pooled.entry(keyed.one_in).or_default().gather(block);
            }
        }
        self.named = named.max(keyed.order);
        self.broken = broken;
        match taken {
            Taken::Counted(_) => self.told.counted += 1,
            Taken::Begins => self.told.begun += 1,
            Taken::TooOld => self.told.too_old += 1,
            Taken::Repeated => {}
        }
    }

    fn judge(&mut self) {
        let now_ns = self.told.newest_ns.min(self.end_ns);
        let day = now_ns / STRETCHES_NS[0];
        // Once all rows of the same moment are in: then no key lacks what others have.
        self.pooled.iter_mut().for_each(|(one_in, blocks)| blocks.look(day, (*one_in, self.plan.tolerance)));
        let (bar, mut pools) = (-self.plan.false_alarms.ln() + std::f64::consts::LN_2, BTreeMap::new());
        for keyed in self.keys.named.values_mut() {
            let Some(test) = self.tests.get(&keyed.one_in) else { continue };
            let counts = [0, 1].map(|stretch| keyed.account.counts(stretch, now_ns));
            let (pool, spread): &mut ([Counts; 2], Spread) = pools.entry((keyed.one_in, keyed.random)).or_default();
            pool.iter_mut().zip(counts).for_each(|(all, more)| *all = all.with(more));
            let of_key = keyed.account.spread(now_ns);
            spread.merge(&of_key);
            let seen = Seen { counts, spread: keyed.random.then_some(of_key.evidence()), one_in: keyed.one_in };
            keyed.standing = seen.judge(test, bar - weight(keyed.order), keyed.standing, now_ns);
        }
        #[allow(clippy::cast_precision_loss, reason = "a few rates")]
        let bar = bar + (self.tests.len().max(1) as f64).ln();
        let mut of_rate: BTreeMap<u32, ([Counts; 2], Option<f64>)> = BTreeMap::new();
        for ((one_in, random), (counts, spread)) in pools {
            let entry = of_rate.entry(one_in).or_default();
            entry.0.iter_mut().zip(counts).for_each(|(all, more)| *all = all.with(more));
            if random {
                // Of two ways to look, half of what there is on each.
                let pooled = self.pooled.get(&one_in).map_or(0.0, |blocks| blocks.of(day).evidence());
                entry.1 = Some(mean([spread.evidence(), pooled].into_iter()));
            }
        }
        for (one_in, (counts, spread)) in of_rate {
            let Some(test) = self.tests.get(&one_in) else { continue };
            let standing = self.pools.entry(one_in).or_default();
            *standing = Seen { counts, spread, one_in }.judge(test, bar, *standing, now_ns);
        }
    }

    /// What is said of all keys together, by rate, then of each key, in the order of their names.
    pub fn findings(&self) -> Vec<Finding> {
        let finding = |key: &str, one_in: u32, of: &Standing| {
            let Standing { verdict, since_ns, counts, evidence, .. } = *of;
            Finding { key: key.to_owned(), verdict, one_in, counts, since_ns, evidence }
        };
        let keys = self.keys.named.iter();
        let of_key = |(name, keyed): (&String, &Keyed)| {
            let mut of = finding(name, keyed.one_in, &keyed.standing);
            let last_ns = keyed.account.last_ns().unwrap_or(0);
            if !of.verdict.is_finding() && last_ns.saturating_add(self.plan.stale_ns) < self.end_ns {
                (of.verdict, of.since_ns) = (Verdict::Stale, last_ns);
            }
            of
        };
        self.pools.iter().map(|(one_in, of)| finding("", *one_in, of)).chain(keys.map(of_key)).collect()
    }

    /// Keys that samples came of and counters never named.
    pub fn unnamed(&self) -> usize {
        self.keys.unnamed()
    }

    /// Whether no counters have come for too long; before the first ones, since its first window began.
    pub fn is_stale(&self) -> bool {
        self.told.newest_ns.max(self.begun_ns.unwrap_or(0)).saturating_add(self.plan.stale_ns) < self.end_ns
    }
}

/// Logarithm of the weight of the k-th key among keys, from 1.
fn weight(order: u32) -> f64 {
    let level = f64::from(order.max(1).ilog2());
    -(level * std::f64::consts::LN_2 + ((level + 1.0) * (level + 2.0)).ln())
}

/// What there is of a key, or of all of a rate.
struct Seen {
    counts: [Counts; 2],
    /// None: the sampler is not random.
    spread: Option<f64>,
    one_in: u32,
}

impl Seen {
    /// `bar`: what evidence of weight 1 has to reach.
    fn judge(&self, test: &RateTest, bar: f64, before: Standing, now_ns: u64) -> Standing {
        let rates = self.counts.map(|counts| test.evidence(&counts));
        let spread = self.spread.unwrap_or(0.0);
        let over = |evidence: f64, divisor: f64| evidence - divisor.ln() >= bar;
        let (day, hour) = (over(rates[0], DIVISORS[0]), over(rates[1], DIVISORS[1]));
        let counts = self.counts[usize::from(hour)];
        let verdict = if rates.iter().any(|rate| *rate >= CERTAIN) {
            Some(Verdict::MoreThanDropped)
        } else if day || hour {
            Some(Verdict::RateWrong)
        } else {
            over(spread, DIVISORS[2]).then_some(Verdict::Systematic)
        };
        let (today, evidence, fresh) =
            (now_ns / STRETCHES_NS[0], [rates[0].max(rates[1]), spread], verdict.map(|_| now_ns / STRETCHES_NS[0]));
        let verdict = match (verdict, before.found) {
            (Some(verdict), _) => verdict,
            // What was found stands for the day.
            (None, Some(day)) if day == today => before.verdict,
            (None, _) if self.is_enough() => Verdict::Consistent,
            (None, _) => before.verdict,
        };
        let found = fresh.or(before.found).filter(|_| verdict.is_finding());
        let since_ns = if verdict == before.verdict { before.since_ns } else { now_ns };
        Standing { verdict, since_ns, counts, evidence, found }
    }

    #[allow(clippy::cast_precision_loss, reason = "a size")]
    fn is_enough(&self) -> bool {
        let expected = self.counts[0].expected(self.one_in);
        expected >= ENOUGH && (self.counts[0].high - self.counts[0].low) as f64 <= APART_MAX * expected
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
#[cfg(test)]
#[path = "room_tests.rs"]
mod room_tests;
#[cfg(test)]
#[path = "spread_runs.rs"]
mod spread_runs;
