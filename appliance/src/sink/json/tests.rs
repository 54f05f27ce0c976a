//! The tables hold against what was decoded, over random messages and over messages that nobody encodes so.
#![allow(clippy::cast_possible_truncation, reason = "random bits")]

use prost::Message as _;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::table::{Message as Table, NONE, Value};
use super::{by_decoding, by_table, table_of, to_json_line};
use crate::journal::{Kind, Message, WindowOf};
use crate::report::pb;
use crate::stats::tests::seed;

const REPORTS: [Kind; Kind::REPORTS] = [Kind::Ranges, Kind::Appliance, Kind::Links, Kind::Events, Kind::Configs];

/// Text that needs escapes and text that does not.
const TEXTS: [&str; 12] = [
    "",
    "a",
    "203.0.113.7",
    "192.0.2.254|65535|198.51.100.255|443|6",
    "exactly8",
    "\"quoted\"",
    "back\\slash",
    "line\nend",
    "\u{7f} and \u{1f} and \u{1}",
    "Köln, 東京 🚰",
    "longer than thirty-two bytes, and so copied as it is: 0123456789",
    "a quote stands late, behind many that are plain: \"",
];

fn number(dice: &mut ChaCha8Rng) -> u64 {
    match dice.next_u32() % 8 {
        0 => [1, 9, 10, 99, 100, u64::MAX, u64::from(u32::MAX), 10_000_000_000_000_000_000][dice.next_u32() as usize % 8],
        _ => dice.next_u64() >> (dice.next_u32() % 64),
    }
}

fn double(dice: &mut ChaCha8Rng) -> f64 {
    let ends = [-0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e15, 1e16, 1e15 - 1.0, -7.0, 0.1, f64::MIN_POSITIVE, f64::MAX, 0.0];
    let special = [&ends[..], &[1e10, 1.5e14, 9.99e14, 123_456_789e6, -1e12, 1e-5, 9e-6]].concat();
    match dice.next_u32() % 4 {
        0 => special[dice.next_u32() as usize % special.len()],
        1 => f64::from_bits(dice.next_u64()),
        2 => f64::from(dice.next_u32()),
        _ => f64::from(dice.next_u32()) / 40.0,
    }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn long(content: &[u8], out: &mut Vec<u8>) {
    varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

/// A random message in the order of numbers, a field of it absent as often as not.
fn random(table: &Table, dice: &mut ChaCha8Rng, depth: u32) -> Vec<u8> {
    let (mut out, mut is_chosen) = (Vec::new(), false);
    for (number, at) in table.places.iter().enumerate().filter(|(_, at)| **at != NONE) {
        let is_choice = usize::from(*at) >= table.alone;
        if dice.next_u32().is_multiple_of(2) || is_choice && std::mem::replace(&mut is_chosen, true) {
            continue;
        }
        let value = &table.fields[usize::from(*at)].value;
        let times = match value {
            Value::Texts | Value::Messages(_) if depth > 0 => dice.next_u32() % 4,
            Value::Messages(_) | Value::Message(_) if depth == 0 => 0,
            _ => 1,
        };
        for _ in 0..times {
            varint((number as u64) << 3 | form_of(value), &mut out);
            random_value(value, dice, depth, &mut out);
        }
    }
    out
}

fn form_of(value: &Value) -> u64 {
    match value {
        Value::Double => 1,
        Value::Text | Value::Bytes | Value::Message(_) | Value::Texts | Value::Messages(_) => 2,
        _ => 0,
    }
}

fn random_value(value: &Value, dice: &mut ChaCha8Rng, depth: u32, out: &mut Vec<u8>) {
    match value {
        Value::Bool => out.push((dice.next_u32() % 2) as u8),
        Value::Short => varint(u64::from(number(dice) as u32), out),
        Value::Long | Value::Signed | Value::ZigZag => varint(number(dice), out),
        Value::Double => out.extend(double(dice).to_le_bytes()),
        Value::Text | Value::Texts => long(TEXTS[dice.next_u32() as usize % TEXTS.len()].as_bytes(), out),
        Value::Bytes => {
            let bytes: Vec<u8> = (0..dice.next_u32() % 40).map(|_| dice.next_u32() as u8).collect();
            long(&bytes, out);
        }
        Value::Word(words) => varint(dice.next_u64() % words.len() as u64, out),
        Value::Message(table) | Value::Messages(table) => long(&random(table, dice, depth - 1), out),
    }
}

fn message(kind: Kind, payload: Vec<u8>) -> Message {
    let payload = payload.into_boxed_slice();
    Message { kind, is_fast: false, key: String::new(), customer: String::new(), payload, window: WindowOf::default() }
}

/// What decoding makes of it.
fn decoded(message: &Message) -> Option<String> {
    let mut line = Vec::new();
    by_decoding(message, &mut line).ok().map(|()| String::from_utf8(line).unwrap())
}

/// Of ranges' reports, which are many, none is decoded; of others those may be whose numbers do not ascend as they stand in JSON.
#[test]
fn what_we_encode_is_written_by_the_tables_as_if_it_were_decoded() {
    let (mut dice, mut written) = (ChaCha8Rng::seed_from_u64(seed()), [0; Kind::REPORTS]);
    for round in 0..2_000 {
        for (kind, written) in REPORTS.into_iter().zip(&mut written) {
            let message = message(kind, random(table_of(kind).unwrap(), &mut dice, 6));
            let mut line = b"before".to_vec();
            if by_table(&message, &mut line).is_some() {
                *written += 1;
                assert_eq!(std::str::from_utf8(&line).unwrap().strip_prefix("before"), decoded(&message).as_deref(), "{kind:?} {round}");
            }
        }
    }
    assert!(written[0] == 2_000 && written.iter().all(|n| *n > 10), "{written:?}");
}

/// What the journal has of a range's report is what `prost` makes of it.
#[test]
fn random_reports_of_ranges_are_encoded_as_ever() {
    let mut dice = ChaCha8Rng::seed_from_u64(seed() + 2);
    for round in 0..4_000 {
        let wire = random(table_of(Kind::Ranges).unwrap(), &mut dice, 6);
        let report = pb::RangeReport::decode(&*wire).unwrap();
        assert_eq!(&*Message::range(&report).payload, &*report.encode_to_vec(), "{round}");
    }
}

/// A message with all that it may have, all numbers as long as they may be.
fn longest(table: &Table, depth: u32) -> Vec<u8> {
    let (mut out, mut is_chosen) = (Vec::new(), false);
    for (number, at) in table.places.iter().enumerate().filter(|(_, at)| **at != NONE) {
        let value = &table.fields[usize::from(*at)].value;
        let is_deep = depth == 0 && matches!(value, Value::Message(_) | Value::Messages(_));
        if is_deep || usize::from(*at) >= table.alone && std::mem::replace(&mut is_chosen, true) {
            continue;
        }
        varint((number as u64) << 3 | form_of(value), &mut out);
        match value {
            Value::Bool => out.push(1),
            Value::Short => varint(u64::from(u32::MAX), &mut out),
            Value::Long | Value::Signed | Value::ZigZag | Value::Word(_) => varint(u64::MAX, &mut out),
            Value::Double => out.extend(f64::MAX.to_le_bytes()),
            Value::Text | Value::Texts | Value::Bytes => long(TEXTS[10].as_bytes(), &mut out),
            Value::Message(table) | Value::Messages(table) => long(&longest(table, depth - 1), &mut out),
        }
    }
    out
}

/// What is written into a place of a fixed size has room there.
#[test]
fn the_longest_report_of_a_range_is_encoded_as_ever() {
    let report = pb::RangeReport::decode(&*longest(table_of(Kind::Ranges).unwrap(), 6)).unwrap();
    assert_eq!(&*Message::range(&report).payload, &*report.encode_to_vec());
}

/// Fields twice, in another order, cut, of other kinds, or unknown: as decoding says, which may be that it is no message.
#[test]
fn what_nobody_encodes_is_written_as_if_it_were_decoded() {
    let mut dice = ChaCha8Rng::seed_from_u64(seed() + 1);
    let mut refused = 0;
    for round in 0..4_000 {
        for kind in REPORTS {
            let table = table_of(kind).unwrap();
            let mut payload = random(table, &mut dice, 4);
            match round % 4 {
                0 => payload.extend(random(table, &mut dice, 3)),
                1 => payload.truncate(dice.next_u32() as usize % (payload.len() + 1)),
                2 => payload.splice(0..0, [0xFA, 0x7F, 1, b'x']).for_each(drop),
                _ => {}
            }
            let at = dice.next_u32() as usize % payload.len().max(1);
            if let Some(byte) = payload.get_mut(at).filter(|_| round % 4 == 3) {
                *byte = byte.wrapping_add(1 << (dice.next_u32() % 8));
            }
            let (message, mut line) = (message(kind, payload), b"before".to_vec());
            let written = to_json_line(&message, &mut line);
            let expected = decoded(&message);
            refused += u32::from(expected.is_none());
            assert_eq!(written.is_ok(), expected.is_some(), "{kind:?} {round}");
            assert_eq!(
                std::str::from_utf8(&line).unwrap().strip_prefix("before"),
                Some(expected.as_deref().unwrap_or("")),
                "{kind:?} {round}"
            );
        }
    }
    assert!(refused > 100, "{refused}");
}

/// Every name and every word of the tables is that of the messages.
#[test]
fn an_empty_message_has_all_that_is_not_optional() {
    for kind in REPORTS {
        let (message, mut line) = (message(kind, Vec::new()), Vec::new());
        by_table(&message, &mut line).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), decoded(&message).unwrap());
    }
}

#[test]
fn numbers_of_every_length_are_written_as_they_are() {
    let ends = (0..20).map(|power| 10_u64.pow(power)).flat_map(|n| [n - 1, n, n + 1]).chain([u64::MAX]);
    for value in ends {
        let mut out = Vec::new();
        super::text::number(value, *b"\"", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{value}\""));
    }
}

#[test]
fn what_must_be_escaped_is_seen_wherever_it_stands() {
    for byte in 0..=u8::MAX {
        let is_plain = (b' '..0x80).contains(&byte) && byte != b'"' && byte != b'\\';
        for len in 1..20 {
            for at in 0..len {
                let mut text = vec![b'z'; len];
                text[at] = byte;
                assert_eq!(super::text::is_plain(&text), is_plain, "{byte} at {at} of {len}");
            }
        }
    }
}
