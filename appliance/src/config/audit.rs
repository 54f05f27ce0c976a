//! `[audit]`: the scrubber's own counters, against the samples that come.

use std::path::PathBuf;

use super::appliance::beside;
use super::kafka::{KafkaSink, is_topic};
use super::tags::{Given, TagRule};
use super::walk::{Field, Section};

/// What counters are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditBy {
    /// Ranges: prefix, and domain if it has one.
    Range,
    /// Rows of `[[tags]]`, by number from 0.
    Tag,
    /// Mitigation rules, by id.
    Rule,
}

impl AuditBy {
    /// All of them, with their spelling.
    pub const ALL: [(&'static str, Self); 3] = [("range", Self::Range), ("tag", Self::Tag), ("rule", Self::Rule)];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, by)| *by == self).map_or("", |(name, _)| name)
    }
}

/// Where counters come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counters {
    /// CSV or JSON, read again when it changes.
    File(PathBuf),
    /// A topic of the brokers of `[sinks.kafka]`.
    Topic(String),
}

/// `[audit]`
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// `counters`
    pub counters: Counters,
    /// Default `range`.
    pub by: AuditBy,
    /// Over all keys together, a day; default 0.001.
    pub false_alarms: f64,
    /// Default 0.005.
    pub tolerance: f64,
    /// Default 100.
    pub skew_ms: u64,
    /// Default 300.
    pub stale_s: u64,
}

const FALSE_ALARMS: f64 = 0.001;
const FALSE_ALARMS_MIN: f64 = 1e-12;
const FALSE_ALARMS_MAX: f64 = 0.5;
const TOLERANCE: f64 = 0.005;
const TOLERANCE_MAX: f64 = 0.2;
const SKEW_MS: u64 = 100;
const STALE_S: u64 = 300;
const COUNTERS: &str = "counters = \"counters.csv\", or counters = { topic = \"scrubber.counters\" }";

/// `[audit]`, or none.
pub(super) fn read(root: &Section<'_, '_>, tags: &[TagRule], kafka: Option<&KafkaSink>) -> Option<Audit> {
    let section = root.section("audit", "[audit]")?;
    let counters = section.require("counters", COUNTERS).and_then(|field| counters(&field, kafka));
    let by = section.choice("by", &AuditBy::ALL).unwrap_or(AuditBy::Range);
    let number = |key, default, bounds| section.take(key).map_or(Some(default), |field| number(&field, bounds));
    let false_alarms = number("false_alarms", FALSE_ALARMS, (FALSE_ALARMS_MIN, FALSE_ALARMS_MAX));
    let tolerance = number("tolerance", TOLERANCE, (0.0, TOLERANCE_MAX));
    let skew_ms = section.integer("skew_ms", 0..=60_000).unwrap_or(SKEW_MS);
    let stale_s = section.integer("stale_s", 1..=86_400).unwrap_or(STALE_S);
    judge(&section, by, tags);
    section.close();
    Some(Audit { counters: counters?, by, false_alarms: false_alarms?, tolerance: tolerance?, skew_ms, stale_s })
}

fn counters(field: &Field<'_, '_>, kafka: Option<&KafkaSink>) -> Option<Counters> {
    if !field.is_table() {
        return field.text("\"counters.csv\"").map(|path| Counters::File(beside(field.file(), path)));
    }
    let section = field.section("{ topic = \"scrubber.counters\" }")?;
    let topic = section.require("topic", "topic = \"scrubber.counters\"").and_then(|field| field.text("\"scrubber.counters\""));
    section.close();
    let is_ours = |topic: &str| kafka.and_then(|kafka| kafka.topics().into_iter().find(|(_, ours)| *ours == topic));
    if let Some(topic) = topic.filter(|topic| !is_topic(topic, false)) {
        field.fault(format!("names \"{topic}\", which is no name of a topic"), "it may hold letters, digits, '.', '_' and '-'");
    } else if let Some((key, _)) = topic.and_then(is_ours) {
        field.fault(format!("names the topic of sinks.kafka.{key}: that is what we write"), "name the topic that the scrubber writes to");
    }
    if kafka.is_none() {
        field.fault("names a topic, and there are no brokers to ask", "write [sinks.kafka] and its brokers, or name a file");
    }
    topic.map(|topic| Counters::Topic(topic.to_owned()))
}

fn number(field: &Field<'_, '_>, (low, high): (f64, f64)) -> Option<f64> {
    let integer = field.as_integer().and_then(|n| i32::try_from(n).ok()).map(f64::from);
    let number = field.value().and_then(toml_edit::Value::as_float).or(integer).filter(|number| (low..=high).contains(number));
    if number.is_none() {
        field.fault("is out of range", format!("write a number from {low} to {high}"));
    }
    number
}

/// A rate must be known to be compared with, and who counts by range or rule does not tell rates apart.
fn judge(section: &Section<'_, '_>, by: AuditBy, tags: &[TagRule]) {
    let sampled = |rule: &&TagRule| rule.blocked && matches!(rule.sampling, Given::Fixed(2..));
    let blocked = || tags.iter().filter(|rule| rule.blocked);
    if !tags.iter().any(|rule| sampled(&rule)) {
        let remedy = "write sampling = 40 in a row of [[tags]] with decision = \"blocked\"";
        section.fault("by", "finds no tag rule with a constant sampling rate of 2 or more: there is nothing to audit", remedy);
    } else if by != AuditBy::Tag && blocked().any(|rule| !sampled(&rule) || blocked().any(|other| other.sampling != rule.sampling)) {
        let what = format!("is \"{}\", but blocked packets have several sampling rates", by.name());
        section.fault("by", what, "write by = \"tag\", or give all rows of [[tags]] with decision = \"blocked\" one constant sampling");
    } else if by == AuditBy::Rule && blocked().all(|rule| rule.rule.is_none()) {
        section.fault("by", "is \"rule\", but no tag rule says where the rule's id stands", "write rule in [[tags]], or by = \"range\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_configuration() {
        assert_eq!(AuditBy::ALL.map(|(_, by)| by.name()), ["range", "tag", "rule"]);
    }
}
