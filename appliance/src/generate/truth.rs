//! What is true of the capture: counted while it is made, written as JSON window by window.

use std::io::{self, Write};
use std::net::IpAddr;

use hashbrown::HashMap;
use serde::Serialize;

use super::figures::{Cell, SIZE_EDGES, Told};
use super::plan::Plan;
use super::scenario::Scenario;

/// What one frame is, by its outermost IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) src: IpAddr,
    /// The longest range of the destination, and of the source.
    pub(super) ranges: [Option<usize>; 2],
    /// Wire length, less what the tag adds.
    pub(super) bytes: u32,
    /// TCP flags.
    pub(super) flags: u8,
    pub(super) fragment: bool,
    pub(super) dns_answer: bool,
    pub(super) blocked: bool,
    pub(super) captured: bool,
}

/// Sums over all ranges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Packets that arrived at the scrubber and were let through.
    pub offered_passed: u64,
    /// Packets that arrived at the scrubber and were blocked.
    pub offered_blocked: u64,
    /// Frames in the capture.
    pub frames: u64,
    /// Their wire lengths, tags included.
    pub wire_bytes: u64,
    /// Frames with the tag.
    pub tagged_frames: u64,
    /// Frames that carry no IP.
    pub non_ip_frames: u64,
    /// Packets with an address in a range.
    pub matched: u64,
    /// Packets without.
    pub unmatched: u64,
    /// Pairs of a packet and a range.
    pub records: u64,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.offered_passed += other.offered_passed;
        self.offered_blocked += other.offered_blocked;
        self.frames += other.frames;
        self.wire_bytes += other.wire_bytes;
        self.tagged_frames += other.tagged_frames;
        self.non_ip_frames += other.non_ip_frames;
        self.matched += other.matched;
        self.unmatched += other.unmatched;
        self.records += other.records;
    }

    fn count(&mut self, facts: &Facts) {
        self.offered_passed += u64::from(!facts.blocked);
        self.offered_blocked += u64::from(facts.blocked);
        if facts.captured {
            let [to, from] = facts.ranges;
            let records = u64::from(to.is_some()) + u64::from(from.is_some() && from != to);
            self.records += records;
            self.matched += records.min(1);
            self.unmatched += u64::from(records == 0);
        }
    }
}

/// The truth while it grows.
pub(super) struct Truth<'a> {
    scenario: &'a Scenario,
    plan: &'a Plan,
    out: Box<dyn Write + 'a>,
    /// Number of the open window since 1970.
    window: u64,
    open: HashMap<usize, Cell>,
    whole: HashMap<usize, Cell>,
    open_totals: Totals,
    whole_totals: Totals,
    windows: Vec<WindowTotals>,
    rows: u64,
}

#[derive(Serialize)]
struct WindowTotals {
    window_start_ms: u64,
    #[serde(flatten)]
    totals: Totals,
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    window_start_ms: Option<u64>,
    prefix: ipnet::IpNet,
    customer: &'a str,
    #[serde(flatten)]
    told: Told,
}

impl<'a> Truth<'a> {
    pub(super) fn new(name: &str, scenario: &'a Scenario, plan: &'a Plan, mut out: Box<dyn Write + 'a>) -> io::Result<Self> {
        let start_ms = scenario.start_ns().unwrap_or(0) / 1_000_000;
        let attacks = scenario.attacks.iter().map(|attack| {
            let last_s = if attack.duration_s == 0 { scenario.duration_s } else { attack.begin_s + attack.duration_s };
            serde_json::json!({
                "kind": attack.kind,
                "target": attack.target,
                "begin_ms": start_ms + attack.begin_s * 1_000,
                "end_ms": start_ms + last_s.min(scenario.duration_s) * 1_000,
                "pps": attack.pps,
                "blocked": attack.blocked,
                "rule": attack.rule,
                "sources": attack.sources,
            })
        });
        let head = serde_json::json!({
            "format": "tailwater-truth-1",
            "scenario": name,
            "about": scenario.about,
            "seed": scenario.seed,
            "start": scenario.start,
            "duration_s": scenario.duration_s,
            "window_ms": scenario.window_ms,
            "sampling": scenario.tag.sampling,
            "tag_vlan": scenario.tag.vlan,
            "added_bytes": scenario.added_bytes(),
            "size_edges": SIZE_EDGES,
            "attacks": attacks.collect::<Vec<_>>(),
        });
        let head = head.to_string();
        write!(out, "{},\n\"windows\": [", head.strip_suffix('}').unwrap_or(&head))?;
        let window = scenario.start_ns().unwrap_or(0) / (scenario.window_ms * 1_000_000);
        Ok(Self {
            scenario,
            plan,
            out,
            window,
            open: HashMap::new(),
            whole: HashMap::new(),
            open_totals: Totals::default(),
            whole_totals: Totals::default(),
            windows: Vec::new(),
            rows: 0,
        })
    }

    /// Counts a packet that arrived at the scrubber.
    pub(super) fn count(&mut self, now_ns: u64, facts: &Facts) -> io::Result<()> {
        self.turn(now_ns)?;
        self.open_totals.count(facts);
        for (range, ingress) in facts.ranges.into_iter().zip([true, false]) {
            if let Some(range) = range {
                self.open.entry(range).or_default().count(facts, ingress);
            }
        }
        Ok(())
    }

    /// Counts the frame of a packet that was counted before.
    pub(super) const fn captured(&mut self, wire_bytes: usize, tagged: bool) {
        self.open_totals.frames += 1;
        self.open_totals.wire_bytes += wire_bytes as u64;
        self.open_totals.tagged_frames += tagged as u64;
    }

    /// Counts a frame that carries no IP.
    pub(super) fn without_ip(&mut self, now_ns: u64, wire_bytes: usize) -> io::Result<()> {
        self.turn(now_ns)?;
        self.captured(wire_bytes, false);
        self.open_totals.non_ip_frames += 1;
        Ok(())
    }

    /// Closes the open window if its time is over.
    fn turn(&mut self, now_ns: u64) -> io::Result<()> {
        let window = now_ns / (self.scenario.window_ms * 1_000_000);
        if window != self.window {
            self.close()?;
            self.window = window;
        }
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        let window_start_ms = self.window * self.scenario.window_ms;
        let mut cells = self.open.drain().collect::<Vec<_>>();
        cells.sort_unstable_by_key(|(range, _)| *range);
        for (range, cell) in cells {
            row(&mut self.out, &mut self.rows, self.plan, range, &cell, self.scenario.tag.sampling, Some(window_start_ms))?;
            self.whole.entry(range).or_default().add(&cell);
        }
        let totals = std::mem::take(&mut self.open_totals);
        self.whole_totals.add(&totals);
        if totals != Totals::default() {
            self.windows.push(WindowTotals { window_start_ms, totals });
        }
        Ok(())
    }

    /// Closes the last window and writes what is true of the whole.
    pub(super) fn finish(mut self) -> io::Result<Totals> {
        self.close()?;
        write!(self.out, "\n],\n\"ranges\": [")?;
        self.rows = 0;
        let mut cells = self.whole.iter().collect::<Vec<_>>();
        cells.sort_unstable_by_key(|(range, _)| **range);
        for (range, cell) in cells {
            row(&mut self.out, &mut self.rows, self.plan, *range, cell, self.scenario.tag.sampling, None)?;
        }
        let windows = serde_json::to_string(&self.windows)?;
        let totals = serde_json::to_string(&self.whole_totals)?;
        writeln!(self.out, "\n],\n\"window_totals\": {windows},\n\"totals\": {totals}}}")?;
        self.out.flush()?;
        Ok(self.whole_totals)
    }
}

/// One range of one window, or of all, on a line of its own.
fn row(
    out: &mut impl Write,
    rows: &mut u64,
    plan: &Plan,
    at: usize,
    cell: &Cell,
    sampling: u16,
    window_start_ms: Option<u64>,
) -> io::Result<()> {
    let Some(range) = plan.ranges.get(at) else { return Ok(()) };
    let row = Row { window_start_ms, prefix: range.prefix, customer: &range.customer, told: cell.told(sampling) };
    write!(out, "{}{}", if *rows == 0 { "\n" } else { ",\n" }, serde_json::to_string(&row)?)?;
    *rows += 1;
    Ok(())
}
