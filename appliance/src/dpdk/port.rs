//! A started port: its queues, its counters, its link.

use std::ffi::CStr;
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys as sys;

use super::burst::Burst;
use super::device::Device;
use super::error::{DpdkError, errno_text};
use super::mempool::Mempool;
use super::ring::Ring;
use super::tag::TagField;

/// What is read of a transceiver's memory, at most: all that is looked at lies before.
const MODULE_BYTES_MAX: u32 = 640;

/// A started port. A clone is a handle on the same, for any thread; the port stops and closes when the last handle, queue
/// and burst of it is gone.
#[derive(Clone, Debug)]
pub struct Port(pub(super) Arc<Opened>);

/// What a port and everything that came from it hold together. Fields drop in order: the device closes before the memory
/// that it fills.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) id: u16,
    pub(super) device: Device,
    /// Held during calls that change or read the device outside the data path.
    pub(super) control: Mutex<()>,
    pub(super) rings: Vec<Ring>,
    pub(super) pools: Vec<Mempool>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: no queue is left that could be polled. `Device` closes what is stopped here; a port that never started
        // stays as it is.
        let done = unsafe { sys::rte_eth_dev_stop(self.id) };
        if done != 0 {
            tracing::error!(device = self.device.name(), "the port cannot be stopped ({}): its memory stays taken", errno_text(done));
            // A device that still runs may write there.
            std::mem::forget((std::mem::take(&mut self.rings), std::mem::take(&mut self.pools)));
        }
    }
}

/// One receive queue. It has one owner, and only the owner can poll it.
#[derive(Debug)]
pub struct RxQueue {
    pub(super) port: Arc<Opened>,
    pub(super) index: u16,
    pub(super) tag: Option<TagField>,
}

impl RxQueue {
    /// Its number on the port.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// The port that it belongs to.
    pub fn port(&self) -> Port {
        Port(Arc::clone(&self.port))
    }

    /// A burst to poll into, empty.
    pub fn burst(&self) -> Burst {
        Burst::new(&self.port, self.tag)
    }

    /// Replaces what `burst` holds by as many new frames as it may hold.
    #[inline]
    pub fn poll(&mut self, burst: &mut Burst) {
        burst.fill(self);
    }
}

/// State of a port's link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Whether frames can arrive.
    pub up: bool,
    /// Where the driver knows it.
    pub mbps: Option<u32>,
}

/// A driver's own counters, since the port started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    /// Frames received.
    pub received: u64,
    /// Frames that the device dropped because no descriptor was free.
    pub missed: u64,
    /// Frames that the device dropped because they were broken.
    pub errors: u64,
    /// How often no mbuf was free. Whether a frame was lost then differs by driver.
    pub no_mbuf: u64,
}

impl Port {
    /// As EAL knows it.
    pub fn name(&self) -> &str {
        self.0.device.name()
    }

    /// As [`Device::driver`].
    pub fn driver(&self) -> &str {
        self.0.device.driver()
    }

    /// The driver's counters; none if the device is gone.
    pub fn counters(&self) -> Option<PortCounters> {
        let _turn = self.0.control.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stats = sys::rte_eth_stats::default();
        // SAFETY: the port is open and `stats` is ours.
        let done = unsafe { sys::rte_eth_stats_get(self.0.id, &raw mut stats) };
        (done == 0).then_some(PortCounters {
            received: stats.ipackets,
            missed: stats.imissed,
            errors: stats.ierrors,
            no_mbuf: stats.rx_nombuf,
        })
    }

    /// Names of the driver's extended counters, in the order of [`Port::extended_into`].
    pub fn extended_names(&self) -> Vec<String> {
        let _turn = self.0.control.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: asks for the number only.
        let count = unsafe { sys::rte_eth_xstats_get_names(self.0.id, std::ptr::null_mut(), 0) };
        let Ok(count) = usize::try_from(count) else {
            return Vec::new();
        };
        let mut names = vec![sys::rte_eth_xstat_name::default(); count];
        // SAFETY: the table has as many rows as we say.
        let got = unsafe { sys::rte_eth_xstats_get_names(self.0.id, names.as_mut_ptr(), u32::try_from(count).unwrap_or(0)) };
        names.truncate(usize::try_from(got).unwrap_or(0));
        names.iter().map(|row| text(&row.name)).collect()
    }

    /// Reads the driver's extended counters: (index into [`Port::extended_names`], value).
    pub fn extended_into(&self, counters: &mut Vec<(usize, u64)>) {
        counters.clear();
        let _turn = self.0.control.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: asks for the number only.
        let count = unsafe { sys::rte_eth_xstats_get(self.0.id, std::ptr::null_mut(), 0) };
        let Ok(count) = usize::try_from(count) else {
            return;
        };
        let mut rows = vec![sys::rte_eth_xstat::default(); count];
        // SAFETY: the table has as many rows as we say.
        let got = unsafe { sys::rte_eth_xstats_get(self.0.id, rows.as_mut_ptr(), u32::try_from(count).unwrap_or(0)) };
        rows.truncate(usize::try_from(got).unwrap_or(0));
        counters.extend(rows.iter().filter_map(|row| Some((usize::try_from(row.id).ok()?, row.value))));
    }

    /// The link as the driver sees it. Drivers of kernel interfaces may call it up for ever.
    pub fn link(&self) -> Link {
        let _turn = self.0.control.lock().unwrap_or_else(PoisonError::into_inner);
        let mut link = sys::rte_eth_link::default();
        // SAFETY: the port is open and `link` is ours.
        let done = unsafe { sys::rte_eth_link_get_nowait(self.0.id, &raw mut link) };
        let speed = (link.link_speed != 0 && link.link_speed != sys::RTE_ETH_SPEED_NUM_UNKNOWN).then_some(link.link_speed);
        Link { up: done == 0 && u32::from(link.link_status()) == sys::RTE_ETH_LINK_UP, mbps: speed }
    }

    /// What kind of transceiver is plugged in (`RTE_ETH_MODULE_SFF_*`), and its memory; none where the driver does not tell. Over a slow
    /// bus: it takes milliseconds.
    pub fn module(&self) -> Option<(u32, Vec<u8>)> {
        let _turn = self.0.control.lock().unwrap_or_else(PoisonError::into_inner);
        let mut module = sys::rte_eth_dev_module_info::default();
        // SAFETY: the port is open and `module` is ours.
        if unsafe { sys::rte_eth_dev_get_module_info(self.0.id, &raw mut module) } != 0 {
            return None;
        }
        let length = module.eeprom_len.min(MODULE_BYTES_MAX);
        let mut memory = vec![0_u8; usize::try_from(length).unwrap_or(0)];
        let mut info = sys::rte_dev_eeprom_info { data: memory.as_mut_ptr().cast(), length, ..Default::default() };
        // SAFETY: the port is open, and `memory` has as many bytes as we say.
        let done = unsafe { sys::rte_eth_dev_get_module_eeprom(self.0.id, &raw mut info) };
        (done == 0).then_some((module.type_, memory))
    }

    /// Whether the device was pulled out or unbound.
    pub fn is_gone(&self) -> bool {
        let _turn = self.0.control.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the port is open.
        super::events::removed(self.0.id) || unsafe { sys::rte_eth_dev_is_removed(self.0.id) } == 1
    }

    /// How often the driver said that the link went or came; never, where it cannot.
    pub fn link_changes(&self) -> u64 {
        super::events::link_changes(self.0.id)
    }

    /// Number of the kernel interface below it, if there is one.
    pub fn interface_index(&self) -> Option<u32> {
        self.0.device.info().ok().and_then(|info| info.interface_index)
    }

    /// What the device is and can.
    ///
    /// # Errors
    /// If the device is gone.
    pub fn info(&self) -> Result<super::DeviceInfo, DpdkError> {
        self.0.device.info()
    }
}

fn text(name: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = name.iter().map(|byte| byte.cast_unsigned()).collect();
    CStr::from_bytes_until_nul(&bytes).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
