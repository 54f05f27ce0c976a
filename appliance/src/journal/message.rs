//! One report on its way out: encoded once, shared by every sink.

use super::Lot;
use crate::report::{bounded, encode, pb};

/// What a message is, and so which topic it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A [`pb::RangeReport`].
    Ranges,
    /// A [`pb::ApplianceReport`].
    Appliance,
    /// A [`pb::LinkReport`].
    Links,
    /// A [`pb::Event`].
    Events,
    /// A [`pb::ConfigReport`].
    Configs,
    /// A [`Lot`] of flow messages.
    Flows,
    /// A [`Lot`] of packet logs.
    Logs,
}

impl Kind {
    /// All of them, in the order of their numbers in the journal's frames, which never change.
    pub const ALL: [Self; 7] = [Self::Ranges, Self::Appliance, Self::Links, Self::Events, Self::Configs, Self::Flows, Self::Logs];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();
    /// How many of them are reports, the first ones.
    pub const REPORTS: usize = 5;

    /// Whether a message of it is a [`Lot`] of many, each with a key of its own, that names its topic.
    pub const fn is_lot(self) -> bool {
        matches!(self, Self::Flows | Self::Logs)
    }
}

/// One report, as protobuf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What the payload holds.
    pub kind: Kind,
    /// It closes a fast window: it goes ahead of what closes long ones.
    pub is_fast: bool,
    /// Kafka's key: the range's prefix, the customer whose ranges are reported together, the link's name, the hash of the
    /// configuration, or the appliance's name. Of a lot, whose messages have keys of their own: the topic.
    pub key: String,
    /// Customer of the range; empty for what is of no range.
    pub customer: String,
    /// The message on the wire.
    pub payload: Box<[u8]>,
    /// The window that it closes.
    pub window: WindowOf,
}

/// A window, nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowOf {
    /// Its first.
    pub start_ns: u64,
    /// The first behind it.
    pub end_ns: u64,
}

impl Message {
    /// Encodes a range's report.
    pub fn range(report: &pb::RangeReport) -> Self {
        let key = if report.prefix.is_empty() { &report.customer } else { &report.prefix };
        let is_fast = report.window_kind() == pb::WindowKind::Fast;
        let window = WindowOf { start_ns: report.window_start_ns, end_ns: report.window_end_ns };
        let payload = encode(report);
        Self { kind: Kind::Ranges, is_fast, key: key.clone(), customer: report.customer.clone(), payload, window }
    }

    /// Encodes a link's report.
    pub fn link(report: &pb::LinkReport) -> Self {
        Self::new((Kind::Links, true), &report.link, report, (report.window_start_ns, report.window_end_ns))
    }

    /// Encodes the appliance's report, no longer than brokers take.
    pub fn appliance(report: &pb::ApplianceReport) -> Self {
        let is_fast = report.window_kind() == pb::WindowKind::Fast;
        let bounded = bounded(report);
        Self::new((Kind::Appliance, is_fast), &report.appliance, &*bounded, (report.window_start_ns, report.window_end_ns))
    }

    /// Encodes an event. All of an appliance's stand in one partition, in their order.
    pub fn event(event: &pb::Event) -> Self {
        Self::new((Kind::Events, true), &event.appliance, event, (event.window_start_ns, event.window_end_ns))
    }

    /// Encodes a configuration, or a part of one.
    pub fn config(report: &pb::ConfigReport) -> Self {
        Self::new((Kind::Configs, false), &report.config_hash, report, (report.from_window_ns, report.from_window_ns))
    }

    /// A lot of flow messages for a topic, received in this window.
    pub fn flows(topic: &str, lot: Box<[u8]>, window: WindowOf) -> Self {
        Self { kind: Kind::Flows, is_fast: false, key: topic.to_owned(), customer: String::new(), payload: lot, window }
    }

    /// A lot of packet logs for a topic, sampled in this window.
    pub fn logs(topic: &str, lot: Box<[u8]>, window: WindowOf) -> Self {
        Self { kind: Kind::Logs, ..Self::flows(topic, lot, window) }
    }

    /// How many messages a consumer sees of it.
    pub fn count(&self) -> u64 {
        match self.kind {
            kind if kind.is_lot() => Lot::read(&self.payload).map_or(0, |lot| u64::from(lot.count)),
            _ => 1,
        }
    }

    /// Of these, how many can be read: what a damaged lot says it has need not be there.
    pub fn readable(&self) -> u64 {
        match self.kind {
            kind if kind.is_lot() => Lot::read(&self.payload).map_or(0, |lot| (lot.places().count() as u64).min(lot.count.into())),
            _ => 1,
        }
    }

    /// Of a lot: messages that it says it has, and that a sink cannot read of it; at least one where nothing of it can be read.
    pub fn unreadable(&self) -> u64 {
        let is_none = self.kind.is_lot() && Lot::read(&self.payload).is_none();
        (self.count() - self.readable()).max(u64::from(is_none))
    }

    fn new((kind, is_fast): (Kind, bool), key: &str, report: &impl prost::Message, (start_ns, end_ns): (u64, u64)) -> Self {
        let payload = report.encode_to_vec().into_boxed_slice();
        Self { kind, is_fast, key: key.to_owned(), customer: String::new(), payload, window: WindowOf { start_ns, end_ns } }
    }

    /// Bytes that this message counts for in the journal's bound: its payload and texts, and a flat share of upkeep.
    pub fn bytes(&self) -> usize {
        /// Of the message, its reference count and its place in the queue.
        const UPKEEP_BYTES: usize = 128;
        self.payload.len() + self.key.len() + self.customer.len() + UPKEEP_BYTES
    }
}
