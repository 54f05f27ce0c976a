//! proto3 JSON straight from the wire, by tables of the messages: nothing is decoded into structures first, and what a message leaves out
//! stands in the tables as it is written.
//!
//! They serve messages whose fields come in the order of JSON, each once, and none that is not known: all reports of ranges that we encode.
//! Of any other nothing is said here, and [`super::to_json_line`] decodes it.

use super::text;
use super::wire::Wire;

/// One message.
pub(super) struct Message {
    /// In the order of JSON, and one more: the end.
    pub(super) fields: &'static [Field],
    /// Where each is, by its number on the wire.
    pub(super) places: &'static [u8],
    /// So many stand alone; of those behind them there is one at most.
    pub(super) alone: usize,
    /// Those that stand alone, as they are written if the wire has none of them.
    pub(super) unset: &'static [u8],
}

/// In `places`: there is no such field.
pub(super) const NONE: u8 = u8::MAX;

/// One field.
pub(super) struct Field {
    /// What stands before the value: a comma, the name, and of what is quoted a quote.
    pub(super) key: Key,
    /// Where in `unset` it begins.
    pub(super) unset: usize,
    /// What it is.
    pub(super) value: Value,
}

const KEY_BYTES: usize = 32;

/// As long as the longest, since a copy whose length is known takes two instructions.
pub(super) struct Key {
    bytes: [u8; KEY_BYTES],
    len: usize,
}

/// Of a text, which must not be longer than keys are: else it does not compile.
pub(super) const fn key(text: &str) -> Key {
    let (mut bytes, mut at) = ([0; KEY_BYTES], 0);
    while at < text.len() {
        bytes[at] = text.as_bytes()[at];
        at += 1;
    }
    Key { bytes, len: text.len() }
}

/// What a field is.
pub(super) enum Value {
    Bool,
    /// A number of 32 bits,
    Short,
    /// and of 64, which JSON has as text.
    Long,
    Signed,
    ZigZag,
    Double,
    Text,
    Bytes,
    /// An enum.
    Word(&'static [&'static str]),
    Message(&'static Message),
    Texts,
    Messages(&'static Message),
}

impl Value {
    /// How it lies on the wire.
    const fn form(&self) -> u64 {
        match self {
            Self::Bool | Self::Short | Self::Long | Self::Signed | Self::ZigZag | Self::Word(_) => 0,
            Self::Double => 1,
            Self::Text | Self::Bytes | Self::Message(_) | Self::Texts | Self::Messages(_) => 2,
        }
    }
}

impl Message {
    /// Appends what is on the wire. None: it is nothing that the tables know, and some of it is appended.
    pub(super) fn write(&self, mut wire: Wire<'_>, out: &mut Vec<u8>) -> Option<()> {
        let (start, mut next, mut chosen) = (out.len(), 0, None);
        while !wire.0.is_empty() {
            let key = wire.varint()?;
            let at = usize::from(*self.places.get(usize::try_from(key >> 3).ok()?)?);
            let field = self.fields.get(at).filter(|field| field.value.form() == key & 7)?;
            if at >= self.alone {
                // All that can be chosen from is messages: see below.
                let of = (field, Wire(wire.long()?));
                if chosen.replace(of).is_some() {
                    return None;
                }
                continue;
            }
            self.write_unset((next, at), out)?;
            field.key.write(out);
            field.write(key, &mut wire, out)?;
            next = at + 1;
        }
        self.write_unset((next, self.alone), out)?;
        if let Some((field, content)) = chosen {
            let Value::Message(message) = field.value else { return None };
            field.key.write(out);
            message.write(content, out)?;
        }
        close(start, *b"{}", out);
        Some(())
    }

    /// Fields from, up to; none: they go backwards.
    #[inline]
    fn write_unset(&self, (from, to): (usize, usize), out: &mut Vec<u8>) -> Option<()> {
        if from == to {
            return Some(());
        }
        let unset = self.unset.get(self.fields.get(from)?.unset..self.fields.get(to)?.unset).filter(|_| from < to)?;
        out.extend_from_slice(unset);
        Some(())
    }
}

/// What began at `start` has a comma before each of its parts: the first becomes the opening.
#[inline]
fn close(start: usize, [opening, closing]: [u8; 2], out: &mut Vec<u8>) {
    match out.get_mut(start) {
        Some(comma) => *comma = opening,
        None => out.push(opening),
    }
    out.push(closing);
}

impl Key {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        let whole = out.len() + self.len;
        out.extend_from_slice(&self.bytes);
        out.truncate(whole);
    }
}

impl Field {
    /// Appends its value; of what is repeated all, which follow each other with this key.
    #[inline]
    fn write(&self, key: u64, wire: &mut Wire<'_>, out: &mut Vec<u8>) -> Option<()> {
        match &self.value {
            Value::Short => text::number(u64::from(u32::try_from(wire.varint()?).ok()?), [], out),
            Value::Long => text::number(wire.varint()?, *b"\"", out),
            Value::Signed => signed(wire.varint()?.cast_signed(), out),
            Value::ZigZag => {
                let value = wire.varint()?;
                signed((value >> 1).cast_signed() ^ -(value & 1).cast_signed(), out);
            }
            Value::Double => text::double(wire.double()?, out)?,
            Value::Bool => out.extend_from_slice(if wire.varint()? == 0 { b"false" } else { b"true" }),
            Value::Word(words) => {
                out.extend_from_slice(words.get(usize::try_from(wire.varint()?).ok()?)?.as_bytes());
                out.push(b'"');
            }
            Value::Text => write_text(wire, out)?,
            Value::Bytes => {
                text::base64(wire.long()?, out);
                out.push(b'"');
            }
            Value::Message(message) => message.write(Wire(wire.long()?), out)?,
            Value::Messages(message) => each((key, wire), out, |wire, out| message.write(Wire(wire.long()?), out))?,
            Value::Texts => each((key, wire), out, |wire, out| {
                out.push(b'"');
                write_text(wire, out)
            })?,
        }
        Some(())
    }
}

fn signed(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    text::number(value.unsigned_abs(), *b"\"", out);
}

/// Text and the quote behind it.
#[inline]
fn write_text(wire: &mut Wire<'_>, out: &mut Vec<u8>) -> Option<()> {
    let len = usize::try_from(wire.varint()?).ok()?;
    let from = wire.0;
    let text = wire.take(len)?;
    if text::is_plain(text) {
        text::copy(from, len, out);
        out.push(b'"');
        return Some(());
    }
    // That brings its own quotes.
    out.pop();
    serde_json::to_writer(out, std::str::from_utf8(text).ok()?).ok()
}

/// A list of what has this key.
#[inline]
fn each<'a>(
    (key, wire): (u64, &mut Wire<'a>),
    out: &mut Vec<u8>,
    mut write: impl FnMut(&mut Wire<'a>, &mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    let start = out.len();
    loop {
        out.push(b',');
        write(wire, out)?;
        let mut behind = *wire;
        if behind.varint() != Some(key) {
            close(start, *b"[]", out);
            return Some(());
        }
        *wire = behind;
    }
}
