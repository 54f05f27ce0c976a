//! Values of keys as reports write them.

use std::net::Ipv6Addr;

use super::key::{Lengths, number};
use super::service;
use crate::options::{IpOptions, Options as _, TcpOptions};
use crate::record::{Fragment, Tunnel};

const FLAGS: &str = "FSRPAUEC";

pub(super) fn decimal(bytes: &[u8]) -> String {
    number(bytes).to_string()
}

/// A prefix with its length, addresses as in keys.
pub fn network(prefix: &ipnet::IpNet) -> String {
    let address = match prefix.addr() {
        std::net::IpAddr::V4(v4) => v4.to_string(),
        std::net::IpAddr::V6(v6) => rfc5952(v6),
    };
    format!("{address}/{}", prefix.prefix_len())
}

/// Room for what most often follows too, so that a text is one piece of memory.
const V4_CHARS: usize = "255.255.255.255/32".len();

pub(super) fn address(bytes: &[u8]) -> String {
    if let Ok([first, rest @ ..]) = <[u8; 4]>::try_from(bytes) {
        let mut text = String::with_capacity(V4_CHARS);
        octet(first, &mut text);
        for byte in rest {
            text.push('.');
            octet(byte, &mut text);
        }
        return text;
    }
    <[u8; 16]>::try_from(bytes).map_or_else(|_| String::new(), |v6| rfc5952(Ipv6Addr::from(v6)))
}

/// Without the formatting machinery: of a window's texts most are IPv4 addresses, millions of them.
fn octet(byte: u8, out: &mut String) {
    for (over, unit) in [(99, 100), (9, 10), (0, 1)] {
        if byte > over || unit == 1 {
            out.push(char::from(b'0' + byte / unit % 10));
        }
    }
}

/// Of 16 bytes; those of IPv4 are mapped into them.
pub(super) fn exporter(bytes: &[u8]) -> String {
    match bytes {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, v4 @ ..] => address(v4),
        _ => address(bytes),
    }
}

/// RFC 5952, section 4. IPv4-mapped addresses stay hexadecimal (section 5 only recommends the mixed form), so that every
/// IPv6 address reads alike: `::ffff:102:304`.
fn rfc5952(address: Ipv6Addr) -> String {
    let s = address.segments();
    match address.to_ipv4_mapped() {
        Some(_) => format!("::ffff:{:x}:{:x}", s[6], s[7]),
        None => address.to_string(),
    }
}

pub(super) fn prefix(bytes: &[u8], lengths: &Lengths) -> String {
    let length = if bytes.len() == 4 { lengths.v4 } else { lengths.v6 };
    let mut text = address(bytes);
    text.push('/');
    octet(length, &mut text);
    text
}

pub(super) fn flags(bytes: &[u8]) -> String {
    let text: String = FLAGS.chars().enumerate().filter(|(i, _)| bytes[0] >> i & 1 == 1).map(|(_, c)| c).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// The other way; letters may stand in any order.
pub(super) fn read_flags(text: &str) -> Option<u8> {
    if text == "-" {
        return Some(0);
    }
    text.chars().try_fold(0, |flags, c| FLAGS.find(c).map(|bit| flags | 1 << bit))
}

pub(super) fn fragment(bytes: &[u8]) -> String {
    let name = match bytes[0] {
        b if b == Fragment::First as u8 => "first",
        b if b == Fragment::Later as u8 => "later",
        _ => "none",
    };
    name.to_owned()
}

pub(super) fn tunnel(bytes: &[u8]) -> String {
    const NAMES: &[(Tunnel, &str)] = &[
        (Tunnel::None, "none"),
        (Tunnel::IpIp, "ipip"),
        (Tunnel::Gre, "gre"),
        (Tunnel::Erspan, "erspan"),
        (Tunnel::Vxlan, "vxlan"),
        (Tunnel::Geneve, "geneve"),
        (Tunnel::GtpU, "gtpu"),
        (Tunnel::Mpls, "mpls"),
        (Tunnel::Nsh, "nsh"),
        (Tunnel::Other, "other"),
    ];
    NAMES.iter().find(|(t, _)| *t as u8 == bytes[0]).map_or("other", |(_, name)| name).to_owned()
}

pub(super) fn service(bytes: &[u8]) -> String {
    service::name(bytes[0]).to_owned()
}

fn mask(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |mask, byte| mask << 8 | u16::from(*byte))
}

pub(super) fn tcp_options(bytes: &[u8]) -> String {
    TcpOptions(mask(bytes)).text()
}

pub(super) fn ip_options(bytes: &[u8]) -> String {
    IpOptions(mask(bytes)).text()
}

pub(super) fn flow(bytes: &[u8]) -> String {
    let n = (bytes.len() - 5) / 2;
    let (src, dst) = (address(&bytes[..n]), address(&bytes[n + 2..2 * n + 2]));
    let (src_port, dst_port) = (number(&bytes[n..n + 2]), number(&bytes[2 * n + 2..2 * n + 4]));
    format!("{src}|{src_port}|{dst}|{dst_port}|{}", bytes[2 * n + 4])
}

pub(super) fn mac(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}
