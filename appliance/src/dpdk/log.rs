//! EAL's and the drivers' log lines, as events of `tracing` with the target `dpdk`.
//!
//! DPDK writes to a C stream; ours hands each whole line on, at the level that DPDK gave it. Warnings and errors are also
//! kept for a moment, so that a failed call can say what DPDK said.

use std::ffi::{c_char, c_int, c_void};
use std::sync::{Mutex, PoisonError};

use dpdk_sys as sys;

/// Lines kept for [`said`].
const LINES_KEPT_MAX: usize = 4;
/// A line longer than this is handed on in pieces.
const LINE_BYTES_MAX: usize = 1_024;

/// Where a stream's text comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// `rte_log`: has a level.
    Log,
    /// `printf`: EAL's usage text, and lines that the log holds too.
    Stdio,
}

struct Stream {
    source: Source,
    partial: Mutex<Vec<u8>>,
}

static LOG: Stream = Stream { source: Source::Log, partial: Mutex::new(Vec::new()) };
static STDIO: Stream = Stream { source: Source::Stdio, partial: Mutex::new(Vec::new()) };
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What DPDK warned of since the last call, joined.
pub(super) fn said() -> String {
    std::mem::take(&mut *SAID.lock().unwrap_or_else(PoisonError::into_inner)).join("; ")
}

/// Forgets what was said before an operation whose failure is to be explained.
pub(super) fn hush() {
    said();
}

/// Sends DPDK's log to `tracing` from now on.
pub(super) fn open() {
    if let Some(stream) = stream(&LOG) {
        // SAFETY: the stream stays open: nobody but EAL's own clean-up closes it.
        unsafe { sys::rte_openlog_stream(stream) };
    }
}

/// While it lives, what C code prints on stdout and stderr goes to `tracing` too: EAL prints its usage text there.
pub(super) struct StdioCapture(());

impl StdioCapture {
    pub(super) fn start() -> Option<Self> {
        let stream = stream(&STDIO)?;
        // SAFETY: the stream is open and never closed; the C library reads the two variables at each call.
        unsafe { sys::tw_capture_stdio(stream) };
        Some(Self(()))
    }
}

impl Drop for StdioCapture {
    fn drop(&mut self) {
        // SAFETY: `start` saved the streams that are put back.
        unsafe { sys::tw_restore_stdio() };
    }
}

fn stream(target: &'static Stream) -> Option<*mut sys::FILE> {
    // SAFETY: the cookie is a static; `write` takes just such a cookie.
    let file = unsafe { sys::tw_open_stream(std::ptr::from_ref(target).cast_mut().cast::<c_void>(), Some(write)) };
    // Line buffered: a line arrives while its level is still known.
    (!file.is_null()).then_some(file)
}

/// Called by the C library with the stream's lock held.
unsafe extern "C" fn write(cookie: *mut c_void, text: *const c_char, bytes: usize) -> isize {
    // SAFETY: `stream` gave a `&'static Stream` as the cookie.
    let stream = unsafe { &*cookie.cast::<Stream>().cast_const() };
    // SAFETY: the C library hands `bytes` readable bytes.
    let text = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), bytes) };
    // A subscriber that panics must not unwind into C.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stream.take(text)));
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

impl Stream {
    fn take(&self, text: &[u8]) {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        for &byte in text {
            if byte != b'\n' {
                partial.push(byte);
            }
            if byte == b'\n' || partial.len() >= LINE_BYTES_MAX {
                let line = String::from_utf8_lossy(&partial).trim_end().to_owned();
                partial.clear();
                emit(self.source, &line);
            }
        }
    }
}

fn emit(source: Source, line: &str) {
    if line.is_empty() {
        return;
    }
    if source == Source::Stdio {
        tracing::debug!(target: "dpdk", "{line}");
        return;
    }
    // SAFETY: reads a thread-local of this thread.
    match unsafe { sys::rte_log_cur_msg_loglevel() } {
        1..=4 => tracing::error!(target: "dpdk", "{line}"),
        5 => tracing::warn!(target: "dpdk", "{line}"),
        6 | 7 => tracing::info!(target: "dpdk", "{line}"),
        8 => return tracing::debug!(target: "dpdk", "{line}"),
        _ => tracing::info!(target: "dpdk", "{line}"),
    }
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if is_serious() && said.len() < LINES_KEPT_MAX {
        said.push(line.to_owned());
    }
}

fn is_serious() -> bool {
    // SAFETY: reads a thread-local of this thread.
    let level: c_int = unsafe { sys::rte_log_cur_msg_loglevel() };
    (1..=5).contains(&level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_from_pieces_and_long_ones_cut() {
        let stream = Stream { source: Source::Stdio, partial: Mutex::new(Vec::new()) };
        stream.take(b"EAL: Detec");
        assert_eq!(stream.partial.lock().unwrap().as_slice(), b"EAL: Detec");
        stream.take(b"ted\nEAL");
        assert_eq!(stream.partial.lock().unwrap().as_slice(), b"EAL");
        stream.take(&[b'x'; 3 * LINE_BYTES_MAX]);
        assert!(stream.partial.lock().unwrap().len() < LINE_BYTES_MAX);
    }
}
