//! Feeds that lost a port, fell silent, or lack a tag.

use super::finding::{Finding, Sight, Subject, count, exact};
use crate::report::pb;

/// A port of a feed is down, or gone.
pub(super) fn down(sight: &Sight<'_>) -> Vec<Finding> {
    let is_down = |feed: &&pb::Feed| feed.state() == pb::FeedState::Down;
    let found = |feed: &pb::Feed| {
        let ports: Vec<&pb::PortLedger> = sight.report.ports.iter().filter(|port| port.feed == feed.name).collect();
        let lost: Vec<&str> = ports.iter().filter(|port| !port.link_up).map(|port| &port.device[..]).collect();
        let summary = format!(
            "feed {}: {} of {} ports down or gone: {}; its figures are incomplete",
            feed.name,
            lost.len(),
            ports.len(),
            lost.join(", ")
        );
        let remedy = "cable, transceiver or the other side; `ip link set … up`; a device that is gone needs a restart";
        Finding {
            figures: vec![count("ports_down", "ports", lost.len() as u64), count("received", "frames", feed.received)],
            feed: Some(feed.name.clone()),
            ..Finding::new(Subject::new("feed", &feed.name), pb::Severity::Critical, summary, remedy)
        }
    };
    sight.report.feeds.iter().filter(is_down).map(found).collect()
}

/// A feed brings fewer packets than its `min_pps`.
#[allow(clippy::cast_precision_loss, reason = "a rate")]
pub(super) fn silent(sight: &Sight<'_>) -> Vec<Finding> {
    let is_silent = |feed: &&pb::Feed| feed.state() == pb::FeedState::Silent;
    let found = |feed: &pb::Feed| {
        let pps = |frames: u64| frames as f64 * 1e9 / sight.window_ns().max(1) as f64;
        let of = |device: &str| {
            let port = sight.report.ports.iter().find(|port| port.feed == feed.name && port.device == *device);
            port.and_then(|port| port.ledger.as_ref()).map_or(0, |ledger| ledger.received)
        };
        // The others may bring all that is asked for.
        let silent: Vec<String> =
            feed.silent_ports.iter().map(|device| format!("{device} has {:.0} packets/s, ", pps(of(device)))).collect();
        let summary = format!(
            "feed {} is silent: {}all its ports have {:.0} packets/s, the largest min_pps is {}; its figures are incomplete",
            feed.name,
            silent.concat(),
            pps(feed.received),
            feed.min_pps
        );
        let remedy = "look whether the mirror still sends, and into the right port; lower `min_pps` if there is no more";
        Finding {
            figures: vec![count("received", "frames", feed.received), exact("rate", "packets/s", pps(feed.received))],
            feed: Some(feed.name.clone()),
            ..Finding::new(Subject::new("feed", &feed.name), pb::Severity::Critical, summary, remedy)
        }
    };
    sight.report.feeds.iter().filter(is_silent).map(found).collect()
}

/// A tag that came all along comes no more.
#[allow(clippy::cast_precision_loss, reason = "a rate")]
pub(super) fn tag_silent(sight: &Sight<'_>) -> Vec<Finding> {
    let found = |tag: &super::SilentTag| {
        let seconds = tag.quiet_ns / 1_000_000_000;
        let expected = tag.expected;
        let summary = format!(
            "{}: no frame for {seconds} s, where at least {expected} were to be expected: the tag is gone, or all that it marked is",
            tag.name
        );
        let remedy =
            "look whether the scrubber still tags what it blocks, and the switch keeps the tag; if nothing is blocked any more, nothing";
        Finding {
            figures: vec![exact("quiet", "s", tag.quiet_ns as f64 / 1e9), count("expected", "frames", expected)],
            ..Finding::new(Subject::new("tag", &tag.name), pb::Severity::Warning, summary, remedy)
        }
    };
    sight.silent_tags.iter().map(found).collect()
}
