//! What an exporter says it has sent (elements 41, 42 in options), against what came.

/// Both counts between the first and the last word of the exporter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exported {
    first: Option<Mark>,
    last: Option<Mark>,
    /// What came so far.
    pub(super) messages: u64,
    /// Records of flows, those that waited for their template included.
    pub(super) records: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    told: (Option<u64>, Option<u64>),
    came: (u64, u64),
}

impl Exported {
    /// The exporter's word. One that counts less than before began anew.
    pub(super) fn told(&mut self, told: (Option<u64>, Option<u64>)) {
        let mark = Mark { told, came: (self.messages, self.records) };
        if self.last.is_some_and(|last| told.0 < last.told.0 || told.1 < last.told.1) {
            self.first = None;
        }
        self.first.get_or_insert(mark);
        self.last = Some(mark);
    }

    /// Messages and records: told and came, since the first word; `None` where nothing can be said.
    pub(super) fn compared(&self) -> Option<[Option<(u64, u64)>; 2]> {
        let (first, last) = (self.first?, self.last?);
        let both = |told: (Option<u64>, Option<u64>), came: (u64, u64)| Some((told.1?.checked_sub(told.0?)?, came.1 - came.0));
        Some([
            both((first.told.0, last.told.0), (first.came.0, last.came.0)),
            both((first.told.1, last.told.1), (first.came.1, last.came.1)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_between_two_words() {
        let mut e = Exported { messages: 5, records: 50, ..Exported::default() };
        assert_eq!(e.compared(), None);
        e.told((Some(100), None));
        (e.messages, e.records) = (8, 90);
        e.told((Some(110), None));
        assert_eq!(e.compared(), Some([Some((10, 3)), None]));
        e.told((Some(2), None));
        assert_eq!(e.compared(), Some([Some((0, 0)), None]));
    }
}
