//! Texts by what a field holds, from CSV.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use super::csv::{self, Header};
use super::prefixes::{Prefixes, Reading};
use super::wrong::{Wrong, number, prefix};
use crate::axes::flow_field::FlowKind;
use crate::config::{Faults, Lookup};
use crate::flows::{Text, Value};

/// A table.
#[derive(Debug)]
pub(super) enum Texts {
    /// By address: the longest prefix.
    Prefixes(Prefixes<Text>),
    /// By number, MAC too.
    Numbers(HashMap<u64, Text>),
    /// By word or text.
    Words(HashMap<String, Text>),
}

const HEADER: Header<'_> = Header { required: &["key", "value"], optional: &[] };

/// Reads `key,value`; keys are what the field holds: numbers, MACs, addresses and prefixes, texts.
///
/// # Errors
/// All that is wrong in it.
pub(super) fn load(lookup: &Lookup) -> Result<Texts, Faults> {
    match lookup.by.kind {
        FlowKind::Address => addresses(&lookup.file),
        FlowKind::Number => numbers(&lookup.file, |text| number("key", text, "443")),
        FlowKind::Mac => numbers(&lookup.file, mac),
        _ => words(&lookup.file),
    }
}

fn addresses(file: &Path) -> Result<Texts, Faults> {
    let mut reading = Reading::default();
    csv::read(file, &HEADER, &mut |line, fields| {
        let [key, text] = *fields else { return Ok(()) };
        let net = match key.parse::<IpAddr>() {
            Ok(address) => address.into(),
            Err(_) => prefix("key", key)?,
        };
        reading.add(line, net, Text::from(text))
    })?;
    Ok(Texts::Prefixes(reading.done()))
}

fn numbers(file: &Path, read: impl Fn(&str) -> Result<u64, Wrong>) -> Result<Texts, Faults> {
    let mut found = HashMap::new();
    csv::read(file, &HEADER, &mut |_, fields| {
        let [key, text] = *fields else { return Ok(()) };
        once(found.insert(read(key)?, Text::from(text)), key)
    })?;
    Ok(Texts::Numbers(found))
}

fn words(file: &Path) -> Result<Texts, Faults> {
    let mut found = HashMap::new();
    csv::read(file, &HEADER, &mut |_, fields| {
        let [key, text] = *fields else { return Ok(()) };
        once(found.insert(key.to_owned(), Text::from(text)), key)
    })?;
    Ok(Texts::Words(found))
}

fn once(before: Option<Text>, key: &str) -> Result<(), Wrong> {
    match before {
        None => Ok(()),
        Some(_) => Err(Wrong::of("key", format!("{key} stands there already"), "remove one of the two")),
    }
}

fn mac(text: &str) -> Result<u64, Wrong> {
    let bytes = crate::axes::value::mac(text)
        .ok_or_else(|| Wrong::of("key", format!("\"{text}\" is no MAC"), "write six bytes in hex, such as 02:00:5e:10:00:01"))?;
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

impl Texts {
    /// The text of what a field holds.
    pub(super) fn of(&self, value: &Value<'_>) -> Option<&Text> {
        match (self, value) {
            (Self::Prefixes(prefixes), Value::Address(address)) => prefixes.of(address),
            (Self::Numbers(numbers), Value::Number(number) | Value::Mac(number)) => numbers.get(number),
            (Self::Words(words), Value::Text(text)) => words.get(*text),
            (Self::Words(words), Value::Word(word)) => words.get(*word),
            _ => None,
        }
    }
}
