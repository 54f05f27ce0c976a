//! Names of topics.

use std::borrow::Cow;

use crate::config::KafkaSink as Config;
use crate::config::kafka::{CUSTOMER, TOPIC_BYTES_MAX, is_topic, part_of_topic};
use crate::journal::{Kind, Message};

/// The configured topics of reports, by [`Kind::ALL`]; lots say themselves where they go.
#[derive(Clone, Debug)]
pub(super) struct Topics([String; Kind::REPORTS]);

impl Topics {
    /// Checks the names, the customer's part aside.
    pub(super) fn new(config: &Config) -> Result<Self, String> {
        let topics = config.topics();
        for (at, (key, topic)) in topics.into_iter().enumerate() {
            let template = at == Kind::Ranges as usize;
            if !is_topic(topic, template) {
                let rule = "letters, digits, `.`, `_` and `-`, at most 249 of them";
                let hint = if template { ", and `{customer}` where the customer shall stand" } else { "" };
                return Err(format!("`{key}` is no name of a topic; write {rule}{hint}"));
            }
        }
        Ok(Self(topics.map(|(_, topic)| topic.to_owned())))
    }

    /// The topics whose names are known before the first message.
    pub(super) fn fixed(&self) -> Vec<&str> {
        self.0.iter().filter(|topic| !topic.contains(CUSTOMER)).map(String::as_str).collect()
    }

    /// Of these the ones that each window's reports go to.
    pub(super) fn of_windows(&self) -> impl Iterator<Item = &str> {
        [Kind::Ranges, Kind::Appliance].into_iter().map(|kind| &self.0[kind as usize][..]).filter(|topic| !topic.contains(CUSTOMER))
    }

    /// Where this message goes.
    pub(super) fn of<'a>(&'a self, message: &'a Message) -> Cow<'a, str> {
        let Some(topic) = self.0.get(message.kind as usize) else { return Cow::Borrowed(&message.key) };
        if message.kind == Kind::Ranges { of_customer(topic, &message.customer) } else { Cow::Borrowed(topic) }
    }
}

/// A topic, or what a template of topics makes of a customer's name.
pub fn of_customer<'a>(topic: &'a str, customer: &str) -> Cow<'a, str> {
    if !topic.contains(CUSTOMER) {
        return Cow::Borrowed(topic);
    }
    let room = TOPIC_BYTES_MAX.saturating_sub(topic.len() - CUSTOMER.len());
    Cow::Owned(topic.replace(CUSTOMER, &part_of_topic(customer, room)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(ranges: &str, appliance: &str) -> Result<Topics, String> {
        let (ranges_topic, appliance_topic) = (ranges.to_owned(), appliance.to_owned());
        Topics::new(&Config { ranges_topic, appliance_topic, links_topic: "l".to_owned(), ..Config::to("b:1") })
    }

    fn of(customer: &str, template: &str) -> String {
        let message = Message {
            kind: Kind::Ranges,
            is_fast: false,
            key: String::new(),
            customer: customer.into(),
            payload: Box::default(),
            window: crate::journal::WindowOf::default(),
        };
        topics(template, "a").unwrap().of(&message).into_owned()
    }

    #[test]
    fn a_customer_has_a_topic_of_its_own() {
        assert_eq!(of("acme_1", "tailwater.v1.ranges.{customer}"), "tailwater.v1.ranges.acme_1");
        assert_eq!(of("acme_1", "tailwater.v1.ranges"), "tailwater.v1.ranges");
        let (slash, under, none) = (of("acme/1", "r.{customer}"), of("acme_1", "r.{customer}"), of("", "r.{customer}"));
        assert!(slash.starts_with("r.acme_1-") && slash != under, "{slash}");
        assert!(none.starts_with("r.-"), "{none}");
        assert!(of(&"ä".repeat(400), "tailwater.v1.ranges.{customer}").len() <= TOPIC_BYTES_MAX);
        assert!(of(&"a".repeat(240), "tailwater.v1.ranges.{customer}").len() <= TOPIC_BYTES_MAX);
    }

    #[test]
    fn names_are_checked() {
        assert!(topics("ranges topic", "a").unwrap_err().starts_with("`ranges_topic` is no name of a topic"));
        assert!(topics("r.{customer}", "").unwrap_err().starts_with("`appliance_topic`"));
        assert_eq!(topics("r.{customer}", "a").unwrap().of_windows().collect::<Vec<_>>(), ["a"]);
        assert_eq!(topics("r", "a").unwrap().of_windows().collect::<Vec<_>>(), ["r", "a"]);
        assert_eq!(topics("r.{customer}", "a").unwrap().fixed(), ["a", "l", "tailwater.v1.events", "tailwater.v1.configs"]);
    }

    #[test]
    fn each_kind_has_its_topic() {
        let message = |kind| Message { kind, ..Message::appliance(&crate::report::pb::ApplianceReport::default()) };
        let topics = Topics::new(&Config::to("b:1")).unwrap();
        let names = Kind::ALL.map(|kind| topics.of(&message(kind)).into_owned());
        assert_eq!(names[..5], ["ranges", "appliance", "links", "events", "configs"].map(|name| format!("tailwater.v1.{name}")));
        let lots = [Kind::Flows, Kind::Logs].map(|kind| message(kind).key);
        assert_eq!(names[5..], lots, "a lot names its topic");
    }
}
