//! Tables of messages and their fields, by which `sink/json` writes proto3 JSON straight from the wire.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

type Fault = String;

/// As in `sink/json/table.rs`.
const KEY_BYTES: usize = 32;

/// The tables of all messages of a package, as Rust.
pub(super) fn tables(files: &FileDescriptorSet, package: &str) -> Result<String, Fault> {
    let files: Vec<_> = files.file.iter().filter(|file| file.package() == package).collect();
    let enums = files.iter().flat_map(|file| &file.enum_type).map(|of| Ok((format!(".{package}.{}", of.name()), words(of)?)));
    let enums = enums.collect::<Result<BTreeMap<_, _>, Fault>>()?;
    files.iter().flat_map(|file| &file.message_type).map(|message| table(message, &enums)).collect()
}

/// The words of an enum, by number.
fn words(of: &EnumDescriptorProto) -> Result<Vec<&str>, Fault> {
    let in_order = of.value.iter().zip(0..).all(|(value, n)| value.number() == n);
    if in_order { Ok(of.value.iter().map(|value| value.name()).collect()) } else { Err(format!("{}: numbers have gaps", of.name())) }
}

fn table(message: &DescriptorProto, enums: &BTreeMap<String, Vec<&str>>) -> Result<String, Fault> {
    // JSON has what stands alone first, then what is one of several.
    let is_choice = |field: &&FieldDescriptorProto| field.oneof_index.is_some() && !field.proto3_optional();
    let (choices, alone): (Vec<_>, Vec<_>) = message.field.iter().partition(is_choice);
    if choices.iter().any(|field| field.oneof_index != choices[0].oneof_index) || !message.nested_type.is_empty() {
        return Err(format!("{}: two choices, or messages within", message.name()));
    }
    let (mut fields, mut unset) = (String::new(), String::new());
    let mut places =
        vec!["NONE".to_owned(); 1 + message.field.iter().map(|field| field.number()).max().unwrap_or(0).unsigned_abs() as usize];
    for (at, field) in alone.iter().chain(&choices).enumerate() {
        let kind = kind(field, enums)?;
        let key = format!(",\"{}\":{}", field.json_name(), kind.opening);
        if key.len() > KEY_BYTES {
            return Err(format!("{}: `{key}` is longer than {KEY_BYTES} bytes: raise both KEY_BYTES", message.name()));
        }
        writeln!(fields, "Field {{ key: key(r#\"{key}\"#), unset: {}, value: Value::{} }},", unset.len(), kind.value)
            .map_err(|e| e.to_string())?;
        if let Some(value) = kind.unset.filter(|_| at < alone.len() && !field.proto3_optional()) {
            unset += &format!(",\"{}\":{value}", field.json_name());
        }
        places[field.number().unsigned_abs() as usize] = at.to_string();
    }
    let (name, end, alone, places) = (constant(message.name()), unset.len(), alone.len(), places.join(", "));
    Ok(format!(
        "pub(super) static {name}: Message = Message {{\nfields: &[{fields}Field {{ key: key(\"\"), unset: {end}, value: Value::Bool }}],\n\
         places: &[{places}], alone: {alone}, unset: br#\"{unset}\"# }};\n"
    ))
}

struct Kind {
    /// As the tables name it.
    value: String,
    /// What stands before the value.
    opening: &'static str,
    /// What is written where the wire has nothing; none: nothing.
    unset: Option<String>,
}

fn kind(field: &FieldDescriptorProto, enums: &BTreeMap<String, Vec<&str>>) -> Result<Kind, Fault> {
    let of = |value: &str, opening, unset: Option<&str>| Ok(Kind { value: value.to_owned(), opening, unset: unset.map(str::to_owned) });
    let many = field.label() == Label::Repeated;
    match field.r#type() {
        Type::Message if many => of(&format!("Messages(&{})", self::of(field)), "", Some("[]")),
        Type::Message => of(&format!("Message(&{})", self::of(field)), "", None),
        Type::String if many => of("Texts", "", Some("[]")),
        _ if many => Err(format!("{}: no table has such a list", field.name())),
        Type::String => of("Text", "\"", Some("\"\"")),
        Type::Bytes => of("Bytes", "\"", Some("\"\"")),
        Type::Double => of("Double", "", Some("0.0")),
        Type::Bool => of("Bool", "", Some("false")),
        Type::Uint32 => of("Short", "", Some("0")),
        Type::Uint64 => of("Long", "\"", Some("\"0\"")),
        Type::Int64 => of("Signed", "\"", Some("\"0\"")),
        Type::Sint64 => of("ZigZag", "\"", Some("\"0\"")),
        Type::Enum => {
            let words = enums.get(field.type_name()).ok_or_else(|| format!("{}: no such enum", field.type_name()))?;
            of(&format!("Word(&{words:?})"), "\"", Some(&format!("\"{}\"", words[0])))
        }
        other => Err(format!("{}: no table has {other:?}", field.name())),
    }
}

/// The table of a field's message.
fn of(field: &FieldDescriptorProto) -> String {
    constant(field.type_name().rsplit('.').next().unwrap_or_default())
}

/// `RangeReport` as `RANGE_REPORT`.
fn constant(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_uppercase());
    }
    out
}
