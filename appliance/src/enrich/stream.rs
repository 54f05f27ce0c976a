//! One of `[[streams]]`, ready for flows.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::pan::Hiding;
use crate::axes::flow_field::FlowField;
use crate::config::kafka::{TOPIC_BYTES_MAX, part_of_topic};
use crate::config::streams::{FieldChoice, Part, Template};
use crate::config::{FlowFormat, FlowPredicate, Framing, Stream as Written};
use crate::flows::{Added, Address, Chosen, Flow, Text, Value, holds_any, json, protobuf, value};
use crate::limits::TOPICS_OF_STREAM_MAX;

/// A stream, and what it has counted.
pub(super) struct Stream {
    pub(super) name: Text,
    pub(super) predicate: FlowPredicate,
    pub(super) drops: bool,
    pub(super) sample: u32,
    pub(super) hiding: Vec<Hiding>,
    pub(super) chosen: Option<Chosen>,
    pub(super) format: (FlowFormat, Framing),
    topic: Option<Topic>,
    random: u64,
    pub(super) counts: Counts,
}

/// What came of the flows that a stream was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Written.
    pub written: u64,
    /// Left out by `sample`.
    pub left_out: u64,
    /// Dropped by a row with `drop = true`.
    pub dropped: u64,
    /// Topics of its template beyond the bound: `other` stood for what fills it in.
    pub topics_refused: u64,
}

/// A template and the topics that it has made.
struct Topic {
    template: Template,
    made: HashSet<String>,
    text: String,
}

/// What stands for a field that holds nothing.
const ABSENT: &str = "none";
/// What stands for all fields where there are too many topics.
const OTHER: &str = "other";
/// What stands between the values of a list: Kafka allows no comma.
const LISTED: &str = "-";

impl Stream {
    pub(super) fn new(written: &Written, default: (FlowFormat, Framing)) -> Self {
        let numbers = |fields: &[&FlowField]| fields.iter().map(|field| field.number).collect::<Vec<_>>();
        let chosen = written.fields.as_ref().map(|choice| match choice {
            FieldChoice::Keep(fields) => Chosen::only(numbers(fields)),
            FieldChoice::Drop(fields) => Chosen::without(numbers(fields)),
        });
        Self {
            name: Text::from(&written.name[..]),
            predicate: written.predicate.clone(),
            drops: written.drop,
            sample: written.sample,
            hiding: written.anonymise.iter().map(Hiding::new).collect(),
            chosen,
            format: (written.format.unwrap_or(default.0), written.framing.unwrap_or(default.1)),
            topic: written.topic.clone().map(|template| Topic { template, made: HashSet::new(), text: String::new() }),
            random: 0x9E37_79B9_7F4A_7C15 ^ u64::from(written.sample),
            counts: Counts::default(),
        }
    }

    /// Whether the next flow is among the one in `sample` that are drawn: SplitMix64 (Steele, Lea, Flood, 2014), begun alike in each
    /// run, so that the same capture gives the same flows.
    pub(super) fn draws(&mut self) -> bool {
        if self.sample <= 1 {
            return true;
        }
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31).is_multiple_of(u64::from(self.sample))
    }

    /// Makes the name of the topic that a flow goes to, of what it holds before anything is hidden or left out.
    pub(super) fn name_topic(&mut self, flow: &Flow, added: &Added) {
        let Some(topic) = &mut self.topic else { return };
        topic.make(|field| text(flow, added, field, LISTED));
        if !topic.made.contains(&topic.text) {
            if topic.made.len() < TOPICS_OF_STREAM_MAX {
                topic.made.insert(topic.text.clone());
            } else {
                self.counts.topics_refused += 1;
                topic.make(|_| OTHER.to_owned());
            }
        }
    }

    /// The topic that was named last; none: that of all flows.
    pub(super) fn topic(&self) -> Option<&str> {
        self.topic.as_ref().map(|topic| &topic.text[..])
    }
}

impl Topic {
    fn make(&mut self, of: impl Fn(&FlowField) -> String) {
        self.text.clear();
        let fixed: usize = self.template.parts.iter().map(|part| if let Part::Fixed(text) = part { text.len() } else { 0 }).sum();
        let fields = self.template.parts.iter().filter(|part| matches!(part, Part::Field(_))).count();
        let room = TOPIC_BYTES_MAX.saturating_sub(fixed) / fields.max(1);
        for part in &self.template.parts {
            match part {
                Part::Fixed(text) => self.text.push_str(text),
                Part::Field(field) => match &*of(field) {
                    "" => self.text.push_str(ABSENT),
                    text => self.text.push_str(&part_of_topic(text, room)),
                },
            }
        }
    }
}

/// What a field holds as text, values of a list with `between` between them; empty where it was not told.
pub fn text(flow: &Flow, added: &Added, field: &FlowField, between: &str) -> String {
    if field.kind.is_one() {
        return one(&value(flow, added, field.number));
    }
    let (mut text, mut count) = (String::new(), 0);
    holds_any(flow, added, field.number, &mut |value| {
        text.push_str(if count > 0 { between } else { "" });
        // What a list holds was told.
        text.push_str(if *value == Value::Number(0) { "0" } else { "" });
        text.push_str(&one(value));
        count += 1;
        false
    });
    text
}

fn one(value: &Value<'_>) -> String {
    match value {
        Value::None | Value::Number(0) | Value::Mac(0) => String::new(),
        Value::Mac(mac) => {
            let [_, _, a, b, c, d, e, f] = mac.to_be_bytes();
            format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
        }
        Value::Number(number) => number.to_string(),
        Value::Word(word) => (*word).to_owned(),
        Value::Text(text) => (*text).to_owned(),
        Value::Address(address) => spelled(address),
    }
}

fn spelled(address: &Address) -> String {
    let mut text = String::new();
    if let Some(ip) = address.ip() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{ip}");
    }
    text
}

/// Appends a message; JSON ends its line.
pub(super) fn write(message: &crate::flows::Message<'_>, format: (FlowFormat, Framing), scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    match format {
        (FlowFormat::Json, _) => json::write_message(message, out),
        (FlowFormat::Protobuf, Framing::Length) => protobuf::write_message_framed(message, scratch, out),
        (FlowFormat::Protobuf, Framing::Bare) => protobuf::write_message(message, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axes::flow_field::named;

    #[test]
    fn lists_are_text_and_topics_too() {
        let (mut flow, added) = (Flow::default(), Added::NONE);
        let said = |flow: &Flow, name: &str| text(flow, &added, named(name).unwrap(), ",");
        assert_eq!((said(&flow, "as_path"), said(&flow, "src_as")), (String::new(), String::new()));
        flow.lists.as_path.extend([65_001, 65_002, 65_001]);
        flow.lists.mpls_label.extend([0, 17]);
        flow.lists.layers.extend([(0, 14), (1, 20)]);
        flow.lists.mpls_ip.extend([Address::of(&[192, 0, 2, 1]), Address::of(&[192, 0, 2, 2])]);
        assert_eq!([said(&flow, "as_path"), said(&flow, "mpls_label")], ["65001,65002,65001", "0,17"]);
        assert_eq!([said(&flow, "layer_stack"), said(&flow, "mpls_ip")], ["Ethernet,IPv4", "192.0.2.1,192.0.2.2"]);
        let part = |name: &str| Part::Field(named(name).unwrap());
        let template =
            Template { parts: vec![Part::Fixed("t.".to_owned()), part("as_path"), Part::Fixed(".".to_owned()), part("mpls_ttl")] };
        let written = Written { topic: Some(template), ..Written::all() };
        let mut stream = Stream::new(&written, (FlowFormat::Json, Framing::Length));
        stream.name_topic(&flow, &added);
        assert_eq!(stream.topic(), Some("t.65001-65002-65001.none"));
        // One that is too long for a name is cut, and a hash tells it from others.
        flow.lists.as_path.extend(0..100);
        stream.name_topic(&flow, &added);
        let topic = stream.topic().unwrap().to_owned();
        assert!(topic.starts_with("t.65001-65002-65001-0-1-") && topic.len() <= TOPIC_BYTES_MAX, "{topic}");
    }
}
