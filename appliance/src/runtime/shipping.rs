//! The reporter's messages into the journal, and its signs of life into the registry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::exporting;
use super::findings;
use super::flow_stream::Accounts;
use super::strained::Strained;
use crate::events::Engine;
use crate::journal::{CursorState, Journal, Message};
use crate::report::{Delivery, Glance, Publisher, Strain, pb};
use crate::telemetry::{FeedHealth, FeedSnapshot, Registry, SinkState, SinkStatus, WallClockSnapshot};

/// See the module.
pub struct Shipping {
    journal: Arc<Journal>,
    registry: Arc<Registry>,
    /// Of the last long window.
    feeds: Vec<FeedSnapshot>,
    /// Incomplete reports of the long and of the fast window that are being closed, and their reasons.
    incomplete: [(u64, BTreeMap<String, u64>); 2],
    strained: Strained,
    events: Engine,
    flows: Option<Accounts>,
    exports: Option<exporting::Accounts>,
}

impl Shipping {
    /// Into `journal`.
    pub fn new(journal: Arc<Journal>, registry: Arc<Registry>) -> Self {
        Self {
            journal,
            registry,
            feeds: Vec::new(),
            incomplete: Default::default(),
            strained: Strained::default(),
            events: Engine::default(),
            flows: None,
            exports: None,
        }
    }

    /// With the accounts of flow records, if any are received.
    pub fn with_flows(self, flows: Option<Accounts>) -> Self {
        Self { flows, ..self }
    }

    /// With the accounts of what is exported, if anything is.
    pub fn with_exports(self, exports: Option<exporting::Accounts>) -> Self {
        Self { exports, ..self }
    }

    /// Says which feeds are no longer what they were. (That a port is down was said when it was seen.)
    fn tell(&mut self, feeds: &[FeedSnapshot]) {
        for feed in feeds {
            let before = self.feeds.iter().find(|before| before.name == feed.name).map_or(FeedHealth::Live, |before| before.health);
            let name = &feed.name;
            match (before, feed.health) {
                (FeedHealth::Live | FeedHealth::Down, FeedHealth::Silent) => {
                    tracing::warn!(feed = name, "the feed is SILENT: it brought less than min_pps; does the mirror still send?");
                }
                (FeedHealth::Live | FeedHealth::Silent, FeedHealth::Down) => tracing::error!(feed = name, "the feed is DOWN"),
                (FeedHealth::Silent | FeedHealth::Down, FeedHealth::Live) => tracing::info!(feed = name, "the feed is LIVE again"),
                _ => {}
            }
        }
        self.feeds = feeds.to_vec();
    }

    /// What an account gives rise to, behind it.
    fn judge(&mut self, report: &pb::ApplianceReport) {
        let events = self.events.judge(report);
        for event in &events {
            self.journal.append(Message::event(event));
            tell_event(event);
        }
        let sent = events.iter().map(|event| (event.kind.clone(), event.state().as_str_name()));
        self.registry.events(self.events.open().into_iter().collect(), sent);
        let is_long = report.window_kind() == pb::WindowKind::Long;
        for loss in report.losses.iter().filter(|_| is_long) {
            self.registry.lost(&loss.what, &loss.cause, loss.count);
        }
        self.registry.set_wall_clock(WallClockSnapshot {
            sync: u8::try_from(report.clock_sync).unwrap_or(0),
            error_ns: report.clock_error_ns,
            disciplined_by: report.clock_disciplined_by.clone(),
            phc: report.clock_phc_offset_ns.map(|ns| (report.clock_phc.clone(), ns)),
        });
    }
}

/// In the log: that it begins, and that it is over.
fn tell_event(event: &pb::Event) {
    let (kind, id) = (&event.kind, &event.id);
    match (event.state(), event.severity()) {
        (pb::EventState::Begun, pb::Severity::Info) => tracing::info!(kind, id, "{}; {}", event.summary, event.remedy),
        (pb::EventState::Begun, pb::Severity::Critical) => tracing::error!(kind, id, "{}; {}", event.summary, event.remedy),
        (pb::EventState::Begun, pb::Severity::Warning) => tracing::warn!(kind, id, "{}; {}", event.summary, event.remedy),
        (pb::EventState::Ended, _) => tracing::info!(kind, id, "{}", event.summary),
        (pb::EventState::Ongoing, _) => {}
    }
}

impl Publisher for Shipping {
    fn range(&mut self, report: &pb::RangeReport) {
        self.journal.append(Message::range(report));
        if let Some(incomplete) = &report.incomplete {
            let (count, reasons) = &mut self.incomplete[usize::from(report.window_kind() == pb::WindowKind::Fast)];
            *count += 1;
            for reason in &incomplete.reasons {
                *reasons.entry(reason.clone()).or_default() += 1;
            }
        }
    }

    fn strained(&mut self, is_long: bool, of: &Strain) {
        self.registry.degraded(of.counts());
        if is_long {
            self.strained.tell(of);
        }
    }

    fn link(&mut self, report: &pb::LinkReport) {
        self.journal.append(Message::link(report));
    }

    fn appliance(&mut self, report: &pb::ApplianceReport) {
        self.journal.append(Message::appliance(report));
        if report.total {
            return;
        }
        self.judge(report);
        self.registry.window_closed(report.window_end_ns);
        findings::register(report, &self.registry);
        let is_long = report.window_kind() == pb::WindowKind::Long;
        let (count, reasons) = std::mem::take(&mut self.incomplete[usize::from(!is_long)]);
        self.registry.incomplete(reasons, is_long.then_some(count));
        let feed = |feed: &pb::Feed| FeedSnapshot {
            name: feed.name.clone(),
            health: match feed.state() {
                pb::FeedState::Live => FeedHealth::Live,
                pb::FeedState::Silent => FeedHealth::Silent,
                pb::FeedState::Down => FeedHealth::Down,
            },
        };
        let feeds: Vec<_> = report.feeds.iter().map(feed).collect();
        if is_long {
            self.tell(&feeds);
        }
        self.registry.set_feeds(feeds);
    }

    fn doubts(&mut self, glance: &Glance<'_>) -> Vec<&'static str> {
        self.events.glance(glance)
    }

    fn delivery(&self) -> Delivery {
        let (state, waiting, status) = (self.journal.state(), self.journal.waiting(), self.registry.sinks());
        let [flows_waiting, logs_waiting] = self.journal.lots_waiting();
        let age_ms = |waiting: &[(String, Duration)], of: &str| {
            let waited = waiting.iter().find(|(sink, _)| sink == of).map_or(Duration::ZERO, |(_, waited)| *waited);
            u64::try_from(waited.as_millis()).unwrap_or(u64::MAX)
        };
        let account = |cursor: &CursorState| {
            let status = status.iter().find(|status| status.name == cursor.sink);
            let is_down = |status: &&SinkStatus| status.state == SinkState::Down;
            let trouble = status.filter(is_down).and_then(|status| status.last_error.clone());
            pb::SinkAccount {
                sink: cursor.sink.clone(),
                appended: state.appended,
                backlog: cursor.backlog,
                committed: cursor.committed,
                overflow: cursor.overflow,
                damaged: cursor.damaged,
                in_flight: cursor.in_flight,
                unread: cursor.unread,
                oldest_age_ms: age_ms(&waiting, &cursor.sink),
                failed: status.map_or(0, |status| status.failed),
                trouble: trouble.unwrap_or_default(),
                flows_failed: status.map_or(0, |status| status.flows_failed),
                flows_topic_refused: status.map_or(0, |status| status.topics_failed.values().sum()),
                logs_failed: status.map_or(0, |status| status.logs_failed),
                flows_oldest_age_ms: age_ms(&flows_waiting, &cursor.sink),
                logs_oldest_age_ms: age_ms(&logs_waiting, &cursor.sink),
            }
        };
        let journal = pb::JournalAccount { unsynced: state.unsynced, fault: state.fault.clone().unwrap_or_default() };
        // One that takes flows or packet logs alone has no cursor for reports: it is given none.
        let alone = status.iter().filter(|status| state.cursors.iter().all(|cursor| cursor.sink != status.name));
        let alone = alone.map(|status| pb::SinkAccount { appended: 0, ..account(&no_reports(&status.name)) });
        let sinks = state.cursors.iter().map(account).chain(alone).collect();
        Delivery { sinks, journal: Some(journal), events_sequence: self.events.sequence() }
    }

    fn overflow(&self) -> Vec<(String, u64)> {
        self.journal.overflow()
    }

    fn previous_run(&self) -> Option<pb::PreviousRun> {
        self.journal.previous().copied()
    }

    fn flows(&mut self, total: bool) -> Option<pb::FlowsAccount> {
        self.flows.as_mut().map(|flows| flows.take(total))
    }

    fn exports(&mut self, total: bool) -> Option<pb::ExportsAccount> {
        self.exports.as_mut().map(|exports| exports.take(total))
    }

    fn losses(&mut self) -> Vec<pb::JournalLosses> {
        self.journal.losses().iter().map(|(sink, losses)| losses.told(sink)).collect()
    }
}

/// Of a sink that takes no reports.
fn no_reports(sink: &str) -> CursorState {
    CursorState { sink: sink.to_owned(), backlog: 0, committed: 0, overflow: 0, damaged: 0, in_flight: 0, unread: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Bound;

    #[test]
    fn what_became_coarser_or_incomplete_is_seen_by_metrics() {
        let registry = Registry::new("a", "", Duration::from_secs(1));
        let mut shipping = Shipping::new(Journal::new::<&str>(Bound::default(), &[]), Arc::clone(&registry));
        let mut window = |reasons: &[&[&str]], strain: Strain, kind: pb::WindowKind| {
            for reasons in reasons {
                let reasons: Vec<String> = reasons.iter().map(|reason| (*reason).to_owned()).collect();
                let incomplete = (!reasons.is_empty()).then_some(pb::Incomplete { reasons, ..pb::Incomplete::default() });
                shipping.range(&pb::RangeReport { incomplete, window_kind: kind.into(), ..pb::RangeReport::default() });
            }
            let is_long = kind == pb::WindowKind::Long;
            shipping.strained(is_long, &strain);
            shipping.appliance(&pb::ApplianceReport { window_kind: kind.into(), ..pb::ApplianceReport::default() });
            let snapshot = registry.snapshot();
            (snapshot.degraded, snapshot.incomplete, snapshot.incomplete_last_window)
        };
        let named = |list: &[(&str, u64)]| list.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect::<Vec<_>>();
        let strain = Strain { thinned: 3, short: 2, folded: 1, missed: 1, shed: 4 };
        let long = window(&[&["memory"], &[], &["memory", "nic_missed"]], strain, pb::WindowKind::Long);
        assert_eq!(long, ([3, 2, 1, 1, 4], named(&[("memory", 2), ("nic_missed", 1)]), 2));
        let fast = window(&[&["ring_full"]], strain, pb::WindowKind::Fast);
        assert_eq!(fast, ([6, 4, 2, 2, 8], named(&[("memory", 2), ("nic_missed", 1), ("ring_full", 1)]), 2), "of the last long window");
        assert_eq!(window(&[&[]], Strain::default(), pb::WindowKind::Long).2, 0);
    }

    /// A sink without reports has an account too, and flows that were refused with their topic are told apart.
    #[test]
    fn what_sinks_gave_up_of_flows_and_logs_is_in_their_account() {
        let registry = Registry::new("a", "", Duration::from_secs(1));
        let status = |name: &str| SinkStatus {
            name: name.to_owned(),
            state: SinkState::Up,
            delivered: 7,
            failed: 1,
            retried: 0,
            flows: 9,
            flows_failed: 5,
            logs: 9,
            logs_failed: 2,
            topics_failed: [("t".to_owned(), 3), ("u".to_owned(), 1)].into(),
            refused: Vec::new(),
            overflow: 0,
            behind: 0,
            lots_behind: 0,
            log_lots_behind: 0,
            last_error: None,
            address: String::new(),
            ages: Vec::new(),
            packet_ages: Vec::new(),
        };
        let sinks = vec![status("kafka"), status("https")];
        registry.set_sinks(move || sinks.clone());
        let shipping = Shipping::new(Journal::new(Bound::default(), &["kafka"]), registry);
        shipping.journal.append(Message::appliance(&pb::ApplianceReport::default()));
        let sinks = shipping.delivery().sinks;
        let said: Vec<_> = sinks
            .iter()
            .map(|sink| {
                (&sink.sink[..], sink.appended, sink.unread, sink.failed, sink.flows_failed, sink.flows_topic_refused, sink.logs_failed)
            })
            .collect();
        assert_eq!(said, [("kafka", 1, 1, 1, 5, 4, 2), ("https", 0, 0, 1, 5, 4, 2)]);
    }
}
