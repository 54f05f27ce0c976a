//! librdkafka's settings, from ours.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;

use super::client::Context;
use crate::config::{KafkaSink as Config, Sasl, Tls};

/// librdkafka's names of what the configuration has a key for.
const KEYS: [(&str, &str); 7] = [
    ("compression.type", "compression"),
    ("ssl.ca.location", "ca_file"),
    ("ssl.certificate.location", "cert_file"),
    ("ssl.key.location", "key_file"),
    ("ssl.key.password", "key_password_file"),
    ("sasl.mechanisms", "sasl"),
    ("security.protocol", "tls"),
];

/// Bytes of a batch at first. Brokers take 1,048,588 unless told otherwise.
pub(super) const BATCH_BYTES_MAX: usize = 1_000_000;
/// The longest message that is tried: a broker's own bound on a request is 100 MiB unless told otherwise.
const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// A producer that loses and doubles nothing as long as it lives. A topic that is not there after `topic_made_ms_max` is not being made.
pub(super) fn producer(
    config: &Config,
    (queue_messages_max, topic_made_ms_max): (usize, u32),
    batch_bytes: usize,
) -> Result<BaseProducer<Context>, String> {
    let made = base(config)?
        .set("compression.type", &config.compression)
        .set("enable.idempotence", "true")
        // What follows a message that was refused never overtakes it: such an error ends the producer, and a new one goes on.
        .set("enable.gapless.guarantee", "true")
        // Brokers take any number as the first of a producer on a partition: of two batches under way the second could be written though
        // the first was refused, before that error has ended the producer.
        .set("max.in.flight.requests.per.connection", "1")
        .set("batch.size", batch_bytes.to_string())
        .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string())
        .set("acks", "all")
        // A message waits for its broker as long as it takes; the journal bounds what waits behind it.
        .set("message.timeout.ms", "0")
        .set("queue.buffering.max.messages", queue_messages_max.to_string())
        .set("queue.buffering.max.kbytes", "65536")
        .set("statistics.interval.ms", "1000")
        .set("topic.metadata.propagation.max.ms", topic_made_ms_max.to_string())
        .set("reconnect.backoff.max.ms", "2000")
        // The partition that a Java client would choose for this key.
        .set("partitioner", "murmur2_random")
        .create_with_context(Context::default());
    made.map_err(|fault| explain(&fault))
}

/// What every client of ours sets. Secrets are read anew each time: one that was exchanged counts from the next client on.
pub(super) fn base(config: &Config) -> Result<ClientConfig, String> {
    let mut base = ClientConfig::new();
    base.set("bootstrap.servers", &config.brokers).set("client.id", "tailwater").set("socket.keepalive.enable", "true");
    // `localhost` may name an address that the broker does not listen at; a refusal of one must not hide the other.
    base.set("broker.address.family", "any").set("log.connection.close", "false");
    base.set_log_level(RDKafkaLogLevel::Info);
    let (tls, sasl) = (config.trust.tls.as_ref(), config.trust.sasl.as_ref());
    let protocol = match (tls.is_some(), sasl.is_some()) {
        (false, false) => return Ok(base),
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    base.set("security.protocol", protocol);
    tls.map_or(Ok(()), |tls| set_tls(&mut base, tls))?;
    sasl.map_or(Ok(()), |sasl| set_sasl(&mut base, sasl))?;
    Ok(base)
}

fn set_tls(base: &mut ClientConfig, tls: &Tls) -> Result<(), String> {
    // The name in the certificate must be the broker's.
    base.set("enable.ssl.certificate.verification", "true").set("ssl.endpoint.identification.algorithm", "https");
    if let Some(file) = &tls.ca_file {
        base.set("ssl.ca.location", file.display().to_string());
    }
    let Some(own) = &tls.own else { return Ok(()) };
    base.set("ssl.certificate.location", own.cert_file.display().to_string());
    base.set("ssl.key.location", own.key_file.display().to_string());
    if let Some(place) = &own.key_password {
        base.set("ssl.key.password", place.read().map_err(|fault| format!("key_password_file: {fault}"))?.expose());
    }
    Ok(())
}

fn set_sasl(base: &mut ClientConfig, sasl: &Sasl) -> Result<(), String> {
    base.set("sasl.mechanisms", sasl.mechanism).set("sasl.username", &sasl.username);
    let key = if sasl.password.file().is_some() { "password_file" } else { "password_env" };
    base.set("sasl.password", sasl.password.read().map_err(|fault| format!("{key}: {fault}"))?.expose());
    Ok(())
}

/// librdkafka's refusal of a setting, with the key that is ours. Values are told of what is listed above alone: none of
/// them is a secret but that of `ssl.key.password`, which librdkafka does not give back.
pub(super) fn explain(fault: &KafkaError) -> String {
    let own = |key: &str| KEYS.iter().find(|(theirs, _)| *theirs == key).map(|(_, ours)| *ours);
    match fault {
        KafkaError::ClientConfig(_, text, key, value) if key == "compression.type" => {
            format!("compression = \"{value}\": {text}; write `none`, `gzip`, `snappy`, `lz4` or `zstd`")
        }
        KafkaError::ClientConfig(_, text, key, _) => match own(key) {
            Some(ours) => format!("{ours}: {text}"),
            None => format!("{key}: {text}"),
        },
        KafkaError::ClientCreation(text) => {
            let hint = if text.contains("ssl.key.location") && text.contains("PEM lib") {
                "; if the key is encrypted, key_password_file must hold its password"
            } else {
                ""
            };
            KEYS.iter().fold(text.clone(), |text, (theirs, ours)| text.replace(theirs, ours)) + hint
        }
        other => other.to_string(),
    }
}
