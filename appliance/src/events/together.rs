//! Many of one kind at a time are one event: who is woken wants to know that eight cores are late, not hear it eight times, and nothing
//! else is to drown in it.

use super::finding::{Finding, Subject, count};
use crate::report::pb;

/// So many events of a kind have subjects of their own at a time; what comes on top is one of the appliance.
pub(super) const OWN_MAX: usize = 4;
/// Subjects that its line names.
const NAMED_MAX: usize = 8;

/// The subject of what is found together.
pub(super) fn subject(report: &pb::ApplianceReport) -> Subject {
    Subject::new("appliance", &report.appliance)
}

/// Findings of one kind as one, which says what the worst of them says.
pub(super) fn together(all: Vec<Finding>, subject: Subject) -> Option<Finding> {
    let figure = |of: &Finding| of.figures.first().and_then(|figure| figure.value).map_or(0.0, |value| value.value);
    let rank = |a: &Finding, b: &Finding| a.severity.cmp(&b.severity).then_with(|| figure(a).total_cmp(&figure(b)));
    let n = all.len();
    let named: Vec<&str> = all.iter().take(NAMED_MAX).map(|of| &of.subject.name[..]).collect();
    let names = format!("{}{}", named.join(", "), if n > NAMED_MAX { ", …" } else { "" });
    // What is of several feeds is of none: then it follows from what holds of all alone.
    let feed = all.first().and_then(|first| first.feed.clone()).filter(|feed| all.iter().all(|of| of.feed.as_ref() == Some(feed)));
    let kind = all.first().map_or("", |of| of.subject.kind);
    // Of equals the first.
    let worst = all.iter().rev().max_by(|a, b| rank(a, b)).cloned()?;
    let figures = [count("together", kind, n as u64)].into_iter().chain(worst.figures).collect();
    let summary = format!("{n} × {kind}: {names}; the worst: {}", worst.summary);
    Some(Finding { subject, summary, figures, feed, ..worst })
}
