//! UDP sockets: many datagrams a system call, the kernel's own time of each, and what it dropped before we came.
//!
//! Sockets share their port (`SO_REUSEPORT`): several processes may take parts of the exporters, whom the kernel spreads by address
//! and port. `nix` wraps the calls, so that no `unsafe` is needed here.
//!
//! What the socket had no room for the kernel tells with the next datagram that it has room for, by a count that stood when that was
//! queued; behind the last one it would never be told. So the count of now is asked for with each burst (`SO_MEMINFO`, since Linux 4.12).

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockFlag, SockType, SockaddrStorage, bind, getsockname,
    getsockopt, recvmmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use nix::{getsockopt_impl, sockopt_impl};

use super::collector::{Arrival, Collector};
use super::flow::{Address, Flow};
use crate::limits::{UDP_BURST_DATAGRAMS, UDP_RECEIVE_BYTES};

/// The longest payload of a UDP datagram.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// No more datagrams wait in a socket: the kernel doubles the room that it is asked for, and takes more than so much of it for each.
const WAITING_MAX: u64 = (2 * UDP_RECEIVE_BYTES / 256) as u64;

sockopt_impl!(
    /// What the kernel says of a socket's memory, and of what it dropped for want of it: `SK_MEMINFO_…` of linux/sock_diag.h.
    MemoryOfSocket,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_MEMINFO,
    [u32; libc::SK_MEMINFO_DROPS as usize + 1]
);

/// A socket at its address, that nobody reads yet.
#[derive(Debug)]
pub struct Bound(OwnedFd);

impl Bound {
    /// Opens a socket at an address.
    ///
    /// # Errors
    /// The system's, when it refuses the address or the socket.
    pub fn open(at: SocketAddr) -> io::Result<Self> {
        let every = Ipv6Addr::UNSPECIFIED;
        // Of every address, on a machine without IPv6.
        Self::open_one(at).or_else(|fault| match at.ip() == every && fault.raw_os_error() != Some(nix::errno::Errno::EADDRINUSE as i32) {
            true => Self::open_one(SocketAddr::from((Ipv4Addr::UNSPECIFIED, at.port()))).map_err(|_| fault),
            false => Err(fault),
        })
    }

    fn open_one(at: SocketAddr) -> io::Result<Self> {
        let family = if at.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
        setsockopt(&socket, sockopt::ReusePort, &true)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        // Beyond the system's limit where we may; up to it where not.
        if setsockopt(&socket, sockopt::RcvBufForce, &UDP_RECEIVE_BYTES).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &UDP_RECEIVE_BYTES)?;
        }
        bind(socket.as_raw_fd(), &SockaddrStorage::from(at))?;
        Ok(Self(socket))
    }

    /// Where it is.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let storage: SockaddrStorage = getsockname(self.0.as_raw_fd())?;
        socket_address(&storage).ok_or_else(|| io::Error::other("a socket without an address"))
    }

    /// What the kernel holds of its datagrams at most, bytes; it counts its own upkeep in it.
    pub fn buffer_bytes(&self) -> Option<usize> {
        getsockopt(&self.0, sockopt::RcvBuf).ok()
    }
}

/// Whether another socket is at this address now, so that one more would share its datagrams.
pub fn is_shared(at: SocketAddr) -> bool {
    // Without the option to share, an address that is in use is refused.
    matches!(UdpSocket::bind(at), Err(fault) if fault.kind() == io::ErrorKind::AddrInUse)
}

/// Who is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nobody.
    Free,
    /// Sockets that share it with others of the same user.
    Shared,
    /// One that does not share it, or not with this user.
    Alone,
}

/// An address of this machine alone that nobody sends to: it conflicts with a socket of every address.
const QUIET: Ipv4Addr = Ipv4Addr::new(127, 77, 77, 77);

/// Who is at an address, without taking a datagram of theirs. A plain socket is refused where another one is. Whether that one shares is
/// tried from where its datagrams do not come by: a socket bound to an interface is in no group with others, and gets what comes in by that
/// interface alone. At a loopback address of a machine that has no other interface, loopback itself is tried.
///
/// # Errors
/// The system's, where the address is none that can be listened at.
pub fn held(at: SocketAddr) -> io::Result<Held> {
    match UdpSocket::bind(at) {
        Ok(_) => return Ok(Held::Free),
        Err(fault) if fault.kind() == io::ErrorKind::AddrInUse => {}
        // Of every address, on a machine without IPv6.
        Err(fault) if at.ip() == Ipv6Addr::UNSPECIFIED => return held((Ipv4Addr::UNSPECIFIED, at.port()).into()).map_err(|_| fault),
        Err(fault) => return Err(fault),
    }
    let (quiet, interface) = if at.ip().is_unspecified() {
        (SocketAddr::from((QUIET, at.port())), None)
    } else if at.ip().to_canonical().is_loopback() {
        (at, other_than_loopback())
    } else {
        (at, Some("lo".into()))
    };
    match try_to_share(quiet, interface.as_deref()) {
        Ok(()) => Ok(Held::Shared),
        Err(fault) if fault.kind() == io::ErrorKind::AddrInUse => Ok(Held::Alone),
        Err(fault) => Err(fault),
    }
}

fn try_to_share(at: SocketAddr, interface: Option<&OsStr>) -> io::Result<()> {
    let family = if at.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReusePort, &true)?;
    if let Some(interface) = interface {
        setsockopt(&socket, sockopt::BindToDevice, &interface.to_owned())?;
        // The address is another interface's.
        setsockopt(&socket, sockopt::IpFreebind, &true)?;
    }
    Ok(bind(socket.as_raw_fd(), &SockaddrStorage::from(at))?)
}

fn other_than_loopback() -> Option<OsString> {
    let names = std::fs::read_dir("/sys/class/net").ok()?;
    names.filter_map(|entry| Some(entry.ok()?.file_name())).find(|name| name != "lo")
}

/// A socket that export datagrams come to.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    buffers: Vec<Vec<u8>>,
    headers: MultiHeaders<SockaddrStorage>,
    drops: Drops,
}

/// What the kernel dropped, as far as it was told.
#[derive(Debug, Default)]
struct Drops {
    /// Its running count.
    count: u32,
    /// When the last datagram came.
    last_ns: u64,
}

impl Drops {
    fn note(&mut self, count: u32, collector: &mut Collector) {
        // What was asked for is ahead of what datagrams tell that were queued before.
        let more = count.wrapping_sub(self.count);
        if more <= u32::MAX / 2 {
            collector.note_kernel_drops_since(u64::from(more), self.last_ns);
            self.count = count;
        }
    }
}

impl Listener {
    /// Opens a socket at an address.
    ///
    /// # Errors
    /// The system's, when it refuses the address or the socket.
    pub fn open(at: SocketAddr) -> io::Result<Self> {
        Bound::open(at).map(Self::new)
    }

    /// Reads a socket. Stays with the thread that made it.
    pub fn new(socket: Bound) -> Self {
        Self {
            socket: socket.0,
            buffers: vec![vec![0; DATAGRAM_BYTES_MAX]; UDP_BURST_DATAGRAMS],
            headers: headers(),
            drops: Drops::default(),
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let storage: SockaddrStorage = getsockname(self.socket.as_raw_fd())?;
        socket_address(&storage).ok_or_else(|| io::Error::other("a socket without an address"))
    }

    /// Takes what is there, up to a burst; how many datagrams. What the kernel dropped by now is told to the collector, also where nothing
    /// is there.
    ///
    /// # Errors
    /// The system's, other than that nothing is there.
    pub fn receive(&mut self, collector: &mut Collector, out: &mut dyn FnMut(&Flow)) -> io::Result<usize> {
        let came = self.burst(collector, &mut |collector, head, payload| {
            let Some(from) = head.from else { return };
            let exporter = Address::from(from.ip().to_canonical());
            let arrival = Arrival { exporter, port: from.port(), received_ns: head.received_ns.unwrap_or_else(now_ns) };
            collector.take(&arrival, payload, out);
        });
        self.ask(collector);
        came
    }

    /// To be called last: what came before a moment (nanoseconds since 1970) and was not read goes away with the socket, so it counts as
    /// dropped by the kernel. How many datagrams that was.
    ///
    /// # Errors
    /// The system's.
    pub fn leave(&mut self, before_ns: u64, collector: &mut Collector) -> io::Result<u64> {
        let (since_ns, mut left, mut is_over) = (self.drops.last_ns, 0, false);
        while !is_over {
            let came = self.burst(collector, &mut |_, head, _| {
                // What comes meanwhile is no concern of ours; and whatever the clock does, no socket holds more than this.
                is_over |= head.received_ns.is_none_or(|came_ns| came_ns >= before_ns) || left == WAITING_MAX;
                left += u64::from(!is_over);
            })?;
            is_over |= came == 0;
        }
        collector.note_kernel_drops_since(left, since_ns);
        self.ask(collector);
        Ok(left)
    }

    /// Asks the kernel for what it dropped by now. One that does not know tells it with datagrams.
    fn ask(&mut self, collector: &mut Collector) {
        if let Ok(memory) = getsockopt(&self.socket, MemoryOfSocket) {
            self.drops.note(memory[libc::SK_MEMINFO_DROPS as usize], collector);
        }
    }

    fn burst(&mut self, collector: &mut Collector, each: &mut dyn FnMut(&mut Collector, &Head, &[u8])) -> io::Result<usize> {
        let mut buffers = self.buffers.iter_mut();
        let mut slices: [[IoSliceMut<'_>; 1]; UDP_BURST_DATAGRAMS] =
            std::array::from_fn(|_| [IoSliceMut::new(buffers.next().map_or(&mut [], Vec::as_mut_slice))]);
        let received = match recvmmsg(self.socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None) {
            Ok(received) => received,
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return Ok(0),
            Err(fault) => return Err(fault.into()),
        };
        let mut count = 0;
        for message in received {
            count += 1;
            let head = Head::of(&message);
            if let Some(dropped) = head.dropped {
                self.drops.note(dropped, collector);
            }
            self.drops.last_ns = head.received_ns.unwrap_or(self.drops.last_ns);
            each(collector, &head, message.iovs().next().unwrap_or(&[]));
        }
        if count > 0 {
            // The kernel has written into each header how long its control messages were, and `nix` leaves it so: where it dropped nothing
            // before, there would be no room any more for its word that it did.
            self.headers = headers();
        }
        Ok(count)
    }
}

/// What a call needs: of each datagram its source, and room for when it came and for what was dropped.
fn headers() -> MultiHeaders<SockaddrStorage> {
    MultiHeaders::preallocate(UDP_BURST_DATAGRAMS, Some(nix::cmsg_space!(u32, TimeSpec)))
}

/// What the kernel says of a datagram.
struct Head {
    from: Option<SocketAddr>,
    received_ns: Option<u64>,
    /// Its running count of what it dropped of this socket's.
    dropped: Option<u32>,
}

impl Head {
    fn of(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Self {
        let from = message.address.as_ref().and_then(socket_address);
        let mut head = Self { from, received_ns: None, dropped: None };
        for control in message.cmsgs().into_iter().flatten() {
            match control {
                ControlMessageOwned::RxqOvfl(count) => head.dropped = Some(count),
                ControlMessageOwned::ScmTimestampns(time) => head.received_ns = nanoseconds(&time),
                _ => {}
            }
        }
        head
    }
}

/// Waits until something is there, or so long.
///
/// # Errors
/// The system's.
pub fn wait(listeners: &[Listener], at_most_ms: u16) -> io::Result<()> {
    let mut polled: Vec<PollFd<'_>> = listeners.iter().map(|listener| PollFd::new(listener.socket.as_fd(), PollFlags::POLLIN)).collect();
    match poll(&mut polled, PollTimeout::from(at_most_ms)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port()))))
}

fn nanoseconds(time: &TimeSpec) -> Option<u64> {
    u64::try_from(time.tv_sec()).ok()?.checked_mul(1_000_000_000)?.checked_add(u64::try_from(time.tv_nsec()).ok()?)
}

/// The wall clock, nanoseconds since 1970.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
