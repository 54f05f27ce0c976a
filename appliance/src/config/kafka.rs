//! `[sinks.kafka]`: the brokers and their topics. How a broker is trusted, and how it trusts us, is in `trust`.

use sha2::{Digest as _, Sha256};

use super::fault::Fault;
use super::trust::{self, Trust};
use super::walk::{Field, Section};

/// `[sinks.kafka]`
#[derive(Clone, Debug, Default, Eq)]
pub struct KafkaSink {
    /// `host:port,…`, or `mock`.
    pub brokers: String,
    /// Default `tailwater.v1.ranges`; may hold `{customer}`.
    pub ranges_topic: String,
    /// Default `tailwater.v1.appliance`.
    pub appliance_topic: String,
    /// Default `tailwater.v1.links`.
    pub links_topic: String,
    /// Default `tailwater.v1.events`.
    pub events_topic: String,
    /// Default `tailwater.v1.configs`.
    pub configs_topic: String,
    /// Default `lz4`.
    pub compression: String,
    /// All flows go to one topic: nobody else waits where it is refused. Not written here: of `[flows]` and `[[streams]]`.
    pub flows_have_one_topic: bool,
    /// TLS and SASL.
    pub trust: Trust,
    /// Secrets and certificates that cannot be read: faults to `run` alone, who replays need not have them.
    pub unreadable: Vec<Fault>,
}

/// Of what is written: whether files can be read now makes it no other.
impl PartialEq for KafkaSink {
    fn eq(&self, other: &Self) -> bool {
        let Self { brokers, compression, trust, .. } = self;
        (brokers, compression, trust, self.topics()) == (&other.brokers, &other.compression, &other.trust, other.topics())
    }
}

impl KafkaSink {
    /// Everything but the brokers as it is by default.
    pub fn to(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            ranges_topic: RANGES_TOPIC.to_owned(),
            appliance_topic: APPLIANCE_TOPIC.to_owned(),
            links_topic: LINKS_TOPIC.to_owned(),
            events_topic: EVENTS_TOPIC.to_owned(),
            configs_topic: CONFIGS_TOPIC.to_owned(),
            compression: COMPRESSION.to_owned(),
            ..Self::default()
        }
    }

    /// All topics, with their keys.
    pub fn topics(&self) -> [(&'static str, &str); 5] {
        [
            ("ranges_topic", &self.ranges_topic),
            ("appliance_topic", &self.appliance_topic),
            ("links_topic", &self.links_topic),
            ("events_topic", &self.events_topic),
            ("configs_topic", &self.configs_topic),
        ]
    }
}

const COMPRESSIONS: [(&str, &str); 5] = [("none", "none"), ("gzip", "gzip"), ("snappy", "snappy"), ("lz4", "lz4"), ("zstd", "zstd")];
const COMPRESSION: &str = "lz4";
const RANGES_TOPIC: &str = "tailwater.v1.ranges";
const APPLIANCE_TOPIC: &str = "tailwater.v1.appliance";
const LINKS_TOPIC: &str = "tailwater.v1.links";
const EVENTS_TOPIC: &str = "tailwater.v1.events";
const CONFIGS_TOPIC: &str = "tailwater.v1.configs";
/// How the embedded cluster is written in `brokers`.
pub const MOCK: &str = "mock";
/// Kafka's own bound on a topic's name.
pub const TOPIC_BYTES_MAX: usize = 249;
/// What stands for the customer in a topic template.
pub const CUSTOMER: &str = "{customer}";

pub(super) fn read(section: Section<'_, '_>) -> Option<KafkaSink> {
    let brokers = section.require("brokers", "brokers = \"127.0.0.1:9092\", or \"mock\"").and_then(|f| brokers(&f));
    let topic = |key, default: &str, may| section.take(key).map_or_else(|| Some(default.to_owned()), |f| topic(&f, default, may));
    let (ranges_topic, appliance_topic) = (topic("ranges_topic", RANGES_TOPIC, true), topic("appliance_topic", APPLIANCE_TOPIC, false));
    let (links_topic, events_topic) = (topic("links_topic", LINKS_TOPIC, false), topic("events_topic", EVENTS_TOPIC, false));
    let configs_topic = topic("configs_topic", CONFIGS_TOPIC, false);
    let compression = section.choice("compression", &COMPRESSIONS).unwrap_or(COMPRESSION).to_owned();
    let (trust, unreadable) = trust::read(&section, brokers.as_deref() == Some(MOCK));
    let sink = KafkaSink {
        brokers: brokers?,
        ranges_topic: ranges_topic?,
        appliance_topic: appliance_topic?,
        links_topic: links_topic?,
        events_topic: events_topic?,
        configs_topic: configs_topic?,
        compression,
        flows_have_one_topic: false,
        trust,
        unreadable,
    };
    differ(&section, &sink);
    section.close();
    Some(sink)
}

/// Messages do not say what they are: one topic holds one kind.
fn differ(section: &Section<'_, '_>, sink: &KafkaSink) {
    let topics = sink.topics();
    for (at, (key, topic)) in topics.iter().enumerate() {
        if let Some((other, _)) = topics[..at].iter().find(|(_, other)| other == topic) {
            let what = format!("is the topic of {other} too: who reads it could not tell the messages apart");
            section.fault(key, what, "give each kind of message a topic of its own");
        }
    }
}

/// `mock`, or hosts with their ports.
fn brokers(field: &Field<'_, '_>) -> Option<String> {
    let text = field.text("\"127.0.0.1:9092\"")?;
    // What is told is not what stands there: logs and reports show brokers.
    if text.contains('@') {
        field.fault(
            "holds an '@', as if a user or a password stood there",
            "write host:port alone; `username` and `password_file` are keys",
        );
        return None;
    }
    let good = |broker: &str| {
        let (host, port) = broker.trim().rsplit_once(':').unwrap_or_else(|| (broker.trim(), "9092"));
        !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|p| p > 0)
    };
    if let Some(bad) = text.split(',').find(|b| text != MOCK && !good(b)) {
        field.fault(format!("\"{bad}\" is no broker"), "write host:port, several parted by commas, or \"mock\"");
        return None;
    }
    Some(text.to_owned())
}

/// Whether Kafka takes this for a topic's name; of a template, whatever its customer's part.
pub fn is_topic(name: &str, template: bool) -> bool {
    let named = if template { name.replace(CUSTOMER, "c") } else { name.to_owned() };
    let legal = !named.is_empty() && named.chars().all(is_topic_char) && named != "." && named != "..";
    legal && name.len() <= TOPIC_BYTES_MAX
}

/// Whether a topic's name may hold it.
pub const fn is_topic_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// Characters of a text that are kept where it is no legal part of a topic.
const KEPT_CHARS_MAX: usize = 64;

/// What stands behind those: a dash and eight hex digits.
const HASH_BYTES: usize = 9;

/// A customer's name, or what else a template asks for, as part of a topic of which so many bytes are left. What Kafka does not allow
/// is spelled with `_`, and gets a hash of the text behind it: two customers never share a topic by accident of spelling.
pub fn part_of_topic(text: &str, room: usize) -> String {
    if !text.is_empty() && text.len() <= room && text.chars().all(is_topic_char) {
        return text.to_owned();
    }
    let kept: String =
        text.chars().take(KEPT_CHARS_MAX.min(room.saturating_sub(HASH_BYTES))).map(|c| if is_topic_char(c) { c } else { '_' }).collect();
    let hash: String = Sha256::digest(text.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{kept}-{hash}")
}

/// A topic's name, or its template.
pub(super) fn topic(field: &Field<'_, '_>, example: &str, may_have_customer: bool) -> Option<String> {
    let text = field.text(&format!("\"{example}\""))?;
    if !is_topic(text, may_have_customer) {
        let template = if may_have_customer { ", and {customer} for a topic a customer" } else { "" };
        field.fault(
            "is no name of a topic",
            format!("it may hold letters, digits, '.', '_' and '-', {TOPIC_BYTES_MAX} bytes at most{template}"),
        );
        return None;
    }
    Some(text.to_owned())
}
