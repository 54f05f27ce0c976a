//! Rows of counters in JSON, one after the other: of a long list no more is held than the row that is being read.

use std::fmt;
use std::io::{self, BufRead, Read};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::counters::{Reader, Row, row};

/// A line that is longer is none of ours.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// A list of objects. Rows before a fault are taken.
pub(super) fn list(reader: &mut Reader, from: impl Read) -> io::Result<()> {
    let mut json = serde_json::Deserializer::from_reader(from);
    match List(reader).deserialize(&mut json).and_then(|()| json.end()) {
        Err(fault) if fault.is_io() => return Err(fault.into()),
        Err(fault) => reader.push(fault.line(), Err(format!("is no JSON: {fault}"))),
        Ok(()) => {}
    }
    Ok(())
}

/// An object a line.
pub(super) fn lines(reader: &mut Reader, mut from: impl BufRead) -> io::Result<()> {
    let mut line = Vec::new();
    for at in 1.. {
        line.clear();
        let bytes = from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? as u64;
        if bytes == 0 {
            break;
        }
        if bytes == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            from.skip_until(b'\n')?;
            reader.push(at, Err(format!("has more than {LINE_BYTES_MAX} bytes")));
        } else if !line.trim_ascii().is_empty() {
            let written = serde_json::from_slice::<Written>(&line).map_err(|fault| format!("is no JSON: {fault}"));
            reader.push(at, written.and_then(|written| written.row()));
        }
    }
    Ok(())
}

struct List<'a>(&'a mut Reader);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        for at in 1.. {
            let Some(written) = rows.next_element::<Written>()? else { break };
            self.0.push(at, written.row());
        }
        Ok(())
    }
}

/// What an object says of a row, as text. What is no object says nothing.
#[derive(Default)]
struct Written {
    time_ns: Option<String>,
    time: String,
    domain: String,
    key: String,
    dropped: String,
}

impl Written {
    fn row(&self) -> Result<Row, String> {
        row(self.time_ns.as_ref().unwrap_or(&self.time), (&self.domain, &self.key), &self.dropped)
    }
}

/// What a value is made to from JSON, whatever kind it is of.
trait Lenient<'de>: Default {
    fn of_text(_text: &str) -> Self {
        Self::default()
    }

    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

impl<'de> Lenient<'de> for Written {
    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut written = Self::default();
        while let Some(name) = map.next_key::<String>()? {
            let place = match name.as_str() {
                "time_ns" => written.time_ns.insert(String::new()),
                "time" => &mut written.time,
                "domain" => &mut written.domain,
                "key" => &mut written.key,
                "dropped_packets" => &mut written.dropped,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *place = map.next_value::<Text>()?.0;
        }
        Ok(written)
    }
}

/// A string, or a number as text.
#[derive(Default)]
struct Text(String);

impl Lenient<'_> for Text {
    fn of_text(text: &str) -> Self {
        Self(text.to_owned())
    }
}

struct Any<T>(std::marker::PhantomData<T>);

impl<'de, T: Lenient<'de>> Visitor<'de> for Any<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::of_text(text))
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(T::of_text(&number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(T::of_text(&number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        Ok(T::of_text(&number.to_string()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::of_map(map)
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(std::marker::PhantomData))
    }
}
