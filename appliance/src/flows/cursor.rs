//! Where reading stands in a datagram. Every read is compared with what is there.

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// At the start of `bytes`.
    #[inline]
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What is left.
    #[inline]
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Bytes left.
    #[inline]
    pub(super) const fn left(&self) -> usize {
        self.0.len()
    }

    /// The next `count` bytes, consumed; `None`, and nothing consumed, where fewer are left.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next `N` bytes, consumed.
    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
}

/// A big-endian number of up to eight bytes (RFC 7011, 6.2: any shorter form is allowed); of more, the last eight.
#[inline]
pub(super) fn number(bytes: &[u8]) -> u64 {
    match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_be_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_be_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    }
}

/// The same of four bytes at most; of more, the last four.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the last four bytes")]
pub(super) fn number32(bytes: &[u8]) -> u32 {
    number(bytes) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length() {
        for length in 0..=8usize {
            let bytes: Vec<u8> = (1..=8u8).take(length).collect();
            let expected = bytes.iter().fold(0u128, |sum, byte| sum * 256 + u128::from(*byte));
            assert_eq!(u128::from(number(&bytes)), expected);
        }
    }

    #[test]
    fn nothing_is_read_beyond_the_end() {
        let mut c = Cursor::new(&[1, 2, 3]);
        assert_eq!((c.u32(), c.u16(), c.u16(), c.left()), (None, Some(0x0102), None, 1));
        assert_eq!((c.u8(), c.u8(), c.take(0)), (Some(3), None, Some(&[][..])));
    }
}
