//! The messages of `proto/tailwater/v1`, made at build time, with proto3's JSON.
#![allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    unused_qualifications,
    reason = "generated; documented in the .proto files"
)]

include!(concat!(env!("OUT_DIR"), "/tailwater.v1.rs"));
include!(concat!(env!("OUT_DIR"), "/tailwater.v1.serde.rs"));
