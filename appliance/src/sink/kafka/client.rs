//! What librdkafka tells us.

use std::sync::{Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::ProducerContext;
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaErrorCode;

use super::flight::Ticket;
use super::trouble::says_little;

/// What became of a part of a message: whose it is, and the error if it was not acknowledged.
pub(super) type Report = (Ticket, Option<RDKafkaErrorCode>);

/// Receives librdkafka's callbacks. They come on the thread that polls.
#[derive(Debug, Default)]
pub(super) struct Context {
    heard: Mutex<Heard>,
}

/// What was heard since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) reports: Vec<Report>,
    /// Brokers that are connected, if statistics came.
    pub(super) brokers_up: Option<usize>,
    /// The last that says something.
    pub(super) error: Option<(RDKafkaErrorCode, String)>,
}

impl Context {
    pub(super) fn take(&self) -> Heard {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hear(&self, what: impl FnOnce(&mut Heard)) {
        what(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        match level {
            // That a setting of ours is young, and what the sink itself tells with its remedy.
            // What comes at every move of a leader, and every start.
            _ if matches!(facility, "CONFWARN" | "FATAL" | "METADATAUPDATE" | "GETPID") => {
                tracing::debug!(target: "librdkafka", facility, "{text}")
            }
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", facility, "{text}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{text}"),
            // An error is a broker that is away: the sink itself tells that, once. librdkafka tells it again and again.
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::debug!(target: "librdkafka", facility, "{text}");
            }
            RDKafkaLogLevel::Debug => tracing::trace!(target: "librdkafka", facility, "{text}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        let up = statistics.brokers.values().filter(|broker| broker.state == "UP").count();
        self.hear(|heard| heard.brokers_up = Some(up));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", "{error}: {reason}");
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        self.hear(|heard| {
            // "1/1 brokers are down" says less than the reason that came before it.
            if !says_little(code) || heard.error.is_none() {
                // Without librdkafka's own bookkeeping: "… failed: Connection refused (after 0ms in state CONNECT)".
                heard.error = Some((code, reason.split(" (after ").next().unwrap_or(reason).to_owned()));
            }
        });
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, word: usize) {
        let error = result.as_ref().err().map(|(fault, message)| {
            let code = fault.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            let text = format!("topic {}, key {}: {code}", message.topic(), String::from_utf8_lossy(message.key().unwrap_or_default()));
            (code, text)
        });
        self.hear(|heard| {
            heard.reports.push((Ticket::of(word), error.as_ref().map(|(code, _)| *code)));
            // What became of the others after a fatal error says less than the reason that came before it.
            if let Some(error) = error.filter(|(code, _)| !says_little(*code)) {
                heard.error = Some(error);
            }
        });
    }
}
