//! Peace and attacks on ranges that somebody has, in memory: what capacity is measured with.

use std::io;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::capture;
use super::scenario::{Attack, Family, Kind, Legitimate, Noise, Over, Range, Ranges, Scenario, Tag};

/// Prefixes that carpet bombing covers.
const CARPET_V4_BITS: u8 = 20;
const CARPET_V6_BITS: u8 = 44;
/// Of a hundred packets, those that an attack has.
const ATTACK_PERCENT: u64 = 90;
/// Payload of the shortest UDP frame that Ethernet carries, over IPv4.
const SHORTEST_PAYLOAD_BYTES: [u16; 2] = [18, 18];
/// Outside addresses of a family in peace.
const CLIENTS: usize = 5_000;
/// Share of what comes in a mix that the scrubber blocks.
const MIX_BLOCKED: f64 = 0.5;

/// What traffic is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Sessions of all sizes of frame; ranges by Zipf's law.
    Peace,
    /// The shortest frames from forged sources, each range alike.
    Uniform,
    /// Likewise, nine in ten to one range.
    OneRange,
    /// Likewise, nine in ten over the ranges of a /20, or a /44 of IPv6.
    Carpet,
    /// Likewise, over all ranges by Zipf's law.
    Zipf,
    /// As uniform, all of it in a VLAN; half is blocked: of that comes what was sampled, in two VLANs.
    Mix,
    /// As uniform, to ranges of IPv6 alone.
    V6,
}

impl Shape {
    /// All of them, each with its name.
    pub const ALL: [(&'static str, Self); 7] = [
        ("peace", Self::Peace),
        ("uniform", Self::Uniform),
        ("one-range", Self::OneRange),
        ("carpet", Self::Carpet),
        ("zipf", Self::Zipf),
        ("mix", Self::Mix),
        ("v6", Self::V6),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, shape)| *shape == self).map_or("", |(name, _)| name)
    }

    /// In a line.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Peace => "sessions of all sizes, ranges by Zipf's law",
            Self::Uniform => "spoofed flood, each range alike, 64 bytes",
            Self::OneRange => "spoofed flood, 90 % on one range, 64 bytes",
            Self::Carpet => "carpet bombing, 90 % over one /20, 64 bytes",
            Self::Zipf => "spoofed flood over all ranges by Zipf's law, 64 bytes",
            Self::Mix => "spoofed flood in a VLAN, each range alike, 68 bytes; half is blocked, and sampled as [[tags]] say",
            Self::V6 => "spoofed flood, each IPv6 range alike, 66 and 78 bytes",
        }
    }

    /// Whether it goes to such a range.
    pub const fn goes_to(self, range: &IpNet) -> bool {
        !matches!(self, Self::V6) || matches!(range, IpNet::V6(_))
    }
}

/// How a mirror marks what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// VLAN of what was blocked.
    pub blocked: u16,
    /// Of how many blocked packets one is mirrored.
    pub sampling: u16,
    /// VLAN of all frames of a mix; 0 is none.
    pub own: u16,
}

/// Whose traffic it is.
#[derive(Clone, Debug)]
pub struct Crowds {
    ranges: Vec<IpNet>,
    marks: Option<Marks>,
}

impl Crowds {
    /// Of these ranges. Without `marks` nothing is blocked, and a mix is as uniform.
    pub fn new(ranges: impl Iterator<Item = IpNet>, marks: Option<Marks>) -> Self {
        Self { ranges: ranges.collect(), marks }
    }

    /// How many ranges.
    pub fn ranges(&self) -> usize {
        self.ranges.len()
    }

    /// About so many of them: of each family its part, from its midst, where attacks go to.
    #[must_use]
    pub fn fewer(&self, count: usize) -> Self {
        let all = self.ranges.len().max(1);
        let of = |v6| {
            let has = self.of_family(v6).count();
            let some = (has * count).div_ceil(all).min(has);
            self.of_family(v6).skip((has - some) / 2).take(some).copied()
        };
        Self { ranges: [false, true].into_iter().flat_map(of).collect(), marks: self.marks }
    }

    /// About so many frames of a shape, as a capture.
    ///
    /// # Errors
    /// There is no memory for them.
    pub fn capture(&self, shape: Shape, frames: u64) -> io::Result<Vec<u8>> {
        let of_shape = Self::new(self.ranges.iter().filter(|range| shape.goes_to(range)).copied(), self.marks);
        capture(&of_shape.scenario(shape, frames.max(1)))
    }

    fn scenario(&self, shape: Shape, frames: u64) -> Scenario {
        let default = Tag::default();
        let unmarked = Marks { blocked: default.vlan, sampling: default.sampling, own: 0 };
        let Marks { blocked: vlan, sampling, own } = self.marks.unwrap_or(unmarked);
        let range = |prefix: &IpNet| Range { prefix: *prefix, customer: String::new(), plan: String::new() };
        let peace = shape == Shape::Peace;
        let v6 = self.of_family(true).count();
        #[allow(clippy::cast_precision_loss, reason = "a share")]
        let ipv6 = v6 as f64 / self.ranges.len().max(1) as f64;
        // Where nothing says what was blocked, nothing is.
        let blocked = if self.marks.is_some() { Legitimate::default().blocked } else { 0.0 };
        // Half of a session's packets go from its range, and are not mirrored.
        let pps = if peace { 2 * frames } else { 0 };
        Scenario {
            about: shape.about().to_owned(),
            duration_s: 1,
            window_ms: 10_000,
            sub_window_ms: 0,
            memory_mb: 0,
            start: "2025-01-01T00:00:00Z".to_owned(),
            seed: 1,
            snap_bytes: 0,
            egress: false,
            ranges: Ranges { count: 0, family: Family::Both, list: self.ranges.iter().map(range).collect() },
            tag: Tag { vlan, rule: false, sampling, own_vlan: if shape == Shape::Mix { own } else { 0 } },
            legitimate: Legitimate { pps, ipv6, clients: CLIENTS, blocked },
            noise: Noise { non_ip_pps: 0, unmatched_pps: 0 },
            attacks: if peace { Vec::new() } else { self.attacks(shape, frames) },
        }
    }

    fn of_family(&self, v6: bool) -> impl Iterator<Item = &IpNet> {
        self.ranges.iter().filter(move |range| matches!(range, IpNet::V6(_)) == v6)
    }

    fn attacks(&self, shape: Shape, frames: u64) -> Vec<Attack> {
        if let (Shape::Mix, Some(marks)) = (shape, self.marks) {
            return self.half_blocked(marks, frames);
        }
        let over = if shape == Shape::Zipf { Over::Zipf } else { Over::Ranges };
        let Some(victim) = self.victim().filter(|_| matches!(shape, Shape::OneRange | Shape::Carpet)) else {
            return self.over_all(over, frames);
        };
        let target = if shape == Shape::Carpet { carpet(victim) } else { victim };
        // Addresses of nobody would cost what nobody pays for.
        let of_victim = floods(target, Over::Ranges, frames * ATTACK_PERCENT / 100);
        of_victim.into_iter().chain(self.over_all(over, frames * (100 - ATTACK_PERCENT) / 100)).collect()
    }

    /// Floods over all ranges of each family.
    fn over_all(&self, over: Over, frames: u64) -> Vec<Attack> {
        let everywhere = [(false, IpNet::V4(Ipv4Net::default())), (true, IpNet::V6(Ipv6Net::default()))];
        let all = self.ranges.len().max(1) as u64;
        let of = |(v6, target): (bool, IpNet)| floods(target, over, frames * self.of_family(v6).count() as u64 / all);
        everywhere.into_iter().flat_map(of).collect()
    }

    /// Floods of which half is blocked: as many as leave so many frames after the sampling.
    fn half_blocked(&self, marks: Marks, frames: u64) -> Vec<Attack> {
        let sampling = u64::from(marks.sampling.max(1));
        let offered = frames * 2 * sampling / (sampling + 1);
        self.over_all(Over::Ranges, offered).into_iter().map(|attack| Attack { blocked: MIX_BLOCKED, ..attack }).collect()
    }

    /// A range in the midst of the family that has more.
    fn victim(&self) -> Option<IpNet> {
        let counts = [false, true].map(|v6| self.of_family(v6).count());
        let v6 = counts[1] > counts[0];
        self.of_family(v6).nth(counts[usize::from(v6)] / 2).copied()
    }
}

/// The prefix around a range that is bombed: the range itself, where that is larger.
fn carpet(range: IpNet) -> IpNet {
    let bits = if range.addr().is_ipv6() { CARPET_V6_BITS } else { CARPET_V4_BITS };
    IpNet::new(range.addr(), bits.min(range.prefix_len())).map_or(range, |wide| wide.trunc())
}

/// TCP and UDP from forged sources, half of each.
fn floods(target: IpNet, over: Over, frames: u64) -> Vec<Attack> {
    let flood = |kind| Attack {
        kind,
        target: target.to_string(),
        over,
        begin_s: 0,
        duration_s: 0,
        pps: frames / 2,
        blocked: 0.0,
        rule: 1,
        sources: 0,
        even: false,
        pulse_ms: [0, 0],
        ports: Vec::new(),
        source_ports: Vec::new(),
        payload_bytes: if target.addr().is_ipv6() { [0, 0] } else { SHORTEST_PAYLOAD_BYTES },
        tunnels: Vec::new(),
        inner: None,
    };
    if frames < 2 { Vec::new() } else { vec![flood(Kind::TcpFlood), flood(Kind::UdpFlood)] }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use super::*;
    use crate::rx::capture::Capture;

    const MARKS: Marks = Marks { blocked: 666, sampling: 40, own: 100 };

    /// Frames of a shape: the VLANs of each from the outside, and its IP packet.
    fn frames_of(ranges: impl Iterator<Item = IpNet>, shape: Shape) -> Vec<(Vec<u16>, Vec<u8>)> {
        let bytes = Crowds::new(ranges, Some(MARKS)).capture(shape, 4_000).unwrap();
        let mut capture = Capture::from_reader("memory".as_ref(), Box::new(io::Cursor::new(bytes))).unwrap();
        let mut found = Vec::new();
        while let Some(frame) = capture.next_frame().unwrap() {
            let (mut vlans, mut rest) = (Vec::new(), &frame.bytes[12..]);
            while rest[..2] == [0x81, 0] {
                vlans.push(u16::from_be_bytes([rest[2], rest[3]]));
                rest = &rest[4..];
            }
            found.push((vlans, rest[2..].to_vec()));
        }
        found
    }

    /// Destinations of the frames of a shape, of IPv4.
    fn destinations_of(ranges: impl Iterator<Item = IpNet>, shape: Shape) -> Vec<[u8; 4]> {
        frames_of(ranges, shape).iter().map(|(_, packet)| *packet[16..].first_chunk().unwrap()).collect()
    }

    fn v4(count: u8) -> impl Iterator<Item = IpNet> {
        (0..count).map(|n| IpNet::V4(Ipv4Net::new([10, n, 0, 0].into(), 24).unwrap()))
    }

    #[test]
    fn a_carpet_over_scattered_ranges_hits_none_but_them() {
        let ranges = [(10, 0, 16), (10, 1, 16), (10, 2, 0), (10, 2, 80), (10, 2, 208), (10, 3, 0), (10, 4, 0)];
        let net = |(a, b, c): (u8, u8, u8)| IpNet::V4(Ipv4Net::new([a, b, c / 16, c % 16 * 16].into(), 28).unwrap());
        let all = destinations_of(ranges.into_iter().map(net), Shape::Carpet);
        let hit = |dst: &[u8; 4]| ranges.iter().any(|range| net(*range).contains(&std::net::IpAddr::from(*dst)));
        assert!(all.len() > 3_000 && all.iter().all(hit));
        let bombed = |third: u8| all.iter().filter(|dst| dst[..3] == [10, 2, third]).count();
        assert!([0, 5, 13].iter().all(|third| bombed(*third) > all.len() / 5));
    }

    #[test]
    fn fewer_ranges_have_the_same_victim_and_its_neighbours_and_both_families() {
        let v4 = (0..=255_u8).map(|n| IpNet::V4(Ipv4Net::new([10, 0, n, 0].into(), 24).unwrap()));
        let v6 = (0..64_u16).map(|n| IpNet::V6(Ipv6Net::new([0x2001, 0xdb8, n, 0, 0, 0, 0, 0].into(), 48).unwrap()));
        let all = Crowds::new(v4.chain(v6), None);
        let few = all.fewer(50);
        assert_eq!([false, true].map(|v6| few.of_family(v6).count()), [40, 10]);
        let carpet = carpet(all.victim().unwrap());
        assert!(carpet.contains(&few.victim().unwrap()));
        assert_eq!(few.ranges.iter().filter(|range| carpet.contains(*range)).count(), 16);
        assert_eq!([all.fewer(1_000).ranges(), all.fewer(1).ranges()], [320, 2]);
    }

    #[test]
    fn shapes_are_what_they_say() {
        for (name, shape) in Shape::ALL.into_iter().filter(|(_, shape)| *shape != Shape::V6) {
            assert_eq!(<Shape as clap::ValueEnum>::from_str(name, false), Ok(shape));
            let all = destinations_of(v4(64), shape);
            let on = |n: u8| all.iter().filter(|dst| dst[..3] == [10, n, 0]).count();
            let most = (0..64).map(on).max().unwrap();
            assert!((2_500..6_000).contains(&all.len()), "{name}: {}", all.len());
            match shape {
                Shape::OneRange => assert!(on(32) > all.len() * 4 / 5, "{name}"),
                Shape::Carpet => {
                    assert!(all.iter().filter(|dst| dst[..2] == [10, 32] && dst[2] < 16).count() > all.len() * 4 / 5, "{name}")
                }
                Shape::Uniform | Shape::Mix | Shape::V6 => assert!(most < all.len() / 30 && (0..64).all(|n| on(n) > 0), "{name}: {most}"),
                // Each of its two floods has an order of its own.
                Shape::Peace | Shape::Zipf => assert!(most > all.len() / 16, "{name}: {most}"),
            }
        }
    }

    #[test]
    fn of_a_mix_all_is_in_one_vlan_and_what_was_blocked_in_two() {
        let all = frames_of(v4(64), Shape::Mix);
        let [passed, blocked] = [&[100][..], &[666, 100]].map(|marked| all.iter().filter(|(vlans, _)| vlans == marked).count());
        assert!(passed + blocked == all.len() && (3_600..4_400).contains(&all.len()), "{passed} and {blocked} of {}", all.len());
        // As many were blocked as passed, and one in forty of them is mirrored.
        assert!((passed / 80..passed / 20).contains(&blocked), "{passed} and {blocked}");
        for shape in [Shape::Uniform, Shape::OneRange, Shape::Carpet, Shape::Zipf] {
            assert!(frames_of(v4(64), shape).iter().all(|(vlans, _)| vlans.is_empty()), "{shape:?}");
        }
    }

    #[test]
    fn an_attack_on_ipv6_leaves_no_range_of_it_out_and_goes_to_no_other() {
        let v6 = |n: u8| IpNet::V6(Ipv6Net::new([0x2001, 0xdb8, n.into(), 0, 0, 0, 0, 0].into(), 48).unwrap());
        let all = frames_of(v4(64).chain((0..4).map(v6)), Shape::V6);
        let on = |n: u8| all.iter().filter(|(_, packet)| packet[0] == 0x60 && packet[24..30] == [0x20, 0x01, 0x0d, 0xb8, 0, n]).count();
        assert!((3_600..4_400).contains(&all.len()) && (0..4).map(on).sum::<usize>() == all.len(), "{}", all.len());
        assert!((0..4).all(|n| on(n) > all.len() / 5));
    }
}
