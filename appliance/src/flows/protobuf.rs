//! A flow as protobuf, straight into a buffer: what prost makes of the same message, without an allocation for each address.

use super::flow::{Address, Flow};
use super::message::{self, Form, Message};

/// Appends the message, bare.
pub fn write(flow: &Flow, out: &mut Vec<u8>) {
    write_message(&Message::plain(flow), out);
}

/// The same, of what was added and chosen.
pub fn write_message(message: &Message<'_>, out: &mut Vec<u8>) {
    message::write(message, &mut Wire(out));
}

/// Appends the message with its length before it, as GoFlow2 frames it.
pub fn write_framed(flow: &Flow, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    write_message_framed(&Message::plain(flow), scratch, out);
}

/// The same, of what was added and chosen.
pub fn write_message_framed(message: &Message<'_>, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    scratch.clear();
    write_message(message, scratch);
    varint(scratch.len() as u64, out);
    out.extend_from_slice(scratch);
}

struct Wire<'a>(&'a mut Vec<u8>);

const VARINT: u32 = 0;
const BYTES: u32 = 2;

#[allow(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

const fn varint_bytes(value: u64) -> u64 {
    let bits = 64 - (value | 1).leading_zeros() as u64;
    bits.div_ceil(7)
}

impl Wire<'_> {
    fn tag(&mut self, number: u32, kind: u32) {
        varint(u64::from(number << 3 | kind), self.0);
    }

    /// proto3 packs repeated numbers.
    fn packed(&mut self, number: u32, values: impl ExactSizeIterator<Item = u64> + Clone) {
        if values.len() == 0 {
            return;
        }
        self.tag(number, BYTES);
        varint(values.clone().map(varint_bytes).sum(), self.0);
        values.for_each(|value| varint(value, self.0));
    }

    fn bytes(&mut self, number: u32, value: &[u8]) {
        self.tag(number, BYTES);
        varint(value.len() as u64, self.0);
        self.0.extend_from_slice(value);
    }
}

impl Form for Wire<'_> {
    fn word(&mut self, number: u32, name: &'static str, value: usize, _: &[&str]) {
        self.wide(number, name, value as u64, false);
    }

    fn number(&mut self, number: u32, name: &'static str, value: u32) {
        self.wide(number, name, u64::from(value), false);
    }

    fn wide(&mut self, number: u32, _: &str, value: u64, _: bool) {
        if value != 0 {
            self.tag(number, VARINT);
            varint(value, self.0);
        }
    }

    fn mac(&mut self, number: u32, name: &'static str, value: u64) {
        self.wide(number, name, value, false);
    }

    fn address(&mut self, number: u32, _: &str, value: &Address) {
        if !value.bytes().is_empty() {
            self.bytes(number, value.bytes());
        }
    }

    fn text(&mut self, number: u32, _: &str, value: &str) {
        if !value.is_empty() {
            self.bytes(number, value.as_bytes());
        }
    }

    fn numbers(&mut self, number: u32, _: &str, values: impl ExactSizeIterator<Item = u32> + Clone) {
        self.packed(number, values.map(u64::from));
    }

    fn words(&mut self, number: u32, _: &str, values: impl ExactSizeIterator<Item = u8> + Clone, _: fn(u8) -> &'static str) {
        self.packed(number, values.map(u64::from));
    }

    fn addresses(&mut self, number: u32, _: &str, values: &[Address]) {
        values.iter().for_each(|value| self.bytes(number, value.bytes()));
    }
}
