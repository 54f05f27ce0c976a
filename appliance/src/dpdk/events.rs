//! What a driver reports by itself: that its device was removed.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use dpdk_sys as sys;

const PORTS: usize = sys::RTE_MAX_ETHPORTS as usize;
static REMOVED: [AtomicBool; PORTS] = [const { AtomicBool::new(false) }; PORTS];

/// Watches `port` from now on.
pub(super) fn watch(port: u16) {
    if let Some(removed) = REMOVED.get(usize::from(port)) {
        removed.store(false, Ordering::Relaxed);
        let event = sys::rte_eth_event_type::RTE_ETH_EVENT_INTR_RMV;
        // SAFETY: the port is open; the callback touches nothing but a static.
        unsafe { sys::rte_eth_dev_callback_register(port, event, Some(on_removed), std::ptr::null_mut()) };
    }
}

/// Whether the driver said that the device is gone.
pub(super) fn removed(port: u16) -> bool {
    REMOVED.get(usize::from(port)).is_some_and(|removed| removed.load(Ordering::Relaxed))
}

unsafe extern "C" fn on_removed(port: u16, _event: sys::rte_eth_event_type::Type, _user: *mut c_void, _detail: *mut c_void) -> c_int {
    if let Some(removed) = REMOVED.get(usize::from(port)) {
        removed.store(true, Ordering::Relaxed);
    }
    0
}
