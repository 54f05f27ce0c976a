//! The key of a flow message: fields of it as text, as in JSON without quotes, joined by `|`.

use std::io::Write as _;

use super::flow::Address;
use super::message::{self, Form, Message};
use super::schema::Schema;

/// Makes keys. What it needs it keeps: a key allocates nothing.
#[derive(Debug)]
pub struct Key {
    /// Numbers of the fields.
    fields: Vec<u32>,
    texts: Vec<Vec<u8>>,
    /// The exporter alone is the key, and this is the one whose text is there.
    last: Option<Address>,
    is_sampler: bool,
}

/// Number of `sampler_address`.
const SAMPLER: u32 = 11;

impl Key {
    /// Of the fields of these names; what is none is left out.
    pub fn new(names: &[&str]) -> Self {
        let columns = &Schema::get().columns;
        let number = |name: &&str| columns.iter().find(|column| column.name == *name).map(|column| column.number);
        let fields: Vec<u32> = names.iter().filter_map(number).collect();
        Self { texts: vec![Vec::new(); fields.len().max(1)], last: None, is_sampler: fields == [SAMPLER], fields }
    }

    /// Appends the key of a flow.
    pub fn write(&mut self, message: &Message<'_>, out: &mut Vec<u8>) {
        let sampler = message.flow.fields.sampler_address;
        if !self.is_sampler || self.last != Some(sampler) {
            self.texts.iter_mut().for_each(Vec::clear);
            let mut texts = Texts { fields: &self.fields, texts: &mut self.texts };
            if self.is_sampler {
                texts.address(SAMPLER, "", &sampler);
                self.last = Some(sampler);
            } else {
                // What is not written may be part of the key all the same.
                message::write(&Message { chosen: None, ..*message }, &mut texts);
            }
        }
        for (at, text) in self.texts.iter().enumerate() {
            if at > 0 {
                out.push(b'|');
            }
            out.extend_from_slice(text);
        }
    }
}

struct Texts<'a> {
    fields: &'a [u32],
    texts: &'a mut [Vec<u8>],
}

impl Texts<'_> {
    fn put(&mut self, number: u32, value: impl std::fmt::Display) {
        let of_field = self.fields.iter().zip(self.texts.iter_mut()).filter(|(field, _)| **field == number);
        // Writing into memory cannot fail.
        of_field.for_each(|(_, text)| drop(write!(text, "{value}")));
    }

    fn list(&mut self, number: u32, values: impl Iterator<Item: std::fmt::Display>) {
        if !self.fields.contains(&number) {
            return;
        }
        for (at, value) in values.enumerate() {
            if at > 0 {
                self.put(number, ',');
            }
            self.put(number, value);
        }
    }
}

impl Form for Texts<'_> {
    fn word(&mut self, number: u32, _: &'static str, value: usize, words: &'static [&'static str]) {
        self.put(number, words.get(value).copied().unwrap_or(""));
    }

    fn number(&mut self, number: u32, _: &'static str, value: u32) {
        self.put(number, value);
    }

    fn wide(&mut self, number: u32, _: &'static str, value: u64, _: bool) {
        self.put(number, value);
    }

    fn mac(&mut self, number: u32, _: &'static str, value: u64) {
        let [_, _, a, b, c, d, e, f] = value.to_be_bytes();
        self.put(number, format_args!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"));
    }

    fn address(&mut self, number: u32, _: &'static str, value: &Address) {
        if let Some(ip) = value.ip() {
            self.put(number, ip);
        }
    }

    fn text(&mut self, number: u32, _: &'static str, value: &str) {
        self.put(number, value);
    }

    fn numbers(&mut self, number: u32, _: &'static str, values: impl ExactSizeIterator<Item = u32> + Clone) {
        self.list(number, values);
    }

    fn words(&mut self, number: u32, _: &'static str, values: impl ExactSizeIterator<Item = u8> + Clone, word: fn(u8) -> &'static str) {
        self.list(number, values.map(word));
    }

    fn addresses(&mut self, number: u32, _: &'static str, values: &[Address]) {
        self.list(number, values.iter().filter_map(Address::ip));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::Flow;

    #[test]
    fn fields_are_text_in_the_order_asked_for() {
        let mut flow = Flow::default();
        (flow.fields.sampler_address, flow.fields.src_port, flow.fields.src_mac) = (Address::of(&[192, 0, 2, 1]), 53, 0x0102_0304_0506);
        flow.lists.as_path.extend([64_500, 64_501]);
        let of = |names: &[&str], flow: &Flow| {
            let (mut key, mut out) = (Key::new(names), Vec::new());
            key.write(&Message::plain(flow), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(of(&["sampler_address"], &flow), "192.0.2.1");
        let several = ["src_port", "as_path", "sampler_address", "src_mac", "dst_addr", "type", "dst_port"];
        assert_eq!(of(&several, &flow), "53|64500,64501|192.0.2.1|01:02:03:04:05:06||FLOWUNKNOWN|0");
        let (mut key, mut out) = (Key::new(&["sampler_address"]), Vec::new());
        for exporter in [[192, 0, 2, 1], [192, 0, 2, 1], [192, 0, 2, 2]] {
            flow.fields.sampler_address = Address::of(&exporter);
            key.write(&Message::plain(&flow), &mut out);
        }
        assert_eq!(out, b"192.0.2.1192.0.2.1192.0.2.2");
    }
}
