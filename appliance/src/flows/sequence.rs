//! Sequence numbers: what is lost, what only came late, what came twice, and when an exporter began anew.
//!
//! A number that nothing led to, far ahead of those before or of a new count, may be a forger's or a fault's: alone it changes nothing. If
//! the next one continues it, it was meant: then it tells a large gap, or a new beginning. If the next one goes on as before, it was odd.

use super::steps::{Step, Steps, Units};
use crate::limits::SEQUENCE_HOLES_MAX;

/// A step forward beyond this is a new beginning, not a loss.
const JUMP_MAX: u32 = 1 << 24;
/// A step forward up to this is a loss at once; beyond, when the next number confirms it. What comes so far behind, and fills no hole, came
/// twice; what is further behind is a new beginning.
const NEAR_MAX: u32 = 1 << 12;
/// A start that is this much later than the one known before is another.
const RESTART_MS: u32 = 10_000;
/// No network holds a datagram back for longer: a clock that shows less is one that was set anew.
const HELD_BACK_MS: u64 = 60_000;

/// What one datagram's number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The one expected, or the first.
    Next,
    /// So many units are missing before it.
    Gap(u32),
    /// It was missing and came late: so many units are not lost after all.
    Late(u32),
    /// It was here before.
    Repeated,
    /// Nothing led to it: what comes next says whether it was meant.
    Odd,
    /// The exporter counts anew, since the odd one before; so many units are missing between.
    Restart(u32),
}

/// What a header tells of time beside its number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// When the exporter started, milliseconds modulo 2^32.
    pub(super) started_ms: Option<u32>,
    /// When the datagram was sent, milliseconds by a clock of the exporter's: since 1970, or its uptime.
    pub(super) sent_ms: Option<u64>,
}

/// A datagram's number, its units by the kind that is followed, and its times.
type Taken = (u32, Units, Times);

/// A number that nothing led to.
#[derive(Clone, Copy, Debug)]
struct Odd {
    number: u32,
    units: Units,
    /// Of a new count, not far ahead in the old one.
    is_anew: bool,
}

/// Where a number stands beside those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Next,
    Ahead(u32),
    /// Within that hole.
    Hole(usize),
    Behind,
    Far,
    Anew,
}

/// The numbers of one stream. Units are what its protocol counts: datagrams, records or samples.
#[derive(Clone, Debug, Default)]
pub(super) struct Sequence {
    expected: Option<u32>,
    /// When the exporter started, milliseconds modulo 2^32, where it tells.
    started_ms: Option<u32>,
    /// By how much the next number may be beyond it all the same.
    unsure: u32,
    /// When the last one that was not late was sent, by the exporter's clock.
    sent_ms: Option<u64>,
    odd: Option<Odd>,
    /// Lost, unless its numbers turn out to be steps of something else: the first of them, and how many.
    doubtful_from: u32,
    doubtful: u32,
    steps: Steps,
    /// What is missing: first number, how many, and in which window that was seen. The oldest first.
    holes: Vec<(u32, u32, u32)>,
    /// The window that is open.
    window: u32,
    /// Of what came late last: whether it was missed in this window.
    own: bool,
    /// Numbers that were not as the standard has them, since this was asked last.
    misnumbered: u32,
}

impl Sequence {
    /// What is taken from here on comes in this window.
    pub(super) const fn open(&mut self, window: u32) {
        self.window = window;
    }

    /// Whether what was late ([`Verdict::Late`]) was missed in the window that is open.
    pub(super) const fn is_own(&self) -> bool {
        self.own
    }

    /// Numbers, since this was asked last, that were not as the standard has them: odd ones that nothing continued, and those of an
    /// exporter that counts something else.
    pub(super) const fn misnumbered(&mut self) -> u32 {
        std::mem::replace(&mut self.misnumbered, 0)
    }

    /// Whether it waits for the next number to say what the last one was.
    pub(super) const fn is_in_doubt(&self) -> bool {
        self.odd.is_some() || self.doubtful > 0
    }

    /// When the exporter started, as those told that are followed.
    pub(super) const fn started_ms(&self) -> Option<u32> {
        self.started_ms
    }

    /// The start that was told last is no longer the exporter's.
    pub(super) const fn forget_start(&mut self) {
        self.started_ms = None;
    }

    /// Whether a number, before it is taken, seems to begin another count than the one that is followed, or to go on in it, of which no
    /// start was told. (Behind one that seemed to, and that it does not continue, it is as odd, and no more than that.)
    pub(super) fn may_be_anew(&self, number: u32, times: Times) -> bool {
        let Some(place) = self.expected.map(|expected| self.place(expected, number, times)) else { return false };
        place == Place::Anew
            && !self.is_later_start(times.started_ms)
            && match self.odd {
                None => !self.steps.lead_to(number),
                Some(odd) => !self.steps.are_doubtful() && odd.is_continued(number, place),
            }
    }

    /// Takes the number of a datagram that has so many units: by the standard, and counted in the other way ([`Steps`]).
    pub(super) fn take(&mut self, number: u32, (standard, other): (Units, Units), times: Times) -> Verdict {
        let step = self.steps.take(number, standard, other);
        if step == Step::Turned {
            // It is the next one, in the other way of counting.
            (self.expected, self.unsure, self.odd, self.doubtful) = (Some(number), 0, None, 0);
            self.holes.clear();
        }
        self.misnumbered += u32::from(self.steps.is_other);
        let taken = (number, if self.steps.is_other { other } else { standard }, times);
        let Some(expected) = self.expected else {
            self.go_on(taken);
            return Verdict::Next;
        };
        let place = self.place(expected, number, times);
        let verdict = match self.odd.filter(|odd| !self.steps.are_doubtful() && odd.is_continued(number, place)) {
            Some(odd) => self.confirm(expected, odd, taken),
            None => self.put(expected, place, taken),
        };
        self.settle(verdict, step, number)
    }

    /// A gap that is a step of the other kind is none yet, and what comes late of it was never told.
    fn settle(&mut self, verdict: Verdict, step: Step, number: u32) -> Verdict {
        match (verdict, step) {
            (Verdict::Gap(lost), Step::Other) => {
                if self.doubtful == 0 {
                    self.doubtful_from = number.wrapping_sub(lost);
                }
                self.doubtful = self.doubtful.saturating_add(lost);
                Verdict::Odd
            }
            (Verdict::Late(filled), _) if number.wrapping_sub(self.doubtful_from) <= JUMP_MAX => {
                let untold = filled.min(self.doubtful);
                self.doubtful -= untold;
                Verdict::Late(filled - untold)
            }
            (_, Step::Other) => verdict,
            (Verdict::Gap(lost), _) => Verdict::Gap(lost.saturating_add(std::mem::take(&mut self.doubtful))),
            (Verdict::Restart(lost), _) => Verdict::Restart(lost.saturating_add(std::mem::take(&mut self.doubtful))),
            (Verdict::Next, _) if self.doubtful > 0 => Verdict::Gap(std::mem::take(&mut self.doubtful)),
            _ => verdict,
        }
    }

    /// Where a number stands.
    fn place(&self, expected: u32, number: u32, times: Times) -> Place {
        let (ahead, behind) = (number.wrapping_sub(expected), expected.wrapping_sub(number));
        // A clock that was set moves the start too: who goes on counting did not begin anew.
        if ahead == 0 {
            return Place::Next;
        }
        if self.is_later_start(times.started_ms) {
            return Place::Anew;
        }
        match ahead.checked_sub(self.unsure) {
            None | Some(0) => return Place::Next,
            Some(lost @ ..=NEAR_MAX) => return Place::Ahead(lost),
            Some(..=JUMP_MAX) => return Place::Far,
            Some(_) => {}
        }
        match self.hole(number) {
            _ if self.is_sent_anew(times.sent_ms) => Place::Anew,
            Some(at) => Place::Hole(at),
            None if behind <= NEAR_MAX => Place::Behind,
            None => Place::Anew,
        }
    }

    /// The hole that a number lies in.
    fn hole(&self, number: u32) -> Option<usize> {
        self.holes.iter().position(|(from, count, _)| number.wrapping_sub(*from) < *count)
    }

    /// Takes a number where it stands.
    fn put(&mut self, expected: u32, place: Place, taken: Taken) -> Verdict {
        let (number, units, _) = taken;
        // Who goes on as before did not mean the odd one.
        let goes_on = matches!(place, Place::Next | Place::Ahead(_) | Place::Far | Place::Anew);
        let refuted = if goes_on { self.odd.take() } else { None };
        // Of an exporter that stamps its datagrams out of their order, it was late after all.
        let late = refuted.filter(|_| place == Place::Next).and_then(|odd| Some((odd, self.hole(odd.number)?)));
        self.misnumbered += u32::from(refuted.is_some() && late.is_none());
        match place {
            Place::Next => {
                self.go_on(taken);
                late.map_or(Verdict::Next, |(odd, at)| {
                    Verdict::Late(self.fill(at, odd.number, odd.units.sure.max(odd.units.unsure.min(1))))
                })
            }
            Place::Ahead(lost) => {
                self.note(expected.wrapping_add(self.unsure), lost, self.window);
                self.go_on(taken);
                Verdict::Gap(lost)
            }
            Place::Hole(at) => Verdict::Late(self.fill(at, number, units.sure.max(units.unsure.min(1)))),
            Place::Behind => Verdict::Repeated,
            Place::Far | Place::Anew => {
                self.odd = Some(Odd { number, units, is_anew: place == Place::Anew });
                Verdict::Odd
            }
        }
    }

    /// The odd one was meant: it is followed, and this one is taken behind it.
    fn confirm(&mut self, expected: u32, odd: Odd, taken: Taken) -> Verdict {
        let (from, next, (number, _, times)) = (expected.wrapping_add(self.unsure), odd.next(), taken);
        (self.odd, self.expected, self.unsure) = (None, Some(next), odd.units.unsure);
        (self.started_ms, self.sent_ms) = (times.started_ms.or(self.started_ms), times.sent_ms);
        let mut lost = 0;
        if odd.is_anew {
            self.holes.clear();
        } else {
            lost = odd.number.wrapping_sub(from);
            self.note(from, lost, self.window);
        }
        let place = self.place(next, number, times);
        match self.put(next, place, taken) {
            Verdict::Gap(more) => lost = lost.saturating_add(more),
            Verdict::Late(less) => lost = lost.saturating_sub(less),
            _ => {}
        }
        if odd.is_anew { Verdict::Restart(lost) } else { Verdict::Gap(lost) }
    }

    /// Of an old number: what comes twice, or was overtaken, was sent before the last one; what was sent after it has that number because
    /// the exporter counts anew.
    fn is_sent_anew(&self, sent_ms: Option<u64>) -> bool {
        let (Some(last), Some(now)) = (self.sent_ms, sent_ms) else { return false };
        now > last || last - now > HELD_BACK_MS
    }

    fn is_later_start(&self, started_ms: Option<u32>) -> bool {
        let later = self.started_ms.zip(started_ms).map_or(0, |(known, now)| now.wrapping_sub(known));
        later > RESTART_MS && later < u32::MAX / 2
    }

    fn go_on(&mut self, (number, units, times): Taken) {
        (self.sent_ms, self.unsure) = (times.sent_ms, units.unsure);
        self.expected = Some(number.wrapping_add(units.sure));
        // Clocks drift, and are set: what is later is the start from now on.
        let is_later = |known: u32| times.started_ms.is_some_and(|now| now.wrapping_sub(known) < u32::MAX / 2);
        if self.started_ms.is_none_or(is_later) {
            self.started_ms = times.started_ms;
        }
    }

    fn note(&mut self, from: u32, count: u32, window: u32) {
        if self.holes.len() >= SEQUENCE_HOLES_MAX {
            self.holes.remove(0);
        }
        self.holes.push((from, count, window));
    }

    /// Fills a hole, as far as `number` and what follows it lie within it.
    fn fill(&mut self, at: usize, number: u32, units: u32) -> u32 {
        let (from, count, window) = self.holes.remove(at);
        self.own = window == self.window;
        let before = number.wrapping_sub(from);
        let filled = units.min(count - before);
        let behind = count - before - filled;
        if behind > 0 {
            self.note(number.wrapping_add(filled), behind, window);
        }
        if before > 0 {
            self.note(from, before, window);
        }
        filled
    }
}

impl Odd {
    /// What follows it, if all its units are known.
    const fn next(&self) -> u32 {
        self.number.wrapping_add(self.units.sure)
    }

    /// Whether a number that stands there in the count that is followed goes on from this one: at once, or, of what is far from that count,
    /// with some lost between. Shortly before it is what it overtook.
    fn is_continued(&self, number: u32, place: Place) -> bool {
        let (ahead, before) = (number.wrapping_sub(self.next()), self.number.wrapping_sub(number));
        let is_of_kind = place == if self.is_anew { Place::Anew } else { Place::Far };
        let is_near = ahead.saturating_sub(self.units.unsure) <= NEAR_MAX || (1..=NEAR_MAX).contains(&before);
        place != Place::Next && ahead <= self.units.unsure || is_of_kind && is_near
    }
}

#[cfg(test)]
#[path = "sequence_tests.rs"]
mod tests;
