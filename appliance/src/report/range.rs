//! One range's report.

use super::loss::Incompleteness;
use super::open::RangeWindow;
use super::past::Pasts;
use super::reporter::kind;
use super::strain::Strain;
use super::widen::{Missing, widen};
use super::{SCHEMA_VERSION, Setting, message, order, pb};
use crate::axes::Metric;
use crate::config::StatSpec;
use crate::stats::figure::Figure;
use crate::stats::interval::Question;
use crate::stats::plan::{Period, Plan};
use crate::stats::{Closing, Past};

/// Which report: window, range, and its number in the range's sequence.
pub(super) struct Which {
    pub(super) period: Period,
    pub(super) bounds_ns: (u64, u64),
    pub(super) range: u32,
    pub(super) sequence: u64,
}

/// What a range had in a window; none: it was idle, and says no more than that.
pub(super) fn report(
    setting: &Setting,
    plan: &Plan,
    which: &Which,
    content: Option<&RangeWindow>,
    missing: &Incompleteness,
    (pasts, strain): (&mut Pasts, &mut Strain),
) -> pb::RangeReport {
    let name = &setting.ranges[which.range as usize];
    let mut none = Past::default();
    let starved = content.map_or(0, |content| content.starved);
    let gap = missing.gap(which.range, starved);
    strain.missed += u64::from(starved > 0);
    let figures = content.into_iter().flat_map(|content| &content.summaries);
    let stats = figures.map(|(i, summary)| {
        let planned = &plan.stats()[*i];
        let (spec, question) = (&setting.specs[planned.spec], &planned.question);
        let past = if summary.remembers() { pasts.of(&name.identity(), &spec.name, which.period, which.bounds_ns.0) } else { &mut none };
        let mut figure = summary.close(question, &mut Closing { window_ns: which.bounds_ns, past });
        strain.see(spec, &figure);
        if let Some(gap) = gap {
            let value_max = if spec.metric == Metric::Bytes { u64::from(setting.frame_bytes_max) } else { 1 };
            widen(&mut figure, &Missing { gap, value_max, question });
        }
        stat(spec, figure, question)
    });
    let stats = stats.collect();
    let identity = &setting.identity;
    pb::RangeReport {
        schema_version: SCHEMA_VERSION,
        appliance: identity.appliance.clone(),
        pop: identity.pop.clone(),
        boot_id: identity.boot_id,
        sequence: which.sequence,
        window_start_ns: which.bounds_ns.0,
        window_end_ns: which.bounds_ns.1,
        window_kind: kind(which.period).into(),
        scope: pb::Scope::Own.into(),
        prefix: name.prefix.clone(),
        customer: name.customer.clone(),
        labels: name.labels.iter().map(|(name, value)| pb::Label { name: name.clone(), value: value.clone() }).collect(),
        config_hash: identity.config_hash.clone(),
        hash_key_id: identity.hash_key_id.clone(),
        incomplete: missing.of_range(which.range, starved),
        stats,
        domain: name.domain.clone(),
        idle: content.is_none(),
        part: None,
    }
}

/// One stat; of a top list also how much of its order is proven.
fn stat(spec: &StatSpec, figure: Figure, question: &Question) -> pb::Stat {
    let proven = if let Figure::Top(top) = &figure { order::proven(top, question) } else { 0 };
    let mut stat = message::stat(spec, figure);
    if let Some(pb::stat::Figure::Top(top)) = &mut stat.figure {
        top.order_proven = proven;
    }
    stat
}
