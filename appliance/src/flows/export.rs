//! NetFlow 9 (RFC 3954) and IPFIX (RFC 7011): headers, sets, templates, data, options.

use super::collector::{Arrival, Work};
use super::cursor::Cursor;
use super::domain::DomainKey;
use super::flow::{Address, Fields, FlowType};
use super::ledger::{DatagramDrop, Ledger, RecordDrop, SetDrop, TemplateEvent, Unit};
use super::record::{Scratch, put};
use super::sampling::{Rates, Told, choose, parted};
use super::sequence::{Times, Verdict};
use super::steps::Units;
use super::template::{Definition, Plan, Purpose, Refused};
use super::times::{Base, seconds};
use super::wide::{Wide, either};
use crate::limits::TEMPLATES_KEPT_MS;

/// Bytes of a datagram: records that it may have, one a byte.
const BYTES_MAX: u32 = u16::MAX as u32;
/// Records of options of one datagram that may tell of other domains: each may make one.
const RATES_ELSEWHERE_MAX: usize = 2;

/// The header of a datagram, and when it came: what its records share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// 9 or 10.
    pub(super) version: u16,
    pub(super) base: Base,
    pub(super) sequence: u32,
    pub(super) domain: u32,
    pub(super) received_ns: u64,
    exporter: Address,
    port: u16,
    /// The window in which it came.
    window: u32,
    /// It was here before.
    repeated: bool,
    /// Of IPFIX: the datagram ends before the message that it says it has.
    cut: bool,
    /// What it says waited on disk, and is there until it has gone on.
    pub(super) on_disk: bool,
}

impl Header {
    /// Reads the header, its version included, and cuts `c` to what an IPFIX header says.
    pub(super) fn read(c: &mut Cursor<'_>, from: &Arrival) -> Result<Self, DatagramDrop> {
        let (arrived, short) = (c.left(), DatagramDrop::Short);
        let version = c.u16().ok_or(short)?;
        let second = c.u16().ok_or(short)?;
        let uptime_ms = if version == 9 { c.u32().ok_or(short)? } else { 0 };
        let (Some(secs), Some(sequence), Some(domain)) = (c.u32(), c.u32(), c.u32()) else { return Err(short) };
        let mut cut = false;
        if version == 10 {
            let length = usize::from(second);
            let header = arrived - c.left();
            if length < header {
                return Err(DatagramDrop::Malformed);
            }
            // A message that is longer than its datagram is read as far as it goes.
            cut = length > arrived;
            *c = Cursor::new(c.rest().get(..length - header).unwrap_or_else(|| c.rest()));
        }
        let base = Base { export_ns: seconds(u64::from(secs)), uptime_ms };
        Ok(Self {
            version,
            base,
            sequence,
            domain,
            received_ns: from.received_ns,
            exporter: from.exporter,
            port: from.port,
            window: 0,
            repeated: false,
            cut,
            on_disk: false,
        })
    }

    /// When the exporter started, milliseconds modulo 2^32: NetFlow 9 tells in the header, IPFIX in options, if at all.
    #[allow(clippy::cast_possible_truncation, reason = "modulo 2^32")]
    fn started_ms(&self, init_ms: Option<u64>) -> Option<u32> {
        match self.version {
            9 => Some(((self.base.export_ns / 1_000_000) as u32).wrapping_sub(self.base.uptime_ms)),
            _ => init_ms.map(|init| init as u32),
        }
    }

    /// The header of a set that waited over a restart. `told`: base, number, and when it came, from which port.
    pub(super) const fn again(key: &DomainKey, (base, sequence, received_ns, port): (Base, u32, u64, u16), repeated: bool) -> Self {
        let DomainKey { exporter, version, id, .. } = *key;
        Self { version, base, sequence, domain: id, received_ns, exporter, port, window: 0, repeated, cut: false, on_disk: true }
    }

    fn times(&self, init_ms: Option<u64>) -> Times {
        Times { started_ms: self.started_ms(init_ms), sent_ms: Some(self.base.export_ns / 1_000_000) }
    }

    /// What it takes to make it again.
    pub(super) const fn told(&self) -> ((Base, u32, u64, u16), bool) {
        ((self.base, self.sequence, self.received_ns, self.port), self.repeated)
    }

    fn shared(&self) -> Fields {
        Fields {
            kind: if self.version == 9 { FlowType::NetflowV9 } else { FlowType::Ipfix },
            export_version: u32::from(self.version),
            time_received_ns: self.received_ns,
            sequence_num: self.sequence,
            sampler_address: self.exporter,
            observation_domain_id: self.domain,
            ..Fields::default()
        }
    }
}

/// Reads all sets of a datagram whose header was read.
pub(super) fn read(header: &Header, mut c: Cursor<'_>, work: &mut Work<'_>) {
    let header = &Header { window: work.window, repeated: work.repeated, ..*header };
    let init_ms = work.domain.init_ms;
    if header.version == 10 && work.domain.sequence.may_be_anew(header.sequence, header.times(init_ms)) {
        // Another start's, it may be: it would make times of records wrong.
        work.domain.init_ms = None;
    }
    // How many there are, and how many there may be beside them.
    let mut records = Units::default();
    while let Some((id, body)) = next(header, &mut c) {
        work.ledger.sets += 1;
        match body {
            Ok(body) => {
                let (sure, unsure) = set(header, id, body, work);
                (records.sure, records.unsure) = (records.sure + sure, (records.unsure + unsure).min(BYTES_MAX));
            }
            Err(reason) => {
                work.ledger.drop_set(reason);
                records.unsure = BYTES_MAX;
                break;
            }
        }
    }
    follow(header, records, init_ms, work);
}

/// The next set: its id and body, or why there is no more to be read. None: the message ends.
fn next<'a>(header: &Header, c: &mut Cursor<'a>) -> Option<(u16, Result<&'a [u8], SetDrop>)> {
    if c.left() < 4 {
        // Cut between two sets, or within the first bytes of one: of it, or of them, that there were some is all that is known.
        return header.cut.then_some((0, Err(SetDrop::Cut)));
    }
    let (id, length) = (c.u16()?, c.u16()?);
    let body = match usize::from(length).checked_sub(4) {
        None => Err(SetDrop::BadLength),
        Some(body) => c.take(body).ok_or(SetDrop::Cut),
    };
    Some((id, body))
}

/// What one set has: how many records of data and options; and where that cannot be told, how many at most.
fn set(header: &Header, id: u16, body: &[u8], work: &mut Work<'_>) -> (u32, u32) {
    let at_most = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let first = if header.version == 9 { 0 } else { 2 };
    match id {
        _ if id >= 256 => data(header, id, body, work).unwrap_or((0, at_most)),
        _ if id == first || id == first + 1 => {
            work.ledger.template_sets += 1;
            templates(header, id == first + 1, Cursor::new(body), work);
            (0, 0)
        }
        _ => {
            work.ledger.drop_set(SetDrop::ReservedId);
            (0, at_most)
        }
    }
}

/// NetFlow 9 counts datagrams, IPFIX records. `init_ms` is what IPFIX had told of its start before this datagram (element 160).
fn follow(header: &Header, records: Units, init_ms: Option<u64>, work: &mut Work<'_>) {
    work.domain.exported.messages += u64::from(!header.repeated);
    let (unit, units) = if header.version == 9 { (Unit::Datagrams, (Units::ONE, records)) } else { (Unit::Records, (records, Units::ONE)) };
    // What this one told, or what was known before.
    let told = work.domain.init_ms.or(init_ms);
    let (times, known) = (header.times(told), work.domain.sequence.started_ms());
    let verdict = work.follow(unit, header.sequence, units, times);
    if header.version == 9 {
        return;
    }
    work.domain.init_ms = told;
    if matches!(verdict, Verdict::Restart(_)) && times.started_ms == known {
        // It is another's start now: until the exporter tells its own there is none.
        work.domain.init_ms = None;
        work.domain.sequence.forget_start();
    }
}

/// Templates up to the set's end. Zeros are padding. One whose id is none of a template's is passed over: what stands behind it is as good
/// as ever.
fn templates(header: &Header, options: bool, mut c: Cursor<'_>, work: &mut Work<'_>) {
    while c.left() >= 4 {
        let (Some(id), Some(second)) = (c.u16(), c.u16()) else { return };
        if header.version == 10 && second == 0 {
            // Over UDP a withdrawal is against the standard, and is ignored (RFC 7011, 8.4). Zeros are padding.
            if matches!(id, 2 | 3 | 256..) {
                work.ledger.template(TemplateEvent::WithdrawalIgnored);
            }
            continue;
        }
        if (id, second) == (0, 0) {
            return;
        }
        match definition(header.version, options, usize::from(second), &mut c) {
            Err(Refused::Cut) => return work.ledger.template(TemplateEvent::Cut),
            _ if id < 256 => work.ledger.template(TemplateEvent::ReservedId),
            Ok(definition) => learn(header, id, definition, work),
            Err(Refused::BadScope) => refuse(id, TemplateEvent::BadScope, work),
            Err(Refused::TooLong) => refuse(id, TemplateEvent::TooLong, work),
            Err(Refused::Empty) => refuse(id, TemplateEvent::Empty, work),
        }
    }
}

fn definition(version: u16, options: bool, second: usize, c: &mut Cursor<'_>) -> Result<Definition, Refused> {
    if !options {
        return Definition::read(c, version, Purpose::Data, second);
    }
    let third = c.u16().ok_or(Refused::Cut)?;
    if version == 10 {
        return Definition::read(c, version, Purpose::Options(third), second);
    }
    // NetFlow 9 gives bytes of scopes and of options, IPFIX fields of both and of scopes. Each field has four.
    if !second.is_multiple_of(4) || !third.is_multiple_of(4) {
        return Err(Refused::Cut);
    }
    let scopes = second / 4;
    let purpose = Purpose::Options(u16::try_from(scopes).unwrap_or(u16::MAX));
    Definition::read(c, version, purpose, scopes + usize::from(third) / 4)
}

/// What had the id is no longer what the exporter means by it.
fn refuse(id: u16, event: TemplateEvent, work: &mut Work<'_>) {
    work.domain.remove(id);
    work.ledger.template(event);
    work.changed = true;
}

fn learn(header: &Header, id: u16, definition: Definition, work: &mut Work<'_>) {
    let refreshed = work.ledger.templates[TemplateEvent::Refreshed as usize];
    if !work.domain.learn(id, definition, header.version, (header.port, header.received_ns), work.ledger) {
        return;
    }
    // Told again as it was, it is news only because what is on disk grows old.
    let is_old = header.received_ns.abs_diff(work.kept_ns) >= TEMPLATES_KEPT_MS * 1_000_000;
    work.changed |= is_old || work.ledger.templates[TemplateEvent::Refreshed as usize] == refreshed;
    for held in work.domain.held.release(id) {
        work.ledger.release(held.header.window == work.window, held.header.repeated);
        let _ = data(&held.header, id, &held.body, work);
    }
}

/// One data set: its records, and how many more there may be behind one that is cut. `None`: its template is not there, it waits.
fn data(header: &Header, id: u16, body: &[u8], work: &mut Work<'_>) -> Option<(u32, u32)> {
    let domain = &mut *work.domain;
    let Some(purpose) = domain.template(id, header.received_ns, work.ledger).map(|template| template.definition.purpose) else {
        let keeps = domain.held.keep(*header, id, body, work.ledger.sets);
        if keeps {
            work.ledger.hold();
        } else {
            work.ledger.drop_set(SetDrop::NoRoom);
        }
        return None;
    };
    work.ledger.data_sets += 1;
    Some(match purpose {
        Purpose::Data => flows(header, id, body, work),
        Purpose::Options(_) => options(header, id, body, work),
    })
}

/// Whether another record may follow. NetFlow 9 fills sets up with zeros to a multiple of four bytes, whatever its records are.
#[inline]
fn has_more(c: &Cursor<'_>, plan: &Plan, version: u16) -> bool {
    let left = c.left();
    left >= plan.record_bytes() && (left > 3 || version != 9 || c.rest().iter().any(|byte| *byte != 0))
}

/// What is left behind the records is padding, or a record that is cut: then up to so many are missing.
fn behind(c: &Cursor<'_>, is_cut: bool, ledger: &mut Ledger) -> u32 {
    if !is_cut && (c.left() < 4 || c.rest().iter().all(|byte| *byte == 0)) {
        return 0;
    }
    ledger.drop_records(RecordDrop::Cut, 1);
    u32::try_from(c.left()).unwrap_or(u32::MAX).max(1)
}

fn flows(header: &Header, id: u16, body: &[u8], work: &mut Work<'_>) -> (u32, u32) {
    let shared = header.shared();
    let Work { domain, ledger, flow, operator, out, wide: (wide, port), .. } = work;
    let init_ms = domain.init_ms;
    let super::domain::Parts { template, rates } = match domain.parts(id) {
        Some(parts) => parts,
        None => return (0, 0),
    };
    let (mut c, mut records, mut is_cut) = (Cursor::new(body), 0, false);
    flow.repeated = header.repeated;
    while has_more(&c, &template.plan, header.version) {
        flow.begin(&shared);
        let mut s = Scratch::default();
        if !template.plan.decode(&mut c, |what, v| put(what, v, flow, &mut s, &header.base)) {
            is_cut = true;
            break;
        }
        s.finish(flow, &header.base, init_ms);
        let interface = s.interface;
        let options = either(rates, wide, *port, (s.told.sampler, interface));
        let f = &mut flow.fields;
        f.running_totals = template.plan.is_running();
        let (rate, from) = choose(operator.of(interface), s.told.rate(), options);
        ((f.sampling_rate, f.rate_random), f.rate_from) = (parted(rate), from);
        ledger.rate_unknown += u64::from(f.sampling_rate == 0);
        records += 1;
        out(flow);
    }
    ledger.records += u64::from(records);
    ledger.flows += u64::from(records);
    domain.exported.records += if header.repeated { 0 } else { u64::from(records) };
    (records, behind(&c, is_cut, ledger))
}

/// What is told of rates: of the own domain, of others, of all.
type Whose<'a> = (&'a mut Rates, &'a mut Vec<(u32, Told, Option<u32>)>, &'a mut Wide, u16);

/// Takes up what a record of options tells of a rate. Whether that is of no use, and whether it is news.
fn rate(header: &Header, plan: &Plan, s: &Scratch, (rates, elsewhere, wide, port): Whose<'_>) -> (bool, bool) {
    let of_domain = s.told.domain.filter(|_| header.version == 10 && s.told.tells());
    let other = of_domain.filter(|domain| ![0, header.domain].contains(domain));
    if plan.is_narrow() && s.told.is_of_no_part(s.interface) || other.is_some() && elsewhere.len() >= RATES_ELSEWHERE_MAX {
        return (true, false);
    }
    if let Some(domain) = other {
        elsewhere.push((domain, s.told, s.interface));
        return (false, false);
    }
    // Domain 0 is none (IANA's registry, 149).
    let is_wide = if of_domain.is_some() { of_domain == Some(0) && !plan.is_narrow() } else { plan.is_whole() };
    let news_of_all = is_wide && wide.learn((port, header.domain), (&s.told, header.received_ns), s.interface);
    (false, rates.learn(&s.told, s.interface) | news_of_all)
}

fn options(header: &Header, id: u16, body: &[u8], work: &mut Work<'_>) -> (u32, u32) {
    let Work { domain, ledger, flow, elsewhere, wide: (wide, port), .. } = work;
    let (mut c, mut records, mut is_cut) = (Cursor::new(body), 0, false);
    let mut init_ms = None;
    let mut exported = None;
    let super::domain::Parts { template, rates } = match domain.parts(id) {
        Some(parts) => parts,
        None => return (0, 0),
    };
    while has_more(&c, &template.plan, header.version) {
        let mut s = Scratch::default();
        if !template.plan.decode(&mut c, |what, v| put(what, v, flow, &mut s, &header.base)) {
            is_cut = true;
            break;
        }
        let (ignored, news) = rate(header, &template.plan, &s, (rates, elsewhere, &mut *wide, *port));
        ledger.rates_ignored += u64::from(ignored);
        ledger.rates_told += u64::from(news);
        work.changed |= news;
        init_ms = init_ms.or(s.init_ms);
        if s.exported != (None, None) {
            exported = Some(s.exported);
        }
        records += 1;
    }
    ledger.records += u64::from(records);
    ledger.options += u64::from(records);
    domain.init_ms = init_ms.or(domain.init_ms);
    if let Some(told) = exported {
        domain.exported.told(told);
    }
    (records, behind(&c, is_cut, ledger))
}
