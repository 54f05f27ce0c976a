//! Where `tailwater flows` writes: every flow as it came, the messages of streams, or the top talkers among them.

use std::io::{self, Write as _};

use super::flows::{FlowsError, Format};
use super::flows_top::Top;
use crate::config::{FlowFormat, Framing};
use crate::enrich::{Keeper, Pipeline};
use crate::flows::{Flow, json, protobuf};

/// Written at once.
const OUT_BYTES: usize = 256 * 1024;

impl From<Format> for (FlowFormat, Framing) {
    fn from(format: Format) -> Self {
        match format {
            Format::Json => (FlowFormat::Json, Framing::Length),
            Format::Protobuf => (FlowFormat::Protobuf, Framing::Length),
            Format::ProtobufBare => (FlowFormat::Protobuf, Framing::Bare),
        }
    }
}

/// What is written of a flow.
pub(super) enum Way {
    /// All of it, as it came.
    Plain(Format),
    /// What streams make of it; of one of them, if it is named.
    Streams(Box<Pipeline>, Option<String>),
    /// What it adds to the talkers.
    Top(Box<Top>),
}

/// Standard output, many flows at a time.
pub(super) struct Out {
    way: Way,
    /// Keeps the tables of a pipeline new as long as this lives.
    keeper: Option<Keeper>,
    bytes: Vec<u8>,
    scratch: Vec<u8>,
    fault: Option<io::Error>,
    /// Who read has had enough.
    is_closed: bool,
}

impl Out {
    pub(super) fn new(way: Way, keeper: Option<Keeper>) -> Self {
        Self { way, keeper, bytes: Vec::with_capacity(2 * OUT_BYTES), scratch: Vec::new(), fault: None, is_closed: false }
    }

    pub(super) fn put(&mut self, flow: &Flow) {
        if self.is_closed {
            return;
        }
        match &mut self.way {
            Way::Plain(Format::Json) => json::write(flow, &mut self.bytes),
            Way::Plain(Format::Protobuf) => protobuf::write_framed(flow, &mut self.scratch, &mut self.bytes),
            Way::Plain(Format::ProtobufBare) => protobuf::write(flow, &mut self.bytes),
            Way::Streams(pipeline, only) => {
                let bytes = &mut self.bytes;
                pipeline.take(flow, &mut |piece| {
                    if only.as_deref().is_none_or(|only| only == piece.stream) {
                        bytes.extend_from_slice(piece.bytes);
                    }
                });
            }
            Way::Top(top) => top.put(flow, &mut self.bytes),
        }
        // A refresh is to be seen when it is made.
        let is_due = matches!(self.way, Way::Top(_)) && !self.bytes.is_empty();
        if is_due || self.bytes.len() >= OUT_BYTES {
            self.write();
        }
    }

    /// Time goes on without flows, too; nanoseconds since 1970.
    pub(super) fn passed(&mut self, now_ns: u64) {
        if let Way::Top(top) = &mut self.way {
            top.begin(now_ns);
            top.passed(now_ns, &mut self.bytes);
            if !self.bytes.is_empty() {
                self.write();
            }
        }
    }

    /// No more is asked for, or nobody reads any more.
    pub(super) fn is_done(&self) -> bool {
        self.is_closed || matches!(&self.way, Way::Top(top) if top.is_done())
    }

    /// What is left at the end; the account of streams.
    pub(super) fn end(&mut self) -> Option<String> {
        match &mut self.way {
            Way::Plain(_) => None,
            Way::Streams(pipeline, _) => Some(pipeline.to_string()),
            Way::Top(top) => {
                top.end(&mut self.bytes);
                None
            }
        }
    }

    /// Tables are looked at now.
    pub(super) fn reload(&self) {
        self.keeper.iter().for_each(Keeper::look);
    }

    fn write(&mut self) {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.bytes).and_then(|()| stdout.flush());
        self.bytes.clear();
        match written {
            // Whoever reads may end when it likes, as `head` does: that is no fault.
            Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => self.is_closed = true,
            Err(fault) => drop(self.fault.get_or_insert(fault)),
            Ok(()) => {}
        }
    }

    pub(super) fn check(&mut self) -> Result<(), FlowsError> {
        self.fault.take().map_or(Ok(()), |fault| Err(FlowsError::Output(fault)))
    }

    pub(super) fn flush(&mut self) -> Result<(), FlowsError> {
        if !self.bytes.is_empty() {
            self.write();
        }
        self.check()
    }
}
