//! Floods.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::dice::{Dice, Ranks, Share};
use super::super::packet::{ACK, Body, Carrier, Fill, Packet, SYN, TcpOptions};
use super::super::payload::DNS_ANSWER_BYTES_MIN;
use super::super::plan::{Plan, address_in};
use super::super::scenario::{Attack, Kind, Tunnel};
use super::super::stage::{Actor, Policy, Stage};
use super::packet;

/// The longest payload of UDP over IPv6 that is sent whole, inside a tunnel too.
const WHOLE_BYTES_MAX: u32 = 1_380;

/// One flood.
pub(super) struct Flood {
    kind: Kind,
    target: IpNet,
    inner: Option<IpNet>,
    tunnels: Vec<Tunnel>,
    ports: Vec<u16>,
    source_ports: Vec<u16>,
    payload_bytes: [u16; 2],
    gap_ns: u64,
    end_ns: u64,
    sources: Option<(Vec<IpAddr>, Ranks)>,
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
            inner: attack.inner,
            tunnels: attack.tunnels.clone(),
            ports: attack.ports.clone(),
            source_ports: attack.source_ports.clone(),
            payload_bytes: attack.payload_bytes,
            gap_ns: 1_000_000_000 / attack.pps,
            end_ns,
            sources: (attack.sources > 0).then(|| (pool, Ranks::new(attack.sources))),
            policy: Policy { blocked: Share::of(attack.blocked), rule: attack.rule },
            sent: 0,
        })
    }

    fn source(&self, v6: bool, stage: &mut Stage<'_>) -> IpAddr {
        let known = self.sources.as_ref().and_then(|(pool, ranks)| pool.get(ranks.draw(&mut stage.dice)).copied());
        known.unwrap_or_else(|| stage.plan.outside(v6, &mut stage.dice))
    }

    fn ports(&self, dice: &mut Dice) -> (u16, u16) {
        let (any_src, any_dst) = (dice.between16(1_024, 65_535), dice.between16(1, 65_535));
        (dice.pick(&self.source_ports, any_src), dice.pick(&self.ports, any_dst))
    }

    fn bytes(&self, src: IpAddr, dice: &mut Dice) -> u32 {
        let [low, high] = self.payload_bytes;
        let bytes = u32::from(dice.between16(low, high));
        if src.is_ipv4() && self.kind != Kind::TunnelledFlood { bytes } else { bytes.min(WHOLE_BYTES_MAX) }
    }

    fn packet(&mut self, stage: &mut Stage<'_>) -> Packet {
        let dst = address_in(self.target, stage.dice.u128());
        let src = self.source(dst.is_ipv6(), stage);
        let ports = self.ports(&mut stage.dice);
        match self.kind {
            Kind::SynFlood => {
                let options = if stage.dice.one_in(2) { TcpOptions::Syn } else { TcpOptions::None };
                let body = Body::Tcp { ports, seq: stage.dice.u32(), ack: 0, flags: SYN, options };
                packet(src, dst, body, (Fill::Noise, 0), &mut stage.dice)
            }
            Kind::SynAckReflection => {
                let (seq, ack) = (stage.dice.u32(), stage.dice.u32());
                let body = Body::Tcp { ports, seq, ack, flags: SYN | ACK, options: TcpOptions::Syn };
                packet(src, dst, body, (Fill::Noise, 0), &mut stage.dice)
            }
            Kind::DnsReflection => {
                let bytes = self.bytes(src, &mut stage.dice).max(DNS_ANSWER_BYTES_MIN);
                packet(src, dst, Body::Udp { ports: (53, ports.1) }, (Fill::DnsAnswer, bytes), &mut stage.dice)
            }
            Kind::UdpFlood => {
                let bytes = self.bytes(src, &mut stage.dice);
                packet(src, dst, Body::Udp { ports }, (Fill::Noise, bytes), &mut stage.dice)
            }
            Kind::TunnelledFlood => self.tunnelled(src, dst, ports, stage),
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

impl Actor for Flood {
    fn fire(&mut self, stage: &mut Stage<'_>) -> Option<u64> {
        let sent = self.packet(stage);
        stage.send(&sent, self.policy);
        self.sent = self.sent.wrapping_add(1);
        let next_ns = stage.now_ns + stage.dice.around(self.gap_ns);
        (next_ns < self.end_ns).then_some(next_ns)
    }
}
