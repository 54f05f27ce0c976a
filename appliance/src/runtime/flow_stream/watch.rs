//! Where flows stand, for the reporter and for metrics: told by the thread that receives them a few times a second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::outlet::Given;
use crate::flows::{Collector, DatagramDrop, DomainGaps, Doubt, Exporter, Exporters, Gaps, Ledger, Numbers, RecordDrop, SetDrop};
use crate::journal::Journal;
use crate::telemetry::{ExporterSnapshot, FlowsSnapshot, GapsSnapshot};

/// How long the last account waits for the last flows.
const END_MAX: Duration = Duration::from_secs(5);

/// One moment.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) given: Given,
    pub(super) domains: usize,
    exporters: Exporters,
    numbers: Numbers,
    /// Rates that were doubtful when it was last looked.
    pub(super) doubts: Vec<Doubt>,
    is_over: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
    over: Condvar,
    stop: Arc<AtomicBool>,
}

impl Watch {
    /// Of a thread that ends when told so.
    pub(super) fn new(stop: Arc<AtomicBool>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), over: Condvar::new(), stop })
    }

    /// Tells a moment, unless somebody looks just now.
    pub(super) fn tell(&self, collector: &Collector, given: Given) {
        if let Ok(mut state) = self.state.try_lock() {
            state.set(collector, given);
        }
    }

    /// Tells which rates are doubtful.
    pub(super) fn doubt(&self, doubts: Vec<Doubt>) {
        self.lock().doubts = doubts;
    }

    /// Tells the last one.
    pub(super) fn end(&self, collector: &Collector, given: Given) {
        let mut state = self.lock();
        state.set(collector, given);
        state.is_over = true;
        drop(state);
        self.over.notify_all();
    }

    /// No more will be told, whatever came to an end.
    pub(super) fn is_over(&self) {
        self.lock().is_over = true;
        self.over.notify_all();
    }

    /// The last moment that was told: ledger, what was given on, domains. Once the end has begun it is the very last one.
    pub(super) fn moment(&self) -> State {
        let mut state = self.lock();
        if self.stop.load(Ordering::Relaxed) {
            let until = Instant::now() + END_MAX;
            while !state.is_over && Instant::now() < until {
                let left = until.saturating_duration_since(Instant::now());
                state = self.over.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        // Rows of exporters are for metrics alone, and many.
        let State { ledger, given, domains, doubts, .. } = &*state;
        State { ledger: ledger.clone(), given: *given, domains: *domains, doubts: doubts.clone(), ..State::default() }
    }

    /// For metrics.
    pub(super) fn snapshot(&self, journal: &Journal) -> FlowsSnapshot {
        let State { ledger, given, domains, exporters, numbers, doubts, .. } = self.lock().clone();
        let lane = journal.flow_state();
        let mut rows: Vec<_> = exporters.rows().map(|(address, row)| (address.text(), row)).collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let rows = rows.into_iter().chain([("other".to_owned(), exporters.other())]);
        FlowsSnapshot {
            exporters: rows.map(|(name, row)| exporter(name, row)).collect(),
            gaps: numbers.told().into_iter().flat_map(gaps).collect(),
            kernel_dropped: ledger.kernel_drops,
            port_datagrams: ledger.ports.datagrams,
            port_dropped: [ledger.ports.full, ledger.ports.cut, ledger.ports.other_port, ledger.ports.incomplete],
            port_waiting: ledger.ports.waiting,
            port_copies: ledger.ports.copies,
            waiting: ledger.waiting,
            domains: domains as u64,
            doubted: doubts.len() as u64,
            journalled: given.journalled,
            refused: given.refused,
            lots: lane.as_ref().map_or(0, |lane| lane.messages as u64),
            bytes: lane.as_ref().map_or(0, |lane| lane.bytes as u64),
            disk_bytes: lane.as_ref().map_or(0, |lane| lane.disk_bytes),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn set(&mut self, collector: &Collector, given: Given) {
        self.ledger.clone_from(collector.ledger());
        self.exporters.clone_from(collector.exporters());
        self.numbers.clone_from(collector.numbers());
        (self.given, self.domains) = (given, collector.domains());
    }
}

fn gaps(of: DomainGaps) -> impl Iterator<Item = GapsSnapshot> {
    let DomainGaps { exporter, protocol, domain, gaps } = of;
    gaps.into_iter().map(move |(unit, Gaps { lost, gaps, late, repeated, restarts, misnumbered })| GapsSnapshot {
        labels: [("exporter", exporter.clone()), ("protocol", protocol.to_owned()), ("domain", domain.clone()), ("of", unit.to_owned())],
        // What came late may have been missed before a row was another's.
        lost: u64::try_from(lost.cast_signed()).unwrap_or(0),
        times: [gaps, late, repeated, restarts, misnumbered],
    })
}

fn exporter(name: String, of: &Exporter) -> ExporterSnapshot {
    fn named<'a, const N: usize>(
        of: &'static str,
        names: [&'static str; N],
        counts: &'a [u64; N],
    ) -> impl Iterator<Item = (&'static str, &'static str, u64)> + 'a {
        names.into_iter().zip(counts).filter(|(_, n)| **n > 0).map(move |(name, n)| (of, name, *n))
    }
    let datagrams = named("datagram", DatagramDrop::ALL.map(DatagramDrop::name), &of.datagram_drops);
    let sets = named("set", SetDrop::ALL.map(SetDrop::name), &of.set_drops);
    let records = named("record", RecordDrop::ALL.map(RecordDrop::name), &of.record_drops);
    ExporterSnapshot {
        name,
        datagrams: of.datagrams,
        flows: of.flows,
        templates: of.templates,
        lost: of.lost,
        rate_unknown: of.rate_unknown,
        errors: datagrams.chain(sets).chain(records).collect(),
        delays: of.delays.counts.to_vec(),
        delay_sum_ms: of.delays.sum_ms,
    }
}
