//! What is found of the scrubber and its mirror: in a run into the registry, beside the events that say it; in a replay, which makes no
//! events, into the log when it changes.

use std::collections::BTreeMap;

use crate::report::pb;
use crate::telemetry::{AuditSnapshot, PairSnapshot, Registry};

/// Findings of single keys that are told one by one.
const TOLD_MAX: usize = 10;

/// Into the registry, of an appliance's account.
pub fn register(report: &pb::ApplianceReport, registry: &Registry) {
    if let Some(audit) = &report.audit {
        registry.set_audit(snapshot(audit));
    }
    if let Some(duplicates) = &report.duplicates {
        registry.set_pairs(duplicates.pairs.iter().map(pair).collect());
    }
}

/// What was told last.
#[derive(Default)]
pub struct Findings {
    audit: BTreeMap<(u32, String), pb::AuditVerdict>,
    stale: bool,
    pairs: BTreeMap<(u32, u32), pb::DuplicatesVerdict>,
}

impl Findings {
    /// Says in the log what changed with an appliance's account.
    pub fn tell(&mut self, report: &pb::ApplianceReport) {
        report.audit.iter().for_each(|audit| self.see_audit(audit));
        report.duplicates.iter().for_each(|duplicates| self.see_duplicates(duplicates));
    }

    fn see_duplicates(&mut self, of: &pb::DuplicatesReport) {
        for pair in &of.pairs {
            let before = self.pairs.insert((pair.first, pair.second), pair.verdict()).unwrap_or(pb::DuplicatesVerdict::Few);
            let (first, second, share) = (&pair.first_device, &pair.second_device, pair.share.unwrap_or_default().value);
            match pair.verdict() {
                verdict if verdict == before => {}
                pb::DuplicatesVerdict::Duplicated => tracing::error!(
                    first,
                    second,
                    share,
                    "duplicates: the mirror shows packets twice, and they count twice: mirror one direction of a port, and each path once"
                ),
                pb::DuplicatesVerdict::Concentrated => tracing::warn!(
                    first,
                    second,
                    share,
                    "duplicates: packets come twice, but to few destinations: perhaps who sends them sends them twice"
                ),
                pb::DuplicatesVerdict::Few if is_alarm(before) => tracing::info!(first, second, "duplicates: no longer seen"),
                _ => {}
            }
        }
    }

    fn see_audit(&mut self, audit: &pb::AuditReport) {
        if audit.stale != self.stale {
            self.stale = audit.stale;
            match audit.stale {
                true => {
                    tracing::warn!(newest_ns = audit.newest_counters_ns, "audit: the scrubber's counters do not come: nothing is compared")
                }
                false => tracing::info!("audit: the scrubber's counters come"),
            }
        }
        let now: Vec<&pb::AuditFinding> = audit.all.iter().chain(&audit.found).collect();
        let mut told = 0;
        for of in &now {
            let place = (of.sampling_configured, of.key.clone());
            let before = self.audit.get(&place).copied().unwrap_or(pb::AuditVerdict::Unknown);
            if before != of.verdict() && told < TOLD_MAX {
                told += 1;
                tell(&audit.by, of, before);
            }
        }
        self.audit = now.iter().map(|of| ((of.sampling_configured, of.key.clone()), of.verdict())).collect();
    }
}

fn is_finding(verdict: pb::AuditVerdict) -> bool {
    matches!(verdict, pb::AuditVerdict::RateWrong | pb::AuditVerdict::Systematic | pb::AuditVerdict::MoreThanDropped)
}

fn tell(by: &str, of: &pb::AuditFinding, before: pb::AuditVerdict) {
    let key = if of.key.is_empty() { "all" } else { &of.key };
    let (configured, seen) = (of.sampling_configured, of.sampling.unwrap_or_default());
    match of.verdict() {
        pb::AuditVerdict::RateWrong => tracing::error!(
            by,
            key,
            "audit: one packet in {:.1} is sampled, where one in {configured} is configured: blocked figures are wrong by that much; mend \
             the scrubber or `sampling`",
            seen.value
        ),
        pb::AuditVerdict::Systematic => tracing::error!(
            by,
            key,
            "audit: the sample spreads less than a random one: its intervals are no 95 % ones; write sampler = \"every_nth\", or mend the scrubber"
        ),
        pb::AuditVerdict::MoreThanDropped => tracing::error!(
            by,
            key,
            dropped = of.dropped_packets,
            sampled = of.sampled_packets_low,
            "audit: more samples came than packets were dropped: the counters are of other packets, or of another key"
        ),
        _ if is_finding(before) => tracing::info!(by, key, "audit: the sampler does as it is configured again"),
        _ => {}
    }
}

fn is_alarm(verdict: pb::DuplicatesVerdict) -> bool {
    matches!(verdict, pb::DuplicatesVerdict::Duplicated | pb::DuplicatesVerdict::Concentrated)
}

fn pair(of: &pb::PortPair) -> PairSnapshot {
    PairSnapshot {
        ports: [of.first_device.clone(), of.second_device.clone()],
        sampled: of.sampled_packets,
        twice: of.seen_twice,
        is_alarm: of.verdict() == pb::DuplicatesVerdict::Duplicated,
    }
}

fn snapshot(audit: &pb::AuditReport) -> AuditSnapshot {
    let keys = [
        ("consistent", audit.keys_consistent),
        ("unknown", audit.keys_unknown),
        ("stale", audit.keys_stale),
        ("found", audit.keys_found),
        ("without_counters", audit.keys_without_counters),
    ];
    AuditSnapshot {
        keys: keys.to_vec(),
        rows: audit.rows.iter().map(|row| (row.name.clone(), row.value)).collect(),
        found_of_all: audit.all.iter().filter(|of| is_finding(of.verdict())).count() as u64,
        stale: audit.stale,
    }
}
