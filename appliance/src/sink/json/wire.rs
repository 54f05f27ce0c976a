//! Reads protobuf's wire, and never beyond its end.

/// What is left to read.
#[derive(Clone, Copy)]
pub(super) struct Wire<'a>(pub(super) &'a [u8]);

impl<'a> Wire<'a> {
    #[inline]
    pub(super) fn varint(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first()?;
        if *first < 0x80 {
            self.0 = rest;
            return Some(u64::from(*first));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (at, byte) in self.0.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7F) << (7 * at);
            if *byte < 0x80 {
                // The tenth byte has room for one bit.
                return self.0.split_at_checked(at + 1).filter(|_| at < 9 || *byte < 2).map(|(_, rest)| {
                    self.0 = rest;
                    value
                });
            }
        }
        None
    }

    #[inline]
    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// What has its length before it.
    #[inline]
    pub(super) fn long(&mut self) -> Option<&'a [u8]> {
        let bytes = usize::try_from(self.varint()?).ok()?;
        self.take(bytes)
    }

    #[inline]
    pub(super) fn double(&mut self) -> Option<f64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*bytes))
    }
}
