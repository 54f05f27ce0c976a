//! Whether reports say what is in the capture.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::ChildStdout;

use serde::Deserialize;

use super::captures::Shares;

/// What a sampled packet stands for.
const SAMPLING: u64 = 40;

/// Windows with losses that are passed over: what was lost of a range is in no report.
const LOSSY_MAX: u32 = 4;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
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
    total: Option<Total>,
}

#[derive(Deserialize)]
struct Total {
    value: f64,
}

#[derive(Deserialize)]
struct Ledger {
    counted: String,
    received: String,
}

/// Reads windows until one is whole, and compares it. What was counted of it, or what is wrong.
pub(crate) fn compare(reports: ChildStdout, shares: &Shares) -> Result<String, String> {
    let mut windows: HashMap<String, HashMap<String, [u64; 2]>> = HashMap::new();
    let mut lossy = 0;
    for line in BufReader::new(reports).lines().map_while(Result::ok) {
        let line: Line = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
        match (line.prefix, line.ledger) {
            (Some(prefix), _) => {
                let packets = |name: &str| line.stats.iter().find(|stat| stat.name == name).and_then(|stat| stat.total.as_ref());
                let value = |name: &str| packets(name).map_or(0, |total| total.value as u64);
                let counts = [value("packets_passed"), value("packets_blocked") / SAMPLING];
                windows.entry(line.window_start_ns).or_default().insert(prefix, counts);
            }
            (None, Some(ledger)) if !line.total => {
                let ranges = windows.remove(&line.window_start_ns).unwrap_or_default();
                let number = |text: &str| text.parse::<u64>().unwrap_or(0);
                let (counted, received) = (number(&ledger.counted), number(&ledger.received));
                // Of windows that nobody read in time some reports fell off the queue.
                let all = ranges.len() as u64 == line.ranges_reported.map_or(0, |n| number(&n));
                if all && received > 0 && counted == received {
                    return check(&ranges, shares, counted);
                }
                lossy += u32::from(all && counted < received);
                if lossy == LOSSY_MAX {
                    return Err(format!("{received} frames received, {counted} counted, and so in {lossy} windows"));
                }
            }
            _ => {}
        }
    }
    Err("no window came whole".to_owned())
}

/// A window holds the capture so many times and a part of it: of each range so many times its packets, and once more at most.
fn check(ranges: &HashMap<String, [u64; 2]>, shares: &Shares, counted: u64) -> Result<String, String> {
    let frames: u64 = shares.values().flatten().sum();
    let sum: u64 = ranges.values().flatten().sum();
    if sum != counted {
        return Err(format!("{counted} frames counted, {sum} reported"));
    }
    let loops = counted / frames;
    for (prefix, share) in shares {
        let counts = ranges.get(prefix).copied().unwrap_or_default();
        let wrong = share.iter().zip(counts).any(|(share, count)| !(loops * share..=(loops + 1) * share).contains(&count));
        if wrong {
            return Err(format!("{prefix}: {counts:?} in {counted} frames; the capture of {frames} has {share:?}"));
        }
    }
    match ranges.keys().find(|prefix| !shares.contains_key(*prefix)) {
        Some(prefix) => Err(format!("{prefix}: reported, and not in the capture")),
        None => {
            Ok(format!("{counted} frames of a window are those of the capture, {loops} times and once in part, in {} ranges", ranges.len()))
        }
    }
}
