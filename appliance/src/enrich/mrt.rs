//! MRT routing tables: TABLE_DUMP_V2 (RFC 6396, section 4.3; with path ids, RFC 8050).
//!
//! Of the entries of a prefix, one a peer, the one with the shortest AS path is taken, of equal ones the first. Where that path is empty
//! the prefix is the peer's own, or its network's: its AS is the origin. What is not a unicast table of IPv4 or IPv6 is passed over. A small
//! reader of our own: what the crates for it bring along (dates, regular expressions, a message tree of every attribute) is far more than
//! the two attributes that are needed here.

use std::collections::HashMap;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::bgp::Route;
use super::wrong::Wrong;
use crate::flows::Address;
use crate::limits::ROUTES_MAX;

const HEADER_BYTES: usize = 12;
const TABLE_DUMP_V2: u16 = 13;
const PEER_INDEX_TABLE: u16 = 1;
const PACKED: &str = "unpack it first: gunzip, bunzip2 or xz -d";

/// Routes, none of them twice.
///
/// # Errors
/// It is no MRT, holds no table, or a record is cut.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(IpNet, Route)>, Wrong> {
    let magics: [&[u8]; 3] = [&[0x1F, 0x8B], b"BZh", &[0xFD, b'7', b'z', b'X', b'Z']];
    if magics.iter().any(|magic| bytes.starts_with(magic)) {
        return Err(Wrong::of("", "is packed", PACKED));
    }
    let mut routes: HashMap<IpNet, (usize, Route)> = HashMap::new();
    let (mut at, mut tables, mut ases) = (0, 0, Vec::new());
    while at < bytes.len() {
        let broken = |what: &str| {
            Wrong::of("", format!("is no MRT at byte {at}: {what}"), "write a whole TABLE_DUMP_V2 file here, or CSV named .csv")
        };
        let mut header = Cut(bytes.get(at..).unwrap_or(&[]));
        let (_, kind, subtype, length) =
            (|| Some((header.u32()?, header.u16()?, header.u16()?, header.u32()? as usize)))().ok_or_else(|| broken("a header is cut"))?;
        let body = header.take(length).ok_or_else(|| broken("a record is cut"))?;
        if kind == TABLE_DUMP_V2 && subtype == PEER_INDEX_TABLE {
            ases = peers(body).ok_or_else(|| broken("a peer is cut"))?;
        }
        if kind == TABLE_DUMP_V2 && matches!(subtype, 2 | 4 | 8 | 10) {
            tables += 1;
            let (net, found) = record(body, subtype, &ases).ok_or_else(|| broken("a prefix or attribute is cut"))?;
            if let Some(found) = found {
                if routes.len() >= ROUTES_MAX && !routes.contains_key(&net) {
                    return Err(Wrong::of("", format!("has more than {ROUTES_MAX} routes"), "write a table of one point in time here"));
                }
                let best = routes.entry(net).or_insert(found);
                if found.0 < best.0 {
                    *best = found;
                }
            }
        }
        at += HEADER_BYTES + length;
    }
    if tables == 0 {
        return Err(Wrong::of(
            "",
            "holds no unicast table of TABLE_DUMP_V2",
            "write a RIB dump here (bgpdump's `bview` or `rib` files), or CSV",
        ));
    }
    Ok(routes.into_iter().map(|(net, (_, route))| (net, route)).collect())
}

/// The AS of each peer, in the order by which entries name them.
fn peers(body: &[u8]) -> Option<Vec<u32>> {
    const IPV6: u8 = 1;
    const WIDE_AS: u8 = 2;
    let mut cut = Cut(body);
    cut.u32()?;
    let name = usize::from(cut.u16()?);
    cut.take(name)?;
    let count = cut.u16()?;
    let peer = |_| {
        let kind = cut.u8()?;
        cut.take(4 + if kind & IPV6 == 0 { 4 } else { 16 })?;
        if kind & WIDE_AS == 0 { cut.u16().map(u32::from) } else { cut.u32() }
    };
    (0..count).map(peer).collect()
}

/// One prefix: the length of its best path, and its route; none where it has no entry.
fn record(body: &[u8], subtype: u16, ases: &[u32]) -> Option<(IpNet, Option<(usize, Route)>)> {
    let mut cut = Cut(body);
    cut.u32()?;
    let net = prefix(&mut cut, matches!(subtype, 2 | 8))?;
    let mut best: Option<(usize, Route)> = None;
    for _ in 0..cut.u16()? {
        let peer = usize::from(cut.u16()?);
        cut.take(4 + if matches!(subtype, 8 | 10) { 4 } else { 0 })?;
        let length = usize::from(cut.u16()?);
        let mut found = attributes(cut.take(length)?)?;
        if found.0 == 0 {
            found.1.origin = ases.get(peer).copied().unwrap_or(0);
        }
        if best.is_none_or(|best| found.0 < best.0) {
            best = Some(found);
        }
    }
    Some((net, best))
}

fn prefix(cut: &mut Cut<'_>, is_v4: bool) -> Option<IpNet> {
    let length = cut.u8()?;
    let bytes = cut.take(usize::from(length).div_ceil(8))?;
    let mut whole = [0u8; 16];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let net: IpNet = if is_v4 {
        let [a, b, c, d, ..] = whole;
        Ipv4Net::new([a, b, c, d].into(), length).ok()?.into()
    } else {
        Ipv6Net::new(whole.into(), length).ok()?.into()
    };
    Some(net.trunc())
}

/// Path length and route of an entry.
fn attributes(bytes: &[u8]) -> Option<(usize, Route)> {
    const EXTENDED: u8 = 0x10;
    const AS_PATH: u8 = 2;
    const NEXT_HOP: u8 = 3;
    const MP_REACH: u8 = 14;
    let (mut cut, mut route, mut hops) = (Cut(bytes), Route::default(), 0);
    while !cut.0.is_empty() {
        let (flags, kind) = (cut.u8()?, cut.u8()?);
        let length = if flags & EXTENDED == 0 { usize::from(cut.u8()?) } else { usize::from(cut.u16()?) };
        let value = cut.take(length)?;
        match kind {
            AS_PATH => (hops, route.origin) = path(value)?,
            NEXT_HOP => route.next_hop = Address::of(value),
            MP_REACH => route.next_hop = reached(value)?,
            _ => {}
        }
    }
    Some((hops, route))
}

/// Its length, a set being one; and its last AS, 0 where that is one of several.
fn path(bytes: &[u8]) -> Option<(usize, u32)> {
    const SET: u8 = 1;
    const SEQUENCE: u8 = 2;
    let (mut cut, mut hops, mut origin) = (Cut(bytes), 0, 0);
    while !cut.0.is_empty() {
        let (kind, count) = (cut.u8()?, usize::from(cut.u8()?));
        let mut last = 0;
        for _ in 0..count {
            last = cut.u32()?;
        }
        match kind {
            SEQUENCE if count > 0 => (hops, origin) = (hops + count, last),
            SET if count > 0 => (hops, origin) = (hops + 1, if count == 1 { last } else { 0 }),
            // Confederations (RFC 5065) count for nothing.
            _ => {}
        }
    }
    Some((hops, origin))
}

/// Next hop of MP_REACH_NLRI: tables have it short, length and address alone; some write all of it, which begins with a family.
fn reached(bytes: &[u8]) -> Option<Address> {
    let mut cut = Cut(bytes);
    let mut length = usize::from(cut.u8()?);
    if length == 0 {
        cut.take(2)?;
        length = usize::from(cut.u8()?);
    }
    let hop = cut.take(length)?;
    // A link-local address may stand behind the global one.
    Some(Address::of(hop.get(..16).unwrap_or(hop)))
}

/// What is left of some bytes.
struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }
}
