//! `[journal]`: where reports wait.

use std::path::PathBuf;

use super::appliance::beside;
use super::walk::Section;

/// `[journal]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// A folder that nobody else uses.
    pub path: PathBuf,
    /// Of all that it holds; default 4096.
    pub size_mb: u64,
}

const SIZE_MB: u64 = 4_096;
/// A segment is the 64th part of it.
const SIZE_MB_MIN: u64 = 16;
const SIZE_MB_MAX: u64 = 1 << 24;

/// `[journal]`, or none: reports wait in memory.
pub(super) fn read(root: &Section<'_, '_>) -> Option<Journal> {
    let section = root.section("journal", "[journal]")?;
    let path = section.require("path", "path = \"/var/lib/tailwater/journal\"").and_then(|f| f.text("\"/var/lib/tailwater/journal\""));
    let path = path.map(|path| beside(section.book().file(), path));
    let size_mb = section.integer("size_mb", SIZE_MB_MIN..=SIZE_MB_MAX).unwrap_or(SIZE_MB);
    section.close();
    path.map(|path| Journal { path, size_mb })
}
