//! A record of a database, of bounded size: records may point to parts of others, and such a part to others in turn, so that a small file
//! holds one that no memory does.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Bytes that a record may take, about; those of databases in use take some thousands.
const BYTES_MAX: usize = 1 << 20;
/// What a value costs beside its text, about.
const VALUE_BYTES: usize = 64;

thread_local! {
    /// What the record that is being read may still take.
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

/// A record.
pub(super) struct Record(pub(super) Value);

/// A value within one.
struct Part(Value);

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        LEFT.set(BYTES_MAX);
        Part::deserialize(from).map(|part| Self(part.0))
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reading).map(Self)
    }
}

struct Reading;

/// So many bytes more.
fn take<E: Error>(bytes: usize) -> Result<(), E> {
    let left = LEFT.get().checked_sub(bytes + VALUE_BYTES);
    LEFT.set(left.unwrap_or(0));
    left.map(|_| ()).ok_or_else(|| E::custom(format!("a record takes more than {BYTES_MAX} bytes")))
}

impl<'de> Visitor<'de> for Reading {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a record")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        take(0).map(|()| Value::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        take(0).map(|()| Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        take(0).map(|()| Value::from(value))
    }

    /// Longer than any number that is looked for.
    fn visit_u128<E: Error>(self, _: u128) -> Result<Value, E> {
        take(0).map(|()| Value::Null)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        take(0).map(|()| Value::from(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        take(value.len()).map(|()| Value::from(value))
    }

    /// Nothing of this kind is looked for.
    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Value, E> {
        take(0).map(|()| Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        take::<A::Error>(0)?;
        let mut list = Vec::new();
        while let Some(Part(value)) = from.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        take::<A::Error>(0)?;
        let mut map = Map::new();
        while let Some(key) = from.next_key::<&str>()? {
            take::<A::Error>(key.len())?;
            let Part(value) = from.next_value()?;
            map.insert(key.to_owned(), value);
        }
        Ok(Value::Object(map))
    }
}
