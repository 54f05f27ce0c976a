//! What a reload cannot change: a value of it that differs is refused, with the line where it stands.

use std::fmt::Debug;

use crate::axes::Source;
use crate::config::{Config, Fault, Faults};

/// Everything of `new` that needs a restart, seen from the configuration that was started with.
///
/// # Errors
/// All of it, at once.
pub fn check(started: &Config, new: &Config) -> Result<(), Faults> {
    let mut faults = Faults::default();
    let (old, now) = (&started.appliance, &new.appliance);
    compare(&mut faults, new, &["appliance", "name"], &old.name, &now.name);
    compare(&mut faults, new, &["appliance", "pop"], &old.pop, &now.pop);
    compare(&mut faults, new, &["appliance", "window_ms"], &old.window_ms, &now.window_ms);
    compare(&mut faults, new, &["appliance", "fast_window_ms"], &old.fast_window_ms, &now.fast_window_ms);
    compare(&mut faults, new, &["appliance", "shed"], &old.shed, &now.shed);
    compare(&mut faults, new, &["appliance", "hand_over"], &old.hand_over, &now.hand_over);
    compare(&mut faults, new, &["appliance", "memory_mb"], &old.memory_mb, &now.memory_mb);
    if old.hash_key != now.hash_key {
        refuse(&mut faults, new, &["appliance", "hash_key_file"], "holds another key than at the start");
    }
    if started.ranges.max != new.ranges.max {
        let text = |max: Option<usize>| max.map_or_else(|| "absent".to_owned(), |n| n.to_string());
        let what = format!("is {}, and was {} at the start", text(new.ranges.max), text(started.ranges.max));
        refuse(&mut faults, new, &["ranges", "max"], &what);
    }
    let sections = [
        ("cores", started.cores != new.cores),
        ("ports", started.ports != new.ports),
        ("links", started.links != new.links),
        ("audit", started.audit != new.audit),
        ("duplicates", started.duplicates != new.duplicates),
        ("flows", started.flows != new.flows),
        // Without flows of its own a run asks neither; databases of keys go with their generation.
        ("enrich", started.flows.is_some() && started.enrich != new.enrich),
        ("streams", started.flows.is_some() && started.streams != new.streams),
        ("exports", started.exports != new.exports),
        ("packet_logs", started.packet_logs != new.packet_logs),
        ("journal", started.journal != new.journal),
        ("sinks", started.sinks != new.sinks),
    ];
    for (section, _) in sections.iter().filter(|(_, differs)| *differs) {
        refuse(&mut faults, new, &[section], "differs from what was started with");
    }
    if started.admin.listen != new.admin.listen {
        refuse(&mut faults, new, &["admin", "listen"], "differs from what was started with");
    }
    fast(&mut faults, started, new);
    flow_stats(&mut faults, started, new);
    faults.or(())
}

/// Who counts flow records is there from the start, or not at all; so is who reads names of interfaces.
fn flow_stats(faults: &mut Faults, started: &Config, new: &Config) {
    let first = new.stats.iter().position(|stat| stat.source == Source::Flows);
    if let Some(at) = first.filter(|_| !started.analyses_flows()) {
        refuse(faults, new, &["stats", &at.to_string(), "source"], "is the first that counts flow records: at the start there was none");
    } else if first.is_none() && started.analyses_flows() {
        refuse(faults, new, &["stats"], "count no flow records, and did at the start");
    }
    if started.interfaces.names != new.interfaces.names {
        refuse(faults, new, &["flows", "interfaces"], "has other names than at the start");
    }
}

/// The first fast stat makes epochs shorter.
fn fast(faults: &mut Faults, started: &Config, new: &Config) {
    let shorter = new.appliance.fast_window_ms < new.appliance.window_ms;
    let first = new.stats.iter().position(|stat| stat.fast);
    if let Some(at) = first.filter(|_| shorter && !started.has_fast_windows()) {
        let (at, name) = (at.to_string(), &new.stats[at].name);
        refuse(faults, new, &["stats", &at, "fast"], &format!("makes {name} the first fast stat: at the start there was none"));
    }
}

fn compare<T: PartialEq + Debug>(faults: &mut Faults, new: &Config, path: &[&str], old: &T, now: &T) {
    if old != now {
        refuse(faults, new, path, &format!("is {now:?}, and was {old:?} at the start"));
    }
}

fn refuse(faults: &mut Faults, new: &Config, path: &[&str], what: &str) {
    let remedy = "this needs a restart; to reload the rest, write what was there before".to_owned();
    faults.add(Fault { file: new.file.clone(), line: line(new, path), key: path.join("."), what: what.to_owned(), remedy });
}

/// Where it stands, or else the section that it belongs in; 0: nowhere.
fn line(config: &Config, path: &[&str]) -> usize {
    (1..=path.len()).rev().find_map(|parts| config.line(&path[..parts])).unwrap_or(0)
}
