//! Tags that came all along and come no more.
//!
//! Of each tag rule the frames of the last ten minutes and more are kept, in slots of ten seconds at least. Where nearly all slots had
//! some, and then none comes, a rule is silent once so many were to be expected that chance is out of the question: at the rate of the
//! poorest quarter of its slots (so that an attack which is over is not taken for what is usual), at least [`EXPECTED_MIN`]. If frames came
//! independently of each other at no less than that rate, none in that time has a chance of e^-20. They do not, so it must also be quiet
//! for three times as long as it ever was in those slots. After half an hour nobody knows any more what is usual: the rule begins anew.

use std::collections::VecDeque;

use crate::report::Glance;

/// A slot is so long at least, or a window.
const SLOT_NS: u64 = 10_000_000_000;
/// Slots that are kept, and needed.
const SLOTS: usize = 60;
/// So many of them, in hundredths, must have had frames.
const BUSY_PERCENT: usize = 90;
/// Frames that were to be expected, and windows without any, before a rule is silent.
pub(super) const EXPECTED_MIN: u64 = 20;
const QUIET_WINDOWS_MIN: u32 = 3;
/// It must be quiet for so many times its longest quiet stretch.
const QUIET_TIMES: u64 = 3;
/// A rule that is silent for so long begins anew.
const FORGOTTEN_NS: u64 = 1_800_000_000_000;

/// A tag rule that had frames all along and has none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilentTag {
    /// What it looks for.
    pub name: String,
    /// How long there was none.
    pub quiet_ns: u64,
    /// Frames that were to be expected in that time, at least.
    pub expected: u64,
}

/// Frames of a stretch of time, and the longest while without any that ended in it.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    frames: u64,
    length_ns: u64,
    quiet_ns: u64,
}

#[derive(Clone, Debug, Default)]
struct Watched {
    name: String,
    slots: VecDeque<Slot>,
    open: Slot,
    quiet_ns: u64,
    quiet_windows: u32,
    is_silent: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct TagWatch {
    rules: Vec<Watched>,
    /// The last stretch in which some rule was silent: start of the window that showed it first, end of the last one.
    silent_ns: Option<(u64, u64)>,
    /// End of the last window that was looked at.
    seen_ns: u64,
}

impl TagWatch {
    /// Looks at a window; whether some rule was silent in it, or in a part of it. A window that was seen in parts is not counted again.
    pub(super) fn look(&mut self, glance: &Glance<'_>) -> bool {
        let (start_ns, end_ns) = glance.bounds_ns;
        if start_ns >= self.seen_ns {
            self.seen_ns = end_ns;
            self.rules.resize_with(glance.tags.len(), Watched::default);
            let window_ns = end_ns.saturating_sub(start_ns);
            for (rule, (name, frames)) in self.rules.iter_mut().zip(glance.tags) {
                if rule.name != **name {
                    *rule = Watched { name: (*name).to_owned(), ..Watched::default() };
                }
                if !glance.is_disturbed {
                    rule.look(*frames, window_ns);
                }
            }
            if self.rules.iter().any(|rule| rule.is_silent) {
                let goes_on = self.silent_ns.filter(|(_, end)| *end == start_ns);
                self.silent_ns = Some((goes_on.map_or(start_ns, |(start, _)| start), end_ns));
            }
        }
        self.silent_ns.is_some_and(|(from, to)| from < end_ns && to > start_ns)
    }

    pub(super) fn silent(&self) -> Vec<SilentTag> {
        let told = |rule: &Watched| SilentTag { name: rule.name.clone(), quiet_ns: rule.quiet_ns, expected: rule.expected() };
        self.rules.iter().filter(|rule| rule.is_silent).map(told).collect()
    }
}

impl Watched {
    fn look(&mut self, frames: u64, window_ns: u64) {
        if frames > 0 {
            self.come(frames, window_ns);
            return;
        }
        (self.quiet_ns, self.quiet_windows) = (self.quiet_ns.saturating_add(window_ns), self.quiet_windows.saturating_add(1));
        self.is_silent = self.is_usual() && self.quiet_windows >= QUIET_WINDOWS_MIN && self.expected() >= EXPECTED_MIN && {
            let longest = self.slots.iter().map(|slot| slot.quiet_ns).max().unwrap_or(0);
            self.quiet_ns >= longest.saturating_mul(QUIET_TIMES)
        };
        if self.quiet_ns > FORGOTTEN_NS {
            *self = Self { name: std::mem::take(&mut self.name), ..Self::default() };
        }
    }

    /// Frames come: what was quiet before them was so.
    fn come(&mut self, frames: u64, window_ns: u64) {
        let quiet_ns = std::mem::take(&mut self.quiet_ns);
        (self.quiet_windows, self.is_silent) = (0, false);
        let mut left_ns = quiet_ns;
        while left_ns > 0 {
            let piece_ns = left_ns.min(SLOT_NS);
            self.add(0, piece_ns);
            left_ns -= piece_ns;
        }
        self.open.quiet_ns = self.open.quiet_ns.max(quiet_ns);
        self.add(frames, window_ns);
    }

    fn add(&mut self, frames: u64, length_ns: u64) {
        self.open.frames = self.open.frames.saturating_add(frames);
        self.open.length_ns = self.open.length_ns.saturating_add(length_ns);
        if self.open.length_ns >= SLOT_NS {
            if self.slots.len() >= SLOTS {
                self.slots.pop_front();
            }
            self.slots.push_back(std::mem::take(&mut self.open));
        }
    }

    /// Enough is known, and nearly always frames came.
    fn is_usual(&self) -> bool {
        let busy = self.slots.iter().filter(|slot| slot.frames > 0).count();
        self.slots.len() >= SLOTS && busy * 100 >= self.slots.len() * BUSY_PERCENT
    }

    /// Frames in the time that it is quiet, at the rate of the poorest quarter of its slots.
    fn expected(&self) -> u64 {
        let in_quiet = |slot: &Slot| u128::from(slot.frames) * u128::from(self.quiet_ns) / u128::from(slot.length_ns.max(1));
        let mut expected: Vec<u128> = self.slots.iter().map(in_quiet).collect();
        expected.sort_unstable();
        expected.get(expected.len() / 4).map_or(0, |frames| u64::try_from(*frames).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
#[path = "tags_tests.rs"]
mod tests;
