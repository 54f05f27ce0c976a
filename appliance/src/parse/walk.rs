//! The one forward pass: which header comes next, and how far the walk may go.

use super::cursor::Cursor;
use super::reason::Stop;
use super::{Fault, IpHeader, Link, MirrorPlan, Network, Parsed};
use super::{cooked, ethernet, ip, llc, mpls, nsh, ppp};
use crate::limits::LAYERS_MAX;
use crate::record::Tunnel;
use crate::units::LinkType;

/// The header that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An Ethernet header.
    Ethernet,
    /// What an EtherType (or a length, up to 1500) says.
    EtherType(u16),
    /// LLC, perhaps with SNAP.
    Llc,
    /// IPv4 or IPv6, by the version.
    Ip,
    /// A stack of MPLS labels.
    Mpls,
    /// PPP without framing: the protocol field.
    Ppp,
    /// A network service header.
    Nsh,
    /// Nothing that is looked at.
    End,
}

/// The state of one walk.
pub(super) struct Walk<'a> {
    plan: &'a MirrorPlan,
    /// Where the result goes.
    pub(super) out: &'a mut Parsed,
    /// Bytes on the wire, stripped ones included.
    wire_bytes: usize,
    /// What carries the next IP header.
    tunnel: Tunnel,
    stripped: bool,
}

impl<'a> Walk<'a> {
    /// At the start of a frame of `wire_bytes`; clears `out`.
    #[inline]
    pub(super) fn new(plan: &'a MirrorPlan, out: &'a mut Parsed, wire_bytes: usize) -> Self {
        out.clear();
        Self { plan, out, wire_bytes, tunnel: Tunnel::None, stripped: false }
    }

    /// Walks the whole frame.
    #[inline]
    pub(super) fn run(&mut self, c: &mut Cursor<'_>, link: LinkType) -> Result<(), Stop> {
        let mut next = match link {
            LinkType::Ethernet => Next::Ethernet,
            LinkType::RawIp => Next::Ip,
            LinkType::LinuxCooked => cooked::v1(c, self)?,
            LinkType::LinuxCooked2 => cooked::v2(c, self)?,
            LinkType::Loopback => cooked::loopback(c)?,
        };
        for _ in 0..LAYERS_MAX {
            next = match next {
                Next::Ethernet => ethernet::read(c, self)?,
                Next::EtherType(kind) => ethernet::payload(kind, c, self)?,
                Next::Ip => ip::read(c, self)?,
                Next::Llc => llc::read(c)?,
                Next::Mpls => mpls::read(c, self)?,
                Next::Ppp => ppp::read(c)?,
                Next::Nsh => nsh::read(c, self)?,
                Next::End => return Ok(()),
            };
        }
        Err(Stop::Depth)
    }

    /// Whether options of IPv4 and TCP are read.
    #[inline]
    pub(super) const fn reads_options(&self) -> bool {
        self.plan.reads_options()
    }

    /// Whether no IP header was met yet (since the mirror's wrapping ended): what is read belongs to the link.
    #[inline]
    pub(super) fn on_link(&self) -> bool {
        self.out.count == 0
    }

    /// Whether ids that a tunnel carries belong into the envelope: the mirror's own, or else the outermost tunnel's.
    #[inline]
    pub(super) fn in_envelope(&self) -> bool {
        self.out.count == 1 && !self.stripped
    }

    /// How long an IP packet that begins at `at` and claims `total` bytes (0: none claimed) can be on the wire, within
    /// those that carry it. A claim beyond is a fault.
    #[inline]
    pub(super) fn within(&mut self, at: usize, total: usize) -> usize {
        let left = self.wire_bytes.saturating_sub(at);
        if total == 0 {
            return left;
        }
        if total > left {
            self.out.blame(Fault::IpLengthLong);
            return left;
        }
        self.wire_bytes = at + total;
        total
    }

    /// A tunnel's header ends here and what it carries begins. Where the tunnel is the mirror's own, the frame begins anew.
    #[inline]
    pub(super) fn enter(&mut self, tunnel: Tunnel, c: &Cursor<'_>) {
        if self.on_link() {
            return;
        }
        self.tunnel = tunnel;
        if self.in_envelope() && self.out.headers.first().is_some_and(|outer| self.plan.strips(tunnel, outer)) {
            self.stripped = true;
            self.tunnel = Tunnel::None;
            self.out.count = 0;
            self.out.link = Link::default();
            self.out.network = None;
            self.out.stripped_bytes = saturate(c.at());
        }
    }

    /// The same for a tunnel that carries a network id.
    #[inline]
    pub(super) fn enter_network(&mut self, tunnel: Tunnel, vni: u32, c: &Cursor<'_>) {
        if self.in_envelope() {
            self.out.envelope.vni = Some(vni);
        }
        let stripped = self.stripped;
        self.enter(tunnel, c);
        if self.stripped == stripped && self.out.network.is_none() && !self.on_link() {
            self.out.network = Some(Network { vni, from: self.out.count });
        }
    }

    /// Adds an IP header that began at `at`, unless as many are kept as may be.
    #[inline]
    pub(super) fn push(&mut self, at: usize, header: IpHeader) -> Result<(), Stop> {
        let slot = self.out.headers.get_mut(usize::from(self.out.count)).ok_or(Stop::Depth)?;
        *slot = header;
        slot.tunnel = self.tunnel;
        if self.out.count == 0 {
            self.out.link.bytes = saturate(at).saturating_sub(self.out.stripped_bytes);
        }
        self.out.count += 1;
        Ok(())
    }
}

/// A length as the width that reports use.
#[inline]
pub(super) fn saturate(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
