//! The reports of a window: of its ranges, then of what is rolled up.

use std::sync::Arc;

use super::appliance::Window;
use super::flows::is_hidden;
use super::links::Fills;
use super::loss::Incompleteness;
use super::open::OpenWindow;
use super::range::{self, Which};
use super::reporter::Reporter;
use super::sequences::Numbers;
use super::strain::Strain;
use super::{Health, Publisher, pb, rollup};
use crate::stats::plan::Period;
use crate::units::{Epoch, RangeIndex};
use crate::window::links::LinkSums;

/// Ranges that are reported before streams have a turn again: of a long window a millisecond's, so that the fast blocks of many ranges
/// are all taken soon.
const RANGES_BETWEEN_TURNS: usize = 16;

impl<P: Publisher, H: Health> Reporter<P, H> {
    /// Publishes the reports of a window's ranges, and of what is counted together; says how many of each.
    pub(super) fn publish(
        &mut self,
        window: &mut OpenWindow,
        of: &Window,
        (real, links): (u32, &[LinkSums]),
        missing: &Incompleteness,
    ) -> (u64, u64) {
        window.sort();
        let mut touched = window.ranges();
        touched.retain(|range| *range < real);
        let mut fills = Fills::default();
        let ranges = self.publish_ranges(window, (of, &touched), real, (missing, &mut fills));
        let rollups = self.publish_rollups(window, (of, &touched), missing);
        self.audited = std::mem::take(&mut fills.audited);
        if of.period == Period::Fast {
            self.publish_links(links, &mut fills, of, missing);
        }
        (ranges, rollups)
    }

    fn publish_ranges(
        &mut self,
        window: &mut OpenWindow,
        (of, touched): (&Window, &[u32]),
        real: u32,
        (missing, fills): (&Incompleteness, &mut Fills),
    ) -> u64 {
        let plans = Arc::clone(&self.plans);
        let beats = self.setting.heartbeat && of.period == Period::Long;
        let reported: Vec<u32> = if beats { (0..real).collect() } else { touched.to_vec() };
        let (mut touched, mut published) = (touched.iter().peekable(), 0);
        for (n, range) in reported.iter().copied().enumerate() {
            let content = touched.next_if_eq(&&range).map(|range| window.range(&plans, *range, of.period));
            self.publisher.merged();
            let name = &self.setting.ranges[range as usize];
            let identity = &name.identity();
            let plan = plans.of(RangeIndex(range));
            // In a fast window a range may have nothing but what links ask for.
            let is_shown =
                of.period == Period::Long || plan.stats().iter().any(|stat| stat.period == of.period && stat.spec < self.setting.shown);
            let numbers = if is_shown { self.sequences.next(identity, of.period) } else { Numbers::default() };
            let which = Which { period: of.period, bounds_ns: of.bounds_ns, range, scope: pb::Scope::Own, name, identity, numbers };
            let lacks = missing.of_range(range, content.as_ref().map_or(0, |content| content.starved));
            let kept = (&mut self.pasts, &mut self.strain);
            let report = range::report(&self.setting, plan, &which, content.as_ref(), (missing, &lacks), kept, Some(fills));
            if is_shown {
                self.publisher.range(&report);
                published += 1;
            }
            self.turn(n);
        }
        published
    }

    /// One roll-up after the other: so one alone is in memory, beside the blocks of its ranges, which are.
    fn publish_rollups(&mut self, window: &mut OpenWindow, (of, touched): (&Window, &[u32]), missing: &Incompleteness) -> u64 {
        let plans = Arc::clone(&self.plans);
        let (mut steps, mut reported) = (0, 0);
        for (at, scope) in plans.scopes.list().iter().enumerate() {
            let mut content = window.rollup(&plans, at, of.period);
            let mut members = scope.members.iter().filter(|range| touched.binary_search(range).is_ok()).peekable();
            let model = rollup::model(&plans, at);
            let specs = &self.setting.specs;
            let is_kept = |spec: usize| spec < self.setting.shown || is_hidden(&specs[spec]);
            content.summaries.retain(|(i, _)| is_kept(model.stats()[*i].spec));
            let is_shown = content.summaries.iter().any(|(i, _)| model.stats()[*i].spec < self.setting.shown);
            if !is_shown || members.peek().is_none() {
                continue;
            }
            for range in members {
                window.add(&mut content, &plans, (at, *range), of.period);
                self.turn(steps);
                steps += 1;
            }
            self.publisher.merged();
            let (name, identity) = (&rollup::name(&self.setting, scope), &rollup::identity(&self.setting, scope));
            let numbers = self.sequences.next(identity, of.period);
            let kind = rollup::kind(scope);
            let which = Which { period: of.period, bounds_ns: of.bounds_ns, range: 0, scope: kind, name, identity, numbers };
            let lacks = missing.of_scope(scope, content.starved);
            // What became coarser was counted with the ranges.
            let kept = (&mut self.pasts, &mut Strain::default());
            let report = range::report(&self.setting, model, &which, Some(&content), (missing, &lacks), kept, None);
            self.publisher.range(&report);
            reported += 1;
        }
        reported
    }

    /// Nobody is to wait for a reporter that has many ranges to report, as long as it can keep what comes.
    fn turn(&mut self, n: usize) {
        if n % RANGES_BETWEEN_TURNS == RANGES_BETWEEN_TURNS - 1 {
            if self.has_room() {
                self.take_some();
            }
            self.close_urgent();
        }
    }

    /// What is fast does not wait for a long window that has many ranges to report. In a replay nobody waits, and the order is kept.
    fn close_urgent(&mut self) {
        let Some((long, _)) = self.closing_long.filter(|_| self.setting.live) else { return };
        let passed = self.passed_by_all();
        while passed != Epoch::END
            && let Some(epoch) = self.next_epoch(passed)
            && self.calendar.long(epoch) == long + 1
            && !self.coming.awaits(epoch)
        {
            let strain = std::mem::take(&mut self.strain);
            self.close_next(epoch);
            self.strain = strain;
        }
    }
}
