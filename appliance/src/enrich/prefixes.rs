//! A table by prefix.

use std::collections::HashMap;

use ipnet::IpNet;

use super::wrong::Wrong;
use crate::flows::Address;
use crate::origins::Spans;

/// The longest prefix of an address, and what stands beside it.
#[derive(Debug)]
pub(super) struct Prefixes<T> {
    spans: Spans,
    rows: Vec<T>,
}

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self { spans: Spans::default(), rows: Vec::new() }
    }
}

impl<T> Prefixes<T> {
    /// Of prefixes that name a row each, by its place.
    pub(super) fn new(prefixes: Vec<(u32, IpNet)>, rows: Vec<T>) -> Self {
        Self { spans: Spans::new(prefixes), rows }
    }

    #[inline]
    pub(super) fn of(&self, address: &Address) -> Option<&T> {
        self.rows.get(self.spans.lookup(address.bytes())? as usize)
    }
}

/// Prefixes as they are read: none may stand there twice.
#[derive(Debug)]
pub(super) struct Reading<T> {
    seen: HashMap<IpNet, usize>,
    prefixes: Vec<(u32, IpNet)>,
    rows: Vec<T>,
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self { seen: HashMap::new(), prefixes: Vec::new(), rows: Vec::new() }
    }
}

impl<T> Reading<T> {
    /// One more.
    pub(super) fn add(&mut self, line: usize, prefix: IpNet, row: T) -> Result<(), Wrong> {
        if let Some(before) = self.seen.insert(prefix, line) {
            return Err(Wrong::of("prefix", format!("{prefix} stands already in line {before}"), "remove one of the two"));
        }
        let number = u32::try_from(self.rows.len()).map_err(|_| Wrong::of("prefix", "is one too many", "remove what follows"))?;
        self.prefixes.push((number, prefix));
        self.rows.push(row);
        Ok(())
    }

    pub(super) fn done(self) -> Prefixes<T> {
        Prefixes::new(self.prefixes, self.rows)
    }
}
