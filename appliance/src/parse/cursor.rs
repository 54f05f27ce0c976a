//! Where the walk stands in a frame. Every read is compared with what the slice holds.

/// A position in a frame, and how far the innermost length seen so far allows to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the start of a frame.
    #[inline]
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes from the frame's start.
    #[inline]
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Bytes that may still be read.
    #[inline]
    pub(super) const fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// The next `N` bytes, not consumed.
    #[inline]
    pub(super) fn peek<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.bytes.get(self.at..)?.first_chunk()
    }

    /// `N` bytes that begin `ahead` bytes from here, not consumed.
    #[inline]
    pub(super) fn peek_at<const N: usize>(&self, ahead: usize) -> Option<&'a [u8; N]> {
        self.bytes.get(self.at.checked_add(ahead)?..)?.first_chunk()
    }

    /// What stands from `from` up to `to` bytes from here, not consumed.
    #[inline]
    pub(super) fn between(&self, from: usize, to: usize) -> Option<&'a [u8]> {
        self.bytes.get(self.at.checked_add(from)?..self.at.checked_add(to)?)
    }

    /// The next `N` bytes, consumed.
    #[inline]
    pub(super) fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let taken = self.peek()?;
        self.at += N;
        Some(taken)
    }

    /// Consumes `count` bytes; `None`, and nothing consumed, where fewer are left.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        if count > self.left() {
            return None;
        }
        self.at += count;
        Some(())
    }

    /// Allows at most `count` further bytes: what a header says of its own payload. Never allows more than before.
    #[inline]
    pub(super) fn limit(&mut self, count: usize) {
        if count < self.left() {
            self.bytes = self.bytes.get(..self.at + count).unwrap_or(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_end_where_the_slice_ends() {
        let mut c = Cursor::new(&[1, 2, 3, 4, 5]);
        assert_eq!(c.take::<2>(), Some(&[1, 2]));
        assert_eq!(c.peek::<4>(), None);
        assert_eq!(c.peek_at::<1>(2), Some(&[5]));
        assert_eq!(c.peek_at::<1>(usize::MAX), None);
        assert_eq!(c.skip(4), None);
        assert_eq!(c.at(), 2);
        assert_eq!(c.skip(3), Some(()));
        assert_eq!((c.left(), c.take::<1>(), c.take::<0>()), (0, None, Some(&[])));
    }

    #[test]
    fn a_limit_only_shrinks() {
        let mut c = Cursor::new(&[0; 10]);
        assert_eq!(c.skip(2), Some(()));
        c.limit(4);
        assert_eq!(c.left(), 4);
        c.limit(100);
        assert_eq!(c.left(), 4);
        c.limit(0);
        assert_eq!((c.left(), c.take::<1>()), (0, None));
    }
}
