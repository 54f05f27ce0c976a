//! Lines of flows, to be compared.

use std::collections::BTreeMap;

use serde_json::Value;

/// Lines of flows, each as often as it stands there, but for when it was received.
pub(crate) fn flow_lines(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let mut flow: Value = serde_json::from_str(line).unwrap();
        if flow.get("sampler_address").is_some() {
            flow["time_received_ns"].take();
            *counts.entry(flow.to_string()).or_default() += 1;
        }
    }
    counts
}
