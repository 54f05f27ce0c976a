//! `where`: what a packet must be for a stat, as key bytes to compare with.

use std::net::IpAddr;

use super::stats::to_come;
use super::tags::mac;
use super::walk::{Book, Field, Section};
use crate::axes::KeySpec;
use crate::axes::key::{KEYS, KEYS_TO_COME, Key, Lengths};

/// What a packet must be for a stat: every field that is given, any of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Predicate {
    /// Key and the values that it may have, as bytes of [`KeySpec::extract`]; in the order of [`Key`].
    pub tests: Vec<Test>,
}

/// One field of a predicate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Test {
    /// A key of one part.
    pub key: KeySpec,
    /// Values for IPv4 records, as key bytes, sorted.
    pub v4: Vec<Vec<u8>>,
    /// Values for IPv6 records, as key bytes, sorted.
    pub v6: Vec<Vec<u8>>,
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

/// One value: its bytes, and of which family it can be; prefixes also have a length.
struct Wanted {
    bytes: Vec<u8>,
    v4: bool,
    v6: bool,
    length: Option<u8>,
}

impl Wanted {
    fn any(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        Some(Self { bytes: bytes.into(), v4: true, v6: true, length: None })
    }

    fn address(address: IpAddr, length: Option<u8>) -> Self {
        match address {
            IpAddr::V4(a) => Self { bytes: a.octets().to_vec(), v4: true, v6: false, length },
            IpAddr::V6(a) => Self { bytes: a.octets().to_vec(), v4: false, v6: true, length },
        }
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
    for (key, field) in section.rest() {
        if KEYS_TO_COME.iter().any(|(name, _)| *name == key) {
            to_come(&field, &key);
        }
    }
    section.forget(KEYS_TO_COME.iter().map(|(name, _)| *name));
    section.close();
    if predicate.tests.is_empty() && book.count() == before {
        book.fault(&at, "is empty", "give a key and its values, such as { protocol = \"udp\", src_port = [53] }");
    }
    predicate
}

fn test(book: &Book<'_>, key: Key, field: Field<'_, '_>) -> Option<Test> {
    let at = field.at.clone();
    let values = field.one_or_many()?;
    if values.is_empty() {
        book.fault(&at, "is empty: no packet could have it", "give one value at least, or remove the key");
    }
    let wanted: Vec<(Wanted, &Field<'_, '_>)> = values.iter().filter_map(|f| wanted(key, f).map(|w| (w, f))).collect();
    let mut lengths = (None, None);
    for (want, field) in &wanted {
        let length = if want.v4 { &mut lengths.0 } else { &mut lengths.1 };
        if length.is_some_and(|l| Some(l) != want.length) {
            field.fault("has another length than the prefix before it", "give all prefixes of one family one length");
        }
        *length = length.or(want.length);
    }
    let usual = Lengths::default();
    let lengths = Lengths { v4: lengths.0.unwrap_or(usual.v4), v6: lengths.1.unwrap_or(usual.v6) };
    let sorted = |of: fn(&Wanted) -> bool| {
        let mut values: Vec<_> = wanted.iter().filter(|(w, _)| of(w)).map(|(w, _)| w.bytes.clone()).collect();
        values.sort_unstable();
        values.dedup();
        values
    };
    Some(Test { key: KeySpec::new(vec![key], lengths), v4: sorted(|w| w.v4), v6: sorted(|w| w.v6) })
}

/// One value as key bytes; `None` where a fault was noted.
fn wanted(key: Key, field: &Field<'_, '_>) -> Option<Wanted> {
    match key {
        Key::None => None,
        Key::SrcIp | Key::DstIp => address(field),
        Key::SrcPrefix | Key::DstPrefix => prefix(field),
        Key::Protocol => protocol(field),
        Key::TcpFlags => text_as(field, "letters of FSRPAUEC, such as \"SA\", or \"-\" for none", |t| flags(t).map(|f| vec![f])),
        Key::Icmp => text_as(field, "type/code, such as \"8/0\"", |t| pair(t).map(Vec::from)),
        Key::Flow => flow(field),
        Key::SrcMac => text_as(field, "six bytes in hex, such as \"02:00:5e:10:00:01\"", |t| mac(t).map(Vec::from)),
        Key::Fragment | Key::Tunnel => label(key, field),
        Key::Ttl => number(field, 8, 1),
        Key::Dscp => number(field, 6, 1),
        Key::Vlan | Key::InnerVlan => number(field, 12, 2),
        Key::SrcPort | Key::DstPort | Key::RxPort => number(field, 16, 2),
        Key::MplsLabel => number(field, 20, 4),
        Key::PacketSize | Key::PayloadSize | Key::Rule => number(field, 32, 4),
    }
}

fn number(field: &Field<'_, '_>, bits: u32, width: usize) -> Option<Wanted> {
    let value = field.integer(&(0..=(1 << bits) - 1))?;
    Wanted::any(&value.to_be_bytes()[8 - width..])
}

fn protocol(field: &Field<'_, '_>) -> Option<Wanted> {
    if field.as_integer().is_some() {
        return number(field, 8, 1);
    }
    let text = field.text("\"udp\", or 17")?;
    let found = PROTOCOLS.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        field.unknown_word(text, PROTOCOLS.iter().map(|(name, _)| *name).chain(["a number from 0 to 255"]));
    }
    found.and_then(|(_, number)| Wanted::any([*number]))
}

fn text_as(field: &Field<'_, '_>, what: &str, parse: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Wanted> {
    let text = field.text(what)?;
    let bytes = parse(text);
    if bytes.is_none() {
        field.fault(format!("\"{text}\" is no value of this key"), format!("write {what}"));
    }
    bytes.and_then(Wanted::any)
}

fn flags(text: &str) -> Option<u8> {
    if text == "-" {
        return Some(0);
    }
    text.chars().try_fold(0, |flags, c| "FSRPAUEC".find(c).map(|bit| flags | 1 << bit))
}

fn pair(text: &str) -> Option<[u8; 2]> {
    let (kind, code) = text.split_once('/')?;
    Some([kind.parse().ok()?, code.parse().ok()?])
}

/// A word that the key's own text knows.
fn label(key: Key, field: &Field<'_, '_>) -> Option<Wanted> {
    let text = field.text("\"none\"")?;
    let mut words: Vec<(String, u8)> = Vec::new();
    for byte in 0..=u8::MAX {
        let word = (key.row().text)(&[byte], &Lengths::default());
        if !words.iter().any(|(w, _)| *w == word) {
            words.push((word, byte));
        }
    }
    let found = words.iter().find(|(w, _)| *w == text).map(|(_, byte)| *byte);
    if found.is_none() {
        let list = super::fault::any_of(words.iter().map(|(w, _)| w.as_str()));
        field.fault(format!("there is no \"{text}\""), format!("it may be {list}"));
    }
    found.and_then(|byte| Wanted::any([byte]))
}

fn address(field: &Field<'_, '_>) -> Option<Wanted> {
    let text = field.text("\"192.0.2.10\"")?;
    let address = text.parse().ok();
    if address.is_none() {
        let remedy = if text.contains('/') { "use src_prefix or dst_prefix for a prefix" } else { "write one such as \"192.0.2.10\"" };
        field.fault(format!("\"{text}\" is no address"), remedy);
    }
    address.map(|a| Wanted::address(a, None))
}

fn prefix(field: &Field<'_, '_>) -> Option<Wanted> {
    let text = field.text("\"198.51.100.0/24\"")?;
    match super::ranges::prefix(text) {
        Ok(net) => Some(Wanted::address(net.addr(), Some(net.prefix_len()))),
        Err((what, remedy)) => {
            field.fault(what, remedy);
            None
        }
    }
}

/// `src|src_port|dst|dst_port|protocol`, as reports write it.
fn flow(field: &Field<'_, '_>) -> Option<Wanted> {
    let text = field.text("\"192.0.2.1|53|203.0.113.5|4242|17\"")?;
    let want = flow_bytes(text);
    if want.is_none() {
        field.fault(
            format!("\"{text}\" is no flow"),
            "write src|src_port|dst|dst_port|protocol, such as \"192.0.2.1|53|203.0.113.5|4242|17\"",
        );
    }
    want
}

fn flow_bytes(text: &str) -> Option<Wanted> {
    let parts: Vec<_> = text.split('|').collect();
    let [src, src_port, dst, dst_port, protocol] = parts[..] else { return None };
    let (src, dst) = (Wanted::address(src.parse().ok()?, None), Wanted::address(dst.parse().ok()?, None));
    let (src_port, dst_port): (u16, u16) = (src_port.parse().ok()?, dst_port.parse().ok()?);
    let protocol: u8 = protocol.parse().ok()?;
    let bytes = [&src.bytes[..], &src_port.to_be_bytes(), &dst.bytes, &dst_port.to_be_bytes(), &[protocol]].concat();
    (src.v4 == dst.v4).then_some(Wanted { bytes, ..src })
}
