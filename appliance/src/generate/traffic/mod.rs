//! Who sends what: one file a kind of actor.

mod attack;
mod datagrams;
mod noise;
mod tcp;

use std::net::IpAddr;
use std::rc::Rc;

use self::attack::Flood;
use self::datagrams::Talk;
use self::noise::{Passers, Strangers};
use self::tcp::Tcp;
use super::dice::{Dice, Ranks, Share};
use super::packet::{Body, Fill, Packet, Payload};
use super::plan::Plan;
use super::scenario::Scenario;
use super::stage::{Actor, Crowd, Policy, Stage};

/// Sessions begin this long before the capture, so that it starts in their midst.
pub(super) const WARM_UP_NS: u64 = 3_000_000_000;

/// Share of sessions between two ranges, in 1 / 64.
const AMONG_RANGES: u16 = 64;

/// Kinds of sessions: share of packets in percent, and packets of one session on average.
const KINDS: [(Kind, u64, u64); 6] =
    [(Kind::Tcp, 58, 30), (Kind::Quic, 20, 50), (Kind::Voice, 10, 75), (Kind::Dns, 8, 2), (Kind::Ntp, 2, 2), (Kind::Echo, 2, 6)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp,
    Quic,
    Voice,
    Dns,
    Ntp,
    Echo,
}

/// Everyone that acts from the start.
pub(super) fn cast(scenario: &Scenario, plan: &Plan, dice: &mut Dice, start_ns: u64) -> Vec<(u64, Box<dyn Actor>)> {
    let mut cast: Vec<(u64, Box<dyn Actor>)> = Vec::new();
    let people = Rc::new(People::new(scenario, plan, dice));
    let begin_ns = start_ns.saturating_sub(WARM_UP_NS);
    for (kind, percent, packets) in KINDS {
        if scenario.legitimate.pps > 0 {
            let gap_ns = packets * 100 * 1_000_000_000 / (scenario.legitimate.pps * percent);
            cast.push((begin_ns + dice.below(gap_ns + 1), Box::new(Arrivals { kind, gap_ns, people: Rc::clone(&people) })));
        }
    }
    if let Some(gap_ns) = 1_000_000_000_u64.checked_div(scenario.noise.non_ip_pps) {
        cast.push((start_ns + dice.below(gap_ns), Box::new(Passers { gap_ns })));
    }
    if let Some(gap_ns) = 1_000_000_000_u64.checked_div(scenario.noise.unmatched_pps) {
        cast.push((start_ns + dice.below(gap_ns), Box::new(Strangers::new(gap_ns, plan, dice))));
    }
    for attack in &scenario.attacks {
        let begin_ns = start_ns + attack.begin_s * 1_000_000_000;
        cast.extend(Flood::new(attack, plan, dice, begin_ns).map(|flood| (begin_ns, Box::new(flood) as Box<dyn Actor>)));
    }
    cast
}

/// Who talks to whom.
struct People {
    crowd: Crowd,
    /// Ranges of IPv4 and of IPv6, and how busy they are.
    families: [(Vec<usize>, Ranks); 2],
    v6: Share,
    policy: Policy,
}

impl People {
    fn new(scenario: &Scenario, plan: &Plan, dice: &mut Dice) -> Self {
        let families = [false, true].map(|v6| {
            let of = plan.of_family(v6);
            let ranks = Ranks::new(of.len());
            (of, ranks)
        });
        let share = match &families {
            [(_, _), (v6, _)] if v6.is_empty() => 0.0,
            [(v4, _), (_, _)] if v4.is_empty() => 1.0,
            _ => scenario.legitimate.ipv6,
        };
        let policy = Policy { blocked: Share::of(scenario.legitimate.blocked), rule: 1 };
        Self { crowd: Crowd::new(scenario.legitimate.clients, plan, dice), families, v6: Share::of(share), policy }
    }

    /// Client and server of a new session.
    fn pair(&self, stage: &mut Stage<'_>) -> Option<(IpAddr, IpAddr)> {
        let v6 = stage.dice.chance(self.v6);
        let ours = self.ours(v6, stage)?;
        let theirs = if stage.dice.one_in(AMONG_RANGES) { self.ours(v6, stage)? } else { self.crowd.draw(v6, &mut stage.dice)? };
        if stage.plan.longest(ours) == stage.plan.longest(theirs) {
            return None;
        }
        Some(if stage.dice.one_in(2) { (ours, theirs) } else { (theirs, ours) })
    }

    fn ours(&self, v6: bool, stage: &mut Stage<'_>) -> Option<IpAddr> {
        let (ranges, ranks) = &self.families[usize::from(v6)];
        let range = *ranges.get(ranks.draw(&mut stage.dice))?;
        stage.plan.server(range, &mut stage.dice)
    }
}

/// Sessions of one kind, as they come.
struct Arrivals {
    kind: Kind,
    gap_ns: u64,
    people: Rc<People>,
}

impl Actor for Arrivals {
    fn fire(&mut self, stage: &mut Stage<'_>) -> Option<u64> {
        if let Some((client, server)) = self.people.pair(stage) {
            let policy = self.people.policy;
            let session: Box<dyn Actor> = match self.kind {
                Kind::Tcp => Box::new(Tcp::new(client, server, policy, &mut stage.dice)),
                kind => Box::new(Talk::new(kind, client, server, policy, &mut stage.dice)),
            };
            let now_ns = stage.now_ns;
            stage.spawned.push((now_ns, session));
        }
        Some(stage.now_ns + stage.dice.around(self.gap_ns))
    }
}

/// A packet without a tunnel, of a host that is some hops away.
fn packet(src: IpAddr, dst: IpAddr, body: Body, payload: (Fill, u32), dice: &mut Dice) -> Packet {
    let distance = u8::try_from(u128_of(src) % 20).unwrap_or(0);
    let (fill, bytes) = payload;
    Packet { src, dst, ttl: 62 - distance, body, payload: Payload { fill, bytes }, carrier: None, only: None, salt: dice.u16() }
}

const fn u128_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits() as u128,
        IpAddr::V6(address) => address.to_bits(),
    }
}
