//! The account of flows in each long window, for the appliance's report.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::outlet::Given;
use super::watch::{State, Watch};
use crate::flows::{DatagramDrop, Doubt, Gaps, Ledger, PortTaken, RecordDrop, SetDrop, TemplateEvent};
use crate::journal::Journal;
use crate::report::pb;
use crate::telemetry::{Registry, SinkStatus};

/// Rates that an account lists: those of the exporters of most flows.
const DOUBTS_MAX: usize = 20;

/// Takes accounts of one window after the other.
pub struct Accounts {
    watch: Arc<Watch>,
    journal: Arc<Journal>,
    registry: Arc<Registry>,
    /// At the end of the window before.
    before: (Ledger, Given),
    sinks_before: BTreeMap<String, Sums>,
    /// Flow messages whose topic was refused, over all sinks.
    topics_before: BTreeMap<String, u64>,
    /// Since the start, by sink.
    lost: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    acknowledged: u64,
    failed: u64,
    lost: u64,
}

impl Accounts {
    pub(super) fn new(watch: Arc<Watch>, journal: Arc<Journal>, registry: Arc<Registry>) -> Self {
        Self {
            watch,
            journal,
            registry,
            before: Default::default(),
            sinks_before: BTreeMap::new(),
            topics_before: BTreeMap::new(),
            lost: BTreeMap::new(),
        }
    }

    /// What came since this was asked last; with `total`, since the start.
    pub fn take(&mut self, total: bool) -> pb::FlowsAccount {
        let State { ledger, given, domains, doubts, .. } = self.watch.moment();
        let losses = self.journal.flow_losses();
        for (sink, losses) in &losses {
            *self.lost.entry(sink.clone()).or_default() += losses.messages() - losses.told_before();
        }
        let (before, given_before) = if total { Default::default() } else { self.before.clone() };
        let (sinks, refused_topics) = (self.sinks(total), self.refused_topics(total));
        let account = pb::FlowsAccount {
            domains: domains as u64,
            doubts: doubts.iter().take(DOUBTS_MAX).map(doubt).collect(),
            doubted: doubts.len() as u64,
            journalled: given.journalled - given_before.journalled,
            refused: given.refused - given_before.refused,
            messages: given.messages - given_before.messages,
            flows_unwritten: given.unwritten - given_before.unwritten,
            sets_waiting_before: before.waiting,
            sinks,
            refused_topics,
            journal_losses: losses.iter().map(|(sink, losses)| losses.told(sink)).collect(),
            ..message(&ledger.since(&before), before.ports.waiting)
        };
        if !total {
            self.before = (ledger, given);
        }
        account
    }

    fn refused_topics(&mut self, total: bool) -> Vec<pb::NamedCount> {
        let mut now = BTreeMap::<String, u64>::new();
        for (topic, flows) in self.registry.sinks().into_iter().flat_map(|status| status.topics_failed) {
            *now.entry(topic).or_default() += flows;
        }
        let before = if total { BTreeMap::new() } else { std::mem::replace(&mut self.topics_before, now.clone()) };
        let since = now.into_iter().map(|(name, flows)| (flows - before.get(&name).copied().unwrap_or(0), name));
        since.filter(|(value, _)| *value > 0).map(|(value, name)| pb::NamedCount { name, value }).collect()
    }

    fn sinks(&mut self, total: bool) -> Vec<pb::FlowSinkAccount> {
        let now = self.registry.sinks();
        let sums = |status: &SinkStatus| Sums {
            acknowledged: status.flows,
            failed: status.flows_failed,
            lost: self.lost.get(&status.name).copied().unwrap_or(0),
        };
        let mut accounts = Vec::new();
        for status in &now {
            let sums = sums(status);
            let before = if total { Sums::default() } else { self.sinks_before.insert(status.name.clone(), sums).unwrap_or_default() };
            accounts.push(pb::FlowSinkAccount {
                sink: status.name.clone(),
                acknowledged: sums.acknowledged - before.acknowledged,
                failed: sums.failed - before.failed,
                lost: sums.lost - before.lost,
                lots_waiting: status.lots_behind,
            });
        }
        accounts
    }
}

fn doubt(of: &Doubt) -> pb::FlowDoubt {
    pb::FlowDoubt { of: of.of.clone(), told: of.told, makes: of.makes, why: of.why.clone() }
}

/// A ledger as it is sent; of the mirror's datagrams in pieces so many waited before.
fn message(of: &Ledger, waiting_before: u64) -> pb::FlowsAccount {
    fn named<const N: usize>(names: [&'static str; N], counts: &[u64; N]) -> Vec<pb::NamedCount> {
        let there = names.into_iter().zip(counts).filter(|(_, n)| **n > 0);
        there.map(|(name, n)| pb::NamedCount { name: name.to_owned(), value: *n }).collect()
    }
    pb::FlowsAccount {
        datagrams: of.datagrams,
        decoded: of.decoded,
        datagram_drops: named(DatagramDrop::ALL.map(DatagramDrop::name), &of.datagram_drops),
        sets: of.sets,
        template_sets: of.template_sets,
        data_sets: of.data_sets,
        sets_waiting: of.waiting,
        set_drops: named(SetDrop::ALL.map(SetDrop::name), &of.set_drops),
        sets_released: of.released,
        records: of.records,
        flows: of.flows,
        options: of.options,
        counters: of.counters,
        record_drops: named(RecordDrop::ALL.map(RecordDrop::name), &of.record_drops),
        templates: named(TemplateEvent::ALL.map(TemplateEvent::name), &of.templates),
        rate_unknown: of.rate_unknown,
        rates_told: of.rates_told,
        rates_ignored: of.rates_ignored,
        domains_evicted: of.domains_evicted,
        record_gaps: Some(gaps(of.record_gaps)),
        datagram_gaps: Some(gaps(of.datagram_gaps)),
        sample_gaps: Some(gaps(of.sample_gaps)),
        kernel_dropped: of.kernel_drops,
        repeated: of.repeated,
        junk: of.junk,
        ports: (of.ports != PortTaken::default()).then(|| {
            let PortTaken { datagrams, full, cut, other_port, whole, begun, incomplete, waiting, copies } = of.ports;
            let (begun_in_pieces, copies_of_pieces) = (begun, copies);
            pb::FlowPorts {
                datagrams,
                full,
                cut,
                other_port,
                whole,
                begun_in_pieces,
                incomplete,
                waiting,
                waiting_before,
                copies_of_pieces,
            }
        }),
        ..pb::FlowsAccount::default()
    }
}

const fn gaps(of: Gaps) -> pb::FlowGaps {
    let Gaps { lost, gaps, late, repeated, restarts, misnumbered } = of;
    pb::FlowGaps { lost: lost.cast_signed(), gaps, late, repeated_datagrams: repeated, restarts, misnumbered }
}
