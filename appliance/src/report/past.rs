//! What stats keep of a range from one window to the next.

use std::collections::HashMap;

use crate::stats::Past;
use crate::stats::plan::Period;

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
