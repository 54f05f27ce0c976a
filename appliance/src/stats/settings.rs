//! A calculation's own settings, read out of a stat's row.

use std::ops::RangeInclusive;

use crate::config::{Refusal, Setting, StatSpec};

/// Refuses settings that the calculation does not have.
pub fn only(spec: &StatSpec, known: &[&str]) -> Result<(), Refusal> {
    let Some((name, _)) = spec.settings.iter().find(|(name, _)| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    let has = if known.is_empty() { "no settings of its own".to_owned() } else { format!("these settings: {}", known.join(", ")) };
    Err(refusal(name, format!("unknown key; `{}` has {has}", spec.calculation)))
}

/// A whole number within bounds.
pub fn integer(spec: &StatSpec, name: &str, default: u64, bounds: RangeInclusive<u64>) -> Result<u64, Refusal> {
    let asked = || refusal(name, format!("must be a whole number from {} to {}", bounds.start(), bounds.end()));
    match get(spec, name) {
        None => Ok(default),
        Some(Setting::Integer(n)) => u64::try_from(*n).ok().filter(|n| bounds.contains(n)).ok_or_else(asked),
        Some(_) => Err(asked()),
    }
}

/// Ascending shares from 0 to 1, at most `max` of them.
#[allow(clippy::cast_precision_loss, reason = "only 0 and 1 are right")]
pub fn shares(spec: &StatSpec, name: &str, max: usize) -> Result<Option<Vec<f64>>, Refusal> {
    let asked = || refusal(name, format!("must be a list of 1 to {max} numbers from 0 to 1, each larger than the one before"));
    let shares: Vec<f64> = match get(spec, name) {
        None => return Ok(None),
        Some(Setting::Floats(list)) => list.clone(),
        Some(Setting::Integers(list)) => list.iter().map(|n| *n as f64).collect(),
        Some(_) => return Err(asked()),
    };
    let within = shares.iter().all(|share| (0.0..=1.0).contains(share));
    let ascending = shares.windows(2).all(|pair| pair[0] < pair[1]);
    if within && ascending && (1..=max).contains(&shares.len()) { Ok(Some(shares)) } else { Err(asked()) }
}

/// Names, one or a list: at most `max`.
pub fn names(spec: &StatSpec, name: &str, max: usize) -> Result<Option<Vec<String>>, Refusal> {
    let asked = || refusal(name, format!("must be a name or a list of 1 to {max}"));
    match get(spec, name) {
        None => Ok(None),
        Some(Setting::Text(text)) => Ok(Some(vec![text.clone()])),
        Some(Setting::Texts(list)) if (1..=max).contains(&list.len()) => Ok(Some(list.clone())),
        Some(_) => Err(asked()),
    }
}

/// A refusal of one key.
pub fn refusal(key: &str, message: impl Into<String>) -> Refusal {
    Refusal { key: key.to_owned(), message: message.into() }
}

fn get<'a>(spec: &'a StatSpec, name: &str) -> Option<&'a Setting> {
    spec.settings.iter().find(|(n, _)| n == name).map(|(_, setting)| setting)
}
