//! A kernel interface below a vdev: what the kernel says of it, in this thread's network namespace.

use std::ffi::{CStr, CString};
use std::fs;

/// What `/proc/net/dev` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Frames that the interface received.
    pub received: u64,
    /// Frames that it dropped while sending; for a tap those never reached the process that reads it.
    pub send_dropped: u64,
}

/// State of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceState {
    /// Administratively up, and with a carrier.
    pub running: bool,
    /// Largest payload of layer 2.
    pub mtu: u32,
}

/// Number of an interface by its name.
pub fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name is a C string.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// Name of an interface by its number; none if it is gone.
pub fn interface_name(index: u32) -> Option<String> {
    let mut name = [0 as libc::c_char; libc::IF_NAMESIZE];
    // SAFETY: the buffer is as long as the longest name with its zero byte.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: the call above wrote a C string.
    Some(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
}

/// State of the interface `name`; none if there is none.
pub fn interface_state(name: &str) -> Option<InterfaceState> {
    let running = libc::IFF_UP | libc::IFF_RUNNING;
    // SAFETY: of the two fields, the kernel wrote the one that belongs to the request.
    let flags = request(name, libc::SIOCGIFFLAGS).map(|answer| i32::from(unsafe { answer.ifr_ifru.ifru_flags }))?;
    // SAFETY: as above.
    let mtu = request(name, libc::SIOCGIFMTU).map(|answer| unsafe { answer.ifr_ifru.ifru_mtu })?;
    Some(InterfaceState { running: flags & running == running, mtu: u32::try_from(mtu).ok()? })
}

fn request(name: &str, what: libc::Ioctl) -> Option<libc::ifreq> {
    // SAFETY: all zero is a valid `ifreq`.
    let mut answer: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= answer.ifr_name.len() {
        return None;
    }
    for (to, from) in answer.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    let socket = std::os::unix::net::UnixDatagram::unbound().ok()?;
    // SAFETY: the kernel reads and writes one `ifreq`.
    let done = unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&socket), what, &raw mut answer) };
    (done == 0).then_some(answer)
}

/// Counters of the interface `name`; none if there is none.
pub fn interface_counters(name: &str) -> Option<InterfaceCounters> {
    counters_in(&fs::read_to_string("/proc/thread-self/net/dev").ok()?, name)
}

/// Columns: receive bytes packets errs drop fifo frame compressed multicast, send bytes packets errs drop …
fn counters_in(table: &str, name: &str) -> Option<InterfaceCounters> {
    let row = table.lines().find_map(|line| line.split_once(':').filter(|(found, _)| found.trim() == name))?.1;
    let numbers: Vec<u64> = row.split_whitespace().map_while(|word| word.parse().ok()).collect();
    Some(InterfaceCounters { received: *numbers.get(1)?, send_dropped: *numbers.get(11)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there() {
        let index = interface_index("lo").unwrap();
        assert_eq!(interface_name(index).as_deref(), Some("lo"));
        assert!(interface_state("lo").unwrap().mtu >= 1_500);
        assert!(interface_counters("lo").is_some());
    }

    #[test]
    fn what_is_not_there_is_none() {
        for name in ["no-such-if", "a-name-that-is-longer-than-any", "", "zero\0byte"] {
            assert_eq!((interface_index(name), interface_state(name)), (None, None), "{name}");
        }
        assert_eq!(interface_name(u32::MAX >> 1), None);
    }

    #[test]
    fn counters_are_found_in_their_columns() {
        let table = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs\n  \
                     veth0: 100 7 1 2 3 4 5 6 200 8 9 11 12 13 14 15\n";
        assert_eq!(counters_in(table, "veth0"), Some(InterfaceCounters { received: 7, send_dropped: 11 }));
        assert_eq!(counters_in(table, "veth"), None);
    }
}
