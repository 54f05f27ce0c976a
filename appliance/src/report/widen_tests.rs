use super::*;
use crate::stats::figure::{Basis, Confidence, DistinctSketch, Shown, TopEntry};
use crate::stats::interval::estimate;

fn question(weight_max: u32, random: bool) -> Question {
    Question { weight_max, value_max: 1, random, twins: false }
}

fn widened(mut figure: Figure, gap: Gap, value_max: u64, question: &Question) -> Figure {
    widen(&mut figure, &Missing { gap, value_max, question });
    figure
}

fn total(sum: Weighted, question: &Question) -> Figure {
    Figure::Total(estimate(&sum, question), Some(sum))
}

fn bounds(figure: &Figure) -> (f64, f64, Option<f64>, Basis, Confidence) {
    let Figure::Total(e, _) = figure else { panic!("{figure:?}") };
    (e.value, e.low, e.high, e.basis, e.confidence)
}

#[test]
fn an_exact_sum_is_no_longer_exact_at_its_upper_end() {
    let question = question(1, true);
    let sum = Weighted { passed: 100, ..Weighted::default() };
    let have = |gap, value_max| bounds(&widened(total(sum, &question), gap, value_max, &question));
    assert_eq!(have(Gap::AtMost(7), 1), (100.0, 100.0, Some(107.0), Basis::Exact, Confidence::Sure));
    assert_eq!(have(Gap::AtMost(7), 9_728).2, Some(100.0 + 7.0 * 9_728.0));
    assert_eq!(have(Gap::Unbounded, 1), (100.0, 100.0, None, Basis::Exact, Confidence::Sure));
    assert_eq!(have(Gap::AtMost(u64::MAX), u64::MAX).2, Some(100.0 + u64::MAX as f64));
}

/// Garwood's upper end over what was seen and what was lost, not over what was seen alone.
#[test]
fn a_sampled_sum_is_widened_as_a_sample() {
    let (q, lost) = (question(40, true), 25);
    let sum = |n: u64| Weighted {
        sampled_packets: n,
        scaled: 40 * n,
        seen: n,
        variance: u128::from(40 * 39 * n),
        largest: 40,
        ..Weighted::default()
    };
    let whole = bounds(&total(sum(10 + lost), &q)).2.unwrap();
    let have = bounds(&widened(total(sum(10), &q), Gap::AtMost(lost), 1, &q));
    assert!(have.2.unwrap() >= whole * 0.999, "{have:?}, not {whole}");
    assert_eq!(have.1, bounds(&total(sum(10), &q)).1);
    let unproven = question(40, false);
    assert_eq!(bounds(&widened(total(sum(10), &unproven), Gap::AtMost(1), 1, &unproven)).2, None);
}

#[test]
fn counts_of_keys_and_lists_are_widened() {
    let q = question(1, true);
    let flows = Figure::Total(Estimate::exact(5.0), None);
    assert_eq!(bounds(&widened(flows.clone(), Gap::AtMost(3), 1_518, &q)).2, Some(8.0));
    assert_eq!(bounds(&widened(flows, Gap::Unbounded, 1, &q)).2, None);
    let sum = |n: u64| Weighted { passed: n, ..Weighted::default() };
    let entry = |n: u64| TopEntry { key: n.to_string(), value: estimate(&sum(n), &q), sufficient: sum(n), unseen: Unseen::default() };
    let (all, entries) = (sum(20), vec![entry(12), entry(5)]);
    let absent = Unseen { passed: 2, ..Unseen::default() };
    let top = Top {
        entries,
        reserve: vec![entry(2)],
        coverage: 0.85,
        all: estimate(&all, &q),
        all_sufficient: all,
        absent,
        thinned: 1,
        shed: 1,
        short: false,
    };
    assert_eq!(super::super::order::proven(&top, &q), 2);
    let Figure::Top(some) = widened(Figure::Top(top.clone()), Gap::AtMost(3), 1, &q) else { panic!() };
    assert_eq!((some.all.high, some.absent.passed, some.entries[0].unseen.passed), (Some(23.0), 5, 3));
    assert_eq!((some.entries[1].value.low, some.entries[1].value.high, some.reserve[0].value.high), (5.0, Some(8.0), Some(5.0)));
    assert_eq!(super::super::order::proven(&some, &q), 1, "5 to 8 is not above 5");
    let Figure::Top(none) = widened(Figure::Top(top), Gap::Unbounded, 1, &q) else { panic!() };
    assert_eq!((none.all.high, none.absent.passed, none.entries[0].value.high), (None, u64::MAX, None));
    assert_eq!(super::super::order::proven(&none, &q), 0);
}

/// As if each lost packet had been seen, of a key of its own.
#[test]
fn sampled_keys_are_widened_as_a_sample() {
    let q = question(40, true);
    let of = |keys: u64| {
        let shown = Shown { level: 0, keys: (1..=keys).map(|hash| (hash, 40)).collect(), short: false };
        let high = once::missed(&shown, &q, 0).map(|missed| missed + keys as f64);
        let value = Estimate { value: keys as f64, low: keys as f64, high, basis: Basis::Sampled, confidence: Confidence::P95 };
        let sketch = DistinctSketch::Hashes((1..=keys).collect());
        Figure::Distinct(Distinct { value, sketch, sampled_packets: keys, shown: Some(shown) })
    };
    let high = |figure: Figure| if let Figure::Distinct(of) = figure { of.value.high } else { panic!("{figure:?}") };
    assert_eq!(high(widened(of(10), Gap::AtMost(25), 1, &q)), high(of(35)));
    assert_eq!(high(widened(of(10), Gap::Unbounded, 1, &q)), None);
    // Of flows nobody knows which were seen once.
    let flows = Figure::Total(Estimate { high: Some(90.0), ..Estimate::exact(5.0) }, None);
    assert_eq!(bounds(&widened(flows.clone(), Gap::AtMost(1), 1, &q)).2, None);
    assert_eq!(bounds(&widened(flows, Gap::AtMost(0), 1, &q)).2, Some(90.0));
}
