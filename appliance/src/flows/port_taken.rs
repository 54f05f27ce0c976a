//! The account of export datagrams out of the mirror.

use std::fmt;

/// What came of packets in the mirror for the addresses of `[flows] from_ports`:
/// whole + begun = datagrams + other_port + incomplete + waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortTaken {
    /// Datagrams that were read: they are among all others.
    pub datagrams: u64,
    /// Packets for which a core's ring had no room,
    pub full: u64,
    /// and that were longer than what is seen of a frame.
    pub cut: u64,
    /// Datagrams in pieces that were for another port, and what was no UDP after all.
    pub other_port: u64,
    /// Packets that came in one piece.
    pub whole: u64,
    /// Datagrams of which a piece came.
    pub begun: u64,
    /// Those of them that were given up: a piece did not come in time, two of them overlap, there was no room, or the checksum is wrong.
    pub incomplete: u64,
    /// Those that wait now.
    pub waiting: u64,
    /// Pieces that came again: they are in nothing.
    pub copies: u64,
}

impl PortTaken {
    /// `waiting` is that of now.
    pub(super) const fn since(self, before: Self) -> Self {
        Self {
            datagrams: self.datagrams - before.datagrams,
            full: self.full - before.full,
            cut: self.cut - before.cut,
            other_port: self.other_port - before.other_port,
            whole: self.whole - before.whole,
            begun: self.begun - before.begun,
            incomplete: self.incomplete - before.incomplete,
            waiting: self.waiting,
            copies: self.copies - before.copies,
        }
    }

    /// Whether all that came is accounted for.
    pub const fn balances(&self) -> bool {
        self.whole + self.begun == self.datagrams + self.other_port + self.incomplete + self.waiting
    }
}

/// A line of its own; none where nothing came.
impl fmt::Display for PortTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return Ok(());
        }
        let Self { datagrams, full, cut, other_port, whole, begun, incomplete, waiting, copies } = self;
        write!(
            f,
            "\nports: {whole} whole + {begun} in pieces = {datagrams} datagrams + {other_port} for other ports + {incomplete} incomplete "
        )?;
        write!(f, "+ {waiting} waiting; packets lost: {full} ring full, {cut} cut; {copies} pieces came twice")
    }
}
