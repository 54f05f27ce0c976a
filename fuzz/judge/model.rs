//! NetFlow 1, 5, 7, 9 and IPFIX read slowly and plainly, from the RFCs: what is compared with the collector. It knows a few fields, and
//! where every datagram, set and record went.

use std::collections::HashMap;

use tailwater::flows::{Address, DatagramDrop, RecordDrop, SetDrop, TemplateEvent};
use tailwater::limits::{HELD_MS_MAX, TEMPLATE_FIELDS_MAX, TEMPLATE_MS_MAX};

use super::came::Came;
use super::counts::{Counts, Seen};

/// Exporter, port if they are told apart by it, version, domain.
type Domain = (Address, u16, u16, u32);

#[derive(Clone, PartialEq)]
struct Field {
    id: u16,
    bytes: u16,
    enterprise: u32,
}

#[derive(Clone, PartialEq)]
struct Template {
    /// Of options, how many fields are their scope.
    scope: Option<u16>,
    fields: Vec<Field>,
}

struct Known {
    template: Template,
    told_ns: u64,
    port: u16,
}

#[derive(Clone)]
struct Header {
    domain: Domain,
    version: u16,
    sequence: u32,
    port: u16,
    received_ns: u64,
}

/// All that is remembered.
#[derive(Default)]
pub(crate) struct Model {
    per_port: bool,
    known: HashMap<(Domain, u16), Known>,
    held: Vec<(u16, Header, Vec<u8>)>,
    /// Sets that waited when it restarted.
    left: u64,
    pub(crate) counts: Counts,
    pub(crate) seen: Vec<Seen>,
}

/// The number that some bytes are, the highest first.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(half(bytes, at)?) << 16 | u32::from(half(bytes, at + 2)?))
}

impl Model {
    pub(crate) fn new(per_port: bool) -> Self {
        Self { per_port, ..Self::default() }
    }

    /// Reads a datagram; of other protocols it says only that they are not its own: false.
    pub(crate) fn take(&mut self, came: &Came) -> bool {
        let bytes = &came.datagram;
        if bytes.starts_with(&[0, 0, 0, 5]) {
            return false;
        }
        if came.restarts {
            // What was told stays; what waited does not.
            self.left += self.held.len() as u64;
            self.held.clear();
        }
        match bytes[..] {
            [0, 1 | 5 | 7, ..] => self.fixed(came),
            [0, 9 | 10, ..] => self.export(came),
            [] | [_] => self.counts.datagram_drops[DatagramDrop::Short as usize] += 1,
            _ => self.counts.datagram_drops[DatagramDrop::Version as usize] += 1,
        }
        true
    }

    fn fixed(&mut self, came: &Came) {
        let bytes = &came.datagram;
        let version = u16::from(bytes[1]);
        let (header, record) = match version {
            1 => (16, 52),
            5 => (24, 48),
            _ => (24, 52),
        };
        if bytes.len() < header {
            self.counts.datagram_drops[DatagramDrop::Short as usize] += 1;
            return;
        }
        let count = usize::from(half(bytes, 2).unwrap_or(0));
        let there = (bytes.len() - header) / record;
        self.counts.record_drops[RecordDrop::Missing as usize] += count.saturating_sub(there) as u64;
        for at in 0..count.min(there) {
            let r = &bytes[header + at * record..][..record];
            let u16_at = |at: usize| number(&r[at..at + 2]);
            let v1 = version == 1;
            let [proto, flags] = if v1 { [38, 40] } else { [38, 37] };
            self.counts.flows += 1;
            self.seen.push(Seen {
                received_ns: came.from.received_ns,
                version: version.into(),
                domain: 0,
                sequence: if v1 { 0 } else { word(bytes, 16).unwrap_or(0) },
                values: Some([
                    number(&r[16..20]),
                    number(&r[20..24]),
                    r[proto].into(),
                    r[flags].into(),
                    u16_at(32),
                    u16_at(34),
                    u16_at(12),
                    u16_at(14),
                    if v1 { 0 } else { u16_at(40) },
                    if v1 { 0 } else { u16_at(42) },
                    number(&r[0..4]),
                    number(&r[4..8]),
                ]),
            });
        }
    }

    fn export(&mut self, came: &Came) {
        let bytes = &came.datagram;
        let version = u16::from(bytes[1]);
        let header = if version == 9 { 20 } else { 16 };
        if bytes.len() < header {
            self.counts.datagram_drops[DatagramDrop::Short as usize] += 1;
            return;
        }
        let length = if version == 9 { bytes.len() } else { usize::from(half(bytes, 2).unwrap_or(0)) };
        if length < header {
            self.counts.datagram_drops[DatagramDrop::Malformed as usize] += 1;
            return;
        }
        let id = word(bytes, header - 4).unwrap_or(0);
        let port = if self.per_port { came.from.port } else { 0 };
        let h = Header {
            domain: (came.from.exporter, port, version, id),
            version,
            sequence: word(bytes, header - 8).unwrap_or(0),
            port: came.from.port,
            received_ns: came.from.received_ns,
        };
        let before = self.held.len();
        let stays = |of: &Header| of.domain != h.domain || of.received_ns + HELD_MS_MAX * 1_000_000 >= h.received_ns;
        self.held.retain(|(_, of, _)| stays(of));
        self.counts.set_drops[SetDrop::NoTemplate as usize] += (before - self.held.len()) as u64;
        self.sets(&h, &bytes[header..length.min(bytes.len())], length > bytes.len());
    }

    /// The sets of a message, which may say that it is longer than its datagram.
    fn sets(&mut self, h: &Header, mut rest: &[u8], is_cut: bool) {
        while let (Some(id), Some(length)) = (half(rest, 0), half(rest, 2)) {
            let length = usize::from(length);
            if length < 4 {
                self.counts.set_drops[SetDrop::BadLength as usize] += 1;
                return;
            }
            if length > rest.len() {
                self.counts.set_drops[SetDrop::Cut as usize] += 1;
                return;
            }
            let body = &rest[4..length];
            rest = &rest[length..];
            match (h.version, id) {
                (_, 256..) => self.data(h, id, body),
                (9, 0) | (10, 2) => self.templates(h, false, body),
                (9, 1) | (10, 3) => self.templates(h, true, body),
                _ => self.counts.set_drops[SetDrop::ReservedId as usize] += 1,
            }
        }
        self.counts.set_drops[SetDrop::Cut as usize] += u64::from(is_cut);
    }

    fn templates(&mut self, h: &Header, options: bool, mut rest: &[u8]) {
        self.counts.template_sets += 1;
        let cut = TemplateEvent::Cut as usize;
        while let (Some(id), Some(second)) = (half(rest, 0), half(rest, 2)) {
            rest = &rest[4..];
            if h.version == 10 && second == 0 {
                self.counts.templates[TemplateEvent::WithdrawalIgnored as usize] += u64::from(id >= 256 || id == 2 || id == 3);
                continue;
            }
            if id == 0 && second == 0 {
                return;
            }
            let (mut count, mut scope) = (usize::from(second), None);
            if options {
                let Some(third) = half(rest, 0) else { return self.counts.templates[cut] += 1 };
                rest = &rest[2..];
                scope = Some(third);
                if h.version == 9 {
                    if !second.is_multiple_of(4) || !third.is_multiple_of(4) {
                        return self.counts.templates[cut] += 1;
                    }
                    (scope, count) = (Some(second / 4), usize::from(second / 4) + usize::from(third / 4));
                }
            }
            let Some((fields, behind)) = fields(h.version, count, rest) else { return self.counts.templates[cut] += 1 };
            rest = behind;
            if id < 256 {
                self.counts.templates[TemplateEvent::ReservedId as usize] += 1;
                continue;
            }
            self.learn(h, id, Template { scope, fields });
        }
    }

    fn learn(&mut self, h: &Header, id: u16, template: Template) {
        let key = (h.domain, id);
        if template.fields.len() > TEMPLATE_FIELDS_MAX {
            self.known.remove(&key);
            return self.counts.templates[TemplateEvent::TooLong as usize] += 1;
        }
        if template.scope.is_some_and(|scope| usize::from(scope) > template.fields.len()) {
            self.known.remove(&key);
            return self.counts.templates[TemplateEvent::BadScope as usize] += 1;
        }
        if template.fields.iter().all(|field| field.bytes == 0) {
            self.known.remove(&key);
            return self.counts.templates[TemplateEvent::Empty as usize] += 1;
        }
        let event = match self.known.get_mut(&key) {
            None => TemplateEvent::New,
            Some(known) if known.template == template => {
                (known.told_ns, known.port) = (known.told_ns.max(h.received_ns), h.port);
                TemplateEvent::Refreshed
            }
            Some(known) if known.port != h.port => TemplateEvent::Conflict,
            Some(_) => TemplateEvent::Changed,
        };
        self.counts.templates[event as usize] += 1;
        if event != TemplateEvent::Refreshed {
            self.known.insert(key, Known { template, told_ns: h.received_ns, port: h.port });
        }
        let (waited, others) =
            std::mem::take(&mut self.held).into_iter().partition(|(of, header, _)| *of == id && header.domain == h.domain);
        self.held = others;
        for (_, header, body) in Vec::from_iter::<Vec<(u16, Header, Vec<u8>)>>(waited) {
            self.counts.released += 1;
            self.data(&header, id, &body);
        }
    }

    fn data(&mut self, h: &Header, id: u16, body: &[u8]) {
        let key = (h.domain, id);
        if self.known.get(&key).is_some_and(|known| known.told_ns + TEMPLATE_MS_MAX * 1_000_000 < h.received_ns) {
            self.known.remove(&key);
            self.counts.templates[TemplateEvent::Expired as usize] += 1;
        }
        let Some(known) = self.known.get(&key) else { return self.held.push((id, h.clone(), body.to_vec())) };
        let template = known.template.clone();
        self.counts.data_sets += 1;
        let least: usize = template.fields.iter().map(|field| if field.bytes == u16::MAX { 1 } else { field.bytes.into() }).sum();
        let mut rest = body;
        // Zeros up to a multiple of four bytes are padding, however short records are (RFC 3954, 5.3).
        let is_padding = |rest: &[u8]| h.version == 9 && rest.len() < 4 && rest.iter().all(|byte| *byte == 0);
        while rest.len() >= least && !is_padding(rest) {
            let Some((values, behind)) = record(&template.fields, rest) else {
                return self.counts.record_drops[RecordDrop::Cut as usize] += 1;
            };
            rest = behind;
            if template.scope.is_some() {
                self.counts.options += 1;
                continue;
            }
            self.counts.flows += 1;
            let (received_ns, sequence, domain) = (h.received_ns, h.sequence, h.domain.3);
            self.seen.push(Seen { received_ns, version: h.version.into(), domain, sequence, values: meaning(&values) });
        }
        if rest.len() > 3 && rest.iter().any(|byte| *byte != 0) {
            self.counts.record_drops[RecordDrop::Cut as usize] += 1;
        }
    }

    /// Takes out of the counts what waited in vain, and adds what waited when it restarted, or waits: when the one becomes the other, which
    /// of silent exporters is the reader's choice, is no part of the judgement.
    pub(crate) fn undescribed(&mut self) -> u64 {
        std::mem::take(&mut self.counts.set_drops[SetDrop::NoTemplate as usize]) + self.left + self.held.len() as u64
    }
}

fn fields(version: u16, count: usize, mut rest: &[u8]) -> Option<(Vec<Field>, &[u8])> {
    if count > rest.len() / 4 {
        return None;
    }
    let mut fields = Vec::new();
    for _ in 0..count {
        let (id, bytes) = (half(rest, 0)?, half(rest, 2)?);
        rest = &rest[4..];
        let mut field = Field { id, bytes, enterprise: 0 };
        if version == 10 && id >= 0x8000 {
            field = Field { id: id - 0x8000, bytes, enterprise: word(rest, 0)? };
            rest = &rest[4..];
        }
        fields.push(field);
    }
    Some((fields, rest))
}

/// The values of one record, by field.
type Values<'a> = Vec<(&'a Field, &'a [u8])>;

fn record<'a>(fields: &'a [Field], mut rest: &'a [u8]) -> Option<(Values<'a>, &'a [u8])> {
    let mut values = Vec::new();
    for field in fields {
        let mut bytes = usize::from(field.bytes);
        if field.bytes == u16::MAX {
            bytes = usize::from(*rest.first()?);
            rest = &rest[1..];
            if bytes == 255 {
                bytes = usize::from(half(rest, 0)?);
                rest = &rest[2..];
            }
        }
        values.push((field, rest.get(..bytes)?));
        rest = &rest[bytes..];
    }
    Some((values, rest))
}

/// What the fields say; none where a packet's own start may say otherwise.
fn meaning(values: &Values<'_>) -> Option<[u64; 12]> {
    let of = |ids: &'static [u16]| {
        values.iter().filter(move |(field, _)| {
            let fits = field.bytes != u16::MAX && (1..=8).contains(&field.bytes);
            field.enterprise == 0 && ids.contains(&field.id) && fits
        })
    };
    if values.iter().any(|(field, _)| field.enterprise == 0 && matches!(field.id, 313 | 315)) {
        return None;
    }
    let last = |ids| of(ids).next_back().map(|(_, value)| number(value));
    let low = |ids| last(ids).unwrap_or(0) & 0xFFFF_FFFF;
    // Of several of one meaning those that are zero do not apply.
    let told = |ids| of(ids).map(|(_, value)| number(value) & 0xFFFF_FFFF).rfind(|n| *n != 0).unwrap_or(0);
    let plain = |plain, out, total, initiator| {
        let instead = || [total, initiator].into_iter().map(|ids| last(ids).unwrap_or(0)).find(|n| *n != 0).unwrap_or(0);
        last(plain).or_else(|| last(out)).unwrap_or_else(instead)
    };
    let of_frames = if last(&[1, 23, 85, 231]).is_none() { last(&[352]) } else { None };
    Some([
        plain(&[2], &[24], &[86], &[298]),
        of_frames.unwrap_or_else(|| plain(&[1], &[23], &[85], &[231])),
        low(&[4]),
        low(&[6]),
        told(&[7, 180, 182]),
        told(&[11, 181, 183]),
        low(&[10]),
        low(&[14]),
        low(&[16]),
        low(&[17]),
        address(values, 8, 27),
        address(values, 12, 28),
    ])
}

/// The last that is not zero, of either family.
fn address(values: &Values<'_>, v4: u16, v6: u16) -> u64 {
    let is_one = |(field, _): &&(&Field, &[u8])| {
        field.enterprise == 0 && ((field.id == v4 && field.bytes == 4) || (field.id == v6 && field.bytes == 16))
    };
    values.iter().filter(is_one).map(|(_, value)| fold(value)).rfind(|n| *n != 0).unwrap_or(0)
}

/// An address as a number that fits; of IPv6 all of it counts.
pub(crate) fn fold(address: &[u8]) -> u64 {
    if address.iter().all(|byte| *byte == 0) {
        return 0;
    }
    if address.len() == 4 { number(address) } else { number(&address[..8]) ^ number(&address[8..]).rotate_left(7) | 1 << 63 }
}
