//! What is asked for: a scenario's TOML, read and checked.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::GenerateError;
use super::check::instant_ns;

/// Scenarios that have a name: what stands in their files.
const NAMED: &[(&str, &str)] = &[
    ("ack_flood", include_str!("scenarios/ack_flood.toml")),
    ("amplification", include_str!("scenarios/amplification.toml")),
    ("carpet", include_str!("scenarios/carpet.toml")),
    ("cldap_reflection", include_str!("scenarios/cldap_reflection.toml")),
    ("decoys", include_str!("scenarios/decoys.toml")),
    ("demo", include_str!("scenarios/demo.toml")),
    ("dns_reflection", include_str!("scenarios/dns_reflection.toml")),
    ("fragment_flood", include_str!("scenarios/fragment_flood.toml")),
    ("icmp_flood", include_str!("scenarios/icmp_flood.toml")),
    ("many_ranges", include_str!("scenarios/many_ranges.toml")),
    ("memcached_reflection", include_str!("scenarios/memcached_reflection.toml")),
    ("mix", include_str!("scenarios/mix.toml")),
    ("ntp_reflection", include_str!("scenarios/ntp_reflection.toml")),
    ("pulses", include_str!("scenarios/pulses.toml")),
    ("scanners", include_str!("scenarios/scanners.toml")),
    ("syn_flood", include_str!("scenarios/syn_flood.toml")),
    ("tunnelled_flood", include_str!("scenarios/tunnelled_flood.toml")),
];

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
    /// Length of the sub-windows of which the truth tells rates; 0: 100, or `window_ms` where that is no multiple.
    #[serde(default)]
    pub sub_window_ms: u64,
    /// `memory_mb` of the configuration that goes with the capture; 0: its default.
    #[serde(default)]
    pub memory_mb: u64,
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
    /// Ranges that are made.
    pub count: usize,
    /// Of which family.
    pub family: Family,
    /// Ranges that are named.
    pub list: Vec<Range>,
}

/// Which ranges are made.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Three IPv4 /24 and one IPv6 /48 in turn.
    #[default]
    Both,
    /// IPv4 /24.
    V4,
    /// IPv6 /48.
    V6,
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
    /// Answers to NTP's monlist: 440 bytes from port 123.
    NtpReflection,
    /// Answers of memcached over UDP, from port 11211.
    MemcachedReflection,
    /// LDAP answers over UDP from port 389, most of them in fragments.
    CldapReflection,
    /// UDP of any size.
    UdpFlood,
    /// Bare TCP segments of no session, with any of the usual flags.
    TcpFlood,
    /// TCP ACK of no session, now and then with PSH or data.
    AckFlood,
    /// Echo requests of any size.
    IcmpFlood,
    /// Later fragments of datagrams whose first one never comes. IPv4 only.
    FragmentFlood,
    /// SYNs from few sources to one address or port after the other.
    Scan,
    /// UDP inside tunnels: the outer address is the target, the inner one lies in `inner`.
    TunnelledFlood,
}

/// How a flood is spread over its target.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Each of its addresses alike.
    #[default]
    Addresses,
    /// Each range in it alike.
    Ranges,
    /// Ranges in it by Zipf's law, in an order that is drawn.
    Zipf,
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
    /// How it is spread over the target.
    #[serde(default)]
    pub over: Over,
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
    /// Whether the sources send in turn, one packet each, instead of the first the most.
    #[serde(default)]
    pub even: bool,
    /// Sends for so long, then pauses for so long, and so on; 0, 0 is without a pause.
    #[serde(default)]
    pub pulse_ms: [u64; 2],
    /// Destination ports; empty is any, of a scan one after the other.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Source ports; empty is any. Answers come from their service's port.
    #[serde(default)]
    pub source_ports: Vec<u16>,
    /// Bytes of UDP or echo payload, at least and at most.
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

    /// Length of a sub-window of the truth's rates.
    pub(super) const fn rate_ms(&self) -> u64 {
        match self.sub_window_ms {
            0 if self.window_ms.is_multiple_of(100) => 100,
            0 => self.window_ms,
            given => given,
        }
    }

    /// Bytes that the tag adds to a blocked frame.
    pub fn added_bytes(&self) -> u32 {
        if self.tag.rule { 8 } else { 4 }
    }
}

fn no_such(error: &std::io::Error) -> String {
    let names = NAMED.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    format!("is no file that can be read ({error}) and not one of {names}")
}
