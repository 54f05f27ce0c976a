//! The producer's settings, and what librdkafka tells us.

use std::sync::{Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaErrorCode;

use crate::config::KafkaSink as Config;

/// What became of one message: its number, and the error if it was not acknowledged.
pub(super) type Report = (usize, Option<RDKafkaErrorCode>);

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
    pub(super) error: Option<String>,
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
        // "1/1 brokers are down" says less than the reason that came before it.
        let says_little = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        self.hear(|heard| {
            if !says_little || heard.error.is_none() {
                // Without librdkafka's own bookkeeping: "… failed: Connection refused (after 0ms in state CONNECT)".
                heard.error = Some(reason.split(" (after ").next().unwrap_or(reason).to_owned());
            }
        });
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let error = result.as_ref().err().map(|(fault, message)| {
            let code = fault.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            let text = format!("topic {}, key {}: {code}", message.topic(), String::from_utf8_lossy(message.key().unwrap_or_default()));
            (code, text)
        });
        self.hear(|heard| {
            heard.reports.push((number, error.as_ref().map(|(code, _)| *code)));
            if let Some((_, text)) = error {
                heard.error = Some(text);
            }
        });
    }
}

/// A producer that loses and doubles nothing as long as it lives.
pub(super) fn producer(config: &Config, queue_messages_max: usize) -> Result<BaseProducer<Context>, String> {
    let made = base(&config.brokers)
        .set("compression.type", &config.compression)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // A message waits for its broker as long as it takes; the journal bounds what waits behind it.
        .set("message.timeout.ms", "0")
        .set("queue.buffering.max.messages", queue_messages_max.to_string())
        .set("queue.buffering.max.kbytes", "65536")
        .set("statistics.interval.ms", "1000")
        .set("reconnect.backoff.max.ms", "2000")
        // The partition that a Java client would choose for this key.
        .set("partitioner", "murmur2_random")
        .create_with_context(Context::default());
    made.map_err(explain)
}

/// What every client of ours sets.
pub(super) fn base(brokers: &str) -> ClientConfig {
    let mut base = ClientConfig::new();
    base.set("bootstrap.servers", brokers).set("client.id", "tailwater").set("socket.keepalive.enable", "true");
    // `localhost` may name an address that the broker does not listen at; a refusal of one must not hide the other.
    base.set("broker.address.family", "any").set("log.connection.close", "false");
    base.set_log_level(RDKafkaLogLevel::Info);
    base
}

/// librdkafka's refusal of a setting, with the key that is ours.
fn explain(fault: KafkaError) -> String {
    match &fault {
        KafkaError::ClientConfig(_, text, key, value) if key == "compression.type" => {
            format!("compression = \"{value}\": {text}; write `none`, `gzip`, `snappy`, `lz4` or `zstd`")
        }
        KafkaError::ClientConfig(_, text, key, value) => format!("{key} = \"{value}\": {text}"),
        KafkaError::ClientCreation(text) => text.clone(),
        other => other.to_string(),
    }
}
