//! A device that was found, or made, and is not started.

use std::ffi::{CStr, CString, c_char};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use dpdk_sys as sys;

use super::eal::Eal;
use super::error::DpdkError;

const PORTS: usize = sys::RTE_MAX_ETHPORTS as usize;
/// Ports that a [`Device`] holds: a second one would be a second owner of the same queues.
static HELD: [AtomicBool; PORTS] = [const { AtomicBool::new(false) }; PORTS];

/// EAL adds and removes devices in several steps that must not meet.
pub(super) static PLUGGING: Mutex<()> = Mutex::new(());

/// A device, held alone and not started; it closes when dropped, and one that was made here is removed.
#[derive(Debug)]
pub struct Device {
    pub(super) id: u16,
    name: String,
    driver: String,
    /// Made by us: a vdev.
    made: Option<*mut sys::rte_device>,
    /// EAL ends after the device.
    _eal: Eal,
}

// SAFETY: `made` is only used to remove the device, once, at the end; DPDK's control calls may come from any thread.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

/// What a device is and can.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// `net_i40e`, `net_af_packet`, …
    pub driver: String,
    /// Queues that it can have.
    pub rx_queues_max: u16,
    /// NUMA node; none where it has none.
    pub numa_node: Option<i32>,
    /// Number of the kernel interface below it.
    pub interface_index: Option<u32>,
    /// Largest MTU.
    pub mtu_max: u16,
    /// Longest frame, with its FCS.
    pub frame_bytes_max: u32,
    /// Kinds of traffic that RSS can spread (`RTE_ETH_RSS_*`).
    pub rss: u64,
    /// `RTE_ETH_RX_OFFLOAD_*`
    pub rx_offloads: u64,
}

impl Device {
    /// Makes a vdev from `name,key=value,…`, such as `net_pcap0,rx_pcap=mix.pcap`.
    ///
    /// # Errors
    /// If the driver refuses it: DPDK's own words are in the error.
    pub fn make(eal: &Eal, words: &str) -> Result<Self, DpdkError> {
        let name = words.split(',').next().unwrap_or_default();
        let text = CString::new(words).map_err(|_| DpdkError::bad("a device's name holds a zero byte", "remove it"))?;
        super::log::hush();
        let turn = PLUGGING.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: EAL runs; the words are a C string that DPDK copies.
        let done = unsafe { sys::rte_dev_probe(text.as_ptr()) };
        drop(turn);
        let remedy = "check the driver's name and arguments, and that the file or interface exists";
        match done {
            0 => Self::hold(eal, name, true).inspect_err(|_| forget(name)),
            already if already == -libc::EEXIST => {
                Err(DpdkError::bad(format!("device {name} stands twice"), "give each vdev its own number"))
            }
            errno => Err(DpdkError::failed(words, "make the vdev", errno, remedy)),
        }
    }

    /// Finds a device that EAL was allowed to open, by its PCI address.
    ///
    /// # Errors
    /// If EAL did not open it, or another [`Device`] holds it.
    pub fn find(eal: &Eal, name: &str) -> Result<Self, DpdkError> {
        Self::hold(eal, name, false)
    }

    pub(super) fn hold(eal: &Eal, name: &str, made: bool) -> Result<Self, DpdkError> {
        let text = CString::new(name).map_err(|_| DpdkError::bad("a device's name holds a zero byte", "remove it"))?;
        let mut id = 0u16;
        // SAFETY: EAL runs; the name is a C string, `id` is ours.
        let done = unsafe { sys::rte_eth_dev_get_port_by_name(text.as_ptr(), &raw mut id) };
        if done != 0 {
            let remedy = "is it in the machine (lspci) and bound to vfio-pci (dpdk-devbind.py -s)?";
            return Err(DpdkError::failed(name, "find the port", done, remedy));
        }
        let held = HELD.get(usize::from(id)).is_none_or(|held| held.swap(true, Ordering::SeqCst));
        if held {
            return Err(DpdkError::bad(format!("device {name} is in use"), "name each device once"));
        }
        let mut device = Self { id, name: name.to_owned(), driver: String::new(), made: None, _eal: eal.clone() };
        let info = device.raw_info()?;
        device.driver = driver_of(&info);
        device.made = made.then_some(info.device);
        super::events::watch(id);
        Ok(device)
    }

    /// As EAL knows it: a PCI address, or a vdev's name without its arguments.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name of the driver, such as `net_af_packet`.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// What it is and can.
    ///
    /// # Errors
    /// If it is gone.
    pub fn info(&self) -> Result<DeviceInfo, DpdkError> {
        let info = self.raw_info()?;
        // SAFETY: the port is open.
        let node = unsafe { sys::rte_eth_dev_socket_id(self.id) };
        Ok(DeviceInfo {
            driver: driver_of(&info),
            rx_queues_max: info.max_rx_queues,
            numa_node: (node >= 0).then_some(node),
            interface_index: (info.if_index != 0).then_some(info.if_index),
            mtu_max: info.max_mtu,
            frame_bytes_max: info.max_rx_pktlen,
            rss: info.flow_type_rss_offloads,
            rx_offloads: info.rx_offload_capa,
        })
    }

    /// Whether it can have `queues` receive queues.
    ///
    /// # Errors
    /// If not, with its bound and `remedy`.
    pub fn check_queues(&self, queues: u16, remedy: &str) -> Result<(), DpdkError> {
        let most = self.raw_info()?.max_rx_queues;
        match (1..=most).contains(&queues) {
            true => Ok(()),
            false => {
                Err(DpdkError::bad(format!("device {}: {queues} queues are asked for, {} has {most}", self.name, self.driver), remedy))
            }
        }
    }

    pub(super) fn raw_info(&self) -> Result<sys::rte_eth_dev_info, DpdkError> {
        let mut info = sys::rte_eth_dev_info::default();
        // SAFETY: the port is open, `info` is ours.
        let done = unsafe { sys::rte_eth_dev_info_get(self.id, &raw mut info) };
        if done == 0 { Ok(info) } else { Err(DpdkError::failed(&self.name, "ask the device", done, "is it still there?")) }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _turn = PLUGGING.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the port is stopped (a started one is stopped before its device drops), and nobody uses it any more.
        unsafe { sys::rte_eth_dev_close(self.id) };
        if let Some(device) = self.made {
            // SAFETY: we made it, and its port is closed.
            unsafe { sys::rte_dev_remove(device) };
        }
        if let Some(held) = HELD.get(usize::from(self.id)) {
            held.store(false, Ordering::SeqCst);
        }
    }
}

/// Takes a vdev out again that gave no port of ours; one whose port another [`Device`] holds stays.
fn forget(name: &str) {
    let (Ok(text), mut id) = (CString::new(name), 0u16) else { return };
    let _turn = PLUGGING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: EAL runs; both are C strings, `id` is ours; a device without a port is used by nobody.
    unsafe {
        if sys::rte_eth_dev_get_port_by_name(text.as_ptr(), &raw mut id) != 0 {
            sys::rte_eal_hotplug_remove(c"vdev".as_ptr(), text.as_ptr());
        }
    }
}

fn driver_of(info: &sys::rte_eth_dev_info) -> String {
    let name: *const c_char = info.driver_name;
    if name.is_null() {
        return "unknown".to_owned();
    }
    // SAFETY: a driver's name is a static C string.
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
}
