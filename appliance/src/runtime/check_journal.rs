//! What `tailwater check` says of `[journal]`.

use std::fs;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use super::check::{Finding, Verdict, bad, good};
use crate::config::{Config, Journal};

/// What the configuration asks for at least.
const SIZE_MB_MIN: u64 = 16;

/// Nothing where there is neither a journal nor a sink.
pub(super) fn journal(config: &Config) -> Option<Finding> {
    let Some(journal) = &config.journal else {
        let has_sinks = config.sinks.take_reports();
        let what = "reports wait in memory, and are lost with the process";
        let remedy = "write [journal] path = \"/var/lib/tailwater/journal\"";
        return has_sinks.then(|| bad(Verdict::Weak, "journal", what, remedy));
    };
    let place = config.locate(&["journal", "path"]);
    Some(folder(&format!("{place}: journal.path"), journal))
}

fn folder(about: &str, journal: &Journal) -> Finding {
    let path = &journal.path;
    // `run` makes it, so what it is made in must be writable.
    let here = Path::new(".");
    // Of a bare name the last one is empty: the folder that we are in.
    let above = path.ancestors().map(|path| if path.as_os_str().is_empty() { here } else { path });
    let Some(there) = above.into_iter().find(|path| path.exists()) else {
        return bad(Verdict::Wrong, about, format!("{} is not there", path.display()), "name a folder on a local disk");
    };
    let remedy = format!("mkdir -p {0} && chown \"$USER\" {0}, or name another folder", path.display());
    if !there.is_dir() {
        return bad(Verdict::Wrong, about, format!("{} is no folder", there.display()), "name a folder on a local disk");
    }
    if let Err(fault) = access(there, Access::WRITE_OK | Access::EXEC_OK) {
        return bad(Verdict::Wrong, about, format!("{} cannot be written: {fault}", there.display()), remedy);
    }
    if is_in_use(path) {
        let what = format!("another process uses {}: this appliance, if it runs", path.display());
        return bad(Verdict::Weak, about, what, "if it is another one, give each a folder of its own");
    }
    room(about, journal, there)
}

/// Whether a process holds the folder's lock now.
fn is_in_use(folder: &Path) -> bool {
    let Ok(lock) = fs::File::open(folder.join("lock")) else { return false };
    matches!(lock.try_lock_shared(), Err(fs::TryLockError::WouldBlock))
}

fn room(about: &str, journal: &Journal, there: &Path) -> Finding {
    let held_mb = held_bytes(&journal.path) >> 20;
    let free_mb = match statvfs(there) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize) >> 20,
        Err(fault) => return bad(Verdict::Weak, about, format!("{}: {fault}", there.display()), "name a folder on a local disk"),
    };
    let what = format!("{} holds {held_mb} MB of at most {}, {free_mb} MB are free", journal.path.display(), journal.size_mb);
    if held_mb.saturating_add(free_mb) >= journal.size_mb {
        return good(about, what);
    }
    let fits_mb = (held_mb + free_mb) / 2;
    if fits_mb < SIZE_MB_MIN {
        return bad(Verdict::Wrong, about, what, "name a folder on a disk with room");
    }
    let remedy = format!("free room, or write size_mb = {fits_mb}: a full disk drops the oldest reports");
    bad(Verdict::Weak, about, what, remedy)
}

fn held_bytes(folder: &Path) -> u64 {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &Path, size_mb: u64) -> (Verdict, String) {
        let finding = folder("t.toml:3: journal.path", &Journal { path: path.to_owned(), size_mb });
        (finding.verdict, finding.to_string())
    }

    #[test]
    fn a_folder_is_looked_at_and_left_alone() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("a/b");
        let (verdict, text) = found(&inner, 1);
        assert!(verdict == Verdict::Good && text.contains("holds 0 MB of at most 1"), "{text}");
        assert!(!outer.path().join("a").exists());
        let (verdict, text) = found(&inner, 1 << 40);
        assert!(verdict == Verdict::Weak && text.contains("size_mb = "), "{text}");
        fs::write(outer.path().join("a"), "").unwrap();
        let (verdict, text) = found(&inner, 1);
        assert!(verdict == Verdict::Wrong && text.contains("/a is no folder"), "{text}");
    }

    #[test]
    fn a_folder_in_use_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let lock = fs::File::create(folder.path().join("lock")).unwrap();
        assert_eq!(found(folder.path(), 1).0, Verdict::Good);
        lock.lock().unwrap();
        let (verdict, text) = found(folder.path(), 1);
        assert!(verdict == Verdict::Weak && text.contains("another process uses"), "{text}");
    }
}
