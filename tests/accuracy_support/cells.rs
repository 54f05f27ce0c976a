//! Cells of what adds up: sums, bins, entries of top-K, sub-windows of peaks.

use std::net::Ipv4Addr;

use tailwater::axes::{Key, Metric};
use tailwater::config::{Setting, StatSpec};
use tailwater::record::Record;
use tailwater::stats::figure::{BinOf, Figure, TopEntry};
use tailwater::stats::interval::estimate;
use tailwater::stats::plan::WeightBounds;
use tailwater::stats::weighted::Weighted;

use super::coverage::{Cell, Claims, Judge, Part, SIZES, truths};
use super::range::{WINDOW_NS, rate, record};

/// How the packets of one key are made: of each class, so many of this size, sampled at this rate.
pub struct Mix {
    pub name: String,
    pub metric: Metric,
    pub classes: Vec<(u64, u32, u16)>,
    pub weights: WeightBounds,
    width_max: Option<f64>,
}

/// Two rules, of 1:10 and 1:100.
pub fn two_rates() -> WeightBounds {
    WeightBounds { passed: 1, blocked: 100, random: true, rate: None }
}

/// Every mix of a key of which so many packets are expected in the sample.
pub fn mixes(expected: f64) -> Vec<Mix> {
    let sent = (40.0 * expected) as u64;
    let narrow = |from: f64, most: f64| (expected >= from).then_some(most);
    let mut mixes = Vec::new();
    let mut mix = |name: &str, metric, classes, weights, width_max| {
        mixes.push(Mix { name: name.to_owned(), metric, classes, weights, width_max });
    };
    mix("packets", Metric::Packets, vec![(sent, 64, 40)], rate(40), narrow(30.0, 1.15));
    mix("any", Metric::Packets, vec![(100, 64, 1), (sent, 64, 40)], rate(40), narrow(30.0, 1.15));
    for percent in [0, 1, 10, 50] {
        let large = sent * percent / 100;
        let name = if percent == 0 { "bytes-all-64".to_owned() } else { format!("bytes-{percent}-percent-large") };
        mix(&name, Metric::Bytes, vec![(sent - large, 64, 40), (large, 1_500, 40)], rate(40), narrow(1_000.0, 1.35));
    }
    // Half of the samples from each of two rules.
    let (few, many) = ((5.0 * expected) as u64, (50.0 * expected) as u64);
    mix("mixed-rates", Metric::Packets, vec![(few, 64, 10), (many, 64, 100)], two_rates(), narrow(1_000.0, 1.15));
    mix("mixed-rates-any-bytes", Metric::Bytes, vec![(50, 64, 1), (few, 1_500, 10), (many, 64, 100)], two_rates(), None);
    mixes
}

/// The mix for each of so many keys, whose packets come in turn.
pub fn parts(mix: &Mix, keys: u64, place: fn(u64, &mut Record)) -> Vec<Part> {
    let part = |(packets, bytes, rate): &(u64, u32, u16)| {
        let (bytes, rate) = (*bytes, *rate);
        let make = move |i: u64| {
            let mut record = record(0, bytes, rate);
            // No stat here reads it: it tells the judge which key it was.
            record.payload_bytes = (i % keys) as u32;
            place(i % keys, &mut record);
            record
        };
        Part { packets: packets * keys, rate, make: Box::new(make) }
    };
    mix.classes.iter().map(part).collect()
}

fn cell(name: &str, expected: f64, mix: Mix, (stat, shards): (StatSpec, usize), (keys, place): (u64, fn(u64, &mut Record))) -> Cell {
    let parts = parts(&mix, keys, place);
    let judge: Judge = Box::new(|_, _, _| unreachable!("replaced"));
    let spec = StatSpec { metric: mix.metric, ..stat };
    let name = format!("{name}-{}-{expected}", mix.name);
    Cell { name, spec, weights: mix.weights, shards, before: Vec::new(), parts, judge, width_max: mix.width_max }
}

/// What was seen is surely there, and low never says less.
fn seen(claims: &mut Claims, sum: &Weighted, low: f64, truth: f64) {
    let seen = (sum.passed + sum.seen) as f64;
    claims.sure(low >= seen && seen <= truth, || format!("{seen} were seen of {truth}, low {low}"));
}

pub fn sums() -> Vec<Cell> {
    let of = |expected: f64| {
        mixes(expected).into_iter().map(move |mix| {
            let mut cell = cell("sum", expected, mix, (StatSpec::new("sum", &[Key::None], Metric::Packets), 2), (1, |_, _| {}));
            let truth = truths(&cell.parts, cell.spec.metric, |_| 0)[&0];
            cell.judge = Box::new(move |figure, _, claims| {
                let Figure::Total(value, Some(sum)) = figure else { unreachable!("a sum") };
                claims.judge("", value, truth.all, truth.wald());
                seen(claims, sum, value.low, truth.all);
            });
            cell
        })
    };
    SIZES.into_iter().flat_map(of).collect()
}

const BINS: [&str; 3] = ["-first", "-second", "-third"];

/// Three bins of the same size, over numbers, over names, and over labels that are listed.
pub fn histograms() -> Vec<Cell> {
    let edges = || StatSpec::new("histogram", &[Key::Ttl], Metric::Packets).with("bins", Setting::Integers(vec![64, 128]));
    let names = || StatSpec::new("histogram", &[Key::Protocol], Metric::Packets);
    let listed = Setting::Texts(vec!["0".to_owned(), "1".to_owned()]);
    let listed = move || StatSpec::new("histogram", &[Key::Ttl], Metric::Packets).with("bins", listed.clone());
    let mut cells = Vec::new();
    for expected in SIZES {
        for i in 0..mixes(expected).len() {
            let mix = || mixes(expected).swap_remove(i);
            let ttl = |bin: u64, record: &mut Record| record.ttl = 70 * bin as u8;
            cells.push(three_bins(cell("histogram-edges", expected, mix(), (edges(), 2), (3, ttl))));
            cells.push(three_bins(cell("histogram-names", expected, mix(), (names(), 3), (3, |bin, record| record.protocol = bin as u8))));
            cells.push(three_bins(cell("histogram-listed", expected, mix(), (listed(), 1), (3, |bin, record| record.ttl = bin as u8))));
        }
    }
    cells
}

fn three_bins(mut cell: Cell) -> Cell {
    let truths = truths(&cell.parts, cell.spec.metric, |record| record.payload_bytes.into());
    cell.judge = Box::new(move |figure, question, claims| {
        let Figure::Histogram(bins) = figure else { unreachable!("a histogram") };
        let at = |of: &BinOf| match of {
            BinOf::Numbers(low, _) => (low / 64.0) as usize,
            BinOf::Label(name) if name == "other" => 2,
            BinOf::Label(name) => name.parse().unwrap(),
        };
        for (i, name) in BINS.iter().enumerate() {
            let truth = truths[&(i as u64)];
            // A name that is not listed has what nothing seen has.
            let bin = bins.iter().find(|bin| at(&bin.of) == i);
            let value = bin.map_or_else(|| estimate(&Weighted::default(), question), |bin| bin.value);
            claims.judge(name, &value, truth.all, truth.wald());
            seen(claims, &bin.map_or_else(Weighted::default, |bin| bin.sufficient), value.low, truth.all);
        }
    });
    cell
}

fn source(key: u64, record: &mut Record) {
    record.src[..4].copy_from_slice(&(0x0A00_0000 + key as u32).to_be_bytes());
}

/// A dozen keys, which a table holds exactly; the same among sources that come once, which it does not; and equal bots.
pub fn tops() -> Vec<Cell> {
    let stat = || StatSpec::new("topk", &[Key::SrcIp], Metric::Packets);
    let mut cells = Vec::new();
    for (at, expected) in SIZES.into_iter().enumerate() {
        let keys = if expected > 100.0 { 5 } else { 12 };
        for (i, mix) in mixes(expected).into_iter().enumerate() {
            cells.push(all_entries(cell("topk-few", expected, mix, (stat(), 1 + i % 3), (keys, source))));
        }
        for (i, mix) in mixes(expected).into_iter().enumerate() {
            let (weights, random) = (mix.weights, Part { packets: 20_000, rate: 40, make: Box::new(|i| of_source(0xC000_0000 + i)) });
            let mut cell = cell("topk-spoofed", expected, mix, (stat(), 1 + i % 2), (keys, source));
            if weights.rate.is_none() {
                cell.parts.push(Part { packets: 50_000, rate: 100, make: Box::new(|i| record(0xC000_0000 + i as u32, 64, 100)) });
            } else {
                cell.parts.push(random);
            }
            cells.push(all_entries(cell));
        }
        // What the sample shows of these few says little of how many there are.
        for (i, packets) in [1, 2, 3, 6].into_iter().enumerate().filter(|(i, _)| *i == at) {
            let mix = Mix { classes: vec![(packets, 64, 40)], ..mixes(0.5).swap_remove(0) };
            let keys = [30, 300, 100, 300][i];
            let name = format!("topk-{keys}-keys-of-{packets}");
            cells.push(Cell { name, ..all_entries(cell("", expected, mix, (stat(), 1 + i % 2), (keys, source))) });
        }
        // At a thousand each, the dozen among spoofed ones stands for them.
        let bots = [10_000, 10_000, 5_000, 2_000, 600, 200, 0][at];
        for (i, mix) in mixes(expected).into_iter().enumerate().filter(|(i, _)| [0, 4].contains(i) && bots > 0) {
            let bots = if i == 0 { bots } else { bots.min(1_000) };
            cells.push(all_entries(cell("topk-bots", expected, mix, (stat(), 1 + i), (bots, source))));
        }
    }
    cells
}

fn of_source(src: u64) -> Record {
    record(src as u32, 64, 40)
}

/// Each listed entry, and all of a window together.
fn all_entries(mut cell: Cell) -> Cell {
    // Of the largest of many no interval is as narrow as Wald's.
    cell.width_max = None;
    let number = |record: &Record| u64::from(u32::from_be_bytes([record.src[0], record.src[1], record.src[2], record.src[3]]));
    let truths = truths(&cell.parts, cell.spec.metric, number);
    cell.judge = Box::new(move |figure, _, claims| {
        let Figure::Top(top) = figure else { unreachable!("a top-K") };
        let mut missed = (false, false);
        let entry = |e: &TopEntry| {
            let truth = truths[&u64::from(u32::from(e.key.parse::<Ipv4Addr>().unwrap()))];
            // A source that comes once has no width to speak of.
            let wald = if truth.all > 1_500.0 { truth.wald() } else { 0.0 };
            let (low, high) = claims.judge("-each", &e.value, truth.all, wald);
            missed = (missed.0 || low, missed.1 || high);
            seen(claims, &e.sufficient, e.value.low, truth.all);
        };
        top.entries.iter().chain(&top.reserve).for_each(entry);
        claims.verdict("-together", missed);
    });
    cell
}

/// An even flow, whose busiest sub-window is chance alone, and a pulse of ten times the rest.
pub fn peaks() -> Vec<Cell> {
    let stat = |ms| StatSpec::new("peak", &[Key::None], Metric::Packets).with("sub_window_ms", Setting::Integer(ms));
    let tenth = |key: u64, record: &mut Record| record.time_ns = key * WINDOW_NS / 10 + 7;
    let pulse = |key: u64, record: &mut Record| record.time_ns = key.saturating_sub(9) * WINDOW_NS / 10 + 7;
    let hundredth = |key: u64, record: &mut Record| record.time_ns = key * WINDOW_NS / 100 + 7;
    let mut cells = Vec::new();
    for expected in SIZES {
        for (i, mix) in mixes(expected).into_iter().enumerate() {
            cells.push(busiest(cell("peak-even-10", expected, mix, (stat(1_000), 1 + i % 3), (10, tenth)), 1.0));
        }
        for (i, mix) in mixes(expected).into_iter().enumerate().filter(|(i, _)| [0, 4].contains(i) && expected <= 100.0) {
            cells.push(busiest(cell("peak-even-100", expected, mix, (stat(100), 1 + i % 3), (100, hundredth)), 10.0));
        }
        for (i, mut mix) in mixes(expected).into_iter().enumerate() {
            mix.classes.iter_mut().for_each(|(packets, ..)| *packets = (*packets / 10).max(u64::from(*packets > 0)));
            cells.push(busiest(cell("peak-pulse", expected, mix, (stat(1_000), 1 + i % 3), (19, pulse)), 1.0));
        }
    }
    cells
}

fn busiest(mut cell: Cell, scale: f64) -> Cell {
    let truths = truths(&cell.parts, cell.spec.metric, |record| record.time_ns);
    let truth = truths.values().copied().max_by(|a, b| a.all.total_cmp(&b.all)).unwrap_or_default();
    cell.width_max = None;
    cell.judge = Box::new(move |figure, _, claims| {
        let Figure::Peak(peak) = figure else { unreachable!("a peak") };
        claims.judge("", &peak.rate, truth.all * scale, truth.wald() * scale);
    });
    cell
}
