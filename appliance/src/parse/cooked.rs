//! What stands in place of an Ethernet header in captures: Linux cooked (`LINKTYPE_LINUX_SLL`, `LINKTYPE_LINUX_SLL2`) and
//! BSD loopback (`LINKTYPE_NULL`, `LINKTYPE_LOOP`). <https://www.tcpdump.org/linktypes.html>

use super::cursor::Cursor;
use super::ethernet::kind;
use super::reason::Stop;
use super::walk::{Next, Walk};

/// The kernel's number for Ethernet devices, and for the loopback device, whose address is a MAC too.
const HARDWARE_ETHERNET: u16 = 1;
const HARDWARE_LOOPBACK: u16 = 772;
/// Pseudo-types below 1536 that hold IP nowhere but behind LLC.
const PSEUDO_LLC: u16 = 4;

/// Version 1: packet type, hardware, address length, address (8), protocol.
pub(super) fn v1(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 16] = c.take().ok_or(Stop::Short)?;
    let hardware = u16::from_be_bytes([h[2], h[3]]);
    source(w, hardware, u16::from_be_bytes([h[4], h[5]]), [h[6], h[7], h[8], h[9], h[10], h[11]]);
    carried(u16::from_be_bytes([h[14], h[15]]))
}

/// Version 2: protocol, reserved, interface, hardware, packet type, address length, address (8).
pub(super) fn v2(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 20] = c.take().ok_or(Stop::Short)?;
    let hardware = u16::from_be_bytes([h[8], h[9]]);
    source(w, hardware, u16::from(h[11]), [h[12], h[13], h[14], h[15], h[16], h[17]]);
    carried(u16::from_be_bytes([h[0], h[1]]))
}

/// The address family, in the byte order of the machine that captured (`LINKTYPE_NULL`) or of the network.
pub(super) fn loopback(c: &mut Cursor<'_>) -> Result<Next, Stop> {
    let h: &[u8; 4] = c.take().ok_or(Stop::Short)?;
    let little = u32::from_le_bytes(*h);
    let family = if little > 0xFFFF { u32::from_be_bytes(*h) } else { little };
    match (family, u16::from_be_bytes([h[2], h[3]])) {
        // AF_INET; AF_INET6 of Linux, Windows, NetBSD, FreeBSD and macOS.
        (2 | 10 | 23 | 24 | 28 | 30, _) => Ok(Next::Ip),
        // Some write an EtherType, with anything before it.
        (_, kind::IPV4 | kind::IPV6) => Ok(Next::Ip),
        _ => Err(Stop::NonIp),
    }
}

fn source(w: &mut Walk<'_>, hardware: u16, address_bytes: u16, address: [u8; 6]) {
    if matches!(hardware, HARDWARE_ETHERNET | HARDWARE_LOOPBACK) && address_bytes == 6 {
        w.out.link.src_mac = Some(address);
    }
}

const fn carried(protocol: u16) -> Result<Next, Stop> {
    match protocol {
        PSEUDO_LLC => Ok(Next::Llc),
        0..=kind::LENGTH_MAX => Err(Stop::NonIp),
        _ => Ok(Next::EtherType(protocol)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{MAC, inner4, join, tag};
    use super::super::{DropReason, MirrorPlan, Outcome, parse};
    use crate::units::LinkType;

    fn read(bytes: &[u8], link: LinkType) -> Outcome {
        parse(bytes, link, &MirrorPlan::default())
    }

    #[test]
    fn both_cooked_versions() {
        let v1 = |kind: [u8; 2], payload: &[u8]| join(&[&[0, 0, 0, 1, 0, 6], &MAC, &[0, 0], &kind, payload]);
        let parsed = read(&v1([8, 0], &inner4(1)), LinkType::LinuxCooked).unwrap();
        assert_eq!((parsed.link.src_mac, parsed.link.bytes), (Some(MAC), 16));
        assert_eq!(read(&v1([0x81, 0], &tag(4, 0x0800, &inner4(1))), LinkType::LinuxCooked).unwrap().link.vlan_ids(), &[4]);
        assert_eq!(read(&v1([0, 4], &[0x42, 0x42, 3]), LinkType::LinuxCooked).unwrap_err(), DropReason::NonIp);
        assert_eq!(read(&v1([0, 1], &[0xFF, 0xFF]), LinkType::LinuxCooked).unwrap_err(), DropReason::NonIp);
        let v2 = join(&[&[8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6], &MAC, &[0, 0], &inner4(1)]);
        let parsed = read(&v2, LinkType::LinuxCooked2).unwrap();
        assert_eq!((parsed.link.src_mac, parsed.link.bytes), (Some(MAC), 20));
        assert_eq!(read(&v2[..19], LinkType::LinuxCooked2).unwrap_err(), DropReason::ShortLink);
    }

    #[test]
    fn loopback_of_either_order_and_raw_ip() {
        for family in [[2, 0, 0, 0], [0, 0, 0, 2], [30, 0, 0, 0], [0, 0, 0, 24], [15, 0, 8, 0]] {
            assert_eq!(read(&join(&[&family, &inner4(1)]), LinkType::Loopback).unwrap().link.bytes, 4);
        }
        assert_eq!(read(&join(&[&[7, 0, 0, 0], &inner4(1)]), LinkType::Loopback).unwrap_err(), DropReason::NonIp);
        assert_eq!(read(&inner4(1), LinkType::RawIp).unwrap().link.bytes, 0);
        assert_eq!(read(&[], LinkType::RawIp).unwrap_err(), DropReason::Truncated);
        assert_eq!(read(&[0x55; 40], LinkType::RawIp).unwrap_err(), DropReason::BadIpHeader);
    }
}
