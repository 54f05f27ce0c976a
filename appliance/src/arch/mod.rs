//! What depends on the processor, or could: keyed hashing, whose scalar form is the definition, and waiting.

pub mod hash;
pub mod prefetch;
pub mod region;
pub mod patience;

pub use hash::HashKey;
pub use patience::Patience;
pub use region::{Region, Reserve};
