//! `[appliance]`: name, windows, memory, hash key.

use std::path::Path;

use super::walk::{Field, Section};
use crate::limits::WINDOW_MS_MAX;

/// `[appliance]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appliance {
    /// Default: `tailwater`.
    pub name: String,
    /// Point of presence; default empty.
    pub pop: String,
    /// Default 10,000.
    pub window_ms: u64,
    /// Default 1,000, or `window_ms` where that is less or not a multiple.
    pub fast_window_ms: u64,
    /// Budget of sketches and batches; default 1,024.
    pub memory_mb: u64,
    /// The fleet's key; absent: random at each start of `run`, constant in `replay`.
    pub hash_key: Option<[u8; 32]>,
    /// An idle range says so, once each long window; default false.
    pub heartbeat: bool,
    /// Where a core has more to do than it can, top-K leaves records out; default true.
    pub shed: bool,
    /// A receiving core that has more to do than it can gives bursts to others that have time; default true.
    pub hand_over: bool,
}

/// Lengths of windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Of long ones.
    pub window_ms: u64,
    /// Of those in which stats that are `fast` are reported too; it divides `window_ms`.
    pub fast_window_ms: u64,
}

impl Default for Windows {
    fn default() -> Self {
        Self { window_ms: WINDOW_MS, fast_window_ms: FAST_WINDOW_MS }
    }
}

impl Appliance {
    /// Lengths of its windows.
    pub const fn windows(&self) -> Windows {
        Windows { window_ms: self.window_ms, fast_window_ms: self.fast_window_ms }
    }
}

const NAME: &str = "tailwater";
const WINDOW_MS: u64 = 10_000;
const FAST_WINDOW_MS: u64 = 1_000;
const MEMORY_MB: u64 = 1_024;
/// 16 TB: beyond any machine, and its bytes fit any arithmetic.
const MEMORY_MB_MAX: u64 = 16 << 20;

/// `None` where a fault was noted.
pub(super) fn read(root: &Section<'_, '_>) -> Option<Appliance> {
    let before = root.book().count();
    let section = root.section("appliance", "[appliance]");
    let text = |key, example| section.as_ref().and_then(|s| s.text(key, example)).map(str::to_owned);
    let name = text("name", "\"pop1-a\"").unwrap_or_else(|| NAME.to_owned());
    let pop = text("pop", "\"pop1\"").unwrap_or_default();
    let (window_ms, fast_window_ms) = section.as_ref().map_or((Some(WINDOW_MS), Some(FAST_WINDOW_MS)), windows);
    let memory_mb = section.as_ref().and_then(|s| s.integer("memory_mb", 1..=MEMORY_MB_MAX)).unwrap_or(MEMORY_MB);
    let hash_key = section.as_ref().and_then(|s| s.take("hash_key_file")).and_then(|f| hash_key(&f, root.book().file()));
    let heartbeat = section.as_ref().and_then(|s| s.flag("heartbeat")).unwrap_or(false);
    let shed = section.as_ref().and_then(|s| s.flag("shed")).unwrap_or(true);
    let hand_over = section.as_ref().and_then(|s| s.flag("hand_over")).unwrap_or(true);
    if let Some(section) = section {
        section.close();
    }
    let (window_ms, fast_window_ms) = (window_ms?, fast_window_ms?);
    let made = Appliance { name, pop, window_ms, fast_window_ms, memory_mb, hash_key, heartbeat, shed, hand_over };
    (root.book().count() == before).then_some(made)
}

fn windows(section: &Section<'_, '_>) -> (Option<u64>, Option<u64>) {
    let read = |key| section.take(key).map(|f| f.integer(&(1..=WINDOW_MS_MAX)));
    let (window, fast) = (read("window_ms").unwrap_or(Some(WINDOW_MS)), read("fast_window_ms"));
    let Some(window) = window else { return (None, None) };
    let Some(fast) = fast else {
        return (Some(window), Some(if window % FAST_WINDOW_MS == 0 { FAST_WINDOW_MS } else { window }));
    };
    if let Some(fast) = fast.filter(|fast| window % fast != 0) {
        let (below, above) = (window / fast * fast, (window / fast + 1) * fast);
        let near = if below > 0 { format!("{below} or {above}") } else { above.to_string() };
        let remedy = format!("it must be a multiple of fast_window_ms: {near}, or another fast_window_ms");
        section.fault("window_ms", format!("{window} is no multiple of fast_window_ms, which is {fast}"), remedy);
    }
    (Some(window), fast)
}

pub(super) fn hash_key(field: &Field<'_, '_>, config: &Path) -> Option<[u8; 32]> {
    const REMEDY: &str = "make one with: openssl rand -hex 32";
    let file = beside(config, field.text("\"fleet.key\"")?);
    let text = match std::fs::read(&file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        Err(e) => {
            field.fault(format!("{} cannot be read: {e}", file.display()), format!("it must hold 64 hex digits; {REMEDY}"));
            return None;
        }
    };
    let key = unhex(&text);
    if key.is_none() {
        let digits = text.chars().filter(char::is_ascii_hexdigit).count();
        let others = text.chars().count() - digits;
        let with = if others == 0 { String::new() } else { format!(" and {others} other characters") };
        field.fault(format!("{} holds {digits} hex digits{with}", file.display()), format!("it must hold 64 hex digits; {REMEDY}"));
    }
    key
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

/// A path as written in a file, made relative to that file.
pub(super) fn beside(config: &Path, written: &str) -> std::path::PathBuf {
    config.parent().unwrap_or_else(|| Path::new("")).join(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_64_hex_digits() {
        assert_eq!(unhex(&"0fF0".repeat(16)), Some([0x0F, 0xF0].repeat(16).try_into().unwrap()));
        for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"0".repeat(66), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        assert_eq!(beside(Path::new("/etc/t/t.toml"), "r.csv"), Path::new("/etc/t/r.csv"));
        assert_eq!(beside(Path::new("t.toml"), "r.csv"), Path::new("r.csv"));
        assert_eq!(beside(Path::new("a/t.toml"), "/r.csv"), Path::new("/r.csv"));
    }
}
