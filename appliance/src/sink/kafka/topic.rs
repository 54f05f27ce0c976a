//! Names of topics.

use sha2::{Digest, Sha256};

use crate::config::kafka::{CUSTOMER, TOPIC_BYTES_MAX, is_topic, is_topic_char};
use crate::journal::{Kind, Message};

/// Characters of a customer that are kept where its name is no legal part of a topic.
const KEPT_CHARS_MAX: usize = 64;

/// The configured topics.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    ranges: String,
    appliance: String,
    links: String,
}

impl Topics {
    /// Checks the names, the customer's part aside.
    pub(super) fn new(ranges: &str, appliance: &str, links: &str) -> Result<Self, String> {
        for (key, topic, template) in [("ranges_topic", ranges, true), ("appliance_topic", appliance, false), ("links_topic", links, false)]
        {
            if !is_topic(topic, template) {
                let rule = "letters, digits, `.`, `_` and `-`, at most 249 of them";
                let hint = if template { ", and `{customer}` where the customer shall stand" } else { "" };
                return Err(format!("`{key}` is no name of a topic; write {rule}{hint}"));
            }
        }
        Ok(Self { ranges: ranges.to_owned(), appliance: appliance.to_owned(), links: links.to_owned() })
    }

    /// The topics whose names are known before the first message.
    pub(super) fn fixed(&self) -> Vec<&str> {
        [&self.ranges, &self.appliance, &self.links].into_iter().filter(|topic| !topic.contains(CUSTOMER)).map(String::as_str).collect()
    }

    /// Where this message goes.
    pub(super) fn of(&self, message: &Message) -> String {
        match message.kind {
            Kind::Appliance => self.appliance.clone(),
            Kind::Links => self.links.clone(),
            Kind::Ranges if self.ranges.contains(CUSTOMER) => {
                let room = TOPIC_BYTES_MAX.saturating_sub(self.ranges.len() - CUSTOMER.len());
                self.ranges.replace(CUSTOMER, &part_of_topic(&message.customer, room))
            }
            Kind::Ranges => self.ranges.clone(),
        }
    }
}

/// A customer's name as part of a topic. A name that Kafka does not allow is spelled with `_`, and gets a hash of the name
/// behind it: two customers never share a topic by accident of spelling.
fn part_of_topic(customer: &str, room: usize) -> String {
    if !customer.is_empty() && customer.len() <= room && customer.chars().all(is_topic_char) {
        return customer.to_owned();
    }
    let kept: String = customer.chars().take(KEPT_CHARS_MAX).map(|c| if is_topic_char(c) { c } else { '_' }).collect();
    let hash: String = Sha256::digest(customer.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{kept}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(customer: &str, template: &str) -> String {
        let message = Message {
            kind: Kind::Ranges,
            is_fast: false,
            key: String::new(),
            customer: customer.into(),
            payload: Box::default(),
            window: crate::journal::WindowOf::default(),
        };
        Topics::new(template, "a", "l").unwrap().of(&message)
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
        assert!(Topics::new("ranges topic", "a", "l").unwrap_err().starts_with("`ranges_topic` is no name of a topic"));
        assert!(Topics::new("r.{customer}", "", "l").unwrap_err().starts_with("`appliance_topic`"));
        assert_eq!(Topics::new("r.{customer}", "a", "l").unwrap().fixed(), ["a", "l"]);
    }
}
