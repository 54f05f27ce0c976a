//! The vocabulary of statistics: keys, metrics, decisions and directions, spelled as in the configuration.
//!
//! Adding a key or a metric is one row in [`key`] or [`metric`]; nothing else in the program lists them. Calculations
//! are not here: each is a file of its own in `stats`.

pub mod flow;
pub mod flow_field;
pub mod key;
pub mod metric;
pub mod service;
mod spec;
mod text;
pub mod value;

use crate::record::{Has, Record};

pub use flow::Source;
pub use key::Key;
pub use metric::Metric;
pub use spec::KeySpec;

/// Which packets a stat counts, by what the scrubber did with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecisionAxis {
    /// Those let through.
    Passed,
    /// Those dropped, scaled by their sampling rate.
    Blocked,
    /// Both.
    Any,
}

impl DecisionAxis {
    /// All of them, with their spelling.
    pub const ALL: [(&'static str, Self); 3] = [("passed", Self::Passed), ("blocked", Self::Blocked), ("any", Self::Any)];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        name_in(&Self::ALL, self)
    }

    /// Whether a record counts.
    #[inline]
    pub const fn admits(self, record: &Record) -> bool {
        match self {
            Self::Passed => !record.has.all(Has::BLOCKED),
            Self::Blocked => record.has.all(Has::BLOCKED),
            Self::Any => true,
        }
    }
}

/// Which packets a stat counts, by which side of them matched the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DirectionAxis {
    /// Towards the range.
    Ingress,
    /// From the range.
    Egress,
    /// Both; a packet within one range counts once.
    Any,
}

impl DirectionAxis {
    /// All of them, with their spelling.
    pub const ALL: [(&'static str, Self); 3] = [("ingress", Self::Ingress), ("egress", Self::Egress), ("any", Self::Any)];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        name_in(&Self::ALL, self)
    }

    /// Whether a record counts.
    #[inline]
    pub const fn admits(self, record: &Record) -> bool {
        match self {
            Self::Ingress => record.has.all(Has::INGRESS),
            Self::Egress => record.has.all(Has::EGRESS),
            Self::Any => true,
        }
    }
}

fn name_in<T: Copy + PartialEq>(all: &[(&'static str, T)], value: T) -> &'static str {
    all.iter().find(|(_, v)| *v == value).map_or("", |(name, _)| name)
}
