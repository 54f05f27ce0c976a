//! What can go wrong with DPDK, told with the device and the remedy.

/// A fault of DPDK or of how it is used.
#[derive(Debug, thiserror::Error)]
pub enum DpdkError {
    /// EAL exists once in a process.
    #[error("DPDK already runs in this process: clone the handle of the first `Eal::init`")]
    AlreadyRunning,
    /// EAL cannot start twice, not even after its end.
    #[error("DPDK has ended, or failed to start, in this process and cannot start again: start a new process")]
    Spent,
    /// Another primary process holds the file prefix.
    #[error("file prefix `{prefix}` is held by process {pid} ({program}): stop that process, or give this one another prefix")]
    PrefixInUse {
        /// The prefix.
        prefix: String,
        /// Process that holds it; 0 where the kernel does not tell (another pid namespace).
        pid: i32,
        /// Its name, or `unknown`.
        program: String,
    },
    /// What was asked cannot be given to EAL.
    #[error("{what}: {remedy}")]
    Bad {
        /// What is wrong.
        what: String,
        /// What would be right.
        remedy: String,
    },
    /// A call into DPDK failed.
    #[error("{subject}: {what}: {cause}{}{}", after("; ", .said), after("; ", .remedy))]
    Failed {
        /// Device, lcore or pool.
        subject: String,
        /// What was tried.
        what: &'static str,
        /// The error number in words.
        cause: String,
        /// What DPDK logged meanwhile.
        said: String,
        /// What may mend it.
        remedy: String,
    },
    /// A closure on an lcore panicked.
    #[error("lcore {0} panicked")]
    Panicked(u32),
}

fn after(separator: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{separator}{text}") }
}

impl DpdkError {
    pub(super) fn failed(subject: &str, what: &'static str, errno: i32, remedy: &str) -> Self {
        Self::Failed { subject: subject.to_owned(), what, cause: errno_text(errno), said: super::log::said(), remedy: remedy.to_owned() }
    }

    pub(super) fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Bad { what: what.into(), remedy: remedy.into() }
    }
}

/// An error number, of either sign, in words. DPDK leaves 0 on some failures.
pub(super) fn errno_text(errno: i32) -> String {
    match errno {
        0 => "no error number given".to_owned(),
        number => std::io::Error::from_raw_os_error(number.saturating_abs()).to_string(),
    }
}
