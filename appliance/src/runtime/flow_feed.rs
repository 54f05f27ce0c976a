//! Export datagrams of captures → flow records → stats: what `replay --flows` does beside the data path.

use crate::analyse::Analysis;
use crate::enrich::Edges;
use crate::flows::udp::{Datagrams, looks_like_export};
use crate::flows::{Arrival, Collector, Settings};
use crate::rx::capture::CapturedFrame;
use crate::units::Epoch;

/// See the module.
pub struct FlowFeed {
    datagrams: Datagrams,
    collector: Collector,
    analysis: Analysis,
    edges: Option<Edges>,
}

impl FlowFeed {
    /// Into an analysis, with what the operator set, and what names of interfaces say.
    pub fn new(analysis: Analysis, settings: &Settings, edges: Option<Edges>) -> Self {
        Self { datagrams: Datagrams::default(), collector: Collector::new(settings), analysis, edges }
    }

    /// Turns to an epoch.
    pub fn open(&mut self, epoch: Epoch) {
        if self.analysis.open(epoch) {
            self.collector.turn();
        }
    }

    /// Whether a frame holds, or completes, an export datagram: then its records were counted in the window that is open.
    pub fn take(&mut self, frame: &CapturedFrame<'_>) -> bool {
        let Self { datagrams, collector, analysis, edges } = self;
        let Some(datagram) = datagrams.take(frame).filter(|datagram| looks_like_export(&datagram.payload)) else { return false };
        let from = Arrival { exporter: datagram.src, port: datagram.src_port, received_ns: frame.time_ns };
        collector.take(&from, &datagram.payload, &mut |flow| {
            let named = edges.as_mut().map_or_else(Default::default, |edges| edges.of(flow));
            analysis.take_named(flow, named);
        });
        miss(analysis, collector);
        true
    }

    /// What waits for its template waits in vain.
    pub fn end(mut self) {
        self.collector.end();
        self.analysis.end();
        self.collector.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    }
}

/// Tells an analysis what exporters sent and nobody read, as far as is known: by their sequence numbers, by what could not be decoded, and
/// what waits.
pub(super) fn miss(analysis: &mut Analysis, collector: &mut Collector) {
    let since_ns = collector.missed_since_ns();
    let ledger = collector.ledger();
    analysis.miss((ledger.missed, ledger.refilled), since_ns);
}
