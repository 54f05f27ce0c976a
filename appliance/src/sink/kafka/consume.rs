//! What others write to a topic, read from its end on.

use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::settings::{base, explain};
use crate::config::KafkaSink as Config;

const WAIT: Duration = Duration::from_millis(500);

/// Gives each message's text to `each`, and now and then none, until that says false. A broker that is away is waited for.
///
/// # Errors
/// librdkafka refuses a setting.
pub fn consume(config: &Config, group: &str, topic: &str, mut each: impl FnMut(Option<&str>) -> bool) -> Result<(), String> {
    let made = base(config)?
        .set("group.id", group)
        .set("auto.offset.reset", "latest")
        // What is read again is counted once all the same: rows have a time.
        .set("enable.auto.commit", "true")
        // A row waits for the end of a window at most.
        .set("max.poll.interval.ms", "7200000")
        .set("allow.auto.create.topics", "false")
        .create::<BaseConsumer>();
    let consumer = made.map_err(|fault| explain(&fault))?;
    consumer.subscribe(&[topic]).map_err(|fault| fault.to_string())?;
    let mut told = String::new();
    loop {
        let goes_on = match consumer.poll(WAIT) {
            // Whether somebody listens is asked by saying nothing.
            None => each(None),
            Some(Ok(message)) => {
                told.clear();
                each(Some(&String::from_utf8_lossy(message.payload().unwrap_or_default())))
            }
            Some(Err(fault)) => {
                let fault = fault.to_string();
                if fault != told {
                    tracing::warn!(topic, "audit: {fault}; it is tried again");
                    told = fault;
                }
                each(None)
            }
        };
        if !goes_on {
            return Ok(());
        }
    }
}
