//! Which options a header carries: a bit a kind, so that any number of options in any order is one small word.
//!
//! Padding (end of list, no operation) is not told. Values of options are not kept.

/// What a mask of options says.
pub trait Options: Copy {
    /// Names by bit, from the lowest.
    const NAMES: &'static [&'static str];

    /// Of these bits.
    fn of(bits: u16) -> Self;

    /// Its bits.
    fn bits(self) -> u16;

    /// Names in the order of their bits, joined by commas; `-` if there are none.
    fn text(self) -> String {
        let names: Vec<&str> = Self::NAMES.iter().enumerate().filter(|(i, _)| self.bits() >> i & 1 == 1).map(|(_, name)| *name).collect();
        if names.is_empty() { "-".to_owned() } else { names.join(",") }
    }

    /// The mask of such a text; names may stand in any order.
    fn read(text: &str) -> Option<Self> {
        if text == "-" {
            return Some(Self::of(0));
        }
        let bit = |name: &str| Self::NAMES.iter().position(|known| *known == name).map(|i| 1_u16 << i);
        text.split(',').try_fold(0, |bits, name| bit(name.trim()).map(|one| bits | one)).map(Self::of)
    }
}

/// Set where options stand that could not be read to their end, because the frame was cut: nothing is known then.
const UNREAD: u16 = 1 << 15;

/// Options of a TCP header. <https://www.iana.org/assignments/tcp-parameters>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpOptions(pub u16);

impl TcpOptions {
    /// They could not be read.
    pub const UNREAD: Self = Self(UNREAD);
    /// A length that cannot be.
    pub const BAD: u16 = 1 << 11;

    /// The bit of a kind.
    #[inline]
    pub const fn bit(kind: u8) -> u16 {
        match kind {
            2 => 1,
            4 => 1 << 1,
            8 => 1 << 2,
            3 => 1 << 3,
            5 => 1 << 4,
            19 => 1 << 5,
            29 => 1 << 6,
            28 => 1 << 7,
            30 => 1 << 8,
            34 => 1 << 9,
            _ => 1 << 10,
        }
    }

    /// Whether they were read.
    #[inline]
    pub const fn known(self) -> bool {
        self.0 & UNREAD == 0
    }
}

impl Options for TcpOptions {
    const NAMES: &'static [&'static str] = &["MSS", "SACK", "TS", "WS", "BLOCKS", "MD5", "AO", "UTO", "MPTCP", "TFO", "OTHER", "BAD"];

    fn of(bits: u16) -> Self {
        Self(bits)
    }

    fn bits(self) -> u16 {
        self.0
    }
}

/// Options of an IPv4 header, or extension headers of IPv6. <https://www.iana.org/assignments/ip-parameters>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IpOptions(pub u16);

impl IpOptions {
    /// They could not be read.
    pub const UNREAD: Self = Self(UNREAD);
    /// Any other.
    pub const OTHER: u16 = 1 << 13;
    /// A length that cannot be, or a chain that is too long.
    pub const BAD: u16 = 1 << 14;

    /// The bit of an option of IPv4.
    #[inline]
    pub const fn bit(kind: u8) -> u16 {
        match kind {
            7 => 1,
            68 => 1 << 1,
            130 | 133 | 134 => 1 << 2,
            131 => 1 << 3,
            137 => 1 << 4,
            136 => 1 << 5,
            148 => 1 << 6,
            _ => Self::OTHER,
        }
    }

    /// The bit of an extension header, by its protocol number.
    #[inline]
    pub const fn header_bit(protocol: u8) -> u16 {
        match protocol {
            0 => 1 << 7,
            43 => 1 << 8,
            44 => 1 << 9,
            60 => 1 << 10,
            51 => 1 << 11,
            135 => 1 << 12,
            _ => Self::OTHER,
        }
    }

    /// Whether they were read.
    #[inline]
    pub const fn known(self) -> bool {
        self.0 & UNREAD == 0
    }
}

impl Options for IpOptions {
    const NAMES: &'static [&'static str] =
        &["RR", "TS", "SEC", "LSRR", "SSRR", "SID", "RA", "HOP", "ROUTE", "FRAG", "DEST", "AH", "MOB", "OTHER", "BAD"];

    fn of(bits: u16) -> Self {
        Self(bits)
    }

    fn bits(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_by_their_bits_and_are_read_back() {
        for (kind, name) in
            [(2, "MSS"), (4, "SACK"), (8, "TS"), (3, "WS"), (5, "BLOCKS"), (19, "MD5"), (29, "AO"), (28, "UTO"), (30, "MPTCP"), (34, "TFO")]
        {
            assert_eq!(TcpOptions(TcpOptions::bit(kind)).text(), name);
        }
        assert_eq!((TcpOptions(TcpOptions::bit(254)).text(), TcpOptions(TcpOptions::BAD).text()), ("OTHER".to_owned(), "BAD".to_owned()));
        for (kind, name) in [(7, "RR"), (68, "TS"), (134, "SEC"), (131, "LSRR"), (137, "SSRR"), (136, "SID"), (148, "RA"), (9, "OTHER")] {
            assert_eq!(IpOptions(IpOptions::bit(kind)).text(), name);
        }
        for (header, name) in [(0, "HOP"), (43, "ROUTE"), (44, "FRAG"), (60, "DEST"), (51, "AH"), (135, "MOB"), (139, "OTHER")] {
            assert_eq!(IpOptions(IpOptions::header_bit(header)).text(), name);
        }
        assert_eq!(IpOptions(IpOptions::BAD).text(), "BAD");
        for bits in 0..1 << 12 {
            assert_eq!(TcpOptions::read(&TcpOptions(bits).text()), Some(TcpOptions(bits)));
            assert_eq!(IpOptions::read(&IpOptions(bits << 3).text()), Some(IpOptions(bits << 3)));
        }
        assert_eq!(TcpOptions::read("WS, TS,SACK,MSS"), Some(TcpOptions(0xF)));
        assert_eq!((TcpOptions::read("MSS,"), TcpOptions::read(""), TcpOptions::read("RR")), (None, None, None));
    }
}
