//! What is true of the capture: counted while it is made, written as JSON window by window.

mod detail;
mod figures;
mod keys;

use std::io::{self, Write};
use std::net::IpAddr;

use hashbrown::HashMap;
use serde::Serialize;

use self::figures::{Cell, SIZE_EDGES, Told};
use self::keys::Seen;
use super::packet::{ACK, RST, SYN};
use super::plan::Plan;
use super::scenario::Scenario;

/// What one frame is, by its outermost IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    /// The longest range of the destination, and of the source.
    pub(super) ranges: [Option<usize>; 2],
    /// Wire length, less what the tag adds.
    pub(super) bytes: u32,
    pub(super) protocol: u8,
    /// Source and destination port, of what has them.
    pub(super) ports: Option<(u16, u16)>,
    pub(super) ttl: u8,
    /// Of TCP.
    pub(super) flags: Option<u8>,
    pub(super) fragment: bool,
    pub(super) blocked: bool,
    pub(super) captured: bool,
}

impl Facts {
    fn opens(&self) -> bool {
        self.flags.is_some_and(|flags| flags & (SYN | ACK) == SYN)
    }

    fn accepts(&self) -> bool {
        self.flags.is_some_and(|flags| flags & (SYN | ACK) == SYN | ACK)
    }

    fn resets(&self) -> bool {
        self.flags.is_some_and(|flags| flags & RST != 0)
    }

    fn is_dns_answer(&self) -> bool {
        self.protocol == 17 && self.ports.is_some_and(|(src_port, _)| src_port == 53)
    }
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
    /// Of each range, keys towards it and from it in the windows before.
    seen: HashMap<usize, [Seen; 2]>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<serde_json::Value>,
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
                "even": attack.even,
                "pulse_ms": attack.pulse_ms,
            })
        });
        let head = serde_json::json!({
            "format": "tailwater-truth-2",
            "scenario": name,
            "about": scenario.about,
            "seed": scenario.seed,
            "start": scenario.start,
            "duration_s": scenario.duration_s,
            "window_ms": scenario.window_ms,
            "sub_window_ms": scenario.rate_ms(),
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
            seen: HashMap::new(),
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
        let slot = now_ns % (self.scenario.window_ms * 1_000_000) / (self.scenario.rate_ms() * 1_000_000);
        for (range, ingress) in facts.ranges.into_iter().zip([true, false]) {
            if let Some(range) = range {
                self.open.entry(range).or_default().count(facts, ingress, slot);
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
            let (sampling, rate_ms) = (self.scenario.tag.sampling, self.scenario.rate_ms());
            let [towards, from] = self.seen.entry(range).or_default();
            let [ingress, egress] = &cell.details;
            let detail = serde_json::json!({
                "ingress": ingress.told(sampling, towards, self.window, rate_ms),
                "egress": egress.told(sampling, from, self.window, rate_ms),
            });
            self.row(range, &cell, Some((window_start_ms, detail)))?;
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
        let mut cells = std::mem::take(&mut self.whole).into_iter().collect::<Vec<_>>();
        cells.sort_unstable_by_key(|(range, _)| *range);
        for (range, cell) in cells {
            self.row(range, &cell, None)?;
        }
        let windows = serde_json::to_string(&self.windows)?;
        let totals = serde_json::to_string(&self.whole_totals)?;
        writeln!(self.out, "\n],\n\"window_totals\": {windows},\n\"totals\": {totals}}}")?;
        self.out.flush()?;
        Ok(self.whole_totals)
    }

    /// One range of one window, or of all, on a line of its own.
    fn row(&mut self, at: usize, cell: &Cell, window: Option<(u64, serde_json::Value)>) -> io::Result<()> {
        let Some(range) = self.plan.ranges.get(at) else { return Ok(()) };
        let (window_start_ms, detail) = window.unzip();
        let told = cell.told(self.scenario.tag.sampling);
        let row = Row { window_start_ms, prefix: range.prefix, customer: &range.customer, told, detail };
        write!(self.out, "{}{}", if self.rows == 0 { "\n" } else { ",\n" }, serde_json::to_string(&row)?)?;
        self.rows += 1;
        Ok(())
    }
}
