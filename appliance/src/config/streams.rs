//! `[[streams]]`: what of the flows goes where, and how much of each.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::appliance::hash_key;
use super::fault::Faults;
use super::flow_predicate::{self, FlowPredicate};
use super::kafka::{TOPIC_BYTES_MAX, is_topic};
use super::links::Link;
use super::walk::{self, Book, Field, Section};
use crate::axes::flow_field::{FLOW_FIELDS, FlowField, named};

/// One of `[[streams]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// `name`
    pub name: String,
    /// `where`: the flows that it has.
    pub predicate: FlowPredicate,
    /// `topic`; none: that of all flows.
    pub topic: Option<Template>,
    /// `keep`, or what `drop_fields` leaves; none: all.
    pub fields: Option<FieldChoice>,
    /// `anonymise`, in order.
    pub anonymise: Vec<Anonymise>,
    /// One flow in so many; default 1.
    pub sample: u32,
    /// What it has goes nowhere, and to no stream behind it.
    pub drop: bool,
    /// `format`; none: as all flows.
    pub format: Option<FlowFormat>,
    /// `framing`; none: as all flows.
    pub framing: Option<Framing>,
}

/// Which fields are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldChoice {
    /// These.
    Keep(Vec<&'static FlowField>),
    /// All but these.
    Drop(Vec<&'static FlowField>),
}

/// A topic's name, in which `{field}` stands for what the field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// A part of a topic's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it is.
    Fixed(String),
    /// Of the flow.
    Field(&'static FlowField),
}

/// Addresses that are written as others.
#[derive(Clone, Debug, PartialEq)]
pub struct Anonymise {
    /// Fields that hold an address.
    pub fields: Vec<&'static FlowField>,
    /// How.
    pub method: Method,
}

/// How an address is made another.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Prefixes are preserved, under a key.
    CryptoPan(PanKey),
    /// So many first bits are kept, of IPv4 and of IPv6; the others are zero.
    Truncate(u8, u8),
}

/// A key of Crypto-PAn: 16 bytes for AES, 16 of which the padding is made. Nothing prints it.
#[derive(Clone, PartialEq)]
pub struct PanKey(Zeroizing<[u8; 32]>);

impl PanKey {
    /// Of 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowFormat {
    /// A line of JSON.
    Json,
    /// GoFlow2's message.
    Protobuf,
}

/// How protobuf is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Its length before it, as a varint.
    Length,
    /// Nothing.
    Bare,
}

const NAME: &str = "name = \"dns\"";
pub(super) const FORMATS: [(&str, FlowFormat); 2] = [("json", FlowFormat::Json), ("protobuf", FlowFormat::Protobuf)];
pub(super) const FRAMINGS: [(&str, Framing); 2] = [("length-prefixed", Framing::Length), ("bare", Framing::Bare)];
const ANONYMISE: &str = "{ fields = [\"src_addr\"], method = \"truncate\" }";
const V4_BITS: u64 = 24;
const V6_BITS: u64 = 48;

impl Stream {
    /// Everything, as it is.
    pub fn all() -> Self {
        Self {
            name: "flows".to_owned(),
            predicate: FlowPredicate::default(),
            topic: None,
            fields: None,
            anonymise: Vec::new(),
            sample: 1,
            drop: false,
            format: None,
            framing: None,
        }
    }
}

/// `[[streams]]`
pub(super) fn read(root: &Section<'_, '_>) -> Vec<Stream> {
    let mut streams: Vec<Stream> = Vec::new();
    for mut row in root.rows("streams") {
        let name = row.require("name", NAME).and_then(|field| field.text("\"dns\"").map(str::to_owned));
        if let Some(name) = &name {
            row.named(name);
            if streams.iter().any(|stream| stream.name == *name) {
                row.fault("name", "names another stream too", "give each a name of its own");
            }
        }
        streams.extend(stream(row, name.unwrap_or_default()));
    }
    streams
}

fn stream(row: Section<'_, '_>, name: String) -> Option<Stream> {
    let predicate = row.section("where", "{ protocol = \"udp\" }").map(flow_predicate::read).unwrap_or_default();
    let topic = row.take("topic").map(|field| template(&field));
    let fields = fields(&row);
    let anonymise = anonymise(&row);
    let sample = row.integer("sample", 1..=u64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
    let drop = row.flag("drop").unwrap_or(false);
    let (format, framing) = (row.choice("format", &FORMATS), row.choice("framing", &FRAMINGS));
    if format == Some(FlowFormat::Json) && framing.is_some() {
        row.fault("framing", "is of protobuf; JSON is a line each", "remove it, or write format = \"protobuf\"");
    }
    if drop && ["topic", "keep", "drop_fields", "anonymise", "sample", "format", "framing"].iter().any(|key| row.has(key)) {
        row.fault("drop", "is true: what this row has goes nowhere", "leave name, where and drop alone in it, or remove drop");
    }
    row.close();
    let topic = match topic {
        Some(topic) => Some(topic?),
        None => None,
    };
    Some(Stream { name, predicate, topic, fields, anonymise, sample, drop, format, framing })
}

fn fields(row: &Section<'_, '_>) -> Option<FieldChoice> {
    const EXAMPLE: &str = "[\"src_addr\", \"bytes\"]";
    let keep = row.list("keep", EXAMPLE);
    if keep.as_ref().is_some_and(Vec::is_empty) {
        row.fault(
            "keep",
            "is empty: nothing would be written",
            format!("name what is, such as {EXAMPLE}, remove keep, or write drop = true alone"),
        );
    }
    let keep = keep.map(flow_predicate::fields);
    let drop = row.list("drop_fields", EXAMPLE).map(flow_predicate::fields);
    match (keep, drop) {
        (Some(_), Some(_)) => {
            row.fault("drop_fields", "stands beside keep", "write one of the two");
            None
        }
        (Some(keep), None) => Some(FieldChoice::Keep(keep)),
        (None, drop) => drop.map(FieldChoice::Drop),
    }
}

/// `"tailwater.v1.flows.{customer}"`
fn template(field: &Field<'_, '_>) -> Option<Template> {
    let text = field.text("\"tailwater.v1.flows.{customer}\"")?;
    let (mut parts, mut rest, mut plain) = (Vec::new(), text, String::new());
    while let Some((before, (name, after))) = rest.split_once('{').and_then(|(before, inner)| Some((before, inner.split_once('}')?))) {
        let Some(row) = named(name) else {
            let near = super::fault::near(name, FLOW_FIELDS.iter().map(|row| row.name));
            let meant = near.map_or_else(String::new, |near| format!("did you mean {{{near}}}? "));
            field.fault(
                format!("`{{{name}}}` is no field of a message"),
                format!("{meant}write one such as {{customer}}, {{src_as}} or {{proto_name}}"),
            );
            return None;
        };
        plain = plain + before + "c";
        parts.extend([Part::Fixed(before.to_owned()), Part::Field(row)]);
        rest = after;
    }
    parts.push(Part::Fixed(rest.to_owned()));
    let (count, fixed) = (parts.len() / 2, text_bytes(&parts));
    if count * FIELD_BYTES_MIN + fixed > TOPIC_BYTES_MAX {
        field.fault(
            "leaves too little room for its fields",
            format!("it may have {FIELD_BYTES_MIN} bytes for each, {TOPIC_BYTES_MAX} in all"),
        );
        return None;
    }
    if !is_topic(&(plain + rest), false) {
        field.fault("is no name of a topic", "it may hold letters, digits, '.', '_' and '-', 249 bytes at most, and fields as {customer}");
        return None;
    }
    Some(Template { parts })
}

/// Bytes that each field of a topic's name finds room for, at least.
const FIELD_BYTES_MIN: usize = 16;

fn text_bytes(parts: &[Part]) -> usize {
    parts.iter().map(|part| if let Part::Fixed(text) = part { text.len() } else { 0 }).sum()
}

/// One table, or several.
fn anonymise(row: &Section<'_, '_>) -> Vec<Anonymise> {
    let Some(field) = row.take("anonymise") else { return Vec::new() };
    if field.is_table() {
        return field.section(ANONYMISE).and_then(method).into_iter().collect();
    }
    row.rows("anonymise").into_iter().filter_map(method).collect()
}

fn method(section: Section<'_, '_>) -> Option<Anonymise> {
    let fields = section.require("fields", "fields = [\"src_addr\", \"dst_addr\"]").and_then(|field| addresses(&field));
    let kind = section.require("method", "method = \"crypto-pan\", or \"truncate\"");
    let is_pan = kind.and_then(|field| field.choice(&[("crypto-pan", true), ("truncate", false)]));
    let file = section.book().file();
    let key = section.take("key_file").map(|field| hash_key(&field, file).map(PanKey::new));
    let bits = [("v4_bits", V4_BITS, 32), ("v6_bits", V6_BITS, 128)].map(|(key, default, max)| {
        let bits = section.integer(key, 0..=max).unwrap_or(default);
        u8::try_from(bits).unwrap_or(u8::MAX)
    });
    if is_pan == Some(true) && key.is_none() {
        section.fault("key_file", "is missing", "write key_file = \"pan.key\"; make it with: openssl rand -hex 32 >pan.key");
    }
    let strange: &[&str] = if is_pan == Some(true) { &["v4_bits", "v6_bits"] } else { &["key_file"] };
    for key in strange.iter().filter(|key| is_pan.is_some() && section.has(key)) {
        section.fault(key, "belongs to the other method", "crypto-pan has key_file, truncate has v4_bits and v6_bits");
    }
    section.close();
    let method = if is_pan? { Method::CryptoPan(key??) } else { Method::Truncate(bits[0], bits[1]) };
    Some(Anonymise { fields: fields?, method })
}

fn addresses(field: &Field<'_, '_>) -> Option<Vec<&'static FlowField>> {
    let list = field.list("[\"src_addr\", \"dst_addr\"]")?;
    let fields = flow_predicate::fields(list);
    if let Some(other) = fields.iter().find(|row| !row.kind.is_address()) {
        field.fault(format!("{} is no address", other.name), format!("it may hold {}", flow_predicate::names()));
        return None;
    }
    Some(fields)
}

/// `where` as it is written on a command line: `{ protocol = "udp", src_port = [53] }`.
///
/// `links` are those of the configuration beside it, if there is one.
///
/// # Errors
/// All that is wrong in it.
pub fn parse_where(text: &str, links: &[Link]) -> Result<FlowPredicate, Faults> {
    let path = Path::new("--where");
    let document = walk::parse_text(path, format!("where = {text}"))?;
    let book = Book::new(path, document.raw());
    book.name_links(links.iter().map(|link| (link.name.clone(), link.of_flows)).collect());
    let root = Section::root(&book, document.as_table());
    let predicate = root.section("where", "{ protocol = \"udp\" }").map(flow_predicate::read).unwrap_or_default();
    root.close();
    book.into_faults().or(predicate)
}
