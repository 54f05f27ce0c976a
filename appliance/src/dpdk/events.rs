//! What a driver reports by itself: that its device was removed, and that its link went or came.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dpdk_sys as sys;
use sys::rte_eth_event_type::{RTE_ETH_EVENT_INTR_LSC, RTE_ETH_EVENT_INTR_RMV, Type};

const PORTS: usize = sys::RTE_MAX_ETHPORTS as usize;
static REMOVED: [AtomicBool; PORTS] = [const { AtomicBool::new(false) }; PORTS];
static LINK_CHANGES: [AtomicU64; PORTS] = [const { AtomicU64::new(0) }; PORTS];

/// Watches `port` from now on.
pub(super) fn watch(port: u16) {
    if let Some(removed) = REMOVED.get(usize::from(port)) {
        removed.store(false, Ordering::Relaxed);
        for event in [RTE_ETH_EVENT_INTR_RMV, RTE_ETH_EVENT_INTR_LSC] {
            // SAFETY: the port is open; the callback touches nothing but statics.
            unsafe { sys::rte_eth_dev_callback_register(port, event, Some(on_event), std::ptr::null_mut()) };
        }
    }
}

/// Whether the driver said that the device is gone.
pub(super) fn removed(port: u16) -> bool {
    REMOVED.get(usize::from(port)).is_some_and(|removed| removed.load(Ordering::Relaxed))
}

/// How often the driver said that the link went or came; never, where it cannot.
pub(super) fn link_changes(port: u16) -> u64 {
    LINK_CHANGES.get(usize::from(port)).map_or(0, |changes| changes.load(Ordering::Relaxed))
}

unsafe extern "C" fn on_event(port: u16, event: Type, _user: *mut c_void, _detail: *mut c_void) -> c_int {
    let port = usize::from(port);
    if let (RTE_ETH_EVENT_INTR_RMV, Some(removed)) = (event, REMOVED.get(port)) {
        removed.store(true, Ordering::Relaxed);
    }
    if let (RTE_ETH_EVENT_INTR_LSC, Some(changes)) = (event, LINK_CHANGES.get(port)) {
        changes.fetch_add(1, Ordering::Relaxed);
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_its_own() {
        let port = u16::try_from(PORTS - 1).unwrap();
        let nothing = std::ptr::null_mut();
        // SAFETY: it touches nothing but statics.
        let said = |port, event| unsafe { on_event(port, event, nothing, nothing) };
        assert_eq!(
            [said(port, RTE_ETH_EVENT_INTR_LSC), said(port, RTE_ETH_EVENT_INTR_LSC), said(u16::MAX, RTE_ETH_EVENT_INTR_LSC)],
            [0; 3]
        );
        assert_eq!((link_changes(port), removed(port), link_changes(u16::MAX)), (2, false, 0));
        assert_eq!(said(port, RTE_ETH_EVENT_INTR_RMV), 0);
        assert_eq!((link_changes(port), removed(port)), (2, true));
    }
}
