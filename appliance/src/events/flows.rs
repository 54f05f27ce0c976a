//! Flow records that were lost on their way in or out: the kernel, templates, the journal.

use super::finding::{Finding, Sight, Subject, count};
use crate::report::pb;

/// What the account of the last long window says: one finding for each thing that was lost.
pub(super) fn lost(sight: &Sight<'_>) -> Vec<Finding> {
    let losses = sight.long.iter().flat_map(|long| &long.losses).filter(|loss| loss.place == "flows");
    losses.map(found).collect()
}

fn found(loss: &pb::Loss) -> Finding {
    let unit = match &loss.what[..] {
        "flows_kernel_dropped" => "datagrams",
        "flows_undescribed" => "sets",
        _ => "messages",
    };
    // What exporters leave out may never come; what is lost here someone can mend here.
    let severity = if unit == "sets" { pb::Severity::Warning } else { pb::Severity::Critical };
    let summary = format!("flow records were lost ({}): {}, {}", loss.what, loss.cause, loss.why);
    Finding {
        cause: loss.cause.clone(),
        figures: vec![count(&loss.what, unit, loss.count)],
        ..Finding::new(Subject::new("flows", &loss.what), severity, summary, &loss.remedy)
    }
}
