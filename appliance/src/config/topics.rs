//! Topics of all sections against each other: messages do not say what they are, so one topic holds one kind.
//!
//! What `[sinks.kafka]` names is compared there. Here come flows, whose streams name topics by what flows hold: a template that some
//! flow could make another's topic of is refused, for who sends the flow chooses what it holds.

use super::audit::{Audit, Counters};
use super::exports::PacketLogs;
use super::flows::Flows;
use super::kafka::KafkaSink;
use super::sinks::Sinks;
use super::streams::{FlowFormat, Framing, Stream};
use super::walk::{At, Section};

type Format = (FlowFormat, Framing);

/// A topic, or a template of topics: what stands in braces may be anything.
struct Named {
    at: At,
    /// As a reader finds it.
    key: String,
    topic: String,
    /// How its messages are written; none: as streams say, that have no topic of their own.
    format: Option<Format>,
    /// It is named here, and not elsewhere.
    is_own: bool,
}

const REMEDY: &str = "give it a topic of its own";

/// What names topics.
pub(super) struct Parts<'a> {
    pub(super) sinks: &'a Sinks,
    pub(super) flows: Option<&'a Flows>,
    pub(super) streams: &'a [Stream],
    pub(super) audit: Option<&'a Audit>,
    pub(super) logs: Option<&'a PacketLogs>,
}

/// Compares them, where there is a broker.
pub(super) fn judge(root: &Section<'_, '_>, of: &Parts<'_>) {
    let Some(kafka) = &of.sinks.kafka else { return };
    let flows = of_flows(root, of);
    let audited = of.audit.and_then(|audit| match &audit.counters {
        Counters::Topic(topic) => Some(topic),
        Counters::File(_) => None,
    });
    if let Some(logs) = of.logs {
        let at = root.section("packet_logs", "[packet_logs]").map_or_else(|| root.at_key("packet_logs"), |section| section.at_key("topic"));
        let named = Named { at, key: "packet_logs.topic".to_owned(), topic: logs.topic.clone(), format: None, is_own: true };
        if let Some(key) = of_reports(kafka, &logs.topic) {
            fault(root, &named, &format!("sinks.kafka.{key}"));
        } else if audited.is_some_and(|topic| *topic == logs.topic) {
            fault(root, &named, "audit.counters, which the scrubber writes to");
        }
    }
    for (at, named) in flows.iter().enumerate() {
        if of.logs.is_some_and(|logs| may_be_one(&logs.topic, &named.topic)) {
            fault(root, named, "packet_logs");
            continue;
        }
        if let Some(key) = of_reports(kafka, &named.topic).filter(|_| named.is_own) {
            fault(root, named, &format!("sinks.kafka.{key}"));
        } else if named.is_own && audited.is_some_and(|topic| may_be_one(topic, &named.topic)) {
            fault(root, named, "audit.counters, which the scrubber writes to");
        }
        let is_other = |other: &&Named| other.topic == named.topic && other.format.zip(named.format).is_some_and(|(a, b)| a != b);
        let other = flows[..at].iter().find(is_other);
        if let Some(other) = other {
            let what = format!("is the topic of {} too, which is written in another format", other.key);
            root.book().fault(&named.at, what, "give both the same format and framing, or each a topic of its own");
        }
    }
}

fn fault(root: &Section<'_, '_>, named: &Named, other: &str) {
    let may = if named.topic.contains('{') { "can become" } else { "is" };
    root.book().fault(&named.at, format!("{may} the topic of {other}: who reads it could not tell the messages apart"), REMEDY);
}

fn of_reports(kafka: &KafkaSink, topic: &str) -> Option<&'static str> {
    kafka.topics().into_iter().find(|(_, other)| may_be_one(other, topic)).map(|(key, _)| key)
}

/// The topic of all flows, where something may go there, and those of streams.
fn of_flows(root: &Section<'_, '_>, of: &Parts<'_>) -> Vec<Named> {
    let Some(flows) = of.flows else { return Vec::new() };
    let at = root.section("flows", "[flows]").map_or_else(|| root.at_key("flows"), |section| section.at_key("topic"));
    let (rows, streams) = (root.rows("streams"), of.streams);
    let mut all = Vec::new();
    if streams.is_empty() || streams.iter().any(|stream| stream.topic.is_none() && !stream.drop) {
        all.push(Named { at, key: "flows.topic".to_owned(), topic: flows.topic.clone(), format: None, is_own: true });
    }
    // Where a row is faulty nobody knows which stream is whose.
    for (row, stream) in rows.iter().zip(streams).filter(|(_, stream)| !stream.drop && rows.len() == streams.len()) {
        let own = row.take("topic").and_then(|field| field.as_text().map(str::to_owned));
        let format = stream.format.unwrap_or(flows.format.0);
        let framing = if format == FlowFormat::Json { Framing::Length } else { stream.framing.unwrap_or(flows.format.1) };
        all.push(Named {
            at: row.at_key(if own.is_some() { "topic" } else { "format" }),
            key: format!("the stream {}", stream.name),
            is_own: own.is_some(),
            topic: own.unwrap_or_else(|| flows.topic.clone()),
            format: Some((format, framing)),
        });
    }
    all
}

/// Whether some texts in the braces of both make one name of them.
fn may_be_one(a: &str, b: &str) -> bool {
    let (a, b) = (pieces(a), pieces(b));
    // What is left of both: whether they can be one.
    let mut can = vec![vec![false; b.len() + 1]; a.len() + 1];
    for i in (0..=a.len()).rev() {
        for j in (0..=b.len()).rev() {
            can[i][j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(None), other) => can[i + 1][j] || other.is_some() && can[i][j + 1],
                (other, Some(None)) => can[i][j + 1] || other.is_some() && can[i + 1][j],
                (Some(Some(x)), Some(Some(y))) => x == y && can[i + 1][j + 1],
                _ => false,
            };
        }
    }
    can[0][0]
}

/// Characters; none for what may be anything.
fn pieces(topic: &str) -> Vec<Option<char>> {
    let (mut pieces, mut rest) = (Vec::new(), topic);
    while let Some((before, (_, after))) = rest.split_once('{').and_then(|(before, inner)| Some((before, inner.split_once('}')?))) {
        pieces.extend(before.chars().map(Some).chain([None]));
        rest = after;
    }
    pieces.extend(rest.chars().map(Some));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_compared_by_what_they_may_become() {
        for (a, b, may) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a.{x}", "a.b", true),
            ("a.{x}", "a", false),
            ("a.{x}", "b.{y}", false),
            ("{x}.b", "a.{y}", true),
            ("{x}", "tailwater.v1.events", true),
            ("tailwater.v1.flows.{x}", "tailwater.v1.ranges.{customer}", false),
            ("t.{x}.{y}", "t.{customer}", true),
            ("t{x}b", "tab", true),
            ("t{x}b", "tac", false),
        ] {
            assert_eq!((may_be_one(a, b), may_be_one(b, a)), (may, may), "{a} {b}");
        }
    }
}
