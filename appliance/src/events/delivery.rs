//! Reports that do not reach who is to have them.

use super::finding::{Finding, Sight, Subject, count, exact};
use crate::report::pb;

/// A sink whose oldest report has waited so long, and three windows, is behind.
const BEHIND_MS_MIN: u64 = 30_000;
const BEHIND_WINDOWS: u64 = 3;
/// The same of flow messages and packet logs: flows whose topic is refused wait half a minute as they should, and hold up none.
const LOTS_BEHIND_MS_MIN: u64 = 60_000;
/// From here on it is critical.
const BEHIND_LONG_MS: u64 = 600_000;

/// The journal's disk takes nothing.
pub(super) fn journal_refusing(sight: &Sight<'_>) -> Vec<Finding> {
    let fault = sight.report.journal.iter().filter(|journal| !journal.fault.is_empty());
    let found = |journal: &pb::JournalAccount| {
        let summary = format!("the journal's disk takes nothing: {}; reports are in memory alone, and lost if this ends", journal.fault);
        let remedy = "free space on its disk, or make it writable; where it does not answer look at the device and its mount; one that could not be used at the start needs a restart";
        Finding {
            figures: vec![count("unsynced", "messages", journal.unsynced)],
            ..Finding::new(Subject::new("appliance", &sight.report.appliance), pb::Severity::Warning, summary, remedy)
        }
    };
    fault.map(found).collect()
}

/// Reports fell off the journal before a sink had read them.
pub(super) fn journal_dropping(sight: &Sight<'_>) -> Vec<Finding> {
    let found = |sink: &pb::SinkAccount, lost, all| {
        let summary = format!("the journal is full: {lost} reports fell off before {} had read them, {all} since the start", sink.sink);
        (summary, "bring the sink back, or raise `[journal] size_mb`; `journalLosses` says which")
    };
    losses(sight, "overflow", |sink| sink.overflow.saturating_sub(sink.damaged), found)
}

/// A part of the journal's disk does not say any more what was written there.
pub(super) fn journal_damaged(sight: &Sight<'_>) -> Vec<Finding> {
    let found = |sink: &pb::SinkAccount, lost, all| {
        let summary =
            format!("a part of the journal is damaged: {lost} reports cannot be read any more for {}, {all} since the start", sink.sink);
        let remedy = "look at the journal's disk (the kernel's log, smartctl), and at who else writes there; `journalLosses` says between which windows they were";
        (summary, remedy)
    };
    losses(sight, "damaged", |sink| sink.damaged, found)
}

/// Sinks whose counter of losses rose; `words` makes the summary and the remedy of what was lost now and since the start.
fn losses(
    sight: &Sight<'_>,
    name: &str,
    counter: impl Fn(&pb::SinkAccount) -> u64,
    words: impl Fn(&pb::SinkAccount, u64, u64) -> (String, &'static str),
) -> Vec<Finding> {
    let found = |sink: &pb::SinkAccount| {
        let (lost, all) = (more(sight, sink, &counter), counter(sink));
        let (summary, remedy) = words(sink, lost, all);
        let figures = vec![count("lost", "messages", lost), count(name, "messages", all)];
        (lost > 0).then(|| Finding { figures, ..Finding::new(of(sink), pb::Severity::Critical, summary, remedy) })
    };
    sight.report.sinks.iter().filter_map(found).collect()
}

/// A sink's oldest report, flow message or packet log waits.
#[allow(clippy::cast_precision_loss, reason = "a figure of an event; its report has the integer")]
pub(super) fn sink_behind(sight: &Sight<'_>) -> Vec<Finding> {
    let windows_ms = BEHIND_WINDOWS * sight.window_ns() / 1_000_000;
    let found = |sink: &pb::SinkAccount| {
        let waiting = sink.in_flight + sink.unread;
        let behind = [
            (sink.oldest_age_ms, BEHIND_MS_MIN, format!("{waiting} reports wait")),
            (sink.flows_oldest_age_ms, LOTS_BEHIND_MS_MIN, "flow messages wait".to_owned()),
            (sink.logs_oldest_age_ms, LOTS_BEHIND_MS_MIN, "packet logs wait".to_owned()),
        ];
        let behind: Vec<_> = behind.into_iter().filter(|(age_ms, bound_ms, _)| *age_ms > windows_ms.max(*bound_ms)).collect();
        let age_ms = behind.iter().map(|(age_ms, ..)| *age_ms).max()?;
        let what = behind.iter().map(|(.., what)| &what[..]).collect::<Vec<_>>().join(", ");
        let why = if sink.trouble.is_empty() { "it does not answer, or is slow" } else { &sink.trouble };
        // By then somebody has to look: what the journal holds is not without end.
        let severity = if age_ms > BEHIND_LONG_MS { pb::Severity::Critical } else { pb::Severity::Warning };
        let summary = format!("{} is {} s behind, {what}: {why}", sink.sink, age_ms / 1_000);
        Some(Finding {
            figures: vec![exact("age", "s", age_ms as f64 / 1e3), count("waiting", "messages", waiting)],
            ..Finding::new(of(sink), severity, summary, remedy(&sink.sink))
        })
    };
    sight.report.sinks.iter().filter_map(found).collect()
}

/// What mends a sink that is behind.
fn remedy(sink: &str) -> &'static str {
    match sink {
        "kafka" => "start the broker, or look at its log and ours; size_mb says how much can wait",
        "https" => "start the server, or look at its log and ours; size_mb says how much can wait",
        _ => "look at our log, and at who takes what it writes; size_mb says how much can wait",
    }
}

/// A sink refused reports, flow messages or packet logs for good: they are given up. Flows whose topic is refused are told by `flows_loss`,
/// with their topics.
pub(super) fn sink_refusing(sight: &Sight<'_>) -> Vec<Finding> {
    let found = |sink: &pb::SinkAccount| {
        let lost = REFUSED.map(|(what, of)| (what, more(sight, sink, of), of(sink)));
        let lost: Vec<_> = lost.into_iter().filter(|(_, lost, _)| *lost > 0).collect();
        let texts: Vec<_> = lost.iter().map(|(what, lost, all)| format!("{lost} {what} ({all} since the start)")).collect();
        (!lost.is_empty()).then(|| {
            let summary = format!("{} refused {}, which are given up", sink.sink, texts.join(", "));
            let refused = lost.iter().map(|(_, lost, _)| *lost).sum();
            let failed = lost.iter().map(|(.., all)| *all).sum();
            let by_kind = lost.iter().map(|(what, lost, _)| count(&what.replace(' ', "_"), "messages", *lost));
            Finding {
                figures: [count("refused", "messages", refused), count("failed", "messages", failed)].into_iter().chain(by_kind).collect(),
                ..Finding::new(
                    of(sink),
                    pb::Severity::Critical,
                    summary,
                    "the log says why: a size, a topic, rights, a server's answer, a damaged segment of the journal",
                )
            }
        })
    };
    sight.report.sinks.iter().filter_map(found).collect()
}

/// What a sink gives up, and how much of it since the start.
type Refused = (&'static str, fn(&pb::SinkAccount) -> u64);
const REFUSED: [Refused; 3] = [
    ("reports", |sink| sink.failed),
    ("flow messages", |sink| sink.flows_failed.saturating_sub(sink.flows_topic_refused)),
    ("packet logs", |sink| sink.logs_failed),
];

fn of(sink: &pb::SinkAccount) -> Subject {
    Subject::new("sink", &sink.sink)
}

/// How much a sink's counter rose since the account before; in the first one, since the start.
fn more(sight: &Sight<'_>, now: &pb::SinkAccount, counter: impl Fn(&pb::SinkAccount) -> u64) -> u64 {
    let before = sight.before.and_then(|before| before.sinks.iter().find(|sink| sink.sink == now.sink)).map_or(0, &counter);
    counter(now).saturating_sub(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sink_has_a_remedy_of_its_own() {
        assert!(remedy("kafka").contains("broker") && remedy("https").contains("the server"));
        assert!(["https", "file", "stdout"].iter().all(|sink| !remedy(sink).contains("broker")));
    }
}
