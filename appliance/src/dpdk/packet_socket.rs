//! What the kernel dropped below `net_af_packet` and `net_af_xdp`: their drivers own the sockets and never ask them (or not for all).
//!
//! The sockets are found among this process's descriptors, and asked through a duplicate. Reading a packet socket's
//! counters sets them to zero; whoever reads keeps what it read, so the sum of all readers is right.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// `SOL_XDP` and `XDP_STATISTICS` of `linux/if_xdp.h`.
const SOL_XDP: i32 = 283;
const XDP_STATISTICS: i32 = 7;

/// The kernel's packet counters (`struct tpacket_stats`).
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct TpacketStats {
    packets: u32,
    drops: u32,
}

/// The kernel's AF_XDP counters (`struct xdp_statistics`).
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct XdpStatistics {
    rx_dropped: u64,
    rx_invalid_descriptors: u64,
    tx_invalid_descriptors: u64,
    rx_ring_full: u64,
    rx_fill_ring_empty: u64,
    tx_ring_empty: u64,
}

/// The sockets through which a driver receives from one kernel interface.
#[derive(Debug)]
pub struct KernelSockets {
    packet: Vec<OwnedFd>,
    xdp: Vec<OwnedFd>,
    /// Read so far from the packet sockets.
    dropped: u64,
}

impl KernelSockets {
    /// The packet sockets of this process that are bound to the interface. Frames that this machine itself sends there
    /// no longer come up: a mirror's are the other side's.
    pub fn packet(interface_index: u32) -> Self {
        let inodes = bound_inodes(&fs::read_to_string("/proc/thread-self/net/packet").unwrap_or_default(), interface_index);
        let packet: Vec<OwnedFd> = sockets().filter(|(_, inode)| inodes.contains(inode)).filter_map(|(fd, _)| duplicate(fd)).collect();
        packet.iter().for_each(ignore_outgoing);
        Self { packet, xdp: Vec::new(), dropped: 0 }
    }

    /// The AF_XDP sockets of this process that `not_yet` does not hold: those made since.
    pub fn xdp(not_yet: &BTreeSet<u64>) -> Self {
        let is_xdp = |fd: RawFd| option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN, 0i32) == Some(libc::AF_XDP);
        let fresh = sockets().filter(|(fd, inode)| !not_yet.contains(inode) && is_xdp(*fd));
        Self { packet: Vec::new(), xdp: fresh.filter_map(|(fd, _)| duplicate(fd)).collect(), dropped: 0 }
    }

    /// All sockets of this process, for [`Self::xdp`] later.
    pub fn now() -> BTreeSet<u64> {
        sockets().map(|(_, inode)| inode).collect()
    }

    /// How many sockets were found.
    pub fn count(&self) -> usize {
        self.packet.len() + self.xdp.len()
    }

    /// What was dropped until now counts no more.
    pub fn forget(&mut self) {
        self.dropped();
        self.dropped = 0;
    }

    /// Frames that the kernel dropped because a socket's ring was full, since the sockets were opened.
    pub fn dropped(&mut self) -> u64 {
        for socket in &self.packet {
            let stats = option(socket.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, TpacketStats::default());
            self.dropped += stats.map_or(0, |stats| u64::from(stats.drops));
        }
        let full = |socket: &OwnedFd| option(socket.as_raw_fd(), SOL_XDP, XDP_STATISTICS, XdpStatistics::default());
        self.dropped + self.xdp.iter().filter_map(full).map(|stats| stats.rx_ring_full).sum::<u64>()
    }
}

/// This process's sockets: descriptor and inode.
fn sockets() -> impl Iterator<Item = (RawFd, u64)> {
    fs::read_dir("/proc/self/fd").into_iter().flatten().flatten().filter_map(|entry| {
        let fd = entry.file_name().to_str()?.parse().ok()?;
        let target = fs::read_link(entry.path()).ok()?;
        let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        Some((fd, inode))
    })
}

/// Inodes of the packet sockets bound to an interface: columns `sk RefCnt Type Proto Iface R Rmem User Inode`.
fn bound_inodes(table: &str, interface_index: u32) -> BTreeSet<u64> {
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let bound = words.get(4)?.parse::<u32>().ok()? == interface_index;
        bound.then(|| words.get(8)?.parse().ok()).flatten()
    };
    table.lines().skip(1).filter_map(row).collect()
}

fn duplicate(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: takes numbers only; a stale one gives an error.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    // SAFETY: the kernel just made this descriptor for us alone.
    (copy >= 0).then(|| unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Keeps frames that this machine sends from coming up. (`PACKET_IGNORE_OUTGOING` would not do: the driver's sockets are in
/// a fanout group, which looks at its own flag alone.) What a filter refuses is not counted as dropped.
fn ignore_outgoing(socket: &OwnedFd) {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// `SKF_AD_OFF + SKF_AD_PKTTYPE`, and `PACKET_OUTGOING`.
    const PACKET_TYPE: u32 = 0xffff_f004;
    const OUTGOING: u32 = 4;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program =
        [step(LOAD_WORD, 0, 0, PACKET_TYPE), step(JUMP_IF_EQUAL, 0, 1, OUTGOING), step(RETURN, 0, 0, 0), step(RETURN, 0, 0, u32::MAX)];
    let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    let bytes = libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).unwrap_or(0);
    // SAFETY: the kernel reads one `sock_fprog` and the four steps that it points to.
    unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, (&raw const filter).cast(), bytes) };
}

/// A socket option that is plain numbers, each bit pattern of which is valid.
fn option<T: Copy>(fd: RawFd, level: i32, name: i32, zero: T) -> Option<T> {
    let mut value = zero;
    let mut bytes = libc::socklen_t::try_from(size_of::<T>()).ok()?;
    // SAFETY: the kernel writes at most `bytes` bytes into `value`; the three `T` used here are plain integers.
    let done = unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut bytes) };
    (done == 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_by_interface() {
        let table = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n\
                     ffff8881 3      3    0003   7     1 0      0      55\n\
                     ffff8882 3      3    0003   8     1 0      0      56\nffff 1\n";
        assert_eq!(bound_inodes(table, 7), BTreeSet::from([55]));
        assert_eq!(bound_inodes("", 7), BTreeSet::new());
    }

    #[test]
    fn own_sockets_are_seen_and_asked() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let fd = socket.as_raw_fd();
        assert!(sockets().any(|(seen, _)| seen == fd));
        assert_eq!(option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN, 0i32), Some(libc::AF_INET));
        assert_eq!(option(-1, libc::SOL_SOCKET, libc::SO_DOMAIN, 0i32), None);
        assert!(duplicate(fd).is_some());
        assert_eq!(KernelSockets::packet(u32::MAX).count(), 0);
    }
}
