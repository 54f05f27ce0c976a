//! A flow message on the wire as one line of JSON: the very line that the flow itself would have been written as.

use super::chosen::LeftOut;
use super::flow::Address;
use super::json::Json;
use super::message::Form as _;
use super::schema::{Schema, Shape};

/// What stands behind a field's key.
#[derive(Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// A message without the length before it; `None`: it is not so long.
pub fn unframed(framed: &[u8]) -> Option<&[u8]> {
    let mut c = Wire(framed);
    let bytes = usize::try_from(c.varint()?).ok()?;
    (c.0.len() == bytes).then_some(c.0)
}

/// Appends the line and its end. False: the bytes are no message, and nothing is appended.
///
/// Fields that are not in the schema are left out; so are zeros of those that nobody chose to write.
pub fn json_of(message: &[u8], left_out: LeftOut, out: &mut Vec<u8>) -> bool {
    let (schema, mut found, mut c) = (Schema::get(), Vec::with_capacity(40), Wire(message));
    while !c.0.is_empty() {
        let Some((number, value)) = c.field() else { return false };
        found.extend(schema.of_number(number).map(|column| (column, value)));
    }
    // They are in that order already where we wrote them.
    found.sort_by_key(|(column, _)| *column);
    let (mut json, mut rest) = (Json::begin(out), found.as_slice());
    for (at, column) in schema.columns.iter().enumerate() {
        let (own, behind) = rest.split_at(rest.partition_point(|(column, _)| *column <= at));
        rest = behind;
        if own.is_empty() && left_out.has(column.number) {
            continue;
        }
        write(&mut json, (column.number, column.name, column.shape), own);
    }
    json.end();
    out.push(b'\n');
    true
}

/// One field, of which these values came: of one that is not repeated the last counts.
fn write(json: &mut Json<'_>, (number, name, shape): (u32, &'static str, Shape), values: &[(usize, Value<'_>)]) {
    let last = match values.last() {
        Some((_, Value::Number(n))) => *n,
        _ => 0,
    };
    let addresses = || values.iter().filter_map(|(_, value)| if let Value::Bytes(bytes) = value { Some(Address::of(bytes)) } else { None });
    let texts =
        || values.iter().filter_map(|(_, value)| if let Value::Bytes(bytes) = value { Some(String::from_utf8_lossy(bytes)) } else { None });
    match shape {
        Shape::Word(words) => json.word(number, name, usize::try_from(last).unwrap_or(usize::MAX), words),
        Shape::Number => json.number(number, name, low(last)),
        Shape::Wide(always) => json.wide(number, name, last, always),
        Shape::Mac => json.mac(number, name, last),
        Shape::Address => json.address(number, name, &addresses().next_back().unwrap_or(Address::NONE)),
        Shape::Text => json.text(number, name, &texts().next_back().unwrap_or_default()),
        Shape::Numbers => json.numbers(number, name, numbers(values).into_iter()),
        Shape::Words(word) => {
            let values: Vec<u8> = numbers(values).into_iter().map(|n| u8::try_from(n).unwrap_or(u8::MAX)).collect();
            json.words(number, name, values.into_iter(), word);
        }
        Shape::Addresses => json.addresses(number, name, &addresses().collect::<Vec<_>>()),
    }
}

/// Of a repeated field, packed or not.
fn numbers(values: &[(usize, Value<'_>)]) -> Vec<u32> {
    let mut numbers = Vec::new();
    for (_, value) in values {
        match value {
            Value::Number(n) => numbers.push(low(*n)),
            Value::Bytes(bytes) => {
                let mut c = Wire(bytes);
                numbers.extend(std::iter::from_fn(|| c.varint()).map(low));
            }
        }
    }
    numbers
}

/// As a decoder of protobuf takes a `uint32`.
#[allow(clippy::cast_possible_truncation, reason = "the low half is what counts")]
const fn low(value: u64) -> u32 {
    value as u32
}

/// Reads protobuf, and never beyond the end.
struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u32, Value<'a>)> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let bytes = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(bytes)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((number, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::{Added, Chosen, Flow, Message, json, protobuf};
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    /// A flow of random fields, each absent as often as not.
    fn flow(dice: &mut ChaCha8Rng) -> Flow {
        let mut flow = Flow::default();
        let mut n = || if dice.next_u32().is_multiple_of(2) { 0 } else { dice.next_u64() >> (dice.next_u32() % 64) };
        let address = |n: u64| match n % 3 {
            0 => Address::NONE,
            1 => Address::of(&n.to_be_bytes()[4..]),
            _ => Address::of(&[n.to_be_bytes(), n.to_le_bytes()].concat()),
        };
        let f = &mut flow.fields;
        (f.time_received_ns, f.bytes, f.packets, f.sampling_rate, f.src_mac) = (n(), n(), n(), n(), n() >> 16);
        (f.src_addr, f.dst_addr, f.sampler_address, f.next_hop) = (address(n()), address(n()), address(n()), address(n()));
        (f.src_port, f.proto, f.src_as, f.direction, f.out_if_count) = (low(n()), low(n()), low(n()), low(n()), low(n()));
        let lists = &mut flow.lists;
        lists.as_path.extend((0..n() % 5).map(low));
        lists.mpls_ip.extend((1..n() % 4).map(address).filter(|address| *address != Address::NONE));
        (0..n() % 6).for_each(|_| lists.layers.push((u8::try_from(n() % 14).unwrap(), low(n()))));
        flow
    }

    #[test]
    fn the_wire_reads_as_the_flow_would() {
        let mut dice = ChaCha8Rng::seed_from_u64(31);
        for _ in 0..5_000 {
            let flow = flow(&mut dice);
            let (mut wire, mut framed, mut own, mut read) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            protobuf::write(&flow, &mut wire);
            protobuf::write_framed(&flow, &mut Vec::new(), &mut framed);
            json::write(&flow, &mut own);
            assert_eq!(unframed(&framed), Some(&wire[..]));
            assert!(json_of(&wire, LeftOut::default(), &mut read));
            assert_eq!(String::from_utf8(read).unwrap(), String::from_utf8(own).unwrap());
            // Cut, or of random bytes, it is refused or read: it never panics, and what is refused leaves nothing.
            let cut = dice.next_u32() as usize % (wire.len() + 1);
            if let Some(byte) = wire.get_mut(cut) {
                *byte = byte.wrapping_add(1);
            }
            let mut other = Vec::new();
            assert!(json_of(&wire[..cut], LeftOut::default(), &mut other) || other.is_empty());
            json_of(&wire, LeftOut::default(), &mut other);
            assert_eq!(unframed(&framed[..framed.len() - 1]), None);
        }
    }

    /// What a stream does not write is no zero.
    #[test]
    fn the_wire_reads_as_its_stream_would_write_it() {
        let mut dice = ChaCha8Rng::seed_from_u64(32);
        let numbers: Vec<u32> = Schema::get().columns.iter().map(|column| column.number).collect();
        for _ in 0..2_000 {
            let flow = flow(&mut dice);
            let is_kept = dice.next_u32().is_multiple_of(2);
            let some = numbers.iter().copied().filter(|_| dice.next_u32().is_multiple_of(2));
            let chosen = if is_kept { Chosen::only(some) } else { Chosen::without(some) };
            let message = Message { flow: &flow, added: &Added::NONE, chosen: Some(&chosen) };
            let (mut wire, mut own, mut read) = (Vec::new(), Vec::new(), Vec::new());
            protobuf::write_message(&message, &mut wire);
            json::write_message(&message, &mut own);
            let left_out = LeftOut::from_bits(LeftOut::of(Some(&chosen)).bits());
            assert!(json_of(&wire, left_out, &mut read) && left_out.bits() < 16);
            assert_eq!(String::from_utf8(read).unwrap(), String::from_utf8(own).unwrap());
        }
        let is_always = |shape| matches!(shape, Shape::Wide(true));
        let always = Schema::get().columns.iter().filter(|column| column.number == 1 || is_always(column.shape));
        let mut always: Vec<u32> = always.map(|column| column.number).collect();
        always.sort_unstable();
        assert_eq!((always, LeftOut::of(None)), (crate::flows::chosen::ALWAYS.to_vec(), LeftOut::default()));
    }
}
