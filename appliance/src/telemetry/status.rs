//! One line a second for a terminal: rates by decision, matched, lost, and how the sinks do.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::live::CoreFigures;
use super::snapshot::{FeedHealth, SinkState, SinkStatus, Snapshot};

/// Makes status lines from the difference between one snapshot and the next.
#[derive(Debug, Default)]
pub struct StatusLine {
    last: Option<(Instant, CoreFigures)>,
}

impl StatusLine {
    /// Has seen nothing yet: its first line tells rates since the start.
    pub fn new() -> Self {
        Self::default()
    }

    /// The line for this snapshot, without a line end.
    pub fn line(&mut self, snapshot: &Snapshot) -> String {
        self.line_at(Instant::now(), snapshot)
    }

    fn line_at(&mut self, now: Instant, snapshot: &Snapshot) -> String {
        let total = snapshot.total();
        let (elapsed, delta) = match &self.last {
            Some((then, figures)) => (now.saturating_duration_since(*then), total.since(figures)),
            None => (snapshot.uptime, total),
        };
        self.last = Some((now, total));
        render(&delta, elapsed, &total, snapshot)
    }
}

fn render(delta: &CoreFigures, elapsed: Duration, total: &CoreFigures, snapshot: &Snapshot) -> String {
    let rate = |count: u64| as_f64(count) / elapsed.as_secs_f64().max(1e-3);
    let mut line = format!(
        "passed {}pps {}bit/s | blocked {}pps {}bit/s | matched {}",
        scaled(rate(delta.passed)),
        scaled(8.0 * rate(delta.passed_bytes)),
        scaled(rate(delta.blocked)),
        scaled(8.0 * rate(delta.blocked_bytes)),
        share(delta.matched, delta.matched + delta.unmatched),
    );
    let lost = snapshot.missed() + total.ring_dropped;
    let parts = |line: &mut String, text: &str| write!(line, " | {text}");
    // Writing to a String cannot fail.
    let _ = parts(&mut line, &format!("lost {lost}"));
    if total.parse_drops > 0 {
        let _ = parts(&mut line, &format!("unparsed {}", total.parse_drops));
    }
    for feed in snapshot.feeds.iter().filter(|feed| feed.health != FeedHealth::Live) {
        let word = if feed.health == FeedHealth::Silent { "SILENT" } else { "DOWN" };
        let _ = parts(&mut line, &format!("feed {} {word}", feed.name));
    }
    for sink in &snapshot.sinks {
        let _ = parts(&mut line, &sink_words(sink));
    }
    line
}

fn sink_words(sink: &SinkStatus) -> String {
    let state = if sink.state == SinkState::Down { "DOWN".to_owned() } else { sink.state.to_string() };
    let mut words = format!("{} {state} {}", sink.name, sink.delivered);
    for (count, what) in [(sink.behind, "waiting"), (sink.overflow, "overflowed"), (sink.failed, "failed")] {
        if count > 0 {
            let _ = write!(words, ", {count} {what}");
        }
    }
    words
}

/// Three digits and an SI prefix with its space: `1.23 k`, `45.6 M`, `0 `.
fn scaled(value: f64) -> String {
    let steps = ["", "k", "M", "G", "T"];
    let (mut value, mut step) = (value, 0);
    while value >= 999.5 && step + 1 < steps.len() {
        value /= 1000.0;
        step += 1;
    }
    let digits = match value {
        _ if step == 0 => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", steps[step])
}

fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.1}%", 100.0 * as_f64(part) / as_f64(whole)) }
}

/// For display: 53 bits are enough.
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::super::registry::Registry;
    use super::*;

    #[test]
    fn three_digits() {
        let cases = [(0.0, "0 "), (999.4, "999 "), (999.6, "1.00 k"), (12_345.0, "12.3 k"), (9.996e6, "10.0 M"), (2.5e12, "2.50 T")];
        for (value, text) in cases {
            assert_eq!(scaled(value), text);
        }
    }

    #[test]
    fn rates_are_of_the_time_between_two_lines() {
        let registry = Registry::new("a", "", Duration::from_secs(1));
        let core = registry.core(1, "rx");
        let kafka = SinkStatus {
            name: "kafka".into(),
            state: SinkState::Up,
            delivered: 7,
            failed: 0,
            retried: 0,
            flows: 0,
            flows_failed: 0,
            logs: 0,
            logs_failed: 0,
            topics_failed: [("t".to_owned(), 1)].into(),
            lots_behind: 0,
            log_lots_behind: 0,
            refused: Vec::new(),
            overflow: 0,
            behind: 2,
            last_error: None,
            address: String::new(),
            ages: Vec::new(),
            packet_ages: Vec::new(),
        };
        registry.set_sinks(move || vec![kafka.clone()]);
        let (start, mut status) = (Instant::now(), StatusLine::new());
        status.line_at(start, &registry.snapshot());
        core.passed.add(20_000);
        core.passed_bytes.add(2_500_000);
        core.blocked.add(400);
        core.blocked_bytes.add(40_000);
        core.matched.add(3);
        core.unmatched.add(1);
        let line = status.line_at(start + Duration::from_secs(2), &registry.snapshot());
        let expected = "passed 10.0 kpps 10.0 Mbit/s | blocked 200 pps 160 kbit/s | matched 75.0% | lost 0 | kafka up 7, 2 waiting";
        assert_eq!(line, expected);
    }
}
