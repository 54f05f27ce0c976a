//! Parsed frames made by hand, for the tests of what stands behind the parser.

use super::{IpHeader, Parsed};

impl Parsed {
    /// A frame of these IP headers, outermost first, and nothing else.
    pub(crate) fn of(headers: &[IpHeader]) -> Self {
        let mut parsed = Self { count: u8::try_from(headers.len()).unwrap(), ..Self::default() };
        parsed.headers[..headers.len()].copy_from_slice(headers);
        parsed
    }
}
