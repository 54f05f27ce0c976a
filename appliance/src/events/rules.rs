//! Detectors, a row each, and which of their findings follow from others.

use super::finding::{Finding, Sight};
use super::{clock, delivery, diagnoses, feeds, flows, loss};

/// A detector.
pub struct Rule {
    /// Name of its events' kind.
    pub kind: &'static str,
    /// Windows in a row that must show it before an event begins.
    pub begins_after: u32,
    /// It stands on the last account of a long window.
    pub of_long: bool,
    /// Finds it in one window.
    pub find: fn(&Sight<'_>) -> Vec<Finding>,
}

/// All of them, causes before their consequences. What one window may show by chance needs several.
pub const RULES: [Rule; 19] = [
    Rule { kind: "feed_down", begins_after: 1, of_long: false, find: feeds::down },
    Rule { kind: "feed_silent", begins_after: 2, of_long: false, find: feeds::silent },
    Rule { kind: "tag_silent", begins_after: 1, of_long: false, find: feeds::tag_silent },
    Rule { kind: "loss", begins_after: 1, of_long: false, find: loss::lost },
    Rule { kind: "reporter_late", begins_after: 1, of_long: true, find: loss::reporter_late },
    Rule { kind: "flows_loss", begins_after: 1, of_long: true, find: flows::lost },
    Rule { kind: "flows_rate", begins_after: 1, of_long: true, find: flows::doubted_rates },
    Rule { kind: "exports_loss", begins_after: 1, of_long: true, find: flows::lost_exports },
    Rule { kind: "overdue", begins_after: 1, of_long: false, find: loss::overdue },
    Rule { kind: "mirror_saturated", begins_after: 3, of_long: false, find: loss::mirror_saturated },
    Rule { kind: "clock", begins_after: 1, of_long: false, find: clock::bad },
    Rule { kind: "sampler", begins_after: 1, of_long: true, find: diagnoses::sampler },
    Rule { kind: "counters_stale", begins_after: 1, of_long: true, find: diagnoses::counters_stale },
    Rule { kind: "duplicates", begins_after: 1, of_long: true, find: diagnoses::duplicates },
    Rule { kind: "journal_refusing", begins_after: 1, of_long: false, find: delivery::journal_refusing },
    Rule { kind: "sink_refusing", begins_after: 1, of_long: false, find: delivery::sink_refusing },
    Rule { kind: "sink_behind", begins_after: 1, of_long: false, find: delivery::sink_behind },
    Rule { kind: "journal_damaged", begins_after: 1, of_long: false, find: delivery::journal_damaged },
    Rule { kind: "journal_dropping", begins_after: 1, of_long: false, find: delivery::journal_dropping },
];

/// What a consequence becomes while its cause is there, or has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// No event of its own; one that is open already neither goes on nor ends.
    Nothing,
    /// An event that names the cause's (`follows`).
    Follower,
}

/// What two findings must have in common to be cause and consequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Common {
    /// The feed; a finding of none is of all.
    Feed,
    /// The subject.
    Subject,
}

/// Of each row: a cause, its consequence, what they have in common, and what becomes of the consequence.
pub const CONSEQUENCES: [(&str, &str, Common, Becomes); 5] = [
    ("feed_down", "feed_silent", Common::Feed, Becomes::Nothing),
    ("feed_down", "tag_silent", Common::Feed, Becomes::Nothing),
    ("feed_silent", "tag_silent", Common::Feed, Becomes::Nothing),
    ("sink_behind", "journal_dropping", Common::Subject, Becomes::Follower),
    // A small journal is full before anything in it is old.
    ("journal_dropping", "sink_behind", Common::Subject, Becomes::Follower),
];
