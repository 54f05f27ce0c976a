//! What exporters tell of themselves, and what came denies.

use std::collections::HashMap;

use super::collector::Collector;
use super::domain::{Domain, DomainKey};
use super::flow::Address;
use super::sflow::pool::Doubt;
use crate::limits::EXPORTER_SILENT_MS_MAX;

impl Collector {
    /// Rates that exporters' own totals deny, but of those that were silent for an hour by now: first those of the exporters of most
    /// flows, and of one exporter those that are furthest from what its totals make.
    pub fn doubts(&self, now_ns: u64) -> Vec<Doubt> {
        let flows: HashMap<&Address, u64> = self.exporters().rows().map(|(who, row)| (who, row.flows)).collect();
        let mut found = Vec::new();
        for (key, domain) in self.speaking(now_ns) {
            let who = || format!("{}, agent {}, sub-agent {}", key.exporter.text(), key.agent.text(), key.id);
            found.extend(domain.sources.doubt(who).map(|doubt| (flows.get(&key.exporter).copied().unwrap_or(0), key.exporter, doubt)));
        }
        let apart = |doubt: &Doubt| (doubt.makes / f64::from(doubt.told)).ln().abs();
        found.sort_by(|(a_flows, a_key, a), (b_flows, b_key, b)| {
            let by_flows = b_flows.cmp(a_flows).then_with(|| a_key.cmp(b_key));
            by_flows.then_with(|| apart(b).total_cmp(&apart(a))).then_with(|| a.of.cmp(&b.of))
        });
        found.into_iter().map(|(_, _, doubt)| doubt).collect()
    }

    /// Domains of which anything came within the last hour.
    fn speaking(&self, now_ns: u64) -> impl Iterator<Item = (&DomainKey, &Domain)> {
        let since_ns = now_ns.saturating_sub(EXPORTER_SILENT_MS_MAX * 1_000_000);
        self.domains.iter().filter(move |(_, domain)| domain.last_ns >= since_ns)
    }

    /// What is doubtful when the last datagram came: rates and totals that disagree with what came, with both figures. At any time, once
    /// each call.
    pub fn warnings(&self) -> Vec<String> {
        self.doubtful(self.last_ns).into_iter().map(|(_, text)| text).collect()
    }

    /// The same by now, each behind what it is about, which stays as it is while figures change.
    pub fn doubtful(&self, now_ns: u64) -> Vec<(String, String)> {
        let rate = |doubt: Doubt| (format!("{}: rate", doubt.of), format!("{}: {}", doubt.of, doubt.why));
        let mut found: Vec<_> = self.doubts(now_ns).into_iter().map(rate).collect();
        let mut domains_of = HashMap::<(Address, u16), usize>::new();
        self.domains.iter().for_each(|(key, _)| *domains_of.entry((key.exporter, key.port)).or_default() += 1);
        for (key, domain) in self.speaking(now_ns) {
            // The totals are of the whole exporter.
            if domains_of.get(&(key.exporter, key.port)) != Some(&1) {
                continue;
            }
            let Some(totals) = domain.exported.compared() else { continue };
            let who = format!("{}, domain {}", key.exporter.text(), key.id);
            for (what, both) in ["messages", "records"].into_iter().zip(totals) {
                if let Some((told, came)) = both.filter(|(told, came)| told != came) {
                    found.push((format!("{who}: {what}"), format!("{who}: it says that it sent {told} {what}, and {came} came")));
                }
            }
        }
        found.sort_by(|a, b| a.1.cmp(&b.1));
        found
    }
}
