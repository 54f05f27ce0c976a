//! What a number is a step of: of what the protocol's standard counts, or of what some exporters count all the same: datagrams where it
//! should be records (NetFlow 5 and 7, IPFIX), records where it should be datagrams (NetFlow 9).

/// So many steps in a row must be of the other kind.
const TURNS_AT: u8 = 8;

/// How many units a datagram has: these, and up to so many more, of which nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Units {
    pub(super) sure: u32,
    pub(super) unsure: u32,
}

impl Units {
    pub(super) const ONE: Self = Self { sure: 1, unsure: 0 };
}

/// What a step says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Of neither kind.
    Unclear,
    /// Of the kind that is followed.
    Own,
    /// Of the other one; or of both, while others were lately.
    Other,
    /// Of the other one, and now followed.
    Turned,
}

/// The last number, and what tells the kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steps {
    /// It counts what the standard does not.
    pub(super) is_other: bool,
    /// How many in a row told the kind that is not followed.
    told: u8,
    /// How many behind the last of them were of both.
    both: u8,
    /// The last number, and the units of its datagram, by the standard and in the other way.
    last: Option<(u32, Units, Units)>,
}

impl Steps {
    /// Whether it may be that the other kind is to be followed.
    pub(super) const fn are_doubtful(&self) -> bool {
        self.told > 0
    }

    /// Whether a step of the other kind leads from the last number to this one.
    pub(super) fn lead_to(&self, number: u32) -> bool {
        self.last.is_some_and(|(last, _, other)| other.unsure == 0 && number.wrapping_sub(last) == other.sure)
    }

    /// Takes a datagram's number, and how many units it has either way.
    pub(super) fn take(&mut self, number: u32, standard: Units, other: Units) -> Step {
        let Some((last, standard, other)) = self.last.replace((number, standard, other)) else { return Step::Unclear };
        let step = number.wrapping_sub(last);
        let is = |units: Units| units.unsure == 0 && units.sure == step;
        if standard.unsure + other.unsure > 0 || !is(standard) && !is(other) {
            return Step::Unclear;
        }
        if is(standard) && is(other) && self.told > 0 && self.both < TURNS_AT {
            self.both += 1;
            return Step::Other;
        }
        if is(other) == self.is_other || is(standard) && is(other) {
            (self.told, self.both) = (0, 0);
            return Step::Own;
        }
        (self.told, self.both) = (self.told + 1, 0);
        if self.told < TURNS_AT {
            return Step::Other;
        }
        (self.is_other, self.told) = (!self.is_other, 0);
        Step::Turned
    }
}
