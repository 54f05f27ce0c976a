//! What the audit of samplers is told of each window, and what it says in the appliance's account.

use std::collections::{BTreeMap, HashSet};

use super::appliance::Window;
use super::message::{count, estimate};
use super::reporter::Reporter;
use super::{Health, Publisher, RangeName, Setting, pb};
use crate::audit::{Auditor, By, Counts, Finding, Plan, Row, Verdict, WindowOf};
use crate::stats::figure::{Basis, Confidence, Estimate, Figure, Top};
use crate::stats::interval::garwood;
use crate::stats::plan::Period;

/// The hidden stat that counts samples, by range or by rule.
pub const AUDITED: &str = "audited";
/// Findings that one account lists.
const LISTED_MAX: usize = 100;
/// Of both ends of an interval of 95 %.
const TAIL: f64 = 0.025;

/// What was heard of a scrubber's counters.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Rows.
    pub rows: Vec<Row>,
    /// Rows that cannot be read.
    pub bad: u64,
    /// Rows for which there was no room.
    pub left_out: u64,
}

/// Where counters come from; asked at each window's end, and never waits.
pub trait CounterRows: Send {
    /// What has come since this was asked last.
    fn take(&mut self) -> Heard;
}

/// What the hidden stat counted in a window.
#[derive(Debug, Default)]
pub(super) struct Audited {
    /// Samples by range, or by rule of a range.
    samples: Vec<(u32, Option<String>, u64)>,
    /// A list may lack samples: it was shed or thinned, found no memory, or there were more rules than it tells of.
    is_short: bool,
}

impl Audited {
    /// A range's.
    pub(super) fn add(&mut self, range: u32, figure: Figure) {
        match figure {
            Figure::Total(_, Some(sum)) => self.samples.push((range, None, sum.sampled_packets)),
            Figure::Top(top) => {
                self.is_short |= is_short(&top);
                let entries = top.entries.into_iter().chain(top.reserve);
                self.samples.extend(entries.map(|entry| (range, Some(entry.key), entry.sufficient.sampled_packets)));
            }
            _ => {}
        }
    }
}

fn is_short(top: &Top) -> bool {
    let mut unseen = top.entries.iter().chain(&top.reserve).map(|entry| &entry.unseen).chain([&top.absent]);
    top.shed > 1 || top.thinned > 1 || top.short || unseen.any(|unseen| unseen.sampled_packets > 0)
}

/// The audit beside the reporter.
pub(super) struct Auditing {
    auditor: Auditor,
    counters: Box<dyn CounterRows>,
    ranges: HashSet<String>,
    bad: u64,
    left_out: u64,
}

impl Auditing {
    pub(super) fn new(plan: Plan, setting: &Setting, counters: Box<dyn CounterRows>) -> Self {
        let mut new = Self { auditor: Auditor::new(plan.clone()), counters, ranges: HashSet::new(), bad: 0, left_out: 0 };
        new.renew(plan, setting);
        new
    }

    /// Other ranges or rates.
    pub(super) fn renew(&mut self, plan: Plan, setting: &Setting) {
        let by = plan.by;
        if by == By::Range {
            self.ranges = setting.ranges.iter().map(RangeName::identity).collect();
        }
        let ranges = &self.ranges;
        self.auditor.renew(plan, |key| match by {
            By::Range => ranges.contains(key),
            // Numbers of other rows.
            By::Tag => !setting.tags_anew,
            By::Rule => true,
        });
    }

    fn hear(&mut self) {
        let Heard { rows, bad, left_out } = self.counters.take();
        (self.bad, self.left_out) = (self.bad + bad, self.left_out + left_out);
        for row in rows {
            // As samples spell it: counters may write a number with zeros before it.
            let plan = self.auditor.plan();
            let key = match plan.by {
                By::Range => self.ranges.contains(&row.key).then(|| row.key.clone()),
                By::Tag => row.key.parse::<usize>().ok().filter(|tag| plan.one_in.get(*tag).is_some_and(|n| *n > 1)).map(|n| n.to_string()),
                By::Rule => row.key.parse::<u32>().ok().map(|n| n.to_string()),
            };
            let known = key.is_some();
            self.auditor.offer(Row { key: key.unwrap_or_default(), ..row }, known);
        }
    }

    /// A window is over: what tag rules matched in it, and what the hidden stat counted.
    fn close(&mut self, window: WindowOf, tags: &[u64], audited: Audited, ranges: &[RangeName]) {
        // A list that lacks some may lack them of any rule.
        let window = WindowOf { is_whole: window.is_whole && !audited.is_short, ..window };
        match self.auditor.plan().by {
            By::Tag => self.auditor.close(window, tags.iter().enumerate().map(|(tag, frames)| (tag.to_string(), *frames))),
            By::Range => {
                let name = |range: u32| ranges.get(range as usize).map_or_else(String::new, RangeName::identity);
                self.auditor.close(window, audited.samples.into_iter().map(|(range, _, samples)| (name(range), samples)));
            }
            By::Rule => {
                let mut rules = BTreeMap::<String, u64>::new();
                audited.samples.into_iter().for_each(|(_, rule, samples)| *rules.entry(rule.unwrap_or_default()).or_default() += samples);
                self.auditor.close(window, rules.into_iter());
            }
        }
        self.hear();
        self.auditor.look(false);
    }

    /// At the end; of a capture all windows are over, and nothing comes behind.
    pub(super) fn end(&mut self, live: bool) -> pb::AuditReport {
        self.auditor.look(!live);
        self.report()
    }

    fn report(&self) -> pb::AuditReport {
        let (told, plan, findings) = (self.auditor.told(), self.auditor.plan(), self.auditor.findings());
        let of = |verdict: Verdict| findings.iter().filter(|one| !one.key.is_empty() && one.verdict == verdict).count() as u64;
        let (pooled, keyed): (Vec<_>, Vec<_>) = findings.iter().partition(|one| one.key.is_empty());
        let mut listed: Vec<&&Finding> = keyed.iter().filter(|one| one.verdict.is_finding()).collect();
        listed.sort_by(|a, b| most(b).total_cmp(&most(a)).then_with(|| a.key.cmp(&b.key)));
        let all_of = |one: &Finding| message(one, plan);
        let rows = [
            ("counted", told.counted),
            ("begun", told.begun),
            ("too_old", told.too_old),
            ("unknown_key", told.unknown),
            ("no_room", told.dropped + self.left_out),
            ("bad", self.bad),
            ("waiting", self.auditor.waiting() as u64),
        ];
        pb::AuditReport {
            by: plan.by.name().to_owned(),
            false_alarms: plan.false_alarms,
            stale: self.auditor.is_stale(),
            newest_counters_ns: told.newest_ns,
            rows: rows.into_iter().map(|(name, n)| count(name, n)).collect(),
            keys_consistent: of(Verdict::Consistent),
            keys_unknown: of(Verdict::Unknown),
            keys_stale: of(Verdict::Stale),
            keys_found: listed.len() as u64,
            keys_without_counters: self.auditor.unnamed() as u64,
            all: pooled.into_iter().map(all_of).collect(),
            found: listed.into_iter().take(LISTED_MAX).map(|one| all_of(one)).collect(),
        }
    }
}

impl<P: Publisher, H: Health> Reporter<P, H> {
    /// Compares samples with these counters, where the setting says how.
    #[must_use]
    pub fn with_counters(mut self, counters: Box<dyn CounterRows>) -> Self {
        self.auditing = self.setting.audit.clone().map(|plan| Auditing::new(plan, &self.setting, counters));
        self
    }

    /// Tells the audit of the shortest windows that are closed, and asks it in long ones.
    pub(super) fn audit(&mut self, window: &Window, tags: &[u64], is_whole: bool) -> Option<pb::AuditReport> {
        let has_fast = self.has_fast();
        let auditing = self.auditing.as_mut()?;
        if has_fast == (window.period == Period::Fast) {
            let of = WindowOf { bounds_ns: window.bounds_ns, is_whole };
            auditing.auditor.follow(window.bounds_ns.1.saturating_sub(window.bounds_ns.0));
            let audited = std::mem::take(&mut self.audited);
            auditing.close(of, tags, audited, &self.setting.ranges);
        }
        (window.period == Period::Long).then(|| auditing.report())
    }
}

fn most(of: &Finding) -> f64 {
    of.evidence[0].max(of.evidence[1])
}

fn message(of: &Finding, plan: &Plan) -> pb::AuditFinding {
    let at = if plan.by == By::Tag { of.key.parse().unwrap_or(0) } else { 0 };
    let random = if of.key.is_empty() { plan.random.iter().all(|random| *random) } else { plan.random.get(at).copied().unwrap_or(true) };
    let verdict = match of.verdict {
        Verdict::Unknown => pb::AuditVerdict::Unknown,
        Verdict::Consistent => pb::AuditVerdict::Consistent,
        Verdict::RateWrong => pb::AuditVerdict::RateWrong,
        Verdict::Systematic => pb::AuditVerdict::Systematic,
        Verdict::MoreThanDropped => pb::AuditVerdict::MoreThanDropped,
        Verdict::Stale => pb::AuditVerdict::Stale,
    };
    pb::AuditFinding {
        key: of.key.clone(),
        verdict: verdict.into(),
        since_ns: of.since_ns,
        sampling_configured: of.one_in,
        sampling: Some(estimate(&one_in(&of.counts, random))),
        dropped_packets: of.counts.dropped,
        sampled_packets_low: of.counts.low,
        sampled_packets_high: of.counts.high,
        rate_evidence: of.evidence[0],
        spread_evidence: of.evidence[1],
    }
}

/// One in how many is sampled. Garwood's interval of the samples, over both ends of what they may be.
#[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
fn one_in(counts: &Counts, random: bool) -> Estimate {
    let (dropped, low, high) = (counts.dropped as f64, counts.low as f64, counts.high as f64);
    let value = dropped / f64::midpoint(low, high).max(1.0);
    if !random {
        return Estimate { value, low: 0.0, high: None, basis: Basis::Sampled, confidence: Confidence::Sure };
    }
    let (least, most) = (garwood(low, TAIL).0, garwood(high, TAIL).1);
    let high = (least > 0.0).then(|| (dropped / least).max(value));
    Estimate { value, low: (dropped / most).min(value), high, basis: Basis::Sampled, confidence: Confidence::P95 }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
