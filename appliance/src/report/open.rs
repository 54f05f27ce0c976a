//! Windows that are not complete yet.

use std::collections::BTreeMap;

use crate::stats::Summary;
use crate::stats::plan::{Period, Plan};
use crate::window::{Sealed, Site};

/// One range in one window.
pub(super) struct RangeWindow {
    /// Records of which a stat found no memory.
    pub(super) starved: u64,
    /// In the order of the plan; of a fast window, its fast stats only.
    pub(super) summaries: Vec<(usize, Box<dyn Summary>)>,
}

impl RangeWindow {
    fn new(plan: &Plan, fast_only: bool) -> Self {
        let wanted = plan.stats().iter().enumerate().filter(|(_, stat)| !fast_only || stat.period == Period::Fast);
        Self { starved: 0, summaries: wanted.map(|(i, stat)| (i, stat.kernel.summary())).collect() }
    }

    /// Adds a block's words to the summaries of its period's stats.
    fn absorb(&mut self, plan: &Plan, period: Period, words: &[u64]) {
        let mut rest = words;
        let of_period = self.summaries.iter_mut().filter(|(i, _)| plan.stats()[*i].period == period);
        for (_, summary) in of_period {
            let Some((len, after)) = rest.split_first() else { return };
            let (body, after) = after.split_at(usize::try_from(*len).unwrap_or(0).min(after.len()));
            summary.absorb(body);
            rest = after;
        }
    }
}

/// One window of all ranges.
#[derive(Default)]
pub(super) struct OpenWindow {
    pub(super) ranges: BTreeMap<u32, RangeWindow>,
}

impl OpenWindow {
    /// Adds a block. `fast`: this is a fast window, which holds fast stats only.
    pub(super) fn absorb(&mut self, plan: &Plan, sealed: &Sealed, words: &[u64], fast: bool) {
        let range = self.ranges.entry(sealed.range.0).or_insert_with(|| RangeWindow::new(plan, fast));
        range.absorb(plan, sealed.period, words);
        // A range's long block counts for the long window, its fast one for the fast.
        if fast || sealed.period == Period::Long {
            range.starved += sealed.starved;
        }
    }
}

/// The accounts of all cores, of one epoch or of several.
#[derive(Clone, Default)]
pub(super) struct Accounts {
    /// By stream.
    pub(super) sites: Vec<Site>,
}

impl Accounts {
    pub(super) fn of(streams: usize) -> Self {
        Self { sites: vec![Site::default(); streams] }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.sites.iter_mut().zip(&other.sites).for_each(|(ours, theirs)| ours.merge(theirs));
    }

    /// All cores together.
    pub(super) fn sum(&self) -> Site {
        self.sites.iter().fold(Site::default(), |mut all, site| {
            all.merge(site);
            all
        })
    }
}

/// Everything since the start.
#[derive(Default)]
pub(super) struct Total {
    pub(super) accounts: Accounts,
    pub(super) ranges: u64,
    /// Reasons for which windows were incomplete.
    pub(super) missing: BTreeMap<String, u64>,
    pub(super) start_ns: Option<u64>,
    pub(super) end_ns: u64,
}

impl Total {
    /// Other tag rules count from here on, so many.
    pub(super) fn forget_tags(&mut self, rules: usize) {
        for site in self.accounts.sites.iter_mut().filter(|site| !site.tags.is_empty()) {
            let untagged = site.tags.last().copied().unwrap_or(0);
            site.tags.clear();
            site.tags.resize(rules, 0);
            site.tags.push(untagged);
        }
    }
}
