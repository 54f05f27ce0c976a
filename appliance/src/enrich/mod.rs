//! Flows as exporters told them → flows with customers, countries, autonomous systems, names → streams of what each reader may have.
//!
//! A [`Keeper`] reads the tables of `[enrich]` and puts newer ones on a [`Shelf`]. A [`Pipeline`], one in each thread that has flows,
//! takes them from there, adds what they know to a copy of the flow, and gives the messages of `[[streams]]`: those that a predicate
//! admits, drawn, anonymised, with the fields that are kept.

mod bgp;
mod csv;
mod customers;
mod edges;
mod geo;
mod interfaces;
mod keeper;
mod lookups;
mod mrt;
mod pan;
mod pipeline;
mod predicate;
mod prefixes;
mod protocols;
mod shelf;
mod snmp;
mod stream;
mod tables;
mod wrong;

pub use edges::Edges;
pub use keeper::Keeper;
pub use pipeline::{Piece, Pipeline};
pub use predicate::admits;
pub use protocols::keyword;
pub use shelf::Shelf;
pub use stream::{Counts, text};
pub use tables::Tables;
