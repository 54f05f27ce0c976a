//! What depends on the processor, or could: keyed hashing, whose scalar form is the definition; waiting; rings between cores.

pub mod hash;
pub mod lanes;
pub mod prefetch;
pub mod region;
pub mod patience;
pub mod ring;

pub use hash::HashKey;
pub use patience::Patience;
pub use region::{HUGE_PAGE_BYTES, Made, Region, Reserve};
