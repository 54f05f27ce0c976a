//! Places everything on cores: the one module that knows all others.

pub mod receiver;
pub mod reporting;
pub mod wiring;
pub mod world;

#[cfg(feature = "dpdk")]
pub mod lcores;
#[cfg(feature = "dpdk")]
pub mod reader;
#[cfg(feature = "dpdk")]
pub mod replay;

pub use world::World;
