//! Messages in memory, and which are on disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::losses::Lost;
use super::segment::Segment;
use super::watch::Watch;
use super::{Bound, Message};

/// Of what is on disk so much stays in memory, for sinks that keep up.
const KEPT_BYTES: usize = 32 << 20;

/// Positions of messages that fell off before they were on disk, or that an earlier run counted: from, up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole(pub(super) u64, pub(super) u64);

impl Hole {
    /// Positions between two that are in holes.
    pub(super) fn within(holes: &[Self], from: u64, to: u64) -> u64 {
        let holes = holes.iter().skip(holes.partition_point(|Self(_, end)| *end <= from));
        holes.take_while(|Self(start, _)| *start < to).map(|Self(start, end)| (*end).min(to).saturating_sub((*start).max(from))).sum()
    }
}

/// One more, among those that there are: in their order, and those that touch are one.
fn dig(holes: &mut Vec<Hole>, Hole(start, end): Hole) {
    let from = holes.partition_point(|Hole(_, other)| *other < start);
    let to = holes.partition_point(|Hole(other, _)| *other <= end);
    let touched = &holes[from..to.max(from)];
    let whole = touched.iter().fold(Hole(start, end), |Hole(start, end), Hole(s, e)| Hole(start.min(*s), end.max(*e)));
    holes.splice(from..to.max(from), [whole]);
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct Unsaved {
    /// What is written ends there; from there up to the first message nothing is left.
    pub(super) behind: u64,
    /// Position of the first message.
    pub(super) first: u64,
    pub(super) messages: Vec<Arc<Message>>,
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
    /// All before are in segments, or gone,
    saved: u64,
    /// and all before this have reached the disk.
    synced: u64,
    /// All before are in segments, or are just being written.
    writing: u64,
    /// Oldest first.
    segments: VecDeque<Segment>,
    /// Oldest first, apart from each other.
    holes: Vec<Hole>,
    fault: Option<String>,
    /// Something was written since it last refused.
    rose: bool,
    /// The segment, by its first position, that is just being removed.
    going: Option<u64>,
    /// Whether it answers.
    watch: Watch,
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
        let disk = segments.map(|segments| OnDisk {
            saved: front,
            synced: front,
            writing: front,
            segments: segments.into(),
            holes: Vec::new(),
            fault: None,
            rose: false,
            going: None,
            watch: Watch::default(),
        });
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
        let hangs = || disk.watch.hangs().then(|| "the disk does not answer".to_owned());
        (disk.segments.iter().map(|segment| segment.bytes).sum(), disk.fault.clone().or_else(hangs))
    }

    /// Where what is on disk begins, or is going to: what was before has gone.
    pub(super) fn oldest(&self) -> u64 {
        self.disk.as_ref().map_or(0, |disk| disk.segments.front().map_or(disk.saved, |segment| segment.first))
    }

    /// Whether there is a disk at all.
    pub(super) const fn is_on_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Whether the disk takes nothing at present.
    pub(super) fn is_refused(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.fault.is_some())
    }

    /// Whether it does not answer.
    pub(super) fn hangs(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.watch.hangs())
    }

    /// Messages that have not reached the disk, where there is one.
    pub(super) fn unsynced_messages(&self) -> u64 {
        self.disk.as_ref().map_or(0, |disk| self.end() - disk.synced.clamp(self.front, self.end()))
    }

    /// All before have reached the disk; without one, all that is and comes.
    pub(super) fn reached(&self) -> u64 {
        self.disk.as_ref().map_or(u64::MAX, |disk| disk.synced)
    }

    /// Whether all messages have reached the disk.
    pub(super) fn is_synced(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.synced >= self.end())
    }

    /// The disk is asked something, or has answered. Whether it is said that it hangs.
    pub(super) fn asks(&mut self, asked: Option<Instant>) -> bool {
        self.disk.as_mut().is_some_and(|disk| disk.watch.asks(asked))
    }

    /// Whether it is to be said that the disk hangs.
    pub(super) fn begins_to_hang(&mut self) -> bool {
        self.disk.as_mut().is_some_and(|disk| disk.watch.begins_to_hang())
    }

    pub(super) fn holes(&self) -> &[Hole] {
        self.disk.as_ref().map_or(&[], |disk| &disk.holes)
    }

    pub(super) fn push(&mut self, message: Arc<Message>) {
        self.bytes += message.bytes();
        self.messages.push_back(message);
    }

    /// What no sink needs any more need not stay, nor what has reached the disk, but for the newest of it.
    pub(super) fn forget(&mut self, needed: Option<u64>) {
        let (end, synced) = (self.end(), self.disk.as_ref().map(|disk| disk.synced));
        let needed = needed.unwrap_or(end);
        let may_go = |at: u64, bytes: usize| match synced {
            None => at < needed,
            Some(synced) => at < synced && (at < needed || bytes > KEPT_BYTES),
        };
        while may_go(self.front, self.bytes) && self.pop().is_some() {}
    }

    pub(super) fn is_over(&self) -> bool {
        self.messages.len() > self.bound.messages || (self.bytes > self.bound.bytes && self.messages.len() > 1)
    }

    /// The oldest one goes: what is lost with it, if it is not on disk.
    pub(super) fn drop_oldest(&mut self) -> Option<Lost> {
        let at = self.front;
        let message = self.pop()?;
        let Some(disk) = &mut self.disk else { return Some(Lost::of(at, &message)) };
        // What is just being written is lost only if the disk does not take it.
        if at < disk.saved || at < disk.writing {
            return None;
        }
        dig(&mut disk.holes, Hole(at, at + 1));
        Some(Lost::of(at, &message))
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
            Some(disk) if disk.fault.is_none() && !disk.watch.hangs() => disk.saved.max(self.front).min(self.end()),
            _ => self.end(),
        };
        let hole = self.holes().get(self.holes().partition_point(|Hole(_, end)| *end <= at));
        let at = hole.filter(|Hole(start, _)| *start <= at).map_or(at, |Hole(_, end)| *end);
        // What is being written, and has left memory meanwhile, is nowhere until the disk has answered.
        let is_on_its_way = |disk: &OnDisk| (disk.saved..disk.writing.min(self.front)).contains(&at);
        if at >= readable || self.disk.as_ref().is_some_and(is_on_its_way) {
            return (at, Lies::Nowhere);
        }
        if let Some(message) = at.checked_sub(self.front).and_then(|at| self.messages.get(usize::try_from(at).ok()?)) {
            return (at, Lies::Here(Arc::clone(message)));
        }
        let segment = self.disk.as_ref().and_then(|disk| disk.segments.get(disk.segments.partition_point(|segment| segment.end <= at)));
        (at, Lies::OnDisk(segment.cloned()))
    }

    /// Whether this segment is just being removed, or is no more.
    pub(super) fn goes(&self, segment: &Segment) -> bool {
        let is_there = |disk: &OnDisk| disk.segments.binary_search_by_key(&segment.first, |other| other.first).is_ok();
        self.disk.as_ref().is_none_or(|disk| disk.going == Some(segment.first) || !is_there(disk))
    }

    /// Those that are to be written, up to so many bytes and one.
    pub(super) fn unsaved(&mut self, bytes_max: usize) -> Option<Unsaved> {
        let disk = self.disk.as_mut()?;
        let first = disk.saved.max(self.front);
        let mut bytes = 0;
        let takes = |message: &&Arc<Message>| {
            let has_room = bytes < bytes_max;
            bytes += message.bytes();
            has_room
        };
        let messages = self.messages.iter().skip(usize::try_from(first - self.front).ok()?);
        let messages: Vec<_> = messages.take_while(takes).cloned().collect();
        if messages.is_empty() {
            return None;
        }
        disk.writing = first + messages.len() as u64;
        Some(Unsaved { behind: disk.saved, first, messages })
    }

    /// The active segment was written to.
    pub(super) fn saved(&mut self, active: Segment) {
        let Some(disk) = &mut self.disk else { return };
        (disk.saved, disk.rose) = (disk.saved.max(active.end), true);
        match disk.segments.back_mut() {
            Some(last) if last.first == active.first => *last = active,
            _ => disk.segments.push_back(active),
        }
    }

    /// What was written has reached the disk. Whether it had refused before.
    pub(super) fn synced(&mut self) -> bool {
        let Some(disk) = &mut self.disk else { return false };
        disk.synced = disk.saved;
        // A disk that took nothing since it refused may refuse still.
        disk.rose && disk.fault.take().is_some()
    }

    /// What was being written was not: what of it fell off meanwhile is lost. It is in `messages`, with their first position.
    pub(super) fn unwritten(&mut self, first: u64, messages: &[Arc<Message>]) -> Vec<Lost> {
        let front = self.front;
        let Some(disk) = &mut self.disk else { return Vec::new() };
        disk.writing = disk.saved;
        let fell = (first..front).zip(messages).filter(|(at, _)| *at >= disk.saved);
        let lost: Vec<Lost> = fell.map(|(at, message)| Lost::of(at, message)).collect();
        if let (Some(from), Some(to)) = (lost.first(), lost.last()) {
            dig(&mut disk.holes, Hole(from.position, to.position + 1));
        }
        lost
    }

    /// What was written since it last reached the disk may never do so: as far as it is still here, it is written again. Up to
    /// where what is written stays.
    pub(super) fn unsynced(&mut self) -> u64 {
        let Some(disk) = &mut self.disk else { return 0 };
        disk.saved = disk.synced.max(self.front).min(disk.saved);
        disk.writing = disk.saved;
        if let Some(last) = disk.segments.back_mut() {
            last.end = last.end.min(disk.saved);
            if last.end <= last.first {
                disk.segments.pop_back();
            }
        }
        disk.saved
    }

    /// The disk refused. Whether that is news.
    pub(super) fn refused(&mut self, fault: &str) -> bool {
        self.disk.as_mut().is_some_and(|disk| {
            disk.rose = false;
            disk.fault.replace(fault.to_owned()).is_none()
        })
    }

    /// The oldest segment, if another follows: it goes, unless it is told otherwise.
    pub(super) fn begin_to_drop(&mut self) -> Option<Segment> {
        let disk = self.disk.as_mut().filter(|disk| disk.segments.len() > 1)?;
        let oldest = disk.segments.front()?.clone();
        disk.going = Some(oldest.first);
        Some(oldest)
    }

    /// It stays: it cannot be removed.
    pub(super) fn stays(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.going = None;
        }
    }

    /// It is gone.
    pub(super) fn dropped(&mut self, segment: &Segment) {
        let Some(disk) = &mut self.disk else { return };
        disk.going = None;
        disk.segments.retain(|other| other.first != segment.first);
        disk.holes.retain(|Hole(_, end)| *end > segment.end);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::tests::message;
    use super::*;

    proptest! {
        #[test]
        fn holes_are_apart_and_know_what_is_in_them(dug in prop::collection::vec((0..60_u64, 1..9_u64), 0..30), from in 0..70_u64, len in 0..70_u64) {
            let (mut holes, mut set) = (Vec::new(), BTreeSet::new());
            for (start, len) in dug {
                dig(&mut holes, Hole(start, start + len));
                set.extend(start..start + len);
            }
            prop_assert!(holes.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", holes);
            prop_assert!(holes.iter().flat_map(|Hole(start, end)| *start..*end).eq(set.iter().copied()));
            prop_assert_eq!(Hole::within(&holes, from, from + len), set.range(from..from + len).count() as u64);
            let mut queue = Queue::new(Bound { messages: 100, bytes: 1 << 20 }, 0, Some(Vec::new()));
            (0..80).for_each(|n| queue.push(Arc::new(message(n, 8))));
            queue.refused("no");
            queue.disk.as_mut().unwrap().holes = holes;
            prop_assert_eq!(queue.find(from).0, (from..).find(|at| !set.contains(at)).unwrap());
        }
    }

    /// A disk that refuses for a day: each attempt that failed leaves a hole beside the one before.
    #[test]
    fn what_falls_off_while_a_disk_refuses_is_one_hole() {
        let mut queue = Queue::new(Bound { messages: 2, bytes: 1 << 20 }, 0, Some(Vec::new()));
        (0..2).for_each(|n| queue.push(Arc::new(message(n, 8))));
        for n in 2..1_000 {
            let unsaved = queue.unsaved(1 << 20).unwrap();
            queue.push(Arc::new(message(n, 8)));
            assert!(queue.drop_oldest().is_none());
            assert_eq!(queue.unwritten(unsaved.first, &unsaved.messages).len(), 1);
            assert_eq!(queue.holes().len(), 1);
        }
        queue.refused("no");
        assert_eq!(queue.find(0).0, 998);
    }
}
