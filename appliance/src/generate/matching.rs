//! The files that go with a capture: its ranges, and a configuration that reads it.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use super::plan::Plan;
use super::scenario::Scenario;

/// Stats that the truth can answer: name, calculation, and what stands beside them.
const STATS: &[(&str, &str, &str)] = &[
    ("packets", "sum", ""),
    ("passed_packets", "sum", "decision = \"passed\""),
    ("blocked_packets", "sum", "decision = \"blocked\""),
    ("bytes", "sum", "metric = \"bytes\""),
    ("passed_bytes", "sum", "metric = \"bytes\"\ndecision = \"passed\""),
    ("blocked_bytes", "sum", "metric = \"bytes\"\ndecision = \"blocked\""),
    ("opened", "sum", "metric = \"connections_opened\""),
    ("accepted", "sum", "metric = \"connections_accepted\""),
    ("resets", "sum", "metric = \"resets\""),
    ("fragments", "sum", "metric = \"fragments\""),
    ("sent_packets", "sum", "direction = \"egress\""),
    ("sent_bytes", "sum", "metric = \"bytes\"\ndirection = \"egress\""),
    ("dns_answers", "sum", "metric = \"bytes\"\nwhere = { protocol = \"udp\", src_port = [53] }"),
    ("sizes", "histogram", "key = \"packet_size\""),
    ("protocols", "histogram", "key = \"protocol\""),
    ("sources", "topk", "key = \"src_ip\"\nk = 20"),
    ("ports", "topk", "key = \"dst_port\"\nk = 10"),
    ("distinct_sources", "distinct", "key = \"src_ip\""),
    ("passed_sources", "distinct", "key = \"src_ip\"\ndecision = \"passed\""),
    ("blocked_sources", "distinct", "key = \"src_ip\"\ndecision = \"blocked\""),
];

/// Writes `ranges.csv`: prefix, customer and the label `plan`.
pub(super) fn ranges(plan: &Plan, out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["prefix", "customer", "plan"])?;
    for range in &plan.ranges {
        csv.write_record([&range.prefix.to_string(), &range.customer, &range.plan])?;
    }
    csv.flush()
}

/// A configuration for `replay`, or for `run` when ports are added.
pub(super) fn config(name: &str, scenario: &Scenario, ranges: &Path) -> String {
    let tag = &scenario.tag;
    let mut text = format!("# Goes with the capture that `tailwater generate --scenario {name}` makes.\n\n");
    // A path as a TOML string; JSON's escapes are TOML's.
    let file = serde_json::Value::from(ranges.to_string_lossy()).to_string();
    let _ = write!(text, "[appliance]\nname = \"generated\"\nwindow_ms = {}\n", scenario.window_ms);
    if scenario.memory_mb > 0 {
        let _ = writeln!(text, "memory_mb = {}", scenario.memory_mb);
    }
    let _ = write!(text, "\n[ranges]\nfile = {file}\n\n");
    let _ = write!(text, "[[tags]]\nmatch = {{ vlan = {} }}\ndecision = \"blocked\"\nsampling = {}\n", tag.vlan, tag.sampling);
    let _ = writeln!(text, "sampler = \"random\"\nadded_bytes = {}", scenario.added_bytes());
    if tag.rule {
        text.push_str("rule = { from = \"inner_vlan\" }\n");
    }
    for (name, calculation, rest) in STATS {
        let _ = writeln!(text, "\n[[stats]]\nname = \"{name}\"\ncalculation = \"{calculation}\"");
        if !rest.is_empty() {
            let _ = writeln!(text, "{rest}");
        }
    }
    text
}
