//! Tailwater: traffic analytics behind a DDoS scrubber.
//!
//! The rooms of the house, in the order in which a packet meets them. A room uses what stands before it, never after.

pub mod units;
pub mod limits;
pub mod record;
pub mod axes;
pub mod config;
pub mod rx;
pub mod parse;
pub mod report;
pub mod generate;
