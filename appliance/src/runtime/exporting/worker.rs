//! The thread that exports: it reads the rings of all taps and owns what makes datagrams and lines of samples.

use std::sync::Arc;
use std::time::Duration;

use super::carrier::Carrier;
use super::logs::Lines;
use super::watch::{ExportFigures, LogFigures, Watch};
use crate::config::Predicate;
use crate::exports::cache::Cache;
use crate::exports::sflow::PortCounters;
use crate::exports::{Names, Sample, Shelf, Taps, log, netflow, sflow};
use crate::rx::timeline::Timeline;

/// What is begun is sent, what rests is told, at the latest so often.
const TICK_NS: u64 = 200_000_000;
/// Samples of a ring before the next ring's turn.
const TURN_SAMPLES: usize = 256;
/// How long it sleeps when nothing waits.
const NAP: Duration = Duration::from_millis(1);

/// What becomes of the samples of one export.
pub(super) enum Kind {
    Flows { cache: Box<Cache>, encoder: Box<netflow::Encoder>, predicate: Option<Predicate> },
    Frames { encoder: Box<sflow::Encoder>, counters_ns: u64, counters_at_ns: u64 },
}

/// One export.
pub(super) struct Export {
    pub(super) kind: Kind,
    pub(super) carrier: Carrier,
    pub(super) figures: ExportFigures,
}

/// The packet logs.
pub(super) struct Logs {
    pub(super) lines: Lines,
    pub(super) predicate: Option<Predicate>,
    pub(super) sampling: u32,
    pub(super) left_out: u64,
    pub(super) line: Vec<u8>,
}

/// Counters of all ports.
pub(super) type Ports = Box<dyn Fn() -> Vec<PortCounters> + Send>;

/// What the time is.
pub(super) enum Clock {
    /// That of the data path.
    Live(Arc<Timeline>),
    /// That of the samples.
    Fed,
}

/// See the module.
pub(super) struct Worker {
    pub(super) taps: Taps,
    pub(super) exports: Vec<Export>,
    pub(super) logs: Option<Logs>,
    pub(super) shelf: Shelf,
    pub(super) names: Option<Arc<Names>>,
    pub(super) clock: Clock,
    pub(super) ports: Ports,
    pub(super) watch: Arc<Watch>,
    pub(super) now_ns: u64,
    pub(super) ticked_ns: u64,
}

impl Worker {
    /// Until all cores have ended.
    pub(super) fn run(mut self) {
        loop {
            // Asked before: what comes after is read in the next turn.
            let is_over = self.taps.rings.iter().all(|ring| ring.is_abandoned());
            let came = self.read();
            if let Clock::Live(timeline) = &self.clock {
                let now_ns = timeline.now_ns();
                self.turn(now_ns);
            }
            if came == 0 {
                if is_over {
                    break;
                }
                std::thread::sleep(NAP);
            }
        }
        self.end();
    }

    fn read(&mut self) -> usize {
        let mut came = 0;
        for ring in 0..self.taps.rings.len() {
            for _ in 0..TURN_SAMPLES {
                let Some(Ok(sample)) = self.taps.rings.get_mut(ring).map(|ring| ring.pop()) else { break };
                came += 1;
                self.turn(sample.record.time_ns);
                self.take(&sample);
            }
        }
        came
    }

    fn take(&mut self, sample: &Sample) {
        let (at, now_ns) = (usize::from(sample.sampler), self.now_ns);
        match self.exports.get_mut(at) {
            Some(export) => export.take(sample, now_ns),
            None => self.log(sample),
        }
    }

    fn log(&mut self, sample: &Sample) {
        if self.names.as_ref().is_none_or(|names| names.generation != sample.generation) {
            self.names = self.shelf.of(sample.generation);
        }
        let (Some(logs), names) = (&mut self.logs, self.names.as_deref()) else { return };
        if !selects(logs.predicate.as_ref(), sample) {
            logs.left_out += 1;
            return;
        }
        logs.line.clear();
        log::write(sample, names, logs.sampling, &mut logs.line);
        let range = sample.ranges.into_iter().flatten().next().and_then(|range| usize::try_from(range).ok());
        let key = range.and_then(|range| names?.ranges.get(range)).map_or("", |(prefix, _, _)| prefix.as_str());
        logs.lines.put(key, &logs.line);
    }

    /// It is so late, or later.
    fn turn(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        // A lot holds lines of one window.
        if let Some(logs) = &mut self.logs {
            logs.lines.turn(self.now_ns);
        }
        if self.now_ns.saturating_sub(self.ticked_ns) < TICK_NS {
            return;
        }
        self.ticked_ns = self.now_ns;
        let now_ns = self.now_ns;
        self.exports.iter_mut().for_each(|export| export.turn(now_ns, &self.ports));
        self.tell(false);
    }

    fn tell(&self, is_over: bool) {
        let exports = self.exports.iter().map(Export::figures).collect();
        let logs = self.logs.as_ref().map(|logs| LogFigures { given: logs.lines.given(), left_out: logs.left_out });
        self.watch.tell(exports, logs, is_over);
    }

    fn end(mut self) {
        let now_ns = self.now_ns;
        self.exports.iter_mut().for_each(|export| export.end(now_ns));
        if let Some(logs) = &mut self.logs {
            logs.lines.flush();
        }
        self.tell(true);
    }
}

/// Whether who asks for packets of a kind has this one.
fn selects(predicate: Option<&Predicate>, sample: &Sample) -> bool {
    predicate.is_none_or(|predicate| sample.is_packet() && predicate.admits(&sample.record))
}

impl Export {
    fn take(&mut self, sample: &Sample, now_ns: u64) {
        let Self { kind, carrier, figures } = self;
        let mut send = |datagram: &[u8]| figures.failed += carrier(now_ns, datagram);
        match kind {
            Kind::Flows { cache, encoder, predicate } => {
                if sample.is_packet() && selects(predicate.as_ref(), sample) {
                    cache.take(sample, &mut |key, flow, end| encoder.put(key, flow, end, now_ns, &mut send));
                } else {
                    figures.left_out += 1;
                }
            }
            Kind::Frames { encoder, .. } => encoder.put(sample, now_ns, &mut send),
        }
    }

    fn turn(&mut self, now_ns: u64, ports: &dyn Fn() -> Vec<PortCounters>) {
        let Self { kind, carrier, figures } = self;
        let mut send = |datagram: &[u8]| figures.failed += carrier(now_ns, datagram);
        match kind {
            Kind::Flows { cache, encoder, .. } => {
                cache.turn(now_ns, &mut |key, flow, end| encoder.put(key, flow, end, now_ns, &mut send));
                encoder.flush(now_ns, &mut send);
            }
            Kind::Frames { encoder, counters_ns, counters_at_ns } => {
                if now_ns >= *counters_at_ns {
                    *counters_at_ns = now_ns.saturating_add(*counters_ns);
                    ports().iter().for_each(|port| encoder.counters(port, now_ns, &mut send));
                }
                encoder.flush(now_ns, &mut send);
            }
        }
    }

    fn end(&mut self, now_ns: u64) {
        let Self { kind, carrier, figures } = self;
        let mut send = |datagram: &[u8]| figures.failed += carrier(now_ns, datagram);
        match kind {
            Kind::Flows { cache, encoder, .. } => {
                cache.end(&mut |key, flow, end| encoder.put(key, flow, end, now_ns, &mut send));
                encoder.flush(now_ns, &mut send);
            }
            Kind::Frames { encoder, .. } => encoder.flush(now_ns, &mut send),
        }
    }

    fn figures(&self) -> ExportFigures {
        let figures = self.figures;
        match &self.kind {
            Kind::Flows { cache, encoder, .. } => {
                let netflow::Sent { datagrams, records, unplaced } = encoder.sent();
                let (evicted, held) = (cache.evicted(), cache.len() as u64);
                ExportFigures { datagrams, records, unplaced, evicted, held, ..figures }
            }
            Kind::Frames { encoder, .. } => {
                let sflow::Sent { datagrams, samples, counters: _, unplaced } = encoder.sent();
                ExportFigures { datagrams, records: samples, unplaced, ..figures }
            }
        }
    }
}
