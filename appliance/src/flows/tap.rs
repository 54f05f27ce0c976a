//! Export datagrams out of the mirror: what receiving cores see of packets for configured addresses goes to who receives flows.
//!
//! A core hands over the IP packet, fragments too, through a ring of its own; nothing waits, and a full ring is counted. Who reads the
//! rings puts fragments together ([`super::udp`]) and treats datagrams as those of sockets. The packets count as any others meanwhile.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::collector::{Arrival, Collector};
use super::flow::{Address, Flow};
use super::port_taken::PortTaken;
use super::udp::Datagrams;
use crate::arch::ring::{Consumer, Producer, RingBuffer};
use crate::limits::{FRAME_BYTES_MAX, TAP_RING_BYTES, UDP_BURST_DATAGRAMS};
use crate::parse::{MirrorPlan, Parsed, parse_into};
use crate::rx::Frame;
use crate::rx::capture::CapturedFrame;
use crate::units::LinkType;

/// Before each packet in a ring: its length, and when it came.
const HEAD_BYTES: usize = 2 + 8;
const UDP: u8 = 17;

/// Packets for the addresses that were not handed over, of all cores.
#[derive(Debug, Default)]
struct Lost {
    /// They found no room in a ring,
    full: AtomicU64,
    /// or were longer than what is seen of a frame.
    cut: AtomicU64,
}

/// Where exporters send to.
#[derive(Debug)]
struct Wanted {
    v4: Box<[([u8; 4], u16)]>,
    v6: Box<[([u8; 16], u16)]>,
    lost: Lost,
}

/// A core's end.
#[derive(Debug)]
pub struct Tap {
    wanted: Arc<Wanted>,
    ring: Producer<u8>,
    /// A packet behind its head: both go into the ring at once.
    whole: Box<[u8]>,
    parsed: Parsed,
}

/// The other end, of all cores.
#[derive(Debug)]
pub struct Tapped {
    wanted: Arc<Wanted>,
    rings: Vec<Consumer<u8>>,
    packet: Box<[u8]>,
    /// Of all cores: pieces of a datagram may come by several ports, if a bundle's hash looks at UDP's ports, and a burst may be handed
    /// over.
    datagrams: Datagrams,
    /// Datagrams that the collector was given.
    given: u64,
}

/// Ends of so many cores, and the other end of all.
pub fn taps(addresses: &[SocketAddr], cores: usize) -> (Vec<Tap>, Tapped) {
    let v4 = addresses.iter().filter_map(|at| if let IpAddr::V4(ip) = at.ip() { Some((ip.octets(), at.port())) } else { None }).collect();
    let v6 = addresses.iter().filter_map(|at| if let IpAddr::V6(ip) = at.ip() { Some((ip.octets(), at.port())) } else { None }).collect();
    let wanted = Arc::new(Wanted { v4, v6, lost: Lost::default() });
    let one = |_| {
        let (write, read) = RingBuffer::new(TAP_RING_BYTES);
        let tap = Tap {
            wanted: Arc::clone(&wanted),
            ring: write,
            whole: vec![0; HEAD_BYTES + FRAME_BYTES_MAX].into(),
            parsed: Parsed::default(),
        };
        (tap, read)
    };
    let (taps, rings) = (0..cores).map(one).unzip();
    let packet = vec![0; FRAME_BYTES_MAX].into();
    (taps, Tapped { wanted, rings, packet, datagrams: Datagrams::default(), given: 0 })
}

impl Wanted {
    /// The packet that begins there, if it is for one of the addresses: its length. Of fragments all are: a later one has no port to ask
    /// for, and what nobody asked for is known by its first.
    #[inline]
    fn length(&self, ip: &[u8]) -> Option<usize> {
        match ip.first()? >> 4 {
            4 => self.length_v4(ip),
            6 => self.length_v6(ip),
            _ => None,
        }
    }

    #[inline]
    fn length_v4(&self, ip: &[u8]) -> Option<usize> {
        let head: &[u8; 20] = ip.first_chunk()?;
        let dst = [head[16], head[17], head[18], head[19]];
        if head[9] != UDP || self.v4.iter().all(|(address, _)| *address != dst) {
            return None;
        }
        let fragment = u16::from_be_bytes([head[6], head[7]]);
        let port = port(ip, usize::from(head[0] & 0x0F) * 4);
        let is_ours = fragment & 0x3FFF != 0 || self.v4.iter().any(|(address, of)| *address == dst && Some(*of) == port);
        is_ours.then_some(usize::from(u16::from_be_bytes([head[2], head[3]])))
    }

    #[inline]
    fn length_v6(&self, ip: &[u8]) -> Option<usize> {
        let head: &[u8; 40] = ip.first_chunk()?;
        let dst = &head[24..40];
        if self.v6.iter().all(|(address, _)| address != dst) {
            return None;
        }
        let is_ours = match head[6] {
            UDP => self.v6.iter().any(|(address, of)| address == dst && Some(*of) == port(ip, 40)),
            // Options, a routing header, a fragment: who puts it together looks for the port.
            0 | 43 | 44 | 60 => true,
            _ => false,
        };
        is_ours.then_some(40 + usize::from(u16::from_be_bytes([head[4], head[5]])))
    }

    fn has(&self, address: &Address, port: u16) -> bool {
        match address.ip() {
            Some(IpAddr::V4(ip)) => self.v4.contains(&(ip.octets(), port)),
            Some(IpAddr::V6(ip)) => self.v6.contains(&(ip.octets(), port)),
            None => false,
        }
    }
}

/// Destination port of the UDP header there.
#[inline]
fn port(ip: &[u8], at: usize) -> Option<u16> {
    ip.get(at + 2..at + 4).and_then(|bytes| bytes.first_chunk()).map(|bytes| u16::from_be_bytes(*bytes))
}

impl Tap {
    /// Looks at a frame, and hands it over if it is for one of the addresses. Allocates nothing, waits for nothing.
    #[inline]
    pub fn see(&mut self, frame: &Frame<'_>, mirror: &MirrorPlan) {
        let Some(ip) = self.ip_of(frame, mirror) else { return };
        let Some(length) = self.wanted.length(ip) else { return };
        let lost = &self.wanted.lost;
        let Some(packet) = ip.get(..length).filter(|packet| packet.len() >= 20) else {
            lost.cut.fetch_add(1, Relaxed);
            return;
        };
        let place = u16::try_from(packet.len()).ok().zip(self.whole.get_mut(..HEAD_BYTES + packet.len()));
        let Some((bytes, whole)) = place else {
            lost.cut.fetch_add(1, Relaxed);
            return;
        };
        whole[..2].copy_from_slice(&bytes.to_le_bytes());
        whole[2..HEAD_BYTES].copy_from_slice(&frame.time_ns.to_le_bytes());
        whole[HEAD_BYTES..].copy_from_slice(packet);
        if self.ring.push_entire_slice(whole).is_err() {
            lost.full.fetch_add(1, Relaxed);
        }
    }

    /// The outermost IP packet: behind what the mirror itself wraps frames in, if it does.
    #[inline]
    fn ip_of<'a>(&mut self, frame: &Frame<'a>, mirror: &MirrorPlan) -> Option<&'a [u8]> {
        if frame.link == LinkType::Ethernet && !mirror.is_wrapped() {
            let mut at = 12;
            for _ in 0..3 {
                match *frame.bytes.get(at..)?.first_chunk::<2>()? {
                    [0x08, 0x00] | [0x86, 0xDD] => return frame.bytes.get(at + 2..),
                    [0x81, 0x00] | [0x88, 0xA8] | [0x91, 0x00] => at += 4,
                    // MPLS and PPPoE: what stands behind them is known to who reads all of it.
                    [0x88, 0x47 | 0x48 | 0x64] => return self.behind(frame, mirror),
                    _ => return None,
                }
            }
            return None;
        }
        self.behind(frame, mirror)
    }

    /// The same wherever it stands.
    fn behind<'a>(&mut self, frame: &Frame<'a>, mirror: &MirrorPlan) -> Option<&'a [u8]> {
        parse_into(frame.bytes, frame.wire_bytes, frame.link, mirror, &mut self.parsed).ok()?;
        let at = usize::try_from(self.parsed.stripped_bytes + self.parsed.link.bytes).ok()?;
        frame.bytes.get(at..)
    }
}

impl Tapped {
    /// Whether no core hands over anything more; what they have handed over may still be there.
    pub fn is_abandoned(&self) -> bool {
        self.rings.iter().all(Consumer::is_abandoned)
    }

    /// Gives the collector what is there of each core, up to a burst; how many packets. It is so late: what waits for its other pieces has
    /// an age.
    pub fn receive(&mut self, now_ns: u64, collector: &mut Collector, out: &mut dyn FnMut(&Flow)) -> usize {
        let mut taken = 0;
        for ring in 0..self.rings.len() {
            for _ in 0..UDP_BURST_DATAGRAMS {
                let Some((time_ns, length)) = self.next(ring) else { break };
                taken += 1;
                self.take((time_ns, length), collector, out);
            }
        }
        // While packets are there theirs is the time: those of a core that is behind may complete what waits.
        if taken == 0 {
            self.datagrams.turn(now_ns);
        }
        collector.note_ports(self.taken());
        taken
    }

    /// Nothing more will come: what waits for its other pieces is given up.
    pub fn end(&mut self, collector: &mut Collector) {
        self.datagrams.end();
        collector.note_ports(self.taken());
    }

    /// What came of all packets for the addresses, since the start.
    pub fn taken(&self) -> PortTaken {
        let Lost { full, cut } = &self.wanted.lost;
        PortTaken { datagrams: self.given, full: full.load(Relaxed), cut: cut.load(Relaxed), ..self.datagrams.taken() }
    }

    /// Of the packet that is in `packet`.
    fn take(&mut self, (time_ns, length): (u64, usize), collector: &mut Collector, out: &mut dyn FnMut(&Flow)) {
        let Self { packet, datagrams, wanted, .. } = self;
        let bytes = packet.get(..length).unwrap_or(&[]);
        let wire_bytes = u32::try_from(length).unwrap_or(u32::MAX);
        let frame = CapturedFrame { time_ns, wire_bytes, bytes, link: LinkType::RawIp };
        let Some(datagram) = datagrams.take_wanted(&frame, Some(&|address, port| wanted.has(address, port))) else { return };
        self.given += 1;
        let arrival = Arrival { exporter: datagram.src, port: datagram.src_port, received_ns: time_ns };
        collector.take(&arrival, &datagram.payload, out);
    }

    /// When the next packet of a core came, and how long it is; it itself is in `packet`.
    fn next(&mut self, ring: usize) -> Option<(u64, usize)> {
        let ring = self.rings.get_mut(ring)?;
        let mut head = [0; HEAD_BYTES];
        ring.pop_entire_slice(&mut head).ok()?;
        let (length, time) = head.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length));
        let packet = self.packet.get_mut(..length)?;
        ring.pop_entire_slice(packet).ok()?;
        Some((u64::from_le_bytes(*time.first_chunk()?), length))
    }
}
