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
    /// Of one stat; empty at first.
    pub(super) fn of(&mut self, prefix: &str, stat: &str, period: Period) -> &mut Past {
        let stats = self.ranges.entry(prefix.to_owned()).or_default();
        stats.entry((stat.to_owned(), period as u8)).or_default()
    }

    /// Now and then drops what nobody needs from a time on.
    pub(super) fn forget_before(&mut self, now_ns: u64) {
        self.windows += 1;
        if self.windows < SWEEP_WINDOWS {
            return;
        }
        self.windows = 0;
        self.ranges.retain(|_, stats| {
            stats.retain(|_, past| past.state.is_some() && past.until_ns > now_ns);
            !stats.is_empty()
        });
    }
}
