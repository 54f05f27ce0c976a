//! What Kafka takes of the reports that were made: the real sink sends them to librdkafka's cluster inside this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::kafka::MOCK;
use crate::config::{KafkaSink, Sinks};
use crate::journal::{Bound, Journal, Message};
use crate::sink::{RunningSinks, names, start};

/// How long messages are sent, and how long they are waited for.
const SENT: Duration = Duration::from_millis(1_500);
const AWAITED: Duration = Duration::from_secs(10);
/// Between two looks at what was delivered.
const LOOK: Duration = Duration::from_millis(1);

/// Bytes a second, uncompressed, that are acknowledged; none: that could not be measured, as in a program without Kafka.
#[allow(clippy::cast_precision_loss, reason = "a rate")]
pub(super) fn bytes_per_second(kafka: &KafkaSink, messages: &[Message]) -> Option<f64> {
    let sinks = Sinks { kafka: Some(KafkaSink { compression: kafka.compression.clone(), ..KafkaSink::to(MOCK) }), ..Sinks::default() };
    let journal = Journal::new(Bound::default(), &names(&sinks));
    let mut running = start(&sinks, &journal).ok()?;
    let first = messages.get(..1)?;
    let mut sent = append(&journal, first);
    // Connections and topics are made with the first.
    let mut is_well = delivered(&running, sent);
    let (begun, mut bytes) = (Instant::now(), 0);
    while is_well && begun.elapsed() < SENT {
        // While these are on their way, those before them are waited for.
        let before = sent;
        sent += append(&journal, messages);
        bytes += messages.iter().map(|message| message.payload.len() as u64).sum::<u64>();
        is_well = delivered(&running, before);
    }
    is_well = is_well && delivered(&running, sent);
    let took = begun.elapsed();
    running.stop(Instant::now() + AWAITED);
    is_well.then(|| bytes as f64 / took.as_secs_f64())
}

fn append(journal: &Arc<Journal>, messages: &[Message]) -> u64 {
    messages.iter().filter(|message| journal.append((*message).clone())).count() as u64
}

/// Waits until so many were acknowledged; false if they are not.
fn delivered(running: &RunningSinks, count: u64) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < AWAITED {
        if running.status().iter().all(|sink| sink.delivered >= count) {
            return true;
        }
        std::thread::sleep(LOOK);
    }
    false
}
