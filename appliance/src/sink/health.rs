//! What a sink's thread says of itself, and how it is told to stop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::age::LiveAges;
use crate::journal::{Kind, Message};
use crate::limits::FLOW_TOPICS_TOLD_MAX;
use crate::telemetry::{Ages, SinkState, SinkStatus};

/// What stands for topics beyond those that are told apart; no topic has this name.
const OTHERS: &str = "(others)";
/// What is given up is said again after so long.
const AGAIN: Duration = Duration::from_secs(60);

/// One sink's figures, written by its thread.
#[derive(Debug)]
pub(super) struct Health {
    pub(super) name: &'static str,
    address: String,
    state: AtomicU8,
    delivered: AtomicU64,
    failed: AtomicU64,
    retried: AtomicU64,
    flows: AtomicU64,
    flows_failed: AtomicU64,
    logs: AtomicU64,
    logs_failed: AtomicU64,
    /// Flow messages whose topic was refused, by topic; they are not in `flows_failed`, so that one moment has both as they are.
    topics_failed: Mutex<BTreeMap<String, u64>>,
    /// Lines that were given up, by reason; and when that was last said.
    refused: Mutex<BTreeMap<&'static str, (u64, Option<Instant>)>>,
    last_error: Mutex<Option<String>>,
    /// What was last said to mend it.
    remedy: Mutex<String>,
    ages: [LiveAges; 2],
    packet_ages: [LiveAges; 2],
}

impl Health {
    pub(super) fn new(name: &'static str, address: String) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            name,
            address,
            state: AtomicU8::new(0),
            delivered: zero(),
            failed: zero(),
            retried: zero(),
            flows: zero(),
            flows_failed: zero(),
            logs: zero(),
            logs_failed: zero(),
            topics_failed: Mutex::default(),
            refused: Mutex::default(),
            last_error: Mutex::default(),
            remedy: Mutex::default(),
            ages: Default::default(),
            packet_ages: Default::default(),
        }
    }

    /// So many messages that a consumer sees came out of this one of the journal's.
    pub(super) fn delivered_of(&self, message: &Message, messages: u64) {
        let counter = match message.kind {
            Kind::Flows => &self.flows,
            Kind::Logs => &self.logs,
            _ => &self.delivered,
        };
        counter.fetch_add(messages, Relaxed);
    }

    /// The same of those that were given up.
    pub(super) fn failed_of(&self, message: &Message, messages: u64) {
        let counter = match message.kind {
            Kind::Flows => &self.flows_failed,
            Kind::Logs => &self.logs_failed,
            _ => &self.failed,
        };
        counter.fetch_add(messages, Relaxed);
    }

    /// Flow messages were given up since brokers refuse their topic: they failed, too.
    #[cfg_attr(not(feature = "kafka"), allow(dead_code, reason = "only Kafka has topics"))]
    pub(super) fn failed_of_topic(&self, topic: &str, messages: u64) {
        let mut topics = self.topics_failed.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = if topics.len() < FLOW_TOPICS_TOLD_MAX || topics.contains_key(topic) { topic } else { OTHERS };
        *topics.entry(topic.to_owned()).or_default() += messages;
    }

    /// So many of them for this reason, where a sink has several. Says why, of each reason once a minute at most.
    #[cfg_attr(not(feature = "https"), allow(dead_code, reason = "only who pushes tells reasons"))]
    pub(super) fn refused(&self, reason: &'static str, messages: u64, why: String, remedy: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, told) = refused.entry(reason).or_default();
        *all += messages;
        if told.is_none_or(|told| told.elapsed() >= AGAIN) {
            *told = Some(Instant::now());
            let (sink, address) = (self.name, &self.address);
            tracing::warn!(sink, address, reason, "given up, {all} since the start, told once a minute at most: {why}; {remedy}");
        }
        self.error(why);
    }

    pub(super) fn retried(&self, attempts: u64) {
        self.retried.fetch_add(attempts, Relaxed);
    }

    pub(super) fn error(&self, text: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// It delivers. Says so once, if it did not before.
    pub(super) fn up(&self) {
        if self.state.swap(code(SinkState::Up), Relaxed) != code(SinkState::Up) {
            tracing::info!(sink = self.name, address = self.address, "delivering");
        }
    }

    /// A message was delivered just now: notes how old it was, from its window's end, and the oldest packet that it may hold, from its
    /// start.
    #[cfg_attr(not(any(feature = "kafka", feature = "https")), allow(dead_code, reason = "only who waits for acknowledgements tells ages"))]
    pub(super) fn aged(&self, message: &Message) {
        // A configuration is of no window that is over, nor is a flow or a packet.
        if matches!(message.kind, Kind::Configs | Kind::Flows | Kind::Logs) {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = |ns: u64| now.saturating_sub(Duration::from_nanos(ns));
        self.ages[usize::from(message.is_fast)].note(since(message.window.end_ns));
        self.packet_ages[usize::from(message.is_fast)].note(since(message.window.start_ns));
    }

    /// It cannot deliver. Says so once, until it can again or something else mends it.
    pub(super) fn down(&self, remedy: &str) {
        let told = std::mem::replace(&mut *self.remedy.lock().unwrap_or_else(PoisonError::into_inner), remedy.to_owned());
        if self.state.swap(code(SinkState::Down), Relaxed) != code(SinkState::Down) || told != remedy {
            let why = self.last_error().filter(|why| !why.is_empty()).unwrap_or_else(|| "nobody answers".to_owned());
            tracing::warn!(sink = self.name, address = self.address, "cannot deliver, trying again: {why}; {remedy}");
        }
    }

    pub(super) fn ended(&self) {
        self.state.store(code(SinkState::Ended), Relaxed);
    }

    /// All but what the journal knows.
    pub(super) fn status(&self) -> SinkStatus {
        let topics_failed = self.topics_failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        SinkStatus {
            name: self.name.to_owned(),
            state: [SinkState::Starting, SinkState::Up, SinkState::Down, SinkState::Ended][usize::from(self.state.load(Relaxed).min(3))],
            delivered: self.delivered.load(Relaxed),
            failed: self.failed.load(Relaxed),
            retried: self.retried.load(Relaxed),
            flows: self.flows.load(Relaxed),
            flows_failed: self.flows_failed.load(Relaxed) + topics_failed.values().sum::<u64>(),
            logs: self.logs.load(Relaxed),
            logs_failed: self.logs_failed.load(Relaxed),
            topics_failed,
            refused: self.refused.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(reason, (n, _))| (*reason, *n)).collect(),
            overflow: 0,
            behind: 0,
            lots_behind: 0,
            log_lots_behind: 0,
            last_error: self.last_error(),
            address: self.address.clone(),
            ages: by_kind(&self.ages),
            packet_ages: by_kind(&self.packet_ages),
        }
    }

    fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Of long windows and of fast ones, those of which there are any.
fn by_kind(ages: &[LiveAges; 2]) -> Vec<(&'static str, Ages)> {
    let all = ["long", "fast"].into_iter().zip(ages).map(|(kind, ages)| (kind, ages.snapshot()));
    all.filter(|(_, ages)| ages.count() > 0).collect()
}

const fn code(state: SinkState) -> u8 {
    match state {
        SinkState::Starting => 0,
        SinkState::Up => 1,
        SinkState::Down => 2,
        SinkState::Ended => 3,
    }
}

/// Says by when the sinks are to end; wakes those that wait to try again.
#[derive(Debug)]
pub(super) struct Stop {
    deadline: Mutex<Option<Instant>>,
    set: Condvar,
}

impl Stop {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { deadline: Mutex::new(None), set: Condvar::new() })
    }

    pub(super) fn set(&self, deadline: Instant) {
        *self.lock() = Some(deadline);
        self.set.notify_all();
    }

    /// True once the deadline has passed: undelivered messages are given up.
    pub(super) fn expired(&self) -> bool {
        self.lock().is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Waits before another attempt; shorter when the sinks are told to stop.
    pub(super) fn pause(&self, wait: Duration) {
        let deadline = self.lock();
        match *deadline {
            None => drop(self.set.wait_timeout(deadline, wait).unwrap_or_else(PoisonError::into_inner)),
            Some(by) => {
                drop(deadline);
                std::thread::sleep(wait.min(Duration::from_millis(50)).min(by.saturating_duration_since(Instant::now())));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::pb;

    /// A server that refuses each line is named once, and so is another reason.
    #[test]
    fn what_is_given_up_is_said_once_a_minute() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::new(file.reopen().unwrap())).finish();
        let health = Health::new("https", "https://h/in".to_owned());
        tracing::subscriber::with_default(subscriber, || {
            for reason in ["bad_request", "too_large", "bad_request", "bad_request"] {
                health.refused(reason, 2, format!("the server answers {reason}"), "look at its log");
            }
        });
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.contains("the server answers bad_request; look at its log") && text.contains("given up, 2 since the start"), "{text}");
        assert_eq!((text.lines().count(), text.matches("too_large").count()), (2, 2), "{text}");
        assert_eq!(health.status().refused, [("bad_request", 6), ("too_large", 2)]);
    }

    /// The oldest packet of a window is older than its report by the window's length.
    #[test]
    fn ages_are_of_the_report_and_of_its_oldest_packet() {
        let health = Health::new("s", String::new());
        let end_ns = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap() - 5_000_000_000;
        for (kind, length_s) in [(pb::WindowKind::Long, 10), (pb::WindowKind::Fast, 1)] {
            let window_start_ns = end_ns - length_s * 1_000_000_000;
            let range = pb::RangeReport { window_kind: kind.into(), window_start_ns, window_end_ns: end_ns, ..Default::default() };
            health.aged(&Message::range(&range));
        }
        health.aged(&Message::config(&pb::ConfigReport::default()));
        let status = health.status();
        for ((of, ages), ((of_packet, packets), length_s)) in status.ages.iter().zip(status.packet_ages.iter().zip([10, 1])) {
            assert_eq!((of, ages.count(), packets.count()), (of_packet, 1, 1));
            assert_eq!(packets.sum_us - ages.sum_us, length_s * 1_000_000);
        }
        assert_eq!(status.ages.len(), 2);
    }
}
