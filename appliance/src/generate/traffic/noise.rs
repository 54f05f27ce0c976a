//! What belongs to nobody: frames without IP, and packets of other people.

use std::net::IpAddr;

use super::super::dice::{Dice, Share};
use super::super::packet::{ACK, Body, Fill, PSH, TcpOptions};
use super::super::plan::Plan;
use super::super::stage::{Actor, Policy, Stage};
use super::packet;

/// ARP, and now and then LLDP.
pub(super) struct Passers {
    pub(super) gap_ns: u64,
}

impl Actor for Passers {
    fn fire(&mut self, stage: &mut Stage<'_>) -> Option<u64> {
        let lldp = stage.dice.one_in(4);
        stage.send_without_ip(lldp);
        Some(stage.now_ns + stage.dice.around(self.gap_ns))
    }
}

/// Routers of no range that speak BGP.
pub(super) struct Strangers {
    gap_ns: u64,
    pairs: Vec<(IpAddr, IpAddr)>,
}

impl Strangers {
    pub(super) fn new(gap_ns: u64, plan: &Plan, dice: &mut Dice) -> Self {
        let pairs = (0..8).map(|n| (plan.outside(n % 4 == 0, dice), plan.outside(n % 4 == 0, dice))).collect();
        Self { gap_ns, pairs }
    }
}

impl Actor for Strangers {
    fn fire(&mut self, stage: &mut Stage<'_>) -> Option<u64> {
        let first = *self.pairs.first()?;
        let (src, dst) = stage.dice.pick(&self.pairs, first);
        let (seq, ack) = (stage.dice.u32(), stage.dice.u32());
        let body = Body::Tcp { ports: (179, 40_179), seq, ack, flags: PSH | ACK, options: TcpOptions::Stamps };
        let bytes = u32::from(stage.dice.between16(19, 600));
        let sent = packet(src, dst, body, (Fill::Noise, bytes), &mut stage.dice);
        stage.send(&sent, Policy { blocked: Share::default(), rule: 0 });
        Some(stage.now_ns + stage.dice.around(self.gap_ns))
    }
}
