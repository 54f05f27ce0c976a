//! Cells of what tells how values and keys are spread: quantiles and entropies.

use tailwater::arch::hash::spread;
use tailwater::axes::{Key, Metric};
use tailwater::config::{Setting, StatSpec};
use tailwater::record::Record;
use tailwater::stats::figure::Figure;
use tailwater::stats::plan::WeightBounds;

use super::cells::two_rates;
use super::coverage::{Cell, Judge, Part, SIZES, value};
use super::range::{rate, record};

const RANKS: [f64; 7] = [0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0];
const RANK_NAMES: [&str; 7] = ["-rank-0", "-rank-0.01", "-rank-0.1", "-rank-0.5", "-rank-0.9", "-rank-0.99", "-rank-1"];

/// Of a packet's number.
type Make = fn(u64) -> u64;

/// Their name, what weights they give, and packets and rate of each.
type Rules = (&'static str, WeightBounds, Vec<(u64, u16)>);

/// Packets by rule: passed, blocked at 1:40, or half of the samples from 1:10 and 1:100.
fn rules(expected: f64) -> Vec<Rules> {
    let n = |share: f64| (share * expected) as u64;
    vec![
        ("", rate(40), vec![(n(40.0), 40)]),
        ("-any", rate(40), vec![(200, 1), (n(40.0), 40)]),
        ("-mixed-rates", two_rates(), vec![(n(5.0), 10), (n(50.0), 100)]),
        ("-mixed-rates-any", two_rates(), vec![(200, 1), (n(5.0), 10), (n(50.0), 100)]),
    ]
}

pub fn quantiles() -> Vec<Cell> {
    let stat = || StatSpec::new("quantiles", &[Key::PacketSize], Metric::Packets).with("ranks", Setting::Floats(RANKS.to_vec()));
    let values: [(&str, Make); 4] = [
        ("wide", |x| 60 + (x % 1_000).pow(2) / 700),
        ("few", |x| [40, 52, 64, 64, 64, 100, 120, 126][(x % 8) as usize]),
        ("two", |x| if x.is_multiple_of(10) { 1_500 } else { 64 }),
        ("uniform", |x| 128 + (x % 65_536) * 20),
    ];
    let mut cells = Vec::new();
    for expected in SIZES {
        for (i, (rule, weights, classes)) in rules(expected).into_iter().enumerate() {
            for (name, make) in values {
                let part = |(packets, rate): &(u64, u16)| {
                    let rate = *rate;
                    // What passes is larger than what is blocked.
                    let of = move |i: u64| make(spread(i ^ u64::from(rate) << 40)) + if rate == 1 { 2 } else { 0 };
                    Part { packets: *packets, rate, make: Box::new(move |i| record(7, of(i) as u32, rate)) }
                };
                let parts: Vec<Part> = classes.iter().map(part).collect();
                let name = format!("quantiles-{name}{rule}-{expected}");
                let judge = quantile_judge(&parts, if i == 0 { expected } else { 0.0 });
                cells.push(Cell { name, spec: stat(), weights, shards: 1 + i, before: Vec::new(), parts, judge, width_max: None });
            }
        }
    }
    cells
}

/// Widths are measured in ranks; Wald's is 2 × 1.96·√(p(1−p)/n) (n: 0 for none).
fn quantile_judge(parts: &[Part], n: f64) -> Judge {
    let mut sorted: Vec<u32> = parts.iter().flat_map(|part| (0..part.packets).map(|i| (part.make)(i).wire_bytes)).collect();
    sorted.sort_unstable();
    let share = move |sorted: &[u32], value: f64| sorted.partition_point(|v| f64::from(*v) <= value) as f64 / sorted.len() as f64;
    Box::new(move |figure, _, claims| {
        let Figure::Quantiles(of) = figure else { unreachable!("quantiles") };
        for (i, rank) in RANKS.into_iter().enumerate() {
            let at = ((rank * sorted.len() as f64).ceil() as usize).max(1) - 1;
            // A sample without a packet claims nothing.
            let Some(quantile) = of.quantiles.get(i) else {
                claims.verdict(RANK_NAMES[i], (false, false));
                continue;
            };
            claims.judge(RANK_NAMES[i], &quantile.value, f64::from(sorted[at]), 0.0);
            let wald = if n > 0.0 { 2.0 * 1.96 * (rank * (1.0 - rank) / n).sqrt() } else { 0.0 };
            if let Some(high) = quantile.value.high {
                claims.measure(RANK_NAMES[i], share(&sorted, high) - share(&sorted, quantile.value.low - 1.0), wald);
            }
        }
    })
}

pub fn entropies() -> Vec<Cell> {
    let keys: [(&str, Make); 5] = [
        ("few", |x| x % 10),
        ("zipf", |x| zipf(x, 500.0)),
        ("once", |x| x),
        ("heavy", |x| if x.is_multiple_of(10) { x } else { 1 }),
        ("half", |x| if x.is_multiple_of(2) { x } else { x % 64 }),
    ];
    let mut cells = Vec::new();
    for (name, make) in keys {
        for expected in SIZES {
            for (rule, weights, classes) in rules(expected) {
                cells.push(entropy(&format!("{name}{rule}-{expected}"), Metric::Packets, make, (weights, &classes)));
            }
            cells.push(entropy(&format!("{name}-bytes-{expected}"), Metric::Bytes, make, (rate(40), &[((40.0 * expected) as u64, 40)])));
        }
    }
    // More keys than are held exactly: of a sample, and where all is seen.
    let many: [(&str, Make); 4] =
        [("zipf", |x| zipf(x, 20_000.0)), ("once", |x| x), ("heavy", |x| if x.is_multiple_of(3) { x } else { 1 }), ("even", |x| x % 3_000)];
    for (name, make) in many {
        cells.push(entropy(&format!("many-{name}-seen"), Metric::Packets, make, (rate(1), &[(6_000, 1)])));
        cells.push(entropy(&format!("many-{name}-bytes-seen"), Metric::Bytes, make, (rate(1), &[(6_000, 1)])));
        if name != "even" {
            cells.push(entropy(&format!("many-{name}-sampled"), Metric::Packets, make, (rate(40), &[(160_000, 40)])));
        }
    }
    cells
}

fn zipf(x: u64, n: f64) -> u64 {
    n.powf((x >> 11) as f64 / (1_u64 << 53) as f64) as u64
}

fn entropy(name: &str, metric: Metric, make: Make, (weights, classes): (WeightBounds, &[(u64, u16)])) -> Cell {
    let part = |(packets, rate): &(u64, u16)| {
        let rate = *rate;
        let of = move |i: u64| {
            let x = spread(i ^ u64::from(rate) << 40);
            record(make(x) as u32, if (x >> 7).is_multiple_of(10) { 1_500 } else { 64 }, rate)
        };
        Part { packets: *packets, rate, make: Box::new(of) }
    };
    let parts: Vec<Part> = classes.iter().map(part).collect();
    let bits = bits(&parts, metric);
    let judge: Judge = Box::new(move |figure, _, claims| {
        let Figure::Entropy(of, _) = figure else { unreachable!("an entropy") };
        claims.judge("", of, bits, 0.0);
        // In bits.
        if let Some(high) = of.high {
            claims.measure("", high - of.low, 1.0);
        }
    });
    let spec = StatSpec::new("entropy", &[Key::SrcIp], metric);
    Cell { name: format!("entropy-{name}"), spec, weights, shards: 1 + classes.len(), before: Vec::new(), parts, judge, width_max: None }
}

fn bits(parts: &[Part], metric: Metric) -> f64 {
    let mut keys: std::collections::HashMap<[u8; 16], f64> = std::collections::HashMap::new();
    for part in parts {
        let records = (0..part.packets).map(|i| (part.make)(i));
        records.for_each(|record: Record| *keys.entry(record.src).or_default() += value(metric, &record));
    }
    let all: f64 = keys.values().sum();
    keys.values().map(|n| n / all).map(|p| -p * p.log2()).sum()
}
