//! Which records of a batch a stat counts: decision, direction and predicate, each computed once for all stats that ask
//! for it.
//!
//! A predicate is a set of tests. A test that stands in several predicates runs once a batch, and gives a word with one
//! bit a record, as everything here does.

use super::columns::{Lies, first};
use super::weights::Weights;
use crate::arch::columns::{self, Columns, Task};
use crate::axes::key::number;
use crate::axes::{DecisionAxis, DirectionAxis, KeySpec};
use crate::config::{Predicate, Span, StatSpec, Test};
use crate::gather::packed::turned::Turned;
use crate::limits::{BATCH_RECORDS_MAX, KEY_BYTES_MAX};
use crate::record::{FlowRow, Record};
use crate::units::Family;

/// The widest key that is compared as a number.
const NUMBER_BYTES_MAX: usize = 8;

/// What the stats of a plan select by.
pub(super) struct Selections {
    family: Family,
    tests: Vec<Tested>,
    list: Vec<Selection>,
}

/// A test, and how it is made.
struct Tested {
    test: Test,
    spans: Spans,
    /// Where its key lies in narrow records: of four bytes at most, those are compared as numbers.
    lies: Option<Lies>,
    width: usize,
}

/// Which records a stat counts.
#[derive(PartialEq)]
struct Selection {
    decision: DecisionAxis,
    direction: DirectionAxis,
    /// Positions of its tests, ascending: all must hold.
    tests: Vec<usize>,
}

/// Values that a test admits, sorted and apart from each other.
enum Spans {
    Numbers(Vec<(u64, u64)>),
    Bytes(Vec<Span>),
}

/// Masks of one batch.
pub(super) struct Masks {
    tests: Vec<u64>,
    list: Vec<u64>,
}

impl Selections {
    /// Of no stat yet.
    pub(super) const fn new(family: Family) -> Self {
        Self { family, tests: Vec::new(), list: Vec::new() }
    }

    /// Position of what a row selects.
    pub(super) fn add(&mut self, row: &StatSpec) -> usize {
        let asked = row.predicate.iter().flat_map(|predicate: &Predicate| &predicate.tests);
        let mut tests: Vec<usize> = asked.map(|test| self.test(test)).collect();
        tests.sort_unstable();
        let selection = Selection { decision: row.decision, direction: row.direction, tests };
        super::plan::position(&mut self.list, selection)
    }

    fn test(&mut self, test: &Test) -> usize {
        self.tests.iter().position(|have| have.test == *test).unwrap_or_else(|| {
            let (spans, width) = (Spans::new(test, self.family), test.key.width(self.family));
            let lies = Lies::of(&test.key).filter(|lies| self.family == Family::V4 && !lies.is_flow());
            self.tests.push(Tested { test: test.clone(), spans, lies, width });
            self.tests.len() - 1
        })
    }

    /// Keys that the tests read.
    pub(super) fn keys(&self) -> impl Iterator<Item = &KeySpec> {
        self.tests.iter().map(|tested| &tested.test.key)
    }

    /// Room for the masks of a batch.
    pub(super) fn masks(&self) -> Masks {
        Masks { tests: vec![0; self.tests.len()], list: vec![0; self.list.len()] }
    }

    /// Whether some test is not made on what a batch is turned to.
    pub(super) fn asks_records(&self) -> bool {
        self.tests.iter().any(|tested| tested.lies.is_none())
    }

    /// Reads a batch, of which the weights have been read.
    pub(super) fn fill(&self, masks: &mut Masks, records: &[Record], weights: &Weights) {
        for (mask, tested) in masks.tests.iter_mut().zip(&self.tests) {
            *mask = tested.spans.mask(&tested.test.key, records, self.family);
        }
        self.select(masks, weights);
    }

    /// Reads rows of flow records, of which the weights have been read.
    pub(super) fn fill_flows(&self, masks: &mut Masks, rows: &[FlowRow], weights: &Weights) {
        for (mask, tested) in masks.tests.iter_mut().zip(&self.tests) {
            let (key, mut bytes) = (&tested.test.key, [0; KEY_BYTES_MAX]);
            let bytes = &mut bytes[..key.width(self.family)];
            let admits = |(at, row)| u64::from(key.extract_flow(row, bytes) && tested.spans.admit(bytes)) << at;
            *mask = rows.iter().enumerate().map(admits).fold(0, |mask, bit| mask | bit);
        }
        self.select(masks, weights);
    }

    /// Reads a batch that was turned; `records` are there if some test asks for them.
    pub(super) fn turn(&self, masks: &mut Masks, turned: &Turned, records: &[Record], weights: &Weights) {
        for (mask, tested) in masks.tests.iter_mut().zip(&self.tests) {
            *mask = match tested.lies {
                Some(lies) => columns::run(Testing { tested, lies, turned, weights }),
                None => tested.spans.mask(&tested.test.key, records, self.family),
            };
        }
        self.select(masks, weights);
    }

    fn select(&self, masks: &mut Masks, weights: &Weights) {
        let Weights { ingress, egress, blocked, .. } = *weights;
        for (mask, selection) in masks.list.iter_mut().zip(&self.list) {
            let direction = match selection.direction {
                DirectionAxis::Ingress => ingress,
                DirectionAxis::Egress => egress,
                DirectionAxis::Any => u64::MAX,
            };
            let decision = match selection.decision {
                DecisionAxis::Passed => !blocked,
                DecisionAxis::Blocked => blocked,
                DecisionAxis::Any => u64::MAX,
            };
            *mask = selection.tests.iter().fold(direction & decision & first(weights.records()), |mask, test| mask & masks.tests[*test]);
        }
    }
}

/// Spans that are compared with all records one after the other; of more of them each record's is looked for.
const SPANS_FEW: usize = 4;

/// A test of a batch that was turned.
struct Testing<'a> {
    tested: &'a Tested,
    lies: Lies,
    turned: &'a Turned,
    weights: &'a Weights,
}

impl Task for Testing<'_> {
    type Out = u64;

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "keys of four bytes at most")]
    fn run<C: Columns>(self, columns: C) -> u64 {
        let Self { tested, lies, turned, weights } = self;
        let (mut heads, left) = ([0; BATCH_RECORDS_MAX], 32 - 8 * tested.width);
        lies.heads::<BATCH_RECORDS_MAX>(turned, tested.width, &mut heads);
        let present = weights.having(columns, turned, lies.needs);
        let Spans::Numbers(spans) = &tested.spans else { return 0 };
        let mut found = 0;
        if spans.len() <= SPANS_FEW {
            for (low, high) in spans {
                let head = |number: u64| (number << left) as u32;
                found |= columns.within(&heads, head(*low), head(high - low));
            }
        } else {
            for (at, head) in heads.iter().enumerate() {
                found |= u64::from(admits(spans, u64::from(head >> left))) << at;
            }
        }
        found & present
    }
}

impl Masks {
    /// Records that a selection counts.
    #[inline]
    pub(super) fn of(&self, selection: usize) -> u64 {
        self.list[selection]
    }
}

impl Spans {
    fn new(test: &Test, family: Family) -> Self {
        let spans = test.spans(family);
        if test.key.width(family) <= NUMBER_BYTES_MAX {
            Self::Numbers(spans.iter().map(|(low, high)| (number(low), number(high))).collect())
        } else {
            Self::Bytes(spans.to_vec())
        }
    }

    fn mask(&self, key: &KeySpec, records: &[Record], family: Family) -> u64 {
        let mut bytes = [0; KEY_BYTES_MAX];
        let bytes = &mut bytes[..key.width(family)];
        let mut mask = 0;
        for (i, record) in records.iter().enumerate() {
            mask |= u64::from(key.extract(record, bytes) && self.admit(bytes)) << i;
        }
        mask
    }

    /// Whether one of them holds a key: the last that begins at or before it.
    fn admit(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Numbers(spans) => admits(spans, number(bytes)),
            Self::Bytes(spans) => {
                let at = spans.partition_point(|(low, _)| low.as_slice() <= bytes);
                at > 0 && bytes <= spans[at - 1].1.as_slice()
            }
        }
    }
}

/// Whether one of these holds a number.
#[inline(always)]
fn admits(spans: &[(u64, u64)], number: u64) -> bool {
    let at = spans.partition_point(|(low, _)| *low <= number);
    at > 0 && number <= spans[at - 1].1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::lanes::Usual;
    use crate::axes::Metric;
    use crate::axes::key::{Key, Lengths};
    use crate::record::Has;

    fn row(tests: Vec<Test>) -> StatSpec {
        StatSpec { predicate: Some(Predicate { tests }), ..StatSpec::new("sum", &[Key::None], Metric::Packets) }
    }

    fn fill(selections: &Selections, masks: &mut Masks, records: &[Record]) {
        let mut weights = Weights::new();
        weights.fill(Usual, records);
        selections.fill(masks, records, &weights);
    }

    fn test(key: Key, spans: &[(&[u8], &[u8])]) -> Test {
        let spans: Vec<Span> = spans.iter().map(|(low, high)| (low.to_vec(), high.to_vec())).collect();
        Test { key: KeySpec::new(vec![key], Lengths::default()), v4: spans.clone(), v6: spans }
    }

    #[test]
    fn a_test_is_shared_by_the_predicates_that_have_it() {
        let (ttl, size) = (test(Key::Ttl, &[(&[64], &[64])]), test(Key::PacketSize, &[(&[0, 0, 0, 60], &[0, 0, 0, 70])]));
        let mut selections = Selections::new(Family::V4);
        let both = selections.add(&row(vec![ttl.clone(), size.clone()]));
        assert_eq!(selections.add(&row(vec![size.clone(), ttl.clone()])), both);
        let one = selections.add(&row(vec![size]));
        assert_eq!((selections.tests.len(), selections.list.len()), (2, 2));
        let mut masks = selections.masks();
        let record = |ttl, wire_bytes| Record { ttl, wire_bytes, ..Record::default() };
        fill(&selections, &mut masks, &[record(64, 60), record(63, 70), record(64, 71), record(64, 59)]);
        assert_eq!((masks.of(both), masks.of(one)), (0b0001, 0b0011));
    }

    #[test]
    fn spans_of_long_keys_are_compared_as_bytes() {
        let (low, high) = ([0x20; 16], [0x2F; 16]);
        let source = test(Key::SrcIp, &[(&[1; 16], &[1; 16]), (&low, &high)]);
        let mut selections = Selections::new(Family::V6);
        let at = selections.add(&row(vec![source]));
        let mut masks = selections.masks();
        let record = |src| Record { src: [src; 16], has: Has::V6, ..Record::default() };
        fill(&selections, &mut masks, &[0, 1, 2, 0x1F, 0x20, 0x2A, 0x2F, 0x30].map(record));
        assert_eq!(masks.of(at), 0b0111_0010);
    }
}
