//! What a detector finds in one account.

use super::tags::SilentTag;
use crate::report::pb;

/// What there is to look at.
pub struct Sight<'a> {
    /// The account that is judged.
    pub report: &'a pb::ApplianceReport,
    /// The one judged before, of this start; none at first.
    pub before: Option<&'a pb::ApplianceReport>,
    /// The last account of a long window: what is looked for over longer times stands there alone.
    pub long: Option<&'a pb::ApplianceReport>,
    /// Tags that no longer come, as of this window.
    pub silent_tags: &'a [SilentTag],
}

impl Sight<'_> {
    /// Whether the window says that it is incomplete for this reason.
    pub fn says(&self, reason: &str) -> bool {
        self.report.incomplete.iter().flat_map(|incomplete| &incomplete.reasons).any(|told| told == reason)
    }

    /// Length of the window.
    pub const fn window_ns(&self) -> u64 {
        self.report.window_end_ns.saturating_sub(self.report.window_start_ns)
    }
}

/// Whom a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// `range`, `link`, `customer`, `appliance`, `feed`, `port`, `core`, `tag`, `sink`, `sampler`, `ports`, `flows`, `exports`, `exporter`.
    pub kind: &'static str,
    /// As reports spell it.
    pub name: String,
}

impl Subject {
    /// Of this kind and name.
    pub fn new(kind: &'static str, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

/// One thing that is wrong in one window.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Whom it is about. There is one event of a kind and subject at a time.
    pub subject: Subject,
    /// How bad it is.
    pub severity: pb::Severity,
    /// Why, in a word; empty where the kind says all.
    pub cause: String,
    /// What it stands on.
    pub figures: Vec<pb::EventFigure>,
    /// One line for whoever is woken by it.
    pub summary: String,
    /// What mends it.
    pub remedy: String,
    /// The feed that it concerns; none: no feed, or all of them.
    pub feed: Option<String>,
}

impl Finding {
    /// Without cause, figures or feed.
    pub fn new(subject: Subject, severity: pb::Severity, summary: String, remedy: impl Into<String>) -> Self {
        let remedy = remedy.into();
        Self { subject, severity, cause: String::new(), figures: Vec::new(), summary, remedy, feed: None }
    }
}

/// A figure that is sure.
#[allow(clippy::cast_precision_loss, reason = "a figure of an event; its report has the integer")]
pub fn count(name: &str, unit: &str, value: u64) -> pb::EventFigure {
    exact(name, unit, value as f64)
}

/// A figure that is sure.
pub fn exact(name: &str, unit: &str, value: f64) -> pb::EventFigure {
    let (basis, confidence) = (pb::Basis::Exact.into(), pb::Confidence::Sure.into());
    let value = pb::Estimate { value, low: value, high: Some(value), basis, confidence };
    pb::EventFigure { name: name.to_owned(), unit: unit.to_owned(), value: Some(value) }
}
