//! Runs over generated drops: how soon a wrong rate is found, and how often one is found that is none.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of a test")]

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::super::By;
use super::*;

const S: u64 = 1_000_000_000;
const SEED: u64 = 20_261;

pub(super) struct Dice(pub(super) ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        println!("seed {seed}");
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(super) fn share(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// How many of `n` a random sampler takes: from one sample to the next.
    pub(super) fn sampled(&mut self, n: u64, one_in: f64) -> u64 {
        let (mut taken, mut at) = (0, 0.0);
        loop {
            at += (self.share().ln() / (-1.0 / one_in).ln_1p()).floor() + 1.0;
            if at > n as f64 {
                return taken;
            }
            taken += 1;
        }
    }
}

pub(super) fn plan(false_alarms: f64) -> Plan {
    Plan {
        by: By::Range,
        false_alarms,
        tolerance: 0.005,
        skew_ns: 0,
        stale_ns: 300 * S,
        window_ns: S,
        one_in: vec![40],
        random: vec![true],
    }
}

pub(super) fn close(auditor: &mut Auditor, second: u64, samples: &[(String, u64)]) {
    auditor.close(WindowOf { bounds_ns: (second * S, (second + 1) * S), is_whole: true }, samples.iter().cloned());
}

pub(super) fn row(time_ns: u64, key: &str, dropped: u64) -> Row {
    Row { time_ns, key: key.to_owned(), dropped }
}

pub(super) fn verdict(auditor: &Auditor, key: &str) -> Verdict {
    auditor.findings().iter().find(|finding| finding.key == key).map_or(Verdict::Unknown, |finding| finding.verdict)
}

/// Expected samples until the key alone says so; `named`: keys that counters named before.
fn found_after(dice: &mut Dice, named: u32, truth: f64, limit: u64) -> Option<u64> {
    let mut auditor = Auditor::new(plan(0.001));
    auditor.named = named;
    auditor.offer(row(0, "a", 0), true);
    let mut dropped = 0;
    for second in 0..limit {
        let n = 400 + dice.0.next_u64() % 800;
        dropped += n;
        close(&mut auditor, second, &[("a".to_owned(), dice.sampled(n, truth))]);
        auditor.offer(row((second + 1) * S, "a", dropped), true);
        auditor.look(false);
        if verdict(&auditor, "a") == Verdict::RateWrong {
            return Some(dropped / 40);
        }
    }
    None
}

fn median(mut of: Vec<u64>) -> u64 {
    of.sort_unstable();
    of[of.len() / 2]
}

#[test]
fn a_wrong_rate_is_found_soon() {
    let mut dice = Dice::new(SEED);
    for (named, truth, runs, most) in
        [(0, 50.0, 100, 1_300), (9_999, 50.0, 100, 1_700), (0, 32.0, 60, 1_300), (0, 45.0, 30, 6_000), (0, 41.0, 3, 200_000)]
    {
        let found: Vec<u64> = (0..runs).map(|_| found_after(&mut dice, named, truth, 20_000).unwrap_or(u64::MAX)).collect();
        let median = median(found);
        println!("1:{truth} where 1:40 is configured, key {}: found after {median} expected samples (median of {runs})", named + 1);
        assert!(median <= most, "{median}");
    }
}

/// A day of one key or several, in quarters of a second: bursts, counters read at odd times and set back, clocks apart.
struct Day {
    keys: usize,
    truth: f64,
    systematic: bool,
    /// One that takes every so many of all keys' packets, not of each one's.
    over_all: bool,
    skew: bool,
}

impl Day {
    /// Whether anything was found.
    fn run(&self, dice: &mut Dice, false_alarms: f64, seconds: u64) -> Option<Verdict> {
        let mut auditor = Auditor::new(Plan { skew_ns: if self.skew { S / 4 } else { 0 }, ..plan(false_alarms) });
        let names: Vec<String> = (0..self.keys).map(|key| format!("10.0.{key}.0/24")).collect();
        let (mut dropped, mut total) = (vec![1_000_000_000_u64; self.keys], vec![0_u64; self.keys]);
        let mut all = 0;
        let every = 3 + dice.0.next_u64() % 9;
        for second in 0..seconds {
            let mut samples: Vec<(String, u64)> = names.iter().map(|name| (name.clone(), 0)).collect();
            let at = if self.skew { dice.0.next_u64() % 4 } else { 3 };
            for quarter in 0..4 {
                for key in 0..self.keys {
                    let burst = dice.share().powf(-0.7).min(60.0);
                    let n = if (second / 20 + key as u64).is_multiple_of(3) { 0 } else { (burst * 60.0) as u64 };
                    let before = total[key];
                    (dropped[key], total[key]) = (dropped[key] + n, before + n);
                    let (from, to) = if self.over_all { (all, all + n) } else { (before, total[key]) };
                    let every_nth = (to as f64 / self.truth) as u64 - (from as f64 / self.truth) as u64;
                    all += n;
                    samples[key].1 += if self.systematic { every_nth } else { dice.sampled(n, self.truth) };
                }
                if second % every == 0 && quarter == at {
                    for (key, name) in names.iter().enumerate() {
                        // The clock of the scrubber is apart by no more than is allowed.
                        let apart = if self.skew { dice.0.next_u64() % (S / 2) } else { S / 4 };
                        let time_ns = second * S + quarter * S / 4 + apart;
                        auditor.offer(row(time_ns, name, dropped[key]), true);
                        if dropped[key] >= 1_000_000_000 && dice.0.next_u64().is_multiple_of(20) {
                            dropped[key] = 0;
                        }
                    }
                }
            }
            close(&mut auditor, second, &samples);
            auditor.look(second + 1 == seconds);
        }
        auditor.findings().iter().map(|finding| finding.verdict).find(|verdict| verdict.is_finding())
    }
}

/// Counted over 1,000 quiet runs: no more than stated, within what chance allows (three standard deviations).
#[test]
fn false_alarms_are_as_rare_as_stated() {
    let mut dice = Dice::new(SEED + 1);
    let stated = 0.05;
    for skew in [false, true] {
        let quiet = Day { keys: 4, truth: 40.0, systematic: false, over_all: false, skew };
        let runs = if skew { 400 } else { 600 };
        let found: Vec<Verdict> = (0..runs).filter_map(|_| quiet.run(&mut dice, stated, 90)).collect();
        let alarms = found.len();
        println!("{found:?}");
        println!("{alarms} false alarms in {runs} quiet runs of 4 keys, skew {skew}; stated: {stated}");
        let allowed = f64::from(runs) * stated;
        assert!((alarms as f64) < allowed + 3.0 * allowed.sqrt(), "{alarms}");
        let wrong = Day { truth: 56.0, ..quiet };
        let found = (0..10).filter(|_| wrong.run(&mut dice, stated, 90) == Some(Verdict::RateWrong)).count();
        assert!(found >= 9, "teeth: {found} of 10");
    }
}

#[test]
fn a_systematic_sampler_is_seen_and_a_random_one_is_not() {
    let mut dice = Dice::new(SEED + 2);
    let day = Day { keys: 1, truth: 40.0, systematic: true, over_all: false, skew: false };
    assert_eq!(day.run(&mut dice, 0.001, 600), Some(Verdict::Systematic));
    assert_eq!(Day { systematic: false, ..day }.run(&mut dice, 0.001, 600), None);
    // Of ten keys none alone shows what all together do.
    let day = Day { keys: 10, over_all: true, ..day };
    assert_eq!(day.run(&mut dice, 0.001, 600), Some(Verdict::Systematic));
    assert_eq!(Day { systematic: false, ..day }.run(&mut dice, 0.001, 600), None);
}

#[test]
fn verdicts_follow_the_day_and_counters_that_stay_away_are_stale() {
    let mut auditor = Auditor::new(plan(0.001));
    let mut dice = Dice::new(SEED + 3);
    let (mut dropped, day) = (0, 86_400);
    let mut run = |auditor: &mut Auditor, seconds: std::ops::Range<u64>, truth: f64| {
        for second in seconds {
            dropped += 1_000;
            close(auditor, second, &[("10.0.0.0/24".to_owned(), dice.sampled(1_000, truth))]);
            auditor.offer(row((second + 1) * S, "10.0.0.0/24", dropped), true);
            auditor.look(false);
        }
        verdict(auditor, "10.0.0.0/24")
    };
    assert_eq!(run(&mut auditor, 100..105, 40.0), Verdict::Unknown);
    assert_eq!(run(&mut auditor, 105..200, 40.0), Verdict::Consistent);
    // A change is seen by the next hour, though the day has been right so far.
    assert_eq!(run(&mut auditor, 3_600..3_700, 50.0), Verdict::RateWrong);
    let found = auditor.findings().into_iter().find(|finding| !finding.key.is_empty()).unwrap();
    assert!(found.since_ns > 3_600 * S && found.counts.dropped <= 100_000, "{found:?}");
    assert_eq!(run(&mut auditor, 7_200..7_300, 40.0), Verdict::RateWrong, "what was found stands for the day");
    assert_eq!(run(&mut auditor, day..day + 5, 40.0), Verdict::RateWrong, "and until the next one says otherwise");
    assert_eq!(run(&mut auditor, day + 5..day + 100, 40.0), Verdict::Consistent);
    for second in day + 100..day + 500 {
        close(&mut auditor, second, &[]);
    }
    assert_eq!((verdict(&auditor, "10.0.0.0/24"), auditor.is_stale()), (Verdict::Stale, true));
}

/// Counters may come each few minutes: that none came yet says nothing at first, whatever the time of day is.
#[test]
fn counters_are_awaited_from_the_first_window_on() {
    let mut auditor = Auditor::new(plan(0.001));
    assert!(!auditor.is_stale());
    let stale = |auditor: &mut Auditor, seconds: std::ops::Range<u64>| {
        let each = seconds.map(|second| {
            close(auditor, second, &[]);
            auditor.is_stale()
        });
        each.collect::<Vec<_>>()
    };
    assert!(stale(&mut auditor, 90_000..90_300).iter().all(|stale| !stale), "stale_s has not passed");
    assert_eq!(stale(&mut auditor, 90_300..90_302), [true, true]);
    auditor.offer(row(90_302 * S, "10.0.0.0/24", 5), true);
    assert_eq!(stale(&mut auditor, 90_302..90_303), [false]);
}

#[test]
fn what_cannot_be_compared_is_told() {
    let mut auditor = Auditor::new(plan(0.001));
    auditor.offer(row(5, "8.0.0.0/8", 5), false);
    for (second, dropped) in [(1, 1_000), (2, 2_000), (3, 500), (4, 1_500), (5, 2_500), (6, 3_500)] {
        let bounds_ns = (second * S, (second + 1) * S);
        auditor.close(WindowOf { bounds_ns, is_whole: second != 5 }, [("a".to_owned(), 25)].into_iter());
        auditor.offer(row((second + 1) * S, "a", dropped), true);
        auditor.look(false);
    }
    let Told { counted, begun, unknown, .. } = *auditor.told();
    assert_eq!((counted, begun, unknown), (3, 3, 1), "first, set back, and a window that is not whole");
    let counts = auditor.findings().last().unwrap().counts;
    assert_eq!(counts, Counts { dropped: 3_000, low: 75, high: 75 });
    // More samples than packets.
    auditor.close(WindowOf { bounds_ns: (7 * S, 8 * S), is_whole: true }, [("a".to_owned(), 9_000)].into_iter());
    auditor.offer(row(8 * S, "a", 3_600), true);
    auditor.look(false);
    assert_eq!(verdict(&auditor, "a"), Verdict::MoreThanDropped);
    // Another rate begins anew.
    auditor.renew(Plan { one_in: vec![100], ..plan(0.001) }, |_| true);
    assert_eq!(verdict(&auditor, "a"), Verdict::Unknown);
}

#[test]
fn weights_of_all_keys_add_up_to_no_more_than_one() {
    let sum: f64 = (1..=2_000_000).map(|order| weight(order).exp()).sum();
    assert!(sum < 1.0 && sum > 0.9, "{sum}");
}
