//! Burst → what each frame says. One forward pass over one contiguous header slice, no allocation, never past its end.
//!
//! One file a header. Every length in a packet is a claim: it is compared with the slice, never trusted. A frame with a
//! readable IP header is always parsed, whatever follows it: a fault behind it is counted beside ([`Fault`]). A frame
//! without one is refused with its [`DropReason`].
//!
//! Headers are walked from the outside; each IP header that is met is kept (up to [`crate::limits::IP_HEADERS_MAX`]), so
//! that `classify` may choose the one that is ours. What a tunnel pretends to carry can add headers, never change those
//! before it.

mod ah;
mod cooked;
mod cursor;
mod erspan;
mod ethernet;
mod extensions;
#[cfg(test)]
mod frames;
mod geneve;
mod gre;
mod gtpu;
mod icmp;
mod ip;
mod ipv4;
mod ipv6;
mod llc;
mod macsec;
mod mirror;
mod mpls;
mod nsh;
mod options;
mod parsed;
pub mod plain;
mod ppp;
mod pppoe;
mod reason;
#[cfg(test)]
mod sample;
mod sctp;
mod tcp;
mod udp;
mod upper;
mod usual;
mod vxlan;
mod walk;

pub use mirror::MirrorPlan;
pub use parsed::{Envelope, IpHeader, Link, Network, Outcome, Parsed};
pub(crate) use reason::reasons;
pub use reason::{DropReason, Fault};
pub use usual::Usual;

use crate::units::LinkType;

/// Parses a frame into `out`, whose former content is forgotten. The form for the data path: nothing is copied.
///
/// `bytes` is the frame's start as far as it is at hand, `wire_bytes` its length on the wire (bounds what lengths within
/// the frame may claim; less than `bytes` counts as their length). On `Err`, `out.link` tells what was read of layer 2
/// and `out.headers()` is empty.
#[inline]
pub fn parse_into(bytes: &[u8], wire_bytes: u32, link: LinkType, plan: &MirrorPlan, out: &mut Parsed) -> Result<(), DropReason> {
    let wire_bytes = usize::try_from(wire_bytes).unwrap_or(usize::MAX).max(bytes.len());
    let mut walk = walk::Walk::new(plan, out, wire_bytes);
    let stop = walk.run(&mut cursor::Cursor::new(bytes), link).err();
    if out.count == 0 {
        return Err(stop.map_or(DropReason::NonIp, reason::Stop::drop_reason));
    }
    if let Some(fault) = stop.and_then(reason::Stop::fault) {
        out.blame(fault);
    }
    Ok(())
}

/// Reads a frame of the usual kind without a walk. None: it is another, and [`parse_into`] tells what it is.
#[inline(always)]
#[allow(clippy::inline_always, reason = "its result is taken apart at once, and need not be in memory")]
pub fn usual(bytes: &[u8], wire_bytes: u32, link: LinkType, plan: &MirrorPlan) -> Option<Usual> {
    let is_whole = link == LinkType::Ethernet && bytes.len() <= wire_bytes as usize;
    if is_whole { Usual::read(bytes, wire_bytes, plan.reads_options()) } else { None }
}

/// Parses a whole frame, by value: for everything that is not the data path.
pub fn parse(bytes: &[u8], link: LinkType, plan: &MirrorPlan) -> Outcome {
    let mut out = Parsed::default();
    parse_into(bytes, walk::saturate(bytes.len()), link, plan, &mut out)?;
    Ok(out)
}
