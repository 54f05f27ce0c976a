//! `where` of flows: keys as those of stats, and fields of the message under their own names.

use std::net::IpAddr;

use ipnet::IpNet;

use super::fault::any_of;
use super::predicate::{self, Span};
use super::walk::{Field, Section};
use crate::axes::flow::Source;
use crate::axes::flow_field::{FLOW_FIELDS, FlowField, FlowKind, named};
use crate::axes::key::{KEYS, Key};

/// What a flow must be: every test, with any of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowPredicate {
    /// None: all flows.
    pub tests: Vec<FlowTest>,
}

/// One key or field, and the values that it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowTest {
    /// What is looked at.
    pub of: FlowOf,
    /// What it may be.
    pub among: Among,
}

/// What of a flow is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowOf {
    /// What packets have too.
    Key(Key),
    /// A field of the message.
    Field(&'static FlowField),
    /// `sampler_address`, or `exporter_address`.
    Exporter,
    /// The customer of either side, by name.
    Customer,
    /// The AS of either side.
    Asn,
    /// The country of either side.
    Country,
    /// The interface that it came in by, or that it left by, with its exporter: a link.
    Link,
}

/// Values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Among {
    /// Bytes of a key, of IPv4 and of IPv6.
    Spans(Vec<Span>, Vec<Span>),
    /// Numbers, both ends within.
    Numbers(Vec<(u64, u64)>),
    /// Words or texts.
    Texts(Vec<String>),
    /// Addresses.
    Networks(Vec<IpNet>),
    /// Exporters, and the numbers that they give interfaces.
    Interfaces(Vec<(IpAddr, u32)>),
}

/// Whether a key of stats of flows is asked by the bytes that a row of theirs would have; others are fields, or have names for several.
pub(crate) const fn is_asked(key: Key) -> bool {
    let is_other = matches!(key, Key::None | Key::Link | Key::Exporter | Key::InIf | Key::OutIf) || key.is_looked_up();
    Source::Flows.has_key(key) && !is_other
}

/// Names that stand for several fields, and what their values are.
const EITHER: [(&str, FlowOf, FlowKind); 4] = [
    ("exporter", FlowOf::Exporter, FlowKind::Address),
    ("customer", FlowOf::Customer, FlowKind::Text),
    ("asn", FlowOf::Asn, FlowKind::Number),
    ("country", FlowOf::Country, FlowKind::Text),
];

/// Keys of stats that fields have other names for.
const ALSO: [(&str, &str); 2] = [("src_asn", "src_as"), ("dst_asn", "dst_as")];

/// `where = { … }`; faults are noted.
pub(super) fn read(section: Section<'_, '_>) -> FlowPredicate {
    let mut predicate = FlowPredicate::default();
    let before = section.book().count();
    for key in KEYS.iter().map(|row| row.key).filter(|key| is_asked(*key)) {
        if let Some(field) = section.take(key.row().name) {
            let test = predicate::test(section.book(), key, field);
            predicate.tests.extend(test.map(|test| FlowTest { of: FlowOf::Key(key), among: Among::Spans(test.v4, test.v6) }));
        }
    }
    predicate.tests.extend(section.take(Key::Link.row().name).and_then(links));
    for (name, of, kind) in EITHER {
        predicate.tests.extend(section.take(name).and_then(|field| values(of, kind, field)));
    }
    for (name, field) in ALSO {
        let row = named(field).zip(section.take(name));
        predicate.tests.extend(row.and_then(|(row, field)| values(FlowOf::Field(row), row.kind, field)));
    }
    let known = section.known();
    for row in FLOW_FIELDS.iter().filter(|row| !known.contains(&row.name)) {
        predicate.tests.extend(section.take(row.name).and_then(|field| values(FlowOf::Field(row), row.kind, field)));
    }
    let known = section.known();
    for row in KEYS.iter().filter(|row| row.key != Key::None && !known.contains(&row.name)) {
        if section.has(row.name) {
            section.fault(
                row.name,
                "is no key of flows: exporters do not tell it",
                "remove it; docs/configuration.md lists those that are",
            );
            section.forget([row.name]);
        }
    }
    let (at, book) = (section.at.clone(), section.book());
    section.close();
    if predicate.tests.is_empty() && book.count() == before {
        book.fault(&at, "is empty", "give a key and its values, such as { protocol = \"udp\", src_port = [53] }");
    }
    predicate
}

fn values(of: FlowOf, kind: FlowKind, field: Field<'_, '_>) -> Option<FlowTest> {
    let (at, book) = (field.at.clone(), field.book());
    let rows = field.one_or_many()?;
    if rows.is_empty() {
        book.fault(&at, "is empty: no flow could have it", "give one value at least, or remove the key");
    }
    let among = match kind {
        FlowKind::Number | FlowKind::Numbers => Among::Numbers(rows.iter().filter_map(numbers).collect()),
        FlowKind::Mac => Among::Numbers(rows.iter().filter_map(mac).collect()),
        FlowKind::Address | FlowKind::Addresses => Among::Networks(rows.iter().filter_map(network).collect()),
        _ => Among::Texts(rows.iter().filter_map(|row| text(of, row)).collect()),
    };
    Some(FlowTest { of, among })
}

/// A text; of a field that holds one of a few words, one of these.
fn text(of: FlowOf, field: &Field<'_, '_>) -> Option<String> {
    if let FlowOf::Field(row) = of
        && let Some(words) = row.words()
    {
        let words: Vec<_> = words.iter().map(|word| (*word, *word)).collect();
        return field.choice(&words).map(str::to_owned);
    }
    field.text("\"acme\"").map(str::to_owned)
}

/// Links by their names: the interfaces by which flows come or go.
fn links(field: Field<'_, '_>) -> Option<FlowTest> {
    let (at, book) = (field.at.clone(), field.book());
    let rows = field.one_or_many()?;
    if rows.is_empty() {
        book.fault(&at, "is empty: no flow could have it", "give one value at least, or remove the key");
    }
    Some(FlowTest { of: FlowOf::Link, among: Among::Interfaces(rows.iter().filter_map(interface).collect()) })
}

fn interface(field: &Field<'_, '_>) -> Option<(IpAddr, u32)> {
    let name = field.text("\"transit-a\"")?;
    let found = predicate::known_link(field.book(), field, name)?;
    if found.is_none() {
        field.fault(format!("no flow comes by the link `{name}`"), "give its row of [[links]] exporter and if_index, or name another");
    }
    found
}

/// A number, or `"64..128"`: from 64 on and below 128; either end may be left out.
fn numbers(field: &Field<'_, '_>) -> Option<(u64, u64)> {
    let Some(text) = field.as_text() else {
        let number = field.integer(&(0..=i64::MAX.unsigned_abs()))?;
        return Some((number, number));
    };
    let end = |text: &str, open: u64| if text.is_empty() { Some(open) } else { text.parse::<u64>().ok() };
    let ends = text.split_once("..").filter(|ends| *ends != ("", ""));
    let ends = ends.and_then(|(low, high)| Some((end(low.trim(), 0)?, high.trim(), end(high.trim(), u64::MAX)?)));
    match ends {
        Some((low, "", high)) => Some((low, high)),
        Some((low, _, high)) if low < high => Some((low, high - 1)),
        Some(_) => {
            field.fault(
                format!("\"{text}\" is an empty range"),
                "write the lower end first; the upper end is not within: \"64..128\" ends with 127",
            );
            None
        }
        None => {
            field.fault(format!("\"{text}\" is no range"), "write a whole number, or a range such as \"64..128\", \"1024..\" or \"..64\"");
            None
        }
    }
}

fn mac(field: &Field<'_, '_>) -> Option<(u64, u64)> {
    let text = field.text("\"02:00:5e:10:00:01\"")?;
    let found = crate::axes::value::mac(text).map(|bytes| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
    if found.is_none() {
        field.fault(format!("\"{text}\" is no MAC"), "write six bytes in hex, such as \"02:00:5e:10:00:01\"");
    }
    found.map(|number| (number, number))
}

fn network(field: &Field<'_, '_>) -> Option<IpNet> {
    let text = field.text("\"192.0.2.1\"")?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.into());
    }
    match super::ranges::prefix(text) {
        Ok(network) => Some(network),
        Err((what, remedy)) => {
            field.fault(what, remedy);
            None
        }
    }
}

/// The fields of that name that are one value, for whoever names another.
pub(super) fn field(field: &Field<'_, '_>, text: &str) -> Option<&'static FlowField> {
    let found = named(text);
    if found.is_none() {
        let near = super::fault::near(text, FLOW_FIELDS.iter().map(|row| row.name));
        let meant = near.map_or_else(String::new, |near| format!("did you mean \"{near}\"? "));
        field.fault(format!("there is no field \"{text}\""), format!("{meant}proto/flowpb/flow.proto lists them"));
    }
    found
}

/// Fields that a list names.
pub(super) fn fields(list: Vec<Field<'_, '_>>) -> Vec<&'static FlowField> {
    list.iter().filter_map(|name| field(name, name.text("\"src_addr\"")?)).collect()
}

/// Names of fields of addresses, for a remedy.
pub(super) fn names() -> String {
    any_of(FLOW_FIELDS.iter().filter(|row| row.kind.is_address()).map(|row| row.name))
}
