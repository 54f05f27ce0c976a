//! What exporters tell of themselves, and what came denies.

use std::collections::HashMap;

use super::collector::Collector;
use super::flow::Address;
use super::sflow::pool::Doubt;

impl Collector {
    /// Rates that exporters' own totals deny, by whose they are.
    pub fn doubts(&self) -> Vec<Doubt> {
        let mut found = Vec::new();
        let text = |address: &Address| address.ip().map_or_else(String::new, |ip| ip.to_string());
        for (key, domain) in self.domains.iter() {
            found.extend(domain.sources.doubt(|| format!("{}, agent {}, sub-agent {}", text(&key.exporter), text(&key.agent), key.id)));
        }
        found.sort_by(|a, b| a.of.cmp(&b.of));
        found
    }

    /// What is doubtful: rates and totals that disagree with what came, with both figures. At any time, once each call.
    pub fn warnings(&self) -> Vec<String> {
        let mut found: Vec<String> = self.doubts().into_iter().map(|doubt| format!("{}: {}", doubt.of, doubt.why)).collect();
        let mut domains_of = HashMap::<(Address, u16), usize>::new();
        self.domains.iter().for_each(|(key, _)| *domains_of.entry((key.exporter, key.port)).or_default() += 1);
        for (key, domain) in self.domains.iter() {
            // The totals are of the whole exporter.
            if domains_of.get(&(key.exporter, key.port)) != Some(&1) {
                continue;
            }
            let Some(totals) = domain.exported.compared() else { continue };
            let who = key.exporter.ip().map_or_else(String::new, |ip| ip.to_string());
            for (what, both) in ["messages", "records"].into_iter().zip(totals) {
                if let Some((told, came)) = both.filter(|(told, came)| told != came) {
                    found.push(format!("{who}, domain {}: it says that it sent {told} {what}, and {came} came", key.id));
                }
            }
        }
        found.sort();
        found
    }
}
