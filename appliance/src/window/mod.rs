//! Closing time: each shard seals a range's block when its window is over, and sends it to the reporter as words.
//!
//! Windows are closed in-band. Everything that a core tells the reporter goes through one stream of words, in order:
//! sealed blocks, then the mark that an epoch is over, with the core's own account of it.

pub mod calendar;
pub mod coming;
mod flow_account;
pub mod ledger;
pub mod links;
mod plans;
mod sealing;
pub mod shard;
mod site_words;
pub mod start;
pub mod stream;
#[cfg(all(test, feature = "loom"))]
mod stream_loom_tests;
#[cfg(all(test, not(feature = "loom")))]
mod tests;

pub use calendar::Calendar;
pub use coming::{Coming, Control};
pub use flow_account::FlowAccount;
pub use ledger::{Decisions, Ledger, Site};
pub use links::Same;
pub use plans::{Compiled, Rollup, ShardPlans};
pub use shard::{Shard, ShardBytes};
pub use start::Start;
pub use stream::{Outlet, Room, Sealed, Sent, Told};
