//! How records lie in open batches and in boxes: three words for the usual packet, and what else some stat reads.
//!
//! A [`Record`] holds all that any statistic may ask of a packet; a configuration asks for little of it. What nearly all
//! ask for has its place in every form; each other field is one row of [`EXTRAS`] and takes room only where a stat reads
//! it. Packing loses nothing that is read.

pub mod turned;

use crate::options::{IpOptions, TcpOptions};
use crate::record::{Fragment, Has, Record, Tunnel};
use crate::units::Epoch;

/// How wide a packed record is. A chain of segments has one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// IPv4, and a wire length of 17 bits: whatever an IP header may claim, with what is before it. So nobody who writes
    /// headers can turn a range's log wide.
    Narrow,
    /// Anything.
    Wide,
}

/// Words of the narrow form before its extras.
pub const NARROW_WORDS: usize = 3;
/// Among the bits of [`Has`], the one where the wire length's 17th stands: no flag has it.
const LONG_BIT: u16 = 1 << 15;
const _: () = assert!(Has::V6.0 < LONG_BIT);
/// Words of the wide form before its extras.
pub(super) const WIDE_WORDS: usize = 7;

/// A field that not every configuration reads.
struct Extra {
    bits: u32,
    get: fn(&Record) -> u64,
    set: fn(&mut Record, u64),
}

/// Every field of a record that has no place of its own. The widest first, so that no word is left half empty.
#[allow(clippy::cast_possible_truncation, reason = "each is read back out of as many bits as it was put into")]
const EXTRAS: &[Extra] = &[
    Extra { bits: 64, get: |r| r.time_ns, set: |r, bits| r.time_ns = bits },
    Extra { bits: 48, get: |r| mac_bits(r.src_mac), set: |r, bits| r.src_mac = mac(bits) },
    Extra { bits: 32, get: |r| u64::from(r.mpls_label), set: |r, bits| r.mpls_label = bits as u32 },
    Extra { bits: 32, get: |r| u64::from(r.rule), set: |r, bits| r.rule = bits as u32 },
    Extra { bits: 16, get: |r| u64::from(r.vlan), set: |r, bits| r.vlan = bits as u16 },
    Extra { bits: 16, get: |r| u64::from(r.inner_vlan), set: |r, bits| r.inner_vlan = bits as u16 },
    Extra { bits: 16, get: |r| u64::from(r.rx_port), set: |r, bits| r.rx_port = bits as u16 },
    Extra { bits: 16, get: |r| u64::from(r.tcp_options.0), set: |r, bits| r.tcp_options = TcpOptions(bits as u16) },
    Extra { bits: 16, get: |r| u64::from(r.ip_options.0), set: |r, bits| r.ip_options = IpOptions(bits as u16) },
    Extra { bits: 8, get: |r| u64::from(r.tcp_window), set: |r, bits| r.tcp_window = bits as u8 },
    Extra { bits: 8, get: |r| u64::from(r.tcp_seq), set: |r, bits| r.tcp_seq = bits as u8 },
    Extra { bits: 8, get: |r| r.tunnel as u64, set: |r, bits| r.tunnel = Tunnel::of(bits as u8) },
    Extra { bits: 8, get: |r| u64::from(r.link), set: |r, bits| r.link = bits as u8 },
];

/// Position of the time, which has a word of its own.
const TIME: u8 = 0;

/// Of what there are a few dozen at most, or 64.
fn few(n: usize) -> u8 {
    u8::try_from(n).unwrap_or(u8::MAX)
}

fn mac_bits(mac: [u8; 6]) -> u64 {
    mac.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

fn mac(bits: u64) -> [u8; 6] {
    let [_, _, mac @ ..] = bits.to_be_bytes();
    mac
}

/// Where an extra lies, behind the words that every record has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    extra: u8,
    word: u8,
    shift: u8,
}

/// Which fields are kept, and where. Small, since it is copied for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    places: [Place; EXTRAS.len()],
    /// Those that are kept.
    kept: u8,
    extra_words: u8,
}

impl Layout {
    /// Words of a record of any layout.
    pub const WORDS_MAX: usize = WIDE_WORDS + EXTRAS.len();

    /// Keeps every field.
    pub fn whole() -> Self {
        Self::with(|_| true)
    }

    /// Keeps what is read: `tells_apart` says whether some stat sees a difference between two records of one family.
    pub fn of(tells_apart: impl Fn(&Record, &Record) -> bool) -> Self {
        Self::with(|extra| Probe::all(extra).any(|(one, other)| tells_apart(&one, &other)))
    }

    fn with(keeps: impl Fn(&Extra) -> bool) -> Self {
        let mut places = Vec::new();
        let mut filled = Vec::<u32>::new();
        for (extra, row) in EXTRAS.iter().enumerate().filter(|(_, row)| keeps(row)) {
            let word = filled.iter().position(|bits| bits + row.bits <= u64::BITS).unwrap_or(filled.len());
            if word == filled.len() {
                filled.push(0);
            }
            let [extra, word_byte] = [extra, word].map(few);
            places.push(Place { extra, word: word_byte, shift: few(filled[word] as usize) });
            filled[word] += row.bits;
        }
        let mut layout = Self { places: [Place::default(); EXTRAS.len()], kept: few(places.len()), extra_words: few(filled.len()) };
        layout.places[..places.len()].copy_from_slice(&places);
        layout
    }

    /// Words of a record.
    #[inline]
    pub const fn words(&self, form: Form) -> usize {
        self.extra_words as usize
            + match form {
                Form::Narrow => NARROW_WORDS,
                Form::Wide => WIDE_WORDS,
            }
    }

    /// Writes a record into as many words as its form has.
    #[inline]
    pub fn pack(&self, record: &Record, form: Form, out: &mut [u64]) {
        let Some((head, rest)) = out.split_first_chunk_mut::<NARROW_WORDS>() else { return };
        *head = narrow(record);
        let rest = if form == Form::Narrow { rest } else { wider(record, rest) };
        if self.kept > 0 {
            self.pack_extras(record, rest);
        }
    }

    /// Whether nothing is kept but what every form has.
    #[inline]
    pub const fn is_bare(&self) -> bool {
        self.kept == 0
    }

    /// Writes what is kept of a record beside what every form has, behind it.
    pub fn pack_extras(&self, record: &Record, out: &mut [u64]) {
        out.fill(0);
        for place in self.kept() {
            out[usize::from(place.word)] |= (EXTRAS[usize::from(place.extra)].get)(record) << place.shift;
        }
    }

    /// Reads what [`Self::pack`] wrote; fields that are not kept are empty.
    #[inline]
    pub fn unpack(&self, words: &[u64], form: Form) -> Record {
        let mut r = Record::default();
        let Some((&[addresses, ports, small], rest)) = words.split_first_chunk::<NARROW_WORDS>() else { return r };
        put(&mut r.src, 0, addresses);
        put(&mut r.dst, 0, addresses >> 32);
        let [src_port, dst_port, wire, payload] = parted(ports);
        (r.src_port, r.dst_port) = (src_port, dst_port);
        r.payload_bytes = u32::from(payload);
        [r.protocol, r.ttl, r.tcp_flags, _, _, _, _, _] = small.to_le_bytes();
        let [_, tail, has, weight] = parted(small);
        (r.dscp, r.fragment) = ((tail >> 8) as u8 & 0x3F, Fragment::of((tail >> 14) as u8));
        r.wire_bytes = u32::from(wire) | u32::from(has & LONG_BIT) << 1;
        (r.has, r.weight) = (Has(has & !LONG_BIT), weight);
        let rest = if form == Form::Narrow { rest } else { widen(&mut r, rest) };
        for place in self.kept() {
            let extra = &EXTRAS[usize::from(place.extra)];
            (extra.set)(&mut r, rest[usize::from(place.word)] >> place.shift & (u64::MAX >> (u64::BITS - extra.bits)));
        }
        r
    }

    fn kept(&self) -> &[Place] {
        &self.places[..usize::from(self.kept)]
    }

    /// When each record of a batch was received, nanoseconds since 1970; of a layout that keeps no times, zero.
    pub fn times(&self, batch: &Batch<'_>, out: &mut Vec<u64>) {
        out.clear();
        let at = self.kept().iter().find(|place| place.extra == TIME).map(|place| usize::from(place.word));
        let rows = batch.words.chunks_exact(self.words(batch.form)).take(batch.len);
        let head = self.words(batch.form) - usize::from(self.extra_words);
        out.extend(rows.map(|words| at.map_or(0, |at| words[head + at])));
    }
}

impl Form {
    /// The narrowest that a record fits.
    #[inline]
    pub const fn of(record: &Record) -> Self {
        let narrow = !record.has.all(Has::V6) && (record.wire_bytes >> 1 | record.payload_bytes) >> 16 == 0;
        if narrow { Self::Narrow } else { Self::Wide }
    }
}

/// What every form begins with.
#[inline]
fn narrow(r: &Record) -> [u64; NARROW_WORDS] {
    let small = [r.protocol, r.ttl, r.tcp_flags, r.dscp | (r.fragment as u8) << 6];
    [
        u64::from(quarter(&r.src, 0)) | u64::from(quarter(&r.dst, 0)) << 32,
        joined([r.src_port, r.dst_port, low(r.wire_bytes), low(r.payload_bytes)]),
        u64::from(u32::from_le_bytes(small)) | u64::from(r.has.0 | long_bit(r.wire_bytes)) << 32 | u64::from(r.weight) << 48,
    ]
}

#[inline]
fn quarter(address: &[u8; 16], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&address[4 * at..4 * at + 4]);
    u32::from_le_bytes(bytes)
}

#[inline]
fn put(address: &mut [u8; 16], at: usize, word: u64) {
    let [a, b, c, d, ..] = word.to_le_bytes();
    address[4 * at..4 * at + 4].copy_from_slice(&[a, b, c, d]);
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the lower half is asked for")]
pub(super) const fn low(n: u32) -> u16 {
    n as u16
}

#[inline]
pub(super) const fn long_bit(wire_bytes: u32) -> u16 {
    low(wire_bytes >> 1) & LONG_BIT
}

#[inline]
pub(super) const fn joined([a, b, c, d]: [u16; 4]) -> u64 {
    a as u64 | (b as u64) << 16 | (c as u64) << 32 | (d as u64) << 48
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "sixteen bits each are asked for")]
const fn parted(word: u64) -> [u16; 4] {
    [word as u16, (word >> 16) as u16, (word >> 32) as u16, (word >> 48) as u16]
}

/// What the wide form adds: the rest of the addresses, and of lengths.
fn wider<'a>(r: &Record, out: &'a mut [u64]) -> &'a mut [u64] {
    let (more, rest) = out.split_at_mut((WIDE_WORDS - NARROW_WORDS).min(out.len()));
    for (at, word) in more.iter_mut().take(3).enumerate() {
        *word = u64::from(quarter(&r.src, at + 1)) | u64::from(quarter(&r.dst, at + 1)) << 32;
    }
    if let Some(word) = more.get_mut(3) {
        *word = u64::from(r.wire_bytes >> 16) | u64::from(r.payload_bytes >> 16) << 16;
    }
    rest
}

fn widen<'a>(r: &mut Record, words: &'a [u64]) -> &'a [u64] {
    let (more, rest) = words.split_at((WIDE_WORDS - NARROW_WORDS).min(words.len()));
    for (at, word) in more.iter().take(3).enumerate() {
        put(&mut r.src, at + 1, *word);
        put(&mut r.dst, at + 1, *word >> 32);
    }
    let [wire, payload, ..] = parted(more.get(3).copied().unwrap_or(0));
    r.wire_bytes |= u32::from(wire) << 16;
    r.payload_bytes |= u32::from(payload) << 16;
    rest
}

/// Pairs of records that differ in one extra alone: what tells them apart reads it.
struct Probe;

impl Probe {
    fn all(extra: &Extra) -> impl Iterator<Item = (Record, Record)> {
        let families = [Has(!Has::V6.0), Has(u16::MAX)];
        let bits = (0..extra.bits).map(|bit| 1_u64 << bit);
        let values = bits.chain([u64::MAX >> (u64::BITS - extra.bits)]).collect::<Vec<_>>();
        let set = extra.set;
        families.into_iter().flat_map(move |has| {
            let empty = Record { has, weight: 1, wire_bytes: 64, ..Record::default() };
            values.clone().into_iter().map(move |value| {
                let mut other = empty;
                set(&mut other, value);
                (empty, other)
            })
        })
    }
}

/// Up to 64 records of one range and epoch, packed, in their order.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Of all of them.
    pub form: Form,
    /// How many.
    pub len: usize,
    /// Their words.
    pub words: &'a [u64],
    /// No batch of its range and epoch comes behind it; the epoch that is open now.
    pub ends: Option<Epoch>,
}

impl Batch<'_> {
    /// Its records, in `out`.
    #[inline]
    pub fn unpack<'a>(&self, layout: &Layout, out: &'a mut [Record]) -> &'a [Record] {
        let rows = self.words.chunks_exact(layout.words(self.form)).take(self.len);
        rows.zip(out.iter_mut()).for_each(|(words, record)| *record = layout.unpack(words, self.form));
        &out[..self.len.min(out.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        /// Any record that parse and classify can make. Every field is named: a new one has to be packed too.
        fn any_record()(
            (src, dst, time_ns, mac) in any::<([u8; 16], [u8; 16], u64, [u8; 6])>(),
            (wire_bytes, payload_bytes) in prop_oneof![any::<(u16, u16)>().prop_map(|(a, b)| (a.into(), b.into())), (0..1_u32 << 17, 0..1_u32 << 16), any::<(u32, u32)>()],
            (src_port, dst_port, vlan, inner_vlan, weight, rx_port) in any::<(u16, u16, u16, u16, u16, u16)>(),
            (mpls_label, rule, has) in (any::<u32>(), any::<u32>(), 0..LONG_BIT),
            (protocol, ttl, tcp_flags) in any::<(u8, u8, u8)>(),
            (dscp, fragment, tunnel) in (0..64_u8, 0..3_u8, 0..10_u8),
            (tcp_options, ip_options, tcp_window, tcp_seq, link) in any::<(u16, u16, u8, u8, u8)>(),
        ) -> Record {
            let has = Has(has);
            let cut = |address: [u8; 16]| if has.all(Has::V6) { address } else { std::array::from_fn(|i| if i < 4 { address[i] } else { 0 }) };
            Record {
                src: cut(src), dst: cut(dst), time_ns, wire_bytes, payload_bytes, src_port, dst_port, vlan, inner_vlan,
                mpls_label, rule, src_mac: mac, weight, rx_port, has, protocol, ttl, dscp, tcp_flags,
                fragment: Fragment::of(fragment), tunnel: Tunnel::of(tunnel),
                tcp_options: TcpOptions(tcp_options), ip_options: IpOptions(ip_options), tcp_window, tcp_seq, link,
            }
        }
    }

    fn back(layout: &Layout, record: &Record, form: Form) -> Record {
        let mut words = vec![u64::MAX; layout.words(form)];
        layout.pack(record, form, &mut words);
        layout.unpack(&words, form)
    }

    proptest! {
        #[test]
        fn nothing_is_lost(record in any_record()) {
            let layout = Layout::whole();
            prop_assert_eq!(back(&layout, &record, Form::of(&record)), record);
            prop_assert_eq!(back(&layout, &record, Form::Wide), record);
        }

        /// Whatever of the extras is kept comes back; whatever is not is empty.
        #[test]
        fn what_is_kept_comes_back(record in any_record(), kept in any::<u16>()) {
            let at = |row: &Extra| EXTRAS.iter().position(|other| std::ptr::eq(row, other)).unwrap();
            let layout = Layout::with(|row| kept >> at(row) & 1 == 1);
            let mut want = record;
            EXTRAS.iter().filter(|row| kept >> at(row) & 1 == 0).for_each(|row| (row.set)(&mut want, 0));
            prop_assert_eq!(back(&layout, &record, Form::of(&record)), want);
        }
    }

    #[test]
    fn the_usual_packet_takes_24_bytes() {
        let layout = Layout::of(|one, other| one.src != other.src || one.wire_bytes != other.wire_bytes);
        assert_eq!((8 * layout.words(Form::Narrow), 8 * layout.words(Form::Wide)), (24, 56));
        let layout = Layout::of(|one, other| one.vlan != other.vlan || one.tunnel != other.tunnel);
        assert_eq!(8 * layout.words(Form::Narrow), 32);
    }
}
