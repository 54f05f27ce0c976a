//! Is a broker there? For `check`.

use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, Producer};

use super::client::Context;
use super::settings::{base, explain};
use crate::config::KafkaSink as Config;
use crate::config::kafka::MOCK;

/// A cluster that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// `host:port` of each broker, as the cluster itself says.
    pub brokers: Vec<String>,
    /// Names of its topics.
    pub topics: Vec<String>,
}

/// No broker answered, or none could be asked.
#[derive(Debug, thiserror::Error)]
#[error(
    "[sinks.kafka] brokers = \"{brokers}\": no broker answered within {} s ({reason}); start Kafka there, open the way to it, or name another broker",
    timeout.as_secs_f32()
)]
pub struct ProbeError {
    /// As configured.
    pub brokers: String,
    /// How long it was tried.
    pub timeout: Duration,
    /// What librdkafka says.
    pub reason: String,
}

/// Asks the brokers what cluster they are. The embedded cluster always is.
///
/// # Errors
/// None answers within `timeout`.
pub fn probe(config: &Config, timeout: Duration) -> Result<Cluster, ProbeError> {
    if config.brokers == MOCK {
        return Ok(Cluster { brokers: vec!["embedded".to_owned()], topics: Vec::new() });
    }
    let fail = |reason: String| ProbeError { brokers: config.brokers.clone(), timeout, reason };
    let producer: BaseProducer<Context> =
        base(config).map_err(fail)?.create_with_context(Context::default()).map_err(|fault| fail(explain(&fault)))?;
    let deadline = Instant::now() + timeout;
    let mut reason = None;
    loop {
        // Short calls: what librdkafka says of a connection arrives between them.
        let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(250));
        match producer.client().fetch_metadata(None, left.max(Duration::from_millis(1))) {
            Ok(metadata) => {
                let brokers = metadata.brokers().iter().map(|broker| format!("{}:{}", broker.host(), broker.port())).collect();
                let topics = metadata.topics().iter().map(|topic| topic.name().to_owned()).collect();
                return Ok(Cluster { brokers, topics });
            }
            Err(fault) => {
                producer.poll(Duration::from_millis(10));
                reason = producer.context().take().error.map(|(_, text)| text).or(reason);
                if Instant::now() >= deadline {
                    return Err(fail(reason.unwrap_or_else(|| fault.to_string())));
                }
            }
        }
    }
}
