//! The only code that knows DPDK: EAL, lcores, pools, ports, rings and bursts as types that cannot be used wrongly.
//!
//! Everything here holds what it stands on: a [`Burst`] its port, a port its pools, a pool its [`Eal`]. So memory goes
//! back before its pool, a port closes before its rings, and EAL is cleaned up last, whatever order safe code drops
//! things in. A queue has one owner, so it is polled by one thread at a time; a feeder likewise.
//!
//! | file | knows |
//! |---|---|
//! | `eal` | the process-wide start and end; `arguments`, `memory`, `prefix`, `log` are its parts |
//! | `lcore` | closures on EAL's threads |
//! | `mempool`, `port`, `burst` | what a poll needs |
//! | `parcel` | what a poll gave, on its way to another core |
//! | `ring` | a port that is fed from this process |
//! | `tag` | what a fed frame carries beside its bytes |
//! | `tables` | DPDK's own prefix tables, which a bench compares with ours |
//! | `events`, `packet_socket`, `netdev`, `carrier` | what counters do not tell: removal, a link that went and came, the kernel's losses, the interface's state |
#![allow(unsafe_code, reason = "this room is the border to C")]

mod arguments;
mod burst;
mod carrier;
mod device;
mod eal;
mod error;
mod events;
mod lcore;
mod log;
mod memory;
mod mempool;
mod netdev;
mod outside;
mod packet_socket;
mod parcel;
mod port;
mod prefix;
mod ring;
mod setup;
pub mod tables;
mod tag;

pub use arguments::{EalConfig, FilePrefix, Hugepages, LcorePin};
pub use burst::{Burst, RawFrame};
pub use carrier::interface_carrier_changes;
pub use device::{Device, DeviceInfo};
pub use eal::Eal;
pub use error::DpdkError;
pub use lcore::{LcoreHandle, launch};
pub use memory::is_mounted;
pub use mempool::{Mempool, PoolSpec, SEGMENT_BYTES};
pub use netdev::{InterfaceCounters, InterfaceState, interface_counters, interface_index, interface_name, interface_state};
pub use packet_socket::KernelSockets;
pub use parcel::Parcel;
pub use port::{Link, Port, PortCounters, RxQueue};
pub use ring::{Feeder, Full, RingSetup, empty_queues, ring_port};
pub use setup::{PortReport, PortSetup, start};
pub use tag::FrameTag;

#[cfg(test)]
mod tests {
    use super::*;

    fn goes_to_another_thread<T: Send>() {}
    fn is_shared<T: Sync>() {}

    /// What may cross threads does; a queue, a burst and a feeder are moved, never shared by accident of a clone.
    #[test]
    fn what_may_cross_threads_does() {
        goes_to_another_thread::<RxQueue>();
        goes_to_another_thread::<Burst>();
        goes_to_another_thread::<Parcel>();
        goes_to_another_thread::<Feeder>();
        goes_to_another_thread::<KernelSockets>();
        is_shared::<Port>();
        is_shared::<Mempool>();
        is_shared::<Eal>();
    }
}
