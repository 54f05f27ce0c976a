//! Which records of a batch a stat counts: decision, direction and predicate, each computed once for all stats that ask
//! for it.
//!
//! A predicate is a set of tests. A test that stands in several predicates runs once a batch, and gives a word with one
//! bit a record, as everything here does.

use super::columns::first;
use super::weights::Weights;
use crate::axes::key::number;
use crate::axes::{DecisionAxis, DirectionAxis, KeySpec};
use crate::config::{Predicate, Span, StatSpec, Test};
use crate::limits::KEY_BYTES_MAX;
use crate::record::Record;
use crate::units::Family;

/// The widest key that is compared as a number.
const NUMBER_BYTES_MAX: usize = 8;

/// What the stats of a plan select by.
pub(super) struct Selections {
    family: Family,
    tests: Vec<(Test, Spans)>,
    list: Vec<Selection>,
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
        self.tests.iter().position(|(have, _)| have == test).unwrap_or_else(|| {
            self.tests.push((test.clone(), Spans::new(test, self.family)));
            self.tests.len() - 1
        })
    }

    /// Keys that the tests read.
    pub(super) fn keys(&self) -> impl Iterator<Item = &KeySpec> {
        self.tests.iter().map(|(test, _)| &test.key)
    }

    /// Room for the masks of a batch.
    pub(super) fn masks(&self) -> Masks {
        Masks { tests: vec![0; self.tests.len()], list: vec![0; self.list.len()] }
    }

    /// Reads a batch, of which the weights have been read.
    pub(super) fn fill(&self, masks: &mut Masks, records: &[Record], weights: &Weights) {
        for (mask, (test, spans)) in masks.tests.iter_mut().zip(&self.tests) {
            *mask = spans.mask(&test.key, records, self.family);
        }
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
            *mask = selection.tests.iter().fold(direction & decision & first(records.len()), |mask, test| mask & masks.tests[*test]);
        }
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
            Self::Numbers(spans) => {
                let value = number(bytes);
                let at = spans.partition_point(|(low, _)| *low <= value);
                at > 0 && value <= spans[at - 1].1
            }
            Self::Bytes(spans) => {
                let at = spans.partition_point(|(low, _)| low.as_slice() <= bytes);
                at > 0 && bytes <= spans[at - 1].1.as_slice()
            }
        }
    }
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
