//! Captures → queues: the reading end of a replay.

use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::flow_feed::FlowFeed;
use crate::arch::{HashKey, Patience};
use crate::parse::{MirrorPlan, Parsed, parse_into};
use crate::rx::capture::{CaptureError, CapturedFrame, Merged};
use crate::rx::replay::{Feed, FrameMeta, Full};
use crate::units::Epoch;
use crate::window::Calendar;

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// Frames between looks at the clock.
const PROGRESS_FRAMES: u64 = 4_096;

/// Feeds all frames, in order of time, unless nobody reads any more what comes of them; ends all queues, also after an error. With `flows`,
/// export datagrams are analysed and not fed.
///
/// # Errors
/// A file that cannot be read on. What came before it was fed.
pub fn feed_all(
    captures: &mut Merged,
    feed: &mut Feed,
    calendar: &Calendar,
    mut flows: Option<FlowFeed>,
    is_closed: &AtomicBool,
) -> Result<(), CaptureError> {
    let mut spread = Spread::new(feed.queues());
    let mut progress = Progress::new();
    let mut at = Epoch(0);
    let result = loop {
        progress.show(captures);
        let (port, frame) = match captures.next_frame() {
            Ok(Some(next)) => next,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        let epoch = calendar.epoch(frame.time_ns);
        if epoch > at {
            // Nobody reads what would come of the rest.
            if is_closed.load(Ordering::Relaxed) {
                break Ok(());
            }
            at = epoch;
            (0..feed.queues()).for_each(|queue| until(|| feed.mark(queue, epoch)));
            flows.iter_mut().for_each(|flows| flows.open(epoch));
        }
        if flows.as_mut().is_some_and(|flows| flows.take(&frame)) {
            continue;
        }
        let held = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        let meta = FrameMeta {
            time_ns: frame.time_ns,
            epoch: at,
            wire_bytes: frame.wire_bytes,
            captured_bytes: held,
            port,
            link: frame.link,
            late: epoch < at,
        };
        let queue = spread.queue(&frame);
        until(|| feed.feed(queue, meta, frame.bytes));
    };
    flows.into_iter().for_each(FlowFeed::end);
    (0..feed.queues()).for_each(|queue| until(|| feed.end(queue)));
    progress.clear();
    result
}

/// A full ring makes its producer wait: the lcores run meanwhile.
fn until(mut offer: impl FnMut() -> Result<(), Full>) {
    Patience::until(|| offer().is_ok());
}

/// Chooses queues as a NIC's RSS does: by the outermost addresses and ports.
struct Spread {
    queues: u64,
    parsed: Parsed,
    plan: MirrorPlan,
    key: HashKey,
}

impl Spread {
    fn new(queues: usize) -> Self {
        Self { queues: queues as u64, parsed: Parsed::default(), plan: MirrorPlan::default(), key: HashKey::constant() }
    }

    fn queue(&mut self, frame: &CapturedFrame<'_>) -> usize {
        if self.queues <= 1 || parse_into(frame.bytes, frame.wire_bytes, frame.link, &self.plan, &mut self.parsed).is_err() {
            return 0;
        }
        let Some(header) = self.parsed.headers().first() else { return 0 };
        let mut bytes = [0; 36];
        bytes[..16].copy_from_slice(&header.src);
        bytes[16..32].copy_from_slice(&header.dst);
        if let Some((src, dst)) = header.ports {
            bytes[32..34].copy_from_slice(&src.to_be_bytes());
            bytes[34..].copy_from_slice(&dst.to_be_bytes());
        }
        usize::try_from(self.key.hash(&bytes) % self.queues).unwrap_or(0)
    }
}

/// A line on stderr, where that is a terminal.
struct Progress {
    shown: bool,
    last: Instant,
    frames: u64,
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self { shown: false, last: Instant::now(), frames: 0, terminal: stderr().is_terminal() }
    }

    fn show(&mut self, captures: &Merged) {
        self.frames += 1;
        if !self.terminal || !self.frames.is_multiple_of(PROGRESS_FRAMES) || self.last.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.last = Instant::now();
        self.shown = true;
        let (read, all) = captures.progress_bytes();
        let share = all.filter(|all| *all > 0).map_or_else(String::new, |all| format!("{} %, ", read * 100 / all));
        let _ = write!(stderr(), "\r{share}{} frames ", captures.frames());
    }

    fn clear(&self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
