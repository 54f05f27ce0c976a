//! `[mirror] strip`: which wrappings are the mirror's own, and by which endpoints they are known.

use std::net::IpAddr;

use super::IpHeader;
use crate::config::{Mirror, Wrap};
use crate::record::Tunnel;

/// What the parser needs of `[mirror]`, ready for lookups: a mask of wrappings and a sorted list of endpoints.
#[derive(Clone, Debug, Default)]
pub struct MirrorPlan {
    wraps: u8,
    from: Box<[(bool, [u8; 16])]>,
}

impl MirrorPlan {
    /// The plan of a validated configuration. Without `strip` or without `from` nothing is ever stripped.
    pub fn new(mirror: &Mirror) -> Self {
        let mut from: Vec<_> = mirror.from.iter().map(endpoint).collect();
        from.sort_unstable();
        from.dedup();
        let wraps = if from.is_empty() { 0 } else { mirror.strip.iter().fold(0, |mask, &wrap| mask | bit(wrap)) };
        Self { wraps, from: from.into() }
    }

    /// Whether `tunnel` around a frame sent by `outer` is the mirror's own.
    #[inline]
    pub(super) fn strips(&self, tunnel: Tunnel, outer: &IpHeader) -> bool {
        self.wraps != 0 && self.wraps & carried_by(tunnel) != 0 && self.from.binary_search(&(outer.v6, outer.src)).is_ok()
    }
}

fn endpoint(address: &IpAddr) -> (bool, [u8; 16]) {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            (false, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        IpAddr::V6(v6) => (true, v6.octets()),
    }
}

const fn bit(wrap: Wrap) -> u8 {
    match wrap {
        Wrap::Erspan => 1,
        Wrap::Gre => 1 << 1,
        Wrap::Vxlan => 1 << 2,
        Wrap::Geneve => 1 << 3,
        Wrap::Ipip => 1 << 4,
        Wrap::GtpU => 1 << 5,
    }
}

const fn carried_by(tunnel: Tunnel) -> u8 {
    match tunnel {
        Tunnel::Erspan => bit(Wrap::Erspan),
        Tunnel::Gre => bit(Wrap::Gre),
        Tunnel::Vxlan => bit(Wrap::Vxlan),
        Tunnel::Geneve => bit(Wrap::Geneve),
        Tunnel::IpIp => bit(Wrap::Ipip),
        Tunnel::GtpU => bit(Wrap::GtpU),
        Tunnel::None | Tunnel::Mpls | Tunnel::Nsh | Tunnel::Other => 0,
    }
}
