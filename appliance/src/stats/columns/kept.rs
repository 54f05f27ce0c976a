//! Which records a kernel looks at that may leave some out, while the core has more to do than it can.

use super::View;

impl View<'_> {
    /// Of which a kernel that may leave records out looks at `kept`, drawn at one in 2^`level`.
    #[must_use]
    pub const fn shed(mut self, level: u32, kept: u64) -> Self {
        (self.shed, self.kept) = (level, kept);
        self
    }

    /// See [`Self::shed`]; 0: nothing is to be left out.
    #[inline]
    pub const fn shed_level(&self) -> u32 {
        self.shed
    }

    /// Those that count and are to be looked at by who may leave records out.
    #[inline]
    pub const fn kept(&self) -> u64 {
        self.selected & self.kept
    }

    /// Those that count and may be left out.
    #[must_use]
    pub const fn left_out(mut self) -> Self {
        self.selected &= !self.kept;
        self
    }
}
