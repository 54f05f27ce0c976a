//! Which messages a sink did not get, by window and by range.

use std::collections::BTreeMap;

use super::{Kind, Message, WindowOf};

/// Windows and ranges that are told apart; what comes on top is told as others'.
const WINDOWS_MAX: usize = 4_096;
const RANGES_MAX: usize = 1 << 17;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Messages of each window, by [`Kind::ALL`].
    pub windows: BTreeMap<WindowOf, [u64; Kind::COUNT]>,
    /// Reports of each range, by prefix.
    pub ranges: BTreeMap<String, u64>,
    /// Messages of which nothing is known but that they were there: they were damaged.
    pub damaged: u64,
    /// Messages of further windows,
    pub other_windows: u64,
    /// and reports of further ranges.
    pub other_ranges: u64,
}

/// What is to be known of a message that is lost.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) position: u64,
    window: WindowOf,
    kind: Kind,
    /// Messages that a consumer would have seen of it.
    count: u64,
    /// Of a range's report, its prefix.
    range: Option<String>,
}

impl Lost {
    pub(super) fn of(position: u64, message: &Message) -> Self {
        let range = (message.kind == Kind::Ranges).then(|| message.key.clone());
        Self { position, window: message.window, kind: message.kind, count: message.count(), range }
    }
}

impl Losses {
    /// How many.
    pub fn messages(&self) -> u64 {
        self.windows.values().flatten().sum::<u64>() + self.damaged + self.other_windows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.messages() == 0
    }

    /// What was lost of another lane. (Both are bounded, so this is.)
    pub(super) fn merge(&mut self, other: Self) {
        for (window, more) in other.windows {
            let sum = self.windows.entry(window).or_default();
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
        for (range, n) in other.ranges {
            *self.ranges.entry(range).or_default() += n;
        }
        self.damaged += other.damaged;
        self.other_windows += other.other_windows;
        self.other_ranges += other.other_ranges;
    }

    pub(super) fn add(&mut self, lost: &Lost) {
        let is_new = !self.windows.contains_key(&lost.window);
        if is_new && self.windows.len() >= WINDOWS_MAX {
            self.other_windows += lost.count;
        } else {
            self.windows.entry(lost.window).or_default()[lost.kind as usize] += lost.count;
        }
        let Some(range) = &lost.range else { return };
        if let Some(count) = self.ranges.get_mut(range) {
            *count += 1;
        } else if self.ranges.len() < RANGES_MAX {
            self.ranges.insert(range.clone(), 1);
        } else {
            self.other_ranges += 1;
        }
    }
}
