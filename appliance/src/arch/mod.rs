//! What depends on the processor, or could: keyed hashing and tables of prefixes, whose scalar forms are the definition;
//! waiting; rings between cores; the counter that pieces of work are timed with;
//! what the kernel says of its clock.

pub mod agree;
pub mod cells;
mod clock;
pub mod columns;
pub mod hash;
pub mod lanes;
pub mod pages;
pub mod prefetch;
pub mod region;
pub mod patience;
pub mod pieces;
pub mod processor;
pub mod ring;
pub mod ticks;

pub use clock::KernelClock;
pub use hash::HashKey;
pub use pages::Pages;
pub use patience::Patience;
pub use region::{HUGE_PAGE_BYTES, Made, Region, Reserve};
