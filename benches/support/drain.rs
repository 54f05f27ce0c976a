//! Who reads a program's reports while it is measured: throws them away, until told to hand on what comes.

use std::io::{BufRead, BufReader};
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Much more than a pipe holds.
const BUFFER_BYTES: usize = 1 << 20;

/// See the module.
pub struct Drain {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<BufReader<ChildStdout>>,
}

impl Drain {
    /// Reads from now on.
    pub fn start(reports: ChildStdout) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let mut reports = BufReader::with_capacity(BUFFER_BYTES, reports);
            let mut last = b'\n';
            loop {
                let bytes = reports.fill_buf().unwrap_or_default();
                let (Some(end), false) = (bytes.last(), told.load(Ordering::Relaxed)) else { break };
                last = *end;
                let count = bytes.len();
                reports.consume(count);
            }
            if last != b'\n' {
                // What comes next is the rest of a line.
                reports.read_until(b'\n', &mut Vec::new()).ok();
            }
            reports
        });
        Self { ends, thread }
    }

    /// What comes behind the line that is being read; what `order` makes the program write is in it.
    pub fn end(self, order: impl FnOnce()) -> BufReader<ChildStdout> {
        self.ends.store(true, Ordering::Relaxed);
        order();
        self.thread.join().expect("a reader")
    }
}
