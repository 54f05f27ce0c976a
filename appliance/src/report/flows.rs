//! What a window knows of flow records' sampling, and what that makes of a range's figures of flows.
//!
//! A plan is compiled before anybody knows which rates exporters will tell. So the question that is asked of a stat of flows is
//! made when its window closes: of the largest rate of that window's records, and of what two hidden stats of the range say of its own.

use super::appliance::Window;
use super::open::RangeWindow;
use super::pb;
use crate::axes::{DirectionAxis, Key, KeySpec, Metric, Source};
use crate::config::{Predicate, StatSpec, Test};
use crate::stats::figure::Figure;
use crate::stats::interval::{Question, TOLD_AGAIN};
use crate::stats::plan::{Period, Plan};
use crate::window::{FlowAccount, Site};

/// Names of the hidden stats: packets of all records of flows, of those whose rate is not known, and of those that another may tell too.
const ALL: &str = "flows: all";
const UNKNOWN: &str = "flows: of unknown rate";
const UNSETTLED: &str = "flows: told twice, perhaps";

/// Why figures of flows are incomplete.
const RATE_UNKNOWN: &str = "flow_rate_unknown";
const METERING: &str = "flow_metering_unsettled";
const LOST: &str = "flows_lost";
const NAMES: &str = "flow_names_unknown";

/// What each range keeps so that it is known how its records were sampled.
pub fn hidden(fast: bool) -> [StatSpec; 3] {
    let all = StatSpec::new("sum", &[Key::None], Metric::Packets);
    let all = StatSpec { name: ALL.to_owned(), source: Source::Flows, direction: DirectionAxis::Any, fast, ..all };
    // Such records have a rule, see `analyse`: bit 0 is of those of unknown rate, bit 1 of those that another may tell too.
    let asked = |name: &str, rules: &[(u32, u32)]| {
        let spans: Vec<_> = rules.iter().map(|(low, high)| (low.to_be_bytes().to_vec(), high.to_be_bytes().to_vec())).collect();
        let test = Test { key: KeySpec::new(vec![Key::Rule], crate::axes::key::Lengths::default()), v4: spans.clone(), v6: spans };
        StatSpec { name: name.to_owned(), predicate: Some(Predicate { tests: vec![test] }), ..all.clone() }
    };
    let (unknown, unsettled) = (asked(UNKNOWN, &[(1, 1), (3, 3)]), asked(UNSETTLED, &[(2, 3)]));
    [all, unknown, unsettled]
}

/// Whether it is one of the hidden stats.
pub(super) fn is_hidden(spec: &StatSpec) -> bool {
    spec.source == Source::Flows && [ALL, UNKNOWN, UNSETTLED].contains(&&spec.name[..])
}

/// What a window's flow records are known by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FlowWindow {
    rate_max: u64,
    /// Of some the rate is not known.
    has_unknown: bool,
    /// Some tell again what earlier records told.
    has_totals: bool,
    /// Some were lost, or the window is not whole.
    pub(super) lacks: bool,
    lost: bool,
    /// Some came of exporters whose interfaces nobody has named yet, though names decide where they count.
    nameless: bool,
}

/// What is known of one range's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FlowRange {
    /// Some stood for others, by a sampler that is not known to be random.
    unproven: bool,
    /// Of some nobody knows for how many they stood.
    unknown: bool,
    /// Of some nobody knows whether another told of the same packets.
    twins: bool,
}

impl FlowWindow {
    pub(super) fn of(site: &Site, window: &Window) -> Self {
        let FlowAccount { rate_max, rate_unknown, running_totals, lost, lost_long, missing, nameless, .. } = site.flows;
        let nameless = nameless > 0;
        let lost_here = lost + missing + if window.period == Period::Long { lost_long } else { 0 };
        let cut = window.cut || window.jumped || window.astray;
        let lost = lost_here > 0 || window.untold_flows;
        Self { rate_max, has_unknown: rate_unknown > 0, has_totals: running_totals > 0, lacks: cut || lost || nameless, lost, nameless }
    }

    /// What is asked of a stat of flows, of which the plan knows what it may add.
    pub(super) fn question(&self, planned: &Question, of: FlowRange) -> Question {
        let rate_max = u32::try_from(self.rate_max.max(1)).unwrap_or(u32::MAX);
        // Where one exporter does not say what it left out, nothing is exact, of any range.
        let weight_max = match of.unproven {
            true if self.has_totals || self.nameless => TOLD_AGAIN,
            is_unproven if is_unproven || self.has_unknown => rate_max.max(2),
            _ => rate_max,
        };
        Question { weight_max, random: !of.unproven, twins: of.twins, ..*planned }
    }

    /// Why a range's figures of flows are incomplete.
    pub(super) fn reasons(&self, of: FlowRange) -> impl Iterator<Item = String> {
        [(of.unknown, RATE_UNKNOWN), (of.twins, METERING), (self.lost, LOST), (self.nameless, NAMES)]
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, reason)| reason.to_owned())
    }

    /// Why the window's account is: not for want of rates, which it has a count of. How many packets are missing is not known.
    pub(super) fn of_all(&self) -> impl Iterator<Item = (String, u64)> + use<> {
        [(self.lost, LOST), (self.nameless, NAMES)].into_iter().filter(|(is, _)| *is).map(|(_, reason)| (reason.to_owned(), 0))
    }
}

impl FlowRange {
    /// By what its hidden stats have.
    pub(super) fn of(plan: &Plan, specs: &[StatSpec], content: Option<&RangeWindow>) -> Self {
        let mut known = Self::default();
        for (i, summary) in content.into_iter().flat_map(|content| &content.summaries) {
            let planned = &plan.stats()[*i];
            let spec = &specs[planned.spec];
            if !is_hidden(spec) {
                continue;
            }
            let Figure::Total(_, Some(sum)) = summary.figure(&planned.question) else { continue };
            known.unproven |= sum.unproven > 0;
            known.unknown |= spec.name == UNKNOWN && sum.sampled_packets > 0;
            known.twins |= spec.name == UNSETTLED && sum.sampled_packets > 0;
        }
        known
    }
}

/// Where a window's flow records went; none where none are analysed.
pub(super) fn account(site: &Site, period: Period, analyses: bool) -> Option<pb::FlowAnalysis> {
    let FlowAccount { records, matched, unmatched, duplicate_view, no_address, no_counts, implausible, .. } = site.flows;
    let FlowAccount { views, counted, lost, lost_long, rate_unknown, not_random, half_told, missing, rate_max, .. } = site.flows;
    let FlowAccount { repeated, refilled, running_totals, missing_from_ns, metering_unsettled, nameless, .. } = site.flows;
    let more = if period == Period::Long { lost_long } else { 0 };
    analyses.then_some(pb::FlowAnalysis {
        records,
        matched,
        unmatched,
        duplicate_view,
        no_address,
        no_counts,
        implausible,
        views,
        counted: counted.saturating_sub(more),
        lost: lost + more,
        rate_unknown,
        not_random,
        half_told,
        missing,
        rate_max,
        repeated,
        refilled,
        // What was put in order within its window is not missing.
        missing_from_ns: if missing > 0 { missing_from_ns } else { 0 },
        running_totals,
        metering_unsettled,
        nameless,
    })
}
