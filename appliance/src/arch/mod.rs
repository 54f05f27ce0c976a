//! What depends on the processor, or could: keyed hashing. The scalar form is the definition.

pub mod hash;

pub use hash::HashKey;
