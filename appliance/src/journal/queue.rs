//! Messages in memory, and which are on disk.

use std::collections::VecDeque;
use std::sync::Arc;

use super::losses::Lost;
use super::segment::Segment;
use super::{Bound, Message};

/// Of what is on disk so much stays in memory, for sinks that keep up.
const KEPT_BYTES: usize = 32 << 20;

/// Positions of messages that fell off before they were on disk: from, up to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hole(u64, u64);

impl Hole {
    /// Positions between two that are in holes.
    pub(super) fn within(holes: &[Self], from: u64, to: u64) -> u64 {
        holes.iter().map(|Self(start, end)| (*end).min(to).saturating_sub((*start).max(from))).sum()
    }
}

/// Where a message is to be read.
pub(super) enum Lies {
    /// Here.
    Here(Arc<Message>),
    /// In this segment, or in none.
    OnDisk(Option<Segment>),
    /// It may not be read yet.
    Nowhere,
}

#[derive(Debug)]
struct OnDisk {
    /// All before are in segments, or gone.
    saved: u64,
    /// Oldest first.
    segments: VecDeque<Segment>,
    holes: Vec<Hole>,
    fault: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    bound: Bound,
    messages: VecDeque<Arc<Message>>,
    /// Position of the first of them; positions count up with each message.
    front: u64,
    bytes: usize,
    disk: Option<OnDisk>,
}

impl Queue {
    /// An empty one, from this position on, behind these segments if it is on disk.
    pub(super) fn new(bound: Bound, front: u64, segments: Option<Vec<Segment>>) -> Self {
        let bound = Bound { messages: bound.messages.max(1), ..bound };
        let disk = segments.map(|segments| OnDisk { saved: front, segments: segments.into(), holes: Vec::new(), fault: None });
        Self { bound, messages: VecDeque::new(), front, bytes: 0, disk }
    }

    /// Behind the last message.
    pub(super) fn end(&self) -> u64 {
        self.front + self.messages.len() as u64
    }

    /// The first one in memory, or behind the last.
    pub(super) const fn front(&self) -> u64 {
        self.front
    }

    /// Messages and bytes in memory.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.messages.len(), self.bytes)
    }

    /// Bytes of segments, and what is wrong with the disk.
    pub(super) fn disk(&self) -> (u64, Option<String>) {
        let Some(disk) = &self.disk else { return (0, None) };
        (disk.segments.iter().map(|segment| segment.bytes).sum(), disk.fault.clone())
    }

    /// Whether the disk takes nothing at present.
    pub(super) fn is_refused(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.fault.is_some())
    }

    /// Whether all messages are on disk.
    pub(super) fn is_saved(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.saved >= self.end())
    }

    pub(super) fn holes(&self) -> &[Hole] {
        self.disk.as_ref().map_or(&[], |disk| &disk.holes)
    }

    pub(super) fn push(&mut self, message: Arc<Message>) {
        self.bytes += message.bytes();
        self.messages.push_back(message);
    }

    /// What no sink needs any more need not stay, nor what is on disk, but for the newest of it.
    pub(super) fn forget(&mut self, needed: Option<u64>) {
        let (end, saved) = (self.end(), self.disk.as_ref().map(|disk| disk.saved));
        let needed = needed.unwrap_or(end);
        let may_go = |at: u64, bytes: usize| match saved {
            None => at < needed,
            Some(saved) => at < saved && (at < needed || bytes > KEPT_BYTES),
        };
        while may_go(self.front, self.bytes) && self.pop().is_some() {}
    }

    pub(super) fn is_over(&self) -> bool {
        self.messages.len() > self.bound.messages || (self.bytes > self.bound.bytes && self.messages.len() > 1)
    }

    /// The oldest one goes: what is lost with it, if it is not on disk.
    pub(super) fn drop_oldest(&mut self) -> Option<Lost> {
        let at = self.front;
        let lost = Lost::of(at, self.pop()?.as_ref());
        let Some(disk) = &mut self.disk else { return Some(lost) };
        if at < disk.saved {
            return None;
        }
        match disk.holes.last_mut() {
            Some(Hole(_, end)) if *end == at => *end += 1,
            _ => disk.holes.push(Hole(at, at + 1)),
        }
        Some(lost)
    }

    fn pop(&mut self) -> Option<Arc<Message>> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.bytes();
        self.front += 1;
        Some(message)
    }

    /// Where the message of a position is, and the next position where there may be one.
    pub(super) fn find(&self, at: u64) -> (u64, Lies) {
        let readable = match &self.disk {
            Some(disk) if disk.fault.is_none() => disk.saved.max(self.front).min(self.end()),
            _ => self.end(),
        };
        let at = self.holes().iter().find(|Hole(start, end)| (*start..*end).contains(&at)).map_or(at, |Hole(_, end)| *end);
        if at >= readable {
            return (at, Lies::Nowhere);
        }
        if let Some(message) = at.checked_sub(self.front).and_then(|at| self.messages.get(usize::try_from(at).ok()?)) {
            return (at, Lies::Here(Arc::clone(message)));
        }
        let segments = self.disk.iter().flat_map(|disk| &disk.segments);
        (at, Lies::OnDisk(segments.into_iter().find(|segment| at < segment.end).cloned()))
    }

    /// Those that are to be written, up to so many bytes and one, and the position of the first.
    pub(super) fn unsaved(&mut self, bytes_max: usize) -> Option<(u64, Vec<Arc<Message>>)> {
        let disk = self.disk.as_mut()?;
        disk.saved = disk.saved.max(self.front);
        let from = usize::try_from(disk.saved - self.front).ok()?;
        let mut bytes = 0;
        let takes = |message: &&Arc<Message>| {
            let has_room = bytes < bytes_max;
            bytes += message.bytes();
            has_room
        };
        let messages: Vec<_> = self.messages.iter().skip(from).take_while(takes).cloned().collect();
        (!messages.is_empty()).then_some((disk.saved, messages))
    }

    /// The active segment was written to. Whether the disk had refused before.
    pub(super) fn saved(&mut self, active: Segment) -> bool {
        let Some(disk) = &mut self.disk else { return false };
        disk.saved = disk.saved.max(active.end);
        match disk.segments.back_mut() {
            Some(last) if last.first == active.first => *last = active,
            _ => disk.segments.push_back(active),
        }
        disk.fault.take().is_some()
    }

    /// The disk refused. Whether that is news.
    pub(super) fn refused(&mut self, fault: &str) -> bool {
        self.disk.as_mut().is_some_and(|disk| disk.fault.replace(fault.to_owned()).is_none())
    }

    /// The oldest segment, if another follows.
    pub(super) fn oldest(&self) -> Option<&Segment> {
        self.disk.as_ref().filter(|disk| disk.segments.len() > 1).and_then(|disk| disk.segments.front())
    }

    /// The oldest segment is gone.
    pub(super) fn dropped(&mut self, segment: &Segment) {
        let Some(disk) = &mut self.disk else { return };
        disk.segments.retain(|other| other.first != segment.first);
        disk.holes.retain(|Hole(_, end)| *end > segment.end);
    }
}
