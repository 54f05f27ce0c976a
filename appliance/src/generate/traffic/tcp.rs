//! TCP: handshake, request, answer, end.

use std::net::IpAddr;

use super::super::dice::Dice;
use super::super::packet::{ACK, Body, FIN, Fill, PSH, RST, SYN, TcpOptions};
use super::super::stage::{Actor, Policy, Stage};
use super::packet;

/// Segments of an answer: most are short, most bytes are in the long ones.
const SEGMENTS: [u16; 11] = [1, 1, 2, 2, 3, 4, 6, 10, 20, 40, 80];
/// Sessions that are reset after the answer, one in so many.
const RESET_ONE_IN: u16 = 20;
/// SYNs that nobody answers, one in so many.
const UNANSWERED_ONE_IN: u16 = 25;

/// One session.
pub(super) struct Tcp {
    hosts: [IpAddr; 2],
    ports: [u16; 2],
    seq: [u32; 2],
    rtt_ns: u64,
    segments: u16,
    step: Step,
    policy: Policy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Syn,
    SynAck,
    Established,
    Request,
    Data,
    DataAcked,
    ServerFin,
    ClientFin,
    LastAck,
    Reset,
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Tcp {
    pub(super) fn new(client: IpAddr, server: IpAddr, policy: Policy, dice: &mut Dice) -> Self {
        let port = dice.pick(&[443, 443, 443, 443, 80, 80, 22, 25, 8443, 993], 443);
        Self {
            hosts: [client, server],
            ports: [dice.between16(1_024, 65_535), port],
            seq: [dice.u32(), dice.u32()],
            rtt_ns: dice.between(4_000_000, 80_000_000),
            segments: dice.pick(&SEGMENTS, 1),
            step: Step::Syn,
            policy,
        }
    }

    /// The longest segment: 1,500 bytes less the headers.
    fn segment_bytes(&self) -> u32 {
        if self.hosts[CLIENT].is_ipv4() { 1_448 } else { 1_428 }
    }

    fn segment(&mut self, from: usize, flags: u8, bytes: u32, stage: &mut Stage<'_>) {
        let to = 1 - from;
        let options = match flags {
            RST => TcpOptions::None,
            flags if flags & SYN != 0 => TcpOptions::Syn,
            _ => TcpOptions::Stamps,
        };
        let ack = if flags & ACK == 0 { 0 } else { self.seq[to] };
        let body = Body::Tcp { ports: (self.ports[from], self.ports[to]), seq: self.seq[from], ack, flags, options };
        let sent = packet(self.hosts[from], self.hosts[to], body, (Fill::Tls, bytes), &mut stage.dice);
        let consumed = bytes + u32::from(flags & (SYN | FIN) != 0);
        self.seq[from] = self.seq[from].wrapping_add(consumed);
        stage.send(&sent, self.policy);
    }

    fn data(&mut self, stage: &mut Stage<'_>) -> Step {
        self.segments -= 1;
        let bytes = if self.segments == 0 { u32::from(stage.dice.between16(1, 1_400)) } else { self.segment_bytes() };
        self.segment(SERVER, if self.segments == 0 { PSH | ACK } else { ACK }, bytes, stage);
        if self.segments.is_multiple_of(2) { Step::DataAcked } else { Step::Data }
    }
}

impl Actor for Tcp {
    fn fire(&mut self, stage: &mut Stage<'_>) -> Option<u64> {
        let half_ns = self.rtt_ns / 2;
        let (next, delay_ns) = match self.step {
            Step::Syn => {
                self.segment(CLIENT, SYN, 0, stage);
                if stage.dice.one_in(UNANSWERED_ONE_IN) {
                    return None;
                }
                (Step::SynAck, half_ns)
            }
            Step::SynAck => {
                self.segment(SERVER, SYN | ACK, 0, stage);
                (Step::Established, half_ns)
            }
            Step::Established => {
                self.segment(CLIENT, ACK, 0, stage);
                (Step::Request, stage.dice.between(50_000, 2_000_000))
            }
            Step::Request => {
                let bytes = u32::from(stage.dice.between16(60, 700));
                self.segment(CLIENT, PSH | ACK, bytes, stage);
                (Step::Data, half_ns + stage.dice.between(100_000, 20_000_000))
            }
            Step::Data => (self.data(stage), stage.dice.between(20_000, 600_000)),
            Step::DataAcked => {
                self.segment(CLIENT, ACK, 0, stage);
                let next = match self.segments {
                    0 if stage.dice.one_in(RESET_ONE_IN) => Step::Reset,
                    0 => Step::ServerFin,
                    _ => Step::Data,
                };
                (next, stage.dice.between(20_000, 600_000))
            }
            Step::ServerFin => {
                self.segment(SERVER, FIN | ACK, 0, stage);
                (Step::ClientFin, half_ns)
            }
            Step::ClientFin => {
                self.segment(CLIENT, FIN | ACK, 0, stage);
                (Step::LastAck, half_ns)
            }
            Step::LastAck => {
                self.segment(SERVER, ACK, 0, stage);
                return None;
            }
            Step::Reset => {
                self.segment(CLIENT, RST, 0, stage);
                return None;
            }
        };
        self.step = next;
        Some(stage.now_ns + delay_ns)
    }
}
