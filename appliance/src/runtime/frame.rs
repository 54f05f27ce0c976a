//! The general way of a frame: parse → classify → gather, one at a time. It is the definition; `burst.rs` has a short way for the
//! usual ones.

use super::receiver::Receiver;
use crate::classify::Classified;
use crate::gather::Stage;
use crate::parse::{DropReason, parse_into};
use crate::rx::Frame;
use crate::telemetry::cost::Part;

impl<S: Stage> Receiver<S> {
    /// Counts one frame, whatever it is.
    #[inline(never)]
    pub fn frame(&mut self, frame: &Frame<'_>) {
        let Some(ledger) = self.open.ports.get_mut(usize::from(frame.port)) else { return };
        ledger.received += 1;
        ledger.received_bytes += u64::from(frame.wire_bytes);
        ledger.late += u64::from(frame.late);
        ledger.overdue += u64::from(self.overdue.is_some());
        ledger.truncated += u64::from(frame.captured_bytes < frame.wire_bytes);
        if let Err(reason) = parse_into(frame.bytes, frame.wire_bytes, frame.link, &self.world.mirror, &mut self.parsed) {
            ledger.drops[reason.at()] += 1;
            return self.by_link(frame);
        }
        let Ok(packet) = self.world.generation.classify(frame, &self.parsed) else {
            ledger.drops[DropReason::Untagged.at()] += 1;
            return self.by_link(frame);
        };
        if self.meter.is_on() {
            self.meter.lap(Part::Parse, self.stage.timed());
        }
        self.packet(usize::from(frame.port), &packet);
    }

    /// A frame that is no record came by a link all the same.
    #[cold]
    fn by_link(&mut self, frame: &Frame<'_>) {
        let record = self.world.generation.link(frame, &self.parsed);
        if let Some(link) = self.open.link(record.link) {
            link.count(&record);
        }
    }

    /// Counts a frame that has a readable IP header.
    #[inline]
    fn packet(&mut self, port: usize, packet: &Classified) {
        if let Some(link) = self.open.link(packet.record.link) {
            link.count(&packet.record);
        }
        let ledger = &mut self.open.ports[port];
        ledger.parsed += 1;
        if let Some(fault) = self.parsed.fault {
            ledger.faults[fault.at()] += 1;
        }
        ledger.implausible += u64::from(packet.length_implausible);
        ledger.unproven += u64::from(packet.sampling_unproven);
        let tag = packet.tag.map_or(self.world.tag_rules, usize::from);
        self.open.tags[tag] += 1;
        self.open.decisions.count(&packet.record);
        if packet.is_unmatched() {
            ledger.unmatched += 1;
            let range = self.world.unmatched(packet.record.family());
            return self.gather.append(range, &packet.record, &mut self.stage);
        }
        ledger.matched += 1;
        if !self.world.counts {
            return;
        }
        for hit in packet.hits() {
            ledger.records += 1;
            self.gather.append(hit.range, &hit.record(packet.record), &mut self.stage);
        }
    }
}
