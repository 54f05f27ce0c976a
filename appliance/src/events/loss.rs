//! Frames that ports missed, records that cores lost, mirrors whose link is full. Where it came from the account says already.

use super::finding::{Finding, Sight, Subject, count};
use crate::report::pb;

/// More than one in so many that were offered is much.
const MUCH_SHARE: u64 = 1_000;

/// Frames or records were lost.
pub(super) fn lost(sight: &Sight<'_>) -> Vec<Finding> {
    let mut worst: Vec<&pb::Loss> = Vec::new();
    // One event a place: its largest loss says why.
    // Of a port that is down `feed_down` tells.
    let is_down = |loss: &pb::Loss| loss.place == "port" && sight.report.ports.iter().any(|port| port.port == loss.number && !port.link_up);
    for loss in
        sight.report.losses.iter().filter(|loss| loss.what != "mirror" && ["port", "core"].contains(&&loss.place[..]) && !is_down(loss))
    {
        match worst.iter_mut().find(|known| (&known.place, known.number) == (&loss.place, loss.number)) {
            Some(known) if known.count < loss.count => *known = loss,
            Some(_) => {}
            None => worst.push(loss),
        }
    }
    worst.into_iter().map(|loss| found(sight, loss)).collect()
}

/// Of long windows, where shorter ones are judged: records that found no room in a stream to the reporter when those closed.
pub(super) fn reporter_late(sight: &Sight<'_>) -> Vec<Finding> {
    let long = sight.long.filter(|_| sight.report.window_kind() == pb::WindowKind::Fast);
    let late = long.iter().flat_map(|long| &long.losses).filter(|loss| loss.cause == "reporter_late");
    late.map(|loss| found(&Sight { report: long.unwrap_or(sight.report), ..*sight }, loss)).collect()
}

fn found(sight: &Sight<'_>, loss: &pb::Loss) -> Finding {
    let is_port = loss.place == "port";
    let ledger = if is_port {
        sight.report.ports.iter().find(|port| port.port == loss.number).and_then(|port| port.ledger.as_ref())
    } else {
        sight.report.ledger.as_ref()
    };
    let (unit, of) = if is_port { ("frames", ledger.map_or(0, |l| l.offered)) } else { ("records", ledger.map_or(0, |l| l.records)) };
    let severity = if loss.count.saturating_mul(MUCH_SHARE) > of { pb::Severity::Critical } else { pb::Severity::Warning };
    let subject = if is_port { Subject::new("port", &loss.name) } else { Subject::new("core", format!("lcore {}", loss.number)) };
    let summary =
        format!("{} {} lost {} of {of} {unit} ({}): {}, {}", subject.kind, subject.name, loss.count, loss.what, loss.cause, loss.why);
    Finding {
        cause: loss.cause.clone(),
        figures: vec![count(&loss.what, unit, loss.count), count("of", unit, of)],
        feed: is_port.then(|| loss.feed.clone()),
        ..Finding::new(subject, severity, summary, &loss.remedy)
    }
}

/// A core still closed a window when the next but one had begun: frames count in the wrong one.
pub(super) fn overdue(sight: &Sight<'_>) -> Vec<Finding> {
    let cores = sight.report.cores.iter().filter_map(|core| Some((core, core.ledger.as_ref().filter(|ledger| ledger.overdue > 0)?)));
    let found = |(core, ledger): (&pb::CoreLedger, &pb::Ledger)| {
        let subject = Subject::new("core", format!("lcore {}", core.lcore));
        let (late, of) = (ledger.overdue, ledger.received);
        let summary = format!(
            "core {}: {late} of {of} frames count in a window before their own: it takes longer to close a window than one lasts",
            subject.name
        );
        let remedy = "more cores.rx and queues or cores.workers, fewer stats that are fast, a longer fast_window_ms";
        let figures = vec![count("overdue", "frames", late), count("of", "frames", of)];
        Finding { figures, ..Finding::new(subject, pb::Severity::Warning, summary, remedy) }
    };
    cores.map(found).collect()
}

/// A port's link is so full that the mirror has probably more than fits.
pub(super) fn mirror_saturated(sight: &Sight<'_>) -> Vec<Finding> {
    let found = |loss: &pb::Loss| {
        let summary =
            format!("port {}: the mirror's link is full ({}): what does not fit is lost before it is counted", loss.name, loss.why);
        let port = sight.report.ports.iter().find(|port| port.port == loss.number);
        let figures = port.map(|port| count("link", "bit/s", port.link_bps()));
        Finding {
            figures: figures.into_iter().collect(),
            feed: Some(loss.feed.clone()),
            ..Finding::new(Subject::new("port", &loss.name), pb::Severity::Warning, summary, &loss.remedy)
        }
    };
    sight.report.losses.iter().filter(|loss| loss.what == "mirror").map(found).collect()
}
