//! `tailwater check`: whether the counters that `[audit]` compares with can be read.

use super::check::{Finding, Verdict, bad, good};
use super::counters;
use crate::config::{Config, Counters};

const HEADER: &str = "time_ns,key,dropped_packets";

/// The file, as `run` would read it; a topic is looked at with the brokers.
pub(super) fn counters(config: &Config) -> Option<Finding> {
    let Counters::File(path) = &config.audit.as_ref()?.counters else { return None };
    let about = format!("{}: audit.counters", config.locate(&["audit", "counters"]));
    let remedy = format!("let who writes the scrubber's counters write it, with the header {HEADER}; until then nothing is compared");
    Some(match counters::look(path) {
        Err(fault) => bad(Verdict::Weak, about, format!("{}: {fault}", path.display()), remedy),
        Ok((0, 0, _)) => bad(Verdict::Weak, about, format!("{}: no rows yet", path.display()), remedy),
        Ok((rows, bad_rows, Some(first))) => {
            let what = format!("{}: {bad_rows} of {} rows cannot be read, the first: {first}", path.display(), rows + bad_rows);
            bad(Verdict::Weak, about, what, "correct them: such rows are left out")
        }
        Ok((rows, ..)) => good(about, format!("{}: {rows} rows", path.display())),
    })
}
