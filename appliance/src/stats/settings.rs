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

/// A refusal of one key.
pub fn refusal(key: &str, message: impl Into<String>) -> Refusal {
    Refusal { key: key.to_owned(), message: message.into() }
}

fn get<'a>(spec: &'a StatSpec, name: &str) -> Option<&'a Setting> {
    spec.settings.iter().find(|(n, _)| n == name).map(|(_, setting)| setting)
}
