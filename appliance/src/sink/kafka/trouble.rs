//! What a code of Kafka's means for the sink, and what mends it.

use rdkafka::types::RDKafkaErrorCode as Code;

use crate::config::KafkaSink as Config;
use crate::config::kafka::CUSTOMER;

/// What to do about a broker that is away.
const AWAY: &str = "start the broker, open the way to it, or correct [sinks.kafka] brokers; a listener that closes the connection without a \
                    word may want tls or sasl";

/// What an operator can do about it, by what librdkafka said of it, where that says more than its code.
pub(super) fn remedy_of(code: Code, said: &str, config: &Config) -> String {
    if said.contains("PLAINTEXT broker listener") {
        return "take tls out (this listener has none), or name the brokers' listener with TLS in [sinks.kafka] brokers".to_owned();
    }
    // What the same listener does where its end is seen before its answer.
    if said.contains("SSL connection closed by peer") {
        return "take tls out if this listener has none; else the broker's log says why it closed the connection".to_owned();
    }
    match said.split_once("supported mechanisms:").map(|(_, mechanisms)| mechanisms.trim()) {
        Some("") => "take sasl, username and the password out (this listener asks for none), or name the brokers' listener with SASL in \
                     [sinks.kafka] brokers"
            .to_owned(),
        Some(mechanisms) => format!("write for [sinks.kafka] sasl one that the brokers have: {mechanisms}; or let them have this one"),
        None => remedy(code, config),
    }
}

/// What an operator can do about it.
pub(super) fn remedy(code: Code, config: &Config) -> String {
    let (trust, topics) = (&config.trust, config.topics().map(|(_, topic)| topic));
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism | Code::IllegalSASLState => {
            let (user, mechanism) = trust.sasl.as_ref().map_or(("", "none"), |sasl| (&sasl.username, sasl.mechanism));
            format!(
                "correct [sinks.kafka] username = \"{user}\" and its password (a new one in password_file is taken up by itself), \
                 or give the brokers this user for {mechanism}"
            )
        }
        Code::SSL => "correct [sinks.kafka] ca_file, cert_file and key_file (new ones are taken up by themselves), or the broker's \
                      certificate; write tls = true for a listener that speaks TLS alone"
            .to_owned(),
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed | Code::GroupAuthorizationFailed => {
            allow(config, "--producer", topics)
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            format!("create the topics {}, or let the brokers create them (auto.create.topics.enable)", topics.join(", "))
        }
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend | Code::LeaderNotAvailable => {
            "bring back the brokers that hold the topic's replicas".to_owned()
        }
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            "raise max.message.bytes of the topic and message.max.bytes of the brokers, or lower `k`, `p` and bins of stats".to_owned()
        }
        Code::InvalidRecord | Code::InvalidTimestamp => "compare the clocks of the appliance and the brokers, and look at the topic's \
             message.timestamp.before.max.ms and after.max.ms: it is sent again, with the time of then"
            .to_owned(),
        _ => AWAY.to_owned(),
    }
}

/// The command that lets this user write to topics, or read them.
pub(super) fn allow<'a>(config: &Config, right: &str, topics: impl IntoIterator<Item = &'a str>) -> String {
    let user = config.trust.sasl.as_ref().map_or("SUBJECT", |sasl| &sasl.username);
    let topics: String = topics.into_iter().map(acl).collect();
    format!("allow it: kafka-acls --bootstrap-server … --add --allow-principal User:{user} {right}{topics}")
}

/// What an operator can do about one topic of flows.
pub(super) fn remedy_of_topic(code: Code, topic: &str, config: &Config) -> String {
    match code {
        Code::TopicAuthorizationFailed => allow(config, "--producer", [topic]),
        _ => format!("create it: kafka-topics --bootstrap-server … --create --topic {topic}, or let no stream's `topic` name it"),
    }
}

/// Which topics: of a template all that begin as it does.
fn acl(topic: &str) -> String {
    match topic.split_once(CUSTOMER) {
        Some((before, _)) => format!(" --resource-pattern-type prefixed --topic {before}"),
        None => format!(" --topic {topic}"),
    }
}

/// Whether it will not go away before what the sink was given changes: a secret, a certificate.
pub(super) const fn is_of_trust(code: Code) -> bool {
    matches!(code, Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL)
}

/// What became of the rest once something else had gone wrong.
pub(super) const fn says_little(code: Code) -> bool {
    matches!(code, Code::Fatal | Code::GaplessGuarantee | Code::PurgeQueue | Code::PurgeInflight | Code::AllBrokersDown)
}

/// Whether a batch was too large, or a message alone.
pub(super) const fn is_of_size(code: Code) -> bool {
    matches!(code, Code::MessageSizeTooLarge | Code::MessageBatchTooLarge)
}

/// Whether it is this topic that is refused, and others may go on.
pub(super) const fn is_of_the_topic(code: Code) -> bool {
    matches!(code, Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::TopicAuthorizationFailed)
}

/// True if the message itself is at fault: sending it again would not help.
pub(super) const fn is_of_the_message(code: Code) -> bool {
    matches!(code, Code::InvalidMessage | Code::InvalidMessageSize | Code::InvalidTopic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_without_tls_or_sasl_wants_them_taken_out() {
        let (config, of) = (Config::to("b:1"), |code, said: &str| remedy_of(code, said, &Config::to("b:1")));
        let tls = "b:1/bootstrap: SSL handshake failed: error:0A00010B:SSL routines::wrong version number: connecting to a PLAINTEXT broker listener?";
        assert!(of(Code::SSL, tls).starts_with("take tls out"));
        let closed = "sasl_ssl://b:1/bootstrap: Disconnected: SSL connection closed by peer";
        assert!(of(Code::BrokerTransportFailure, closed).starts_with("take tls out if"));
        let sasl = "SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: ";
        assert!(of(Code::Authentication, sasl).starts_with("take sasl, username"));
        assert!(of(Code::Authentication, &format!("{sasl}SCRAM-SHA-512")).contains("the brokers have: SCRAM-SHA-512"));
        assert_eq!(of(Code::Authentication, "Authentication failed"), remedy(Code::Authentication, &config));
    }

    #[test]
    fn what_is_too_large_wants_room_and_no_broker_started() {
        let config = Config::to("b:1");
        for code in [Code::MessageSizeTooLarge, Code::MessageBatchTooLarge] {
            let remedy = remedy(code, &config);
            assert!(remedy.contains("max.message.bytes") && !remedy.contains("start the broker"), "{remedy}");
        }
        assert!(remedy(Code::BrokerTransportFailure, &config).contains("start the broker"));
    }
}
