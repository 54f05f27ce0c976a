//! A slow, obvious count of a few ranges' packets in a capture, key by key: what the stats of a report are held against.

use std::collections::HashMap;
use std::fmt::Write as _;

use ipnet::IpNet;
use serde_json::Value;
use tailwater::rx::capture::Capture as Reader;

use super::packet::{self, Packet};
use super::support::captures::Capture;
use super::support::sets::PART;

/// Ranges that are looked at whole.
const RANGES: usize = 32;
/// Keys of a list of the standard set.
const K: usize = 20;
/// What a sampled packet of the standard set stands for.
pub(crate) const SAMPLING: u64 = 40;
/// As reports spell them.
const METRICS: [&str; packet::METRICS] = ["packets", "bytes", "connections_opened", "resets"];
/// Intervals of distinct keys are of 95 %; so many times the spread of chance may more of them miss.
const MISSED: f64 = 0.05;
const SPREADS: f64 = 3.0;

/// What packets of a key add up to, let through and blocked, by metric.
type Sums = [[u32; packet::METRICS]; 2];
/// By the number of a key.
type Keys = HashMap<u64, Sums>;

/// By prefix, what its packets hold: for each key of a stat all that it was.
pub(crate) struct Model(HashMap<String, HashMap<&'static str, Keys>>);

/// What reports said of ranges that are looked at whole.
#[derive(Default)]
pub(crate) struct Found {
    /// A line for each that is wrong.
    pub(crate) wrong: String,
    /// Figures that were compared.
    pub(crate) figures: usize,
    /// Intervals of distinct keys, and those that do not hold the truth.
    distinct: usize,
    missed: usize,
}

impl Model {
    /// Of ranges that lie in no other, spread over the capture's.
    pub(crate) fn of(capture: &Capture) -> Self {
        let packets = |net: &IpNet| capture.shares[&net.to_string()].packets.iter().sum::<u64>();
        let mut nets: Vec<IpNet> = capture.shares.keys().filter_map(|prefix| prefix.parse().ok()).collect();
        // Those that most packets go to first, then any.
        nets.sort_by_cached_key(|net| (std::cmp::Reverse(packets(net)), *net));
        let is_alone = |net: &&IpNet| !nets.iter().any(|other| other != *net && (other.contains(*net) || net.contains(other)));
        let step = (nets.len() / RANGES).max(1);
        let chosen: Vec<IpNet> = nets.iter().step_by(step).filter(is_alone).take(RANGES).copied().collect();
        let mut ranges: Vec<HashMap<&'static str, Keys>> = chosen.iter().map(|_| HashMap::new()).collect();
        let mut reader = Reader::open(&capture.pcap).expect("a capture");
        while let Some(frame) = reader.next_frame().expect("a frame") {
            let Some(packet) = Packet::read(frame.bytes, frame.wire_bytes) else { continue };
            let Some(at) = chosen.iter().position(|net| net.contains(&packet.to)) else { continue };
            let adds = packet.adds();
            for (key, number) in packet.keys() {
                let sums = ranges[at].entry(key).or_default().entry(number).or_default();
                sums[usize::from(packet.is_blocked)].iter_mut().zip(adds).for_each(|(sum, more)| *sum += more);
            }
        }
        Self(chosen.iter().map(IpNet::to_string).zip(ranges).collect())
    }

    /// Whether a report is looked at whole.
    pub(crate) fn has(&self, prefix: &str) -> bool {
        self.0.contains_key(prefix)
    }

    /// How many ranges there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Compares a report with what the capture has, if its window held that `loops` times and once in part.
    pub(crate) fn compare(&self, prefix: &str, report: &Value, loops: u64, found: &mut Found) {
        let Some(keys) = self.0.get(prefix) else { return };
        for stat in report["stats"].as_array().into_iter().flatten() {
            // A part of the packets, of which the model knows nothing.
            if stat["name"].as_str().is_some_and(|name| name.starts_with(PART)) {
                continue;
            }
            let before = found.wrong.len();
            let none = Keys::new();
            let key = stat["key"].as_str().unwrap_or_default();
            Said { stat, key, of_key: keys.get(key).unwrap_or(&none), loops }.compare(found);
            if found.wrong.len() > before {
                writeln!(found.wrong, "so says {prefix}, {}", stat["name"]).expect("memory");
            }
        }
    }
}

/// A stat of a report, and what the capture has of its key.
struct Said<'a> {
    stat: &'a Value,
    key: &'a str,
    of_key: &'a Keys,
    loops: u64,
}

impl Said<'_> {
    fn compare(&self, found: &mut Found) {
        let stat = self.stat;
        match stat["calculation"].as_str().unwrap_or_default() {
            "sum" => self.holds(&stat["total"], self.of(|_| true), found),
            "histogram" => self.histogram(found),
            "topk" => self.list(found),
            "distinct" => self.distinct(found),
            other => writeln!(found.wrong, "nobody knows here what {other} should say").expect("memory"),
        }
    }

    /// What packets add up to by the stat's metric and decision; a sampled one stands for others.
    fn sum<'b>(&self, sums: impl Iterator<Item = &'b Sums>) -> u64 {
        let Some(metric) = METRICS.iter().position(|metric| self.stat["metric"] == *metric) else { return 0 };
        let [passed, blocked] = sums
            .fold([0, 0], |[passed, blocked], sums| [passed + u64::from(sums[0][metric]), blocked + u64::from(sums[1][metric]) * SAMPLING]);
        match self.stat["decision"].as_str() {
            Some("passed") => passed,
            Some("blocked") => blocked,
            _ => passed + blocked,
        }
    }

    /// Likewise those of some keys.
    fn of(&self, wanted: impl Fn(u64) -> bool) -> u64 {
        self.sum(self.of_key.iter().filter(|(number, _)| wanted(**number)).map(|(_, sums)| sums))
    }

    /// Likewise those of one key; of a text that is none nothing.
    fn of_text(&self, text: &str) -> u64 {
        self.sum(packet::number(self.key, text).and_then(|number| self.of_key.get(&number)).into_iter())
    }

    /// A figure's interval has something of what packets came to: each was seen `loops` times, or once more. Of sampled ones
    /// the interval is around what those that were seen stand for.
    fn holds(&self, estimate: &Value, truth: u64, found: &mut Found) {
        found.figures += 1;
        let (least, most) = ((self.loops * truth) as f64, ((self.loops + 1) * truth) as f64);
        let [low, high] = ["low", "high"].map(|end| estimate[end].as_f64());
        if low.is_none_or(|low| low > most) || high.is_some_and(|high| high < least) {
            writeln!(found.wrong, "{estimate}; in the capture it is {truth}, {} times and once in part", self.loops).expect("memory");
        }
    }

    fn histogram(&self, found: &mut Found) {
        let bins = self.stat["histogram"]["bins"].as_array().map_or(&[][..], Vec::as_slice);
        let mut labels = 0;
        for bin in bins {
            let truth = if let Some(label) = bin["label"].as_str() {
                labels += 1;
                self.of_text(label)
            } else {
                let [low, high] = ["low", "high"].map(|end| bin[end].as_f64());
                self.of(|number| low.is_none_or(|low| low <= number as f64) && high.is_none_or(|high| (number as f64) < high))
            };
            self.holds(&bin["value"], truth, found);
        }
        let wanted = if labels > 0 { self.of_key.len() } else { self.of_key.len().min(1) };
        if bins.len() < wanted {
            writeln!(found.wrong, "has {} bins for {} keys", bins.len(), self.of_key.len()).expect("memory");
        }
    }

    fn list(&self, found: &mut Found) {
        let entries = self.stat["top"]["entries"].as_array().map_or(&[][..], Vec::as_slice);
        for entry in entries {
            self.holds(&entry["value"], self.of_text(entry["key"].as_str().unwrap_or_default()), found);
        }
        let distinct = self.of_key.len();
        if entries.len() < distinct.min(K) {
            writeln!(found.wrong, "lists {} of {distinct} keys", entries.len()).expect("memory");
        }
    }

    /// Of what was sampled the low end is of the keys that the sample has, as the model's are.
    fn distinct(&self, found: &mut Found) {
        let truth = self.of_key.len() as f64;
        let [low, high] = ["low", "high"].map(|end| self.stat["distinct"]["value"][end].as_f64());
        found.figures += 1;
        found.distinct += 1;
        found.missed += usize::from(low.is_none_or(|low| low > truth) || high.is_some_and(|high| high < truth));
    }
}

impl Found {
    /// What is wrong, if anything is.
    pub(crate) fn fault(&self) -> Option<String> {
        let all = self.distinct as f64;
        let most = MISSED * all + SPREADS * (MISSED * (1.0 - MISSED) * all).sqrt();
        let missed = (self.missed as f64 > most)
            .then(|| format!("{} of {} intervals of distinct keys do not hold the truth\n", self.missed, self.distinct));
        let wrong = self.wrong.clone() + &missed.unwrap_or_default();
        (!wrong.is_empty()).then_some(wrong)
    }
}
