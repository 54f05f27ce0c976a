//! What the sink's thread does with a message that is too large for a broker ([`super::sizes`], [`super::split`]).

use std::sync::Arc;
use std::time::Instant;

use super::KafkaSink;
use super::flight::{Entry, Ticket};
use crate::journal::{Cursor, Kind};
use crate::sink::Seat;

/// What mends it for good.
const REMEDY: &str = "raise max.message.bytes of the topic and message.max.bytes of the brokers, or lower its `k`, `p` or bins";
const MORE_ROOM: &str = "raise max.message.bytes of the topic and message.max.bytes of the brokers";

impl KafkaSink {
    /// A broker takes no request as long as the one that held this part. Was it the part, or its company? One that is longer than
    /// a batch was alone: its report is cut, or its only stat made smaller. Else batches become shorter, until the part is taken or alone.
    pub(super) fn too_large(&mut self, seat: &Seat<Cursor>, ticket: Ticket) {
        let Some(entry) = self.flight.of(ticket) else { return };
        let bytes = entry.part(ticket.part).1.len();
        let message = Arc::clone(&entry.message);
        seat.health.retried(1);
        if bytes <= self.batch_bytes {
            self.lower_batch = true;
            self.refused_bytes += bytes;
            self.flight.again(ticket);
            return;
        }
        let (key, topic) = (&message.key, self.topics.of(&message).into_owned());
        let can_be_cut = !is_whole(entry, ticket.part);
        if let Some(stat) = entry.only_stat(ticket.part) {
            if self.sizes.refused((&topic, stat), bytes, Instant::now()) {
                tracing::warn!(
                    sink = "kafka",
                    topic = &*topic,
                    key,
                    stat,
                    bytes,
                    "a stat alone is too large for the broker, and is made smaller; {REMEDY}"
                );
            }
        } else if can_be_cut {
            tracing::info!(sink = "kafka", key, bytes, "a report is too large for the broker, and goes in parts");
            self.sizes.refused_together(bytes);
        }
        if can_be_cut && self.cut(seat, ticket.number) {
            return self.flight.again_from(ticket.number);
        }
        let (least, taken) = self.wholes.refused(&topic, bytes, Instant::now());
        self.topic_is_well(ticket);
        if let Some(entry) = self.flight.of(ticket) {
            entry.give_up(ticket.part);
            seat.health.failed_of(&message, 1);
            let what = if entry.is_lot() { "a flow message" } else { "a report" };
            tracing::warn!(
                sink = "kafka",
                topic = &*topic,
                key,
                bytes,
                least,
                taken,
                "{what} is too large for the broker, and cannot be cut: it is given up, and so are those of `least` bytes and more that \
                 follow; {MORE_ROOM}"
            );
        }
    }

    /// What is next cannot be cut, and is as large as what its topic refused before: it is given up, and no broker is asked.
    pub(super) fn has_no_room(&mut self, seat: &Seat<Cursor>, ticket: Ticket) -> bool {
        if self.wholes.is_empty() {
            return false;
        }
        let Some(entry) = self.flight.of(ticket).filter(|entry| is_whole(entry, ticket.part)) else { return false };
        let bytes = entry.part(ticket.part).1.len();
        if !self.wholes.has_no_room(&self.topics.of(&entry.message), bytes, Instant::now()) {
            return false;
        }
        entry.give_up(ticket.part);
        seat.health.failed_of(&entry.message, 1);
        if !entry.is_lot() || entry.to_hand().is_none() {
            self.flight.sent();
        }
        self.flight.lighten(ticket.number);
        true
    }

    /// Cuts a report by what is known of sizes. What has no room however small it is made is left out, and counted. False: it cannot be
    /// cut.
    pub(super) fn cut(&mut self, seat: &Seat<Cursor>, number: usize) -> bool {
        let Some(entry) = self.flight.at(number) else { return false };
        let message = Arc::clone(&entry.message);
        let (topic, sizes, now) = (self.topics.of(&message), &mut self.sizes, Instant::now());
        let (whole_max, version) = (sizes.whole_max(), sizes.version());
        let Some(left_out) = entry.cut(whole_max, version, |stat, bytes| sizes.room((&topic, stat), bytes, now)) else { return false };
        seat.health.failed_of(&message, left_out.len() as u64);
        for stat in left_out.iter().filter(|stat| sizes.tells((&topic, stat))) {
            let key = &message.key;
            tracing::warn!(
                sink = "kafka",
                topic = &*topic,
                key,
                stat,
                "a stat is too large for the broker however small it is made, and is left out; {REMEDY}"
            );
        }
        true
    }

    /// A part was taken: if it was of a stat alone, its size is one that this topic takes.
    pub(super) fn size_taken(&mut self, ticket: Ticket) {
        if self.sizes.is_empty() && self.wholes.is_empty() {
            return;
        }
        let Some(entry) = self.flight.of(ticket) else { return };
        let bytes = entry.part(ticket.part).1.len();
        if is_whole(entry, ticket.part) {
            self.wholes.taken(&self.topics.of(&entry.message), bytes);
        }
        if let Some(stat) = entry.only_stat(ticket.part) {
            self.sizes.taken((&self.topics.of(&entry.message), stat), bytes);
        }
    }
}

/// Whether it goes as it is or not at all.
fn is_whole(entry: &Entry, part: u16) -> bool {
    entry.message.kind != Kind::Ranges || entry.is_bare(part)
}
