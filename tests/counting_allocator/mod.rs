//! An allocator that counts, for each thread apart, what is asked of it while the thread says so.
#![allow(unsafe_code, reason = "an allocator cannot be written without; it hands everything on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

/// Of one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Memory taken, or taken anew in another size.
    pub(crate) taken: u64,
    /// Memory given back.
    pub(crate) given_back: u64,
}

thread_local! {
    static COUNTS: Cell<bool> = const { Cell::new(false) };
    static COUNTED: Cell<Counted> = const { Cell::new(Counted { taken: 0, given_back: 0 }) };
}

/// Where the first was that counted.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

/// Counts what `work` does on this thread.
pub(crate) fn counted(work: impl FnOnce()) -> Counted {
    COUNTED.set(Counted::default());
    COUNTS.set(true);
    work();
    COUNTS.set(false);
    COUNTED.get()
}

/// From where memory was first taken or given back since this was last asked.
pub(crate) fn first() -> String {
    FIRST.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
}

/// Notes one that counts.
fn note(taken: u64, given_back: u64) {
    if !COUNTS.get() {
        return;
    }
    let so_far = COUNTED.get();
    COUNTED.set(Counted { taken: so_far.taken + taken, given_back: so_far.given_back + given_back });
    // What writing it down takes does not count.
    COUNTS.set(false);
    let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    first.get_or_insert_with(|| Backtrace::force_capture().to_string());
    drop(first);
    COUNTS.set(true);
}

// SAFETY: every call goes to the system's allocator as it came; noting it touches no memory that is asked for here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, 0);
        // SAFETY: the caller keeps the contract of `alloc`, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        note(1, 0);
        // SAFETY: as above; what is handed in came from the system's allocator.
        unsafe { System.realloc(at, layout, bytes) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note(0, 1);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}
