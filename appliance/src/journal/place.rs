//! Where one sink is.

use std::collections::VecDeque;

use super::losses::{Losses, Lost};
use super::marks::{Mark, Untold};
use super::queue::{Hole, Queue};
use super::store::Held;
use super::telling::{KINDS, OWN, Reached, Telling};
use super::{Message, WindowOf};

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
    /// Of these, those that were damaged.
    pub damaged: u64,
    /// Messages read and not settled.
    pub in_flight: u64,
    /// Messages not yet read; of a sink that is gone, those that it left unread.
    pub unread: u64,
}

impl CursorState {
    /// The same sink in another lane, added to this one.
    pub(super) fn add(&mut self, other: &Self) {
        let Self { sink: _, backlog, committed, overflow, damaged, in_flight, unread } = other;
        self.backlog += backlog;
        self.committed += committed;
        self.overflow += overflow;
        self.damaged += damaged;
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
    /// Those that were read and not settled, oldest first.
    in_flight: VecDeque<Lost>,
    /// Positions of earlier runs that are settled, or were counted as lost, behind some that are neither.
    known: Vec<Hole>,
    pub(super) overflow: u64,
    damaged: u64,
    /// What it was given and nobody has any more: the first position, how many, and what they are.
    adrift: Option<(u64, u64, Untold)>,
    /// Window of the last message that it read, or lost.
    seen: Option<WindowOf>,
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
            known: Vec::new(),
            overflow: 0,
            damaged: 0,
            adrift: None,
            seen: None,
            lost_configs: 0,
            telling: Default::default(),
            left: None,
            taken: false,
        }
    }

    /// As an earlier run left it, in a lane that goes on from `begin`: what that could not tell any more, and what the sink had been given
    /// and not settled, which nobody has any more.
    pub(super) fn left(sink: &str, mark: &Mark, begin: u64) -> Self {
        let mut place = Self::new(sink, mark.position);
        place.known.clone_from(&mark.counted);
        place.begin += place.known_within(&[], mark.position, begin);
        if let Some(untold) = &mark.untold {
            place.telling = untold.each_ref().map(|told| Telling::again(Losses::again(told)));
        }
        if let Some((count, [own, flows, logs])) = &mark.adrift {
            place.begin = place.begin.saturating_sub(*count);
            place.overflow += count;
            let lost = [Losses::again(own).at_first(), Losses::again(flows), Losses::again(logs)];
            place.telling.iter_mut().zip(lost).for_each(|(telling, lost)| telling.now.merge(lost));
        }
        place
    }

    /// What lay before the oldest segment fell off with others, of which nothing is known any more.
    pub(super) fn miss(&mut self, oldest: u64) {
        if self.wants(oldest) {
            let lost = oldest - self.next - self.known_within(&[], self.next, oldest);
            self.telling[OWN].now.other_windows += lost;
            (self.overflow, self.next) = (self.overflow + lost, oldest);
        }
    }

    /// Positions between two of which it is known already what became of them.
    fn known_within(&self, holes: &[Hole], from: u64, to: u64) -> u64 {
        Hole::within(holes, from, to) + Hole::within(&self.known, from, to)
    }

    /// The next position that it wants: none that an earlier run has settled or counted.
    pub(super) fn wanted(&mut self) -> u64 {
        if let Some(Hole(from, to)) = self.known.get(self.known.partition_point(|Hole(_, end)| *end <= self.next))
            && *from <= self.next
        {
            self.next = *to;
        }
        self.next
    }

    /// Where it goes on after a restart, what is known behind that, and what is to be told: of what it has been given and not settled
    /// the next run gives it what is on the disk once more, and counts the rest as lost.
    pub(super) fn mark(&mut self, queue: &Queue) -> Mark {
        let (oldest, holes) = (queue.oldest(), queue.holes());
        let is_gone = |lost: &&Lost| lost.position < oldest || Hole::within(holes, lost.position, lost.position + 1) > 0;
        let mut there = self.in_flight.iter().filter(|lost| !is_gone(lost)).map(|lost| lost.position).peekable();
        let position = there.peek().copied().unwrap_or(self.next);
        let mut counted: Vec<Hole> = Vec::new();
        let mut at = position;
        for position in there.chain([self.next]) {
            if at < position {
                counted.push(Hole(at, position));
            }
            at = position + 1;
        }
        counted.extend(self.known.iter().filter(|Hole(_, to)| *to > self.next).map(|Hole(from, to)| Hole(self.next.max(*from), *to)));
        let mut gone = self.in_flight.iter().filter(is_gone).peekable();
        let adrift = gone.peek().map(|first| first.position).map(|first| (first, gone.clone().count() as u64));
        // They stay as they are while the sink is away, and a lock is held.
        if self.adrift.as_ref().map(|(first, count, _)| (*first, *count)) != adrift {
            let mut losses = <[Losses; KINDS]>::default();
            gone.for_each(|lost| lose(&mut losses.each_mut(), lost, &self.sink));
            self.adrift = adrift.map(|(first, count)| (first, count, losses.map(|losses| losses.told(&self.sink))));
        }
        let adrift = self.adrift.as_ref().map(|(_, count, told)| (*count, told.clone()));
        Mark { position, counted, adrift, untold: self.untold() }
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
    fn untold(&self) -> Option<Untold> {
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
    pub(super) fn read(&mut self, position: u64, message: &Message) {
        self.next = position + 1;
        self.seen = Some(message.window);
        self.in_flight.push_back(Lost::of(position, message));
    }

    /// The oldest ones are settled.
    pub(super) fn commit(&mut self, count: u64) {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.in_flight.len());
        self.in_flight.drain(..count);
        self.committed += count as u64;
    }

    /// The oldest that it has not settled.
    pub(super) fn unsettled(&self) -> u64 {
        self.in_flight.front().map_or(self.next, |lost| lost.position)
    }

    /// The message there is nowhere any more; what it has not read before it is damaged.
    pub(super) fn lose(&mut self, lost: &Lost, holes: &[Hole]) {
        if !self.wants(lost.position + 1) {
            return;
        }
        self.skip(lost.position, holes, Some(lost.window));
        if self.known_within(holes, lost.position, lost.position + 1) == 0 {
            self.count(lost);
        }
        (self.next, self.seen) = (lost.position + 1, Some(lost.window));
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
        lose(&mut self.telling.each_mut().map(|telling| &mut telling.now), lost, &self.sink);
    }

    /// What it has not read before `to`, where a message of a window is, is damaged, but for what is known: that was counted when it fell
    /// off. How many are lost.
    pub(super) fn skip(&mut self, to: u64, holes: &[Hole], behind: Option<WindowOf>) -> u64 {
        if !self.wants(to) {
            return 0;
        }
        let lost = to - self.next - self.known_within(holes, self.next, to);
        let start_ns = self.seen.map_or(0, |before| before.start_ns);
        let end_ns = behind.map_or(u64::MAX, |behind| behind.end_ns);
        self.telling[OWN].now.add_damaged(lost, WindowOf { start_ns, end_ns });
        (self.overflow, self.damaged, self.next) = (self.overflow + lost, self.damaged + lost, to);
        lost
    }

    /// Nothing was ever there before `to`: an earlier run counted it, or this one did when it made the hole.
    pub(super) fn pass(&mut self, to: u64, holes: &[Hole]) {
        if self.wants(to) {
            let known = self.known_within(holes, self.next, to);
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
                    self.skip(*from, holes, None);
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
        end - self.next - self.known_within(queue.holes(), self.next, end)
    }

    pub(super) fn state(&self, queue: &Queue, begin: u64) -> CursorState {
        CursorState {
            sink: self.sink.clone(),
            backlog: begin - self.begin,
            committed: self.committed,
            overflow: self.overflow,
            damaged: self.damaged,
            in_flight: self.in_flight.len() as u64,
            unread: self.left.unwrap_or_else(|| self.unread(queue)),
        }
    }
}

/// A sink does not get this one. Of an account: nor what that says.
fn lose(losses: &mut [&mut Losses; KINDS], lost: &Lost, sink: &str) {
    losses[OWN].add(lost);
    for (losses, again) in losses.iter_mut().zip(lost.untold(sink).into_iter().flatten()) {
        losses.merge(again);
    }
}
