//! The account of exports in each long window, for the appliance's report; and the same for metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Row;
use super::watch::{ExportFigures, LogFigures, State, Watch};
use crate::exports::Counts;
use crate::journal::Journal;
use crate::report::pb;
use crate::telemetry::{ExportSnapshot, ExportsSnapshot, LogsSnapshot, Registry, SinkStatus};

/// Takes accounts of one window after the other.
pub struct Accounts {
    watch: Arc<Watch>,
    counts: Vec<Arc<Counts>>,
    rows: Vec<Row>,
    lcores: Vec<u32>,
    has_logs: bool,
    journal: Arc<Journal>,
    registry: Arc<Registry>,
    before: Moment,
    sinks_before: BTreeMap<String, [u64; 3]>,
    /// Since the start, by sink.
    lost: BTreeMap<String, u64>,
}

/// Everything since the start, at one moment.
#[derive(Clone, Debug, Default)]
struct Moment {
    state: State,
    /// Sampled and lost, by sampler and core.
    taps: Vec<Vec<[u64; 2]>>,
}

impl Moment {
    /// What a sampler sampled and lost, on all cores.
    fn of(&self, sampler: usize) -> [u64; 2] {
        let counts = self.taps.get(sampler).into_iter().flatten();
        counts.fold([0; 2], |[sampled, lost], [more, more_lost]| [sampled + more, lost + more_lost])
    }

    fn export(&self, at: usize) -> ExportFigures {
        self.state.exports.get(at).copied().unwrap_or_default()
    }

    fn logs(&self) -> LogFigures {
        self.state.logs.unwrap_or_default()
    }
}

impl Accounts {
    pub(super) fn new(
        (watch, counts, rows): (Arc<Watch>, Vec<Arc<Counts>>, Vec<Row>),
        lcores: &[u32],
        has_logs: bool,
        (journal, registry): (Arc<Journal>, Arc<Registry>),
    ) -> Self {
        let (lcores, before) = (lcores.to_vec(), Moment::default());
        Self { watch, counts, rows, lcores, has_logs, journal, registry, before, sinks_before: BTreeMap::new(), lost: BTreeMap::new() }
    }

    fn samplers(&self) -> usize {
        self.rows.len() + usize::from(self.has_logs)
    }

    fn moment(&self, is_last: bool) -> Moment {
        let state = if is_last { self.watch.last() } else { self.watch.moment() };
        let read = |counter: Option<&AtomicU64>| counter.map_or(0, |counter| counter.load(Relaxed));
        let of = |sampler: usize| {
            let one = |counts: &Arc<Counts>| [read(counts.sampled.get(sampler)), read(counts.lost.get(sampler))];
            self.counts.iter().map(one).collect()
        };
        Moment { state, taps: (0..self.samplers()).map(of).collect() }
    }

    /// What came since this was asked last; with `total`, since the start.
    pub fn take(&mut self, total: bool) -> pb::ExportsAccount {
        let now = self.moment(total);
        let before = if total { Moment::default() } else { std::mem::replace(&mut self.before, now.clone()) };
        let exports = self.rows.iter().enumerate().map(|(at, row)| export(row, at, &now, &before)).collect();
        let packet_logs = self.has_logs.then(|| self.logs(total, (&now, &before)));
        pb::ExportsAccount { taps: self.taps(&now, &before), exports, packet_logs }
    }

    fn taps(&self, now: &Moment, before: &Moment) -> Vec<pb::TapCount> {
        let sum = |of: &Moment, core: usize| {
            let counts = of.taps.iter().filter_map(|cores| cores.get(core));
            counts.fold([0; 2], |[sampled, lost], [more, more_lost]| [sampled + more, lost + more_lost])
        };
        let tap = |(core, lcore): (usize, &u32)| {
            let ([sampled, lost], [sampled_before, lost_before]) = (sum(now, core), sum(before, core));
            pb::TapCount { lcore: *lcore, sampled: sampled - sampled_before, lost: lost - lost_before }
        };
        self.lcores.iter().enumerate().map(tap).collect()
    }

    fn logs(&mut self, total: bool, (now, before): (&Moment, &Moment)) -> pb::PacketLogsAccount {
        let losses = self.journal.log_losses();
        for (sink, losses) in &losses {
            *self.lost.entry(sink.clone()).or_default() += losses.messages() - losses.told_before();
        }
        let at = self.rows.len();
        let ([sampled, lost], [sampled_before, lost_before]) = (now.of(at), before.of(at));
        let (logs, logs_before) = (now.logs(), before.logs());
        pb::PacketLogsAccount {
            sampled: sampled - sampled_before,
            lost: lost - lost_before,
            left_out: logs.left_out - logs_before.left_out,
            journalled: logs.given.written - logs_before.given.written,
            refused: logs.given.refused - logs_before.given.refused,
            sinks: self.sinks(total),
            journal_losses: losses.iter().map(|(sink, losses)| losses.told(sink)).collect(),
        }
    }

    fn sinks(&mut self, total: bool) -> Vec<pb::FlowSinkAccount> {
        let now = self.registry.sinks();
        let Self { lost, sinks_before, .. } = self;
        let account = |status: &SinkStatus| {
            let sums = [status.logs, status.logs_failed, lost.get(&status.name).copied().unwrap_or(0)];
            let before = if total { [0; 3] } else { sinks_before.insert(status.name.clone(), sums).unwrap_or_default() };
            pb::FlowSinkAccount {
                sink: status.name.clone(),
                acknowledged: sums[0] - before[0],
                failed: sums[1] - before[1],
                lost: sums[2] - before[2],
                lots_waiting: status.log_lots_behind,
            }
        };
        now.iter().map(account).collect()
    }

    /// By protocol and address; of several with the same by their domain too.
    fn name(&self, at: usize) -> String {
        let (own, name) = (&self.rows[at], |row: &Row| format!("{}:{}", row.protocol, row.to));
        let is_alone = self.rows.iter().filter(|row| name(row) == name(own)).count() == 1;
        if is_alone { name(own) } else { format!("{}/{}", name(own), own.observation_domain) }
    }

    /// For metrics.
    pub(super) fn snapshot(&self) -> ExportsSnapshot {
        let now = self.moment(false);
        let export = |(at, _): (usize, &Row)| {
            let ([sampled, lost], of) = (now.of(at), now.export(at));
            ExportSnapshot {
                name: self.name(at),
                sampled,
                lost,
                left_out: of.left_out,
                records: of.records,
                datagrams: of.datagrams,
                failed: of.failed,
                evicted: of.evicted,
                unplaced: of.unplaced,
                held: of.held,
            }
        };
        let [sampled, lost] = now.of(self.rows.len());
        let (logs, lane) = (now.logs(), self.journal.log_state());
        let logs = LogsSnapshot {
            sampled,
            lost,
            left_out: logs.left_out,
            journalled: logs.given.written,
            refused: logs.given.refused,
            lots: lane.as_ref().map_or(0, |lane| lane.messages as u64),
            bytes: lane.as_ref().map_or(0, |lane| lane.bytes as u64),
            disk_bytes: lane.as_ref().map_or(0, |lane| lane.disk_bytes),
        };
        ExportsSnapshot { exports: self.rows.iter().enumerate().map(export).collect(), logs: self.has_logs.then_some(logs) }
    }
}

fn export(row: &Row, at: usize, now: &Moment, before: &Moment) -> pb::ExportAccount {
    let ([sampled, lost], [sampled_before, lost_before]) = (now.of(at), before.of(at));
    let (of, was) = (now.export(at), before.export(at));
    pb::ExportAccount {
        protocol: row.protocol.to_owned(),
        to: row.to.clone(),
        sampled: sampled - sampled_before,
        lost: lost - lost_before,
        left_out: of.left_out - was.left_out,
        records: of.records - was.records,
        datagrams: of.datagrams - was.datagrams,
        send_failed: of.failed - was.failed,
        evicted: of.evicted - was.evicted,
        unplaced: of.unplaced - was.unplaced,
        flows_held: of.held,
        observation_domain: row.observation_domain,
    }
}
