//! Is a broker there? For `check`.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::client::Context;
use super::settings::{base, explain};
use super::trouble;
use crate::config::KafkaSink as Config;
use crate::config::kafka::MOCK;

/// A cluster that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// `host:port` of each broker, as the cluster itself says.
    pub brokers: Vec<String>,
    /// Its topics, as far as it shows them to this user.
    pub topics: Vec<Topic>,
}

/// A topic of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many.
    pub partitions: usize,
    /// Of the partition that has the fewest.
    pub replicas: usize,
}

impl Topic {
    fn of(topic: &rdkafka::metadata::MetadataTopic) -> Self {
        let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
        Self { name: topic.name().to_owned(), partitions: topic.partitions().len(), replicas }
    }
}

/// No broker answered, or none could be asked.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// librdkafka cannot work as configured: no broker was asked.
    #[error("[sinks.kafka] brokers = \"{brokers}\": {reason}")]
    Settings {
        /// As configured.
        brokers: String,
        /// What is wrong, with the key.
        reason: String,
    },
    /// None answered, or it turned us away.
    #[error("[sinks.kafka] brokers = \"{brokers}\": no broker answered within {} s ({reason})", timeout.as_secs_f32())]
    Silent {
        /// As configured.
        brokers: String,
        /// How long it was tried.
        timeout: Duration,
        /// What librdkafka says.
        reason: String,
        /// What mends it.
        remedy: String,
    },
}

/// Asks the brokers what cluster they are. The embedded cluster always is.
///
/// # Errors
/// None answers within `timeout`.
pub fn probe(config: &Config, timeout: Duration) -> Result<Cluster, ProbeError> {
    if config.brokers == MOCK {
        return Ok(Cluster { brokers: vec!["embedded".to_owned()], topics: Vec::new() });
    }
    let brokers = || config.brokers.clone();
    let refuse = |reason: String| ProbeError::Settings { brokers: brokers(), reason };
    let producer: BaseProducer<Context> =
        base(config).map_err(refuse)?.create_with_context(Context::default()).map_err(|fault| refuse(explain(&fault)))?;
    let deadline = Instant::now() + timeout;
    let mut reason = None;
    loop {
        // Short calls: what librdkafka says of a connection arrives between them.
        let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(250));
        match producer.client().fetch_metadata(None, left.max(Duration::from_millis(1))) {
            Ok(metadata) => {
                let brokers = metadata.brokers().iter().map(|broker| format!("{}:{}", broker.host(), broker.port())).collect();
                let topics = metadata.topics().iter().map(Topic::of).collect();
                return Ok(Cluster { brokers, topics });
            }
            Err(fault) => {
                producer.poll(Duration::from_millis(10));
                reason = producer.context().take().error.or(reason);
                if Instant::now() >= deadline {
                    let of_call = || (fault.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown), fault.to_string());
                    let (code, reason) = reason.unwrap_or_else(of_call);
                    let remedy = trouble::remedy_of(code, &reason, config);
                    return Err(ProbeError::Silent { brokers: brokers(), timeout, reason, remedy });
                }
            }
        }
    }
}

/// Of topics that brokers do not list, those that this user may not see; they may be there or not. None is made by asking.
pub fn hidden<'a>(config: &Config, topics: &[&'a str], timeout: Duration) -> Vec<&'a str> {
    // A producer's question would have them made.
    let made = base(config).and_then(|mut base| {
        let base = base.set("allow.auto.create.topics", "false");
        base.create::<BaseConsumer>().map_err(|fault| explain(&fault))
    });
    let Ok(client) = made else { return Vec::new() };
    let deadline = Instant::now() + timeout;
    let is_hidden = |topic: &&str| {
        let left = deadline.saturating_duration_since(Instant::now());
        let told = (!left.is_zero()).then(|| client.fetch_metadata(Some(topic), left).ok()).flatten();
        told.is_some_and(|told| {
            told.topics().iter().any(|of| of.error() == Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED))
        })
    };
    topics.iter().copied().filter(|topic| is_hidden(topic)).collect()
}

/// The command that lets this user write to topics of the sink, or read one.
pub fn allow(config: &Config, is_read: bool, topics: &[&str]) -> String {
    let right = if is_read { "--consumer --group '*'" } else { "--producer" };
    trouble::allow(config, right, topics.iter().copied())
}
