//! Messages into a lane of the journal, many to a lot: flows, and packet logs.

use std::sync::Arc;

use crate::journal::{Journal, LotForm, LotWriter, Message, WindowOf};
use crate::limits::{FLOW_LOT_BYTES, FLOW_LOT_MS_MAX};

/// Room in a lot's buffer for its last message.
const SPARE_BYTES: usize = 8 << 10;

/// Messages that were given on, and not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) written: u64,
    pub(super) refused: u64,
}

/// What becomes of a full lot: its topic's message, by its window.
pub(super) type Make = fn(&str, Box<[u8]>, WindowOf) -> Message;

/// The way of one topic's messages. A lot holds those of one window of the appliance, so what falls off the journal is told by window.
#[derive(Debug)]
pub(super) struct Lots {
    journal: Arc<Journal>,
    topic: String,
    make: Make,
    lot: LotWriter,
    window_ns: u64,
    window: WindowOf,
    /// When what comes now came,
    now_ns: u64,
    /// and when the first message in the lot did.
    begun_ns: u64,
    pub(super) given: Given,
}

impl Lots {
    /// Of a topic, in this form, into a journal, with windows of so many nanoseconds.
    pub(super) fn new(journal: Arc<Journal>, topic: &str, (form, make): (LotForm, Make), window_ns: u64) -> Self {
        Self {
            journal,
            topic: topic.to_owned(),
            make,
            lot: LotWriter::new(form, SPARE_BYTES),
            window_ns: window_ns.max(1),
            window: WindowOf::default(),
            now_ns: 0,
            begun_ns: 0,
            given: Given::default(),
        }
    }

    /// The same, of messages that leave out these of what is else always written.
    pub(super) fn leaving_out(self, bits: u8) -> Self {
        Self { lot: self.lot.leaving_out(bits), ..self }
    }

    /// What comes from here on came now, by the time that windows follow.
    pub(super) fn turn(&mut self, now_ns: u64) {
        let start_ns = now_ns - now_ns % self.window_ns;
        let is_old = now_ns.saturating_sub(self.begun_ns) >= FLOW_LOT_MS_MAX * 1_000_000;
        if is_old || start_ns != self.window.start_ns {
            self.flush();
            self.window = WindowOf { start_ns, end_ns: start_ns.saturating_add(self.window_ns) };
        }
        self.now_ns = now_ns;
    }

    /// For how long no message has begun a lot.
    pub(super) const fn idle_ns(&self) -> u64 {
        self.now_ns.saturating_sub(self.begun_ns)
    }

    /// Takes a message, as key and value append themselves.
    pub(super) fn put(&mut self, mut key: impl FnMut(&mut Vec<u8>), mut value: impl FnMut(&mut Vec<u8>)) {
        if !self.add(&mut key, &mut value) {
            self.flush();
            // One that no lot has room for.
            if !self.add(&mut key, &mut value) {
                self.given.refused += 1;
            }
        }
        if self.lot.bytes() >= FLOW_LOT_BYTES {
            self.flush();
        }
    }

    fn add(&mut self, key: impl FnOnce(&mut Vec<u8>), value: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.lot.count() == 0 {
            self.begun_ns = self.now_ns;
        }
        self.lot.put(key, value)
    }

    /// The journal gets what there is.
    pub(super) fn flush(&mut self) {
        let count = u64::from(self.lot.count());
        if count == 0 {
            return;
        }
        let message = (self.make)(&self.topic, self.lot.take(), self.window);
        let counter = if self.journal.append(message) { &mut self.given.written } else { &mut self.given.refused };
        *counter += count;
    }
}
