//! Packets that a mirror shows twice: SPAN in both directions, two switches on one path.
//!
//! A receiving core hashes what is the same in both copies, with the appliance's key, and keeps the few whose hash is small
//! ([`sight`], [`Copies`]); so both copies are kept or none, whichever cores and ports they come by, and nobody without the key can tell
//! which. The reporter finds the same hash again ([`pairs`]). Nothing is taken out of any figure.

pub mod copies;
pub mod pairs;
pub mod sight;

pub use copies::{Copies, Sample};
pub use pairs::{PairFigures, Pairs, Standing};
pub use sight::sight;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// One distinct packet in so many.
    pub sample: u32,
    /// Copies come within this.
    pub within_ns: u64,
    /// From this share on it is told as a fault.
    pub alarm_share: f64,
}
