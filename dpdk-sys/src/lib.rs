//! Raw bindings to the distribution's DPDK (22.11), and to the shim for what its headers hold as static inlines.
//!
//! Nothing here is safe to call; `tailwater::dpdk` is the one user, and says for each call why it is sound.
#![allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unsafe_op_in_unsafe_fn,
    unnecessary_transmutes,
    clippy::all,
    clippy::pedantic,
    reason = "generated from DPDK's headers"
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
