//! JSON lines pushed to a server: batches of them as bodies of POST requests, one after the other.
//!
//! A batch is settled when the server has taken it (2xx), so each line arrives at least once and in order. What the server refuses for what
//! it holds (400, 413, 422) goes again in halves, until the lines that are refused stand alone: those are given up and counted by reason.
//! All else is tried again, for as long as it takes, with waits that grow and are drawn at random, or that the server names. Meanwhile
//! the journal keeps what comes, and no other sink waits.

mod answer;
mod batch;
mod body;
mod client;

use std::time::{Duration, Instant};

pub use answer::Refused;

use super::Seat;
use crate::config::HttpsSink;
use crate::journal::{Both, Message, Next};
use answer::Answer;
use batch::{Batch, Fate};
use client::Client;

/// A batch is sent once its messages take so many times the bytes of a body, which has some at least.
const HELD_TIMES: usize = 4;
const HELD_MIN: usize = 1 << 20;
/// How long the thread sleeps when there is nothing to do.
const IDLE_WAIT: Duration = Duration::from_millis(250);

/// The sink's thread.
pub(super) struct Push {
    config: HttpsSink,
    client: Client,
    seat: Seat<Both>,
    batch: Batch,
    /// Attempts in a row that came to nothing.
    failures: u32,
}

impl Push {
    /// # Errors
    /// What is wrong with its trust or its credentials.
    pub(super) fn new(config: &HttpsSink, seat: Seat<Both>) -> Result<Self, String> {
        Ok(Self { client: Client::new(config)?, config: config.clone(), seat, batch: Batch::default(), failures: 0 })
    }

    /// Works until the journal is closed and empty, or the deadline has passed.
    pub(super) fn run(mut self) {
        loop {
            match self.seat.cursor.next(self.wait()) {
                Next::Message(message) => {
                    if !self.take(message) {
                        break;
                    }
                }
                Next::Empty => {}
                Next::Closed => {
                    self.flush();
                    break;
                }
            }
            if self.is_due() && !self.flush() {
                break;
            }
        }
        self.seat.health.ended();
    }

    fn age_max(&self) -> Duration {
        Duration::from_millis(self.config.batch_ms)
    }

    fn wait(&self) -> Duration {
        self.batch.since().map_or(IDLE_WAIT, |since| self.age_max().saturating_sub(since.elapsed()).min(IDLE_WAIT))
    }

    fn is_due(&self) -> bool {
        let is_full = self.batch.lines() >= self.config.batch_lines || self.batch.bytes() >= self.config.batch_bytes;
        // What is not wanted is settled in its turn too.
        let is_heavy = self.batch.held() >= HELD_TIMES * self.config.batch_bytes.max(HELD_MIN);
        is_full || is_heavy || self.batch.since().is_some_and(|since| since.elapsed() >= self.age_max())
    }

    /// Puts a message's lines to the others; one of another topic is settled in its turn. False if this sink has ended.
    fn take(&mut self, message: std::sync::Arc<Message>) -> bool {
        let topics = &self.config.topics;
        let is_wanted = message.kind != crate::journal::Kind::Flows || topics.is_empty() || topics.contains(&message.key);
        match self.batch.add(message, is_wanted) {
            Ok(()) => true,
            Err((message, fault)) => {
                // Lines before it are settled first: the journal settles in order.
                let goes_on = self.flush();
                let count = message.count().max(1);
                self.refused(Refused::NoMessage, count, &fault);
                self.seat.health.failed_of(&message, count);
                self.seat.cursor.commit(u64::from(goes_on));
                goes_on
            }
        }
    }

    /// Sends all that is gathered, in as many bodies as it takes. False if this sink has ended.
    fn flush(&mut self) -> bool {
        // Ranges of lines, the next one last.
        let mut open = self.batch.bodies(self.config.batch_lines, self.config.batch_bytes);
        open.reverse();
        while let Some((from, to)) = open.pop() {
            match self.send(from, to) {
                None => return false,
                Some(Answer::Refused(..)) if to - from > 1 => {
                    let middle = from + (to - from) / 2;
                    open.extend([(middle, to), (from, middle)]);
                }
                Some(Answer::Refused(reason, status)) => {
                    // What it says beside is nobody's: it may hold what we sent.
                    self.refused(reason, 1, &format!("the server answers {status} to a single line"));
                    self.settle(to, true);
                }
                Some(_) => self.settle(to, false),
            }
        }
        self.settle(self.batch.lines(), false);
        self.batch.clear();
        true
    }

    fn refused(&self, reason: Refused, lines: u64, why: &str) {
        self.seat.health.refused(reason.name(), lines, why.to_owned(), reason.remedy());
    }

    /// Sends these lines until the server says what becomes of them. None: the time is over.
    fn send(&mut self, from: usize, to: usize) -> Option<Answer> {
        let body = body::make(&self.config, self.batch.slice(from, to));
        loop {
            match self.client.post(&body) {
                Answer::Again(again) => {
                    let health = &self.seat.health;
                    health.error(again.why);
                    health.retried(1);
                    health.down(&again.remedy);
                    let drawn = answer::drawn(self.failures, random());
                    self.failures = self.failures.saturating_add(1);
                    if !self.rest(again.after.map_or(drawn, |after| after.max(drawn))) {
                        return None;
                    }
                }
                said => {
                    self.failures = 0;
                    self.seat.health.up();
                    return Some(said);
                }
            }
        }
    }

    /// Waits; false once the deadline of the stop has passed.
    fn rest(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        while !self.seat.stop.expired() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            self.seat.stop.pause(left);
        }
        false
    }

    /// Lines before `to` are done with: messages that have no others are settled.
    fn settle(&mut self, to: usize, is_refused: bool) {
        let health = &self.seat.health;
        let whole = self.batch.settle(to, is_refused, |message, Fate { delivered, refused, unreadable }| {
            health.delivered_of(message, delivered);
            health.failed_of(message, refused + unreadable);
            if unreadable > 0 {
                let why = format!("{unreadable} lines of a lot are damaged in the journal, and cannot be read");
                health.refused(Refused::NoMessage.name(), unreadable, why, Refused::NoMessage.remedy());
            }
            if delivered > 0 {
                health.aged(message);
            }
        });
        if whole > 0 {
            self.seat.cursor.commit(whole);
        }
    }
}

/// Where none is to be had, waits are the longest that may be drawn.
fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX)
}
