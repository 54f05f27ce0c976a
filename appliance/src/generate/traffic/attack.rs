//! Floods.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::dice::{Dice, Ranks, Share};
use super::super::packet::{ACK, Body, Carrier, FIN, FRAGMENT_BYTES, Fill, PSH, Packet, RST, SYN, TcpOptions};
use super::super::payload::{CLDAP_BYTES_MIN, DNS_ANSWER_BYTES_MIN, MEMCACHED_BYTES_MIN, NTP_MONLIST_BYTES};
use super::super::plan::{Plan, address_in};
use super::super::scenario::{Attack, Kind, Over, Tunnel};
use super::super::stage::{Actor, Policy, Stage};
use super::packet;

/// The longest payload of UDP over IPv6 that is sent whole, inside a tunnel too.
const WHOLE_BYTES_MAX: u32 = 1_380;

/// Flags of bare segments.
const BARE_FLAGS: [u8; 6] = [SYN, ACK, PSH | ACK, SYN | ACK, RST, FIN | ACK];

/// One flood.
pub(super) struct Flood {
    kind: Kind,
    target: IpNet,
    /// The ranges that it is spread over, and how busy they are; none: over the target's addresses.
    ranges: Option<(Vec<IpNet>, Option<Ranks>)>,
    inner: Option<IpNet>,
    tunnels: Vec<Tunnel>,
    ports: Vec<u16>,
    source_ports: Vec<u16>,
    payload_bytes: [u16; 2],
    gap_ns: u64,
    begin_ns: u64,
    /// Sends for so long, then pauses for so long.
    pulse_ns: [u64; 2],
    end_ns: u64,
    sources: Option<(Vec<IpAddr>, Ranks)>,
    even: bool,
    policy: Policy,
    sent: usize,
}

impl Flood {
    pub(super) fn new(attack: &Attack, plan: &Plan, dice: &mut Dice, begin_ns: u64) -> Option<Self> {
        let target = attack.target()?;
        let v6 = matches!(target, IpNet::V6(_));
        let pool = (0..attack.sources).map(|_| plan.outside(v6, dice)).collect::<Vec<_>>();
        let end_ns = if attack.duration_s == 0 { u64::MAX } else { begin_ns + attack.duration_s * 1_000_000_000 };
        Some(Self {
            kind: attack.kind,
            target,
            ranges: spread(attack.over, plan.within(target), dice),
            inner: attack.inner,
            tunnels: attack.tunnels.clone(),
            ports: attack.ports.clone(),
            source_ports: attack.source_ports.clone(),
            payload_bytes: attack.payload_bytes,
            gap_ns: 1_000_000_000 / attack.pps,
            begin_ns,
            pulse_ns: attack.pulse_ms.map(|ms| ms * 1_000_000),
            end_ns,
            even: attack.even,
            sources: (attack.sources > 0).then(|| (pool, Ranks::new(attack.sources))),
            policy: Policy { blocked: Share::of(attack.blocked), rule: attack.rule },
            sent: 0,
        })
    }

    fn source(&self, v6: bool, stage: &mut Stage<'_>) -> IpAddr {
        let known = self.sources.as_ref().and_then(|(pool, ranks)| {
            let at = if self.even { self.sent % pool.len() } else { ranks.draw(&mut stage.dice) };
            pool.get(at).copied()
        });
        known.unwrap_or_else(|| stage.plan.outside(v6, &mut stage.dice))
    }

    fn destination(&self, dice: &mut Dice) -> IpAddr {
        let Some((ranges, ranks)) = &self.ranges else { return address_in(self.target, dice.u128()) };
        let at = match ranks {
            Some(ranks) => ranks.draw(dice),
            None => usize::try_from(dice.below(ranges.len() as u64)).unwrap_or(0),
        };
        address_in(ranges.get(at).copied().unwrap_or(self.target), dice.u128())
    }

    fn ports(&self, dice: &mut Dice) -> (u16, u16) {
        let (any_src, any_dst) = (dice.between16(1_024, 65_535), dice.between16(1, 65_535));
        let service = match self.kind {
            Kind::DnsReflection => Some(53),
            Kind::NtpReflection => Some(123),
            Kind::MemcachedReflection => Some(11_211),
            Kind::CldapReflection => Some(389),
            _ => None,
        };
        (service.unwrap_or_else(|| dice.pick(&self.source_ports, any_src)), dice.pick(&self.ports, any_dst))
    }

    /// A scan goes over all addresses with one port, then with the next.
    fn probed(&self) -> (IpAddr, u16) {
        let host_bits = u32::from(self.target.max_prefix_len() - self.target.prefix_len()).min(16);
        let port = self.sent >> host_bits;
        let given = self.ports.get(port % self.ports.len().max(1)).copied();
        (address_in(self.target, self.sent as u128), given.unwrap_or_else(|| u16::try_from(port % 65_535 + 1).unwrap_or(1)))
    }

    fn bytes(&self, src: IpAddr, dice: &mut Dice) -> u32 {
        let [low, high] = self.payload_bytes;
        let bytes = u32::from(dice.between16(low, high));
        if src.is_ipv4() && self.kind != Kind::TunnelledFlood { bytes } else { bytes.min(WHOLE_BYTES_MAX) }
    }

    fn packet(&self, stage: &mut Stage<'_>) -> Packet {
        let dst = self.destination(&mut stage.dice);
        let src = self.source(dst.is_ipv6(), stage);
        let ports = self.ports(&mut stage.dice);
        match self.kind {
            Kind::TunnelledFlood => self.tunnelled(src, dst, ports, stage),
            Kind::FragmentFlood => later_fragment(src, dst, ports, &mut stage.dice),
            Kind::Scan => {
                let (dst, port) = self.probed();
                let body = Body::Tcp { ports: (ports.0, port), seq: stage.dice.u32(), ack: 0, flags: SYN, options: TcpOptions::None };
                packet(src, dst, body, (Fill::Noise, 0), &mut stage.dice)
            }
            Kind::SynFlood | Kind::SynAckReflection | Kind::AckFlood | Kind::TcpFlood => {
                let (body, bytes) = self.segment(ports, &mut stage.dice);
                packet(src, dst, body, (Fill::Noise, bytes), &mut stage.dice)
            }
            Kind::IcmpFlood => {
                let [id, seq] = [stage.dice.u16(), stage.dice.u16()];
                let bytes = self.bytes(src, &mut stage.dice);
                packet(src, dst, Body::Echo { reply: false, id, seq }, (Fill::Noise, bytes), &mut stage.dice)
            }
            _ => {
                let payload = self.datagram(src, &mut stage.dice);
                packet(src, dst, Body::Udp { ports }, payload, &mut stage.dice)
            }
        }
    }

    /// TCP of no session, and its payload's bytes.
    fn segment(&self, ports: (u16, u16), dice: &mut Dice) -> (Body, u32) {
        let (seq, ack) = (dice.u32(), dice.u32());
        let (flags, options, bytes) = match self.kind {
            Kind::SynFlood if dice.one_in(2) => (SYN, TcpOptions::Syn, 0),
            Kind::SynFlood => (SYN, TcpOptions::None, 0),
            Kind::SynAckReflection => (SYN | ACK, TcpOptions::Syn, 0),
            Kind::TcpFlood => (dice.pick(&BARE_FLAGS, SYN), TcpOptions::None, 0),
            _ if dice.one_in(4) => (PSH | ACK, TcpOptions::None, u32::from(dice.between16(1, 512))),
            _ => (ACK, TcpOptions::None, 0),
        };
        (Body::Tcp { ports, seq, ack: if flags & ACK == 0 { 0 } else { ack }, flags, options }, bytes)
    }

    /// What a datagram holds.
    fn datagram(&self, src: IpAddr, dice: &mut Dice) -> (Fill, u32) {
        let bytes = self.bytes(src, dice);
        match self.kind {
            Kind::DnsReflection => (Fill::DnsAnswer, bytes.max(DNS_ANSWER_BYTES_MIN)),
            Kind::NtpReflection => (Fill::NtpMonlist, NTP_MONLIST_BYTES),
            Kind::MemcachedReflection => (Fill::Memcached, bytes.max(MEMCACHED_BYTES_MIN)),
            Kind::CldapReflection => (Fill::Cldap, bytes.max(CLDAP_BYTES_MIN)),
            _ => (Fill::Noise, bytes),
        }
    }

    /// Outside it goes from `src` to `dst`; inside, to someone else.
    fn tunnelled(&self, src: IpAddr, dst: IpAddr, ports: (u16, u16), stage: &mut Stage<'_>) -> Packet {
        let inner_dst = self.inner.map_or(dst, |inner| address_in(inner, stage.dice.u128()));
        let inner_src = stage.plan.outside(inner_dst.is_ipv6(), &mut stage.dice);
        let bytes = self.bytes(src, &mut stage.dice);
        let mut sent = packet(inner_src, inner_dst, Body::Udp { ports }, (Fill::Noise, bytes), &mut stage.dice);
        let turn = self.sent % self.tunnels.len().max(1);
        sent.carrier = self.tunnels.get(turn).map(|tunnel| Carrier { tunnel: *tunnel, src, dst });
        sent
    }
}

/// Ranges, and how busy they are: the busiest first, in an order that is drawn.
fn spread(over: Over, mut ranges: Vec<IpNet>, dice: &mut Dice) -> Option<(Vec<IpNet>, Option<Ranks>)> {
    if over == Over::Addresses {
        return None;
    }
    if over == Over::Ranges {
        return Some((ranges, None));
    }
    for left in (1..ranges.len()).rev() {
        ranges.swap(left, usize::try_from(dice.below(left as u64 + 1)).unwrap_or(0));
    }
    let ranks = Ranks::new(ranges.len());
    Some((ranges, Some(ranks)))
}

/// Any fragment but the first of a datagram of three to five.
fn later_fragment(src: IpAddr, dst: IpAddr, ports: (u16, u16), dice: &mut Dice) -> Packet {
    let bytes = u32::from(dice.between16(2_953, 7_000));
    let mut sent = packet(src, dst, Body::Udp { ports }, (Fill::Noise, bytes), dice);
    let later = u64::from((sent.body_bytes() - 1) / FRAGMENT_BYTES);
    sent.only = Some(1 + u32::try_from(dice.below(later)).unwrap_or(0));
    sent
}

impl Actor for Flood {
    fn fire(&mut self, stage: &mut Stage<'_>) -> Option<u64> {
        let sent = self.packet(stage);
        stage.send(&sent, self.policy);
        self.sent = self.sent.wrapping_add(1);
        let mut next_ns = stage.now_ns + stage.dice.around(self.gap_ns);
        let [on, off] = self.pulse_ns;
        if let Some(phase) = (next_ns - self.begin_ns).checked_rem(on + off).filter(|phase| *phase >= on) {
            next_ns += on + off - phase;
        }
        (next_ns < self.end_ns).then_some(next_ns)
    }
}
