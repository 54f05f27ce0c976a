//! An allocator that counts what is asked of it: for each thread apart while the thread says so, or of the data path's threads
//! together while somebody watches.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(unsafe_code, reason = "an allocator cannot be written without; it hands everything on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
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
    /// Whether this is a thread of the data path, once that was asked.
    static RECEIVES_OR_WORKS: Cell<Option<bool>> = const { Cell::new(None) };
}

/// What the data path's threads do counts, and what they did.
static IS_WATCHED: AtomicBool = AtomicBool::new(false);
static WATCHED: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
/// What EAL calls threads that run lcores.
const LCORES: &[u8] = b"rte-worker";

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

/// From now on counts what the data path's threads do, whoever started them.
pub(crate) fn watch() {
    WATCHED.iter().for_each(|count| count.store(0, SeqCst));
    IS_WATCHED.store(true, SeqCst);
}

/// What they did since, until now.
pub(crate) fn watched() -> Counted {
    IS_WATCHED.store(false, SeqCst);
    let [taken, given_back] = WATCHED.each_ref().map(|count| count.load(SeqCst));
    Counted { taken, given_back }
}

/// Whether EAL made this thread for an lcore.
fn receives_or_works() -> bool {
    RECEIVES_OR_WORKS.get().unwrap_or_else(|| {
        let mut name = [0_u8; 16];
        // SAFETY: this option writes a thread's name, of 16 bytes at most, to where it is told.
        let done = unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
        let is = done == 0 && name.starts_with(LCORES);
        RECEIVES_OR_WORKS.set(Some(is));
        is
    })
}

/// From where memory was first taken or given back since this was last asked.
pub(crate) fn first() -> String {
    FIRST.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
}

/// Notes one that counts.
fn note(taken: u64, given_back: u64) {
    if COUNTS.get() {
        let so_far = COUNTED.get();
        COUNTED.set(Counted { taken: so_far.taken + taken, given_back: so_far.given_back + given_back });
        // What writing it down takes does not count.
        COUNTS.set(false);
        keep_first();
        COUNTS.set(true);
    } else if IS_WATCHED.load(SeqCst) && receives_or_works() {
        WATCHED[0].fetch_add(taken, SeqCst);
        WATCHED[1].fetch_add(given_back, SeqCst);
        RECEIVES_OR_WORKS.set(Some(false));
        keep_first();
        RECEIVES_OR_WORKS.set(Some(true));
    }
}

/// Writes down from where this comes, unless something came before.
fn keep_first() {
    let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    first.get_or_insert_with(|| Backtrace::force_capture().to_string());
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
