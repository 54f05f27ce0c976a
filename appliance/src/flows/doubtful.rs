//! What exporters tell of themselves, and what came denies.

use std::collections::HashMap;

use super::collector::Collector;
use super::flow::Address;
use super::sflow::pool::Doubt;

impl Collector {
    /// Rates that exporters' own totals deny, by whose they are.
    pub fn doubts(&self) -> Vec<Doubt> {
        let mut found = Vec::new();
        for (key, domain) in self.domains.iter() {
            let who = || format!("{}, agent {}, sub-agent {}", key.exporter.text(), key.agent.text(), key.id);
            found.extend(domain.sources.doubt(who));
        }
        found.sort_by(|a, b| a.of.cmp(&b.of));
        found
    }

    /// What is doubtful: rates and totals that disagree with what came, with both figures. At any time, once each call.
    pub fn warnings(&self) -> Vec<String> {
        self.doubtful().into_iter().map(|(_, text)| text).collect()
    }

    /// The same, each behind what it is about, which stays as it is while figures change.
    pub fn doubtful(&self) -> Vec<(String, String)> {
        let rate = |doubt: Doubt| (format!("{}: rate", doubt.of), format!("{}: {}", doubt.of, doubt.why));
        let mut found: Vec<_> = self.doubts().into_iter().map(rate).collect();
        let mut domains_of = HashMap::<(Address, u16), usize>::new();
        self.domains.iter().for_each(|(key, _)| *domains_of.entry((key.exporter, key.port)).or_default() += 1);
        for (key, domain) in self.domains.iter() {
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
