//! What stats keep of a range from one window to the next.

use std::collections::{HashMap, HashSet};

use super::rollup;
use super::{RangeName, Setting};
use crate::config::StatSpec;
use crate::stats::Past;
use crate::stats::plan::Period;
use crate::units::RangeIndex;
use crate::window::ShardPlans;

/// Windows between two looks for what nobody needs any more.
const SWEEP_WINDOWS: u32 = 64;

/// A stat of a range, in windows of one length.
type Of = (String, u8);

/// By prefix, which stays what it is when ranges are read anew, then by stat.
#[derive(Default)]
pub(super) struct Pasts {
    ranges: HashMap<String, HashMap<Of, Past>>,
    windows: u32,
}

impl Pasts {
    /// Of one stat, for a window that starts at this time; empty at first, and where nobody needed it any more.
    pub(super) fn of(&mut self, prefix: &str, stat: &str, period: Period, start_ns: u64) -> &mut Past {
        let stats = self.ranges.entry(prefix.to_owned()).or_default();
        let past = stats.entry((stat.to_owned(), period as u8)).or_default();
        if past.until_ns <= start_ns {
            *past = Past::default();
        }
        past
    }

    /// Another generation counts from here on. What a range keeps of a stat goes on only if the range has it still, under the
    /// same definition: else windows would seem known in which nobody counted, or other keys.
    pub(super) fn renew(&mut self, (before, old): (&Setting, &ShardPlans), (now, plans): (&Setting, &ShardPlans)) {
        if self.ranges.is_empty() {
            return;
        }
        let defined = |spec: &StatSpec| StatSpec { sets: Vec::new(), ..spec.clone() };
        let same = |spec: &&StatSpec| before.specs.iter().any(|old| old.name == spec.name && defined(old) == defined(spec));
        let same: HashSet<&str> = now.specs.iter().filter(same).map(|spec| &spec.name[..]).collect();
        let indices: HashMap<String, u32> = now.ranges.iter().map(RangeName::identity).zip(0..).collect();
        let rollups = rollup::kept((before, old), (now, plans));
        self.ranges.retain(|range, stats| {
            let plan = indices.get(range).map(|index| plans.of(RangeIndex(*index)));
            let of_rollup = rollups.get(range).into_iter().flatten();
            let all: Vec<usize> = plan.iter().flat_map(|plan| plan.stats()).map(|stat| stat.spec).chain(of_rollup.copied()).collect();
            let has = |stat: &str| all.iter().any(|spec| now.specs[*spec].name == stat);
            stats.retain(|(stat, _), _| same.contains(&stat[..]) && has(stat));
            !stats.is_empty()
        });
    }

    /// Now and then drops what no window needs that starts at this time or later.
    pub(super) fn forget_before(&mut self, start_ns: u64) {
        self.windows += 1;
        if self.windows < SWEEP_WINDOWS {
            return;
        }
        self.windows = 0;
        self.ranges.retain(|_, stats| {
            stats.retain(|_, past| past.state.is_some() && past.until_ns > start_ns);
            !stats.is_empty()
        });
    }
}
