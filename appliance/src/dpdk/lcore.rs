//! Closures on EAL's threads.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys as sys;

use super::eal::Eal;
use super::error::DpdkError;

/// Where a closure leaves its result.
type Place<T> = Arc<Mutex<Option<T>>>;
/// The closure with its result's place, as EAL carries it: one pointer to a box of this.
type Job = Box<dyn FnOnce() + Send>;

/// A closure that runs on an lcore. Dropping the handle waits for it.
#[derive(Debug)]
pub struct LcoreHandle<T> {
    lcore: u32,
    result: Place<T>,
    waited: bool,
    // Keeps EAL until the closure has ended.
    _eal: Eal,
}

/// Runs `work` on `lcore`, which must not be the main one.
///
/// # Errors
/// If EAL has no such lcore, it is the main lcore, or it is busy.
pub fn launch<T: Send + 'static>(eal: &Eal, lcore: u32, work: impl FnOnce() -> T + Send + 'static) -> Result<LcoreHandle<T>, DpdkError> {
    if !eal.lcores().contains(&lcore) || lcore == eal.main_lcore() {
        let workers: Vec<u32> = eal.lcores().iter().copied().filter(|&id| id != eal.main_lcore()).collect();
        return Err(DpdkError::bad(format!("lcore {lcore} takes no work"), format!("choose one of {workers:?}")));
    }
    let result: Place<T> = Arc::default();
    let place = Arc::clone(&result);
    let job: Job = Box::new(move || {
        // A panic would unwind into C. Where panics abort, this is never reached.
        if let Ok(value) = catch_unwind(AssertUnwindSafe(work)) {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        }
    });
    let packed = Box::into_raw(Box::new(job));
    // SAFETY: the lcore exists; `trampoline` unpacks just this pointer, once.
    let done = unsafe { sys::rte_eal_remote_launch(Some(trampoline), packed.cast::<c_void>(), lcore) };
    if done != 0 {
        // SAFETY: the launch failed, so the pointer is still only ours.
        drop(unsafe { Box::from_raw(packed) });
        return Err(DpdkError::failed(&format!("lcore {lcore}"), "launch", done, "it is busy: wait for what runs there"));
    }
    Ok(LcoreHandle { lcore, result, waited: false, _eal: eal.clone() })
}

unsafe extern "C" fn trampoline(packed: *mut c_void) -> c_int {
    // SAFETY: `launch` packed it and gives it here once.
    let job = unsafe { Box::from_raw(packed.cast::<Job>()) };
    job();
    0
}

impl<T> LcoreHandle<T> {
    /// Waits for the closure and gives what it returned.
    ///
    /// # Errors
    /// If it panicked (where panics unwind).
    pub fn join(mut self) -> Result<T, DpdkError> {
        self.wait();
        self.result.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(DpdkError::Panicked(self.lcore))
    }

    /// Whether the closure has ended.
    pub fn is_finished(&self) -> bool {
        // SAFETY: the lcore exists while EAL does.
        self.waited || unsafe { sys::rte_eal_get_lcore_state(self.lcore) } == sys::rte_lcore_state_t::WAIT
    }

    fn wait(&mut self) {
        if !self.waited {
            // SAFETY: the lcore exists while EAL does.
            unsafe { sys::rte_eal_wait_lcore(self.lcore) };
            self.waited = true;
        }
    }
}

impl<T> Drop for LcoreHandle<T> {
    fn drop(&mut self) {
        self.wait();
    }
}
