//! Datagrams → flows: which version, whose domain, within which bounds.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::domain::{Domain, DomainKey};
use super::exporters::{Delays, Exporters, Mark};
use super::flow::{Address, Flow};
use super::ledger::{DatagramDrop, Ledger, TemplateEvent};
use super::lru::Lru;
use super::missing::Then;
use super::numbers::{AllGaps, Numbers};
use super::operator::{Operator, OperatorRate, Operators};
use super::port_taken::PortTaken;
use super::sampling::Told;
use super::wide::Wide;
use super::{export, fixed, sflow};
use crate::limits::{DOMAINS_OF_EXPORTER_MAX, FLOW_DOMAINS_MAX, FLOW_KNOWN_BYTES_MAX, FLOW_KNOWN_BYTES_OF_EXPORTER_MAX};

/// Where a datagram came from, and when.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Source address.
    pub exporter: Address,
    /// Source port.
    pub port: u16,
    /// Nanoseconds since 1970.
    pub received_ns: u64,
}

/// What an operator may set.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Exporters are told apart by their source port too.
    pub per_port: bool,
    /// Sampling rates that hold whatever the exporter says.
    pub rates: Vec<OperatorRate>,
}

/// What reading one datagram works with.
pub(super) struct Work<'a> {
    pub(super) domain: &'a mut Domain,
    pub(super) ledger: &'a mut Ledger,
    pub(super) flow: &'a mut Flow,
    pub(super) operator: Operators<'a>,
    /// Something was told that is worth keeping on disk.
    pub(super) changed: bool,
    /// When what is known was last taken to be kept.
    pub(super) kept_ns: u64,
    /// Rates that options told of other domains than the header's: whose, and by which interface.
    pub(super) elsewhere: Vec<(u32, Told, Option<u32>)>,
    /// Rates of the whole exporter, and the port that it is told by.
    pub(super) wide: (&'a mut Wide, u16),
    /// The window that is open.
    pub(super) window: u32,
    /// The datagram was here before.
    pub(super) repeated: bool,
    pub(super) out: &'a mut dyn FnMut(&Flow),
}

/// Decodes export datagrams and remembers what that takes, within bounds.
#[derive(Debug)]
pub struct Collector {
    per_port: bool,
    operators: HashMap<Address, Operator>,
    pub(super) domains: Lru<DomainKey, Domain>,
    /// Those of them that have no template: anyone's datagram makes one, so they go first.
    pub(super) bare: Lru<DomainKey, ()>,
    /// Those of each address.
    pub(super) exporters: HashMap<Address, Own>,
    pub(super) told: Exporters,
    numbers: Numbers,
    pub(super) known_bytes: usize,
    pub(super) held_bytes: usize,
    /// Domains that hold data.
    pub(super) order: super::holding::Order,
    pub(super) ledger: Ledger,
    flow: Flow,
    pub(super) changed: bool,
    /// When the last datagram came, and when what is known was last taken to be kept, nanoseconds since 1970.
    pub(super) last_ns: u64,
    pub(super) kept_ns: u64,
    pub(super) window: u32,
    /// Since when what was noticed to be missing may be, nanoseconds since 1970, since this was asked last.
    pub(super) missed_since_ns: Option<u64>,
}

/// Domains of one address, and the memory that they take.
#[derive(Debug)]
pub(super) struct Own {
    domains: Lru<DomainKey, ()>,
    pub(super) known_bytes: usize,
    /// Rates that hold for all of them.
    pub(super) wide: Wide,
    /// Something of it was of use: it is an exporter.
    pub(super) is_heard: bool,
}

/// Version 5 of sFlow as a version beside NetFlow's.
pub(super) const SFLOW: u16 = 105;

/// What a datagram begins with.
enum Kind {
    Fixed(fixed::Header),
    Export(export::Header),
    Sflow(sflow::Header),
}

impl Collector {
    /// With nothing known.
    pub fn new(settings: &Settings) -> Self {
        Self {
            per_port: settings.per_port,
            operators: Operator::by_exporter(&settings.rates),
            domains: Lru::new(),
            bare: Lru::new(),
            exporters: HashMap::new(),
            told: Exporters::default(),
            numbers: Numbers::default(),
            known_bytes: 0,
            held_bytes: 0,
            order: super::holding::Order::default(),
            ledger: Ledger::default(),
            flow: Flow::default(),
            changed: false,
            last_ns: 0,
            kept_ns: 0,
            window: 0,
            missed_since_ns: None,
        }
    }

    /// Reads one datagram and gives its flows, each in turn. Data whose template is not there waits, and comes out behind it.
    pub fn take(&mut self, from: &Arrival, datagram: &[u8], out: &mut dyn FnMut(&Flow)) {
        self.ledger.datagrams += 1;
        let mut c = Cursor::new(datagram);
        match Self::header(&mut c, from) {
            Ok(kind) => {
                self.ledger.decoded += 1;
                self.read((from, datagram), &kind, c, out);
            }
            Err(reason) => {
                let (before, missed) = (Mark::of(&self.ledger), self.ledger.missed);
                self.ledger.drop_datagram(reason);
                // Of who never exported anything it is no flow that is missing.
                if !self.exporters.get(&from.exporter).is_some_and(|own| own.is_heard) {
                    (self.ledger.missed, self.ledger.junk) = (missed, self.ledger.junk + 1);
                }
                self.note(from, false, before, Delays::default());
            }
        }
    }

    fn note(&mut self, from: &Arrival, decoded: bool, before: Mark, delays: Delays) {
        let after = Mark::of(&self.ledger);
        self.told.note((from.exporter, from.received_ns, decoded), (before, &after), delays);
    }

    fn header(c: &mut Cursor<'_>, from: &Arrival) -> Result<Kind, DatagramDrop> {
        match *c.rest() {
            [0, 1 | 5 | 7, ..] => fixed::Header::read(c).map(Kind::Fixed),
            [0, 9 | 10, ..] => export::Header::read(c, from).map(Kind::Export),
            [0, 0, 0, 5, ..] => sflow::Header::read(c).map(Kind::Sflow),
            [] | [_] => Err(DatagramDrop::Short),
            _ => Err(DatagramDrop::Version),
        }
    }

    fn key(&self, from: &Arrival, kind: &Kind) -> DomainKey {
        let (version, id, agent) = match kind {
            Kind::Fixed(header) => (header.version(), header.engine, Address::NONE),
            Kind::Export(header) => (header.version, header.domain, Address::NONE),
            Kind::Sflow(header) => (SFLOW, header.sub_agent, header.agent),
        };
        DomainKey { exporter: from.exporter, port: if self.per_port { from.port } else { 0 }, version, id, agent }
    }

    fn read(&mut self, (from, datagram): (&Arrival, &[u8]), kind: &Kind, c: Cursor<'_>, out: &mut dyn FnMut(&Flow)) {
        let key = self.key(from, kind);
        self.expire_held(from.received_ns);
        if self.domains.get(&key).is_none() {
            self.add(key);
        }
        let (Some(domain), Some(own)) = (self.domains.get(&key), self.exporters.get_mut(&key.exporter)) else { return };
        let (wide_before, wide) = (own.wide.memory_bytes(), (&mut own.wide, key.port));
        let (known_before, held_before) = (domain.memory_bytes() + wide_before, (domain.place(), domain.held.bytes()));
        let (repeated, last_ns) = (domain.repeats.take(datagram), domain.last_ns);
        let then = Then::of(&self.ledger);
        let (before, mut delays, gaps) = (Mark::of(&self.ledger), Delays::default(), AllGaps::of(&self.ledger));
        let out = &mut |flow: &Flow| {
            delays.note(flow);
            out(flow);
        };
        // Messages name the agent: an operator may name either.
        let agent = self.operators.get(&key.agent).filter(|_| !key.agent.is_void());
        let operator = Operators::new(agent, self.operators.get(&from.exporter));
        let (ledger, flow) = (&mut self.ledger, &mut self.flow);
        let (window, changed, kept_ns) = (self.window, false, self.kept_ns);
        self.last_ns = from.received_ns;
        ledger.repeated += u64::from(repeated);
        flow.repeated = repeated;
        let mut work = Work { domain, ledger, flow, operator, changed, kept_ns, elsewhere: Vec::new(), wide, window, repeated, out };
        match kind {
            Kind::Fixed(header) => fixed::read(header, from, c, &mut work),
            Kind::Export(header) => export::read(header, c, &mut work),
            Kind::Sflow(header) => sflow::read(header, from, c, &mut work),
        }
        // What is found missing behind an odd number is missing since the one before that.
        if !work.domain.sequence.is_in_doubt() || last_ns == 0 {
            work.domain.last_ns = from.received_ns;
        }
        work.domain.numbers_at = self.numbers.note(work.domain.numbers_at, (&key, from.received_ns), gaps, work.ledger);
        self.changed |= work.changed;
        let (known, elsewhere) = (work.domain.memory_bytes() + work.wide.0.memory_bytes(), work.elsewhere);
        let has_templates = work.domain.template_count() > 0;
        self.known_bytes = self.known_bytes + known - known_before;
        self.note_held(key, held_before);
        self.note(from, true, before, delays);
        self.judge(&key, then, repeated, last_ns);
        self.note_use(key, has_templates, (known, known_before));
        elsewhere.into_iter().for_each(|(id, told, interface)| self.learn_elsewhere(DomainKey { id, ..key }, &told, interface));
        self.make_room(&key);
        self.displace_held();
    }

    /// A domain was used, whose memory was another before.
    pub(super) fn note_use(&mut self, key: DomainKey, has_templates: bool, (known, known_before): (usize, usize)) {
        if has_templates {
            self.bare.remove(&key);
        } else if self.bare.get(&key).is_none() {
            self.bare.insert(key, ());
        }
        if let Some(own) = self.exporters.get_mut(&key.exporter) {
            own.domains.get(&key);
            own.known_bytes = (own.known_bytes + known).saturating_sub(known_before);
        }
    }

    /// A domain that is new goes in. Where there are too many another goes: of its own address if that has many.
    pub(super) fn add(&mut self, key: DomainKey) {
        let own = self.exporters.get_mut(&key.exporter).filter(|own| own.domains.len() >= DOMAINS_OF_EXPORTER_MAX);
        if let Some((gone, ())) = own.and_then(|own| own.domains.evict()) {
            self.drop_domain(&gone);
        } else if self.domains.len() >= FLOW_DOMAINS_MAX {
            self.evict(None);
        }
        self.domains.insert(key, Domain::new());
        self.bare.insert(key, ());
        self.exporters
            .entry(key.exporter)
            .or_insert_with(|| Own { domains: Lru::new(), known_bytes: 0, wide: Wide::new(), is_heard: false })
            .domains
            .insert(key, ());
    }

    /// Domains that were not heard of for long go first; the newest one never does.
    fn make_room(&mut self, newest: &DomainKey) {
        // One address fills its own part alone.
        while let Some(own) = self.exporters.get_mut(&newest.exporter)
            && own.known_bytes > FLOW_KNOWN_BYTES_OF_EXPORTER_MAX
            && own.domains.len() > 1
            && let Some((gone, ())) = own.domains.evict()
        {
            self.drop_domain(&gone);
        }
        while self.known_bytes > FLOW_KNOWN_BYTES_MAX && self.domains.len() > 1 {
            self.evict(Some(newest));
        }
    }

    /// The domain goes that was heard of least lately, of those without templates if there are any but the newest.
    fn evict(&mut self, newest: Option<&DomainKey>) {
        let bare = match newest.filter(|newest| self.bare.get(newest).is_some()) {
            Some(_) if self.bare.len() < 2 => None,
            _ => self.bare.evict().map(|(key, ())| key),
        };
        if let Some(key) = bare.or_else(|| self.domains.oldest().copied()) {
            self.drop_domain(&key);
        }
    }

    fn drop_domain(&mut self, key: &DomainKey) {
        self.bare.remove(key);
        let Some(domain) = self.domains.remove(key) else { return };
        if let Some(own) = self.exporters.get_mut(&key.exporter) {
            own.domains.remove(key);
            own.known_bytes = own.known_bytes.saturating_sub(domain.memory_bytes());
            if own.domains.len() == 0 {
                self.known_bytes -= own.wide.memory_bytes();
                self.exporters.remove(&key.exporter);
            }
        }
        self.known_bytes -= domain.memory_bytes();
        self.ledger.domains_evicted += 1;
        (0..domain.template_count()).for_each(|_| self.ledger.template(TemplateEvent::Evicted));
        self.forget_domain(*key, &domain);
    }

    /// Where everything went.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The same by exporter.
    pub const fn exporters(&self) -> &Exporters {
        &self.told
    }

    /// What their numbers told, by domain.
    pub const fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// What came of the mirror's packets, since the start.
    pub const fn note_ports(&mut self, taken: PortTaken) {
        self.ledger.ports = taken;
    }

    /// Memory that strangers can make it take, about, bytes: what is known of exporters, and data that waits for templates.
    pub const fn memory_bytes(&self) -> (usize, usize) {
        (self.known_bytes, self.held_bytes)
    }

    /// Exporters' domains that are remembered.
    pub fn domains(&self) -> usize {
        self.domains.len()
    }

    /// Whether something was told that is worth keeping on disk, and is not there yet.
    pub const fn is_changed(&self) -> bool {
        self.changed
    }
}
