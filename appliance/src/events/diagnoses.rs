//! What audits of the mirror and of its sampler found: see docs/audit.md.

use super::finding::{Finding, Sight, Subject, count};
use crate::report::pb;

/// Keys that one line names.
const NAMED_MAX: usize = 3;

/// A sampler that does not do as it is configured: of each rate one finding, however many keys show it.
pub(super) fn sampler(sight: &Sight<'_>) -> Vec<Finding> {
    let Some(audit) = sight.long.and_then(|long| long.audit.as_ref()) else { return Vec::new() };
    let all = audit.all.iter().chain(&audit.found);
    let mut rates: Vec<u32> = all.clone().filter(|of| word(of.verdict()).is_some()).map(|of| of.sampling_configured).collect();
    rates.sort_unstable();
    rates.dedup();
    rates.into_iter().filter_map(|rate| of_rate(audit, rate)).collect()
}

/// What is found of a rate: of all its keys together, or else of the clearest one.
fn of_rate(audit: &pb::AuditReport, rate: u32) -> Option<Finding> {
    let found = |of: &&pb::AuditFinding| of.sampling_configured == rate && word(of.verdict()).is_some();
    let (all, keys): (_, Vec<_>) = (audit.all.iter().find(found), audit.found.iter().filter(found).collect());
    let of = all.or_else(|| keys.first().copied())?;
    let (cause, what, remedy) = word(of.verdict())?;
    let by = &audit.by;
    let whose = match (all, keys.len()) {
        (Some(_), 0) => format!("of all {by}s together"),
        (_, n) => {
            let named: Vec<&str> = keys.iter().take(NAMED_MAX).map(|of| &of.key[..]).collect();
            let more = if n > NAMED_MAX { ", …" } else { "" };
            format!("of {n} {by}{}: {}{more}", if n == 1 { "" } else { "s" }, named.join(", "))
        }
    };
    let sampling = of.sampling.unwrap_or_default();
    let summary = format!("sampler 1:{rate} {what}, {whose}; 1:{:.1} was seen of {} dropped packets", sampling.value, of.dropped_packets);
    let seen = pb::EventFigure { name: "sampling".to_owned(), unit: "packets a sample".to_owned(), value: Some(sampling) };
    Some(Finding {
        cause: cause.to_owned(),
        figures: vec![seen, count("dropped", "packets", of.dropped_packets), count("keys_found", "keys", keys.len() as u64)],
        ..Finding::new(Subject::new("sampler", format!("1:{rate}")), pb::Severity::Warning, summary, remedy)
    })
}

/// Cause, what it is, and what mends it.
fn word(verdict: pb::AuditVerdict) -> Option<(&'static str, &'static str, &'static str)> {
    match verdict {
        pb::AuditVerdict::RateWrong => Some((
            "rate_wrong",
            "samples at another rate: blocked figures are off by as much",
            "write the rate seen as `sampling` of its `[[tags]]`, or set the scrubber's",
        )),
        pb::AuditVerdict::Systematic => Some((
            "systematic",
            "takes every n-th packet, not random ones: its intervals hold for random ones alone",
            "write sampler = \"every_nth\" in its `[[tags]]`",
        )),
        pb::AuditVerdict::MoreThanDropped => Some((
            "more_than_dropped",
            "brought more samples than the scrubber says it dropped",
            "the counters are of other packets: compare what they and `[[tags]]` count",
        )),
        _ => None,
    }
}

/// Counters of the scrubber that do not come: nothing is audited.
pub(super) fn counters_stale(sight: &Sight<'_>) -> Vec<Finding> {
    let stale = sight.long.filter(|long| long.audit.as_ref().is_some_and(|audit| audit.stale));
    let found = |long: &pb::ApplianceReport| {
        let (summary, remedy) =
            ("the scrubber's drop counters do not come: its sampler is not audited", "whoever writes `[audit] counters`");
        Finding::new(Subject::new("appliance", &long.appliance), pb::Severity::Info, summary.to_owned(), remedy)
    };
    stale.map(found).into_iter().collect()
}

/// Packets that a mirror shows twice.
pub(super) fn duplicates(sight: &Sight<'_>) -> Vec<Finding> {
    let pairs = sight.long.and_then(|long| long.duplicates.as_ref()).map_or(&[][..], |duplicates| &duplicates.pairs);
    pairs.iter().filter_map(of_pair).collect()
}

fn of_pair(pair: &pb::PortPair) -> Option<Finding> {
    let (severity, cause, what, remedy) = match pair.verdict() {
        pb::DuplicatesVerdict::Duplicated => {
            (pb::Severity::Critical, "mirror", "and count twice", "mirror one direction of a port, and each path once")
        }
        pb::DuplicatesVerdict::Concentrated => {
            (pb::Severity::Info, "sender", "but to few destinations: perhaps who sends them sends them twice", "look at who sends them")
        }
        _ => return None,
    };
    let (first, second) = (&pair.first_device, &pair.second_device);
    let share = pair.share.unwrap_or_default();
    let on = if pair.first == pair.second { format!("by {first}") } else { format!("by {first} and {second}") };
    let summary = format!("{:.1} % of the packets {on} come twice, {what}", share.value * 100.0);
    let figure = pb::EventFigure { name: "share".to_owned(), unit: "1".to_owned(), value: Some(share) };
    Some(Finding {
        cause: cause.to_owned(),
        figures: vec![figure, count("sampled", "packets", pair.sampled_packets), count("twice", "packets", pair.seen_twice)],
        ..Finding::new(Subject::new("ports", format!("{first}|{second}")), severity, summary, remedy)
    })
}
