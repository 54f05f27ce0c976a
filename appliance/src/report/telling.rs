//! What an account of a window says beside its ledger, and what others say of the window first.

use std::collections::BTreeMap;

use super::appliance::{Window, core_ledger, feeds};
use super::causes::{CoreLoss, losses};
use super::open::Accounts;
use super::reporter::{Reporter, Source, kind};
use super::{CoreName, Glance, Health, PortHealth, Publisher, pb};
use crate::gather::Cause;
use crate::stats::plan::Period;
use crate::window::Site;

impl<P: Publisher, H: Health> Reporter<P, H> {
    pub(super) fn add_cores(&self, report: &mut pb::ApplianceReport, accounts: &Accounts, period: Period) {
        let mut cores: BTreeMap<u32, (&'static str, Site)> = BTreeMap::new();
        for (source, site) in self.sources.iter().zip(&accounts.sites) {
            let entry = cores.entry(source.name.lcore).or_insert_with(|| (source.name.role, Site::default()));
            entry.1.merge(site);
        }
        let core = |(lcore, (role, site)): (u32, (&str, Site))| core_ledger(lcore, role, &site, period);
        report.cores = cores.into_iter().map(core).collect();
    }

    /// What others know of a window before its reports are made.
    pub(super) fn doubts(&mut self, of: &Window, site: &Site, health: &[PortHealth]) -> Vec<&'static str> {
        if !self.setting.live {
            return Vec::new();
        }
        let live = |feed: &pb::Feed| feed.state() == pb::FeedState::Live;
        let is_live = feeds(&self.setting, site, health, of.bounds_ns, of.cut).iter().all(live);
        let is_disturbed = !is_live || of.cut || of.jumped || of.overdue || of.untold;
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
        let cores: Vec<_> = self.sources.iter().zip(&accounts.sites).map(core).collect();
        losses(&ports, &received, &cores, of.bounds_ns.1.saturating_sub(of.bounds_ns.0))
    }
}
