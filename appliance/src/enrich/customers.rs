//! Customers by prefix: the appliance's own ranges, or a file of numbers.

use std::path::Path;

use serde_json::{Map, Value};

use super::csv::{self, Header};
use super::prefixes::{Prefixes, Reading};
use super::wrong::{Wrong, number, prefix};
use crate::config::{Faults, Range, read_text};
use crate::flows::Text;

/// A customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Customer {
    /// Number; 0: it has none.
    pub(super) cid: u32,
    /// Name; empty: it has none.
    pub(super) name: Text,
}

/// Label of a range that holds its customer's number.
const LABEL: &str = "cid";
const JSON: &str = "write [{\"prefix\": \"203.0.113.0/24\", \"cid\": 7, \"customer\": \"acme\"}], or {\"203.0.113.0/24\": 7}";

/// The ranges that stand in no domain: the label `cid` is the number, else a customer's name that is one.
pub(super) fn of_ranges(ranges: &[Range]) -> Prefixes<Customer> {
    let own: Vec<&Range> = ranges.iter().filter(|range| range.domain.is_none()).collect();
    let label = |range: &Range| range.labels.iter().find(|(name, _)| name == LABEL).map(|(_, value)| value.clone());
    let customer = |range: &&Range| {
        let cid = label(range).and_then(|label| label.parse().ok()).or_else(|| range.customer.parse().ok());
        Customer { cid: cid.unwrap_or(0), name: Text::from(&range.customer[..]) }
    };
    Prefixes::new((0..).zip(own.iter().map(|range| range.prefix)).collect(), own.iter().map(customer).collect())
}

/// Reads `prefix,cid[,customer]`, or JSON by the file's ending.
///
/// # Errors
/// All that is wrong in it.
pub(super) fn load(file: &Path) -> Result<Prefixes<Customer>, Faults> {
    let mut reading = Reading::default();
    if file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json")) {
        return json(file, reading);
    }
    let header = Header { required: &["prefix", "cid"], optional: &["customer"] };
    csv::read(file, &header, &mut |line, fields| {
        let [net, cid, name] = *fields else { return Ok(()) };
        reading.add(line, prefix("prefix", net)?, Customer { cid: number("cid", cid, "7")?, name: Text::from(name) })
    })?;
    Ok(reading.done())
}

/// An array of objects, or an object of numbers.
fn json(file: &Path, mut reading: Reading<Customer>) -> Result<Prefixes<Customer>, Faults> {
    let text = read_text(file)?;
    let value: Value = serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(&text))
        .map_err(|fault| Wrong::of("", format!("is no JSON: {fault}"), JSON).only(file, fault.line()))?;
    let mut faults = Faults::default();
    match &value {
        Value::Object(rows) => {
            for (net, cid) in rows {
                put(file, &text, &mut reading, &mut faults, net, of_number(cid));
            }
        }
        Value::Array(rows) => {
            for row in rows {
                let Some(row) = row.as_object() else {
                    return Err(Wrong::of("", "holds what is no object", JSON).only(file, 0));
                };
                put(file, &text, &mut reading, &mut faults, row.get("prefix").and_then(Value::as_str).unwrap_or(""), of_object(row));
            }
        }
        _ => return Err(Wrong::of("", "is neither an array nor an object", JSON).only(file, 1)),
    }
    faults.or(reading.done())
}

/// One row; its line is where its prefix is first named.
fn put(file: &Path, text: &str, reading: &mut Reading<Customer>, faults: &mut Faults, net: &str, row: Result<Customer, Wrong>) {
    let line = text.find(&format!("\"{net}\"")).map_or(0, |at| 1 + text[..at].matches('\n').count());
    let added = row.and_then(|row| reading.add(line, prefix("prefix", net)?, row));
    if let Err(wrong) = added {
        faults.add(wrong.at(file, line));
    }
}

fn of_number(value: &Value) -> Result<Customer, Wrong> {
    let cid = value.as_u64().and_then(|cid| u32::try_from(cid).ok());
    let cid = cid.ok_or_else(|| Wrong::of("cid", format!("{value} is no number that fits"), "write one such as 7"))?;
    Ok(Customer { cid, name: Text::NONE })
}

fn of_object(row: &Map<String, Value>) -> Result<Customer, Wrong> {
    if let Some(strange) = row.keys().find(|key| !["prefix", "cid", "customer"].contains(&&key[..])) {
        return Err(Wrong::of(strange, "is no key of a customer", JSON));
    }
    let name = match row.get("customer") {
        None | Some(Value::Null) => Text::NONE,
        Some(Value::String(name)) => Text::from(&name[..]),
        Some(_) => return Err(Wrong::of("customer", "is no text", JSON)),
    };
    Ok(Customer { name, ..of_number(row.get("cid").unwrap_or(&Value::Null))? })
}
