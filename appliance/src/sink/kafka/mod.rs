//! Reports to Kafka, through librdkafka.
//!
//! - [`settings`]: librdkafka's settings, from ours.
//! - [`client`]: what librdkafka tells us (logs, errors, statistics, delivery reports).
//! - [`topic`]: which topic a message goes to.
//! - [`produce`]: the sink's thread. [`flight`]: what it has on its way; [`lots`]: flows, many to a message of the journal; [`split`]: a
//!   report as several, [`sizes`], [`cutting`]: when; [`wholes`]: how large what cannot be cut may be; [`anew`]: another producer;
//!   [`trouble`]: what mends what; [`refusals`], [`aside`]: flows whose topic no broker takes.
//! - [`embedded`]: librdkafka's in-process cluster, for `brokers = "mock"`.
//! - [`warm`]: what is done before the first report.
//! - [`probe`]: is a broker there? For `check`.

mod anew;
mod aside;
mod client;
mod consume;
mod cutting;
mod embedded;
mod flight;
mod lots;
mod part;
mod probe;
mod produce;
mod refusals;
mod settings;
mod sizes;
mod split;
mod topic;
mod trouble;
mod warm;
mod wholes;

pub use crate::config::kafka::MOCK;
pub use consume::consume;
pub use embedded::{Embedded, embed};
pub(super) use part::Part;
pub use probe::{Cluster, ProbeError, Topic, allow, hidden, probe};
pub(super) use produce::KafkaSink;
pub use topic::of_customer;

#[cfg(test)]
mod tests;
