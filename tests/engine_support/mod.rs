//! What the engine's tests share: packets, configurations, the model, and the engine driven over them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "shared by tests that use a part each")]

pub mod beneath;
pub mod calculations;
pub mod compare;
pub mod cover;
pub mod dice;
mod distinct;
pub mod drive;
pub mod history;
pub mod model;
pub mod reloads;
pub mod rows;
pub mod setup;
pub mod traffic;
