//! A writer of TABLE_DUMP_V2: RFC 6396, section 4.3; path ids RFC 8050.

use std::net::IpAddr;

use ipnet::IpNet;

/// One peer's entry of a prefix: segments of its path (kind, members), next hop.
pub(crate) type Entry = (Vec<(u8, Vec<u32>)>, &'static str);

/// Whose they are.
pub(crate) const PEER_AS: u32 = 4_200_000_500;

fn record(subtype: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    [&1_700_000_000_u32.to_be_bytes()[..], &13u16.to_be_bytes(), &subtype.to_be_bytes(), &length.to_be_bytes(), body].concat()
}

/// The peer that entries belong to, behind others of each kind.
pub(crate) fn peers() -> Vec<u8> {
    let v6 = [[0x20, 1, 0xD, 0xB8].as_slice(), &[0; 12]].concat();
    let peer = |kind: u8, address: &[u8], number: &[u8]| [&[kind, 10, 0, 0, 2][..], address, number].concat();
    let peers = [
        peer(0, &[10, 0, 0, 2], &64_400u16.to_be_bytes()),
        peer(1, &v6, &64_401u16.to_be_bytes()),
        peer(3, &v6, &64_402u32.to_be_bytes()),
        peer(2, &[10, 0, 0, 2], &PEER_AS.to_be_bytes()),
    ];
    let name = b"view";
    record(1, &[&[10, 0, 0, 1, 0, 4][..], name, &4u16.to_be_bytes(), &peers.concat()].concat())
}

fn attribute(kind: u8, value: &[u8]) -> Vec<u8> {
    // Half of them with a length of two bytes.
    if kind.is_multiple_of(2) {
        return [&[0x50, kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat();
    }
    [&[0x40, kind, u8::try_from(value.len()).unwrap()][..], value].concat()
}

/// A prefix with its entries; `with_ids`: each has a path id.
pub(crate) fn prefix(net: &str, with_ids: bool, entries: &[Entry]) -> Vec<u8> {
    let net: IpNet = net.parse().unwrap();
    let (octets, subtype) = match net {
        IpNet::V4(v4) => (v4.addr().octets().to_vec(), 2),
        IpNet::V6(v6) => (v6.addr().octets().to_vec(), 4),
    };
    let held = usize::from(net.prefix_len()).div_ceil(8);
    let mut body =
        [&7u32.to_be_bytes()[..], &[net.prefix_len()], &octets[..held], &u16::try_from(entries.len()).unwrap().to_be_bytes()].concat();
    for (path, hop) in entries {
        let segment = |(kind, members): &(u8, Vec<u32>)| {
            let members: Vec<u8> = members.iter().flat_map(|member| member.to_be_bytes()).collect();
            [&[*kind, u8::try_from(members.len() / 4).unwrap()][..], &members].concat()
        };
        let path: Vec<u8> = path.iter().flat_map(segment).collect();
        let hop = match hop.parse::<IpAddr>().unwrap() {
            IpAddr::V4(v4) => attribute(3, &v4.octets()),
            IpAddr::V6(v6) => attribute(14, &[&[16][..], &v6.octets()].concat()),
        };
        let attributes = [attribute(1, &[0]), attribute(2, &path), hop].concat();
        body.extend(3u16.to_be_bytes());
        body.extend(1_700_000_000_u32.to_be_bytes());
        body.extend(if with_ids { 9u32.to_be_bytes().to_vec() } else { vec![] });
        body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
        body.extend(attributes);
    }
    record(if with_ids { subtype + 6 } else { subtype }, &body)
}
