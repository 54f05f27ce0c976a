//! What may be wrong with a scenario.

use super::scenario::{Attack, Kind, Over, Scenario};
use crate::limits::WINDOW_MS_MAX;

/// More packets a second than any one part may have.
const PPS_MAX: u64 = 10_000_000;
/// One day.
const SECONDS_MAX: u64 = 86_400;
/// More sub-windows than a row of the truth should tell of.
const RATES_MAX: u64 = 10_000;
/// More ranges than any scenario needs.
const RANGES_MAX: usize = 50_000;

impl Scenario {
    /// Everything that is wrong; also after options changed the scenario.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |sound: bool, fault: &str| {
            if !sound {
                faults.push(fault.to_owned());
            }
        };
        check((1..=SECONDS_MAX).contains(&self.duration_s), "duration_s: must be from 1 to 86400");
        check((1..=WINDOW_MS_MAX).contains(&self.window_ms), "window_ms: must be from 1 to 3600000");
        let rate_ms = self.rate_ms();
        let parts = rate_ms > 0 && self.window_ms.is_multiple_of(rate_ms) && self.window_ms / rate_ms <= RATES_MAX;
        check(parts || self.window_ms == 0, "sub_window_ms: must part window_ms into at most 10000 equal pieces");
        check(self.memory_mb <= 1 << 24, "memory_mb: must be at most 16777216");
        check(self.start_ns().is_some(), "start: must be a time in UTC from 1970 to 2105, such as \"2025-01-01T00:00:00Z\"");
        check(self.snap_bytes == 0 || self.snap_bytes >= 64, "snap_bytes: must be 0 (whole frames) or at least 64");
        let ranges = self.ranges.count + self.ranges.list.len();
        check((1..=RANGES_MAX).contains(&ranges), "ranges: count and list together must be from 1 to 50000");
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
    /// Everything that is wrong with it by itself.
    fn faults(&self) -> impl Iterator<Item = &'static str> {
        let tunnelled = self.kind == Kind::TunnelledFlood;
        let [low, high] = self.payload_bytes;
        let v6 = matches!(self.target(), Some(ipnet::IpNet::V6(_)));
        [
            (self.target().is_some(), "target: must be an address or a prefix"),
            (self.begin_s <= SECONDS_MAX && self.duration_s <= SECONDS_MAX, "begin_s, duration_s: must be at most 86400"),
            ((1..=PPS_MAX).contains(&self.pps), "pps: must be from 1 to 10000000"),
            ((0.0..=1.0).contains(&self.blocked), "blocked: must be from 0 to 1"),
            ((1..=4094).contains(&self.rule), "rule: must be from 1 to 4094"),
            (self.sources <= 1_000_000, "sources: must be at most 1000000"),
            (self.pulse_ms == [0, 0] || self.pulse_ms[0] > 0, "pulse_ms: must be [on, off], and on above 0"),
            (self.pulse_ms.iter().all(|ms| *ms <= WINDOW_MS_MAX), "pulse_ms: must be at most 3600000 each"),
            (!self.even || self.sources > 0, "even: needs sources"),
            (self.kind != Kind::Scan || self.sources > 0, "sources: a scan has at least one"),
            (self.kind != Kind::Scan || self.over == Over::Addresses, "over: a scan goes over addresses"),
            (self.kind != Kind::FragmentFlood || !v6, "target: a fragment flood is IPv4"),
            (!tunnelled || self.inner.is_some(), "inner: a tunnelled flood needs the prefix of its inner destinations"),
            (!tunnelled || !self.tunnels.is_empty(), "tunnels: must name one at least: vxlan, gre, ipip"),
            (low <= high && high <= 8_000, "payload_bytes: must be [least, most], at most 8000"),
        ]
        .into_iter()
        .filter_map(|(sound, fault)| (!sound).then_some(fault))
    }
}

/// RFC 3339 with `Z`, nanoseconds since 1970; a pcap's seconds end in 2106.
pub(super) fn instant_ns(text: &str) -> Option<u64> {
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
        let far = of(
            "about = \"x\"\nduration_s = 1\nranges.count = 1\n[[attack]]\nkind = \"syn_flood\"\ntarget = \"::\"\npps = 1\nbegin_s = 9999999999\n",
        );
        assert!(far.contains("attack 1: begin_s"), "{far}");
        assert!(Scenario::load("no_such").unwrap_err().to_string().contains("syn_flood"));
    }
}
