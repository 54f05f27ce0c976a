//! `tailwater check`: the brokers of `[sinks.kafka]`, and whether the topics are there.

use std::collections::BTreeSet;
use std::time::Duration;

use super::check::{Finding, Verdict, bad, good, unreadable};
use crate::config::kafka::{CUSTOMER, MOCK};
use crate::config::streams::Part;
use crate::config::{Config, Counters, KafkaSink, Stream};
use crate::sink::kafka::{Cluster, ProbeError, allow, hidden, of_customer, probe};

const TIMEOUT: Duration = Duration::from_secs(5);
/// Topics that one line names.
const NAMED_MAX: usize = 3;
/// What a topic should have, where there are brokers enough.
const REPLICAS: usize = 3;
const PARTITIONS: usize = 12;

pub(super) fn brokers(config: &Config) -> Vec<Finding> {
    let Some(kafka) = &config.sinks.kafka else { return Vec::new() };
    let about = format!("{}: sinks.kafka.brokers", config.locate(&["sinks", "kafka", "brokers"]));
    let secrets = kafka.unreadable.iter().map(unreadable);
    let section = format!("{}: sinks.kafka", config.locate(&["sinks", "kafka"]));
    let weak = kafka.trust.weaknesses().into_iter().map(|(what, remedy)| bad(Verdict::Weak, section.clone(), what, remedy));
    let mut findings: Vec<_> = secrets.chain(weak).collect();
    // Without its secrets it would only be turned away.
    if !kafka.unreadable.is_empty() {
        return findings;
    }
    match probe(kafka, TIMEOUT) {
        Ok(cluster) => {
            findings.push(good(about, format!("a cluster of {}", cluster.brokers.join(", "))));
            findings.extend(topics(config, kafka, &cluster));
        }
        Err(error) => findings.push(match &error {
            ProbeError::Settings { .. } => bad(Verdict::Wrong, section, error.to_string(), "correct it: `run` would not start"),
            ProbeError::Silent { remedy, .. } => {
                let remedy = format!("{remedy}; `run` would wait for it and keep its reports");
                bad(Verdict::Wrong, about, error.to_string(), remedy)
            }
        }),
    }
    findings
}

/// Whether the topics are there, each with a copy on another broker.
fn topics(config: &Config, kafka: &KafkaSink, cluster: &Cluster) -> Vec<Finding> {
    if kafka.brokers == MOCK {
        return Vec::new();
    }
    let customers = |topic: &str| config.ranges.list.iter().map(|range| of_customer(topic, &range.customer).into_owned()).collect();
    let of_key = |(_, topic): (_, &str)| if topic.contains(CUSTOMER) { customers(topic) } else { BTreeSet::from([topic.to_owned()]) };
    let mut ours: BTreeSet<String> = kafka.topics().into_iter().flat_map(of_key).collect();
    ours.extend(config.flows.iter().map(|flows| flows.topic.clone()));
    ours.extend(config.packet_logs.iter().map(|logs| logs.topic.clone()));
    // What fills a template of a stream is known when its flows come.
    let fixed = |stream: &Stream| match &stream.topic.as_ref()?.parts[..] {
        [Part::Fixed(topic)] => Some(topic.clone()),
        _ => None,
    };
    ours.extend(config.streams.iter().filter(|_| config.flows.is_some()).filter_map(fixed));
    let about = format!("{}: topics of sinks.kafka", config.locate(&["sinks", "kafka"]));
    let mut findings: Vec<_> = absent(&about, &ours, kafka, cluster, false);
    findings.extend(alone(&about, &ours, cluster));
    if let Some(Counters::Topic(topic)) = config.audit.as_ref().map(|audit| &audit.counters) {
        let about = format!("{}: audit.counters", config.locate(&["audit", "counters"]));
        findings.extend(absent(&about, &BTreeSet::from([topic.clone()]), kafka, cluster, true));
    }
    if findings.is_empty() {
        findings.push(good(about, format!("all {} are there", ours.len())));
    }
    findings
}

/// Topics that are not there, and those that this user may not see. One that is read is that of counters.
fn absent(about: &str, names: &BTreeSet<String>, kafka: &KafkaSink, cluster: &Cluster, is_read: bool) -> Vec<Finding> {
    let is_listed = |name: &str| cluster.topics.iter().any(|topic| topic.name == name);
    let unlisted: Vec<&str> = names.iter().map(String::as_str).filter(|name| !is_listed(name)).collect();
    if unlisted.is_empty() {
        return Vec::new();
    }
    let hidden = hidden(kafka, &unlisted, TIMEOUT);
    let absent: Vec<&str> = unlisted.into_iter().filter(|name| !hidden.contains(name)).collect();
    let replicas = REPLICAS.min(cluster.brokers.len());
    let list = absent.join(" ");
    let create = format!(
        "for topic in {list}; do kafka-topics.sh --bootstrap-server {} --create --topic $topic --partitions {PARTITIONS} \
         --replication-factor {replicas}; done; brokers that create topics themselves do so at the first message, as their defaults say",
        kafka.brokers
    );
    let until = if is_read { "nothing is compared until it is" } else { "reports wait until they are" };
    let of = |of: &[&str], what: &str, remedy: String| {
        let what = format!("{} of {} are not {what}: {}; {until}", of.len(), names.len(), named(of));
        (!of.is_empty()).then(|| bad(Verdict::Weak, about, what, remedy))
    };
    let allow = allow(kafka, is_read, &hidden);
    of(&absent, "there", create).into_iter().chain(of(&hidden, "shown to this user", allow)).collect()
}

fn alone(about: &str, names: &BTreeSet<String>, cluster: &Cluster) -> Option<Finding> {
    let brokers = cluster.brokers.len();
    let alone = cluster.topics.iter().filter(|topic| brokers > 1 && topic.replicas == 1 && names.contains(&topic.name));
    let alone: Vec<&str> = alone.map(|topic| &*topic.name).collect();
    let what = format!(
        "{} have one replica in a cluster of {brokers}: {}; what was acknowledged is lost with its disk",
        alone.len(),
        named(&alone)
    );
    (!alone.is_empty()).then(|| bad(Verdict::Weak, about, what, "give them more with kafka-reassign-partitions.sh"))
}

fn named(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMED_MAX);
    names[..names.len() - more].join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}
