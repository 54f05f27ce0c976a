//! How a port is: what it received, what was lost below it, and whether it is still there. Read from a thread off the
//! data path, as often as once a second.

use super::optics::{self, Module};
use crate::dpdk::{self, InterfaceCounters, InterfaceState, KernelSockets, Port};
use crate::telemetry::Optics;

/// A port's counters and link, and what the driver does not tell of them.
#[derive(Debug)]
pub struct PortHealth {
    // Before the port: a socket is free only when its last descriptor closes.
    sockets: Option<KernelSockets>,
    port: Port,
    interface: Option<Interface>,
    names: Vec<String>,
    /// Extended counters of the last reading, by index of `names`.
    before: Vec<u64>,
    rows: Vec<(usize, u64)>,
    /// Reported losses never fall, whatever a driver does.
    missed: u64,
    /// Of the interface's carrier, at the last reading.
    changes: u64,
    /// Frames that were given back before the port was used.
    foreign: u64,
}

/// The kernel interface below a vdev.
#[derive(Debug)]
struct Interface {
    index: u32,
    name: String,
    at_start: InterfaceCounters,
}

/// One reading; counters are since the port started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthReading {
    /// Frames that the driver says it handed out; what was polled is the truth (memif forgets when its other side goes).
    pub received: u64,
    /// Frames that the NIC, the driver or the kernel dropped. Never falls.
    pub nic_missed: u64,
    /// Frames that the kernel interface below a vdev says it received.
    pub interface_received: Option<u64>,
    /// Frames can arrive.
    pub link_up: bool,
    /// How often the link went or came, of which the kernel or the driver tells; that it moves is what it says.
    pub link_changes: u64,
    /// Speed of the link, where the driver knows it.
    pub link_mbps: Option<u32>,
    /// The device was removed, or its interface is gone.
    pub gone: bool,
    /// The driver's extended counters that moved since the last reading, by how much.
    pub moved: Vec<(String, u64)>,
}

impl PortHealth {
    pub(super) fn new(port: Port, interface_index: Option<u32>, sockets: Option<KernelSockets>, foreign: u64) -> Self {
        let interface = interface_index.and_then(|index| {
            let name = dpdk::interface_name(index)?;
            let at_start = dpdk::interface_counters(&name).unwrap_or_default();
            Some(Interface { index, name, at_start })
        });
        let changes = interface.as_ref().and_then(|below| dpdk::interface_carrier_changes(below.index)).unwrap_or(0);
        let names = port.extended_names();
        let before = vec![0; names.len()];
        Self { port, interface, sockets, names, before, rows: Vec::new(), missed: 0, changes, foreign }
    }

    /// Name of the driver.
    pub fn driver(&self) -> &str {
        self.port.driver()
    }

    /// What its transceiver says of itself, where there is one and the driver reads it.
    pub fn optics(&self) -> Option<Optics> {
        let (number, memory) = self.port.module()?;
        optics::decode(Module::of(number)?, &memory)
    }

    pub(super) fn interface_state(&self) -> Option<InterfaceState> {
        dpdk::interface_state(&self.interface.as_ref()?.name)
    }

    /// False where the kernel's losses should be known and are not.
    pub(super) fn sees_kernel_losses(&self) -> bool {
        self.sockets.as_ref().is_none_or(|sockets| sockets.count() > 0)
    }

    /// Reads everything.
    pub fn read(&mut self) -> HealthReading {
        let counters = self.port.counters();
        // A name may pass to another interface; a number never does.
        let interface = self.interface.as_ref().filter(|below| dpdk::interface_name(below.index).as_deref() == Some(&below.name));
        let interface_gone = self.interface.is_some() && interface.is_none();
        let below = interface.and_then(|below| Some((dpdk::interface_counters(&below.name)?, below.at_start)));
        let running = interface.is_none_or(|below| dpdk::interface_state(&below.name).is_some_and(|state| state.running));
        let changes = interface.and_then(|below| dpdk::interface_carrier_changes(below.index)).unwrap_or(self.changes);
        let link = self.port.link();
        let gone = interface_gone || counters.is_none() || self.port.is_gone();
        let missed = self.lost(&counters.unwrap_or_default(), below);
        (self.missed, self.changes) = (self.missed.max(missed), changes);
        HealthReading {
            received: counters.map_or(0, |counters| counters.received.saturating_sub(self.foreign)),
            nic_missed: self.missed,
            // What a tap hands us its interface has sent.
            interface_received: below
                .filter(|_| self.port.driver() != "net_tap")
                .map(|(now, start)| now.received.saturating_sub(start.received)),
            link_up: !gone && running && link.up,
            link_changes: changes + self.port.link_changes(),
            link_mbps: link.mbps,
            gone,
            moved: self.moved(),
        }
    }

    /// Frames lost below us, by what each driver's counters mean.
    fn lost(&mut self, counters: &dpdk::PortCounters, below: Option<(InterfaceCounters, InterfaceCounters)>) -> u64 {
        let kernel = self.sockets.as_mut().map_or(0, KernelSockets::dropped);
        let own = match self.port.driver() {
            // They take a frame from their source before they look for an mbuf.
            "net_pcap" | "net_tap" => counters.no_mbuf,
            // The others leave it where it is: what then overflows is `missed`.
            _ => 0,
        };
        // What the kernel could not queue to a tap.
        let unsent = match (self.port.driver(), below) {
            ("net_tap", Some((now, start))) => now.send_dropped.saturating_sub(start.send_dropped),
            _ => 0,
        };
        counters.missed + counters.errors + kernel + own + unsent
    }

    fn moved(&mut self) -> Vec<(String, u64)> {
        self.port.extended_into(&mut self.rows);
        let mut moved = Vec::new();
        for &(index, value) in &self.rows {
            let Some((name, before)) = self.names.get(index).zip(self.before.get_mut(index)) else { continue };
            if value > *before {
                moved.push((name.clone(), value - *before));
            }
            *before = value;
        }
        moved
    }
}
