//! `where`: what a packet must be for a stat, as spans of key bytes to compare with.

use std::net::IpAddr;

use super::named::Interface;
use super::walk::{Book, Field, Section};
use crate::axes::flow::Source;
use crate::axes::key::{KEYS, Key, KeySpec, Lengths};
use crate::axes::value;
use crate::limits::KEY_BYTES_MAX;
use crate::record::Record;
use crate::units::Family;

/// What a packet must be for a stat: every field that is given, any of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Predicate {
    /// In the order of [`Key`], so that predicates that ask the same are equal.
    pub tests: Vec<Test>,
}

impl Predicate {
    /// Whether a packet is so. For who asks it of few packets: stats ask whole batches.
    pub fn admits(&self, record: &Record) -> bool {
        let (family, mut bytes) = (record.family(), [0; KEY_BYTES_MAX]);
        self.tests.iter().all(|test| {
            let Some(key) = bytes.get_mut(..test.key.width(family)) else { return false };
            key.fill(0);
            test.key.extract(record, key) && test.spans(family).iter().any(|(low, high)| **low <= *key && *key <= **high)
        })
    }
}

/// A first and a last value, both of them within.
pub type Span = (Vec<u8>, Vec<u8>);

/// One field of a predicate: a key and the values that it may have, as bytes of [`KeySpec::extract`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Test {
    /// A key of one part. Prefixes are asked of the address.
    pub key: KeySpec,
    /// For IPv4 records; sorted, apart from each other.
    pub v4: Vec<Span>,
    /// For IPv6 records, likewise.
    pub v6: Vec<Span>,
}

impl Test {
    /// Values for records of a family.
    pub fn spans(&self, family: Family) -> &[Span] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

/// Protocol names, as in IANA's registry of protocol numbers where it has short ones. `icmp` is IPv4's alone.
const PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("ipip", 4),
    ("tcp", 6),
    ("udp", 17),
    ("dccp", 33),
    ("ipv6", 41),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", 58),
    ("eigrp", 88),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udplite", 136),
    ("mpls", 137),
];

/// One value: the packets of each family that have it.
#[derive(Default)]
struct Wanted {
    v4: Option<Span>,
    v6: Option<Span>,
}

impl Wanted {
    fn of(span: impl Fn(Family) -> Option<Span>) -> Option<Self> {
        let wanted = Self { v4: span(Family::V4), v6: span(Family::V6) };
        (wanted.v4.is_some() || wanted.v6.is_some()).then_some(wanted)
    }

    fn one(bytes: impl Fn(Family) -> Option<Vec<u8>>) -> Option<Self> {
        Self::of(|family| bytes(family).map(|bytes| (bytes.clone(), bytes)))
    }
}

/// `where = { … }`; faults are noted.
pub(super) fn read(section: Section<'_, '_>) -> Predicate {
    let mut predicate = Predicate::default();
    let before = section.book().count();
    for row in KEYS.iter().filter(|row| row.key != Key::None) {
        if let Some(field) = section.take(row.name) {
            predicate.tests.extend(test(section.book(), row.key, field));
        }
    }
    let (at, book) = (section.at.clone(), section.book());
    section.close();
    if predicate.tests.is_empty() && book.count() == before {
        book.fault(&at, "is empty", "give a key and its values, such as { protocol = \"udp\", src_port = [53] }");
    }
    predicate
}

/// The same of who sees packets alone: what only flow records tell is a fault.
pub(super) fn of_packets(section: Section<'_, '_>) -> Predicate {
    for row in KEYS.iter().filter(|row| !Source::Packets.has_key(row.key) && section.has(row.name)) {
        section.fault(
            row.name,
            "is a key that no packet has: flow records tell it",
            "remove it, or ask for what packets have, such as link",
        );
    }
    read(section)
}

pub(super) fn test(book: &Book<'_>, key: Key, field: Field<'_, '_>) -> Option<Test> {
    let at = field.at.clone();
    let values = field.one_or_many()?;
    if values.is_empty() {
        book.fault(&at, "is empty: no packet could have it", "give one value at least, or remove the key");
    }
    let wanted: Vec<Wanted> = values.iter().filter_map(|field| wanted(book, key, field)).collect();
    let (v4, v6) = wanted.into_iter().map(|wanted| (wanted.v4, wanted.v6)).unzip::<_, _, Vec<_>, Vec<_>>();
    let key = match key {
        Key::SrcPrefix => Key::SrcIp,
        Key::DstPrefix => Key::DstIp,
        key => key,
    };
    let origins = book.origins(&at, &[key]);
    let key = KeySpec::new(vec![key], Lengths::default()).with_origins(origins);
    Some(Test { key, v4: joined(v4), v6: joined(v6) })
}

/// Sorted, and those that touch made one: whoever asks for the same values has the same spans.
fn joined(spans: Vec<Option<Span>>) -> Vec<Span> {
    let mut spans: Vec<Span> = spans.into_iter().flatten().collect();
    spans.sort_unstable();
    let mut out: Vec<Span> = Vec::new();
    for (low, high) in spans {
        match out.last_mut() {
            Some((_, last)) if low <= *last || after(last).as_ref() == Some(&low) => *last = high.max(std::mem::take(last)),
            _ => out.push((low, high)),
        }
    }
    out
}

/// The next value, if these bytes have one.
fn after(bytes: &[u8]) -> Option<Vec<u8>> {
    let at = bytes.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = bytes[..=at].to_vec();
    next[at] += 1;
    next.resize(bytes.len(), 0);
    Some(next)
}

/// One value; `None` where a fault was noted.
fn wanted(book: &Book<'_>, key: Key, field: &Field<'_, '_>) -> Option<Wanted> {
    match key {
        Key::SrcIp | Key::DstIp if field.as_text().is_none_or(|text| !text.contains('/')) => address(field),
        Key::SrcIp | Key::DstIp | Key::SrcPrefix | Key::DstPrefix => prefix(field),
        Key::Protocol => protocol(field),
        Key::Fragment | Key::Tunnel | Key::Service => word(key, field),
        Key::Link => link(book, field),
        Key::Flow => flow(field),
        _ if value::has_ranges(key) => numbers(key, field),
        _ => text(key, field),
    }
}

/// A link by its name: records have its number, from 1.
fn link(book: &Book<'_>, field: &Field<'_, '_>) -> Option<Wanted> {
    let name = field.text("\"transit-a\"")?;
    known_link(book, field, name)?;
    let at = book.links().iter().position(|link| link == name)?;
    Wanted::one(|_| u8::try_from(at + 1).ok().map(|number| vec![number]))
}

/// The link of that name, and the interface that flows know it by, if any; a fault where there is no such link.
pub(super) fn known_link(book: &Book<'_>, field: &Field<'_, '_>, name: &str) -> Option<Option<Interface>> {
    let found = book.link(name);
    if found.is_none() {
        let links = book.links();
        let known = if links.is_empty() { "there are none: write [[links]]".to_owned() } else { format!("they are {}", links.join(", ")) };
        field.fault(format!("`{name}` names none of [[links]]"), known);
    }
    found
}

/// A number, or a range of them as text.
fn numbers(key: Key, field: &Field<'_, '_>) -> Option<Wanted> {
    let bits = value::number_bits(key)?;
    let max = (1_u64 << bits) - 1;
    if let Some(text) = field.as_text() {
        return range(key, text, max, field);
    }
    let number = field.integer(&(0..=max))?;
    if !value::is_possible(key, number) {
        field.fault(
            format!("{number} is in no packet's key"),
            format!("it must be {}; or write a range such as \"4096..\"", value::example(key)),
        );
    }
    Wanted::one(|family| value::number(key, number, family))
}

/// `"64..128"`: from 64 on and below 128, as bins are; either end may be left out.
fn range(key: Key, text: &str, max: u64, field: &Field<'_, '_>) -> Option<Wanted> {
    let end = |text: &str, open: u64| if text.is_empty() { Some(open) } else { text.parse().ok().filter(|n| *n <= open.max(max + 1)) };
    let ends = text.split_once("..").filter(|ends| *ends != ("", ""));
    let ends = ends.and_then(|(low, high)| Some((end(low.trim(), 0)?, end(high.trim(), max + 1)?)));
    let bytes = |number: u64, family: Family| number.to_be_bytes()[8 - (key.row().width)(family)..].to_vec();
    match ends {
        Some((low, high)) if low < high => Wanted::of(|family| Some((bytes(low, family), bytes(high - 1, family)))),
        Some(_) => {
            field.fault(
                format!("\"{text}\" is an empty range"),
                "write the lower end first; the upper end is not within: \"64..128\" ends with 127",
            );
            None
        }
        None => {
            let what = format!("it must be a whole number from 0 to {max}, or a range such as \"64..128\", \"1024..\" or \"..64\"");
            field.fault(format!("\"{text}\" is no range"), what);
            None
        }
    }
}

fn protocol(field: &Field<'_, '_>) -> Option<Wanted> {
    if field.as_integer().is_some() {
        let number = field.integer(&(0..=255))?;
        return Wanted::one(|family| value::number(Key::Protocol, number, family));
    }
    let text = field.text("\"udp\", or 17")?;
    let found = PROTOCOLS.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        field.unknown_word(text, PROTOCOLS.iter().map(|(name, _)| *name).chain(["a number from 0 to 255"]));
    }
    found.and_then(|(_, number)| Wanted::one(|_| Some(vec![*number])))
}

fn text(key: Key, field: &Field<'_, '_>) -> Option<Wanted> {
    let what = value::example(key);
    let text = field.text(&what)?;
    let found = Wanted::one(|family| value::read(key, text, family));
    if found.is_none() {
        field.fault(format!("\"{text}\" is no value of this key"), format!("write {what}"));
    }
    found
}

/// A word that the key's own text knows.
fn word(key: Key, field: &Field<'_, '_>) -> Option<Wanted> {
    let text = field.text(if key == Key::Service { "\"dns\"" } else { "\"none\"" })?;
    let found = Wanted::one(|family| value::read(key, text, family));
    if found.is_none() {
        let words = value::words(key);
        let list = super::fault::any_of(words.iter().map(String::as_str));
        field.fault(format!("there is no \"{text}\""), format!("it may be {list}"));
    }
    found
}

fn flow(field: &Field<'_, '_>) -> Option<Wanted> {
    let text = field.text("\"192.0.2.1|53|203.0.113.5|4242|17\"")?;
    let found = Wanted::one(|family| value::read(Key::Flow, text, family));
    if found.is_none() {
        field.fault(format!("\"{text}\" is no flow"), format!("write {}", value::example(Key::Flow)));
    }
    found
}

fn address(field: &Field<'_, '_>) -> Option<Wanted> {
    let text = field.text("\"192.0.2.10\"")?;
    let found = Wanted::one(|family| value::read(Key::SrcIp, text, family));
    if found.is_none() {
        field.fault(format!("\"{text}\" is no address"), "write one such as \"192.0.2.10\", or a prefix such as \"198.51.100.0/24\"");
    }
    found
}

fn prefix(field: &Field<'_, '_>) -> Option<Wanted> {
    let text = field.text("\"198.51.100.0/24\"")?;
    match super::ranges::prefix(text) {
        Ok(net) => {
            let octets = |address: IpAddr| match address {
                IpAddr::V4(a) => a.octets().to_vec(),
                IpAddr::V6(a) => a.octets().to_vec(),
            };
            let span = (octets(net.network()), octets(net.broadcast()));
            Wanted::of(|family| (net.addr().is_ipv4() == (family == Family::V4)).then(|| span.clone()))
        }
        Err((what, remedy)) => {
            field.fault(what, remedy);
            None
        }
    }
}
