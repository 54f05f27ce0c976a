//! Ways out of datagrams: a socket, or a capture.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{Config, Fault, Faults};
use crate::rx::capture::PcapWriter;

/// Takes a datagram at a time; how many are known to be lost since the one before: this one, or one that a host refused meanwhile.
pub(super) type Carrier = Box<dyn FnMut(u64, &[u8]) -> u64 + Send>;

/// A carrier, and the address that it sends from.
pub(super) type Way = (IpAddr, Carrier);

/// Raw IP, whose version is in its first bits.
const RAW_IP: u16 = 101;
const IPV4_HEAD_BYTES: u16 = 20;
const UDP_HEAD_BYTES: u16 = 8;
/// Source port of the first export in a capture.
const CAPTURED_PORT: u16 = 40_000;

/// A socket for each export. It never waits: what the kernel does not take at once has failed.
///
/// # Errors
/// No socket can be had for an address.
pub(super) fn sockets(config: &Config) -> Result<Vec<Way>, Faults> {
    let (mut ways, mut faults) = (Vec::new(), Faults::default());
    for (at, export) in config.exports.iter().enumerate() {
        match socket(export.to) {
            Ok(way) => ways.push(way),
            Err(reason) => {
                let line = config.line(&["exports", &at.to_string(), "to"]).unwrap_or(0);
                let (key, what) = (format!("exports[{at}].to"), format!("{} cannot be sent to: {reason}", export.to));
                let remedy = "is there a route to it? name an address that this machine reaches".to_owned();
                faults.add(Fault { file: config.file.clone(), line, key, what, remedy });
            }
        }
    }
    faults.or(ways)
}

fn socket(to: SocketAddr) -> io::Result<Way> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    socket.set_nonblocking(true)?;
    let from = socket.local_addr()?.ip();
    let carrier = move |_, datagram: &[u8]| match socket.send(datagram) {
        Ok(_) => 0,
        // That was about an earlier one: nobody listened then.
        Err(fault) if fault.kind() == ErrorKind::ConnectionRefused => 1 + u64::from(socket.send(datagram).is_err()),
        Err(_) => 1,
    };
    Ok((from, Box::new(carrier)))
}

/// The datagrams of a replay, as a capture.
#[derive(Clone)]
pub struct Captured(Arc<Mutex<State>>);

struct State {
    file: Option<PcapWriter<BufWriter<File>>>,
    fault: Option<io::Error>,
}

impl Captured {
    /// Into a file.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(file: &Path) -> io::Result<Self> {
        let file = PcapWriter::new(BufWriter::new(File::create(file)?), RAW_IP, 65_535)?;
        Ok(Self(Arc::new(Mutex::new(State { file: Some(file), fault: None }))))
    }

    /// A way for each export.
    pub(super) fn ways(&self, config: &Config) -> Vec<Way> {
        let way = |(export, from): (&crate::config::Export, u16)| -> Way {
            let (captured, to) = (self.clone(), export.to);
            (IpAddr::V4(Ipv4Addr::LOCALHOST), Box::new(move |now_ns, datagram| u64::from(!captured.write(now_ns, (from, to), datagram))))
        };
        config.exports.iter().zip(CAPTURED_PORT..).map(way).collect()
    }

    fn write(&self, now_ns: u64, (from, to): (u16, SocketAddr), datagram: &[u8]) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let packet = packet((from, to), datagram);
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        let Some(Err(fault)) = state.file.as_mut().map(|file| file.write(now_ns, length, &packet)) else { return state.fault.is_none() };
        (state.file, state.fault) = (None, Some(fault));
        false
    }

    /// All is written.
    ///
    /// # Errors
    /// Something could not be: nothing was written behind it.
    pub fn finish(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = state.fault.take() {
            return Err(fault);
        }
        state.file.take().map_or(Ok(()), |file| file.finish().map(drop))
    }
}

/// IPv4 and UDP around a datagram, without a checksum of UDP. It is from loopback; one to IPv6 is shown as one to loopback.
fn packet((from, to): (u16, SocketAddr), datagram: &[u8]) -> Vec<u8> {
    let length = |more: u16| u16::try_from(datagram.len()).unwrap_or(0).saturating_add(more).to_be_bytes();
    let to_ip = if let IpAddr::V4(ip) = to.ip() { ip } else { Ipv4Addr::LOCALHOST };
    let mut head =
        [&[0x45, 0][..], &length(IPV4_HEAD_BYTES + UDP_HEAD_BYTES), &[0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1], &to_ip.octets()].concat();
    let sum: u32 = head.as_chunks::<2>().0.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let folded = (folded & 0xFFFF) + (folded >> 16);
    let checksum = !u16::try_from(folded & 0xFFFF).unwrap_or(0);
    head[10..12].copy_from_slice(&checksum.to_be_bytes());
    let udp = [&from.to_be_bytes()[..], &to.port().to_be_bytes(), &length(UDP_HEAD_BYTES), &[0, 0]].concat();
    [&head[..], &udp, datagram].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_that_nobody_listens_for_are_known_by_the_next_one() {
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (_, mut carrier) = socket(there.local_addr().unwrap()).unwrap();
        assert_eq!((0..10).map(|_| carrier(0, &[1])).sum::<u64>(), 0);
        drop(there);
        // Of the last nobody knows yet.
        let lost: u64 = (0..10).map(|_| carrier(0, &[1])).sum();
        assert!((1..10).contains(&lost), "{lost}");
    }
}
