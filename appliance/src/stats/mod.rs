//! The statistics engine: five axes, one trait, one file a calculation.
//!
//! A row of the configuration is compiled once into a [`Kernel`]. A kernel has a few root words in each range's block
//! and may grow into chunks of a bounded pool; it reads a batch as columns and updates its state in one tight loop.
//! All-zero words are the empty state. When a window closes, the state is exported as words, and the reporter absorbs
//! the words of all shards into a [`Summary`], from which it asks the figure.
//!
//! Adding a calculation is one file that implements [`Calculation`], and its row in [`calculations::STANDARD`]; a program
//! that uses this crate adds its own to [`Calculations`]. docs/new-calculation.md walks through it.

mod bins;
pub mod calculations;
pub mod columns;
pub mod distinct;
pub mod entropy;
pub mod fanout;
pub mod figure;
mod filling;
mod gamma;
pub mod histogram;
mod hashes;
mod hll;
pub mod interval;
pub mod labels;
pub mod new_keys;
pub mod once;
pub mod pages;
pub mod peak;
pub mod plan;
pub mod pool;
pub mod quantiles;
mod selection;
pub mod settings;
pub mod stretch;
pub mod sum;
mod table;
mod told;
pub mod topk;
mod values;
pub mod weighted;
pub mod weights;

use std::any::Any;

use crate::axes::KeySpec;
use crate::config::{Refusal, StatSpec, Windows};
use crate::units::Family;

use columns::View;
use figure::Figure;
use interval::Question;
use pool::{Memory, Pool};
use stretch::Stretch;

pub use calculations::{Calculations, check};

/// What a kernel is compiled for.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Of the records.
    pub family: Family,
    /// The largest weight that a record of this stat can have; 1 where nothing is sampled.
    pub weight_max: u32,
    /// Whether all samplers are random.
    pub random: bool,
    /// The one weight that all sampled records have, every one of them at random; none: they differ, or may be unproven.
    pub rate: Option<u32>,
    /// How long windows are.
    pub windows: Windows,
}

impl Context {
    /// Whether a record may stand for several packets.
    pub const fn sampled(&self) -> bool {
        self.weight_max > 1
    }
}

/// A way to make one figure of many packets.
pub trait Calculation: Sync {
    /// As in the configuration.
    fn name(&self) -> &'static str;

    /// Settings of its own that may stand beside the axes.
    fn settings(&self) -> &'static [&'static str] {
        &[]
    }

    /// The key that it reads; of most, the stat's own.
    fn key(&self, spec: &StatSpec) -> KeySpec {
        spec.key.clone()
    }

    /// A further key that its kernel reads beside the first, see [`View::other`]. Packets that lack it do not count.
    fn other_key(&self, _spec: &StatSpec) -> Option<KeySpec> {
        None
    }

    /// Whether its kernel asks for the packets' times, see [`View::time_ns`].
    fn reads_times(&self) -> bool {
        false
    }

    /// A kernel for one stat, or what is wrong with its row.
    fn compile(&self, spec: &StatSpec, context: &Context) -> Result<Box<dyn Kernel>, Refusal>;
}

/// The memory budget is spent: the figure misses the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// One stat, compiled.
pub trait Kernel: Send + Sync {
    /// Words that it has in each block.
    fn root_words(&self) -> usize;

    /// Whether it reads the keys' hashes: where no kernel does, they are not made.
    fn reads_hashes(&self) -> bool {
        true
    }

    /// Whether it reads the bytes of keys that have more than four: where no kernel does, only their hashes are made.
    fn reads_bytes(&self) -> bool {
        true
    }

    /// Whether what it exports holds keys, not their hashes alone: then only what has keys of one width merges, and addresses of
    /// IPv4 and IPv6 are of two.
    fn keeps_keys(&self) -> bool {
        true
    }

    /// Whether it tells others of the same key what it learns of a batch, see [`View`]: such run before those that do not.
    fn tells(&self) -> bool {
        false
    }

    /// Whether [`Self::prefetch`] asks for anything: who has all in its root does not.
    fn prefetches(&self) -> bool {
        true
    }

    /// Asks for what an update is likely to touch beside the root: nothing waits for it.
    fn prefetch(&self, _root: &[u64], _pool: &Pool) {}

    /// Counts the rows of `view`, at least one.
    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted>;

    /// Appends the state to `out`, never more than [`Self::export_words_max`].
    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>);

    /// The same in pieces, which whoever may export more than some hundred words should do, or it holds the core too long:
    /// appends one and says where the next begins; none: that was the last. Pieces one behind the other are what
    /// [`Self::export`] appends.
    fn export_some(&self, root: &[u64], pool: &Pool, _stretch: Stretch, out: &mut Vec<u64>) -> Option<usize> {
        self.export(root, pool, out);
        None
    }

    /// The longest export.
    fn export_words_max(&self) -> usize;

    /// Gives back its chunks.
    fn release(&self, _root: &[u64], _pool: &mut Pool) {}

    /// An empty summary of this stat.
    fn summary(&self) -> Box<dyn Summary>;
}

/// The state of one stat, over all shards.
pub trait Summary: Send {
    /// Adds what a kernel exported.
    fn absorb(&mut self, words: &[u64]);

    /// The figure of what was absorbed.
    fn figure(&self, question: &Question) -> Figure;

    /// Whether [`Self::close`] reads and keeps a [`Past`].
    fn remembers(&self) -> bool {
        false
    }

    /// The same where the figure depends on the window that closes, or on those before it.
    fn close(&self, question: &Question, _closing: &mut Closing<'_>) -> Figure {
        self.figure(question)
    }
}

/// The window of which a figure is asked.
pub struct Closing<'a> {
    /// Start and end, nanoseconds since 1970.
    pub window_ns: (u64, u64),
    /// What the stat kept of the range's windows before.
    pub past: &'a mut Past,
}

/// What a stat keeps of a range from window to window, in the reporter. Gone after a restart.
#[derive(Default)]
pub struct Past {
    /// The calculation's own; none before the first window that kept something.
    pub state: Option<Box<dyn Any + Send>>,
    /// No window that starts at this time or later needs it.
    pub until_ns: u64,
}

#[cfg(test)]
mod agree_tests;
#[cfg(test)]
pub(crate) mod moody_tests;
#[cfg(test)]
mod several_tests;
#[cfg(test)]
pub(crate) mod tests {
    /// Of a test's draws: `TAILWATER_SEED`, or a constant. To be printed with a failure.
    pub(crate) fn seed() -> u64 {
        std::env::var("TAILWATER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
    }
}
