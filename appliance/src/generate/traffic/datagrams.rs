//! What is no TCP: QUIC, voice and games, DNS, NTP, echo.

use std::net::IpAddr;

use super::super::dice::Dice;
use super::super::packet::{Body, Fill};
use super::super::payload::{DNS_ANSWER_BYTES_MIN, DNS_QUERY_BYTES};
use super::super::stage::{Actor, Policy, Stage};
use super::{Kind, packet};

/// Packets to and fro.
pub(super) struct Talk {
    kind: Kind,
    hosts: [IpAddr; 2],
    ports: [u16; 2],
    /// Packets sent, and to send.
    sent: u16,
    packets: u16,
    rtt_ns: u64,
    policy: Policy,
}

impl Talk {
    pub(super) fn new(kind: Kind, client: IpAddr, server: IpAddr, policy: Policy, dice: &mut Dice) -> Self {
        let (port, packets) = match kind {
            Kind::Quic => (443, dice.pick(&[8, 12, 20, 40, 60, 160], 12)),
            Kind::Voice => (dice.pick(&[3_478, 10_000, 27_015, 30_120], 3_478), dice.between16(20, 130)),
            Kind::Dns => (53, 2),
            Kind::Ntp => (123, 2),
            Kind::Tcp | Kind::Echo => (0, dice.between16(1, 5) * 2),
        };
        let rtt_ns = dice.between(4_000_000, 80_000_000);
        Self { kind, hosts: [client, server], ports: [dice.between16(1_024, 65_535), port], sent: 0, packets, rtt_ns, policy }
    }

    /// Whether the server sends packet `sent`, what it holds and how soon the next one follows.
    fn next(&self, dice: &mut Dice) -> (bool, Fill, u32, u64) {
        let odd = self.sent % 2 == 1;
        let turn_ns = self.rtt_ns / 2;
        match self.kind {
            // The first two packets fill the path's MTU, as RFC 9000 asks.
            Kind::Quic if self.sent < 2 => (odd, Fill::QuicInitial, 1_252, turn_ns),
            Kind::Quic if self.sent.is_multiple_of(4) => (false, Fill::QuicShort, u32::from(dice.between16(25, 45)), turn_ns / 4),
            Kind::Quic => (true, Fill::QuicShort, u32::from(dice.between16(900, 1_252)), dice.between(30_000, 900_000)),
            Kind::Voice => (odd, Fill::Rtp, u32::from(dice.between16(40, 240)), dice.between(5_000_000, 15_000_000)),
            Kind::Dns if odd => (true, Fill::DnsAnswer, DNS_ANSWER_BYTES_MIN + u32::from(dice.between16(0, 350)), 0),
            Kind::Dns => (false, Fill::DnsQuery, DNS_QUERY_BYTES, turn_ns),
            Kind::Ntp => (odd, Fill::Ntp, 48, turn_ns),
            Kind::Tcp | Kind::Echo => (odd, Fill::Noise, 56, if odd { 200_000_000 } else { turn_ns }),
        }
    }
}

impl Actor for Talk {
    fn fire(&mut self, stage: &mut Stage<'_>) -> Option<u64> {
        let (server, fill, bytes, gap_ns) = self.next(&mut stage.dice);
        let [client_at, server_at] = self.hosts;
        let [client_port, server_port] = self.ports;
        let (src, dst) = if server { (server_at, client_at) } else { (client_at, server_at) };
        let body = match self.kind {
            Kind::Echo => Body::Echo { reply: server, id: client_port, seq: self.sent / 2 + 1 },
            _ if server => Body::Udp { ports: (server_port, client_port) },
            _ => Body::Udp { ports: (client_port, server_port) },
        };
        let sent = packet(src, dst, body, (fill, bytes), &mut stage.dice);
        stage.send(&sent, self.policy);
        self.sent += 1;
        (self.sent < self.packets).then_some(stage.now_ns + gap_ns)
    }
}
