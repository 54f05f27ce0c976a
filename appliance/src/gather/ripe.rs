//! Ranges that wait for their turn to hand on what they have: each once, the first come first.

/// A ring with a place for each range.
pub(super) struct Ripe {
    ranges: Box<[u32]>,
    first: usize,
    len: usize,
    /// Records since the last turn, and ever, of which only differences tell something.
    came: u32,
    all: u32,
}

impl Ripe {
    /// For so many ranges.
    pub(super) fn new(ranges: usize) -> Self {
        Self { ranges: vec![0; ranges].into_boxed_slice(), first: 0, len: 0, came: 0, all: 0 }
    }

    /// None waits.
    pub(super) const fn clear(&mut self) {
        (self.first, self.len) = (0, 0);
    }

    /// Puts a range behind the last. It is not among them.
    pub(super) fn push(&mut self, range: u32) {
        debug_assert!(self.len < self.ranges.len(), "a range stands here once");
        let at = self.first + self.len;
        let at = if at < self.ranges.len() { at } else { at - self.ranges.len() };
        self.ranges[at] = range;
        self.len += 1;
    }

    /// The first, if one waits.
    #[inline]
    pub(super) fn first(&self) -> Option<u32> {
        if self.len == 0 { None } else { self.ranges.get(self.first).copied() }
    }

    /// Lets the first go.
    pub(super) const fn pop(&mut self) {
        self.len -= 1;
        self.first = if self.first + 1 < self.ranges.len() { self.first + 1 } else { 0 };
    }

    /// Records that came ever, as far as 32 bits go.
    #[inline]
    pub(super) const fn all(&self) -> u32 {
        self.all
    }

    /// Counts records that came, or will before this is asked again. Whether one batch of the first is to go: after each `turn`
    /// of them.
    #[inline]
    pub(super) const fn is_due(&mut self, records: u32, turn: u32) -> bool {
        self.came += records;
        self.all = self.all.wrapping_add(records);
        if self.came < turn {
            return false;
        }
        self.came -= turn;
        self.len > 0
    }
}
