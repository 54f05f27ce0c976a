//! What is wrong with a row of a table.

use std::path::Path;

use crate::config::{Fault, Faults};

/// What is wrong, and what would be right; where is known to who reads the file.
pub(super) struct Wrong {
    key: String,
    what: String,
    remedy: String,
}

impl Wrong {
    pub(super) fn of(key: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key: key.to_owned(), what: what.into(), remedy: remedy.into() }
    }

    /// In a line, from 1; 0: of the file as a whole.
    pub(super) fn at(self, file: &Path, line: usize) -> Fault {
        Fault { file: file.to_owned(), line, key: self.key, what: self.what, remedy: self.remedy }
    }

    /// The only fault of a file.
    pub(super) fn only(self, file: &Path, line: usize) -> Faults {
        Faults::one(self.at(file, line))
    }
}

/// A number of a column.
pub(super) fn number<T: std::str::FromStr>(key: &str, text: &str, example: &str) -> Result<T, Wrong> {
    text.parse().map_err(|_| Wrong::of(key, format!("\"{text}\" is no number that fits"), format!("write one such as {example}")))
}

/// A prefix of a column, without host bits.
pub(super) fn prefix(key: &str, text: &str) -> Result<ipnet::IpNet, Wrong> {
    crate::config::ranges::prefix(text).map_err(|(what, remedy)| Wrong::of(key, what, remedy))
}
