//! One queue and its bursts, live or fed from captures.

use std::sync::Arc;

use super::timeline::Timeline;
use super::{Frame, Frames};
use crate::dpdk::{self, FrameTag};
use crate::telemetry::LiveQueue;
use crate::units::{Epoch, LinkType};

/// Bits of [`FrameTag::flags`]: the frame's time was before the open window.
pub(super) const FLAG_LATE: u8 = 1;
/// The frame is none: it says that `epoch` begins.
pub(super) const FLAG_MARK: u8 = 2;
/// The frame is none: it says that the queue has ended.
pub(super) const FLAG_END: u8 = 4;

/// What a poll tells, in order.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// What follows on this queue belongs to this epoch or a later one. Epochs never go back.
    Epoch(Epoch),
    /// A frame.
    Frame(Frame<'a>),
    /// Nothing follows (replay only).
    End,
}

/// Where a queue's times come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The clock, once a poll.
    Live { base_window_ns: u64, timeline: Arc<Timeline> },
    /// Each frame's tag.
    Fed,
}

/// A receive queue: polled by the one lcore that owns it.
#[derive(Debug)]
pub struct RxQueue {
    raw: dpdk::RxQueue,
    source: Source,
    port: u16,
    /// A frame of this length or more may have been cut by the driver.
    cut_bytes: u32,
    /// Epoch last told.
    told: Option<Epoch>,
    /// Where its core shows what came of it.
    live: Option<Arc<LiveQueue>>,
}

/// What the last poll gave. Keep one for each lcore: it holds the lcore's clock, which never goes back.
#[derive(Debug)]
pub struct Burst {
    raw: dpdk::Burst,
    /// Each frame has a tag.
    fed: bool,
    port: u16,
    cut_bytes: u32,
    time_ns: u64,
    /// The monotonic clock at that time.
    read_ns: u64,
    epoch: Epoch,
    /// Whether `epoch` is news.
    begins: bool,
}

impl RxQueue {
    pub(super) fn new(raw: dpdk::RxQueue, source: Source, port: u16, cut_bytes: u32) -> Self {
        Self { raw, source, port, cut_bytes, told: None, live: None }
    }

    /// Index of its port in the configuration. In replay each frame says its own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its number on the port.
    pub fn index(&self) -> u16 {
        self.raw.index()
    }

    /// Its core shows there what comes of it.
    pub fn show_on(&mut self, live: Arc<LiveQueue>) {
        self.live = Some(live);
    }

    /// See [`Self::show_on`].
    pub fn live(&self) -> Option<&LiveQueue> {
        self.live.as_deref()
    }

    /// A burst to poll into, empty; it serves other queues too.
    pub fn burst(&self) -> Burst {
        let (fed, port, cut_bytes) = (matches!(self.source, Source::Fed), self.port, self.cut_bytes);
        Burst { raw: self.raw.burst(), fed, port, cut_bytes, time_ns: 0, read_ns: 0, epoch: Epoch(0), begins: false }
    }

    /// Replaces what `burst` holds by what has come. An idle poll of a live queue still tells a new epoch.
    #[inline]
    pub fn poll(&mut self, burst: &mut Burst) {
        self.raw.poll(&mut burst.raw);
        self.stamp(burst);
    }

    /// A parcel for another core, empty.
    pub fn parcel(&self) -> Parcel {
        Parcel { raw: self.raw.parcel(), port: self.port, cut_bytes: self.cut_bytes, time_ns: 0, epoch: Epoch(0) }
    }

    /// As [`Self::poll`], of a live queue. But if as many frames have come as `burst` may hold they go into the parcel, with
    /// the time of this poll: then `burst` holds none, and this is true.
    #[inline]
    pub fn poll_or_pack(&mut self, burst: &mut Burst, parcel: &mut Parcel) -> bool {
        let packed = self.raw.poll_or_pack(&mut burst.raw, &mut parcel.raw);
        self.stamp(burst);
        (parcel.port, parcel.cut_bytes) = (burst.port, burst.cut_bytes);
        (parcel.time_ns, parcel.epoch) = (burst.time_ns, burst.epoch);
        packed
    }

    /// What this poll's frames have in common.
    #[inline]
    fn stamp(&mut self, burst: &mut Burst) {
        (burst.port, burst.cut_bytes) = (self.port, self.cut_bytes);
        burst.fed = matches!(self.source, Source::Fed);
        burst.begins = false;
        if let Source::Live { base_window_ns, timeline } = &self.source {
            let (read_ns, now_ns) = timeline.read();
            burst.read_ns = read_ns;
            // What is made good of the clock may stop it for a moment, never turn it back.
            burst.time_ns = burst.time_ns.max(now_ns);
            burst.epoch = Epoch::of(burst.time_ns, *base_window_ns);
            burst.begins = self.told != Some(burst.epoch);
            self.told = Some(burst.epoch);
        }
    }
}

/// A poll's frames on their way to another core. They keep the time of that poll.
#[derive(Debug)]
pub struct Parcel {
    raw: dpdk::Parcel,
    port: u16,
    cut_bytes: u32,
    time_ns: u64,
    epoch: Epoch,
}

impl Parcel {
    /// Frames in it.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The epoch in which it was polled.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }
}

impl Burst {
    /// Frames in it; in replay its marks count too. 0: the poll was idle.
    #[inline]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether the poll was idle.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// From the next poll on it takes so many frames at most.
    #[inline]
    pub fn limit(&mut self, frames: usize) {
        self.raw.limit(frames);
    }

    /// When the last poll of a live queue was, by the timeline.
    #[inline]
    pub const fn time_ns(&self) -> u64 {
        self.time_ns
    }

    /// When that was by the monotonic clock, whose zero is any moment; 0 where none was read, as in a replay.
    #[inline]
    pub const fn read_ns(&self) -> u64 {
        self.read_ns
    }

    /// Replaces the content by what the parcel holds, which then is empty. The time is the parcel's own: such a burst is kept
    /// apart from the one that holds the lcore's clock.
    #[inline]
    pub fn unpack(&mut self, parcel: &mut Parcel) {
        self.raw.unpack(&mut parcel.raw);
        (self.port, self.cut_bytes) = (parcel.port, parcel.cut_bytes);
        (self.time_ns, self.epoch) = (parcel.time_ns, parcel.epoch);
        (self.fed, self.begins) = (false, false);
    }

    /// Index of the port that its frames came to.
    #[inline]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The epoch of the last poll of a live queue.
    #[inline]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Gives the frames back to the driver's pool now, rather than at the next poll.
    #[inline]
    pub fn clear(&mut self) {
        self.raw.clear();
        self.begins = false;
    }

    /// What a live queue gave: whether its epoch is news, which then begins before the frames, and the frames. None of a fed one,
    /// whose events are to be looked at one by one.
    #[inline]
    pub fn live(&self) -> Option<(Option<Epoch>, LiveFrames<'_>)> {
        (!self.fed).then_some((self.begins.then_some(self.epoch), LiveFrames(self)))
    }

    /// What came, in order.
    #[inline]
    pub fn events(&self) -> Events<'_> {
        Events { burst: self, begins: self.begins, next: 0 }
    }

    #[inline]
    fn event(&self, index: usize) -> Option<Event<'_>> {
        let frame = self.raw.frame(index)?;
        if self.fed { Some(fed(frame, self.raw.tag(index)?)) } else { Some(Event::Frame(self.frame(frame))) }
    }

    #[inline]
    fn frame<'a>(&self, raw: dpdk::RawFrame<'a>) -> Frame<'a> {
        let cut = raw.total_bytes >= self.cut_bytes;
        Frame {
            bytes: raw.bytes,
            wire_bytes: if cut { uncut_bytes(raw) } else { raw.total_bytes },
            captured_bytes: raw.total_bytes,
            time_ns: self.time_ns,
            epoch: self.epoch,
            port: self.port,
            link: LinkType::Ethernet,
            late: false,
        }
    }
}

/// The frames of a live queue's burst.
#[derive(Clone, Copy, Debug)]
pub struct LiveFrames<'a>(&'a Burst);

impl<'a> Frames<'a> for LiveFrames<'a> {
    #[inline]
    fn count(self) -> usize {
        self.0.len()
    }

    #[inline]
    fn at(self, at: usize) -> Option<Frame<'a>> {
        self.0.raw.frame(at).map(|raw| self.0.frame(raw))
    }
}

/// The events of one burst.
#[derive(Debug)]
pub struct Events<'a> {
    burst: &'a Burst,
    begins: bool,
    next: usize,
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    #[inline]
    fn next(&mut self) -> Option<Event<'a>> {
        if self.begins {
            self.begins = false;
            return Some(Event::Epoch(self.burst.epoch));
        }
        let event = self.burst.event(self.next)?;
        self.next += 1;
        Some(event)
    }
}

#[inline]
fn fed(raw: dpdk::RawFrame<'_>, tag: FrameTag) -> Event<'_> {
    match tag.flags & (FLAG_MARK | FLAG_END) {
        0 => Event::Frame(Frame {
            bytes: raw.bytes,
            wire_bytes: tag.wire_bytes,
            captured_bytes: tag.captured_bytes,
            time_ns: tag.time_ns,
            epoch: Epoch(tag.epoch),
            port: tag.port,
            link: link(tag.link),
            late: tag.flags & FLAG_LATE != 0,
        }),
        FLAG_MARK => Event::Epoch(Epoch(tag.epoch)),
        _ => Event::End,
    }
}

const fn link(number: u8) -> LinkType {
    match number {
        1 => LinkType::RawIp,
        2 => LinkType::LinuxCooked,
        3 => LinkType::LinuxCooked2,
        4 => LinkType::Loopback,
        _ => LinkType::Ethernet,
    }
}

/// The length that a frame had before the driver cut it, as its IP header tells; where it has none readable, what is left.
#[cold]
fn uncut_bytes(raw: dpdk::RawFrame<'_>) -> u32 {
    ip_frame_bytes(raw.bytes).unwrap_or(0).max(raw.total_bytes)
}

/// Ethernet, VLAN tags and the IP header's own length.
fn ip_frame_bytes(frame: &[u8]) -> Option<u32> {
    let word = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    let mut at = 12;
    for _ in 0..=crate::limits::VLAN_TAGS_MAX {
        let start = u32::try_from(at + 2).ok()?;
        match word(at)? {
            0x8100 | 0x88a8 | 0x9100 => at += 4,
            0x0800 => return Some(start + u32::from(word(at + 4)?)),
            0x86dd => return Some(start + 40 + u32::from(word(at + 6)?)),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(types: &[u16], ip: &[u8]) -> Vec<u8> {
        let mut bytes = vec![2; 12];
        for (at, number) in types.iter().enumerate() {
            bytes.extend(number.to_be_bytes());
            if at + 1 < types.len() {
                bytes.extend([0, 7]);
            }
        }
        bytes.extend(ip);
        bytes
    }

    #[test]
    fn the_ip_length_tells_what_was_cut() {
        let v4 = [0x45, 0, 0x23, 0x28, 0, 0];
        assert_eq!(ip_frame_bytes(&frame(&[0x0800], &v4)), Some(14 + 9_000));
        assert_eq!(ip_frame_bytes(&frame(&[0x88a8, 0x8100, 0x0800], &v4)), Some(22 + 9_000));
        assert_eq!(ip_frame_bytes(&frame(&[0x86dd], &[0x60, 0, 0, 0, 0x23, 0x28])), Some(14 + 40 + 9_000));
        for bad in [frame(&[0x0806], &v4), frame(&[0x8100], &[]), frame(&[0x8100; 40], &v4), vec![0; 13], Vec::new()] {
            assert_eq!(ip_frame_bytes(&bad), None);
        }
    }

    #[test]
    fn link_types_survive_the_tag() {
        let all = [LinkType::Ethernet, LinkType::RawIp, LinkType::LinuxCooked, LinkType::LinuxCooked2, LinkType::Loopback];
        assert!(all.into_iter().all(|kind| link(kind as u8) == kind));
    }
}
