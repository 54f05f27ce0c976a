//! Where traffic is played: the model clock, the scrubber, the mirror.

use std::io::{self, Write};

use super::dice::{Dice, Ranks, Share};
use super::frame::Framer;
use super::packet::{Packet, Piece};
use super::plan::Plan;
use super::scenario::Scenario;
use super::truth::{Facts, Truth};
use crate::rx::capture::PcapWriter;

/// Something that sends packets: fired at its time, it says when it wants to be fired again.
pub(super) trait Actor {
    /// Sends what is due now. The next time, or none when it is done.
    fn fire(&mut self, stage: &mut Stage<'_>) -> Option<u64>;
}

/// What the scrubber does to a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) blocked: Share,
    pub(super) rule: u16,
}

/// What actors act on.
pub(super) struct Stage<'a> {
    pub(super) now_ns: u64,
    pub(super) dice: Dice,
    pub(super) plan: &'a Plan,
    pub(super) scenario: &'a Scenario,
    pub(super) spawned: Vec<(u64, Box<dyn Actor>)>,
    start_ns: u64,
    scrubber: Dice,
    framer: Framer,
    /// None: nobody asks what is in the capture.
    truth: Option<Truth<'a>>,
    pcap: PcapWriter<Box<dyn Write + 'a>>,
    fault: Option<io::Error>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(scenario: &'a Scenario, plan: &'a Plan, truth: Option<Truth<'a>>, pcap: PcapWriter<Box<dyn Write + 'a>>) -> Self {
        let seed = scenario.seed;
        Self {
            now_ns: 0,
            dice: Dice::new(seed, 0),
            plan,
            scenario,
            spawned: Vec::new(),
            start_ns: scenario.start_ns().unwrap_or(0),
            scrubber: Dice::new(seed, 1),
            framer: Framer::new(&mut Dice::new(seed, 2)),
            truth,
            pcap,
            fault: None,
        }
    }

    /// The first fault of writing, if there was one.
    pub(super) const fn failed(&self) -> bool {
        self.fault.is_some()
    }

    /// Ends the capture; gives the truth, which is still open.
    pub(super) fn finish(self) -> io::Result<Option<Truth<'a>>> {
        self.fault.map_or(Ok(()), Err)?;
        self.pcap.finish()?;
        Ok(self.truth)
    }

    /// A packet arrives at the scrubber, in as many frames as it takes.
    pub(super) fn send(&mut self, packet: &Packet, policy: Policy) {
        let (src, dst) = packet.outer();
        let (from, to) = (self.plan.longest(src), self.plan.longest(dst));
        let mirrored = to.is_some() || from.is_none() || self.scenario.egress;
        if self.now_ns < self.start_ns || !mirrored {
            return;
        }
        for piece in packet.pieces() {
            // Only what goes towards a range is scrubbed.
            let blocked = to.is_some() && self.scrubber.chance(policy.blocked);
            let captured = !blocked || self.scrubber.one_in(self.scenario.tag.sampling);
            let facts = Facts {
                src,
                dst,
                ranges: [to, from],
                protocol: packet.outer_protocol(),
                // Only the first fragment has the ports.
                ports: packet.outer_ports().filter(|_| piece.at == 0),
                ttl: packet.outer_ttl(),
                bytes: packet.wire_bytes(piece) + if self.scenario.tag.own_vlan == 0 { 0 } else { 4 },
                flags: (packet.outer_protocol() == 6).then(|| packet.outer_flags()),
                fragment: piece.is_fragment(),
                blocked,
                captured,
            };
            if let Some(Err(error)) = self.truth.as_mut().map(|truth| truth.count(self.now_ns, &facts)) {
                self.fault.get_or_insert(error);
            }
            self.keep(facts, packet, piece, policy.rule);
        }
    }

    fn keep(&mut self, facts: Facts, packet: &Packet, piece: Piece, rule: u16) {
        if !facts.captured {
            return;
        }
        let tag = &self.scenario.tag;
        let mut vlans = [0; 3];
        let mut count = 0;
        let pushed = [(facts.blocked, tag.vlan), (facts.blocked && tag.rule, rule), (tag.own_vlan != 0, tag.own_vlan)];
        for (_, vlan) in pushed.into_iter().filter(|(present, _)| *present) {
            vlans[count] = vlan;
            count += 1;
        }
        let frame = self.framer.frame(packet, piece, &vlans[..count]);
        write(&mut self.pcap, &mut self.fault, self.now_ns, self.scenario.snap_bytes, frame);
        if let Some(truth) = &mut self.truth {
            truth.captured(frame.len(), facts.blocked);
        }
    }

    /// A frame that carries no IP passes by.
    pub(super) fn send_without_ip(&mut self, lldp: bool) {
        if self.now_ns < self.start_ns {
            return;
        }
        let own = self.scenario.tag.own_vlan;
        let vlans: &[u16] = if own == 0 { &[] } else { &[own] };
        let salt = self.dice.u16();
        let frame = self.framer.without_ip(lldp, vlans, salt);
        let turned = self.truth.as_mut().map_or(Ok(()), |truth| truth.without_ip(self.now_ns, frame.len()));
        write(&mut self.pcap, &mut self.fault, self.now_ns, self.scenario.snap_bytes, frame);
        if let Err(error) = turned {
            self.fault.get_or_insert(error);
        }
    }
}

fn write(pcap: &mut PcapWriter<Box<dyn Write + '_>>, fault: &mut Option<io::Error>, now_ns: u64, snap_bytes: u32, frame: &[u8]) {
    let snap = if snap_bytes == 0 { frame.len() } else { frame.len().min(snap_bytes as usize) };
    let wire_bytes = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    if let Err(error) = pcap.write(now_ns, wire_bytes, frame.get(..snap).unwrap_or(frame)) {
        fault.get_or_insert(error);
    }
}

/// Outside addresses, the first of each family the busiest.
#[derive(Debug)]
pub(super) struct Crowd {
    v4: Vec<std::net::IpAddr>,
    v6: Vec<std::net::IpAddr>,
    ranks: Ranks,
}

impl Crowd {
    pub(super) fn new(count: usize, plan: &Plan, dice: &mut Dice) -> Self {
        let mut of = |v6| (0..count).map(|_| plan.outside(v6, dice)).collect();
        Self { v4: of(false), v6: of(true), ranks: Ranks::new(count) }
    }

    pub(super) fn draw(&self, v6: bool, dice: &mut Dice) -> Option<std::net::IpAddr> {
        let of = if v6 { &self.v6 } else { &self.v4 };
        of.get(self.ranks.draw(dice)).copied()
    }
}
