//! Rows of `peak`, `quantiles`, `fanout`, `entropy` and `new_keys`, drawn at random.

use super::dice::Dice;
use super::setup::{METRICS, More, NUMBERS, Row, Setup, composite, row};

pub(super) fn peak(dice: &mut Dice, n: usize, (window_ms, fast_ms): (u64, u64)) -> Row {
    let keys = if dice.one_in(3) { vec![dice.of(&NUMBERS)] } else { Vec::new() };
    let row = Row { name: format!("peak{n}"), calculation: "peak", keys, bins: None, metric: dice.of(&METRICS), ..row(dice, 0) };
    let shortest = if row.fast { fast_ms } else { window_ms };
    let fits = |ms: &u64| shortest.is_multiple_of(*ms) && window_ms / ms <= 1_024;
    let own = [1, 7, 50, 250, 60_000].into_iter().filter(fits).collect::<Vec<_>>();
    let sub_window_ms = (!own.is_empty() && dice.one_in(2)).then(|| dice.of(&own));
    Row { more: More { sub_window_ms, ..More::default() }, ..row }
}

pub(super) fn quantiles(dice: &mut Dice, n: usize) -> Row {
    let ranks = dice.one_in(2).then(|| vec![0.0, 0.25, 0.5, 0.999, 1.0]);
    let (keys, metric) = (vec![dice.of(&NUMBERS)], dice.of(&["packets", "packets", "connections_opened", "resets"]));
    let more = More { ranks, ..More::default() };
    Row { name: format!("quantiles{n}"), calculation: "quantiles", keys, bins: None, metric, more, ..row(dice, 0) }
}

pub(super) fn fanout(dice: &mut Dice, n: usize) -> Row {
    let (keys, of): (&[&str], &[&str]) = dice.of(&[
        (&["src_ip"][..], &[][..]),
        (&["dst_prefix"], &[]),
        (&["src_ip"], &["dst_port"]),
        (&["src_ip", "ttl"], &["dst_ip", "dst_port"]),
        (&["protocol"], &["src_ip", "ttl", "flow"]),
    ]);
    let (keys, of) = (keys.to_vec(), (!of.is_empty()).then(|| of.to_vec()));
    let more = More { of, pairs: dice.of(&[None, Some(16), Some(64)]), ..More::default() };
    Row { name: format!("fanout{n}"), calculation: "fanout", keys, bins: None, metric: "packets", more, ..row(dice, 0) }
}

pub(super) fn entropy(dice: &mut Dice, n: usize) -> Row {
    let more = More { exact: dice.of(&[None, Some(16)]), ..More::default() };
    Row {
        name: format!("entropy{n}"),
        calculation: "entropy",
        keys: composite(dice),
        bins: None,
        metric: dice.of(&METRICS),
        more,
        ..row(dice, 0)
    }
}

pub(super) fn new_keys(dice: &mut Dice, n: usize) -> Row {
    let more = More { windows: dice.of(&[None, Some(1), Some(2)]), ..More::default() };
    let metric = dice.of(&["packets", "packets", "connections_opened", "resets"]);
    Row { name: format!("new{n}"), calculation: "new_keys", keys: composite(dice), bins: None, metric, more, ..row(dice, 0) }
}

impl Row {
    /// The others of a fan-out.
    pub fn others(&self) -> Self {
        let side = if self.keys[0].starts_with("src") { "dst_ip" } else { "src_ip" };
        Self { keys: self.more.of.clone().unwrap_or_else(|| vec![side]), ..self.clone() }
    }

    /// Length of its sub-windows: as written, or the shortest from 100 ms on that divides its shortest window and makes
    /// no more than 1,024 of the longest.
    pub fn sub_ms(&self, setup: &Setup) -> u64 {
        let shortest = if self.fast { setup.fast_ms } else { setup.window_ms };
        let fits = |ms: &u64| shortest.is_multiple_of(*ms) && setup.window_ms.div_ceil(*ms) <= 1_024;
        self.more.sub_window_ms.unwrap_or_else(|| (shortest.min(100)..=shortest).find(fits).unwrap())
    }
}
