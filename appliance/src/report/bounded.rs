//! An account that every broker takes: what is longest and least is left off, and counted.
//!
//! How long an account is, is up to ports, queues, cores, drivers' counters and names. Kafka's brokers refuse more than 1,048,588 bytes
//! unless told otherwise, and an account cannot go in parts as a range's report can: windows are known to be whole by it.

use std::borrow::Cow;

use prost::Message as _;

use super::pb;

/// An account's bytes at most: half of what brokers take.
pub const ACCOUNT_BYTES_MAX: usize = 512 << 10;

/// The account, or one that lacks rows of its longest lists (`left_off` says how many), so that it is no longer than
/// [`ACCOUNT_BYTES_MAX`].
pub fn bounded(report: &pb::ApplianceReport) -> Cow<'_, pb::ApplianceReport> {
    let bytes = report.encoded_len();
    if bytes <= ACCOUNT_BYTES_MAX {
        return Cow::Borrowed(report);
    }
    let mut shorter = report.clone();
    let mut cutting = Cutting { over: bytes + LEFT_OFF_BYTES - ACCOUNT_BYTES_MAX, left_off: Vec::new() };
    cutting.all(&mut shorter);
    shorter.left_off = cutting.left_off;
    Cow::Owned(shorter)
}

/// What naming all lists that may be cut takes at most.
const LEFT_OFF_BYTES: usize = 1_024;

/// How much there still is too much, and what was left off for it.
struct Cutting {
    over: usize,
    left_off: Vec<pb::NamedCount>,
}

impl Cutting {
    /// The least first: what other rows, metrics or the totals tell too.
    fn all(&mut self, report: &mut pb::ApplianceReport) {
        self.each("ports.device_counters", report.ports.iter_mut().map(|port| &mut port.device_counters));
        if let Some(duplicates) = &mut report.duplicates {
            // Those of which something is said stay.
            duplicates.pairs.sort_by_key(|pair| (std::cmp::Reverse((pair.verdict, pair.seen_twice)), pair.first, pair.second));
            self.list("duplicates.pairs", &mut duplicates.pairs);
            duplicates.pairs.sort_by_key(|pair| (pair.first, pair.second));
        }
        self.each("ports.queues", report.ports.iter_mut().map(|port| &mut port.queues));
        if let Some(exports) = &mut report.exports {
            self.list("exports.taps", &mut exports.taps);
        }
        if let Some(audit) = &mut report.audit {
            self.list("audit.found", &mut audit.found);
            self.list("audit.all", &mut audit.all);
        }
        if let Some(flows) = &mut report.flows {
            self.list("flows.doubts", &mut flows.doubts);
        }
        self.list("tags", &mut report.tags);
        self.list("cores", &mut report.cores);
        self.list("losses", &mut report.losses);
        self.list("ports", &mut report.ports);
        self.list("feeds", &mut report.feeds);
    }

    fn each<'a, T: prost::Message + 'a>(&mut self, name: &str, lists: impl DoubleEndedIterator<Item = &'a mut Vec<T>>) {
        let rows = lists.rev().map(|rows| self.cut(rows)).sum();
        self.tell(name, rows);
    }

    fn list<T: prost::Message>(&mut self, name: &str, rows: &mut Vec<T>) {
        let rows = self.cut(rows);
        self.tell(name, rows);
    }

    /// Takes rows off the end, as many as need be; how many.
    fn cut<T: prost::Message>(&mut self, rows: &mut Vec<T>) -> u64 {
        let before = rows.len();
        while self.over > 0
            && let Some(row) = rows.pop()
        {
            // No less than what it took: its tag and length take two bytes at least.
            self.over = self.over.saturating_sub(row.encoded_len() + 2);
        }
        (before - rows.len()) as u64
    }

    fn tell(&mut self, name: &str, value: u64) {
        if value > 0 {
            self.left_off.push(pb::NamedCount { name: name.to_owned(), value });
        }
    }
}

#[cfg(test)]
#[path = "bounded_tests.rs"]
pub(crate) mod tests;
