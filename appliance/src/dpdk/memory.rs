//! Which pages EAL gets: hugepages that are free, or ordinary ones. Reads the machine's settings, never changes them.

use std::fs;
use std::path::{Path, PathBuf};

/// Where EAL's memory comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// Hugepages of this size; mounted here, or found by EAL itself.
    Huge { page_bytes: u64, directory: Option<PathBuf> },
    /// 4 kB pages, and why.
    Ordinary { why: String },
}

/// Hugepages of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PageKind {
    bytes: u64,
    free: u64,
    mount: Option<PathBuf>,
}

/// Hugepages, the largest first, if `need_mb` of one size are free and (unless `anonymous`) mounted.
pub(super) fn choose(need_mb: u32, anonymous: bool) -> Memory {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    pick(&kinds(Path::new("/sys/kernel/mm/hugepages"), &mounts), u64::from(need_mb) << 20, anonymous)
}

/// Whether hugepages of this size are mounted, by what `/proc/mounts` says: others than anonymous ones want that.
pub fn is_mounted(mounts: &str, page_bytes: u64) -> bool {
    mount_of(mounts, page_bytes).is_some()
}

fn pick(kinds: &[PageKind], need_bytes: u64, anonymous: bool) -> Memory {
    let enough = |kind: &&PageKind| kind.free.saturating_mul(kind.bytes) >= need_bytes.max(1);
    let usable = |kind: &&PageKind| anonymous || kind.mount.is_some();
    if let Some(kind) = kinds.iter().filter(enough).filter(usable).max_by_key(|kind| kind.bytes) {
        return Memory::Huge { page_bytes: kind.bytes, directory: kind.mount.clone() };
    }
    let need_mb = need_bytes >> 20;
    let why = match kinds.iter().filter(|kind| kind.free > 0).max_by_key(|kind| kind.free.saturating_mul(kind.bytes)) {
        None => "no hugepages are free".to_owned(),
        Some(kind) if kind.mount.is_none() => format!("hugepages of {} MB are free but not mounted", kind.bytes >> 20),
        Some(kind) => format!("{} hugepages of {} MB are free, {need_mb} MB are needed", kind.free, kind.bytes >> 20),
    };
    Memory::Ordinary { why }
}

fn kinds(directory: &Path, mounts: &str) -> Vec<PageKind> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let kind = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let bytes = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()?.checked_mul(1024)?;
        let free = fs::read_to_string(entry.path().join("free_hugepages")).ok()?.trim().parse().ok()?;
        Some(PageKind { bytes, free, mount: mount_of(mounts, bytes) })
    };
    entries.filter_map(kind).collect()
}

/// Where hugepages of this size are mounted. Without `pagesize` a mount has the default size, 2 MB where we run.
fn mount_of(mounts: &str, bytes: u64) -> Option<PathBuf> {
    let size = |options: &str| {
        let given = options.split(',').find_map(|option| option.strip_prefix("pagesize="));
        let Some(given) = given else {
            return Some(2 << 20);
        };
        let (number, unit) = given.split_at(given.find(|c: char| !c.is_ascii_digit()).unwrap_or(given.len()));
        let shift = match unit {
            "K" | "k" => 10,
            "M" | "m" => 20,
            "G" | "g" => 30,
            _ => 0,
        };
        number.parse::<u64>().ok()?.checked_shl(shift)
    };
    mounts.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (directory, kind, options) = (words.next()?, words.next()?, words.next()?);
        (kind == "hugetlbfs" && size(options) == Some(bytes)).then(|| PathBuf::from(directory))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "hugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0\n\
                          none /mnt/1g hugetlbfs rw,pagesize=1024M 0 0\nproc /proc proc rw 0 0\n";

    #[test]
    fn mounts_are_found_by_page_size() {
        assert_eq!(mount_of(MOUNTS, 2 << 20), Some(PathBuf::from("/dev/hugepages")));
        assert_eq!(mount_of(MOUNTS, 1 << 30), Some(PathBuf::from("/mnt/1g")));
        assert_eq!(mount_of("none /h hugetlbfs rw 0 0", 2 << 20), Some(PathBuf::from("/h")));
        assert_eq!(mount_of("proc /proc proc rw 0 0\nshort", 2 << 20), None);
        assert!(is_mounted(MOUNTS, 1 << 30) && !is_mounted("none /h hugetlbfs rw 0 0", 1 << 30));
    }

    #[test]
    fn the_largest_that_suffices_is_taken() {
        let kind = |bytes, free, mount: Option<&str>| PageKind { bytes, free, mount: mount.map(PathBuf::from) };
        let both = [kind(2 << 20, 512, Some("/2m")), kind(1 << 30, 2, Some("/1g"))];
        assert_eq!(pick(&both, 256 << 20, false), Memory::Huge { page_bytes: 1 << 30, directory: Some("/1g".into()) });
        assert!(matches!(pick(&both[..1], 2 << 30, false), Memory::Ordinary { why } if why.contains("512 hugepages of 2 MB")));
        let bare = [kind(2 << 20, 512, None)];
        assert!(matches!(pick(&bare, 1 << 20, false), Memory::Ordinary { why } if why.contains("not mounted")));
        assert!(matches!(pick(&bare, 1 << 20, true), Memory::Huge { .. }));
        assert!(matches!(pick(&[], 0, true), Memory::Ordinary { .. }));
    }
}
