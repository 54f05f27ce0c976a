//! Which topics a flow's messages go to: that of all flows, or those of streams.

use std::collections::HashMap;
use std::sync::Arc;

use super::outlet::{Given, Outlet};
use crate::config::{FlowFormat, Flows as Config};
use crate::enrich::Pipeline;
use crate::flows::{Flow, LeftOut, Message};
use crate::journal::Journal;

/// A topic's outlet, with its buffer, is kept so long without a flow.
const IDLE_NS: u64 = 600_000_000_000;

/// From a flow to outlets.
pub(super) struct Way {
    config: Config,
    journal: Arc<Journal>,
    window_ns: u64,
    /// None: each flow is one message, as its exporter told it.
    pipeline: Option<Box<Pipeline>>,
    all: Outlet,
    /// Of streams that have a topic, a format or a choice of fields of their own.
    others: HashMap<String, Vec<Outlet>>,
    /// When those were last looked through,
    looked_ns: u64,
    /// and what was given on by those that are no more.
    gone: Given,
    now_ns: u64,
    messages: u64,
    unwritten: u64,
}

impl Way {
    /// Into a journal, with windows of so many nanoseconds.
    pub(super) fn new(config: &Config, journal: Arc<Journal>, window_ns: u64, pipeline: Option<Pipeline>) -> Self {
        Self {
            all: Outlet::new(config, (&config.topic, config.format), Arc::clone(&journal), window_ns),
            config: config.clone(),
            journal,
            window_ns,
            pipeline: pipeline.map(Box::new),
            others: HashMap::new(),
            looked_ns: 0,
            gone: Given::default(),
            now_ns: 0,
            messages: 0,
            unwritten: 0,
        }
    }

    /// What comes from here on came now; once a burst.
    pub(super) fn turn(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        self.outlets().for_each(|outlet| outlet.lots.turn(now_ns));
    }

    /// Takes a flow.
    #[inline]
    pub(super) fn put(&mut self, flow: &Flow) {
        let Self { pipeline, all, others, config, journal, window_ns, now_ns, messages, .. } = self;
        let Some(pipeline) = pipeline else {
            self.messages += 1;
            return all.put(&Message::plain(flow));
        };
        let before = *messages;
        pipeline.take(flow, &mut |piece| {
            *messages += 1;
            let format = (piece.format, piece.framing);
            let topic = piece.topic.unwrap_or(&config.topic);
            // A line of JSON says itself what is in it.
            let is_json = format.0 == FlowFormat::Json;
            let left_out = if is_json { LeftOut::default() } else { LeftOut::of(piece.message.chosen) };
            if topic == config.topic && all.is_of(format, left_out) {
                return all.put_written(&piece.message, piece.bytes);
            }
            if !others.contains_key(topic) {
                others.insert(topic.to_owned(), Vec::new());
            }
            let Some(of_topic) = others.get_mut(topic) else { return };
            let at = of_topic.iter().position(|outlet| outlet.is_of(format, left_out)).unwrap_or_else(|| {
                let mut outlet = Outlet::new(config, (topic, format), Arc::clone(journal), *window_ns).leaving_out(left_out);
                outlet.lots.turn(*now_ns);
                of_topic.push(outlet);
                of_topic.len() - 1
            });
            of_topic[at].put_written(&piece.message, piece.bytes);
        });
        let unwritten = u64::from(self.messages == before);
        self.unwritten += unwritten;
    }

    /// The journal gets what there is. Topics that had nothing for long are given up: flows may name ever new ones.
    pub(super) fn flush(&mut self) {
        self.outlets().for_each(|outlet| outlet.lots.flush());
        let now_ns = self.now_ns;
        if now_ns.abs_diff(self.looked_ns) < IDLE_NS / 10 {
            return;
        }
        self.looked_ns = now_ns;
        let gone = &mut self.gone;
        self.others.retain(|_, formats| {
            formats.retain(|outlet| {
                let is_idle = outlet.lots.idle_ns() > IDLE_NS;
                if is_idle {
                    let given = outlet.lots.given;
                    (gone.journalled, gone.refused) = (gone.journalled + given.written, gone.refused + given.refused);
                }
                !is_idle
            });
            !formats.is_empty()
        });
    }

    /// What was given on, over all outlets.
    pub(super) fn given(&self) -> Given {
        let others = self.others.values().flatten();
        let of = |given: fn(&Outlet) -> u64| given(&self.all) + others.clone().map(given).sum::<u64>();
        Given {
            journalled: of(|outlet| outlet.lots.given.written) + self.gone.journalled,
            refused: of(|outlet| outlet.lots.given.refused) + self.gone.refused,
            messages: self.messages,
            unwritten: self.unwritten,
        }
    }

    fn outlets(&mut self) -> impl Iterator<Item = &mut Outlet> {
        std::iter::once(&mut self.all).chain(self.others.values_mut().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Bound, FlowLane, Next};
    use crate::sink::to_json_line;
    use std::time::Duration;

    /// Topics come and go without end; what they were given is not forgotten with them.
    #[test]
    fn topics_that_have_nothing_for_long_are_given_up() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("r.csv"), "prefix,customer\n10.0.0.0/8,a\n").unwrap();
        let rows = "stats = []\n[ranges]\nfile = \"r.csv\"\n[flows]\nlisten = [\"udp/2055\"]\n[[streams]]\nname = \"s\"\ntopic = \"t.{src_port}\"\n";
        std::fs::write(folder.path().join("t.toml"), rows).unwrap();
        let config = crate::config::load(&folder.path().join("t.toml"), &crate::stats::check).unwrap();
        let lane = FlowLane { bound: Bound::default(), disk: None };
        let journal = Journal::new::<&str>(Bound::default(), &[]).with_flows::<&str>(&lane, &[]).unwrap();
        let flows = config.flows.clone().unwrap();
        let pipeline = Pipeline::new(&config.streams, None, flows.format);
        let mut way = Way::new(&flows, journal, 1_000_000_000, Some(pipeline));
        let mut flow = Flow::default();
        for n in 1..=1_000_u32 {
            way.turn(u64::from(n) * 10_000_000_000);
            flow.fields.src_port = n;
            way.put(&flow);
            flow.fields.src_port = 7;
            way.put(&flow);
            way.flush();
        }
        assert!(way.others.len() < 150 && way.others.contains_key("t.7"), "{}", way.others.len());
        assert_eq!((way.given().journalled, way.given().messages), (2_000, 2_000));
    }

    /// What a stream does not write is no zero in any sink; streams of one topic may write different fields.
    #[test]
    fn lines_have_the_fields_of_their_stream() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("r.csv"), "prefix,customer\n10.0.0.0/8,a\n").unwrap();
        let rows = "stats = []\n[ranges]\nfile = \"r.csv\"\n[flows]\nlisten = [\"udp/2055\"]\n[[streams]]\nname = \"all\"\n\
            [[streams]]\nname = \"two\"\nkeep = [\"src_port\", \"bytes\"]\n[[streams]]\nname = \"bare\"\nframing = \"bare\"\n\
            drop_fields = [\"type\", \"stream\"]\n[[streams]]\nname = \"json\"\nformat = \"json\"\nkeep = [\"src_port\"]\n";
        std::fs::write(folder.path().join("t.toml"), rows).unwrap();
        let config = crate::config::load(&folder.path().join("t.toml"), &crate::stats::check).unwrap();
        let lane = FlowLane { bound: Bound::default(), disk: None };
        let journal = Journal::new::<&str>(Bound::default(), &[]).with_flows(&lane, &["s"]).unwrap();
        let cursor = journal.flow_cursor("s").unwrap();
        let flows = config.flows.clone().unwrap();
        let pipeline = Pipeline::new(&config.streams, None, flows.format);
        let mut way = Way::new(&flows, Arc::clone(&journal), 1_000_000_000, Some(pipeline));
        let mut flow = Flow::default();
        flow.fields.src_port = 7;
        way.put(&flow);
        way.flush();
        journal.close();
        let mut lines = Vec::new();
        while let Next::Message(message) = cursor.next(Duration::ZERO) {
            to_json_line(&message, &mut lines).unwrap();
            cursor.commit(1);
        }
        let text = String::from_utf8(lines).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        let mut pipeline = Pipeline::new(&config.streams, None, flows.format);
        pipeline.force((FlowFormat::Json, crate::config::Framing::Length));
        let mut own = Vec::new();
        pipeline.take(&flow, &mut |piece| own.push(String::from_utf8(piece.bytes.to_vec()).unwrap().trim_end().to_owned()));
        own.sort_unstable();
        assert_eq!(lines, own);
        assert!(lines.contains(&"{\"bytes\":\"0\",\"src_port\":7}") && lines.contains(&"{\"src_port\":7}"), "{lines:?}");
    }
}
