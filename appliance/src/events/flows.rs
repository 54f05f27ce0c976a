//! Flow records that were lost on their way in or out: the kernel, cores, templates, the journal. And what the appliance itself exports.

use super::finding::{Finding, Sight, Subject, count, exact};
use crate::report::pb;

/// What the account of the last long window says: one finding for each thing that was lost.
pub(super) fn lost(sight: &Sight<'_>) -> Vec<Finding> {
    of(sight, "flows", "flow records were lost")
}

/// Sampling rates that an exporter's own totals deny: all that is scaled by them is wrong by as much.
pub(super) fn doubted_rates(sight: &Sight<'_>) -> Vec<Finding> {
    let doubts = sight.long.iter().filter_map(|long| long.flows.as_ref()).flat_map(|flows| &flows.doubts);
    doubts.map(doubted).collect()
}

fn doubted(of: &pb::FlowDoubt) -> Finding {
    const REMEDY: &str =
        "let the exporter tell the rate at which it samples, or write the true one: `[flows] sampling`, by exporter or interface";
    let (summary, subject) = (format!("{}: {}", of.of, of.why), Subject::new("exporter", &of.of));
    Finding {
        figures: vec![exact("told", "packets", f64::from(of.told)), exact("makes", "packets", of.makes)],
        ..Finding::new(subject, pb::Severity::Warning, summary, REMEDY)
    }
}

/// The same of exports and packet logs.
pub(super) fn lost_exports(sight: &Sight<'_>) -> Vec<Finding> {
    of(sight, "exports", "of what is exported some was lost")
}

fn of(sight: &Sight<'_>, place: &'static str, what: &str) -> Vec<Finding> {
    let losses = sight.long.iter().flat_map(|long| &long.losses).filter(|loss| loss.place == place);
    losses.map(|loss| found(loss, place, what)).collect()
}

fn found(loss: &pb::Loss, place: &'static str, lost: &str) -> Finding {
    let unit = match &loss.what[..] {
        "flows_kernel_dropped" | "exports_send_failed" => "datagrams",
        "flows_ring_dropped" | "flows_cut" => "packets",
        "flows_undescribed" => "sets",
        "exports_ring_dropped" => "samples",
        "exports_unplaced" => "records",
        _ => "messages",
    };
    // What exporters leave out may never come, a collector may be away; what is lost here someone can mend here.
    let is_others = matches!(&loss.what[..], "flows_undescribed" | "exports_send_failed" | "exports_unplaced");
    let severity = if is_others { pb::Severity::Warning } else { pb::Severity::Critical };
    let summary = format!("{lost} ({}): {}, {}", loss.what, loss.cause, loss.why);
    Finding {
        cause: loss.cause.clone(),
        figures: vec![count(&loss.what, unit, loss.count)],
        ..Finding::new(Subject::new(place, &loss.what), severity, summary, &loss.remedy)
    }
}
