//! Where one sink is.

use std::collections::VecDeque;

use super::losses::{Losses, Lost};
use super::marks::Untold;
use super::queue::{Hole, Queue};
use super::store::Held;
use super::telling::{KINDS, OWN, Reached, Telling};

/// Where one sink stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorState {
    /// The sink's name.
    pub sink: String,
    /// Messages that waited for it when the journal was opened.
    pub backlog: u64,
    /// Messages that it has read and settled (delivered, or given up and counted by the sink).
    pub committed: u64,
    /// Messages that fell off before it had read them, or were damaged; of a sink that is gone, also those that came after it.
    pub overflow: u64,
    /// Messages read and not settled.
    pub in_flight: u64,
    /// Messages not yet read; of a sink that is gone, those that it left unread.
    pub unread: u64,
}

impl CursorState {
    /// The same sink in another lane, added to this one.
    pub(super) fn add(&mut self, other: &Self) {
        let Self { sink: _, backlog, committed, overflow, in_flight, unread } = other;
        self.backlog += backlog;
        self.committed += committed;
        self.overflow += overflow;
        self.in_flight += in_flight;
        self.unread += unread;
    }

    /// Messages that still wait for this sink.
    pub const fn behind(&self) -> u64 {
        self.in_flight + self.unread
    }
}

#[derive(Debug)]
pub(super) struct Place {
    pub(super) sink: String,
    begin: u64,
    /// Next position to read.
    pub(super) next: u64,
    /// Read and settled.
    committed: u64,
    /// Positions of those that were read and not settled, oldest first.
    in_flight: VecDeque<u64>,
    pub(super) overflow: u64,
    /// Configurations that it lost, in parts.
    pub(super) lost_configs: u64,
    /// What it lost of this lane, and what it is to be told once more since it lost the account that said so.
    telling: [Telling; KINDS],
    /// Once its cursor is gone: what it had not read by then. It holds nothing back; what comes later it has missed.
    left: Option<u64>,
    pub(super) taken: bool,
}

impl Place {
    pub(super) fn new(sink: &str, at: u64) -> Self {
        Self {
            sink: sink.to_owned(),
            begin: at,
            next: at,
            committed: 0,
            in_flight: VecDeque::new(),
            overflow: 0,
            lost_configs: 0,
            telling: Default::default(),
            left: None,
            taken: false,
        }
    }

    /// As an earlier run left it, which could not tell any more what it had lost.
    pub(super) fn with_untold(mut self, untold: Option<&Untold>) -> Self {
        if let Some(untold) = untold {
            self.telling = untold.each_ref().map(|told| Telling::again(Losses::again(told)));
        }
        self
    }

    /// What it lost of a kind since this was asked last, for an account that is appended next.
    pub(super) fn take(&mut self, kind: usize) -> Losses {
        self.telling[kind].take()
    }

    /// An account was appended there.
    pub(super) fn account_is_at(&mut self, lane: &Reached, position: u64) {
        self.telling.iter_mut().for_each(|telling| telling.appended(lane, position));
    }

    /// What nobody would tell if this run were killed now.
    pub(super) fn untold(&self) -> Option<Untold> {
        let all = self.telling.each_ref().map(Telling::untold);
        all.iter().any(|losses| !losses.is_empty()).then(|| all.map(|losses| losses.told(&self.sink)))
    }

    /// The first that some sink has yet to read; none if none has any.
    pub(super) fn needed(places: &[Self]) -> Option<u64> {
        places.iter().filter(|place| !place.has_left()).map(|place| place.next).min()
    }

    pub(super) const fn has_left(&self) -> bool {
        self.left.is_some()
    }

    /// Whether it has yet to read something before this.
    pub(super) const fn wants(&self, end: u64) -> bool {
        !self.has_left() && self.next < end
    }

    /// It has read the message there.
    pub(super) fn read(&mut self, position: u64) {
        self.next = position + 1;
        self.in_flight.push_back(position);
    }

    /// The oldest ones are settled.
    pub(super) fn commit(&mut self, count: u64) {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.in_flight.len());
        self.in_flight.drain(..count);
        self.committed += count as u64;
    }

    /// Where it goes on after a restart.
    pub(super) fn unsettled(&self) -> u64 {
        self.in_flight.front().copied().unwrap_or(self.next)
    }

    /// The message there is nowhere any more; what it has not read before it is damaged.
    pub(super) fn lose(&mut self, lost: &Lost, holes: &[Hole]) {
        if !self.wants(lost.position + 1) {
            return;
        }
        self.skip(lost.position, holes);
        if Hole::within(holes, lost.position, lost.position + 1) == 0 {
            self.count(lost);
        }
        self.next = lost.position + 1;
    }

    /// The message there fell out of the queue, and is in a hole from now on.
    pub(super) fn lose_unsaved(&mut self, lost: &Lost) {
        if !self.wants(lost.position + 1) {
            return;
        }
        self.count(lost);
        if self.next == lost.position {
            self.next += 1;
        }
    }

    /// It does not get this one. Of an account: nor what that says.
    fn count(&mut self, lost: &Lost) {
        self.overflow += 1;
        self.lost_configs += u64::from(lost.is_config());
        self.telling[OWN].now.add(lost);
        for (telling, again) in self.telling.iter_mut().zip(lost.untold(&self.sink).into_iter().flatten()) {
            telling.now.merge(again);
        }
    }

    /// What it has not read before `to` is damaged, but for what is in holes: that was counted when it fell off. How many are lost.
    pub(super) fn skip(&mut self, to: u64, holes: &[Hole]) -> u64 {
        if !self.wants(to) {
            return 0;
        }
        let lost = to - self.next - Hole::within(holes, self.next, to);
        self.telling[OWN].now.damaged += lost;
        (self.overflow, self.next) = (self.overflow + lost, to);
        lost
    }

    /// Nothing was ever there before `to`: an earlier run counted it, or this one did when it made the hole.
    pub(super) fn pass(&mut self, to: u64, holes: &[Hole]) {
        if self.wants(to) {
            let known = Hole::within(holes, self.next, to);
            self.begin += to - self.next - known;
            self.next = to;
        }
    }

    /// A segment goes, of which this is known.
    pub(super) fn lose_all(&mut self, held: &[Held], holes: &[Hole]) {
        for held in held {
            match held {
                Held::Message(lost) => self.lose(lost, holes),
                Held::Gap { from, to } => {
                    self.skip(*from, holes);
                    self.pass(*to, holes);
                }
            }
        }
    }

    /// Its cursor is gone.
    pub(super) fn leave(&mut self, queue: &Queue) {
        self.left = Some(self.unread(queue));
    }

    fn unread(&self, queue: &Queue) -> u64 {
        let end = queue.end();
        end - self.next - Hole::within(queue.holes(), self.next, end)
    }

    pub(super) fn state(&self, queue: &Queue, begin: u64) -> CursorState {
        CursorState {
            sink: self.sink.clone(),
            backlog: begin - self.begin,
            committed: self.committed,
            overflow: self.overflow,
            in_flight: self.in_flight.len() as u64,
            unread: self.left.unwrap_or_else(|| self.unread(queue)),
        }
    }
}
