//! The sink's thread: from the journal to acknowledged.
//!
//! Messages in flight stand in a queue in the journal's order. Each is handed to librdkafka; its delivery report marks it
//! settled or sends it again; what is settled at the queue's front is committed to the journal. So the journal's cursor
//! never passes a message that no broker has acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;

use super::client::{Context, Report, producer};
use super::topic::Topics;
use crate::config::KafkaSink as Config;
use crate::journal::{Message, Next};
use crate::sink::Seat;

/// Messages handed to librdkafka and not acknowledged; more wait in the journal.
const IN_FLIGHT_MAX: usize = 10_000;
/// Bytes of them, beyond which no further message is read.
const IN_FLIGHT_BYTES_MAX: usize = 64 << 20;
/// Messages read from the journal in one turn, before delivery reports are looked at.
const TURN_MESSAGES: usize = 512;
/// How long the thread waits for the journal when nothing is in flight.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// How long it waits for delivery reports when the journal has nothing new.
const REPORT_WAIT: Duration = Duration::from_millis(10);
/// How long it serves librdkafka's other events when nothing is in flight.
const EVENT_WAIT: Duration = Duration::from_millis(1);
/// How long a message that came back waits before it is sent again.
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// What to do about a broker that is away.
const REMEDY: &str = "start the broker, open the way to it, or correct [sinks.kafka] brokers";

/// The sink before its thread runs.
pub(in crate::sink) struct KafkaSink {
    config: Config,
    topics: Topics,
    producer: BaseProducer<Context>,
    in_flight: VecDeque<InFlight>,
    /// Number of the front of `in_flight`; numbers count up from 0.
    front: usize,
    /// Numbers of messages that are to be handed to librdkafka, oldest first.
    unsent: VecDeque<usize>,
    in_flight_bytes: usize,
    retry_at: Option<Instant>,
    /// A broker is there, but did not take the last message that it answered.
    troubled: bool,
}

struct InFlight {
    message: Arc<Message>,
    settled: bool,
}

impl KafkaSink {
    /// Makes the producer: what librdkafka refuses is refused now. No broker is asked yet.
    pub(in crate::sink) fn new(config: &Config) -> Result<Self, String> {
        let topics = Topics::new(&config.ranges_topic, &config.appliance_topic, &config.links_topic)?;
        Ok(Self {
            config: config.clone(),
            topics,
            producer: producer(config, IN_FLIGHT_MAX)?,
            in_flight: VecDeque::new(),
            front: 0,
            unsent: VecDeque::new(),
            in_flight_bytes: 0,
            retry_at: None,
            troubled: false,
        })
    }

    /// Works until the journal is closed and everything acknowledged, or the deadline has passed.
    pub(in crate::sink) fn run(mut self, seat: &Seat) {
        while !seat.stop.expired() {
            let open = self.read(seat);
            self.send(seat);
            // Also serves librdkafka's statistics and errors when nothing is in flight.
            self.producer.poll(if self.in_flight.is_empty() { EVENT_WAIT } else { REPORT_WAIT });
            self.listen(seat);
            if !open && self.in_flight.is_empty() {
                break;
            }
        }
        seat.health.ended();
    }

    /// Takes what the journal has, within the bounds. False when the journal is closed and empty.
    fn read(&mut self, seat: &Seat) -> bool {
        let mut wait = if self.in_flight.is_empty() { IDLE_WAIT } else { Duration::ZERO };
        for _ in 0..TURN_MESSAGES {
            if self.in_flight.len() >= IN_FLIGHT_MAX || self.in_flight_bytes >= IN_FLIGHT_BYTES_MAX {
                break;
            }
            match seat.cursor.next(wait) {
                Next::Message(message) => {
                    self.unsent.push_back(self.front + self.in_flight.len());
                    self.in_flight_bytes += message.bytes();
                    self.in_flight.push_back(InFlight { message, settled: false });
                }
                Next::Empty => break,
                Next::Closed => return false,
            }
            wait = Duration::ZERO;
        }
        true
    }

    /// Hands messages to librdkafka until it has enough.
    fn send(&mut self, seat: &Seat) {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.retry_at = None;
        while let Some(&number) = self.unsent.front() {
            let Some(entry) = self.in_flight.get(number - self.front) else { break };
            let topic = self.topics.of(&entry.message);
            let record = BaseRecord::with_opaque_to(&topic, number).key(&entry.message.key).payload(&*entry.message.payload);
            let refused = self.producer.send(record).err().map(|(fault, _)| fault);
            match refused.map(|fault| fault.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)) {
                // It holds as much as it may: the message stays here, and goes when there is room.
                Some(RDKafkaErrorCode::QueueFull) => break,
                None => {
                    self.unsent.pop_front();
                }
                Some(code) => {
                    self.unsent.pop_front();
                    seat.health.error(self.describe(number, code));
                    self.settle(seat, (number, Some(code)));
                }
            }
        }
        self.commit(seat);
    }

    /// Takes in what librdkafka has said.
    fn listen(&mut self, seat: &Seat) {
        let heard = self.producer.context().take();
        if let Some(error) = heard.error {
            seat.health.error(error);
        }
        for report in heard.reports {
            self.settle(seat, report);
        }
        self.commit(seat);
        match heard.brokers_up {
            Some(0) => seat.health.down(REMEDY),
            Some(_) if !self.troubled => seat.health.up(),
            Some(_) | None => {}
        }
        if let Some((code, text)) = self.producer.client().fatal_error() {
            self.start_anew(seat, &format!("{code}: {text}"));
        }
    }

    /// Marks one message, or sends it again.
    fn settle(&mut self, seat: &Seat, (number, error): Report) {
        let Some(entry) = number.checked_sub(self.front).and_then(|at| self.in_flight.get_mut(at)) else { return };
        match error {
            None => {
                entry.settled = true;
                self.troubled = false;
                seat.health.delivered(1);
                seat.health.up();
            }
            Some(code) if is_of_the_message(code) => {
                entry.settled = true;
                seat.health.failed(1);
                tracing::warn!(
                    sink = "kafka",
                    key = entry.message.key,
                    bytes = entry.message.payload.len(),
                    "a report was refused: {code}"
                );
            }
            Some(_) => {
                self.troubled = true;
                seat.health.retried(1);
                let at = self.unsent.partition_point(|&other| other < number);
                self.unsent.insert(at, number);
                self.retry_at = Some(Instant::now() + RETRY_WAIT);
                seat.health.down(REMEDY);
            }
        }
    }

    /// The journal may forget what is settled at the front.
    fn commit(&mut self, seat: &Seat) {
        let mut settled = 0;
        while self.in_flight.front().is_some_and(|entry| entry.settled) {
            self.in_flight_bytes -= self.in_flight.pop_front().map_or(0, |entry| entry.message.bytes());
            self.front += 1;
            settled += 1;
        }
        if settled > 0 {
            seat.cursor.commit(settled);
        }
    }

    /// An idempotent producer that lost its thread (a broker that forgot it) is fatal to librdkafka. A new one sends all
    /// that is in flight again; what had arrived after all comes twice, and its sequence number shows it.
    fn start_anew(&mut self, seat: &Seat, why: &str) {
        tracing::warn!(sink = "kafka", "the producer is made anew, {} reports may come twice: {why}", self.in_flight.len());
        seat.health.error(why.to_owned());
        match producer(&self.config, IN_FLIGHT_MAX) {
            Ok(new) => {
                self.producer = new;
                let unsettled = self.in_flight.iter().enumerate().filter(|(_, entry)| !entry.settled);
                self.unsent = unsettled.map(|(at, _)| self.front + at).collect();
                seat.health.retried(self.unsent.len() as u64);
            }
            // The same settings made one before: tried again in the next turn.
            Err(fault) => seat.health.error(fault),
        }
    }

    fn describe(&self, number: usize, code: RDKafkaErrorCode) -> String {
        let key = self.in_flight.get(number - self.front).map_or("", |entry| &entry.message.key);
        format!("key {key}: {code}")
    }
}

/// True if the message itself is at fault: sending it again would not help.
const fn is_of_the_message(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::MessageBatchTooLarge
            | RDKafkaErrorCode::InvalidTimestamp
    )
}
