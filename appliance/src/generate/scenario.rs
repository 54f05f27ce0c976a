//! What is asked for: a scenario's TOML, read and checked.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::GenerateError;
use crate::limits::{RANGES_MAX, WINDOW_MS_MAX};

/// Scenarios that have a name: what stands in their files.
const NAMED: &[(&str, &str)] = &[
    ("amplification", include_str!("scenarios/amplification.toml")),
    ("carpet", include_str!("scenarios/carpet.toml")),
    ("demo", include_str!("scenarios/demo.toml")),
    ("dns_reflection", include_str!("scenarios/dns_reflection.toml")),
    ("mix", include_str!("scenarios/mix.toml")),
    ("syn_flood", include_str!("scenarios/syn_flood.toml")),
    ("tunnelled_flood", include_str!("scenarios/tunnelled_flood.toml")),
];

/// More packets a second than any one part may have.
const PPS_MAX: u64 = 10_000_000;

/// A scenario as written; every key but `about` and `duration_s` has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One line that says what it shows.
    pub about: String,
    /// Length of the capture.
    pub duration_s: u64,
    /// Length of the truth's windows, aligned to the clock.
    #[serde(default = "defaults::window_ms")]
    pub window_ms: u64,
    /// Time of the first frame at the earliest, RFC 3339 in UTC.
    #[serde(default = "defaults::start")]
    pub start: String,
    /// Seed of all chance.
    #[serde(default = "defaults::seed")]
    pub seed: u64,
    /// Bytes kept of each frame; 0 keeps all.
    #[serde(default)]
    pub snap_bytes: u32,
    /// Whether what the ranges send is mirrored too.
    #[serde(default = "defaults::yes")]
    pub egress: bool,
    /// Whose traffic it is.
    #[serde(default)]
    pub ranges: Ranges,
    /// How the mirror marks what the scrubber blocked.
    #[serde(default)]
    pub tag: Tag,
    /// Traffic that means no harm.
    #[serde(default)]
    pub legitimate: Legitimate,
    /// What belongs to nobody.
    #[serde(default)]
    pub noise: Noise,
    /// Floods.
    #[serde(default, rename = "attack")]
    pub attacks: Vec<Attack>,
}

/// `[ranges]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ranges {
    /// Ranges that are made: three IPv4 /24 and one IPv6 /48 in turn.
    pub count: usize,
    /// Ranges that are named.
    pub list: Vec<Range>,
}

/// One of `[[ranges.list]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// A prefix without host bits.
    pub prefix: IpNet,
    /// Whose it is.
    pub customer: String,
    /// The label `plan`.
    #[serde(default = "defaults::plan")]
    pub plan: String,
}

/// `[tag]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tag {
    /// VLAN id that is pushed on each blocked frame.
    pub vlan: u16,
    /// Whether a second VLAN id, under the first, holds the mitigation rule.
    pub rule: bool,
    /// One blocked packet in so many is mirrored, drawn at random.
    pub sampling: u16,
    /// VLAN id that every frame has of its own, passed ones too; 0 is none.
    pub own_vlan: u16,
}

/// `[legitimate]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Legitimate {
    /// Packets a second, both directions together, on average.
    pub pps: u64,
    /// Share of sessions over IPv6.
    pub ipv6: f64,
    /// Different outside addresses per family.
    pub clients: usize,
    /// Share of packets towards ranges that the scrubber blocks by mistake.
    pub blocked: f64,
}

/// `[noise]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Noise {
    /// Frames a second without IP: ARP and LLDP.
    pub non_ip_pps: u64,
    /// Packets a second between addresses of no range.
    pub unmatched_pps: u64,
}

/// What an attack sends.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// TCP SYN.
    SynFlood,
    /// DNS answers that nobody asked for, large ones in fragments.
    DnsReflection,
    /// TCP SYN-ACK that answer SYNs which the target never sent.
    SynAckReflection,
    /// UDP of any size.
    UdpFlood,
    /// UDP inside tunnels: the outer address is the target, the inner one lies in `inner`.
    TunnelledFlood,
}

/// What a tunnelled flood is carried in.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "spelled as in the file")]
pub enum Tunnel {
    Vxlan,
    Gre,
    Ipip,
}

/// One of `[[attack]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// What it sends.
    pub kind: Kind,
    /// An address, or a prefix over all of which it is spread.
    pub target: String,
    /// When it begins, from the start.
    #[serde(default)]
    pub begin_s: u64,
    /// How long it lasts; 0 is to the end.
    #[serde(default)]
    pub duration_s: u64,
    /// Packets a second that arrive at the scrubber.
    pub pps: u64,
    /// Share that the scrubber blocks.
    #[serde(default = "defaults::blocked")]
    pub blocked: f64,
    /// Mitigation rule that blocks it, 1 to 4094.
    #[serde(default = "defaults::rule")]
    pub rule: u16,
    /// Different sources, the first the busiest; 0 forges another for each packet.
    #[serde(default)]
    pub sources: usize,
    /// Destination ports; empty is any.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Source ports; empty is any. DNS answers come from port 53.
    #[serde(default)]
    pub source_ports: Vec<u16>,
    /// Bytes of UDP payload, at least and at most.
    #[serde(default = "defaults::payload_bytes")]
    pub payload_bytes: [u16; 2],
    /// What a tunnelled flood is carried in, in turn.
    #[serde(default = "defaults::tunnels")]
    pub tunnels: Vec<Tunnel>,
    /// Where the inner destinations of a tunnelled flood lie.
    pub inner: Option<IpNet>,
}

impl Attack {
    /// The target as a prefix: an address is one of its own length.
    pub(super) fn target(&self) -> Option<IpNet> {
        self.target.parse().ok().or_else(|| self.target.parse::<IpAddr>().ok().map(IpNet::from))
    }
}

mod defaults {
    use super::Tunnel;

    pub(super) const fn window_ms() -> u64 {
        10_000
    }
    pub(super) fn start() -> String {
        "2025-01-01T00:00:00Z".to_owned()
    }
    pub(super) const fn seed() -> u64 {
        1
    }
    pub(super) const fn yes() -> bool {
        true
    }
    pub(super) fn plan() -> String {
        "standard".to_owned()
    }
    pub(super) const fn blocked() -> f64 {
        0.98
    }
    pub(super) const fn rule() -> u16 {
        100
    }
    pub(super) const fn payload_bytes() -> [u16; 2] {
        [18, 1_400]
    }
    pub(super) fn tunnels() -> Vec<Tunnel> {
        vec![Tunnel::Vxlan, Tunnel::Gre, Tunnel::Ipip]
    }
}

impl Default for Tag {
    fn default() -> Self {
        Self { vlan: 666, rule: false, sampling: 40, own_vlan: 0 }
    }
}

impl Default for Legitimate {
    fn default() -> Self {
        Self { pps: 2_000, ipv6: 0.25, clients: 5_000, blocked: 0.000_5 }
    }
}

impl Default for Noise {
    fn default() -> Self {
        Self { non_ip_pps: 2, unmatched_pps: 20 }
    }
}

impl Scenario {
    /// A scenario by its name, or else of a file.
    pub fn load(name: &str) -> Result<Self, GenerateError> {
        let fault = |what: String| GenerateError::Scenario(name.to_owned(), vec![what]);
        let text = match NAMED.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => (*text).to_owned(),
            None => std::fs::read_to_string(Path::new(name)).map_err(|error| fault(no_such(&error)))?,
        };
        let scenario: Self = toml_edit::de::from_str(&text).map_err(|error| fault(error.to_string()))?;
        let faults = scenario.faults();
        if faults.is_empty() { Ok(scenario) } else { Err(GenerateError::Scenario(name.to_owned(), faults)) }
    }

    /// Names and lines of those that have a name.
    pub fn named() -> impl Iterator<Item = (&'static str, String)> {
        NAMED
            .iter()
            .map(|(name, text)| (*name, toml_edit::de::from_str::<Self>(text).map_or_else(|error| error.to_string(), |of| of.about)))
    }

    /// Start, nanoseconds since 1970.
    pub(super) fn start_ns(&self) -> Option<u64> {
        instant_ns(&self.start)
    }

    /// Bytes that the tag adds to a blocked frame.
    pub fn added_bytes(&self) -> u32 {
        if self.tag.rule { 8 } else { 4 }
    }

    /// Everything that is wrong; also after options changed the scenario.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |sound: bool, fault: &str| {
            if !sound {
                faults.push(fault.to_owned());
            }
        };
        check((1..=86_400).contains(&self.duration_s), "duration_s: must be from 1 to 86400");
        check((1..=WINDOW_MS_MAX).contains(&self.window_ms), "window_ms: must be from 1 to 3600000");
        check(self.start_ns().is_some(), "start: must be a time in UTC from 1970 to 2105, such as \"2025-01-01T00:00:00Z\"");
        check(self.snap_bytes == 0 || self.snap_bytes >= 64, "snap_bytes: must be 0 (whole frames) or at least 64");
        let ranges = self.ranges.count + self.ranges.list.len();
        check((1..=RANGES_MAX.min(50_000)).contains(&ranges), "ranges: count and list together must be from 1 to 50000");
        check((1..=4094).contains(&self.tag.vlan), "tag.vlan: must be from 1 to 4094");
        check(self.tag.own_vlan <= 4094 && self.tag.own_vlan != self.tag.vlan, "tag.own_vlan: must be at most 4094, and not tag.vlan");
        check(self.tag.sampling >= 1, "tag.sampling: must be at least 1");
        check((0.0..=1.0).contains(&self.legitimate.ipv6), "legitimate.ipv6: must be from 0 to 1");
        check((0.0..=1.0).contains(&self.legitimate.blocked), "legitimate.blocked: must be from 0 to 1");
        check((1..=1_000_000).contains(&self.legitimate.clients), "legitimate.clients: must be from 1 to 1000000");
        let rates = [self.legitimate.pps, self.noise.non_ip_pps, self.noise.unmatched_pps];
        check(rates.iter().all(|pps| *pps <= PPS_MAX), "pps: must be at most 10000000");
        faults.extend(
            self.ranges
                .list
                .iter()
                .filter(|range| range.prefix != range.prefix.trunc())
                .map(|range| format!("ranges.list: {} has host bits; write {}", range.prefix, range.prefix.trunc())),
        );
        for (index, attack) in self.attacks.iter().enumerate() {
            faults.extend(attack.faults().map(|fault| format!("attack {}: {fault}", index + 1)));
        }
        faults
    }
}

impl Attack {
    fn faults(&self) -> impl Iterator<Item = &'static str> {
        let tunnelled = self.kind == Kind::TunnelledFlood;
        let [low, high] = self.payload_bytes;
        [
            (self.target().is_some(), "target: must be an address or a prefix"),
            ((1..=PPS_MAX).contains(&self.pps), "pps: must be from 1 to 10000000"),
            ((0.0..=1.0).contains(&self.blocked), "blocked: must be from 0 to 1"),
            ((1..=4094).contains(&self.rule), "rule: must be from 1 to 4094"),
            (self.sources <= 1_000_000, "sources: must be at most 1000000"),
            (!tunnelled || self.inner.is_some(), "inner: a tunnelled flood needs the prefix of its inner destinations"),
            (!tunnelled || !self.tunnels.is_empty(), "tunnels: must name one at least: vxlan, gre, ipip"),
            (low <= high && high <= 8_000, "payload_bytes: must be [least, most], at most 8000"),
        ]
        .into_iter()
        .filter_map(|(sound, fault)| (!sound).then_some(fault))
    }
}

fn no_such(error: &std::io::Error) -> String {
    let names = NAMED.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    format!("is no file that can be read ({error}) and not one of {names}")
}

/// RFC 3339 with `Z`, nanoseconds since 1970; a pcap's seconds end in 2106.
fn instant_ns(text: &str) -> Option<u64> {
    let instant: toml_edit::Datetime = text.parse().ok()?;
    let (date, time) = (instant.date?, instant.time?);
    if instant.offset != Some(toml_edit::Offset::Z) || !(1970..=2105).contains(&date.year) {
        return None;
    }
    // Days since 1970: years from March, so that a leap day is the last of its year.
    let (year, month, day) = (u64::from(date.year), u64::from(date.month), u64::from(date.day));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + u64::from(time.hour) * 3_600 + u64::from(time.minute) * 60 + u64::from(time.second.unwrap_or(0));
    Some(seconds * 1_000_000_000 + u64::from(time.nanosecond.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        assert_eq!(instant_ns("2025-01-01T00:00:00Z"), Some(1_735_689_600_000_000_000));
        assert_eq!(instant_ns("2024-02-29T23:59:59Z"), Some(1_709_251_199_000_000_000));
        assert_eq!(instant_ns("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(instant_ns("2025-01-01T00:00:00+01:00"), None);
        assert_eq!(instant_ns("tomorrow"), None);
    }

    #[test]
    fn named_scenarios_are_sound() {
        for (name, about) in Scenario::named() {
            let scenario = Scenario::load(name).unwrap();
            assert!(!about.contains('\n') && scenario.about == about, "{name}: {about}");
        }
    }

    #[test]
    fn faults_name_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let of = |text: &str| {
            let file = folder.path().join("x.toml");
            std::fs::write(&file, text).unwrap();
            Scenario::load(file.to_str().unwrap()).unwrap_err().to_string()
        };
        let unknown = of("about = \"x\"\nduration_s = 1\nspeed = 2\n");
        assert!(unknown.contains("line 3") && unknown.contains("unknown field `speed`"), "{unknown}");
        let wrong =
            of("about = \"x\"\nduration_s = 0\n[tag]\nvlan = 5000\n[[attack]]\nkind = \"syn_flood\"\ntarget = \"nobody\"\npps = 1\n");
        assert!(["duration_s", "tag.vlan", "attack 1: target", "ranges"].iter().all(|key| wrong.contains(key)), "{wrong}");
        assert!(Scenario::load("no_such").unwrap_err().to_string().contains("syn_flood"));
    }
}
