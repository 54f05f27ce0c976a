//! Reports to Kafka, through librdkafka.
//!
//! - [`client`]: the producer's settings, and what librdkafka tells us (logs, errors, statistics, delivery reports).
//! - [`topic`]: which topic a message goes to.
//! - [`produce`]: the sink's thread.
//! - [`embedded`]: librdkafka's in-process cluster, for `brokers = "mock"`.
//! - [`probe`]: is a broker there? For `check`.

mod client;
mod embedded;
mod probe;
mod produce;
mod topic;

pub use embedded::{Embedded, MOCK, embed};
pub use probe::{Cluster, ProbeError, probe};
pub(super) use produce::KafkaSink;

#[cfg(test)]
mod tests;
