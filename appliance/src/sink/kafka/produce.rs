//! The sink's thread: from the journal to acknowledged.
//!
//! Messages in flight stand in the journal's order ([`super::flight`]). Each is handed to librdkafka; its delivery report marks it
//! settled or sends it again; what is settled at the front is committed to the journal. So the journal's cursor never passes a
//! message that no broker has acknowledged.
//!
//! An error that a later message could overtake is fatal to the producer (`enable.gapless.guarantee`): a new one then sends
//! everything that is not acknowledged again, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;

use super::client::{Context, Report};
use super::flight::{Flight, Ticket};
use super::part::Part;
use super::refusals::Refusals;
use super::settings::{BATCH_BYTES_MAX, producer};
use super::sizes::Sizes;
use super::topic::Topics;
use super::trouble;
use super::wholes::Wholes;
use crate::config::KafkaSink as Config;
use crate::journal::{Cursor, Next};
use crate::sink::Seat;

/// Messages handed to librdkafka and not acknowledged; more wait in the journal.
pub(super) const IN_FLIGHT_MAX: usize = 10_000;
/// Bytes of them, beyond which no further message is read.
pub(super) const IN_FLIGHT_BYTES_MAX: usize = 64 << 20;
/// Messages read from the journal in one turn, before delivery reports are looked at.
const TURN_MESSAGES: usize = 512;
/// How long the thread waits for the journal when nothing is in flight.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// How long it waits for delivery reports when the journal has nothing new.
const REPORT_WAIT: Duration = Duration::from_millis(10);
/// How long it serves librdkafka's other events when nothing is in flight.
const EVENT_WAIT: Duration = Duration::from_millis(1);
/// How long a message that came back waits before it is sent again.
pub(super) const RETRY_WAIT: Duration = Duration::from_secs(1);
/// How long secrets and certificates that no broker takes are used before they are read again.
const TRUST_WAIT: Duration = Duration::from_secs(3);
/// How long the oldest message may be unanswered before another producer is to send it: one whose brokers all went away at once may
/// have forgotten them.
const STALL_WAIT: Duration = Duration::from_secs(20);
/// A producer that was made just now need not have found its brokers yet.
const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// The sink before its thread runs.
pub(in crate::sink) struct KafkaSink {
    pub(super) config: Config,
    pub(super) part: Part,
    pub(super) topics: Topics,
    pub(super) producer: BaseProducer<Context>,
    pub(super) flight: Flight,
    /// Topics of flows that brokers refuse,
    pub(super) refusals: Refusals,
    /// and when it was last looked at what waits for them.
    pub(super) looked_at: Instant,
    pub(super) retry_at: Option<Instant>,
    /// A broker is there, but did not take the last message that it answered.
    pub(super) troubled: bool,
    /// The last thing that went wrong.
    pub(super) trouble: RDKafkaErrorCode,
    /// What librdkafka said of it.
    said: String,
    /// When secrets and certificates were last read.
    pub(super) read_at: Instant,
    /// When the oldest message in flight was last another one.
    pub(super) moved_at: Instant,
    /// Bytes of a batch: a message that is longer goes alone.
    pub(super) batch_bytes: usize,
    /// This producer refuses messages by what it heard before: another one is to ask again.
    stale: bool,
    /// A batch of this producer was too large, and whose fault that was is not known.
    pub(super) lower_batch: bool,
    /// Bytes of messages that came back with it.
    pub(super) refused_bytes: usize,
    /// A broker found something of this producer too large: what else comes back with it comes for no other reason.
    pub(super) is_sized: bool,
    /// What brokers take of reports and stats.
    pub(super) sizes: Sizes,
    /// What they take of messages that cannot be cut.
    pub(super) wholes: Wholes,
    /// Topics of reports that they refuse, and why: there is trouble until they take each.
    pub(super) denied: BTreeMap<String, RDKafkaErrorCode>,
    /// What was last said of why a producer was made anew, and when.
    pub(super) told_anew: Option<(RDKafkaErrorCode, Instant)>,
}

impl KafkaSink {
    /// Makes the producer: what librdkafka refuses is refused now. No broker is asked yet.
    pub(in crate::sink) fn new(config: &Config, part: Part) -> Result<Self, String> {
        let topics = Topics::new(config)?;
        for (what, remedy) in config.trust.weaknesses().into_iter().filter(|_| part == Part::Reports) {
            tracing::warn!(sink = "kafka", "{what}; {remedy}");
        }
        Ok(Self {
            config: config.clone(),
            part,
            topics,
            producer: producer(config, part.bounds(), BATCH_BYTES_MAX)?,
            flight: Flight::default(),
            refusals: Refusals::default(),
            looked_at: Instant::now(),
            retry_at: None,
            troubled: false,
            trouble: RDKafkaErrorCode::NoError,
            said: String::new(),
            read_at: Instant::now(),
            moved_at: Instant::now(),
            batch_bytes: BATCH_BYTES_MAX,
            stale: false,
            lower_batch: false,
            refused_bytes: 0,
            is_sized: false,
            sizes: Sizes::default(),
            wholes: Wholes::default(),
            denied: BTreeMap::new(),
            told_anew: None,
        })
    }

    /// Works until the journal is closed and everything acknowledged, or the deadline has passed.
    pub(in crate::sink) fn run(mut self, seat: &Seat<Cursor>) {
        self.warm_up();
        while !seat.stop.expired() {
            let (open, more) = self.read(seat);
            self.send(seat);
            // Also serves librdkafka's statistics and errors when nothing is in flight. Where the journal has more, nothing is waited for.
            self.producer.poll(if more { Duration::ZERO } else { self.report_wait() });
            self.listen(seat);
            self.look_at_refused(seat);
            self.look_for_stall(seat);
            if !open && self.flight.is_empty() {
                break;
            }
        }
        seat.health.ended();
    }

    /// The oldest message is not answered, though brokers may be there: one of them turns us away, or the producer forgot them.
    fn look_for_stall(&mut self, seat: &Seat<Cursor>) {
        if self.flight.is_empty() {
            self.moved_at = Instant::now();
        }
        let wait = if trouble::is_of_trust(self.trouble) { TRUST_WAIT } else { STALL_WAIT };
        if self.moved_at.elapsed() >= wait && self.read_at.elapsed() >= wait {
            self.troubled = true;
            seat.health.down(&self.remedy());
            self.renew(seat);
        }
    }

    fn report_wait(&self) -> Duration {
        if self.flight.is_empty() { EVENT_WAIT } else { REPORT_WAIT }
    }

    /// Takes what the journal has, within the bounds. Whether it may have more ever, and whether it may have at once.
    fn read(&mut self, seat: &Seat<Cursor>) -> (bool, bool) {
        let mut wait = if self.flight.is_empty() { IDLE_WAIT } else { Duration::ZERO };
        for _ in 0..TURN_MESSAGES {
            if self.flight.len() >= IN_FLIGHT_MAX || self.flight.bytes() >= IN_FLIGHT_BYTES_MAX {
                return (true, false);
            }
            match seat.cursor.next(wait) {
                Next::Message(message) => {
                    let unreadable = self.flight.push(Arc::clone(&message));
                    seat.health.failed_of(&message, unreadable);
                }
                Next::Empty => return (true, false),
                Next::Closed => return (false, false),
            }
            wait = Duration::ZERO;
        }
        (true, true)
    }

    /// Hands messages to librdkafka until it has enough.
    fn send(&mut self, seat: &Seat<Cursor>) {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.retry_at = None;
        if std::mem::take(&mut self.stale) {
            self.renew(seat);
        }
        loop {
            self.step_aside(seat);
            let Some((ticket, refused)) = self.send_one(seat) else { break };
            match refused {
                // It holds as much as it may: the message stays here, and goes when there is room.
                Some(RDKafkaErrorCode::QueueFull) => break,
                None => {}
                Some(code) => {
                    self.flight.sent();
                    seat.health.error(self.describe(ticket, code));
                    self.settle(seat, (ticket, Some(code)));
                    // What else it holds goes on.
                    self.flight.goes_if_open(ticket.number);
                    // What librdkafka itself refuses (a topic without rights) it goes on refusing until it looks again, in minutes.
                    self.stale = self.retry_at.is_some();
                    // A producer that has ended takes nothing more: another one follows.
                    if self.stale || trouble::says_little(code) {
                        break;
                    }
                }
            }
        }
        self.commit(seat);
    }

    /// Hands over one part of the message that is next. None: there is none.
    fn send_one(&mut self, seat: &Seat<Cursor>) -> Option<(Ticket, Option<RDKafkaErrorCode>)> {
        let (number, entry) = self.flight.next()?;
        if entry.is_to_cut(self.sizes.whole_max(), self.sizes.version()) {
            self.cut(seat, number);
        }
        let (_, entry) = self.flight.next()?;
        let part = entry.to_hand().unwrap_or_default();
        let ticket = self.flight.ticket(number, part)?;
        if self.has_no_room(seat, ticket) {
            return Some((ticket, None));
        }
        let (_, entry) = self.flight.next()?;
        let topic = self.topics.of(&entry.message);
        let (key, payload) = entry.part(part);
        let record = BaseRecord::with_opaque_to(&topic, ticket.word()).key(key).payload(payload);
        if let Err((fault, _)) = self.producer.send(record) {
            return Some((ticket, Some(fault.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown))));
        }
        entry.handed_one();
        if entry.to_hand().is_none() {
            self.flight.sent();
        }
        Some((ticket, None))
    }

    /// Takes in what librdkafka has said.
    fn listen(&mut self, seat: &Seat<Cursor>) {
        let heard = self.producer.context().take();
        if let Some((code, error)) = heard.error {
            if !trouble::says_little(code) {
                (self.trouble, self.said) = (code, error.clone());
            }
            seat.health.error(error);
        }
        for report in heard.reports {
            self.is_sized |= report.1.is_some_and(trouble::is_of_size);
            self.settle(seat, report);
        }
        self.commit(seat);
        match heard.brokers_up {
            Some(0) => self.nobody(seat),
            Some(_) if !self.troubled && self.denied.is_empty() => seat.health.up(),
            Some(_) | None => {}
        }
        if let Some((code, text)) = self.producer.client().fatal_error() {
            self.ended(seat, code, &text);
        }
    }

    /// No broker is connected. Where they turn us away, what they are shown is read again from time to time.
    fn nobody(&mut self, seat: &Seat<Cursor>) {
        if self.part != Part::Reports && self.flight.is_empty() || self.read_at.elapsed() < CONNECT_WAIT {
            return;
        }
        seat.health.down(&self.remedy());
        if trouble::is_of_trust(self.trouble) && self.read_at.elapsed() >= TRUST_WAIT {
            self.renew(seat);
        }
    }

    /// Whether others would wait for a topic that is refused.
    fn has_many_topics(&self) -> bool {
        self.part == Part::Flows && !self.config.flows_have_one_topic
    }

    /// Marks one message, or sends it again.
    fn settle(&mut self, seat: &Seat<Cursor>, (ticket, error): Report) {
        if error.is_none() {
            self.size_taken(ticket);
            self.topic_is_well(ticket);
        }
        let Some(entry) = self.flight.of(ticket) else { return };
        match error {
            None => {
                if entry.acknowledged(ticket.part) {
                    seat.health.delivered_of(&entry.message, 1);
                    seat.health.aged(&entry.message);
                }
                self.troubled = false;
                if self.denied.is_empty() {
                    seat.health.up();
                }
                if entry.is_lot() && !self.refusals.is_empty() {
                    let message = Arc::clone(&entry.message);
                    self.topic_taken(&message.key);
                }
                self.flight.lighten(ticket.number);
            }
            Some(code) if trouble::is_of_size(code) => self.too_large(seat, ticket),
            Some(code) if trouble::is_of_the_message(code) => {
                entry.give_up(ticket.part);
                seat.health.failed_of(&entry.message, 1);
                let bytes = entry.part(ticket.part).1.len();
                tracing::warn!(sink = "kafka", key = entry.message.key, bytes, "a report was refused: {code}");
            }
            Some(code) if self.has_many_topics() && trouble::is_of_the_topic(code) => self.topic_refused(seat, ticket, code),
            Some(code) => self.comes_back(seat, ticket, code),
        }
    }

    /// It goes again, and soon: the message is not at fault.
    fn comes_back(&mut self, seat: &Seat<Cursor>, ticket: Ticket, code: RDKafkaErrorCode) {
        seat.health.retried(1);
        // With what was too large its producer has ended, and all that it held comes back: brokers are well.
        if self.is_sized && trouble::says_little(code) {
            return self.flight.again(ticket);
        }
        self.troubled = true;
        if !trouble::says_little(code) && self.trouble != code {
            (self.trouble, self.said) = (code, String::new());
        }
        if trouble::is_of_the_topic(code)
            && let Some(entry) = self.flight.of(ticket)
        {
            self.denied.insert(self.topics.of(&entry.message).into_owned(), code);
        }
        self.flight.again(ticket);
        self.retry_at = Some(Instant::now() + RETRY_WAIT);
        seat.health.down(&self.remedy());
    }

    /// A broker took a message, or gave it up: its topic is no longer refused.
    pub(super) fn topic_is_well(&mut self, ticket: Ticket) {
        if !self.denied.is_empty()
            && let Some(entry) = self.flight.of(ticket)
        {
            self.denied.remove(&*self.topics.of(&entry.message));
        }
    }

    /// What mends the trouble; of topics that are refused for several reasons, each.
    pub(super) fn remedy(&self) -> String {
        if self.denied.is_empty() || !trouble::is_of_the_topic(self.trouble) {
            return trouble::remedy_of(self.trouble, &self.said, &self.config);
        }
        let remedies: BTreeSet<String> = self.denied.values().map(|code| trouble::remedy(*code, &self.config)).collect();
        remedies.into_iter().collect::<Vec<_>>().join("; ")
    }

    /// The journal may forget what is settled at the front.
    pub(super) fn commit(&mut self, seat: &Seat<Cursor>) {
        let settled = self.flight.settled();
        if settled > 0 {
            self.moved_at = Instant::now();
            seat.cursor.commit(settled as u64);
        }
    }

    fn describe(&mut self, ticket: Ticket, code: RDKafkaErrorCode) -> String {
        let message = self.flight.of(ticket).map(|entry| (self.topics.of(&entry.message).into_owned(), entry.message.key.clone()));
        let (topic, key) = message.unwrap_or_default();
        format!("topic {topic}, key {key}: {code}")
    }
}
