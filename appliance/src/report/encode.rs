//! Reports of ranges as protobuf, in one pass: the bytes that `prost` makes of them.
//!
//! What stands in a message has its length before it, and in a report messages stand five deep: `prost` asks the innermost for its length
//! once for each that is around it. Here the content is written first, and its length into the place that was left for it.

use std::cell::Cell;

use prost::encoding::{self, WireType};

use super::pb;

/// More than any usual report has: memory that one needed that is longer is not kept.
const KEPT_BYTES: usize = 1 << 20;

thread_local! {
    /// Where a report is written before its length is known.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What [`prost::Message::encode_to_vec`] makes of it.
pub fn encode(report: &pb::RangeReport) -> Box<[u8]> {
    let mut out = SCRATCH.take();
    out.clear();
    head(report, &mut out);
    report.stats.iter().for_each(|of| nested(16, &mut out, |out| stat(of, out)));
    tail(report, &mut out);
    let encoded = Box::from(&*out);
    if out.capacity() <= KEPT_BYTES {
        SCRATCH.set(out);
    }
    encoded
}

/// Fields before the stats.
fn head(of: &pb::RangeReport, out: &mut Vec<u8>) {
    number(1, u64::from(of.schema_version), out);
    text(2, &of.appliance, out);
    text(3, &of.pop, out);
    number(4, of.boot_id, out);
    number(5, of.sequence, out);
    number(6, of.window_start_ns, out);
    number(7, of.window_end_ns, out);
    word(8, of.window_kind, out);
    word(9, of.scope, out);
    text(10, &of.prefix, out);
    text(11, &of.customer, out);
    encoding::message::encode_repeated(12, &of.labels, out);
    text(13, &of.config_hash, out);
    text(14, &of.hash_key_id, out);
    rare(15, of.incomplete.as_ref(), out);
}

/// Fields behind them.
fn tail(of: &pb::RangeReport, out: &mut Vec<u8>) {
    text(17, &of.domain, out);
    number(18, u64::from(of.idle), out);
    rare(19, of.part.as_ref(), out);
    number(20, of.kind_sequence, out);
    encoding::string::encode_repeated(21, &of.stats_left_out, out);
}

fn stat(of: &pb::Stat, out: &mut Vec<u8>) {
    text(1, &of.name, out);
    text(2, &of.calculation, out);
    text(3, &of.key, out);
    text(4, &of.metric, out);
    text(5, &of.decision, out);
    text(6, &of.direction, out);
    match &of.figure {
        Some(pb::stat::Figure::Total(of)) => Short::of(|to| to.estimate(10, Some(of))).write(out),
        Some(pb::stat::Figure::Histogram(of)) => nested(11, out, |out| of.bins.iter().for_each(|of| nested(1, out, |out| bin(of, out)))),
        Some(pb::stat::Figure::Top(of)) => nested(12, out, |out| top(of, out)),
        Some(pb::stat::Figure::Distinct(of)) => rare(13, Some(of), out),
        Some(pb::stat::Figure::Quantiles(of)) => rare(14, Some(of), out),
        Some(pb::stat::Figure::Entropy(of)) => rare(15, Some(of), out),
        Some(pb::stat::Figure::NewKeys(of)) => rare(16, Some(of), out),
        None => {}
    }
    if let Some(sum) = &of.sufficient {
        nested(20, out, |out| Short::of(|to| to.sum(sum)).write(out));
    }
    rare(21, of.peak.as_ref(), out);
    text(30, &of.source, out);
    if let Some(bytes) = &of.reduced_from_bytes {
        encoding::uint64::encode(31, bytes, out);
    }
}

fn bin(of: &pb::Bin, out: &mut Vec<u8>) {
    Short::of(|to| {
        to.optional_double(1, of.low);
        to.optional_double(2, of.high);
    })
    .write(out);
    if let Some(label) = &of.label {
        encoding::string::encode(3, label, out);
    }
    Short::of(|to| {
        to.estimate(4, of.value.as_ref());
        to.weighted(5, of.sufficient.as_ref());
    })
    .write(out);
}

fn top(of: &pb::Top, out: &mut Vec<u8>) {
    of.entries.iter().for_each(|of| nested(1, out, |out| entry(of, out)));
    Short::of(|to| {
        to.double(2, of.coverage);
        to.estimate(3, of.all.as_ref());
    })
    .write(out);
    of.reserve.iter().for_each(|of| nested(4, out, |out| entry(of, out)));
    Short::of(|to| {
        to.number(5, of.absent_high_passed);
        to.number(6, of.absent_high_scaled);
        to.number(7, of.absent_high_sampled_packets);
        to.weighted(8, of.all_sufficient.as_ref());
        to.number(9, u64::from(of.thinned));
        to.number(10, u64::from(of.short_of_memory));
        to.number(11, u64::from(of.order_proven));
        to.number(12, u64::from(of.pairs_level));
        to.number(13, u64::from(of.shed_weight));
    })
    .write(out);
}

fn entry(of: &pb::TopEntry, out: &mut Vec<u8>) {
    text(1, &of.key, out);
    Short::of(|to| {
        to.estimate(2, of.value.as_ref());
        to.weighted(3, of.sufficient.as_ref());
        to.number(4, of.unseen_passed);
        to.number(5, of.unseen_scaled);
        to.number(6, of.unseen_sampled_packets);
    })
    .write(out);
    if !of.pairs.is_empty() {
        encoding::bytes::encode(7, &of.pairs, out);
    }
}

/// A message that is not short: its length comes to stand before it when it is there.
fn nested(number: u32, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    encoding::encode_key(number, WireType::LengthDelimited, out);
    let at = out.len();
    out.push(0);
    fill(out);
    let len = out.len() - at - 1;
    let more = encoding::encoded_len_varint(len as u64) - 1;
    if more > 0 {
        out.extend_from_slice(&[0; 9][..more]);
        out.copy_within(at + 1..at + 1 + len, at + 1 + more);
    }
    encoding::encode_varint(len as u64, &mut &mut out[at..=at + more]);
}

fn text(number: u32, of: &String, out: &mut Vec<u8>) {
    if !of.is_empty() {
        encoding::string::encode(number, of, out);
    }
}

fn number(number: u32, of: u64, out: &mut Vec<u8>) {
    if of != 0 {
        encoding::uint64::encode(number, &of, out);
    }
}

fn word(number: u32, of: i32, out: &mut Vec<u8>) {
    if of != 0 {
        encoding::int32::encode(number, &of, out);
    }
}

fn rare(number: u32, of: Option<&impl prost::Message>, out: &mut Vec<u8>) {
    of.into_iter().for_each(|of| encoding::message::encode(number, of, out));
}

/// Fields of numbers, few enough for a length of one byte each: 31 bytes of an estimate, 88 of a sum, 33 of what was not seen, and heads.
const SHORT_BYTES: usize = 256;

/// Written here first, where nobody asks for room.
struct Short {
    bytes: [u8; SHORT_BYTES],
    len: usize,
}

impl Short {
    #[inline]
    fn of(fill: impl FnOnce(&mut Self)) -> Self {
        let mut short = Self { bytes: [0; SHORT_BYTES], len: 0 };
        fill(&mut short);
        short
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[..self.len]);
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        debug_assert!(self.len < SHORT_BYTES, "SHORT_BYTES is too small");
        self.bytes[self.len % SHORT_BYTES] = byte;
        self.len += 1;
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "seven bits at a time")]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    /// Of a field below 16.
    #[inline]
    fn key(&mut self, number: u8, form: WireType) {
        self.push(number << 3 | form as u8);
    }

    #[inline]
    fn number(&mut self, number: u8, value: u64) {
        if value != 0 {
            self.key(number, WireType::Varint);
            self.varint(value);
        }
    }

    #[inline]
    fn double(&mut self, number: u8, value: f64) {
        self.optional_double(number, Some(value).filter(|value| *value != 0.0));
    }

    #[inline]
    fn optional_double(&mut self, number: u8, value: Option<f64>) {
        if let Some(value) = value {
            self.key(number, WireType::SixtyFourBit);
            value.to_le_bytes().into_iter().for_each(|byte| self.push(byte));
        }
    }

    #[inline]
    fn nested(&mut self, number: u8, fill: impl FnOnce(&mut Self)) {
        self.key(number, WireType::LengthDelimited);
        let at = self.len;
        self.push(0);
        fill(self);
        debug_assert!(self.len - at - 1 < 0x80, "a length of one byte");
        self.bytes[at % SHORT_BYTES] = u8::try_from(self.len - at - 1).unwrap_or(u8::MAX);
    }

    #[inline]
    fn estimate(&mut self, number: u8, of: Option<&pb::Estimate>) {
        let Some(of) = of else { return };
        self.nested(number, |to| {
            to.double(1, of.value);
            to.double(2, of.low);
            to.optional_double(3, of.high);
            // A negative number has ten bytes, as of an `int32`.
            to.number(4, i64::from(of.basis).cast_unsigned());
            to.number(5, i64::from(of.confidence).cast_unsigned());
        });
    }

    #[inline]
    fn weighted(&mut self, number: u8, of: Option<&pb::WeightedSum>) {
        if let Some(of) = of {
            self.nested(number, |to| to.sum(of));
        }
    }

    #[inline]
    fn sum(&mut self, of: &pb::WeightedSum) {
        self.number(1, of.passed);
        self.number(2, of.sampled_packets);
        self.number(3, of.scaled);
        self.number(4, of.variance_high);
        self.number(5, of.variance_low);
        self.number(6, of.largest);
        self.number(7, of.unproven_packets);
        self.number(8, of.seen);
    }
}
