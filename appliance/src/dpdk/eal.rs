//! EAL's life: it starts once in a process, and ends when the last handle is gone.

use std::ffi::{CString, c_char};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use dpdk_sys as sys;

use super::arguments::{EalConfig, FilePrefix, Hugepages};
use super::error::DpdkError;
use super::memory::{self, Memory};
use super::{log, prefix};

const NEVER: u8 = 0;
const RUNNING: u8 = 1;
const SPENT: u8 = 2;
static STATE: AtomicU8 = AtomicU8::new(NEVER);

/// The running EAL. A clone is a handle on the same; EAL is cleaned up when the last one drops.
#[derive(Clone, Debug)]
pub struct Eal(Arc<Running>);

#[derive(Debug)]
struct Running {
    lcores: Vec<u32>,
    main_lcore: u32,
    page_bytes: u64,
}

impl Eal {
    /// Starts EAL. The calling thread becomes the main lcore and is pinned to its CPUs; threads that it spawns later
    /// inherit that.
    ///
    /// # Errors
    /// If EAL runs already or did so before, the configuration is impossible, another process holds the file prefix, or
    /// EAL itself fails; then what it said is in the error.
    pub fn init(config: &EalConfig) -> Result<Self, DpdkError> {
        config.check()?;
        STATE.compare_exchange(NEVER, RUNNING, Ordering::SeqCst, Ordering::SeqCst).map_err(|state| match state {
            RUNNING => DpdkError::AlreadyRunning,
            _ => DpdkError::Spent,
        })?;
        // Only now: looking closes the prefix's file, and with any such descriptor a process's own lock on it is gone. No
        // other thread can take that lock meanwhile.
        if let FilePrefix::Named(name) = &config.file_prefix
            && let Some(held) = prefix::held_by_other(name)
        {
            STATE.store(NEVER, Ordering::SeqCst);
            return Err(held);
        }
        let memory = choose_memory(config);
        if let Err(error) = start(config.arguments(&memory), config.file_prefix == FilePrefix::Private) {
            STATE.store(SPENT, Ordering::SeqCst);
            return Err(explain(config, error));
        }
        let page_bytes = match memory {
            Memory::Huge { page_bytes, .. } => page_bytes,
            Memory::Ordinary { .. } => 4_096,
        };
        let lcores = config.lcores.iter().map(|pin| pin.lcore).collect();
        Ok(Self(Arc::new(Running { lcores, main_lcore: config.main_lcore, page_bytes })))
    }

    /// All lcores, the main one included.
    pub fn lcores(&self) -> &[u32] {
        &self.0.lcores
    }

    /// The lcore that the initialising thread became.
    pub fn main_lcore(&self) -> u32 {
        self.0.main_lcore
    }

    /// Bytes of a page of DPDK's memory: 4,096 without hugepages.
    pub fn page_bytes(&self) -> u64 {
        self.0.page_bytes
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: EAL runs, and whatever used it held a clone of the handle, so nothing does any more.
        unsafe { sys::rte_eal_cleanup() };
        STATE.store(SPENT, Ordering::SeqCst);
    }
}

fn choose_memory(config: &EalConfig) -> Memory {
    let private = config.file_prefix == FilePrefix::Private;
    if config.hugepages == Hugepages::Never {
        return Memory::Ordinary { why: "not wanted".into() };
    }
    let memory = memory::choose(config.memory_mb, private);
    if let Memory::Ordinary { why } = &memory {
        // How many are to be reserved is a total of all that the process takes, which is more than this.
        tracing::warn!(
            "{why}: DPDK runs on ordinary pages (--no-huge), about half as fast; remedy: reserve as many as `tailwater check` says"
        );
    }
    memory
}

/// `briefly`: what EAL measures at its start is measured less finely.
fn start(arguments: Vec<String>, briefly: bool) -> Result<(), DpdkError> {
    let line: Result<Vec<CString>, _> = arguments.into_iter().map(CString::new).collect();
    let line = line.map_err(|_| DpdkError::bad("an argument holds a zero byte", "remove it"))?;
    let mut pointers: Vec<*mut c_char> = line.iter().map(|word| word.as_ptr().cast_mut()).collect();
    let count = i32::try_from(pointers.len()).map_err(|_| DpdkError::bad("too many arguments", "name fewer devices"))?;
    log::open();
    log::hush();
    let capture = log::StdioCapture::start();
    // SAFETY: `count` pointers to C strings; EAL permutes the array and keeps pointers into it, so both are leaked below.
    let done = unsafe {
        if briefly { sys::tw_eal_init_briefly(count, pointers.as_mut_ptr()) } else { sys::rte_eal_init(count, pointers.as_mut_ptr()) }
    };
    // SAFETY: reads a thread-local.
    let errno = unsafe { sys::tw_errno() };
    drop(capture);
    std::mem::forget((line, pointers));
    if done < 0 { Err(DpdkError::failed("EAL", "start", errno, "")) } else { Ok(()) }
}

/// A prefix that was taken between our look and EAL's lock still names its holder.
fn explain(config: &EalConfig, error: DpdkError) -> DpdkError {
    match &config.file_prefix {
        FilePrefix::Named(name) => prefix::held_by_other(name).unwrap_or(error),
        FilePrefix::Private => error,
    }
}
