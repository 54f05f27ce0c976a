//! What the sink's thread does with flows whose topic is refused ([`super::refusals`]).

use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode;

use super::flight::Ticket;
use super::produce::{IN_FLIGHT_BYTES_MAX, IN_FLIGHT_MAX, KafkaSink};
use super::refusals::Course;
use super::trouble;
use crate::journal::Cursor;
use crate::sink::Seat;

/// How often it is looked whether something has waited for long enough.
const LOOK: Duration = Duration::from_millis(100);

impl KafkaSink {
    /// Flows of refused topics that are next make way for others.
    pub(super) fn step_aside(&mut self, seat: &Seat<Cursor>) {
        if self.refusals.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some((number, entry)) = self.flight.next()
            && entry.is_lot()
        {
            let topic = &entry.message.key;
            match self.refusals.course(topic, now) {
                Course::Go => return,
                Course::Wait => {
                    self.refusals.wait(topic, number);
                    self.flight.sent();
                }
                Course::GiveUp => self.give_up_lot(seat, number),
            }
        }
    }

    /// A broker, or librdkafka in its name, refused the topic of a lot's part.
    pub(super) fn topic_refused(&mut self, seat: &Seat<Cursor>, ticket: Ticket, code: RDKafkaErrorCode) {
        let Some(topic) = self.flight.of(ticket).map(|entry| entry.message.key.clone()) else { return };
        seat.health.error(format!("topic {topic}: {code}"));
        seat.health.retried(1);
        self.flight.again(ticket);
        if !self.refusals.refused(&topic, code, Instant::now()) {
            self.give_up_lot(seat, ticket.number);
        }
    }

    /// A broker took a message of a lot: if its topic was refused, what waits for it goes now.
    pub(super) fn topic_taken(&mut self, topic: &str) {
        let waiting = self.refusals.taken(topic);
        waiting.into_iter().flatten().for_each(|number| self.flight.goes_if_open(number));
    }

    /// From time to time: topics are asked for, what has waited for long is given up, and told.
    pub(super) fn look_at_refused(&mut self, seat: &Seat<Cursor>) {
        let now = Instant::now();
        if self.refusals.is_empty() || now.duration_since(self.looked_at) < LOOK {
            return;
        }
        self.looked_at = now;
        let waits = self.refusals.holds(self.flight.front());
        if waits {
            // The oldest is not forgotten: it waits.
            self.moved_at = now;
        }
        // What waits in front keeps the journal from forgetting what went past it: others never stop for it.
        let is_in_the_way = waits && (self.flight.len() >= IN_FLIGHT_MAX / 2 || self.flight.bytes() >= IN_FLIGHT_BYTES_MAX / 2);
        self.refusals.over(is_in_the_way, now).into_iter().for_each(|number| self.give_up_lot(seat, number));
        self.refusals.to_ask(now).into_iter().for_each(|number| self.flight.goes_if_open(number));
        self.commit(seat);
        self.tell_refused(now);
    }

    fn tell_refused(&mut self, now: Instant) {
        let (said, others) = self.refusals.untold(now);
        for said in said {
            let remedy = trouble::remedy_of_topic(said.code, &said.topic, &self.config);
            tracing::warn!(sink = "kafka", topic = said.topic, flows = said.flows, "flows are given up: {}; {remedy}", said.code);
        }
        if others > 0 {
            tracing::warn!(sink = "kafka", topics = others, "flows of further topics are given up: brokers refuse those too");
        }
    }

    /// What is not on its way of a lot is given up, and counted.
    fn give_up_lot(&mut self, seat: &Seat<Cursor>, number: usize) {
        let Some(entry) = self.flight.at(number) else { return self.flight.goes_not(number) };
        let flows = entry.give_up_unsent();
        seat.health.failed_of_topic(&entry.message.key, flows);
        self.refusals.gave_up(&entry.message.key, flows);
        self.flight.goes_not(number);
        self.flight.lighten(number);
    }
}
