//! Another producer in place of one that ended, or that is to have other secrets or shorter batches.

use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode;

use super::produce::{KafkaSink, RETRY_WAIT};
use super::settings::producer;
use super::trouble;
use crate::journal::Cursor;
use crate::sink::Seat;

/// That a producer is made anew for the same reason is said so often.
const TELL_ANEW: Duration = Duration::from_secs(600);

impl KafkaSink {
    /// The producer has ended itself. Another one begins: at once after something
    /// was too large, which will not go as it was; else it may end as soon.
    pub(super) fn ended(&mut self, seat: &Seat<Cursor>, code: RDKafkaErrorCode, text: &str) {
        if !trouble::says_little(code) && !trouble::is_of_size(code) {
            self.trouble = code;
            seat.health.error(text.to_owned());
            seat.health.down(&self.remedy());
        }
        if self.is_sized || self.read_at.elapsed() >= RETRY_WAIT {
            self.start_anew(seat, code, text);
        } else {
            self.retry_at = Some(self.read_at + RETRY_WAIT);
        }
    }

    /// A producer that cannot keep its promise (a message in its middle was refused, a broker forgot it) ends with a fatal
    /// error. A new one sends all that is in flight again; what had arrived after all comes twice, and its number shows it.
    fn start_anew(&mut self, seat: &Seat<Cursor>, code: RDKafkaErrorCode, text: &str) {
        if std::mem::take(&mut self.lower_batch) {
            // It was no longer than what came back of it.
            self.batch_bytes = (self.batch_bytes.min(std::mem::take(&mut self.refused_bytes)) / 2).max(1);
            tracing::info!(sink = "kafka", bytes = self.batch_bytes, "batches are too large for the broker, and are made shorter");
        } else if !self.troubled {
            if let Some(told) = told_anew(&mut self.told_anew, (code, text), self.flight.len(), Instant::now()) {
                tracing::warn!(sink = "kafka", "{told}");
            }
            seat.health.error(format!("{code}: {text}"));
        }
        self.renew(seat);
    }

    /// Another producer in place of this one, with secrets and certificates as they are now.
    pub(super) fn renew(&mut self, seat: &Seat<Cursor>) {
        self.read_at = Instant::now();
        match producer(&self.config, self.part.bounds(), self.batch_bytes) {
            Ok(new) => {
                (self.producer, self.is_sized) = (new, false);
                seat.health.retried(self.flight.all_again() as u64);
            }
            // A secret that cannot be read now, say: tried again.
            Err(fault) => {
                seat.health.error(fault);
                seat.health.down("let the user that runs the appliance read it: it is read again by itself");
                self.retry_at = Some(Instant::now() + RETRY_WAIT);
            }
        }
    }
}

/// What is to be said when a producer is made anew: nothing where nothing may come twice, and the same once in [`TELL_ANEW`].
fn told_anew(
    told: &mut Option<(RDKafkaErrorCode, Instant)>,
    (code, text): (RDKafkaErrorCode, &str),
    in_flight: usize,
    now: Instant,
) -> Option<String> {
    let is_known = told.is_some_and(|(known, at)| known == code && now.saturating_duration_since(at) < TELL_ANEW);
    if in_flight == 0 || is_known {
        return None;
    }
    *told = Some((code, now));
    Some(format!("the producer is made anew, {in_flight} reports may come twice: {code}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_producer_is_made_anew_is_said_once_and_not_of_nothing() {
        let (mut told, now, code) = (None, Instant::now(), RDKafkaErrorCode::GaplessGuarantee);
        assert_eq!(told_anew(&mut told, (code, "x"), 0, now), None);
        assert!(told_anew(&mut told, (code, "batch 7"), 3, now).is_some_and(|text| text.contains("3 reports")));
        assert_eq!(told_anew(&mut told, (code, "batch 8"), 3, now + TELL_ANEW / 2), None);
        assert!(told_anew(&mut told, (RDKafkaErrorCode::OutOfOrderSequenceNumber, "x"), 1, now).is_some());
        assert!(told_anew(&mut told, (code, "x"), 1, now + TELL_ANEW * 2).is_some());
    }
}
