//! One report: of a range, or of several together.

use super::flows::{FlowRange, is_hidden};
use super::links::{Fills, name_links};
use super::loss::{Incompleteness, Lacks};
use super::open::{RangeWindow, kind};
use super::past::Pasts;
use super::sequences::Numbers;
use super::strain::Strain;
use super::widen::{Missing, widen};
use super::{RangeName, SCHEMA_VERSION, Setting, message, order, pb};
use crate::axes::{Metric, Source};
use crate::config::StatSpec;
use crate::stats::figure::Figure;
use crate::stats::interval::Question;
use crate::stats::plan::{Period, Plan};
use crate::stats::{Closing, Past};

/// Which report: window, whose packets, and its number in their sequence.
pub(super) struct Which<'a> {
    pub(super) period: Period,
    pub(super) bounds_ns: (u64, u64),
    /// Of one range, its number.
    pub(super) range: u32,
    pub(super) scope: pb::Scope,
    pub(super) name: &'a RangeName,
    /// What they are known by, also after ranges were read anew.
    pub(super) identity: &'a str,
    pub(super) numbers: Numbers,
}

/// What there was in a window; none: the range was idle, and says no more than that.
pub(super) fn report(
    setting: &Setting,
    plan: &Plan,
    which: &Which<'_>,
    content: Option<&RangeWindow>,
    (missing, lacks): (&Incompleteness, &Lacks),
    (pasts, strain): (&mut Pasts, &mut Strain),
    fills: Option<&mut Fills>,
) -> pb::RangeReport {
    let (name, mut none, mut fills) = (which.name, Past::default(), fills);
    let (gap, gap_of_flows) = (missing.gap(lacks), missing.gap_of_flows(lacks));
    let has_flows = plan.stats().iter().any(|stat| setting.specs[stat.spec].source == Source::Flows);
    let of_flows = FlowRange::of(plan, &setting.specs, content);
    strain.missed += u64::from(content.is_some_and(|content| content.starved > 0));
    let figures = content.into_iter().flat_map(|content| &content.summaries);
    let stats = figures.filter_map(|(i, summary)| {
        let planned = &plan.stats()[*i];
        let spec = &setting.specs[planned.spec];
        if is_hidden(spec) {
            return None;
        }
        let (question, gap) = match spec.source {
            Source::Packets => (planned.question, gap),
            Source::Flows => (missing.flows().question(&planned.question, of_flows), gap_of_flows),
        };
        let question = &question;
        let past = if summary.remembers() { pasts.of(which.identity, &spec.name, which.period, which.bounds_ns.0) } else { &mut none };
        let mut figure = summary.close(question, &mut Closing { window_ns: which.bounds_ns, past });
        strain.see(spec, &figure);
        if let Some(gap) = gap {
            let value_max = if spec.metric == Metric::Bytes { u64::from(setting.frame_bytes_max) } else { 1 };
            widen(&mut figure, &Missing { gap, value_max, question });
        }
        if planned.spec >= setting.shown {
            if let Some(fills) = &mut fills {
                fills.add(which.range, spec, figure);
            }
            return None;
        }
        name_links(&mut figure, spec, &setting.links);
        Some(stat(spec, figure, question))
    });
    let stats = stats.collect();
    let identity = &setting.identity;
    pb::RangeReport {
        schema_version: SCHEMA_VERSION,
        appliance: identity.appliance.clone(),
        pop: identity.pop.clone(),
        boot_id: identity.boot_id,
        sequence: which.numbers.all,
        window_start_ns: which.bounds_ns.0,
        window_end_ns: which.bounds_ns.1,
        window_kind: kind(which.period).into(),
        scope: which.scope.into(),
        prefix: name.prefix.clone(),
        customer: name.customer.clone(),
        labels: name.labels.iter().map(|(name, value)| pb::Label { name: name.clone(), value: value.clone() }).collect(),
        config_hash: identity.config_hash.clone(),
        hash_key_id: identity.hash_key_id.clone(),
        incomplete: missing.told(lacks, has_flows.then_some(of_flows)),
        stats,
        domain: name.domain.clone(),
        idle: content.is_none(),
        part: None,
        kind_sequence: which.numbers.of_kind,
        stats_left_out: Vec::new(),
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
