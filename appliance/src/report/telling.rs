//! What an account of a window says beside its ledger, and what others say of the window first.

use std::collections::BTreeMap;

use super::appliance::{Window, core_ledger, feeds, silent};
use super::causes::{CoreLoss, losses};
use super::flows::account;
use super::open::{Accounts, kind};
use super::reporter::{Reporter, Source};
use super::{CoreName, Delivery, Glance, Health, PortHealth, Publisher, export_losses, flow_losses, message, pb};
use crate::gather::Cause;
use crate::stats::plan::Period;
use crate::window::Site;

impl<P: Publisher, H: Health> Reporter<P, H> {
    pub(super) fn add_cores(&self, report: &mut pb::ApplianceReport, accounts: &Accounts, period: Period) {
        let mut cores: BTreeMap<u32, (&'static str, Site)> = BTreeMap::new();
        for (source, site) in self.sources.iter().zip(&accounts.sites).filter(|(source, _)| !source.name.is_of_flows()) {
            let entry = cores.entry(source.name.lcore).or_insert_with(|| (source.name.role, Site::default()));
            entry.1.merge(site);
        }
        let core = |(lcore, (role, site)): (u32, (&str, Site))| core_ledger(lcore, role, &site, period);
        report.cores = cores.into_iter().map(core).collect();
    }

    /// Where a window's flow records went.
    pub(super) fn flow_analysis(&self, site: &Site, period: Period) -> Option<pb::FlowAnalysis> {
        account(site, period, self.sources.iter().any(|source| source.name.is_of_flows()))
    }

    /// Ports that were silent in a window: by its own rate, or for a fast window of a long one.
    pub(super) fn silent_ports(&mut self, of: &Window, site: &Site, before: u64) -> u64 {
        let silent = before | silent(&self.setting.ports, site, of);
        if of.period == Period::Fast {
            self.long.silent_ports |= silent;
        }
        silent
    }

    /// What others know of a window before its reports are made.
    pub(super) fn doubts(&mut self, of: &Window, site: &Site, health: &[PortHealth]) -> Vec<&'static str> {
        if !self.setting.live {
            return Vec::new();
        }
        let live = |feed: &pb::Feed| feed.state() == pb::FeedState::Live;
        let is_live = feeds(&self.setting.ports, site, health, of.silent_ports).iter().all(live);
        let is_disturbed = !is_live || of.is_torn() || of.jumped || of.overdue || of.untold;
        let frames = site.tags.iter().copied().chain(std::iter::repeat(0));
        let tags: Vec<(&str, u64)> = self.setting.tag_names.iter().map(String::as_str).zip(frames).collect();
        self.publisher.doubts(&Glance { kind: kind(of.period), bounds_ns: of.bounds_ns, tags: &tags, is_disturbed })
    }

    /// Where loss came from.
    pub(super) fn losses(&self, site: &Site, health: &[PortHealth], accounts: &Accounts, of: &Window) -> Vec<pb::Loss> {
        let ports: Vec<_> = self.setting.ports.iter().zip(health).collect();
        let received = |port: usize| site.ports.get(port).map_or((0, 0), |ledger| (ledger.received, ledger.received_bytes));
        let received: Vec<_> = (0..ports.len()).map(received).collect();
        let core = |(source, site): (&Source, &Site)| {
            let CoreName { lcore, role } = source.name;
            let lost = site.lost_total();
            let long = if of.period == Period::Long { lost[Cause::Long as usize] } else { 0 };
            CoreLoss { lcore, role, ring: lost[Cause::Ring as usize], long, memory: lost[Cause::Memory as usize] }
        };
        let packets = self.sources.iter().zip(&accounts.sites).filter(|(source, _)| !source.name.is_of_flows());
        let cores: Vec<_> = packets.map(core).collect();
        losses(&ports, &received, &cores, of.bounds_ns.1.saturating_sub(of.bounds_ns.0))
    }

    /// Says when it begins.
    pub(super) fn look_for_overdue(&mut self, site: &Site) {
        let frames: u64 = site.ports.iter().map(|ledger| ledger.overdue).sum();
        if frames > 0 && !self.was_overdue {
            tracing::warn!(
                frames,
                "a core still closed a window when the next but one had begun: these frames count in an earlier window than their own \
                 (`overdue`): after a step of the clock this is usual, else more rx cores or workers, or fewer stats"
            );
        }
        self.was_overdue = frames > 0;
    }

    /// Says when it begins.
    pub(super) fn look_for_held(&mut self, is_held: bool) {
        if is_held && !self.was_held {
            tracing::warn!(
                "a core did not poll for more than a tenth of a fast window, over a window's end: frames count in a later window than their own \
                 (`held_up`): isolate its CPU (`tailwater check` says how)"
            );
        }
        self.was_held = is_held;
    }

    pub(super) fn publish_appliance(&mut self, mut report: pb::ApplianceReport) {
        let period = if report.window_kind() == pb::WindowKind::Fast { Period::Fast } else { Period::Long };
        let numbers = self.accounts.next(period);
        (report.sequence, report.kind_sequence) = (numbers.all, numbers.of_kind);
        let Delivery { sinks, journal, events_sequence } = self.publisher.delivery();
        (report.sinks, report.journal, report.events_sequence) = (sinks, journal, events_sequence);
        report.sink_overflow = self.publisher.overflow().into_iter().map(|(name, n)| message::count(name, n)).collect();
        report.journal_losses = self.publisher.losses();
        report.previous_run = self.publisher.previous_run();
        if period == Period::Long {
            report.flows = self.publisher.flows(report.total);
            report.exports = self.publisher.exports(report.total);
            let lost_flows = report.flows.iter().filter(|_| !report.total).flat_map(flow_losses::losses);
            let lost_exports = report.exports.iter().filter(|_| !report.total).flat_map(export_losses::losses);
            report.losses.extend(lost_flows.chain(lost_exports));
        }
        self.publisher.appliance(&report);
    }
}
