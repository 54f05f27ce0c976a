//! What `run` would pay for with a configuration, and no price was measured of.

use crate::axes::{DirectionAxis, Source};
use crate::config::Config;

/// In a line each: where it stands, and what has no price. `marks`: whether a rule for blocked frames can be satisfied.
pub(super) fn unpriced(config: &Config, cores: usize, marks: bool) -> Vec<String> {
    [on_the_data_path(config, marks), between_cores(cores), beside_it(config)].concat()
}

fn line((is_there, what): (bool, &str)) -> Option<String> {
    is_there.then(|| what.to_owned())
}

fn on_the_data_path(config: &Config, marks: bool) -> Vec<String> {
    let blocks = config.tags.iter().any(|rule| rule.blocked);
    let passes = config.tags.iter().any(|rule| !rule.blocked);
    let egress = config.stats.iter().any(|stat| stat.direction == DirectionAxis::Egress);
    let lines = [
        (!config.exports.is_empty(), "[[exports]]: frames that are sampled for them"),
        (config.packet_logs.is_some(), "[packet_logs]: frames that are sampled for them"),
        (config.flows.as_ref().is_some_and(|flows| !flows.from_ports.is_empty()), "[flows] from_ports: datagrams in the mirror"),
        (!config.mirror.strip.is_empty(), "[mirror] strip: frames come unwrapped; nor do tunnels come"),
        (
            blocks && marks,
            "[[tags]]: blocked frames come in peace and in the mix alone, and by the first rule that is a VLAN with a fixed rate",
        ),
        (blocks && !marks, "[[tags]]: no blocked frame comes; no rule for them is a VLAN with a fixed rate"),
        (passes, "[[tags]] decision = \"passed\": no frame comes by one"),
        (config.links.iter().any(|link| !link.matches.is_empty()), "[[links]]: no frame comes by one"),
        (config.ranges.list.iter().any(|range| range.domain.is_some()), "[ranges]: nothing comes to those with a domain"),
        (egress, "[[stats]] direction = \"egress\": no packet comes from a range"),
    ];
    lines.into_iter().filter_map(line).collect()
}

/// Of so many on the data path.
fn between_cores(cores: usize) -> Vec<String> {
    let what = "[cores]: several are taken for so many times one; memory bandwidth, shared caches and SMT siblings hold them up";
    line((cores > 1, what)).into_iter().collect()
}

fn beside_it(config: &Config) -> Vec<String> {
    let of_flows = config.stats.iter().any(|stat| stat.source == Source::Flows);
    let lines = [
        (config.flows.is_some(), "[flows]: decoding datagrams, and what [enrich] and [[streams]] do with them"),
        (of_flows, "[[stats]] source = \"flows\": flow records that are counted"),
        (config.audit.is_some(), "[audit]: no counters are compared"),
        (config.journal.is_some(), "[journal]: writing to disk"),
        (config.sinks.take_reports(), "[sinks]: what their threads and brokers take"),
    ];
    lines.into_iter().filter_map(line).collect()
}
