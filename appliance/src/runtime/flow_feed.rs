//! Export datagrams of captures → flow records → stats: what `replay --flows` does beside the data path.

use crate::analyse::Analysis;
use crate::flows::udp::{Datagrams, looks_like_export};
use crate::flows::{Arrival, Collector, Ledger, Settings};
use crate::rx::capture::CapturedFrame;
use crate::units::Epoch;

/// See the module.
pub struct FlowFeed {
    datagrams: Datagrams,
    collector: Collector,
    analysis: Analysis,
    missing: u64,
}

impl FlowFeed {
    /// Into an analysis, with the settings that are the default.
    pub fn new(analysis: Analysis) -> Self {
        let collector = Collector::new(&Settings::default());
        Self { datagrams: Datagrams::default(), collector, analysis, missing: 0 }
    }

    /// Turns to an epoch.
    pub fn open(&mut self, epoch: Epoch) {
        self.analysis.open(epoch);
    }

    /// Whether a frame holds, or completes, an export datagram: then its records were counted in the window that is open.
    pub fn take(&mut self, frame: &CapturedFrame<'_>) -> bool {
        let Self { datagrams, collector, analysis, missing } = self;
        let Some(datagram) = datagrams.take(frame).filter(|datagram| looks_like_export(&datagram.payload)) else { return false };
        let from = Arrival { exporter: datagram.src, port: datagram.src_port, received_ns: frame.time_ns };
        collector.take(&from, &datagram.payload, &mut |flow| analysis.take(flow));
        let now = units_missing(collector.ledger());
        analysis.miss(now.saturating_sub(*missing));
        *missing = now;
        true
    }

    /// What waits for its template waits in vain.
    pub fn end(mut self) {
        self.collector.end();
        self.analysis.miss(self.collector.ledger().waiting);
        self.analysis.end();
        self.collector.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    }
}

/// What exporters sent and nobody read, as far as is known: by their sequence numbers, and by what could not be decoded.
pub(super) fn units_missing(ledger: &Ledger) -> u64 {
    let gaps = [ledger.record_gaps, ledger.datagram_gaps, ledger.sample_gaps];
    let drops = ledger.datagram_drops.iter().chain(&ledger.set_drops).chain(&ledger.record_drops);
    gaps.iter().map(|gaps| gaps.lost).sum::<u64>() + drops.sum::<u64>() + ledger.kernel_drops
}
