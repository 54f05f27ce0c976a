//! Stats that every range keeps beside those of the configuration, and that stand in no report of a range.

use crate::axes::{DecisionAxis, DirectionAxis, Key, Metric, Source};
use crate::config::{AuditBy, Config, Link, Setting as Value, StatSpec};
use crate::report::{AUDITED, hidden};

/// Rules of a range whose samples are counted exactly: a quarter of what the table holds.
const AUDITED_RULES: i64 = 1_000;
/// Prefixes that are listed of what matched no range.
const UNMATCHED_KEYS: i64 = 10;

/// Rows of links, and of what matched no range, behind the configuration's.
pub(super) fn specs(config: &Config) -> Vec<StatSpec> {
    // The side that a range would be looked for at.
    let side = if config.mirror.ingress { Key::DstPrefix } else { Key::SrcPrefix };
    let unmatched = StatSpec::new("topk", &[side], Metric::Packets).with("k", Value::Integer(UNMATCHED_KEYS));
    let unmatched = StatSpec { name: "unmatched".to_owned(), ..unmatched };
    config.stats.iter().cloned().chain(of_links(config)).chain(of_audit(config)).chain(of_flows(config)).chain([unmatched]).collect()
}

/// What each range keeps so that links can say which ranges fill them: bytes by link, of each decision.
fn of_links(config: &Config) -> Vec<StatSpec> {
    let of = |decision: DecisionAxis| {
        let spec = StatSpec::new("histogram", &[Key::Link], Metric::Bytes);
        StatSpec { name: format!("links_{}", decision.name()), decision, direction: DirectionAxis::Any, fast: true, ..spec }
    };
    let decisions = [DecisionAxis::Passed, DecisionAxis::Blocked];
    if config.links.iter().any(Link::has_frames) { decisions.map(of).to_vec() } else { Vec::new() }
}

/// What each range keeps so that samples can be compared with the scrubber's counters.
fn of_audit(config: &Config) -> Option<StatSpec> {
    let by = config.audit.as_ref()?.by;
    let spec = match by {
        AuditBy::Tag => return None,
        AuditBy::Range => StatSpec::new("sum", &[Key::None], Metric::Packets),
        AuditBy::Rule => StatSpec::new("topk", &[Key::Rule], Metric::Packets).with("k", Value::Integer(AUDITED_RULES)),
    };
    let direction = if config.mirror.ingress { DirectionAxis::Ingress } else { DirectionAxis::Egress };
    Some(StatSpec { name: AUDITED.to_owned(), decision: DecisionAxis::Blocked, direction, fast: true, ..spec })
}

/// What each range keeps so that it is known how its flow records were sampled.
fn of_flows(config: &Config) -> Vec<StatSpec> {
    let mut flows = config.stats.iter().filter(|stat| stat.source == Source::Flows).peekable();
    if flows.peek().is_none() { Vec::new() } else { hidden(flows.any(|stat| stat.fast)).to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matched_no_range_is_listed_by_the_side_that_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ranges.csv"), "prefix,customer\n192.0.2.0/24,a\n").unwrap();
        let of = |directions: &str| {
            let file = folder.path().join("t.toml");
            std::fs::write(&file, format!("stats = []\n[ranges]\nfile = \"ranges.csv\"\n[mirror]\ndirections = {directions}\n")).unwrap();
            let config = crate::config::load(&file, &crate::stats::check).unwrap_or_else(|faults| panic!("{faults}"));
            specs(&config).pop().map(|unmatched| unmatched.key.parts().to_vec())
        };
        assert_eq!(of("[\"ingress\"]"), Some(vec![Key::DstPrefix]));
        assert_eq!(of("[\"ingress\", \"egress\"]"), Some(vec![Key::DstPrefix]));
        assert_eq!(of("[\"egress\"]"), Some(vec![Key::SrcPrefix]));
    }
}
