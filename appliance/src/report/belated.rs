//! Windows whose figures stand with others: what was told late, or counted in another window than its own.

use crate::gather::Cause;
use crate::stats::plan::Period;
use crate::units::Epoch;
use crate::window::{Calendar, Site};

/// Stretches of epochs that are kept apart; more are taken for one.
const STRETCHES_MAX: usize = 256;

/// Stretches of epochs of which something is to be said.
#[derive(Default)]
pub(super) struct Stretches(Vec<(Epoch, Epoch)>);

impl Stretches {
    /// From `from` on, before `told`.
    pub(super) fn add(&mut self, from: Epoch, told: Epoch) {
        let full = self.0.len() >= STRETCHES_MAX;
        match self.0.last_mut().filter(|_| told > from) {
            Some(last) if last.0 <= from && from <= last.1 => last.1 = last.1.max(told),
            Some(last) if full => *last = (last.0.min(from), last.1.max(told)),
            _ if told > from => self.0.push((from, told)),
            _ => {}
        }
    }

    /// Whether it is to be said of a window.
    pub(super) fn of(&self, calendar: &Calendar, period: Period, number: u64) -> bool {
        self.0.iter().any(|(from, told)| match period {
            Period::Fast => from.0 <= number && number < told.0,
            Period::Long => calendar.long(*from) <= number && number < calendar.long(*told),
        })
    }

    /// Whether a window is of them where they are of more than one: what moves within one window moves nowhere.
    pub(super) fn parts(&self, calendar: &Calendar, period: Period, number: u64) -> bool {
        let of = |epoch: Epoch| if period == Period::Fast { epoch.0 } else { calendar.long(epoch) };
        let within = |from: u64, last: u64| from < last && (from..=last).contains(&number);
        self.0.iter().any(|(from, told)| within(of(*from), of(Epoch(told.0.saturating_sub(1)))))
    }

    /// Forgets what lies in long windows up to this one.
    pub(super) fn forget(&mut self, calendar: &Calendar, long: u64) {
        self.0.retain(|(_, told)| calendar.long(Epoch(told.0.saturating_sub(1))) > long);
    }
}

/// What accounts told late, or counted in another window than they should.
#[derive(Default)]
pub(super) struct Belated {
    pub(super) untold: Stretches,
    /// The same of flow records: here both windows are doubtful, the one that lacks and the one that has too much.
    pub(super) untold_flows: Stretches,
    pub(super) overdue: Stretches,
    /// A core did not poll: here too both windows are doubtful.
    pub(super) held: Stretches,
}

impl Belated {
    /// A core that stood at `at` tells of an epoch, and goes on with `next`.
    pub(super) fn note(&mut self, at: Epoch, (epoch, next): (Epoch, Epoch), site: &Site) {
        let is_late = site.taken_over > 0;
        // What links had moves with an account that could not be told in time.
        if is_late && (!site.links.is_empty() || site.lost_total() != [0; Cause::COUNT]) {
            self.untold.add(at, epoch);
        }
        if is_late && !site.flows.is_blank() {
            self.untold_flows.add(at, Epoch(epoch.0.saturating_add(1)));
        }
        if let Some((from, to)) = site.held {
            self.held.add(from, Epoch(to.0.saturating_add(1)));
        }
        if site.ports.iter().any(|ledger| ledger.overdue > 0) {
            // The next one that it opened lacks them.
            let from = if is_late { at } else { epoch };
            self.overdue.add(from, Epoch(next.0.saturating_add(1)));
        }
    }

    /// Forgets what lies in long windows up to this one.
    pub(super) fn forget(&mut self, calendar: &Calendar, long: u64) {
        [&mut self.untold, &mut self.untold_flows, &mut self.overdue, &mut self.held]
            .into_iter()
            .for_each(|one| one.forget(calendar, long));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::FlowAccount;

    /// An account of flows that is told with a later one makes the figures of both windows doubtful, of no third one.
    #[test]
    fn flows_that_are_told_late_are_said_of_both_windows() {
        let calendar = Calendar::new(10_000, 1_000, true);
        let of = |belated: &Belated, period, numbers: std::ops::Range<u64>| -> Vec<u64> {
            numbers.filter(|number| belated.untold_flows.parts(&calendar, period, *number)).collect()
        };
        let flows = FlowAccount { records: 1, ..FlowAccount::default() };
        let late = Site { taken_over: 1, flows, ..Site::default() };
        let mut belated = Belated::default();
        belated.note(Epoch(25), (Epoch(26), Epoch(27)), &Site { taken_over: 0, ..late.clone() });
        belated.note(Epoch(25), (Epoch(26), Epoch(27)), &Site { flows: FlowAccount::default(), ..late.clone() });
        assert!(of(&belated, Period::Fast, 0..40).is_empty());
        belated.note(Epoch(25), (Epoch(26), Epoch(27)), &late);
        assert_eq!(of(&belated, Period::Fast, 0..40), [25, 26]);
        assert!(of(&belated, Period::Long, 0..40).is_empty(), "both are of one long window");
        belated.note(Epoch(30), (Epoch(31), Epoch(32)), &late);
        assert_eq!(of(&belated, Period::Long, 0..40), [2, 3]);
        belated.forget(&calendar, 3);
        assert!(of(&belated, Period::Fast, 0..40).is_empty());
    }

    /// A core that did not poll from one window to the third: the first may lack, the second has nothing, the third has all of it.
    #[test]
    fn windows_in_which_a_core_was_held_up_are_said() {
        let calendar = Calendar::new(10_000, 1_000, true);
        let mut belated = Belated::default();
        let site = Site { held: Some((Epoch(28), Epoch(30))), ..Site::default() };
        belated.note(Epoch(28), (Epoch(28), Epoch(30)), &site);
        let of = |period| (0..40).filter(|number| belated.held.parts(&calendar, period, *number)).collect::<Vec<_>>();
        assert_eq!((of(Period::Fast), of(Period::Long).is_empty()), (vec![28, 29, 30], true), "all of one long window");
        belated.note(Epoch(30), (Epoch(30), Epoch(31)), &Site { held: Some((Epoch(30), Epoch(31))), ..Site::default() });
        let of = |period| (0..40).filter(|number| belated.held.parts(&calendar, period, *number)).collect::<Vec<_>>();
        assert_eq!((of(Period::Fast), of(Period::Long)), (vec![28, 29, 30, 31], vec![2, 3]));
    }
}
