//! What the appliance itself tells of the frames that it sees: flow records (IPFIX, NetFlow 9), sFlow, packet logs.
//!
//! A [`Tap`] on each receiving core samples frames, each at random with the same chance, and copies what is known of them into a ring
//! ([`tap`]). Whoever reads the rings has one of these for each row of the configuration: a [`cache::Cache`] of flows and a
//! [`netflow::Encoder`]; an [`sflow::Encoder`]; or [`log::write`]. None of them knows a socket, a thread or a clock: samples and times come
//! in, datagrams and lines go out.

pub mod cache;
mod header;
pub mod log;
pub mod names;
pub mod netflow;
pub mod sample;
pub mod sflow;
mod skip;
pub mod tap;
mod template;
#[cfg(test)]
mod tests;

pub use names::{Names, Shelf};
pub use sample::{Outcome, Sample};
pub use tap::{Counts, Tap, Taps};

/// A rate that a datagram can hold.
fn rate(sampling: u32, weight: u16) -> u32 {
    sampling.saturating_mul(u32::from(weight.max(1)))
}

/// An interface by the number of the port that it is: 0 would be none.
fn interface(port: u16) -> u32 {
    u32::from(port) + 1
}
