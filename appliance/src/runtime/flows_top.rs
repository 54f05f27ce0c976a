//! Top talkers among flows, refreshed: what `tailwater flows --top` prints.
//!
//! A refresh covers what exporters told in its interval, by the time of the datagrams, so a capture gives the same each time. Packets
//! and bytes are taken times the sampling rate where it is known; flows without are counted as they are, and how many there are is said.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::reload::utc;
use crate::analyse::is_implausible;
use crate::axes::flow_field::FlowField;
use crate::config::FlowPredicate;
use crate::enrich::{Pipeline, admits, text};
use crate::flows::Flow;
use crate::limits::TALKERS_MAX;

/// What is asked.
#[derive(Clone, Debug)]
pub struct TopOptions {
    /// Talkers are told apart by these.
    pub fields: Vec<&'static FlowField>,
    /// A refresh covers so much.
    pub every_ns: u64,
    /// Refreshes before the end; none: until there is no more.
    pub count: Option<u64>,
    /// Talkers shown.
    pub rows: usize,
    /// The screen is cleared before each.
    pub clears: bool,
}

/// What one talker has sent.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    packets: u64,
    bytes: u64,
    flows: u64,
}

/// See the module.
pub(super) struct Top {
    options: TopOptions,
    predicate: FlowPredicate,
    pipeline: Pipeline,
    talkers: HashMap<String, Sums>,
    all: Sums,
    unknown_rates: u64,
    /// Flows with more than any has: stats leave them out too, and one would hide the rates of all others.
    implausible: u64,
    /// When the interval began, nanoseconds since 1970; none: no flow has come.
    since_ns: Option<u64>,
    shown: u64,
    key: String,
}

/// What stands for a field that was not told.
const ABSENT: &str = "-";
/// Who stands for all that there was no room for.
const OTHERS: &str = "(others)";
/// What stands between the values of a list, as in keys of messages.
const LISTED: &str = ",";
const CLEAR: &str = "\x1b[H\x1b[2J";
const SECOND_NS: f64 = 1e9;

impl Top {
    pub(super) fn new(options: TopOptions, predicate: FlowPredicate, pipeline: Pipeline) -> Self {
        Self {
            options,
            predicate,
            pipeline,
            talkers: HashMap::new(),
            all: Sums::default(),
            unknown_rates: 0,
            implausible: 0,
            since_ns: None,
            shown: 0,
            key: String::new(),
        }
    }

    pub(super) fn put(&mut self, flow: &Flow, out: &mut Vec<u8>) {
        let now_ns = flow.fields.time_received_ns;
        self.passed(now_ns, out);
        if self.is_done() {
            return;
        }
        self.begin(now_ns);
        let (flow, added) = self.pipeline.enrich(flow);
        if !admits(&self.predicate, flow, added) {
            return;
        }
        let rate = if added.normalized { 1 } else { flow.fields.sampling_rate };
        if is_implausible(flow.fields.packets, flow.fields.bytes, rate) {
            self.implausible += 1;
            return;
        }
        let rate = rate.max(1);
        self.key.clear();
        for (place, field) in self.options.fields.iter().enumerate() {
            let own = text(flow, added, field, LISTED);
            self.key.push_str(if place > 0 { " " } else { "" });
            self.key.push_str(if own.is_empty() { ABSENT } else { &own });
        }
        let own = Sums { packets: flow.fields.packets.saturating_mul(rate), bytes: flow.fields.bytes.saturating_mul(rate), flows: 1 };
        self.unknown_rates += u64::from(flow.fields.sampling_rate == 0);
        self.all.add(own);
        if let Some(sums) = self.talkers.get_mut(&self.key) {
            sums.add(own);
        } else if self.talkers.len() < TALKERS_MAX {
            self.talkers.insert(self.key.clone(), own);
        } else {
            self.talkers.entry(OTHERS.to_owned()).or_default().add(own);
        }
    }

    /// The first interval begins, unless it has.
    pub(super) fn begin(&mut self, now_ns: u64) {
        self.since_ns.get_or_insert(now_ns);
    }

    /// Shows the interval, if it is over; those without flows are passed over.
    pub(super) fn passed(&mut self, now_ns: u64, out: &mut Vec<u8>) {
        let Some(since_ns) = self.since_ns else { return };
        let over = now_ns.saturating_sub(since_ns) / self.options.every_ns.max(1);
        if over > 0 && !self.is_done() {
            self.show(since_ns, out);
            self.since_ns = Some(since_ns + over * self.options.every_ns);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.options.count.is_some_and(|count| self.shown >= count)
    }

    /// Shows what there is of the last interval.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(since_ns) = self.since_ns.filter(|_| self.all.flows + self.implausible > 0 && !self.is_done()) {
            self.show(since_ns, out);
        }
    }

    fn show(&mut self, since_ns: u64, out: &mut Vec<u8>) {
        let seconds = self.options.every_ns as f64 / SECOND_NS;
        let mut rows: Vec<(&String, &Sums)> = self.talkers.iter().collect();
        rows.sort_unstable_by(|a, b| (b.1.bytes, b.1.packets, a.0).cmp(&(a.1.bytes, a.1.packets, b.0)));
        let mut block = String::from(if self.options.clears { CLEAR } else { "" });
        let names: Vec<&str> = self.options.fields.iter().map(|field| field.name).collect();
        let (count, unknown) = (self.talkers.len(), self.unknown_rates);
        // Writing to a String cannot fail.
        let _ = write!(block, "{} {seconds} s, {} flows of {count} talkers, {unknown} of unknown rate", utc(since_ns), self.all.flows);
        if self.implausible > 0 {
            let _ = write!(block, ", {} implausible and left out", self.implausible);
        }
        block.push('\n');
        let _ = writeln!(block, "{:>16} {:>18} {:>10}  {}", "packets/s", "bits/s", "flows", names.join(" "));
        line(&mut block, &self.all, seconds, "(all)");
        for (key, sums) in rows.into_iter().take(self.options.rows) {
            line(&mut block, sums, seconds, key);
        }
        out.extend_from_slice(block.as_bytes());
        if !self.options.clears {
            out.push(b'\n');
        }
        self.talkers.clear();
        (self.all, self.unknown_rates, self.implausible) = (Sums::default(), 0, 0);
        self.shown += 1;
    }
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.flows += other.flows;
    }
}

fn line(block: &mut String, sums: &Sums, seconds: f64, key: &str) {
    let (packets, bits) = (sums.packets as f64 / seconds, sums.bytes as f64 * 8.0 / seconds);
    let _ = writeln!(block, "{packets:>16.1} {bits:>18.1} {:>10}  {key}", sums.flows);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axes::flow_field::named;
    use crate::config::{FlowFormat, Framing};

    /// One record of anyone's would hide the rates of all.
    #[test]
    fn what_no_flow_has_hides_no_rate() {
        let fields = vec![named("proto").unwrap()];
        let options = TopOptions { fields, every_ns: 1_000_000_000, count: None, rows: 9, clears: false };
        let pipeline = Pipeline::new(&[], None, (FlowFormat::Json, Framing::Length));
        let (mut top, mut out) = (Top::new(options, FlowPredicate::default(), pipeline), Vec::new());
        let mut flow = Flow::default();
        for (proto, packets, bytes, rate) in [(6, 2, 250, 100), (17, 1, u64::MAX, 1), (17, 1 << 30, 1 << 36, 1 << 20)] {
            (flow.fields.proto, flow.fields.packets, flow.fields.bytes, flow.fields.sampling_rate) = (proto, packets, bytes, rate);
            top.put(&flow, &mut out);
        }
        top.end(&mut out);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with(" 1 s, 1 flows of 1 talkers, 0 of unknown rate, 2 implausible and left out"), "{text}");
        let rates: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!((rates, lines.len()), (vec!["200.0", "200000.0", "1", "(all)"], 5), "{text}");
    }
}
