//! Frames that ports missed, records that cores lost, mirrors whose link is full. Where it came from the account says already.

use super::finding::{Finding, Sight, Subject, count};
use crate::report::{lcore_held_up, pb};

/// More than one in so many that were offered is much.
const MUCH_SHARE: u64 = 1_000;

/// Ports that one line names.
const NAMED_MAX: usize = 8;

/// Frames or records were lost.
pub(super) fn lost(sight: &Sight<'_>) -> Vec<Finding> {
    let mut places: Vec<Vec<&pb::Loss>> = Vec::new();
    // Of a port that is down `feed_down` tells.
    let is_down = |loss: &pb::Loss| loss.place == "port" && sight.report.ports.iter().any(|port| port.port == loss.number && !port.link_up);
    for loss in
        sight.report.losses.iter().filter(|loss| loss.what != "mirror" && ["port", "core"].contains(&&loss.place[..]) && !is_down(loss))
    {
        match places.iter_mut().find(|known| place(known[0]) == place(loss)) {
            Some(known) => known.push(loss),
            None => places.push(vec![loss]),
        }
    }
    places.iter().filter_map(|losses| at_place(sight, losses)).collect()
}

/// Where it is told: what ports missed since a core was held up, at that core.
fn place(loss: &pb::Loss) -> (&str, u32) {
    lcore_held_up(loss).map_or((&loss.place, loss.number), |lcore| ("core", lcore))
}

/// One event a place: its largest loss says why.
fn at_place(sight: &Sight<'_>, losses: &[&pb::Loss]) -> Option<Finding> {
    // Of equals the first.
    let worst = losses.iter().rev().max_by_key(|loss| loss.count)?;
    let Some(lcore) = lcore_held_up(worst) else { return Some(found(sight, worst)) };
    let ports: Vec<(&pb::Loss, u64)> =
        losses.iter().filter(|loss| lcore_held_up(loss).is_some()).map(|loss| (*loss, whole(sight, loss))).collect();
    let named: Vec<String> = ports.iter().take(NAMED_MAX).map(|(loss, of)| format!("{} {} of {of}", loss.name, loss.count)).collect();
    let more = if ports.len() > NAMED_MAX { ", …" } else { "" };
    let summary = format!("{}: its ports lost frames ({}: {}): {}{more}", worst.why, worst.what, worst.cause, named.join(", "));
    let [lost, of] = ports.iter().fold([0_u64; 2], |[lost, all], (loss, of)| [lost + loss.count, all + of]);
    let feed = Some(worst.feed.clone()).filter(|feed| ports.iter().all(|(loss, _)| loss.feed == *feed));
    let severity = if ports.iter().any(|(loss, of)| is_much(loss.count, *of)) { pb::Severity::Critical } else { pb::Severity::Warning };
    let figures = vec![count(&worst.what, "frames", lost), count("of", "frames", of), count("ports", "ports", ports.len() as u64)];
    let subject = Subject::new("core", format!("lcore {lcore}"));
    Some(Finding { cause: worst.cause.clone(), figures, feed, ..Finding::new(subject, severity, summary, &worst.remedy) })
}

/// Of how many it was lost.
fn whole(sight: &Sight<'_>, loss: &pb::Loss) -> u64 {
    if loss.place == "port" {
        let port = sight.report.ports.iter().find(|port| port.port == loss.number);
        port.and_then(|port| port.ledger.as_ref()).map_or(0, |ledger| ledger.offered)
    } else {
        sight.report.ledger.as_ref().map_or(0, |ledger| ledger.records)
    }
}

const fn is_much(lost: u64, of: u64) -> bool {
    lost.saturating_mul(MUCH_SHARE) > of
}

/// Of long windows, where shorter ones are judged: records that found no room in a stream to the reporter when those closed.
pub(super) fn reporter_late(sight: &Sight<'_>) -> Vec<Finding> {
    let long = sight.long.filter(|_| sight.report.window_kind() == pb::WindowKind::Fast);
    let late = long.iter().flat_map(|long| &long.losses).filter(|loss| loss.cause == "reporter_late");
    late.map(|loss| found(&Sight { report: long.unwrap_or(sight.report), ..*sight }, loss)).collect()
}

fn found(sight: &Sight<'_>, loss: &pb::Loss) -> Finding {
    let is_port = loss.place == "port";
    let (unit, of) = (if is_port { "frames" } else { "records" }, whole(sight, loss));
    let severity = if is_much(loss.count, of) { pb::Severity::Critical } else { pb::Severity::Warning };
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
