//! What a receiving core shows of itself to whoever looks.

use super::receiver::Receiver;
use crate::gather::Stage;

impl<S: Stage> Receiver<S> {
    /// Shows the counters to whoever looks. It costs some sixty stores: to be called now and then, and before a core rests.
    pub fn show(&self) {
        let mut sum = self.before;
        sum += &self.open.ledger();
        let live = &*self.live;
        live.received.set(sum.received);
        live.received_bytes.set(sum.received_bytes);
        live.parsed.set(sum.parsed);
        live.parse_drops.set(sum.drops.iter().sum());
        sum.drops.iter().zip(&live.drops).for_each(|(n, counter)| counter.set(*n));
        live.faults.set(sum.faults.iter().sum());
        live.truncated.set(sum.truncated);
        live.late.set(sum.late);
        live.overdue.set(sum.overdue);
        live.matched.set(sum.matched);
        live.unmatched.set(sum.unmatched);
        live.records.set(sum.records);
        self.stage.show(live);
        self.meter.show(&live.costs);
        live.early.set(self.gather.early());
        live.memory[0].set(self.gather.memory());
        live.untagged.set(self.untagged_before + self.open.tags.last().copied().unwrap_or(0));
        let mut decisions = self.decisions_before;
        decisions += &self.open.decisions;
        let counters = [&live.passed, &live.passed_bytes, &live.blocked_samples, &live.blocked, &live.blocked_bytes];
        counters.into_iter().zip(decisions.0).for_each(|(counter, n)| counter.set(n));
    }

    /// Shows how often the queues were asked, and how often in vain.
    pub fn polled(&self, polls: u64, in_vain: u64) {
        self.live.polls.set(polls);
        self.live.empty_polls.set(in_vain);
    }

    pub(super) fn keep_live(&mut self) {
        self.before += &self.open.ledger();
        self.decisions_before += &self.open.decisions;
        self.untagged_before += self.open.tags.last().copied().unwrap_or(0);
    }
}
