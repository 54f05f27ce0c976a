//! Which messages a sink did not get, by window and by range.
//!
//! An account that says it may itself be one of them: then what it said is told once more ([`Lost`]).

use std::collections::BTreeMap;

use prost::Message as _;

use super::telling::KINDS;
use super::{Kind, Message, WindowOf};
use crate::report::pb;

/// Windows and ranges that are told apart; what comes on top is told as others'.
const WINDOWS_MAX: usize = 4_096;
const RANGES_MAX: usize = 1 << 17;
/// What a message lists of windows takes no more bytes, nor what it lists of ranges: an account names several sinks, and brokers take
/// few long messages.
const LIST_BYTES_MAX: usize = 3 << 10;
/// What an entry's place in a list adds to it, at most.
const PLACE_BYTES: usize = 4;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Messages of each window, by [`Kind::ALL`].
    pub windows: BTreeMap<WindowOf, [u64; Kind::COUNT]>,
    /// Reports of each range, by prefix.
    pub ranges: BTreeMap<String, u64>,
    /// Messages of which nothing is known but that they were there: they were damaged.
    pub damaged: u64,
    /// They were of windows between: the start of the one whose message is read before them, the end of the one behind. 0 and
    /// [`u64::MAX`]: nothing is.
    pub damaged_within: Option<WindowOf>,
    /// Messages of further windows,
    pub other_windows: u64,
    /// and reports of further ranges.
    pub other_ranges: u64,
    /// Further ranges of which a message told that the sink did not get, at most.
    unnamed: u64,
    /// Messages that were told of before, to nobody.
    again: u64,
}

/// What is to be known of a message that is lost.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) position: u64,
    pub(super) window: WindowOf,
    kind: Kind,
    /// Messages that a consumer would have seen of it.
    count: u64,
    /// Of a range's report, its prefix.
    range: Option<String>,
    /// Of an account, what it says that sinks have lost: reports, flows, packet logs.
    told: Option<Box<[Vec<pb::JournalLosses>; KINDS]>>,
}

impl Lost {
    pub(super) fn of(position: u64, message: &Message) -> Self {
        let range = (message.kind == Kind::Ranges).then(|| message.key.clone());
        Self { position, window: message.window, kind: message.kind, count: message.count(), range, told: told_by(message) }
    }

    pub(super) fn is_config(&self) -> bool {
        self.kind == Kind::Configs
    }

    /// What the sink does not hear now: which reports it has lost, which flows, which packet logs.
    pub(super) fn untold(&self, sink: &str) -> Option<[Losses; KINDS]> {
        let of = |told: &Vec<pb::JournalLosses>| told.iter().find(|told| told.sink == sink).map(Losses::again).unwrap_or_default();
        self.told.as_ref().map(|told| told.each_ref().map(of))
    }
}

fn told_by(message: &Message) -> Option<Box<[Vec<pb::JournalLosses>; KINDS]>> {
    let account = (message.kind == Kind::Appliance).then(|| pb::ApplianceReport::decode(&*message.payload).ok()).flatten()?;
    let flows = account.flows.map(|flows| flows.journal_losses).unwrap_or_default();
    let logs = account.exports.and_then(|exports| exports.packet_logs).map(|logs| logs.journal_losses).unwrap_or_default();
    let told = [account.journal_losses, flows, logs];
    told.iter().any(|told| !told.is_empty()).then(|| Box::new(told))
}

impl Losses {
    /// What a sink lost, as long as a message may be: the oldest windows, and the ranges that lost most.
    pub fn told(&self, sink: &str) -> pb::JournalLosses {
        let mut ranges: Vec<(&String, &u64)> = self.ranges.iter().collect();
        ranges.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        let count = |(prefix, n): (&String, &u64)| pb::NamedCount { name: prefix.clone(), value: *n };
        pb::JournalLosses {
            sink: sink.to_owned(),
            windows: fitting(self.windows.iter().map(lost_window)),
            ranges: fitting(ranges.iter().copied().map(count)),
            ranges_affected: ranges.len() as u64 + self.unnamed,
            damaged: self.damaged,
            damaged_from_ns: self.damaged_within.map_or(0, |within| within.start_ns),
            damaged_to_ns: self.damaged_within.map_or(0, |within| if within.end_ns == u64::MAX { 0 } else { within.end_ns }),
            total: self.messages(),
        }
    }

    /// The same of what was told before, to nobody.
    pub(super) fn again(told: &pb::JournalLosses) -> Self {
        let mut losses = Self { damaged: told.damaged, again: told.total, ..Self::default() };
        for window in &told.windows {
            let pb::LostWindow { window_start_ns: start_ns, window_end_ns: end_ns, ranges, appliance, links, events, configs, flows, logs } =
                *window;
            losses.windows.insert(WindowOf { start_ns, end_ns }, [ranges, appliance, links, events, configs, flows, logs]);
        }
        losses.ranges = told.ranges.iter().map(|range| (range.name.clone(), range.value)).collect();
        let end_ns = if told.damaged_to_ns == 0 { u64::MAX } else { told.damaged_to_ns };
        losses.damaged_within = (told.damaged > 0).then_some(WindowOf { start_ns: told.damaged_from_ns, end_ns });
        losses.unnamed = told.ranges_affected.saturating_sub(losses.ranges.len() as u64);
        losses.other_windows = told.total.saturating_sub(losses.messages());
        losses
    }

    /// The same, of which an account that somebody got did not tell yet.
    pub(super) fn at_first(self) -> Self {
        Self { again: 0, ..self }
    }

    /// The same without the names of ranges.
    pub(super) fn summary(&self) -> Self {
        let (windows, unnamed) = (self.windows.clone(), self.unnamed + self.ranges.len() as u64);
        let Self { damaged, damaged_within, other_windows, other_ranges, again, .. } = *self;
        Self { windows, ranges: BTreeMap::new(), damaged, damaged_within, other_windows, other_ranges, unnamed, again }
    }

    /// So many are damaged, between messages of these windows.
    pub(super) fn add_damaged(&mut self, count: u64, within: WindowOf) {
        if count > 0 {
            self.damaged += count;
            self.widen(within);
        }
    }

    fn widen(&mut self, WindowOf { start_ns, end_ns }: WindowOf) {
        let now = self.damaged_within.unwrap_or(WindowOf { start_ns, end_ns });
        self.damaged_within = Some(WindowOf { start_ns: now.start_ns.min(start_ns), end_ns: now.end_ns.max(end_ns) });
    }

    /// Messages of these that were told of before, in accounts that the sink did not get.
    pub const fn told_before(&self) -> u64 {
        self.again
    }

    /// How many.
    pub fn messages(&self) -> u64 {
        self.windows.values().flatten().sum::<u64>() + self.damaged + self.other_windows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.messages() == 0
    }

    /// What was lost elsewhere, or before.
    pub(super) fn merge(&mut self, other: Self) {
        for (window, more) in other.windows {
            match self.of_window(window) {
                Some(sum) => sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more),
                None => self.other_windows += more.iter().sum::<u64>(),
            }
        }
        for (range, n) in other.ranges {
            self.add_range(&range, n);
        }
        self.damaged += other.damaged;
        if let Some(within) = other.damaged_within {
            self.widen(within);
        }
        self.other_windows += other.other_windows;
        self.other_ranges += other.other_ranges;
        self.unnamed += other.unnamed;
        self.again += other.again;
    }

    pub(super) fn add(&mut self, lost: &Lost) {
        match self.of_window(lost.window) {
            Some(sum) => sum[lost.kind as usize] += lost.count,
            None => self.other_windows += lost.count,
        }
        if let Some(range) = &lost.range {
            self.add_range(range, 1);
        }
    }

    /// None: there are too many.
    fn of_window(&mut self, window: WindowOf) -> Option<&mut [u64; Kind::COUNT]> {
        let has_room = self.windows.len() < WINDOWS_MAX || self.windows.contains_key(&window);
        has_room.then(|| self.windows.entry(window).or_default())
    }

    fn add_range(&mut self, range: &str, n: u64) {
        if let Some(count) = self.ranges.get_mut(range) {
            *count += n;
        } else if self.ranges.len() < RANGES_MAX {
            self.ranges.insert(range.to_owned(), n);
        } else {
            self.other_ranges += n;
        }
    }
}

fn lost_window((window, [ranges, appliance, links, events, configs, flows, logs]): (&WindowOf, &[u64; Kind::COUNT])) -> pb::LostWindow {
    pb::LostWindow {
        window_start_ns: window.start_ns,
        window_end_ns: window.end_ns,
        ranges: *ranges,
        appliance: *appliance,
        links: *links,
        events: *events,
        configs: *configs,
        flows: *flows,
        logs: *logs,
    }
}

/// The first ones, as many as may be.
fn fitting<M: prost::Message>(all: impl Iterator<Item = M>) -> Vec<M> {
    let mut left = LIST_BYTES_MAX;
    let fits = |entry: &M| {
        let bytes = entry.encoded_len() + PLACE_BYTES;
        let has_room = bytes <= left;
        left = left.saturating_sub(bytes);
        has_room
    };
    all.take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(windows: u64, ranges: u64) -> Losses {
        let mut losses = Losses { damaged: 3, ..Losses::default() };
        for n in 0..windows {
            let window = WindowOf { start_ns: 1_700_000_000_000_000_000 + n, end_ns: u64::MAX };
            let prefix = format!("2001:db8:1234:5678:9abc:def0:{:x}:{:x}/128", n % ranges, n % ranges);
            let range = pb::RangeReport { window_start_ns: window.start_ns, window_end_ns: window.end_ns, prefix, ..Default::default() };
            losses.add(&Lost::of(n, &Message::range(&range)));
        }
        losses
    }

    /// However much is lost, an account that says so goes by any broker, and what it does not list it counts.
    #[test]
    fn what_is_told_is_short_and_what_was_told_is_whole_again() {
        for (windows, ranges) in [(1, 1), (20, 7), (5_000, 4_000), (300_000, 200_000)] {
            let losses = lost(windows, ranges);
            assert_eq!(losses.messages(), windows + 3);
            let told = losses.told("kafka");
            assert!(told.encoded_len() <= 2 * LIST_BYTES_MAX + 64, "{}", told.encoded_len());
            assert_eq!((told.total, told.damaged), (windows + 3, 3));
            assert!(told.windows.len() as u64 >= windows.min(50) && told.ranges.len() as u64 >= ranges.min(40));
            let again = Losses::again(&told);
            assert_eq!((again.messages(), again.damaged, again.told_before()), (windows + 3, 3, windows + 3));
            assert_eq!(again.told("kafka"), told);
            let mut both = lost(windows, ranges);
            both.merge(again);
            assert_eq!((both.messages(), both.told_before()), (2 * (windows + 3), windows + 3));
            assert!(both.windows.len() <= WINDOWS_MAX && both.ranges.len() <= RANGES_MAX);
        }
    }
}
