//! What came of each exporter, for those who watch: a bounded number of them by address, all others together.

use super::flow::{Address, Flow};
use super::ledger::{DatagramDrop, Ledger, RecordDrop, SetDrop, TemplateEvent};
use super::rows::{Rows, Sum};
use crate::limits::{EXPORTERS_TOLD_MAX, FLOW_DELAY_BOUNDS_S};

/// How long after a flow's end it was received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// Flows up to each bound; the last: beyond all. An end that is ahead of our clock counts as no delay.
    pub counts: [u64; FLOW_DELAY_BOUNDS_S.len() + 1],
    /// All of them together, milliseconds.
    pub sum_ms: u64,
}

impl Delays {
    /// Flows without an end are not counted.
    #[inline]
    pub(super) fn note(&mut self, flow: &Flow) {
        let (end_ns, received_ns) = (flow.fields.time_flow_end_ns, flow.fields.time_received_ns);
        if end_ns == 0 {
            return;
        }
        let ms = received_ns.saturating_sub(end_ns) / 1_000_000;
        let bin = FLOW_DELAY_BOUNDS_S.iter().take_while(|bound| ms > **bound * 1_000).count();
        if let Some(count) = self.counts.get_mut(bin) {
            *count += 1;
        }
        self.sum_ms = self.sum_ms.saturating_add(ms);
    }

    fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(sum, n)| *sum += n);
        self.sum_ms = self.sum_ms.saturating_add(other.sum_ms);
    }
}

/// What came of one exporter, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exporter {
    /// Datagrams.
    pub datagrams: u64,
    /// Flows given.
    pub flows: u64,
    /// Templates that came anew, or others.
    pub templates: u64,
    /// Units of its numbers that are missing, less what came late.
    pub lost: i64,
    /// Flows whose rate is not known.
    pub rate_unknown: u64,
    /// By [`DatagramDrop`], [`SetDrop`], [`RecordDrop`].
    pub datagram_drops: [u64; DatagramDrop::COUNT],
    /// See `datagram_drops`.
    pub set_drops: [u64; SetDrop::COUNT],
    /// See `datagram_drops`.
    pub record_drops: [u64; RecordDrop::COUNT],
    /// Of its flows.
    pub delays: Delays,
}

impl Sum for Exporter {
    fn add(&mut self, other: &Self) {
        fn sum(sums: &mut [u64], more: &[u64]) {
            sums.iter_mut().zip(more).for_each(|(sum, n)| *sum += n);
        }
        self.datagrams += other.datagrams;
        self.flows += other.flows;
        self.templates += other.templates;
        self.lost += other.lost;
        self.rate_unknown += other.rate_unknown;
        sum(&mut self.datagram_drops, &other.datagram_drops);
        sum(&mut self.set_drops, &other.set_drops);
        sum(&mut self.record_drops, &other.record_drops);
        self.delays.add(&other.delays);
    }
}

/// The account at one moment, as far as exporters are told of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    flows: u64,
    templates: u64,
    lost: u64,
    rate_unknown: u64,
    datagram_drops: [u64; DatagramDrop::COUNT],
    set_drops: [u64; SetDrop::COUNT],
    record_drops: [u64; RecordDrop::COUNT],
}

impl Mark {
    pub(super) fn of(ledger: &Ledger) -> Self {
        let templates = [TemplateEvent::New, TemplateEvent::Changed, TemplateEvent::Conflict].map(|event| ledger.templates[event as usize]);
        Self {
            flows: ledger.flows,
            templates: templates.iter().sum(),
            lost: ledger.record_gaps.lost.wrapping_add(ledger.datagram_gaps.lost).wrapping_add(ledger.sample_gaps.lost),
            rate_unknown: ledger.rate_unknown,
            datagram_drops: ledger.datagram_drops,
            set_drops: ledger.set_drops,
            record_drops: ledger.record_drops,
        }
    }

    /// One datagram, of which this is the account before, and that the one behind it.
    fn since(self, after: &Self, delays: Delays) -> Exporter {
        fn less<const N: usize>(after: [u64; N], before: [u64; N]) -> [u64; N] {
            std::array::from_fn(|at| after[at] - before[at])
        }
        Exporter {
            datagrams: 1,
            flows: after.flows - self.flows,
            templates: after.templates - self.templates,
            lost: after.lost.wrapping_sub(self.lost).cast_signed(),
            rate_unknown: after.rate_unknown - self.rate_unknown,
            datagram_drops: less(after.datagram_drops, self.datagram_drops),
            set_drops: less(after.set_drops, self.set_drops),
            record_drops: less(after.record_drops, self.record_drops),
            delays,
        }
    }
}

/// See the module. Who comes when the table is full has a row of its own only if another was silent for long.
#[derive(Clone, Debug)]
pub struct Exporters(Rows<Address, Exporter>);

impl Default for Exporters {
    fn default() -> Self {
        Self(Rows::new(EXPORTERS_TOLD_MAX))
    }
}

impl Exporters {
    /// By address, in no order.
    pub fn rows(&self) -> impl Iterator<Item = (&Address, &Exporter)> {
        self.0.iter()
    }

    /// All others together: those for whom there was no room, and datagrams that are no exports from addresses without a row.
    pub const fn other(&self) -> &Exporter {
        self.0.other()
    }

    /// One datagram more. `decoded`: it was an export.
    pub(super) fn note(&mut self, (address, now_ns, decoded): (Address, u64, bool), (before, after): (Mark, &Mark), delays: Delays) {
        self.0.note(usize::MAX, (&address, now_ns, decoded), &before.since(after, delays));
    }

    /// So many of an exporter's sets were of no use, at another time than when they came.
    pub(super) fn drop_sets(&mut self, address: Address, reason: SetDrop, sets: u64) {
        self.0.as_is(&address).set_drops[reason as usize] += sets;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::{Arrival, Collector, Settings};
    use crate::limits::{EXPORTER_SILENT_MS_MAX, FLOW_KNOWN_BYTES_OF_EXPORTER_MAX};

    fn address(n: usize) -> Address {
        Address::of(&u32::try_from(n).unwrap().to_be_bytes())
    }

    #[test]
    fn a_flood_of_addresses_takes_no_row_from_one_that_speaks() {
        let (mut exporters, mut ledger) = (Exporters::default(), Ledger::default());
        let mut note = |exporters: &mut Exporters, n: usize, second: u64, decoded: bool| {
            let before = Mark::of(&ledger);
            ledger.flows += 3;
            exporters.note((address(n), second * 1_000_000_000, decoded), (before, &Mark::of(&ledger)), Delays::default());
        };
        note(&mut exporters, 0, 0, true);
        note(&mut exporters, 1_000_000, 0, false);
        assert_eq!((exporters.rows().count(), exporters.other().datagrams), (1, 1), "no export, no row");
        (1..1_000).for_each(|n| note(&mut exporters, n, 1, true));
        assert_eq!(exporters.rows().count(), EXPORTERS_TOLD_MAX);
        let later = EXPORTER_SILENT_MS_MAX / 1_000 + 10;
        note(&mut exporters, 0, later, true);
        (2_000..2_010).for_each(|n| note(&mut exporters, n, later, true));
        let own = exporters.rows().find(|(of, _)| **of == address(0)).unwrap().1;
        assert_eq!((own.datagrams, own.flows), (2, 6));
        assert!((2_000..2_010).all(|n| exporters.rows().any(|(of, _)| *of == address(n))), "silent ones made room");
        let all = exporters.rows().map(|(_, row)| row.datagrams).sum::<u64>() + exporters.other().datagrams;
        assert_eq!((all, exporters.rows().count()), (1 + 1 + 999 + 1 + 10, EXPORTERS_TOLD_MAX), "nothing is lost of the sums");
    }

    #[test]
    fn delays_fall_into_bins() {
        let (mut delays, mut flow) = (Delays::default(), Flow::default());
        delays.note(&flow);
        flow.fields.time_received_ns = 10_000_000_000_000;
        for before_ms in [0, 1_000, 1_001, 60_000, 9_000_000] {
            flow.fields.time_flow_end_ns = flow.fields.time_received_ns - before_ms * 1_000_000;
            delays.note(&flow);
        }
        flow.fields.time_flow_end_ns = u64::MAX;
        delays.note(&flow);
        assert_eq!((delays.counts, delays.sum_ms), ([3, 1, 0, 1, 0, 0, 0, 0, 1], 9_062_001));
    }

    /// NetFlow 9 of a domain: a template of so many fields of one byte, or a set of its data.
    fn nine(domain: u32, set: &[&[u8]]) -> Vec<u8> {
        [&[0, 9, 0, 1, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 1][..], &domain.to_be_bytes(), &set.concat()].concat()
    }

    fn template(domain: u32, id: u16, fields: u16) -> Vec<u8> {
        let row = [1, 144, 0, 1].repeat(usize::from(fields));
        nine(domain, &[&[0, 0], &(8 + 4 * fields).to_be_bytes(), &id.to_be_bytes(), &fields.to_be_bytes(), &row])
    }

    #[test]
    fn one_address_fills_its_own_part_alone_however_large_its_templates_are() {
        let (mut collector, mut flows) = (Collector::new(&Settings::default()), 0);
        let from = |n: usize| Arrival { exporter: address(n), port: 1, received_ns: 1 };
        collector.take(&from(1), &template(0, 256, 4), &mut |_| ());
        let before = collector.memory_bytes().0;
        for domain in 0..20 {
            for id in 256..500 {
                collector.take(&from(2), &template(domain, id, 1_000), &mut |_| ());
                let known = collector.memory_bytes().0 - before;
                assert!(known <= FLOW_KNOWN_BYTES_OF_EXPORTER_MAX, "{known} bytes of one address");
            }
        }
        let ledger = collector.ledger();
        assert!(ledger.templates[TemplateEvent::Evicted as usize] > 2_000 && ledger.domains_evicted > 15, "{ledger}");
        collector.take(&from(1), &nine(0, &[&[1, 0, 0, 8, 1, 2, 3, 4]]), &mut |_| flows += 1);
        assert!(flows == 1 && collector.ledger().balances(), "the other one has its template");
        let rows: Vec<_> = collector.exporters().rows().map(|(_, row)| (row.datagrams, row.templates, row.flows)).collect();
        assert_eq!(rows, [(2, 1, 1), (20 * 244, 20 * 244, 0)]);
    }
}
