//! Flows into the journal: each with its key, many to a message.

use std::sync::Arc;

use super::super::lots::Lots;
use crate::config::{FlowFormat, Flows as Config, Framing};
use crate::flows::key::Key;
use crate::flows::{LeftOut, Message as FlowMessage, json, protobuf};
use crate::journal::{Journal, LotForm, Message};

/// Flow messages that were given on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// That the journal took.
    pub(super) journalled: u64,
    /// That it did not.
    pub(super) refused: u64,
    /// All of them.
    pub(super) messages: u64,
    /// Flows of which no message was made: no stream had them, or theirs does not write all.
    pub(super) unwritten: u64,
}

/// The way of one topic's flows: what is received of them goes in here.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) lots: Lots,
    format: (FlowFormat, Framing),
    key: Key,
    left_out: LeftOut,
    scratch: Vec<u8>,
}

impl Outlet {
    /// To a topic, each message written so; into a journal, with windows of so many nanoseconds.
    pub(super) fn new(config: &Config, (topic, format): (&str, (FlowFormat, Framing)), journal: Arc<Journal>, window_ns: u64) -> Self {
        let form = match format {
            (FlowFormat::Protobuf, Framing::Length) => LotForm::Framed,
            (FlowFormat::Protobuf, Framing::Bare) => LotForm::Bare,
            (FlowFormat::Json, _) => LotForm::Json,
        };
        let lots = Lots::new(journal, topic, (form, Message::flows), window_ns);
        Self { lots, format, key: Key::new(&config.key), left_out: LeftOut::default(), scratch: Vec::new() }
    }

    /// The same, of messages that leave out these.
    pub(super) fn leaving_out(self, left_out: LeftOut) -> Self {
        Self { lots: self.lots.leaving_out(left_out.bits()), left_out, ..self }
    }

    /// Whether messages that are written so, and leave out these, are its own.
    pub(super) fn is_of(&self, format: (FlowFormat, Framing), left_out: LeftOut) -> bool {
        (self.format, self.left_out) == (format, left_out)
    }

    /// Takes a flow's message.
    pub(super) fn put(&mut self, message: &FlowMessage<'_>) {
        let Self { scratch, format, .. } = self;
        let (format, mut scratch) = (*format, std::mem::take(scratch));
        self.give(message, |out| match format {
            (FlowFormat::Protobuf, Framing::Length) => protobuf::write_message_framed(message, &mut scratch, out),
            (FlowFormat::Protobuf, Framing::Bare) => protobuf::write_message(message, out),
            (FlowFormat::Json, _) => json::write_bare(message, out),
        });
        self.scratch = scratch;
    }

    /// The same of one that is written already; a line of JSON with its end.
    pub(super) fn put_written(&mut self, message: &FlowMessage<'_>, bytes: &[u8]) {
        let bytes = if self.format.0 == FlowFormat::Json { bytes.strip_suffix(b"\n").unwrap_or(bytes) } else { bytes };
        self.give(message, |out| out.extend_from_slice(bytes));
    }

    fn give(&mut self, message: &FlowMessage<'_>, write: impl FnMut(&mut Vec<u8>)) {
        let Self { lots, key, .. } = self;
        lots.put(|out| key.write(message, out), write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flows;
    use crate::flows::{Address, Flow};
    use crate::journal::{Both, Bound, FlowLane, Lot, Next};
    use crate::limits::FLOW_LOT_BYTES;
    use std::time::Duration;

    const WINDOW_NS: u64 = 10_000_000_000;

    fn outlet(journal: &Arc<Journal>, format: (FlowFormat, Framing)) -> Outlet {
        let listen = vec!["127.0.0.1:1".parse().unwrap()];
        let (topic, key) = ("t".to_owned(), vec!["sampler_address", "src_port"]);
        let config = Flows {
            listen,
            from_ports: Vec::new(),
            templates: None,
            per_port: false,
            sampling: Vec::new(),
            topic,
            format,
            key,
            journal_mb: 16,
        };
        Outlet::new(&config, (&config.topic, format), Arc::clone(journal), WINDOW_NS)
    }

    fn flow(n: u32) -> Flow {
        let mut flow = Flow::default();
        (flow.fields.src_port, flow.fields.sampler_address) = (n, Address::of(&[192, 0, 2, 1]));
        flow
    }

    #[test]
    fn lots_are_of_one_window_of_one_age_and_not_long() {
        let lane = FlowLane { bound: Bound::default(), disk: None };
        let journal = Journal::new(Bound::default(), &["s"]).with_flows(&lane, &["s"]).unwrap();
        let cursor = Both::new(journal.cursors("s").unwrap()).and_last(journal.flow_cursor("s"));
        let mut outlet = outlet(&journal, (FlowFormat::Json, Framing::Length));
        let mut put = |now_ms: u64, count: u32| {
            outlet.lots.turn(now_ms * 1_000_000);
            (0..count).for_each(|n| outlet.put(&FlowMessage::plain(&flow(n))));
        };
        put(9_950, 10);
        put(9_990, 10);
        put(10_001, 5);
        put(10_050, 5);
        put(10_200, 2_000);
        outlet.lots.flush();
        assert_eq!((outlet.lots.given.written, outlet.lots.given.refused), (2_030, 0));
        journal.close();
        let mut lots = Vec::new();
        while let Next::Message(message) = cursor.next(Duration::ZERO) {
            let lot = Lot::read(&message.payload).unwrap();
            assert!(message.payload.len() < FLOW_LOT_BYTES + 1_000 && message.key == "t");
            for (n, (key, value)) in lot.entries().enumerate() {
                let value: serde_json::Value = serde_json::from_slice(value).unwrap();
                let port = value.get("src_port").map_or(0, |port| port.as_u64().unwrap());
                assert_eq!(String::from_utf8_lossy(key), format!("192.0.2.1|{port}"), "{n}");
            }
            lots.push((message.window.start_ns / WINDOW_NS, u64::from(lot.count)));
            cursor.commit(1);
        }
        assert_eq!(lots[..2], [(0, 20), (1, 10)]);
        assert!(lots.len() > 3 && lots.iter().map(|(_, count)| count).sum::<u64>() == 2_030, "{lots:?}");
        outlet.put(&FlowMessage::plain(&flow(1)));
        outlet.lots.flush();
        assert_eq!(outlet.lots.given.refused, 1, "a journal that is closed takes none, and that is counted");
    }

    /// Flows come fast and no sink reads: they fall off by themselves, are told by window, and no report goes.
    #[test]
    fn flows_push_no_report_out() {
        let lane = FlowLane { bound: Bound { messages: usize::MAX, bytes: 200_000 }, disk: None };
        let journal = Journal::new(Bound { messages: 100, bytes: 1 << 20 }, &["s"]).with_flows(&lane, &["s"]).unwrap();
        let _cursor = Both::new(journal.cursors("s").unwrap()).and_last(journal.flow_cursor("s"));
        journal.append(Message::appliance(&crate::report::pb::ApplianceReport::default()));
        let mut outlet = outlet(&journal, (FlowFormat::Protobuf, Framing::Length));
        for window in 0..3 {
            outlet.lots.turn(window * WINDOW_NS);
            (0..20_000).for_each(|n| outlet.put(&FlowMessage::plain(&flow(n))));
        }
        outlet.lots.flush();
        assert_eq!((journal.state().messages, journal.overflow()[0].1, outlet.lots.given.written), (1, 0, 60_000));
        let losses = journal.flow_losses();
        let (kept, lost) = (journal.flow_state().unwrap(), losses[0].1.messages());
        assert!(kept.bytes <= 200_000 && losses[0].1.windows.len() == 3, "{losses:?}");
        // What fell off and what is there are all.
        let cursor = &kept.cursors[0];
        assert!(lost > 40_000 && lost < 60_000 && cursor.unread > 0 && cursor.overflow + cursor.unread == kept.appended);
    }
}
