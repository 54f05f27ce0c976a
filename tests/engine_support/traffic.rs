//! Packets as the test means them, and the frames that carry them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::dice::Dice;

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Tcp {
        ports: (u16, u16),
        flags: u8,
        /// Position in [`TCP_OPTIONS`].
        options: usize,
        window: u16,
        seq: u32,
    },
    Udp {
        ports: (u16, u16),
    },
    Icmp {
        kind: u8,
        code: u8,
    },
    /// A protocol without ports.
    Other(u8),
    /// A later fragment of UDP: no ports.
    LaterFragment,
    /// A first fragment of UDP.
    FirstFragment {
        ports: (u16, u16),
    },
}

/// Options of TCP: their bytes, their bits, what they are called.
pub const TCP_OPTIONS: [(&[u8], u16, &str); 5] = [
    (&[], 0, "-"),
    (&[2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7], 0b1111, "MSS,SACK,TS,WS"),
    (&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0], 0b100, "TS"),
    (&[3, 3, 9, 2, 4, 5, 180, 0], 0b1001, "MSS,WS"),
    (&[1, 254, 9, 0], 0b1100_0000_0000, "OTHER,BAD"),
];
/// Options of IPv4.
pub const IP_OPTIONS: [(&[u8], u16, &str); 4] = [
    (&[], 0, "-"),
    (&[148, 4, 0, 0], 1 << 6, "RA"),
    (&[131, 3, 4, 7, 3, 4, 0, 0], 0b1001, "RR,LSRR"),
    (&[1, 1, 1, 25], 0b110_0000_0000_0000, "OTHER,BAD"),
];
/// Extension headers of IPv6, by their numbers.
pub const EXTENSIONS: [(&[u8], u16, &str); 4] =
    [(&[], 0, "-"), (&[0], 1 << 7, "HOP"), (&[60, 43], 0b101 << 8, "ROUTE,DEST"), (&[0, 60, 60], 0b1001 << 7, "HOP,DEST")];

/// One IP packet.
#[derive(Clone, Debug)]
pub struct Ip {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub ttl: u8,
    pub dscp: u8,
    pub body: Body,
    /// Bytes behind the transport header.
    pub payload: usize,
    /// Position in [`IP_OPTIONS`] or [`EXTENSIONS`].
    pub options: usize,
}

/// One frame.
#[derive(Clone, Debug)]
pub struct Packet {
    pub time_ns: u64,
    pub port: u16,
    pub mac: [u8; 6],
    pub vlans: Vec<u16>,
    /// None: no IP at all.
    pub ip: Option<Ip>,
    /// Top MPLS label.
    pub mpls: Option<u32>,
    /// Carried within `ip`, whose own body then is protocol 4, or UDP to 4789 with this network id.
    pub inner: Option<Ip>,
    pub vni: Option<u32>,
}

impl Ip {
    pub fn protocol(&self) -> u8 {
        match self.body {
            Body::Tcp { .. } => 6,
            Body::Udp { .. } | Body::LaterFragment | Body::FirstFragment { .. } => 17,
            Body::Icmp { .. } if self.src.is_ipv6() => 58,
            Body::Icmp { .. } => 1,
            Body::Other(n) => n,
        }
    }

    /// Bytes of the whole packet.
    pub fn len(&self) -> usize {
        self.bytes(&[]).len()
    }

    fn transport(&self) -> Vec<u8> {
        let port = |p: u16| p.to_be_bytes();
        let mut out = match self.body {
            Body::Tcp { ports: (s, d), flags, options, window, seq } => {
                let options = TCP_OPTIONS[options].0;
                let offset = u8::try_from((20 + options.len()) * 4).unwrap();
                [&port(s)[..], &port(d), &seq.to_be_bytes(), &[0; 4], &[offset, flags], &port(window), &[0; 4], options].concat()
            }
            Body::Udp { ports: (s, d) } => {
                let len = u16::try_from(8 + self.payload).unwrap();
                [port(s), port(d), port(len), [0, 0]].concat()
            }
            Body::FirstFragment { ports: (s, d) } => [port(s), port(d), port(2_008), [0, 0]].concat(),
            Body::Icmp { kind, code } => vec![kind, code, 0, 0, 0, 0, 0, 0],
            Body::Other(_) | Body::LaterFragment => Vec::new(),
        };
        out.resize(out.len() + self.payload, 0);
        out
    }

    fn bytes(&self, carried: &[u8]) -> Vec<u8> {
        let payload = if carried.is_empty() { self.transport() } else { carried.to_vec() };
        let len = |n: usize| u16::try_from(n).unwrap().to_be_bytes();
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let fragment = match self.body {
                    Body::FirstFragment { .. } => 0x2000_u16,
                    Body::LaterFragment => 0x0010,
                    _ => 0,
                };
                let [f0, f1] = fragment.to_be_bytes();
                let options = IP_OPTIONS[self.options].0;
                let [l0, l1] = len(20 + options.len() + payload.len());
                let first = 0x45 + u8::try_from(options.len() / 4).unwrap();
                let head = [first, self.dscp << 2, l0, l1, 0, 1, f0, f1, self.ttl, self.protocol(), 0, 0];
                [&head[..], &src.octets(), &dst.octets(), options, &payload].concat()
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let chain = EXTENSIONS[self.options].0;
                let following = [chain, &[self.protocol()]].concat();
                let extensions: Vec<u8> = following[1..].iter().flat_map(|next| [*next, 0, 0, 0, 0, 0, 0, 0]).collect();
                let [l0, l1] = len(extensions.len() + payload.len());
                let head = [0x60 | self.dscp >> 2, self.dscp << 6, 0, 0, l0, l1, following[0], self.ttl];
                [&head[..], &src.octets(), &dst.octets(), &extensions, &payload].concat()
            }
            _ => unreachable!("one family"),
        }
    }
}

impl Packet {
    /// The frame's bytes.
    pub fn frame(&self) -> Vec<u8> {
        let mut out = [&[2, 0, 0, 0, 0, 9][..], &self.mac].concat();
        for vlan in &self.vlans {
            out.extend([0x81, 0x00]);
            out.extend(vlan.to_be_bytes());
        }
        match &self.ip {
            None => out.extend([&[0x08, 0x06][..], &[0; 28]].concat()),
            Some(ip) => {
                out.extend(match self.mpls {
                    Some(_) => [0x88, 0x47],
                    None if ip.src.is_ipv4() => [0x08, 0x00],
                    None => [0x86, 0xDD],
                });
                self.mpls.iter().for_each(|label| out.extend((label << 12 | 0x140).to_be_bytes()));
                out.extend(ip.bytes(&self.carried()));
            }
        }
        out
    }

    /// What stands behind the outer IP header, if that carries another.
    pub fn carried(&self) -> Vec<u8> {
        let Some(inner) = &self.inner else { return Vec::new() };
        let inside = inner.bytes(&[]);
        let Some(vni) = self.vni else { return inside };
        let length = u16::try_from(8 + 8 + 14 + inside.len()).unwrap().to_be_bytes();
        let udp = [&[0x9C, 0x40, 0x12, 0xB5][..], &length, &[0, 0]].concat();
        [&udp[..], &[8, 0, 0, 0], &(vni << 8).to_be_bytes(), &[2; 12], &[0x08, 0x00], &inside].concat()
    }
}

/// What traffic is drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub packets: usize,
    /// How many windows they fill, gaps aside.
    pub windows: u64,
    pub window_ns: u64,
    /// One in so many sources is any address at all; 0: none.
    pub spoofed: u64,
    pub tunnels: bool,
    pub late: bool,
    pub gaps: bool,
}

/// Packets in the order in which they are read.
pub fn draw(dice: &mut Dice, mix: &Mix) -> Vec<Packet> {
    let mut now = 1_700_000_000_000_000_000_u64 + dice.below(mix.window_ns);
    let pace = mix.window_ns * mix.windows / mix.packets as u64;
    (0..mix.packets)
        .map(|_| {
            now += dice.below(2 * pace + 1);
            if mix.gaps && dice.one_in(700) {
                now += dice.below(5 * mix.window_ns);
            }
            let time_ns = if mix.late && dice.one_in(50) { now - dice.below(2 * mix.window_ns) } else { now };
            packet(dice, mix, time_ns)
        })
        .collect()
}

fn packet(dice: &mut Dice, mix: &Mix, time_ns: u64) -> Packet {
    let vlans = match dice.below(8) {
        0 | 1 => vec![],
        2 => vec![100],
        3 => vec![100, 7],
        4 | 5 => vec![666, u16::try_from(dice.below(3)).unwrap()],
        6 => vec![667, dice.of(&[1, 2, 40, 0])],
        _ => vec![u16::try_from(dice.below(3)).unwrap() + 10],
    };
    let ip = (!dice.one_in(60)).then(|| ip(dice, mix.spoofed));
    let inner = match &ip {
        Some(outer) if mix.tunnels && outer.src.is_ipv4() && dice.one_in(6) => Some(ip_of(dice, false, 0)),
        _ => None,
    };
    let vni = inner.as_ref().and_then(|_| dice.of(&[None, Some(5_001), Some(5_002), Some(5_003)]));
    let mpls = dice.one_in(6).then(|| dice.of(&[16_004, 16_005]));
    let ip = match (ip, &inner) {
        (Some(outer), Some(_)) if vni.is_some() => Some(Ip { body: Body::Udp { ports: (40_000, 4_789) }, payload: 0, ..outer }),
        (Some(outer), Some(_)) => Some(Ip { body: Body::Other(4), payload: 0, ..outer }),
        (ip, _) => ip,
    };
    let mac = [2, 0, 0, 0, 1, u8::try_from(dice.below(4)).unwrap()];
    Packet { time_ns, port: u16::try_from(dice.below(2)).unwrap(), mac, vlans, mpls, ip, inner, vni }
}

fn ip(dice: &mut Dice, spoofed: u64) -> Ip {
    let v6 = dice.one_in(3);
    ip_of(dice, v6, spoofed)
}

fn ip_of(dice: &mut Dice, v6: bool, spoofed: u64) -> Ip {
    let mut src = address(dice, v6);
    let dst = address(dice, v6);
    if spoofed > 0 && dice.one_in(spoofed) {
        let [a, b] = [dice.next(), dice.next()];
        src = if v6 {
            Ipv6Addr::from(u128::from(a) << 64 | u128::from(b)).into()
        } else {
            Ipv4Addr::from(u32::try_from(a >> 32).unwrap()).into()
        };
    }
    let ports = (dice.of(&[53, 80, 138, 443, 11_211, 40_000, 40_001]), dice.of(&[53, 80, 443, 8_080, 65_535]));
    let body = match dice.below(10) {
        0..=3 => Body::Tcp {
            ports,
            flags: dice.of(&[0x02, 0x12, 0x10, 0x18, 0x04, 0x14, 0x00, 0xC2]),
            options: dice.of(&[0, 1, 2, 3, 4]),
            window: dice.of(&[0, 1, 2, 1_024, 1_500, 29_200, 32_767, 32_768, 65_535]),
            seq: u32::try_from(dice.next() >> 32).unwrap(),
        },
        4..=6 => Body::Udp { ports },
        7 => Body::Icmp { kind: dice.of(&[0, 3, 8, 128]), code: u8::try_from(dice.below(2)).unwrap() },
        8 if !v6 => dice.of(&[Body::LaterFragment, Body::FirstFragment { ports }]),
        _ => Body::Other(dice.of(&[89, 112])),
    };
    let payload = usize::try_from(dice.of(&[8, 40, 90, 200, 500, 1_400])).unwrap();
    let options = dice.of(&[0, 0, 0, 1, 2, 3]);
    Ip { options, src, dst, ttl: dice.of(&[1, 16, 64, 255]), dscp: dice.of(&[0, 10, 46, 63]), body, payload }
}

fn address(dice: &mut Dice, v6: bool) -> IpAddr {
    if v6 {
        let nets = ["2001:db8::", "2001:db8:1::", "2001:db8:1:2::", "fd00::", "2001:db9::"];
        let net: Ipv6Addr = dice.of(&nets).parse().unwrap();
        Ipv6Addr::from(u128::from(net) + u128::from(dice.below(6))).into()
    } else {
        let nets: [[u8; 4]; 6] = [[10, 1, 2, 0], [10, 1, 3, 0], [10, 9, 9, 0], [192, 168, 0, 0], [192, 168, 1, 0], [8, 8, 8, 0]];
        let [a, b, c, d] = dice.of(&nets);
        Ipv4Addr::new(a, b, c, d + u8::try_from(dice.below(8)).unwrap()).into()
    }
}

/// Bytes of such a frame.
pub const FRAME_BYTES: usize = 64;

/// UDP behind a bare Ethernet header; both ports in one number.
pub fn udp(src: u32, dst: u32, ports: u32) -> [u8; FRAME_BYTES] {
    let mut bytes = [0; FRAME_BYTES];
    bytes[..12].copy_from_slice(&[2; 12]);
    let ip_bytes = u8::try_from(FRAME_BYTES - 14).unwrap();
    bytes[12..26].copy_from_slice(&[8, 0, 0x45, 0, 0, ip_bytes, 0, 0, 0, 0, 64, 17, 0, 0]);
    bytes[26..30].copy_from_slice(&src.to_be_bytes());
    bytes[30..34].copy_from_slice(&dst.to_be_bytes());
    bytes[34..38].copy_from_slice(&ports.to_be_bytes());
    bytes[38..40].copy_from_slice(&u16::from(ip_bytes - 20).to_be_bytes());
    bytes
}
