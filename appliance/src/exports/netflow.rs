//! Flow records as datagrams: IPFIX (RFC 7011) and NetFlow 9 (RFC 3954).
//!
//! What tag rules sample at different rates goes in observation domains of their own, the configured one and those behind it: a collector
//! that knows one rate a domain, and not one a record, has the right one. Each domain tells templates and rate before its first record, and
//! again from time to time, since a datagram may be lost.

use std::collections::BTreeMap;

use super::cache::{End, Flow, Key};
use super::rate;
use super::template::{Element, FIRST, KINDS, OPTIONS, Row, elements, kind, uptime_ms};
use crate::limits::{EXPORT_DATAGRAM_BYTES_MAX, EXPORT_DOMAINS_MAX};

/// Id and length of a set.
const SET_HEAD_BYTES: usize = 4;
/// Sets end at a multiple of four bytes.
const PADDING_BYTES_MAX: usize = 3;
/// Sampling algorithms of element 35: each nth, and at random.
const DETERMINISTIC: u8 = 1;
const RANDOM: u8 = 2;
/// Uptime of NetFlow 9 began so long before the first flow was told: longer than any timeout.
const BEFORE_S: u64 = 2 * 3_600;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Else NetFlow 9.
    pub is_ipfix: bool,
    /// The first observation domain, or source id.
    pub domain: u32,
    /// One frame in so many.
    pub sampling: u32,
    /// Whether what tag rules sample is sampled at random.
    pub is_random: bool,
    /// How often templates are told again.
    pub refresh_ns: u64,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams.
    pub datagrams: u64,
    /// Flow records in them.
    pub records: u64,
    /// Records that were not: there were too many rates.
    pub unplaced: u64,
}

/// See the module.
pub struct Encoder {
    plan: Plan,
    templates: Vec<Vec<Element>>,
    /// By weight.
    domains: BTreeMap<u16, Domain>,
    /// When uptime began: before its first flow.
    boot_ms: Option<u64>,
    sent: Sent,
}

/// One observation domain, and the datagram that is being filled for it.
#[derive(Default)]
struct Domain {
    /// Of IPFIX, data records in earlier datagrams; of NetFlow 9, datagrams.
    sequence: u32,
    told_ns: Option<u64>,
    bytes: Vec<u8>,
    /// The set that is open: where it begins, and its id.
    set: Option<(usize, u16)>,
    /// Records in it, by what counts them: data records, all records of NetFlow 9.
    data_records: u32,
    count: u16,
    flows: u64,
}

impl Encoder {
    /// Of the configuration.
    pub fn new(plan: Plan) -> Self {
        let templates = (0..KINDS).map(|kind| elements(kind, plan.is_ipfix)).collect();
        Self { plan, templates, domains: BTreeMap::new(), boot_ms: None, sent: Sent::default() }
    }

    /// What was sent so far.
    pub const fn sent(&self) -> Sent {
        self.sent
    }

    /// Takes a flow; datagrams that are full go out.
    pub fn put(&mut self, key: &Key, flow: &Flow, end: End, now_ns: u64, send: &mut impl FnMut(&[u8])) {
        let Self { plan, templates, domains, boot_ms, sent } = self;
        // A flow is no older than it may be, and uptime knows no sign.
        let boot_ms = *boot_ms.get_or_insert((now_ns / 1_000_000_000).saturating_sub(BEFORE_S) * 1_000);
        if !domains.contains_key(&key.weight) && domains.len() >= EXPORT_DOMAINS_MAX {
            sent.unplaced += 1;
            return;
        }
        let kind = kind(key);
        let Some(elements) = templates.get(usize::from(kind)) else { return };
        let domain = domains.entry(key.weight).or_default();
        let shape = Shape { plan, templates, weight: key.weight, boot_ms, now_ns };
        let bytes: usize = elements.iter().map(|element| usize::from(element.bytes)).sum();
        // A set's head, and what pads it and the one before.
        if !domain.has_room(bytes + SET_HEAD_BYTES + 2 * PADDING_BYTES_MAX) {
            domain.finish(&shape, sent, send);
        }
        domain.begin(&shape);
        domain.open(FIRST + kind);
        let row = Row { key, flow, end: end as u8, boot_ms };
        elements.iter().for_each(|element| element.put(&row, &mut domain.bytes));
        (domain.count, domain.data_records, domain.flows) = (domain.count + 1, domain.data_records + 1, domain.flows + 1);
    }

    /// Sends what waits.
    pub fn flush(&mut self, now_ns: u64, send: &mut impl FnMut(&[u8])) {
        let Self { plan, templates, domains, boot_ms, sent } = self;
        for (weight, domain) in domains {
            let boot_ms = boot_ms.unwrap_or(0);
            domain.finish(&Shape { plan, templates, weight: *weight, boot_ms, now_ns }, sent, send);
        }
    }
}

/// What a datagram is made by.
struct Shape<'a> {
    plan: &'a Plan,
    templates: &'a [Vec<Element>],
    weight: u16,
    boot_ms: u64,
    now_ns: u64,
}

impl Shape<'_> {
    const fn head_bytes(&self) -> usize {
        if self.plan.is_ipfix { 16 } else { 20 }
    }

    fn domain_id(&self) -> u32 {
        self.plan.domain.wrapping_add(u32::from(self.weight) - 1)
    }
}

impl Domain {
    fn has_room(&self, bytes: usize) -> bool {
        self.bytes.len() + bytes <= EXPORT_DATAGRAM_BYTES_MAX
    }

    /// A datagram is open, and its templates were told lately.
    fn begin(&mut self, shape: &Shape<'_>) {
        if !self.bytes.is_empty() {
            return;
        }
        self.bytes.resize(shape.head_bytes(), 0);
        let is_due = self.told_ns.is_none_or(|told| shape.now_ns.saturating_sub(told) >= shape.plan.refresh_ns);
        if is_due {
            self.told_ns = Some(shape.now_ns);
            self.templates(shape);
            self.options(shape);
        }
    }

    fn templates(&mut self, shape: &Shape<'_>) {
        self.open(if shape.plan.is_ipfix { 2 } else { 0 });
        for (id, elements) in (FIRST..).zip(shape.templates) {
            self.short(id);
            self.short(u16::try_from(elements.len()).unwrap_or(0));
            for element in elements {
                self.short(element.id);
                self.short(element.bytes);
            }
            self.count += 1;
        }
    }

    /// The template of options and its one record: the rate.
    fn options(&mut self, shape: &Shape<'_>) {
        let rate = rate(shape.plan.sampling, shape.weight);
        let algorithm = if shape.plan.is_random || shape.weight == 1 { RANDOM } else { DETERMINISTIC };
        self.open(if shape.plan.is_ipfix { 3 } else { 1 });
        self.short(OPTIONS);
        if shape.plan.is_ipfix {
            // Scope: the observation domain. Then samplingInterval, samplingAlgorithm.
            [3, 1, 149, 4, 34, 4, 35, 1].into_iter().for_each(|short| self.short(short));
        } else {
            // Lengths of scope and options in bytes. Scope: the system.
            [4, 8, 1, 4, 34, 4, 35, 1].into_iter().for_each(|short| self.short(short));
        }
        self.count += 1;
        self.open(OPTIONS);
        let scope = if shape.plan.is_ipfix { shape.domain_id() } else { 0 };
        self.bytes.extend(scope.to_be_bytes());
        self.bytes.extend(rate.to_be_bytes());
        self.bytes.push(algorithm);
        (self.count, self.data_records) = (self.count + 1, self.data_records + 1);
        self.close();
    }

    fn short(&mut self, short: u16) {
        self.bytes.extend(short.to_be_bytes());
    }

    /// A set with this id is open.
    fn open(&mut self, id: u16) {
        if self.set.is_some_and(|(_, open)| open == id) {
            return;
        }
        self.close();
        self.set = Some((self.bytes.len(), id));
        self.short(id);
        self.short(0);
    }

    /// Ends the open set: at a multiple of four bytes.
    fn close(&mut self) {
        let Some((at, _)) = self.set.take() else { return };
        let bytes = (self.bytes.len() - at).next_multiple_of(4);
        self.bytes.resize(at + bytes, 0);
        if let (Some(place), Ok(bytes)) = (self.bytes.get_mut(at + 2..at + 4), u16::try_from(bytes)) {
            place.copy_from_slice(&bytes.to_be_bytes());
        }
    }

    /// Sends the datagram, if there is one.
    fn finish(&mut self, shape: &Shape<'_>, sent: &mut Sent, send: &mut impl FnMut(&[u8])) {
        if self.bytes.is_empty() {
            return;
        }
        self.close();
        let head = self.head(shape);
        if let Some(place) = self.bytes.get_mut(..head.len()) {
            place.copy_from_slice(&head);
        }
        send(&self.bytes);
        (sent.datagrams, sent.records) = (sent.datagrams + 1, sent.records + self.flows);
        self.sequence = self.sequence.wrapping_add(if shape.plan.is_ipfix { self.data_records } else { 1 });
        self.bytes.clear();
        (self.data_records, self.count, self.flows) = (0, 0, 0);
    }

    fn head(&self, shape: &Shape<'_>) -> Vec<u8> {
        let seconds = u32::try_from(shape.now_ns / 1_000_000_000).unwrap_or(u32::MAX).to_be_bytes();
        let (sequence, domain) = (self.sequence.to_be_bytes(), shape.domain_id().to_be_bytes());
        if shape.plan.is_ipfix {
            let bytes = u16::try_from(self.bytes.len()).unwrap_or(0).to_be_bytes();
            return [&[0, 10][..], &bytes, &seconds, &sequence, &domain].concat();
        }
        // Uptime as of the whole second that stands beside it: so times are exact to the millisecond.
        let whole_ns = shape.now_ns / 1_000_000_000 * 1_000_000_000;
        let uptime = uptime_ms(whole_ns, shape.boot_ms).to_be_bytes();
        [&[0, 9][..], &self.count.to_be_bytes(), &uptime, &seconds, &sequence, &domain].concat()
    }
}
