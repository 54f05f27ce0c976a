//! Tailwater: traffic analytics behind a DDoS scrubber.
//!
//! The rooms of the house, in the order in which a packet meets them. A room uses what stands before it, never after.

pub mod units;
pub mod limits;
pub mod arch;
pub mod record;
pub mod axes;
pub mod config;
pub mod telemetry;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod rx;
pub mod parse;
pub mod classify;
pub mod gather;
pub mod spread;
pub mod stats;
pub mod window;
pub mod report;
pub mod journal;
pub mod sink;
pub mod admin;
pub mod generate;
pub mod runtime;
