//! Closures on EAL's threads.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use dpdk_sys as sys;

use super::eal::Eal;
use super::error::DpdkError;

/// Where a closure leaves its result. Waiting for it sleeps; EAL's own wait would spin on a CPU that others need.
#[derive(Debug)]
struct Place<T> {
    outcome: Mutex<Outcome<T>>,
    ended: Condvar,
}

#[derive(Debug)]
enum Outcome<T> {
    Running,
    Value(T),
    Panicked,
    Taken,
}

/// The closure with its result's place, as EAL carries it: one pointer to a box of this.
type Job = Box<dyn FnOnce() + Send>;

/// EAL looks whether an lcore is free and gives it work in two steps.
static LAUNCHING: Mutex<()> = Mutex::new(());

/// A closure that runs on an lcore. Dropping the handle waits for it.
#[derive(Debug)]
pub struct LcoreHandle<T> {
    lcore: u32,
    place: Arc<Place<T>>,
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
    let place = Arc::new(Place { outcome: Mutex::new(Outcome::Running), ended: Condvar::new() });
    let (there, keep) = (Arc::clone(&place), eal.clone());
    let job: Job = Box::new(move || {
        // A panic would unwind into C. Where panics abort, it is never caught.
        let outcome = catch_unwind(AssertUnwindSafe(work)).map_or(Outcome::Panicked, Outcome::Value);
        // EAL must not end on this lcore while the handle's owner waits for it.
        drop(keep);
        *there.outcome.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
        there.ended.notify_all();
    });
    let packed = Box::into_raw(Box::new(job));
    let turn = LAUNCHING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the lcore exists; `trampoline` unpacks just this pointer, once.
    let done = unsafe { sys::rte_eal_remote_launch(Some(trampoline), packed.cast::<c_void>(), lcore) };
    drop(turn);
    if done != 0 {
        // SAFETY: the launch failed, so the pointer is still only ours.
        drop(unsafe { Box::from_raw(packed) });
        return Err(DpdkError::failed(&format!("lcore {lcore}"), "launch", done, "it is busy: wait for what runs there"));
    }
    Ok(LcoreHandle { lcore, place, _eal: eal.clone() })
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
    pub fn join(self) -> Result<T, DpdkError> {
        match self.wait() {
            Outcome::Value(value) => Ok(value),
            _ => Err(DpdkError::Panicked(self.lcore)),
        }
    }

    /// Whether the closure has ended.
    pub fn is_finished(&self) -> bool {
        !matches!(*self.place.outcome.lock().unwrap_or_else(PoisonError::into_inner), Outcome::Running)
    }

    fn wait(&self) -> Outcome<T> {
        let mut outcome = self.place.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        while matches!(*outcome, Outcome::Running) {
            outcome = self.place.ended.wait(outcome).unwrap_or_else(PoisonError::into_inner);
        }
        let outcome = std::mem::replace(&mut *outcome, Outcome::Taken);
        // Only the few steps from the closure's end to EAL's own loop are left.
        // SAFETY: the lcore exists while EAL does.
        unsafe { sys::rte_eal_wait_lcore(self.lcore) };
        outcome
    }
}

impl<T> Drop for LcoreHandle<T> {
    fn drop(&mut self) {
        if !matches!(*self.place.outcome.lock().unwrap_or_else(PoisonError::into_inner), Outcome::Taken) {
            self.wait();
        }
    }
}
