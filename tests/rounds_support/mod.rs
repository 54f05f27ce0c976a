//! A consumer that follows docs/messages.md: drops repeats, proves that nothing is missing, knows the gaps between runs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Of a range's report: boot id, prefix and kind of window, sequence of that kind. Of an account: without a prefix.
type Number = (u64, String, u64);

/// What was read, each message once.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) ranges: BTreeMap<Number, Value>,
    /// Runs in their order, as their configurations came.
    pub(crate) begun: Vec<u64>,
    /// Accounts of each run, in the order in which they came first.
    pub(crate) runs: Vec<(u64, Vec<Value>)>,
    pub(crate) repeated: u64,
    /// Where a message came first whose sequence is not the next one.
    disorder: Vec<Number>,
    last: BTreeMap<(u64, String), u64>,
    /// Boot ids of accounts, by kind of window, as they came.
    order: BTreeMap<String, Vec<u64>>,
}

pub(crate) fn whole(value: &Value) -> u64 {
    value.as_str().unwrap_or_else(|| panic!("no number: {value}")).parse().unwrap()
}

impl Stream {
    /// Lines of `read_reports.py`.
    pub(crate) fn of_kafka(lines: &str) -> Self {
        Self::of(lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].take()))
    }

    /// Lines of a file sink. One that a kill tore is not whole.
    pub(crate) fn of_file(lines: &str) -> Self {
        Self::of(lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()))
    }

    fn of(messages: impl Iterator<Item = Value>) -> Self {
        let mut stream = Self::default();
        messages.for_each(|message| stream.take(message));
        // Of one run, as they were made: those of fast windows may have come before long ones.
        stream.runs.iter_mut().for_each(|(_, accounts)| accounts.sort_by_key(|account| whole(&account["sequence"])));
        stream
    }

    fn take(&mut self, message: Value) {
        if message.get("textSha256").is_some() && !self.begun.contains(&whole(&message["bootId"])) {
            self.begun.push(whole(&message["bootId"]));
        }
        // Events and configurations have numbers of their own.
        if message.get("prefix").is_none() && message.get("ledger").is_none() {
            return;
        }
        let prefix = message.get("prefix").map_or("", |prefix| prefix.as_str().unwrap()).to_owned();
        let (boot_id, sequence, kind) = (whole(&message["bootId"]), whole(&message["kindSequence"]), kind(&message));
        let of = format!("{prefix} {kind}");
        let last = self.last.entry((boot_id, of.clone())).or_default();
        if sequence <= *last {
            self.repeated += 1;
            return;
        }
        if sequence != *last + 1 {
            self.disorder.push((boot_id, of.clone(), sequence));
        }
        *last = sequence;
        if !prefix.is_empty() {
            self.ranges.insert((boot_id, of, sequence), message);
            return;
        }
        let order = self.order.entry(kind).or_default();
        if order.last() != Some(&boot_id) {
            order.push(boot_id);
        }
        match self.runs.iter_mut().find(|(run, _)| *run == boot_id) {
            Some((_, accounts)) => accounts.push(message),
            None => self.runs.push((boot_id, vec![message])),
        }
    }

    pub(crate) fn windows(&self) -> usize {
        self.runs.iter().map(|(_, accounts)| accounts.len()).sum()
    }

    /// Every sequence begins with 1, and none lacks a number.
    pub(crate) fn is_gapless(&self) {
        assert!(self.disorder.is_empty(), "{:?}", self.disorder);
        for (kind, order) in &self.order {
            let runs: BTreeSet<&u64> = order.iter().collect();
            assert_eq!(runs.len(), order.len(), "{kind}: accounts of one run came behind those of another");
        }
        let lost = self.runs.iter().flat_map(|(_, accounts)| accounts).filter(|account| has_some(account, "journalLosses"));
        assert_eq!(lost.count(), 0);
    }

    /// Each window that has an account has its reports, with the sums of its ledger; and windows follow on each other.
    pub(crate) fn windows_are_whole(&self) {
        let mut of_window: BTreeMap<(u64, String, u64), (u64, f64)> = BTreeMap::new();
        for ((boot_id, _, _), report) in &self.ranges {
            let of = of_window.entry((*boot_id, kind(report), whole(&report["windowStartNs"]))).or_default();
            of.0 += 1;
            let stats = report["stats"].as_array().unwrap();
            let packets = stats.iter().filter(|stat| stat["name"] == "packets").map(|stat| stat["total"]["value"].as_f64().unwrap());
            of.1 += packets.sum::<f64>();
        }
        for (boot_id, accounts) in &self.runs {
            let mut ends: BTreeMap<String, u64> = BTreeMap::new();
            for account in accounts.iter().filter(|account| account["total"] == false) {
                let (kind, start) = (kind(account), whole(&account["windowStartNs"]));
                let (reports, packets) = of_window.remove(&(*boot_id, kind.clone(), start)).unwrap_or_default();
                assert_eq!(reports, whole(&account["rangesReported"]), "{account}");
                if kind == "LONG" {
                    assert_eq!(packets.to_string(), whole(&account["ledger"]["counted"]).to_string(), "{account}");
                }
                let end = whole(&account["windowEndNs"]);
                if let Some(before) = ends.insert(kind, end) {
                    assert_eq!(before, start, "windows follow on each other: {account}");
                }
            }
        }
        let runs = self.runs.len();
        let of_gaps: BTreeSet<(u64, String, u64)> = of_window.into_keys().collect();
        assert!(of_gaps.len() <= 4 * runs, "reports without an account are of windows that a kill cut off: {of_gaps:?}");
        for (boot_id, kind, start) in of_gaps {
            let Some((_, accounts)) = self.runs.iter().find(|(run, _)| *run == boot_id) else { continue };
            let of_kind = accounts.iter().filter(|account| account["windowKind"] == kind.as_str());
            let end = of_kind.map(|account| whole(&account["windowEndNs"])).max().unwrap_or(0);
            assert!(start >= end, "window {start} of {boot_id} has no account");
        }
    }

    /// What no run covers, as accounts tell it: from the end of the last window of one that was killed to the first one of the next. All
    /// runs are given, in their order, and whether they ended by themselves: each account knows the one before it, also if that one left
    /// no account.
    pub(crate) fn gaps(&self, starts: &[(u64, bool)]) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        // How far the runs before have counted long windows, where that is known.
        let mut reach = None;
        for pair in starts.windows(2) {
            let [(before, ended), (boot_id, _)] = *pair else { continue };
            let (old, new) = (self.accounts(before), self.accounts(boot_id));
            reach = last_end(old, "LONG").or(reach);
            if let Some(first) = new.first() {
                let told = &first["previousRun"];
                assert!(new.iter().all(|account| account["previousRun"] == *told), "each account tells it");
                let sequence = old.last().map_or(0, |account| whole(&account["sequence"]));
                assert_eq!((whole(&told["bootId"]), whole(&told["sequence"])), (before, sequence));
                assert_eq!(told["ended"], Value::from(ended), "{told}");
                let (from, fast) = (whole(&told["longEndNs"]), whole(&told["fastEndNs"]));
                assert!(fast > 0 && last_end(old, "FAST").is_none_or(|end| end == fast), "{told}");
                assert!(from > 0 && reach.is_none_or(|end| end == from), "{told}, not {reach:?}");
                if let Some(first) = new.iter().find(|account| account["windowKind"] == "LONG").filter(|_| !ended) {
                    let to = whole(&first["windowStartNs"]);
                    assert!(to >= from, "{told} {first}");
                    gaps.push((from, to));
                }
            }
            reach = reach.filter(|_| !ended);
        }
        gaps
    }

    fn accounts(&self, boot_id: u64) -> &[Value] {
        self.runs.iter().find(|(run, _)| *run == boot_id).map_or(&[], |(_, accounts)| accounts)
    }
}

fn last_end(accounts: &[Value], kind: &str) -> Option<u64> {
    let windows = accounts.iter().filter(|account| account["windowKind"] == kind && account["total"] == false);
    windows.map(|account| whole(&account["windowEndNs"])).max()
}

fn kind(message: &Value) -> String {
    message["windowKind"].as_str().unwrap().to_owned()
}

fn has_some(message: &Value, list: &str) -> bool {
    message.get(list).and_then(Value::as_array).is_some_and(|list| !list.is_empty())
}

/// Two sinks of one appliance got the same.
pub(crate) fn equal(a: &Stream, b: &Stream) {
    let (of_a, of_b): (BTreeSet<&Number>, BTreeSet<&Number>) = (a.ranges.keys().collect(), b.ranges.keys().collect());
    assert_eq!(of_a.symmetric_difference(&of_b).collect::<Vec<_>>(), Vec::<&&Number>::new());
    let name = |(boot_id, accounts): &(u64, Vec<Value>)| (*boot_id, accounts.iter().map(|a| whole(&a["sequence"])).collect::<Vec<_>>());
    // Which of two lanes brings a run's first account is each sink's own.
    assert_eq!(a.runs.iter().map(name).collect::<BTreeMap<_, _>>(), b.runs.iter().map(name).collect::<BTreeMap<_, _>>());
}
