//! Merged shards → estimates → messages.

pub mod pb;
