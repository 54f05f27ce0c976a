//! A frame that was sampled: its first bytes, and what the data path knows of it.

use crate::classify::Generation;
use crate::limits::SAMPLE_BYTES_MAX;
use crate::parse::{DropReason, IpHeader, MirrorPlan, Parsed, parse_into};
use crate::record::{Record, Tunnel};
use crate::rx::Frame;
use crate::units::LinkType;

/// What came of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is a packet, and counts.
    Packet,
    /// No IP header can be read in it, or no tag rule matched and such frames are dropped.
    Refused(DropReason),
}

/// What a tunnel carried, of which the packet is not told by that: the innermost IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// Addresses as those of a [`Record`].
    pub src: [u8; 16],
    /// Likewise.
    pub dst: [u8; 16],
    /// Of TCP, UDP and others that have them.
    pub ports: Option<(u16, u16)>,
    /// Of TCP.
    pub tcp_flags: Option<u8>,
    /// Extension headers skipped.
    pub protocol: u8,
    /// True for IPv6.
    pub v6: bool,
    /// What carried it.
    pub tunnel: Tunnel,
}

/// See the module. Plain data, copied by value.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The packet, without a direction; of a frame that is none its tags, time, port and bytes.
    pub record: Record,
    /// What came of it.
    pub outcome: Outcome,
    /// Bytes of the IP packet that counts, header included, as its header says; where it says none, what the frame holds.
    pub ip_bytes: u32,
    /// The range that it goes to, and the one that it comes from, by their index.
    pub ranges: [Option<u32>; 2],
    /// The tag rule that matched.
    pub tag: Option<u16>,
    /// Generation of the configuration that says all this.
    pub generation: u64,
    /// Bytes on the wire, behind what the mirror wrapped it in.
    pub frame_bytes: u32,
    /// Where the first IP header stands in `bytes`; none where there is none, or it is not the one that counts.
    pub ip_at: Option<u16>,
    /// What is carried within the header that counts, at the innermost; none: nothing that could be read.
    pub inner: Option<Inner>,
    /// What `bytes` begin with.
    pub link: LinkType,
    /// Who sampled it; set by the tap, as all that follows.
    pub sampler: u8,
    /// Frames of its core that were passed over since the sample before, this one included.
    pub passed: u64,
    /// Samples that were lost between that one and this one, for want of room.
    pub lost: u32,
    held: u16,
    bytes: [u8; SAMPLE_BYTES_MAX],
}

impl Sample {
    /// Of a frame, as a generation sees it. `parsed` is used and forgotten.
    pub fn of(frame: &Frame<'_>, (generation, number): (&Generation, u64), mirror: &MirrorPlan, parsed: &mut Parsed) -> Self {
        let read = parse_into(frame.bytes, frame.wire_bytes, frame.link, mirror, parsed);
        let classified = read.and_then(|()| generation.classify(frame, parsed));
        let (record, outcome, tag, mut ranges) = match &classified {
            Ok(packet) => (packet.record, Outcome::Packet, packet.tag, [None, None]),
            Err(reason) => {
                let (record, tag) = generation.unread(frame, parsed);
                (record, Outcome::Refused(*reason), tag, [None, None])
            }
        };
        for hit in classified.iter().flat_map(|packet| packet.hits()) {
            let owner = generation.owner(hit.range);
            if hit.direction.all(crate::record::Has::INGRESS) {
                ranges[0] = Some(owner);
            }
            if hit.direction.all(crate::record::Has::EGRESS) {
                ranges[1] = Some(owner);
            }
        }
        let at = counting(parsed, &record).filter(|_| outcome == Outcome::Packet);
        let header = at.and_then(|at| parsed.headers().get(at));
        let inner = parsed.headers().last().filter(|_| at.is_some_and(|at| at + 1 < parsed.headers().len()));
        let frame_bytes = frame.wire_bytes.saturating_sub(parsed.stripped_bytes);
        let within = parsed.link.bytes;
        let claimed = header.map_or(0, |header| header.ip_bytes);
        let link = if parsed.stripped_bytes == 0 {
            frame.link
        } else if within == 0 {
            LinkType::RawIp
        } else {
            LinkType::Ethernet
        };
        let mut sample = Self {
            record,
            outcome,
            ip_bytes: if claimed > 0 { claimed } else { frame_bytes.saturating_sub(within) },
            ranges,
            tag,
            generation: number,
            frame_bytes,
            ip_at: header.filter(|header| header.tunnel == Tunnel::None).and_then(|_| u16::try_from(within).ok()),
            inner: inner.map(Inner::of),
            link,
            sampler: 0,
            passed: 0,
            lost: 0,
            held: 0,
            bytes: [0; SAMPLE_BYTES_MAX],
        };
        sample.keep(frame.bytes.get(parsed.stripped_bytes as usize..).unwrap_or_default());
        sample
    }

    fn keep(&mut self, bytes: &[u8]) {
        let held = bytes.len().min(self.bytes.len());
        if let (Some(to), Some(from)) = (self.bytes.get_mut(..held), bytes.get(..held)) {
            to.copy_from_slice(from);
            self.held = u16::try_from(held).unwrap_or(u16::MAX);
        }
    }

    /// The frame's start.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.held)).unwrap_or(&self.bytes)
    }

    /// Whether it is a packet.
    pub fn is_packet(&self) -> bool {
        self.outcome == Outcome::Packet
    }
}

impl Inner {
    fn of(header: &IpHeader) -> Self {
        let IpHeader { src, dst, ports, tcp_flags, protocol, v6, tunnel, .. } = *header;
        Self { src, dst, ports, tcp_flags, protocol, v6, tunnel }
    }
}

/// Position of the header that the record was made of.
fn counting(parsed: &Parsed, record: &Record) -> Option<usize> {
    let is_it = |header: &&IpHeader| {
        header.src == record.src && header.dst == record.dst && header.tunnel == record.tunnel && header.protocol == record.protocol
    };
    parsed.headers().iter().position(|header| is_it(&header))
}
