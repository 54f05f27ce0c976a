//! The message of `proto/flowpb`, made at build time: what a consumer reads, and what [`super::protobuf`] is held against.
#![allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    unused_qualifications,
    reason = "generated; documented in the .proto file"
)]

include!(concat!(env!("OUT_DIR"), "/flowpb.rs"));
