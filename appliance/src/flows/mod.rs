//! NetFlow 1, 5, 7, 9, IPFIX and sFlow 5 → flows, one `FlowMessage` each.
//!
//! A [`Collector`] takes datagrams, from wherever they come, and gives a [`Flow`] a record. It remembers of each exporter's domain
//! templates, sampling rates and numbers, all within bounds that strangers cannot stretch. A template is compiled once into a list
//! of moves; a record is then a short loop over them into a `Flow` that is used again and again. Nothing is allocated for it.
//!
//! Counts are what the exporter told, never multiplied by a sampling rate; a rate that is not known is 0.

mod added;
mod chosen;
mod collector;
mod cursor;
mod domain;
mod doubtful;
mod elements;
mod exporters;
mod export;
mod fixed;
mod flow;
mod held;
mod holding;
pub mod json;
pub mod key;
mod ledger;
pub mod listen;
pub(crate) mod lru;
mod message;
mod missing;
mod numbers;
mod operator;
pub mod pb;
mod pieces;
#[cfg(test)]
mod pieces_tests;
mod port_taken;
pub mod protobuf;
mod record;
mod repeats;
mod rows;
mod sampling;
mod schema;
mod sequence;
mod sflow;
mod steps;
pub mod store;
pub mod tap;
mod template;
pub mod text;
mod times;
mod totals;
pub mod udp;
pub mod waiting;
mod wide;

pub use added::{Added, Remote, Text};
pub use chosen::{Chosen, LeftOut};
pub use collector::{Arrival, Collector, Settings};
pub use exporters::{Delays, Exporter, Exporters};
pub use flow::{Address, Fields, Flow, FlowType, Lists, RateFrom};
pub use ledger::{DatagramDrop, Gaps, Ledger, RecordDrop, SetDrop, TemplateEvent};
pub use message::{Message, Value, holds_any, value};
pub use numbers::{DomainGaps, Numbers};
pub use operator::OperatorRate;
pub use port_taken::PortTaken;
pub use sflow::pool::Doubt;
pub use store::StoreError;
