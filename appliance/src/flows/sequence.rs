//! Sequence numbers: what is lost, what only came late, what came twice, and when an exporter began anew.

use crate::limits::SEQUENCE_HOLES_MAX;

/// A step forward beyond this is a new beginning, not a loss.
const JUMP_MAX: u32 = 1 << 24;
/// What comes so far behind, and fills no hole, came twice; what is further behind is a new beginning.
const REPEAT_MAX: u32 = 1 << 12;
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
    /// The exporter counts anew.
    Restart,
}

/// What a header tells of time beside its number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// When the exporter started, milliseconds modulo 2^32.
    pub(super) started_ms: Option<u32>,
    /// When the datagram was sent, milliseconds by a clock of the exporter's: since 1970, or its uptime.
    pub(super) sent_ms: Option<u64>,
    /// Units that it may have beside those that are known: a set without template has some, nobody knows how many.
    pub(super) unsure: u32,
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
    /// It counts anew with the next number, and counted before.
    is_anew: bool,
    /// What is missing: first number, how many, and in which window that was seen. The oldest first.
    holes: Vec<(u32, u32, u32)>,
    /// The window that is open.
    window: u32,
    /// Of what came late last: whether it was missed in this window.
    own: bool,
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

    /// Takes the number of a datagram that is `units` long; `None`: how long is not known, and the next is not judged.
    pub(super) fn take(&mut self, number: u32, units: Option<u32>, times: Times) -> Verdict {
        let restarted = self.is_later_start(times.started_ms) | std::mem::take(&mut self.is_anew);
        // A clock that was set moves the start too: who goes on counting did not begin anew.
        let Some(expected) = self.expected.filter(|expected| !restarted || *expected == number) else {
            self.begin(number, units, times);
            return if restarted { Verdict::Restart } else { Verdict::Next };
        };
        let ahead = number.wrapping_sub(expected);
        let behind = expected.wrapping_sub(number);
        if ahead <= self.unsure {
            self.go_on(number, units, times);
            return Verdict::Next;
        }
        if ahead <= JUMP_MAX {
            let lost = ahead - self.unsure;
            self.note(expected.wrapping_add(self.unsure), lost, self.window);
            self.go_on(number, units, times);
            return Verdict::Gap(lost);
        }
        if let Some(filled) = self.fill(number, units.map_or(1, |units| units.max(times.unsure.min(1)))) {
            return Verdict::Late(filled);
        }
        if behind <= REPEAT_MAX && !self.is_sent_anew(times.sent_ms) {
            return Verdict::Repeated;
        }
        self.begin(number, units, times);
        Verdict::Restart
    }

    /// The exporter counts anew, as something else told: so does this.
    pub(super) fn begin_anew(&mut self) {
        self.holes.clear();
        self.is_anew |= self.expected.take().is_some();
    }

    /// The start that was told last is no longer the exporter's.
    pub(super) const fn forget_start(&mut self) {
        self.started_ms = None;
    }

    /// Of an old number that fills no hole: what comes twice, or was overtaken, was sent before the last one; what was sent after it has
    /// that number because the exporter counts anew.
    fn is_sent_anew(&self, sent_ms: Option<u64>) -> bool {
        let (Some(last), Some(now)) = (self.sent_ms, sent_ms) else { return false };
        now > last || last - now > HELD_BACK_MS
    }

    fn is_later_start(&mut self, started_ms: Option<u32>) -> bool {
        let (Some(known), Some(now)) = (self.started_ms, started_ms) else {
            self.started_ms = self.started_ms.or(started_ms);
            return false;
        };
        let later = now.wrapping_sub(known);
        let restarted = later > RESTART_MS && later < u32::MAX / 2;
        // Clocks drift: what is near is the same start.
        self.started_ms = Some(if restarted || later <= RESTART_MS { now } else { known });
        restarted
    }

    fn begin(&mut self, number: u32, units: Option<u32>, times: Times) {
        self.holes.clear();
        self.started_ms = times.started_ms;
        self.go_on(number, units, times);
    }

    fn go_on(&mut self, number: u32, units: Option<u32>, times: Times) {
        (self.sent_ms, self.unsure) = (times.sent_ms, times.unsure);
        self.expected = units.map(|units| number.wrapping_add(units));
    }

    fn note(&mut self, from: u32, count: u32, window: u32) {
        if self.holes.len() >= SEQUENCE_HOLES_MAX {
            self.holes.remove(0);
        }
        self.holes.push((from, count, window));
    }

    /// Fills a hole, as far as `number` and what follows it lie within one.
    fn fill(&mut self, number: u32, units: u32) -> Option<u32> {
        let at = self.holes.iter().position(|(from, count, _)| number.wrapping_sub(*from) < *count)?;
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
        Some(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Gap, Late, Next, Repeated, Restart};
    use super::*;

    #[test]
    fn gaps_lateness_and_repeats() {
        let mut s = Sequence::default();
        let mut take = |number: u32, units| s.take(number, Some(units), Times::default());
        assert_eq!([take(100, 10), take(110, 5), take(135, 5)], [Next, Next, Gap(20)]);
        assert_eq!([take(120, 5), take(115, 5), take(125, 20), take(125, 5)], [Late(5), Late(5), Late(10), Repeated]);
        assert_eq!([take(140, 1), take(7, 1), take(8, 1)], [Next, Repeated, Repeated]);
    }

    #[test]
    fn numbers_and_uptime_come_round() {
        let mut s = Sequence::default();
        assert_eq!(
            [s.take(u32::MAX, Some(1), Times::default()), s.take(0, Some(1), Times::default()), s.take(2, Some(1), Times::default())],
            [Next, Next, Gap(1)]
        );
        let mut s = Sequence::default();
        let started = |ms: u32| Times { started_ms: Some(ms), sent_ms: None, unsure: 0 };
        assert_eq!([s.take(1, Some(1), started(u32::MAX)), s.take(2, Some(1), started(4))], [Next, Next]);
        assert_eq!([s.take(0, Some(1), started(60_000)), s.take(1, Some(1), started(60_000))], [Restart, Next]);
        // Its clock was set, and it counts on.
        assert_eq!([s.take(2, Some(1), started(160_000)), s.take(4, Some(1), started(160_000))], [Next, Gap(1)]);
    }

    /// Without a start that is told the exporter's clock tells a new count from what comes twice, or out of turn.
    #[test]
    fn a_new_count_through_old_numbers_is_sent_later() {
        let mut s = Sequence::default();
        let mut take =
            |number: u32, second: u64| s.take(number, Some(1), Times { started_ms: None, sent_ms: Some(second * 1_000), unsure: 0 });
        assert_eq!(
            [take(0, 100), take(1, 100), take(5, 101), take(3, 100), take(3, 100), take(1, 100)],
            [Next, Next, Gap(3), Late(1), Repeated, Repeated]
        );
        // Of the same second nothing can be said.
        assert_eq!([take(0, 101), take(0, 110), take(1, 110), take(11, 111)], [Repeated, Restart, Next, Gap(9)]);
        // A clock that lost its time starts anew too; one that is put right does not.
        assert_eq!(
            [take(0, 5), take(1, 6), take(2, 5_000), take(1, 4_990), take(3, 4_000), take(4, 4_001)],
            [Restart, Next, Next, Repeated, Next, Next]
        );
    }

    #[test]
    fn a_new_count_is_no_loss() {
        let mut s = Sequence::default();
        assert_eq!(
            [s.take(5_000_000, Some(1), Times::default()), s.take(3, Some(1), Times::default()), s.take(4, Some(1), Times::default())],
            [Next, Restart, Next]
        );
        assert_eq!(
            [s.take(u32::MAX / 3, Some(1), Times::default()), s.take(5, None, Times::default()), s.take(9, Some(1), Times::default())],
            [Restart, Restart, Next]
        );
    }

    #[test]
    fn any_order_loses_nothing_in_the_end() {
        let mut s = Sequence::default();
        let order = [0u32, 3, 1, 7, 2, 5, 4, 6, 9, 8];
        let lost: i64 = order
            .iter()
            .map(|n| match s.take(*n * 10, Some(10), Times::default()) {
                Gap(n) => i64::from(n),
                Late(n) => -i64::from(n),
                _ => 0,
            })
            .sum();
        assert_eq!((lost, s.holes.len()), (0, 0));
    }

    /// Records of a set without template are some, at most one a byte: what is beyond them is lost for sure.
    #[test]
    fn what_cannot_be_counted_does_not_hide_loss() {
        let mut s = Sequence::default();
        let mut take = |number: u32, units: u32, unsure: u32| s.take(number, Some(units), Times { unsure, ..Times::default() });
        assert_eq!([take(0, 5, 20), take(5, 5, 20), take(30, 5, 20), take(56, 5, 0)], [Next, Next, Next, Gap(1)]);
        assert_eq!([take(55, 1, 0), take(61, 0, 9), take(80, 5, 0), take(75, 0, 3)], [Late(1), Next, Gap(10), Late(1)]);
    }
}
