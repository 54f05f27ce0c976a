//! The figures of `peak` against the model.

use std::collections::BTreeMap;

use tailwater::report::pb;

use super::compare::{Counts, holds, same, weighted};
use super::model::{Seen, Sum};

impl Counts<'_> {
    /// Packets that count, each with what it adds.
    fn counted<'p>(&self, packets: &'p [Seen]) -> Vec<(&'p Seen, u64)> {
        let counts = |packet: &&Seen| self.row.key(self.setup, packet).is_some();
        packets.iter().filter(counts).filter_map(|packet| Some((packet, self.row.value(packet)?))).collect()
    }

    pub(super) fn peak(&self, total: &pb::Estimate, have: &pb::Peak, packets: &[Seen], window: (u64, u64)) -> Result<(), String> {
        let sub_ms = self.row.sub_ms(self.setup);
        let sub_ns = sub_ms * 1_000_000;
        let mut sums: BTreeMap<u64, Sum> = BTreeMap::new();
        for (packet, value) in self.counted(packets) {
            // One that is late belongs to the first sub-window of the window that it counts in.
            let since = if self.row.fast { packet.epoch_ns } else { window.0 };
            let time = packet.time_ns.max(since);
            sums.entry(time - (time - since) % sub_ns).or_default().add(value, packet);
        }
        same("length", have.sub_window_ms, sub_ms)?;
        let series: Vec<_> =
            sums.iter().map(|(start_ns, sum)| pb::SubWindow { start_ns: *start_ns, sufficient: Some(weighted(sum)) }).collect();
        same("series", &have.series, &series)?;
        let most = sums.values().map(Sum::total).max().unwrap_or(0);
        let first = sums.iter().find(|(_, sum)| sum.total() == most).map_or(0, |(start, _)| *start);
        same("when", have.start_ns, first)?;
        let rate = |n: u64| n as f64 * 1_000.0 / sub_ms as f64;
        same("value", total.value, rate(most))?;
        if !self.may_be_sampled() {
            return same("bounds", (total.low, total.high, total.basis()), (rate(most), Some(rate(most)), pb::Basis::Exact));
        }
        let seen = sums.values().map(|sum| sum.passed + sum.seen.min(sum.scaled)).max().unwrap_or(0);
        if self.all.unproven > 0 || self.setup.every_nth {
            return same("unproven", (total.low, total.high, total.confidence()), (rate(seen), None, pb::Confidence::Sure));
        }
        holds("bounds", rate(seen) <= total.low && total.low <= total.value && total.high.is_some_and(|high| total.value <= high))?;
        same("confidence", (total.confidence(), total.basis()), (pb::Confidence::P95, pb::Basis::Sampled))
    }
}
