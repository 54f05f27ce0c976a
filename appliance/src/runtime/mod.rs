//! Places everything on cores: the one module that knows all others.

#[cfg(feature = "dpdk")]
pub mod check;
#[cfg(feature = "dpdk")]
mod check_audit;
#[cfg(all(feature = "dpdk", feature = "kafka"))]
mod check_brokers;
#[cfg(feature = "dpdk")]
mod check_enrich;
#[cfg(feature = "dpdk")]
mod check_exports;
#[cfg(feature = "dpdk")]
mod check_flows;
#[cfg(feature = "dpdk")]
mod check_journal;
#[cfg(feature = "dpdk")]
mod check_links;
#[cfg(feature = "dpdk")]
mod check_memory;
#[cfg(feature = "dpdk")]
mod check_vf;
pub mod configs;
mod doubts;
pub mod exporting;
pub mod fits;
pub mod fixed;
pub mod flow_feed;
pub mod flow_stream;
pub mod flows;
mod flows_out;
pub mod flows_top;
mod frame;
pub mod generations;
mod held;
mod hidden;
#[cfg(feature = "dpdk")]
mod journal;
mod leftover;
mod lots;
pub mod made_of;
pub mod memory;
pub mod plan;
mod burst;
#[cfg(feature = "dpdk")]
pub mod counters;
pub mod findings;
pub mod receiver;
pub mod reload;
pub mod reporting;
mod showing;
pub mod wiring;
pub mod world;

#[cfg(feature = "dpdk")]
pub mod lcores;
#[cfg(feature = "dpdk")]
pub mod monitor;
#[cfg(feature = "dpdk")]
mod orders;
#[cfg(feature = "dpdk")]
pub mod places;
#[cfg(feature = "dpdk")]
mod polling;
#[cfg(feature = "dpdk")]
pub mod reader;
#[cfg(feature = "dpdk")]
pub mod replay;
#[cfg(feature = "dpdk")]
pub mod run;
pub mod shipping;
mod saver;
pub mod strained;

pub use world::World;

use crate::admin::AdminError;
use crate::config::Refusal;
use crate::sink::SinkError;

/// Why the appliance could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// DPDK.
    #[cfg(feature = "dpdk")]
    #[error("{0}")]
    Dpdk(#[from] crate::dpdk::DpdkError),
    /// Ports that could not be started.
    #[cfg(feature = "dpdk")]
    #[error("{}", lines(.0))]
    Ports(Vec<crate::dpdk::DpdkError>),
    /// The core map does not fit this machine.
    #[error("{0}")]
    Cores(crate::config::Faults),
    /// The token of reloads cannot be read.
    #[error("{0}")]
    Token(crate::config::Faults),
    /// Addresses of `[flows]` that cannot be listened at.
    #[error("{0}")]
    Flows(crate::config::Faults),
    /// Addresses of `[[exports]]` that cannot be sent to.
    #[error("{0}")]
    Exports(crate::config::Faults),
    /// The budget does not hold what must always be there.
    #[error("{0}")]
    Memory(crate::config::Faults),
    /// A row of the configuration.
    #[error("a stat cannot be compiled: {}: {}", .0.key, .0.message)]
    Stat(Refusal),
    /// The journal.
    #[error("{0}")]
    Journal(#[from] crate::journal::OpenError),
    /// A sink.
    #[error("{0}")]
    Sink(#[from] SinkError),
    /// The admin's port.
    #[error("{0}")]
    Admin(#[from] AdminError),
    /// Signals.
    #[error("signals cannot be caught: {0}")]
    Signals(std::io::Error),
    /// The kernel's random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// Sinks that did not take everything at the end.
    #[error("{reports} reports were not delivered within {seconds} s of the end and are lost: is the broker, or the disk, there?")]
    Undelivered {
        /// Over all sinks.
        reports: u64,
        /// How long was waited.
        seconds: u64,
    },
    /// A thread of ours.
    #[error("a thread stopped early: please report this")]
    Reporter,
}

impl RunError {
    /// Whether the configuration is to blame, rather than what happened.
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::Cores(_) | Self::Token(_) | Self::Memory(_) | Self::Stat(_) | Self::Flows(_) | Self::Exports(_))
    }
}

#[cfg(feature = "dpdk")]
fn lines(errors: &[crate::dpdk::DpdkError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
