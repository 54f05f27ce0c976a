//! Sets `tracing` up: lines for people on a terminal, one JSON object a line otherwise; always on stderr.

use std::io::{self, IsTerminal, Write};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged if nobody says otherwise.
const DEFAULT_FILTER: &str = "info";

/// True while a status line stands on the terminal without a line end: a log line must wipe it first.
static STATUS_SHOWN: AtomicBool = AtomicBool::new(false);

/// What the logs look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// For people if stderr is a terminal, else JSON.
    pub fn of_stderr() -> Self {
        if io::stderr().is_terminal() { Self::Human } else { Self::Json }
    }
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error("{from}: `{filter}` is no log filter ({reason}); write for example `info`, or `warn,tailwater::sink=debug`")]
    Filter {
        /// `--log` or `RUST_LOG`.
        from: &'static str,
        /// As given.
        filter: String,
        /// What is wrong with it.
        reason: ParseError,
    },
    /// Another subscriber was set before.
    #[error("logging was set up twice")]
    Twice,
}

/// Sets up logging for this process. `filter` is what `--log` gave; without it `RUST_LOG` decides, and else `info`.
///
/// # Errors
/// The filter cannot be read, or logging was set up before.
pub fn init(filter: Option<&str>, format: Format) -> Result<(), LogError> {
    let from_environment = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let filter = match (filter, from_environment.as_deref()) {
        (Some(text), _) => parse_filter("--log", text)?,
        (None, Some(text)) => parse_filter("RUST_LOG", text)?,
        (None, None) => parse_filter("default", DEFAULT_FILTER)?,
    };
    let builder = fmt().with_env_filter(filter).with_writer(Stderr::default);
    let done = match format {
        Format::Human => builder.with_ansi(io::stderr().is_terminal()).with_target(false).finish().try_init(),
        Format::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    done.map_err(|_| LogError::Twice)
}

fn parse_filter(from: &'static str, text: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::from_str(text).map_err(|reason| LogError::Filter { from, filter: text.to_owned(), reason })
}

/// Puts a status line on stderr in place of the one before; what does not fit the width is cut. For terminals only.
pub fn show_status(line: &str) {
    STATUS_SHOWN.store(true, Relaxed);
    // A terminal that went away takes no status line; that is no fault of the appliance.
    let _ = write!(io::stderr().lock(), "\r\x1b[2K\x1b[?7l{line}\x1b[?7h");
}

/// Ends the status line: what follows begins on a line of its own.
pub fn end_status() {
    if STATUS_SHOWN.swap(false, Relaxed) {
        let _ = writeln!(io::stderr().lock());
    }
}

/// Stderr that wipes the status line before a log line. `tracing` makes one for each event and writes it whole.
#[derive(Default)]
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        if STATUS_SHOWN.swap(false, Relaxed) {
            stderr.write_all(b"\r\x1b[2K")?;
        }
        stderr.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_says_where_it_was_given() {
        let fault = parse_filter("--log", "info,tailwater=loud").unwrap_err().to_string();
        assert!(fault.starts_with("--log: `info,tailwater=loud` is no log filter"), "{fault}");
        assert!(parse_filter("--log", "warn,tailwater::sink=debug").is_ok());
    }
}
