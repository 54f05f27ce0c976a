//! What is true of each reader whatever bytes it is given. Fuzzing and the ordinary tests ask the same judges.
//!
//! A judge takes any bytes, and panics where one of these does not hold: no panic within; what is held in memory stays within a bound that
//! grows with the input; accounts balance; and where there is a second, slow and plain reading, both say the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a judge says what must hold by failing")]
#![allow(clippy::or_fun_call, clippy::cast_possible_truncation, reason = "its inputs are short")]

mod bound;
pub(crate) mod came;
mod counts;
mod files;
mod flows;
mod frames;
mod model;
mod sflow_model;
mod told;

#[allow(unused_imports, reason = "seeds begin with them")]
pub(crate) use frames::STARTS;

#[allow(unused_imports, reason = "a test asks")]
pub(crate) use bound::most;

/// A reader that is fuzzed.
pub(crate) struct Target {
    /// As the command line and the corpus name it.
    pub(crate) name: &'static str,
    /// Panics where something is wrong.
    pub(crate) judge: fn(&[u8]),
    /// Longer inputs find nothing new, and are cut.
    pub(crate) bytes_max: usize,
}

const fn target(name: &'static str, judge: fn(&[u8]), bytes_max: usize) -> Target {
    Target { name, judge, bytes_max }
}

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    target("netflow", flows::netflow, 4_096),
    target("sflow", flows::sflow, 4_096),
    target("frame", frames::frame, 512),
    target("burst", frames::burst, 2_048),
    target("pieces", frames::pieces, 2_048),
    target("templates", files::templates, 4_096),
    target("wire", files::wire, 2_048),
    target("mrt", files::mrt, 4_096),
    target("tables", files::tables, 2_048),
    target("database", files::database, 4_096),
    target("counters", files::counters, 2_048),
    target("segment", files::segment, 4_096),
];

impl Target {
    /// The one of a name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Judges an input, cut to its bound.
    pub(crate) fn run(&self, bytes: &[u8]) {
        (self.judge)(bytes.get(..self.bytes_max).unwrap_or(bytes));
    }
}
