//! Whether reports say what is in the capture: of each range its packets, bytes and distinct sources, of a few all stats, key by key.

use std::collections::HashMap;
use std::io::BufRead;

use serde::Deserialize;

use super::model::{Found, Model, SAMPLING};
use super::support::captures::{Capture, Share};

/// Windows with losses that are passed over: what was lost of a range is in no report.
const LOSSY_MAX: u32 = 6;

/// Share of the intervals of distinct sources that must hold the truth: they are of 95 %.
const COVERED_MIN: f64 = 0.9;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    /// Of a configuration or an event none: they are passed over.
    #[serde(default)]
    window_start_ns: String,
    prefix: Option<String>,
    #[serde(default)]
    stats: Vec<Stat>,
    ledger: Option<Ledger>,
    #[serde(default)]
    total: bool,
    ranges_reported: Option<String>,
}

#[derive(Deserialize)]
struct Stat {
    name: String,
    total: Option<Estimate>,
    distinct: Option<Distinct>,
}

#[derive(Deserialize)]
struct Distinct {
    value: Estimate,
}

#[derive(Clone, Copy, Deserialize)]
struct Estimate {
    value: f64,
    low: f64,
    high: Option<f64>,
}

#[derive(Deserialize)]
struct Ledger {
    counted: String,
    received: String,
    matched: String,
}

/// What a report says of a range; of a stat that the set lacks nothing.
#[derive(Clone, Copy, Default)]
struct Said {
    packets: [u64; 2],
    bytes: Option<u64>,
    sources: Option<Estimate>,
}

impl Said {
    fn of(stats: &[Stat]) -> Self {
        let stat = |name: &str| stats.iter().find(|stat| stat.name == name);
        let total = |name: &str| Some(stat(name)?.total?.value as u64);
        let [passed, blocked] = ["packets_passed", "packets_blocked"].map(|name| total(name).unwrap_or(0));
        let sources = stat("sources").and_then(|stat| Some(stat.distinct.as_ref()?.value));
        Self { packets: [passed, blocked / SAMPLING], bytes: total("bytes_passed"), sources }
    }
}

/// What is looked at of a report: the head, and a few of its stats, each an object of its own. A window of 50,000 ranges is some
/// gigabytes of lines, which nobody reads whole in the time.
fn read(line: &str) -> serde_json::Result<Line> {
    const STATS: &str = "\"stats\":[";
    const WANTED: [&str; 4] = ["packets_passed", "packets_blocked", "bytes_passed", "sources"];
    let of_range = line.split_once(STATS).filter(|(head, _)| head.contains("\"prefix\":"));
    let Some((head, stats)) = of_range else { return serde_json::from_str(line) };
    let mut read: Line = serde_json::from_str(&format!("{head}{STATS}]}}"))?;
    let found = WANTED.iter().filter_map(|name| stats.find(&format!("{{\"name\":\"{name}\",")));
    let one = |at: usize| serde_json::Deserializer::from_str(&stats[at..]).into_iter().next();
    read.stats = found.filter_map(one).collect::<Result<_, _>>()?;
    Ok(read)
}

/// A window that was counted in full, if it holds the capture twice.
struct Window {
    ranges: HashMap<String, Said>,
    /// Reports that are looked at whole.
    wholes: Vec<(String, serde_json::Value)>,
    counted: u64,
    reported: u64,
}

/// What was compared.
pub(crate) struct Told {
    pub(crate) text: String,
    /// Ranges that were looked at key by key.
    pub(crate) looked_at: usize,
}

/// Reads windows until one is whole, and compares it. Where none is, since so many reports found no room before they were read,
/// it is what came of the last one, if that is half of it at least. Who writes them is about to end, so that this one is written when
/// nothing else is done any more. What was counted of it, or what is wrong.
pub(crate) fn compare(reports: impl BufRead, capture: &Capture, stats: usize, model: &Model) -> Result<Told, String> {
    let mut windows: HashMap<String, HashMap<String, Said>> = HashMap::new();
    let mut wholes: HashMap<String, Vec<(String, serde_json::Value)>> = HashMap::new();
    let (mut lossy, mut last) = (0, None);
    for text in reports.lines().map_while(Result::ok) {
        let fault = |error| format!("{error}: {}", text.chars().take(200).collect::<String>());
        let line = read(&text).map_err(fault)?;
        match (line.prefix, line.ledger) {
            (Some(prefix), _) => {
                if model.has(&prefix) {
                    let whole = serde_json::from_str(&text).map_err(fault)?;
                    wholes.entry(line.window_start_ns.clone()).or_default().push((prefix.clone(), whole));
                }
                windows.entry(line.window_start_ns).or_default().insert(prefix, Said::of(&line.stats));
            }
            (None, Some(ledger)) if !line.total => {
                let number = |text: &str| text.parse::<u64>().unwrap_or(0);
                let (counted, received) = (number(&ledger.counted), number(&ledger.received));
                if stats == 0 && received >= 2 * capture.frames {
                    return check_ledger(received, number(&ledger.matched), capture);
                }
                let ranges = windows.remove(&line.window_start_ns).unwrap_or_default();
                let wholes = wholes.remove(&line.window_start_ns).unwrap_or_default();
                let window = Window { ranges, wholes, counted, reported: line.ranges_reported.as_deref().map_or(0, number) };
                lossy += u32::from(window.is_whole() && counted < received);
                if lossy == LOSSY_MAX {
                    return Err(format!("{received} frames received, {counted} counted, and so in {lossy} windows"));
                }
                if received < 2 * capture.frames || counted < received {
                    continue;
                }
                if window.is_whole() {
                    return check(&window, capture, model);
                }
                last = Some(window);
            }
            _ => {}
        }
    }
    let last = last.ok_or("no window was counted in full")?;
    if 2 * last.ranges.len() as u64 >= last.reported {
        return check(&last, capture, model);
    }
    Err(format!("of {} ranges of the last window {} were read", last.reported, last.ranges.len()))
}

impl Window {
    fn is_whole(&self) -> bool {
        self.ranges.len() as u64 == self.reported
    }
}

/// Without stats there is the ledger alone: so many times the capture's frames of ranges, and once in part.
fn check_ledger(received: u64, matched: u64, capture: &Capture) -> Result<Told, String> {
    let of_ranges: u64 = capture.shares.values().flat_map(|share| share.packets).sum();
    let loops = received / capture.frames;
    let text = format!("{matched} of {received} frames matched a range; of the capture's {} it is {of_ranges}", capture.frames);
    let is_right = (loops * of_ranges..=(loops + 1) * of_ranges).contains(&matched) && matched <= received;
    if is_right { Ok(Told { text, looked_at: 0 }) } else { Err(text) }
}

/// A window holds the capture so many times and a part of it: of each range so many times its packets, and once more at most.
fn check(window: &Window, capture: &Capture, model: &Model) -> Result<Told, String> {
    let Window { ranges, wholes, counted, reported } = window;
    let sum: u64 = ranges.values().flat_map(|said| said.packets).sum();
    if sum != *counted && window.is_whole() {
        return Err(format!("{counted} frames counted, {sum} reported"));
    }
    let loops = counted / capture.frames;
    for (prefix, share) in capture.shares.iter().filter(|(prefix, _)| window.is_whole() || ranges.contains_key(*prefix)) {
        let said = ranges.get(prefix).copied().unwrap_or_default();
        let within = |share: u64, said: u64| (loops * share..=(loops + 1) * share).contains(&said);
        let packets = share.packets.iter().zip(said.packets).all(|(share, said)| within(*share, said));
        if !packets || !said.bytes.is_none_or(|bytes| within(share.bytes, bytes)) {
            let (packets, bytes, frames) = (said.packets, said.bytes, capture.frames);
            return Err(format!(
                "{prefix}: {packets:?} packets, {bytes:?} bytes in {counted} frames; the capture of {frames} has {share:?}"
            ));
        }
    }
    if let Some(prefix) = ranges.keys().find(|prefix| !capture.shares.contains_key(*prefix)) {
        return Err(format!("{prefix}: reported, and not in the capture"));
    }
    let mut found = Found::default();
    wholes.iter().for_each(|(prefix, report)| model.compare(prefix, report, loops, &mut found));
    let looked_at = wholes.len();
    if let Some(wrong) = found.fault() {
        return Err(format!("{looked_at} of {} ranges looked at key by key:\n{wrong}", model.len()));
    }
    if looked_at == 0 || found.figures == 0 || window.is_whole() && looked_at < model.len() {
        return Err(format!("{looked_at} of {} ranges could be looked at key by key, {} figures of them", model.len(), found.figures));
    }
    let (read, sources) = (ranges.len(), sources(ranges, capture)?);
    let text = format!(
        "{counted} frames of a window are those of the capture, {loops} times and once in part, in {read} of {reported} ranges, {looked_at} of them key by key, {} figures{sources}",
        found.figures
    );
    Ok(Told { text, looked_at })
}

/// Distinct sources, where nothing was sampled: how many of their intervals hold the truth.
fn sources(ranges: &HashMap<String, Said>, capture: &Capture) -> Result<String, String> {
    let told = |(prefix, share): (&String, &Share)| {
        let said = ranges.get(prefix)?.sources.filter(|_| share.packets[1] == 0)?;
        let truth = share.sources as f64;
        Some(said.low <= truth && said.high.is_none_or(|high| truth <= high))
    };
    let told: Vec<bool> = capture.shares.iter().filter_map(told).collect();
    if told.is_empty() {
        return Ok(String::new());
    }
    let covered = told.iter().filter(|held| **held).count() as f64 / told.len() as f64;
    let text = format!("; {:.1} % of the intervals of distinct sources hold the truth", covered * 100.0);
    if covered < COVERED_MIN { Err(text) } else { Ok(text) }
}
