//! What is remembered of one exporter's domain: its templates, its sampling rates, where its numbers are, what waits.

use super::collector::Collector;
use super::flow::Address;
use super::held::Held;
use super::ledger::{Ledger, TemplateEvent};
use super::lru::Lru;
use super::sampling::{Rates, Told};
use super::sequence::Sequence;
use super::template::{Definition, Plan};
use crate::limits::{TEMPLATE_BYTES_OF_DOMAIN_MAX, TEMPLATE_MS_MAX, TEMPLATES_OF_DOMAIN_MAX};

/// Who sent a datagram: template ids and sequence numbers of different ones have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DomainKey {
    /// Source of the datagram.
    pub(super) exporter: Address,
    /// Its port, where exporters are told apart by it; else 0.
    pub(super) port: u16,
    /// 1, 5, 7, 9, 10; 105 for sFlow.
    pub(super) version: u16,
    /// Observation domain, source id, engine, or sub-agent.
    pub(super) id: u32,
    /// The agent of sFlow.
    pub(super) agent: Address,
}

impl DomainKey {
    /// None comes before it.
    pub(super) const FIRST: Self = Self { exporter: Address::NONE, port: 0, version: 0, id: 0, agent: Address::NONE };
}

/// A template that can be used.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) definition: Definition,
    pub(super) plan: Plan,
    /// When it was last told.
    pub(super) told_ns: u64,
    /// The port that it was told from.
    port: u16,
}

impl Template {
    /// The port that it was last told from.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }
}

/// What reading a data set takes of a domain.
pub(super) struct Parts<'a> {
    pub(super) template: &'a Template,
    pub(super) rates: &'a mut Rates,
}

/// One exporter's domain.
#[derive(Debug)]
pub(super) struct Domain {
    templates: Lru<u16, Template>,
    /// Memory of its templates, about.
    template_bytes: usize,
    /// What it told of sampling.
    pub(super) rates: Rates,
    /// Its datagrams' numbers.
    pub(super) sequence: Sequence,
    /// Its last datagrams,
    pub(super) repeats: super::repeats::Repeats,
    /// and when the newest came.
    pub(super) last_ns: u64,
    /// Where what its numbers told stands.
    pub(super) numbers_at: usize,
    /// It gave a template at some time.
    pub(super) is_known: bool,
    /// Data that waits for its template.
    pub(super) held: Held,
    /// When the exporter started, as options told (element 160).
    pub(super) init_ms: Option<u64>,
    /// What the exporter says it sent, first and last told; and what of it came between.
    pub(super) exported: super::totals::Exported,
    /// Data sources of sFlow.
    pub(super) sources: super::sflow::pool::Sources,
}

impl Collector {
    /// What an exporter told of the rate of another of its domains.
    pub(super) fn learn_elsewhere(&mut self, key: DomainKey, told: &Told, interface: Option<u32>) {
        if self.domains.get(&key).is_none() {
            self.add(key);
        }
        let Some(domain) = self.domains.get(&key) else { return };
        let before = domain.memory_bytes();
        let news = domain.rates.learn(told, interface);
        let (known, has_templates) = (domain.memory_bytes(), domain.template_count() > 0);
        self.ledger.rates_told += u64::from(news);
        self.changed |= news;
        self.known_bytes = self.known_bytes + known - before;
        self.note_use(key, has_templates, (known, before));
    }
}

impl Domain {
    pub(super) fn new() -> Self {
        Self {
            templates: Lru::new(),
            template_bytes: 0,
            rates: Rates::new(),
            sequence: Sequence::default(),
            repeats: super::repeats::Repeats::default(),
            last_ns: 0,
            numbers_at: usize::MAX,
            is_known: false,
            held: Held::default(),
            init_ms: None,
            exported: super::totals::Exported::default(),
            sources: super::sflow::pool::Sources::new(),
        }
    }

    /// The template of an id, unless it expired by now.
    #[inline]
    pub(super) fn template(&mut self, id: u16, now_ns: u64, ledger: &mut Ledger) -> Option<&Template> {
        let expired = self.templates.get(&id)?.told_ns.saturating_add(TEMPLATE_MS_MAX * 1_000_000) < now_ns;
        if expired {
            ledger.template(TemplateEvent::Expired);
            self.remove(id);
            return None;
        }
        self.templates.get(&id).map(|template| &*template)
    }

    /// Takes up a template. False: it is of no use, and what had its id is gone.
    pub(super) fn learn(&mut self, id: u16, definition: Definition, version: u16, from: (u16, u64), ledger: &mut Ledger) -> bool {
        let (port, now_ns) = from;
        let event = match self.templates.get(&id) {
            None => TemplateEvent::New,
            Some(known) if known.definition == definition => {
                (known.told_ns, known.port) = (now_ns.max(known.told_ns), port);
                ledger.template(TemplateEvent::Refreshed);
                return true;
            }
            Some(known) if known.port != port => TemplateEvent::Conflict,
            Some(_) => TemplateEvent::Changed,
        };
        let Ok(plan) = definition.compile(version) else {
            self.remove(id);
            ledger.template(TemplateEvent::Empty);
            return false;
        };
        ledger.template(event);
        self.remove(id);
        self.make_room(definition.memory_bytes(), ledger);
        self.template_bytes += definition.memory_bytes();
        self.templates.insert(id, Template { definition, plan, told_ns: now_ns, port });
        self.is_known = true;
        true
    }

    /// A template and the rates, to be used together.
    #[inline]
    pub(super) fn parts(&mut self, id: u16) -> Option<Parts<'_>> {
        Some(Parts { template: self.templates.get(&id)?, rates: &mut self.rates })
    }

    /// For one more, of so many bytes.
    fn make_room(&mut self, bytes: usize, ledger: &mut Ledger) {
        while (self.templates.len() >= TEMPLATES_OF_DOMAIN_MAX || self.template_bytes + bytes > TEMPLATE_BYTES_OF_DOMAIN_MAX)
            && let Some((_, template)) = self.templates.evict()
        {
            self.template_bytes = self.template_bytes.saturating_sub(template.definition.memory_bytes());
            ledger.template(TemplateEvent::Evicted);
        }
    }

    /// Forgets a template.
    pub(super) fn remove(&mut self, id: u16) {
        let Some(template) = self.templates.remove(&id) else { return };
        self.template_bytes = self.template_bytes.saturating_sub(template.definition.memory_bytes());
    }

    /// Memory that its exporter can make it take, about: templates, rates, data sources. What waits is counted apart.
    pub(super) fn memory_bytes(&self) -> usize {
        self.template_bytes + self.rates.memory_bytes() + self.sources.memory_bytes() + self.repeats.memory_bytes()
    }

    /// Templates by id.
    pub(super) fn templates(&self) -> impl Iterator<Item = (u16, &Template)> {
        self.templates.iter().map(|(id, template)| (*id, template))
    }

    /// How many templates there are.
    pub(super) fn template_count(&self) -> usize {
        self.templates.len()
    }
}
