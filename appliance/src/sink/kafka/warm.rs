//! What a producer would do at its first report, done before: brokers are connected, leaders asked for, and topics made where brokers make
//! them by themselves. The first fast windows are to be acknowledged as soon as all others.

use std::time::Duration;

use rdkafka::producer::Producer as _;

use super::KafkaSink;
use super::part::Part;

/// For so long a broker may be silent before the rest is left to the first report.
const WAIT: Duration = Duration::from_secs(1);

impl KafkaSink {
    /// Asks for the topics that are surely written. Who does not answer or refuses is told when there is something to send.
    pub(super) fn warm_up(&self) {
        if !matches!(self.part, Part::Reports | Part::Fast) {
            return;
        }
        for topic in self.topics.of_windows() {
            if let Err(fault) = self.producer.client().fetch_metadata(Some(topic), WAIT) {
                tracing::debug!(sink = "kafka", topic, "brokers do not tell of the topic yet: {fault}");
                return;
            }
        }
    }
}
