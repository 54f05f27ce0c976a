//! A flow in, its messages out: enriched, split over streams, reduced.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::predicate::admits;
use super::shelf::Shelf;
use super::stream::{Counts, Stream, write};
use super::tables::Tables;
use crate::config::{FlowFormat, FlowPredicate, Framing, Stream as Written};
use crate::flows::{Added, Flow, Message};

/// One message of a stream.
pub struct Piece<'a> {
    /// Name of the stream.
    pub stream: &'a str,
    /// Topic of the stream; none: that of all flows.
    pub topic: Option<&'a str>,
    /// How `bytes` are written,
    pub format: FlowFormat,
    /// and framed, if they are protobuf.
    pub framing: Framing,
    /// The message; a line of JSON ends in a line break.
    pub bytes: &'a [u8],
    /// What is in it.
    pub message: Message<'a>,
}

/// Enrichment and streams of one thread that has flows. It owns what it works with, and looks at the shelf of tables without waiting.
pub struct Pipeline {
    shelf: Option<Arc<Shelf>>,
    version: u64,
    tables: Tables,
    streams: Vec<Stream>,
    only: FlowPredicate,
    /// Streams were configured: their messages say which one they are of.
    named: bool,
    flow: Flow,
    added: Added,
    hidden: Flow,
    scratch: Vec<u8>,
    bytes: Vec<u8>,
    unmatched: u64,
}

impl Pipeline {
    /// Streams as they are configured (none: one that has all), tables off a shelf, and how messages of streams are written that do
    /// not say.
    pub fn new(streams: &[Written], shelf: Option<Arc<Shelf>>, default: (FlowFormat, Framing)) -> Self {
        let all = [Written::all()];
        let named = !streams.is_empty();
        let streams = if named { streams } else { &all[..] };
        let mut pipeline = Self {
            shelf,
            version: 0,
            tables: Tables::default(),
            streams: streams.iter().map(|stream| Stream::new(stream, default)).collect(),
            only: FlowPredicate::default(),
            named,
            flow: Flow::default(),
            added: Added::default(),
            hidden: Flow::default(),
            scratch: Vec::new(),
            bytes: Vec::new(),
            unmatched: 0,
        };
        pipeline.look();
        pipeline
    }

    /// All messages are written so, whatever their streams say.
    pub fn force(&mut self, format: (FlowFormat, Framing)) {
        self.streams.iter_mut().for_each(|stream| stream.format = format);
    }

    /// Only flows of which this holds are looked at.
    pub fn only(&mut self, predicate: FlowPredicate) {
        self.only = predicate;
    }

    /// Takes newer tables, if there are some; never waits for who is changing them.
    fn look(&mut self) {
        let Some(shelf) = &self.shelf else { return };
        let version = shelf.version.load(Ordering::Acquire);
        if version != self.version
            && let Ok(tables) = shelf.tables.try_lock()
        {
            self.tables.clone_from(&tables);
            self.version = version;
        }
    }

    /// The flow with what is known of it, before any stream.
    pub fn enrich(&mut self, flow: &Flow) -> (&Flow, &Added) {
        self.look();
        self.flow.copy(flow);
        self.added = Added::NONE;
        self.tables.enrich(&mut self.flow, &mut self.added);
        (&self.flow, &self.added)
    }

    /// Gives a flow's messages to `out`, one of each stream that has it.
    pub fn take(&mut self, flow: &Flow, out: &mut dyn FnMut(&Piece<'_>)) {
        self.enrich(flow);
        if !admits(&self.only, &self.flow, &self.added) {
            return;
        }
        let mut taken = false;
        for stream in &mut self.streams {
            if self.named {
                self.added.stream = stream.name.clone();
                self.added.record_sampling = if stream.sample > 1 { stream.sample } else { 0 };
            }
            if !admits(&stream.predicate, &self.flow, &self.added) {
                continue;
            }
            taken = true;
            if stream.drops {
                stream.counts.dropped += 1;
                break;
            }
            if !stream.draws() {
                stream.counts.left_out += 1;
                continue;
            }
            stream.counts.written += 1;
            stream.name_topic(&self.flow, &self.added);
            let flow = if stream.hiding.is_empty() {
                &self.flow
            } else {
                self.hidden.copy(&self.flow);
                stream.hiding.iter().for_each(|hiding| hiding.apply(&mut self.hidden));
                &self.hidden
            };
            let message = Message { flow, added: &self.added, chosen: stream.chosen.as_ref() };
            self.bytes.clear();
            write(&message, stream.format, &mut self.scratch, &mut self.bytes);
            let (stream, topic, (format, framing)) = (&*stream.name, stream.topic(), stream.format);
            out(&Piece { stream, topic, format, framing, bytes: &self.bytes, message });
        }
        self.unmatched += u64::from(!taken);
    }

    /// What came of all flows, by stream.
    pub fn counts(&self) -> impl Iterator<Item = (&str, Counts)> {
        self.streams.iter().map(|stream| (&*stream.name, stream.counts))
    }

    /// Flows that no stream had.
    pub const fn unmatched(&self) -> u64 {
        self.unmatched
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, counts) in self.counts() {
            let Counts { written, left_out, dropped, topics_refused } = counts;
            writeln!(f, "stream {name}: {written} written, {left_out} not drawn, {dropped} dropped, {topics_refused} beyond its topics")?;
        }
        write!(f, "streams: {} flows in none", self.unmatched)
    }
}
