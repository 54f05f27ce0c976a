//! Databases in MaxMind's format, for flows: names too.

use std::path::Path;

use serde_json::Value;

use super::prefixes::Prefixes;
use super::wrong::Wrong;
use crate::config::Faults;
use crate::flows::Text;
use crate::origins::database::{self, COUNTRY, SYSTEM, Unreadable};

/// An autonomous system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct As {
    /// Number.
    pub(super) number: u32,
    /// Organisation; empty: not known.
    pub(super) name: Text,
}

/// AS numbers and organisations.
///
/// # Errors
/// It is no such database.
pub(super) fn systems(file: &Path) -> Result<Prefixes<As>, Faults> {
    load(file, SYSTEM, |record| {
        let name = ["autonomous_system_organization", "name", "as_name"].iter().find_map(|key| record.get(*key)?.as_str());
        Some(As { number: database::system(record)?, name: Text::from(name.unwrap_or("")) })
    })
}

/// Countries, two letters.
///
/// # Errors
/// It is no such database.
pub(super) fn countries(file: &Path) -> Result<Prefixes<Text>, Faults> {
    load(file, COUNTRY, |record| database::country(record).map(Text::from))
}

fn load<T>(file: &Path, what: &str, of: impl Fn(&Value) -> Option<T>) -> Result<Prefixes<T>, Faults> {
    let read = database::bytes(file).and_then(|bytes| database::rows(file, bytes, what, of));
    let (networks, rows) = read.map_err(|Unreadable { file, what, remedy }| Wrong::of("", what, remedy).only(&file, 0))?;
    Ok(Prefixes::new(networks, rows))
}
