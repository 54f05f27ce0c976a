//! Lines that go together, and the messages that they are of.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::super::to_json_line;
use crate::journal::Message;

/// Lines gathered, oldest first.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where each line ends, its line end included.
    ends: Vec<usize>,
    /// Messages not settled.
    messages: VecDeque<Open>,
    /// Lines before are done with,
    done: usize,
    /// and those before are of messages that are settled.
    settled: usize,
    since: Option<Instant>,
    /// Bytes of all messages.
    held: usize,
}

/// A message that has lines here.
#[derive(Debug)]
struct Open {
    /// It goes up to this line.
    end: usize,
    /// Of its lines so many were refused,
    refused: u64,
    /// and so many are none: it is a lot that was damaged.
    unreadable: u64,
    message: Arc<Message>,
}

/// What became of a message's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) delivered: u64,
    pub(super) refused: u64,
    /// Damaged: it says that it has them, and they cannot be read.
    pub(super) unreadable: u64,
}

impl Batch {
    /// Adds a message's lines; of one that is not wanted none. On an error nothing is added.
    pub(super) fn add(&mut self, message: Arc<Message>, is_wanted: bool) -> Result<(), (Arc<Message>, String)> {
        let start = self.bytes.len();
        if is_wanted {
            match to_json_line(&message, &mut self.bytes) {
                Ok(()) => {}
                Err(fault) => return Err((message, fault)),
            }
        }
        let lines = self.bytes[start..].iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        self.ends.extend(lines.map(|(at, _)| start + at + 1));
        self.held += message.bytes();
        let unreadable = if is_wanted { message.unreadable() } else { 0 };
        self.messages.push_back(Open { end: self.ends.len(), refused: 0, unreadable, message });
        self.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// When the first of it came; none: it is empty.
    pub(super) const fn since(&self) -> Option<Instant> {
        self.since
    }

    pub(super) const fn lines(&self) -> usize {
        self.ends.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of the messages that it holds, wanted or not.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    fn start(&self, line: usize) -> usize {
        line.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0)
    }

    /// These lines.
    pub(super) fn slice(&self, from: usize, to: usize) -> &[u8] {
        self.bytes.get(self.start(from)..self.start(to)).unwrap_or(&[])
    }

    /// All lines in bodies of so many lines and bytes at most, but for one line that is longer.
    pub(super) fn bodies(&self, lines_max: usize, bytes_max: usize) -> Vec<(usize, usize)> {
        let (mut bodies, mut from) = (Vec::new(), 0);
        while from < self.ends.len() {
            let begin = self.start(from);
            let fits = self.ends[from..].partition_point(|end| end - begin <= bytes_max);
            let to = from + fits.clamp(1, lines_max.max(1));
            bodies.push((from, to.min(self.ends.len())));
            from = to;
        }
        bodies
    }

    /// Lines before `to` are delivered, or refused. `each` gets every message that has no others, with what became of its lines; how many
    /// these are. One without lines is settled when its turn comes.
    pub(super) fn settle(&mut self, to: usize, is_refused: bool, mut each: impl FnMut(&Message, Fate)) -> u64 {
        let mut whole = 0;
        if is_refused && let Some(of) = self.messages.iter_mut().find(|of| of.end > self.done) {
            of.refused += (to - self.done) as u64;
        }
        self.done = self.done.max(to);
        while let Some(Open { end, refused, unreadable, message }) = self.messages.pop_front_if(|of| of.end <= self.done) {
            each(&message, Fate { delivered: (end - self.settled) as u64 - refused, refused, unreadable });
            self.settled = end;
            whole += 1;
        }
        whole
    }

    /// Empty again.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        (self.done, self.settled, self.since, self.held) = (0, 0, None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{LotForm, LotWriter, WindowOf};

    fn lot(values: &[&str]) -> Arc<Message> {
        let mut writer = LotWriter::new(LotForm::Json, 100);
        values.iter().for_each(|value| assert!(writer.put(|_| (), |out| out.extend(value.as_bytes()))));
        Arc::new(Message::flows("t", writer.take(), WindowOf::default()))
    }

    #[test]
    fn bodies_hold_all_lines_once_within_their_bounds() {
        let mut batch = Batch::default();
        let lines: Vec<String> = (0..50).map(|n| format!("{{\"n\":\"{}\"}}", "x".repeat(n * n % 37))).collect();
        lines.chunks(7).for_each(|some| batch.add(lot(&some.iter().map(String::as_str).collect::<Vec<_>>()), true).unwrap());
        for (lines_max, bytes_max) in [(1, 1), (3, 60), (50, 1), (1_000, 1 << 20), (7, 100)] {
            let bodies = batch.bodies(lines_max, bytes_max);
            let whole: Vec<u8> = bodies.iter().flat_map(|(from, to)| batch.slice(*from, *to).to_vec()).collect();
            assert_eq!(String::from_utf8(whole).unwrap(), lines.iter().map(|line| format!("{line}\n")).collect::<String>());
            assert!(
                bodies.iter().all(|(from, to)| to - from <= lines_max && (to - from == 1 || batch.slice(*from, *to).len() <= bytes_max))
            );
        }
    }

    #[test]
    fn messages_are_settled_in_order_with_what_became_of_their_lines() {
        let mut batch = Batch::default();
        batch.add(lot(&["1", "2", "3"]), true).unwrap();
        batch.add(lot(&["9"]), false).unwrap();
        batch.add(lot(&["4"]), true).unwrap();
        // Two of its three lines are damaged.
        let whole = lot(&["5", "6", "7"]);
        let damaged = |wanted| (Arc::new(Message { payload: whole.payload[..13].into(), ..(*whole).clone() }), wanted);
        [damaged(true), damaged(false)].into_iter().for_each(|(message, is_wanted)| batch.add(message, is_wanted).unwrap());
        let mut seen = Vec::new();
        let mut settle = |batch: &mut Batch, to, refused| {
            batch.settle(to, refused, |_, Fate { delivered, refused, unreadable }| seen.push((delivered, refused, unreadable)))
        };
        assert_eq!(settle(&mut batch, 1, false), 0);
        assert_eq!(settle(&mut batch, 2, true), 0);
        assert_eq!(settle(&mut batch, 3, false), 2, "the one that is not wanted goes with the one before it");
        assert_eq!(settle(&mut batch, 4, true), 1);
        assert_eq!(settle(&mut batch, 5, false), 2);
        assert_eq!(seen, [(2, 1, 0), (0, 0, 0), (0, 1, 0), (1, 0, 2), (0, 0, 0)]);
    }
}
