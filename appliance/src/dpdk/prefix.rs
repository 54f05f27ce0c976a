//! Who holds a file prefix: EAL locks `RUNTIME/PREFIX/config` with a POSIX record lock, and the kernel tells its owner.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use super::error::DpdkError;

/// The error that names the process which holds `prefix`, if one does.
pub(super) fn held_by_other(prefix: &str) -> Option<DpdkError> {
    let file = File::open(runtime_directory().join(prefix).join("config")).ok()?;
    let pid = lock_owner(&file)?;
    let program = fs::read_to_string(format!("/proc/{pid}/comm")).map_or_else(|_| "unknown".into(), |name| name.trim().to_owned());
    Some(DpdkError::PrefixInUse { prefix: prefix.to_owned(), pid, program })
}

/// Where EAL puts its files: as EAL itself looks for it.
fn runtime_directory() -> PathBuf {
    let given = |name: &str| std::env::var_os(name).map(PathBuf::from);
    // SAFETY: takes nothing and cannot fail.
    let root = unsafe { libc::getuid() } == 0;
    let base = given("RUNTIME_DIRECTORY").or_else(|| match root {
        true => Some("/var/run".into()),
        false => given("XDG_RUNTIME_DIR"),
    });
    base.unwrap_or_else(|| "/tmp".into()).join("dpdk")
}

/// Process that keeps a write lock of `file` from being taken.
fn lock_owner(file: &File) -> Option<i32> {
    // SAFETY: all zero is a valid `flock`.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = i16::try_from(libc::F_WRLCK).ok()?;
    lock.l_whence = i16::try_from(libc::SEEK_SET).ok()?;
    // SAFETY: the descriptor is open, and the kernel writes one `flock` where we hold one.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) };
    let free = i32::from(lock.l_type) == libc::F_UNLCK;
    (done == 0 && !free).then_some(lock.l_pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_lock_has_no_owner() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(lock_owner(&file), None);
        assert!(held_by_other("no-such-prefix-at-all").is_none());
    }
}
