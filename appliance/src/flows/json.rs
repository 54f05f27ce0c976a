//! A flow as one line of JSON: names as in `flow.proto`, 64-bit integers as strings, addresses and MACs as text.

use std::io::Write as _;

use super::flow::{Address, Flow};
use super::message::{self, Form, Message};

/// Appends the line and its end.
pub fn write(flow: &Flow, out: &mut Vec<u8>) {
    write_message(&Message::plain(flow), out);
}

/// The same, of what was added and chosen.
pub fn write_message(message: &Message<'_>, out: &mut Vec<u8>) {
    write_bare(message, out);
    out.push(b'\n');
}

/// Appends the line without its end.
pub fn write_bare(message: &Message<'_>, out: &mut Vec<u8>) {
    let mut json = Json::begin(out);
    message::write(message, &mut json);
    json.end();
}

pub(super) struct Json<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Json<'a> {
    /// A line begins.
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// It ends, but for its line end.
    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

impl Json<'_> {
    fn name(&mut self, name: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    fn digits(&mut self, mut value: u64) {
        let mut text = [0u8; 20];
        let mut at = text.len();
        loop {
            at -= 1;
            if let Some(place) = text.get_mut(at) {
                *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
            }
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.out.extend_from_slice(text.get(at..).unwrap_or(&[]));
    }

    fn list<T>(&mut self, values: impl Iterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.out.push(b'[');
        for (i, value) in values.enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            write(self, value);
        }
        self.out.push(b']');
    }

    fn ip(&mut self, value: &Address) {
        self.out.push(b'"');
        if let Some(ip) = value.ip() {
            // Writing into memory cannot fail.
            let _ = write!(self.out, "{ip}");
        }
        self.out.push(b'"');
    }
}

impl Form for Json<'_> {
    fn word(&mut self, number: u32, name: &str, value: usize, words: &[&str]) {
        if value == 0 && number != 1 {
            return;
        }
        self.name(name);
        self.quoted(words.get(value).copied().unwrap_or(""));
    }

    fn number(&mut self, _: u32, name: &str, value: u32) {
        if value != 0 {
            self.name(name);
            self.digits(u64::from(value));
        }
    }

    fn wide(&mut self, _: u32, name: &str, value: u64, always: bool) {
        if value != 0 || always {
            self.name(name);
            self.out.push(b'"');
            self.digits(value);
            self.out.push(b'"');
        }
    }

    fn mac(&mut self, _: u32, name: &str, value: u64) {
        if value != 0 {
            let [_, _, a, b, c, d, e, f] = value.to_be_bytes();
            self.name(name);
            let _ = write!(self.out, "\"{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}\"");
        }
    }

    fn address(&mut self, _: u32, name: &str, value: &Address) {
        if !value.bytes().is_empty() {
            self.name(name);
            self.ip(value);
        }
    }

    fn text(&mut self, _: u32, name: &str, value: &str) {
        if !value.is_empty() {
            self.name(name);
            // Writing into memory cannot fail, nor can a text be no JSON.
            let _ = serde_json::to_writer(&mut *self.out, value);
        }
    }

    fn numbers(&mut self, _: u32, name: &str, values: impl ExactSizeIterator<Item = u32> + Clone) {
        if values.len() > 0 {
            self.name(name);
            self.list(values, |json, value| json.digits(u64::from(value)));
        }
    }

    fn words(&mut self, _: u32, name: &str, values: impl ExactSizeIterator<Item = u8> + Clone, word: fn(u8) -> &'static str) {
        if values.len() > 0 {
            self.name(name);
            self.list(values, |json, value| json.quoted(word(value)));
        }
    }

    fn addresses(&mut self, _: u32, name: &str, values: &[Address]) {
        if !values.is_empty() {
            self.name(name);
            self.list(values.iter(), |json, value| json.ip(value));
        }
    }
}
