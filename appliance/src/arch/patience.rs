//! Waiting for another core without a lock, where cores may be shared.

#![cfg_attr(feature = "loom", allow(dead_code, reason = "a model gives way to others and does not sleep"))]

use std::time::Duration;

/// Times that the CPU is offered to others before the first nap.
const YIELDS: u32 = 32;
/// A nap; the kernel adds its timer slack, 50 us.
const NAP: Duration = Duration::from_micros(50);

/// Waits a little longer the longer nothing comes.
///
/// Yielding alone would cost a shared machine whole cores: whoever yields stays runnable, and takes turns away from those
/// that it waits for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    tries: u32,
}

impl Patience {
    /// Lets others run.
    pub fn wait(&mut self) {
        #[cfg(feature = "loom")]
        return loom::thread::yield_now();
        #[cfg(not(feature = "loom"))]
        if self.tries < YIELDS {
            self.tries += 1;
            std::thread::yield_now();
        } else {
            std::thread::sleep(NAP);
        }
    }

    /// Waits until `done`.
    pub fn until(mut done: impl FnMut() -> bool) {
        let mut patience = Self::default();
        while !done() {
            patience.wait();
        }
    }

    /// What was waited for came.
    pub const fn reset(&mut self) {
        self.tries = 0;
    }
}
