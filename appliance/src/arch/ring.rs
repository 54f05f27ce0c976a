//! Rings of one writer and one reader, without a lock: the crate `rtrb`.
//!
//! With the feature `loom` (`bash scripts/loom`) there is a stand-in with the same operations instead, whose every operation is
//! a step that loom orders in all ways. It is a queue behind loom's lock: what is checked is what we build on rings, not `rtrb`.

#[cfg(not(feature = "loom"))]
pub use rtrb::{Consumer, Producer, PushError, RingBuffer};

#[cfg(feature = "loom")]
pub use stand_in::{Consumer, Producer, PushError, RingBuffer};

#[cfg(feature = "loom")]
#[allow(missing_docs, reason = "as in `rtrb`")]
mod stand_in {
    use std::collections::VecDeque;

    use loom::sync::{Arc, Mutex};

    struct Shared<T> {
        queue: VecDeque<T>,
        capacity: usize,
        /// Whether an end is gone.
        abandoned: bool,
    }

    impl<T> Shared<T> {
        fn slots(&self) -> usize {
            self.capacity - self.queue.len()
        }
    }

    /// What both ends hold; also told as the writer's buffer.
    pub struct RingBuffer<T> {
        shared: Arc<Mutex<Shared<T>>>,
        capacity: usize,
    }

    impl<T> RingBuffer<T> {
        #[allow(clippy::new_ret_no_self, reason = "as in `rtrb`")]
        pub fn new(capacity: usize) -> (Producer<T>, Consumer<T>) {
            let shared = Arc::new(Mutex::new(Shared { queue: VecDeque::new(), capacity, abandoned: false }));
            (Producer(Self { shared: Arc::clone(&shared), capacity }), Consumer(Self { shared, capacity }))
        }

        pub fn capacity(&self) -> usize {
            self.capacity
        }

        fn with<O>(&self, act: impl FnOnce(&mut Shared<T>) -> O) -> O {
            let mut shared = self.shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            act(&mut shared)
        }
    }

    impl<T> Drop for RingBuffer<T> {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                self.with(|shared| shared.abandoned = true);
            }
        }
    }

    impl<T> std::fmt::Debug for RingBuffer<T> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("RingBuffer").field("capacity", &self.capacity).finish_non_exhaustive()
        }
    }

    #[derive(Debug)]
    pub struct Producer<T>(RingBuffer<T>);
    #[derive(Debug)]
    pub struct Consumer<T>(RingBuffer<T>);

    #[derive(Debug)]
    pub enum PushError<T> {
        Full(T),
    }

    /// There was no room, or not so much.
    #[derive(Debug)]
    pub struct Short;

    impl<T> Producer<T> {
        pub fn push(&mut self, value: T) -> Result<(), PushError<T>> {
            self.0.with(|shared| {
                if shared.slots() == 0 {
                    return Err(PushError::Full(value));
                }
                shared.queue.push_back(value);
                Ok(())
            })
        }

        pub fn slots(&self) -> usize {
            self.0.with(|shared| shared.slots())
        }

        pub fn is_abandoned(&self) -> bool {
            self.0.with(|shared| shared.abandoned)
        }

        pub fn buffer(&self) -> &RingBuffer<T> {
            &self.0
        }

        pub fn push_entire_slice(&mut self, values: &[T]) -> Result<(), Short>
        where
            T: Copy,
        {
            self.0.with(|shared| {
                if shared.slots() < values.len() {
                    return Err(Short);
                }
                shared.queue.extend(values);
                Ok(())
            })
        }
    }

    impl<T> Consumer<T> {
        pub fn pop(&mut self) -> Result<T, Short> {
            self.0.with(|shared| shared.queue.pop_front().ok_or(Short))
        }

        pub fn is_empty(&self) -> bool {
            self.0.with(|shared| shared.queue.is_empty())
        }

        pub fn slots(&self) -> usize {
            self.0.with(|shared| shared.queue.len())
        }

        pub fn buffer(&self) -> &RingBuffer<T> {
            &self.0
        }

        pub fn is_abandoned(&self) -> bool {
            self.0.with(|shared| shared.abandoned)
        }

        pub fn pop_entire_slice(&mut self, out: &mut [T]) -> Result<(), Short>
        where
            T: Copy,
        {
            self.0.with(|shared| {
                if shared.queue.len() < out.len() {
                    return Err(Short);
                }
                out.iter_mut().for_each(|place| *place = shared.queue.pop_front().unwrap_or(*place));
                Ok(())
            })
        }
    }
}
