//! Lines of memory that will be needed soon.
#![allow(unsafe_code, reason = "a prefetch is an intrinsic")]

/// Asks for the line that holds `what`; nothing waits for it.
#[inline]
pub fn prefetch<T>(what: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program sees, and the reference is valid.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(what).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}

/// Asks for the line that holds `what`, which is to be written.
#[inline]
pub fn prefetch_write<T>(what: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_ET0>(std::ptr::from_ref(what).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}

/// Asks for all lines of a slice of words.
#[inline]
pub fn prefetch_words(words: &[u64]) {
    let (fours, rest) = words.as_chunks::<32>();
    for four in fours {
        [0, 8, 16, 24].iter().for_each(|at| prefetch(&four[*at]));
    }
    rest.iter().step_by(8).for_each(prefetch);
}
