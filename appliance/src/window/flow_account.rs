//! Where every flow record went that was analysed.

use std::ops::AddAssign;

use super::ledger::Site;
use crate::gather::Cause;

/// What a core that analyses flow records counted in one epoch.
///
/// records = matched + unmatched + duplicate_view + no_address + no_counts + implausible + repeated;
/// views = counted + lost. A view is a record as one range sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowAccount {
    /// Flow records taken.
    pub records: u64,
    /// That count for a range, or for two.
    pub matched: u64,
    /// In no range.
    pub unmatched: u64,
    /// In a range, but seen where they cross no external interface: another view counts.
    pub duplicate_view: u64,
    /// Without source or destination address, or with one of either family.
    pub no_address: u64,
    /// With neither packets nor bytes.
    pub no_counts: u64,
    /// With more packets or bytes than any flow has, or more bytes than its packets can hold.
    pub implausible: u64,
    /// Record x range.
    pub views: u64,
    /// Of these, those that reached their range's stats.
    pub counted: u64,
    /// Those that did not, for want of memory or of room to the reporter.
    pub lost: u64,
    /// Of the counted, those that lack in the long window: their block found no room to the reporter.
    pub lost_long: u64,
    /// Of the matched, those whose sampling rate is not known.
    pub rate_unknown: u64,
    /// Of the matched, those whose sampler is not known to be random.
    pub not_random: u64,
    /// Of the matched, those that tell packets and no bytes, or bytes and no packets.
    pub half_told: u64,
    /// Of the matched, those that another record of the same packets may count beside: how their exporter meters is a guess yet.
    pub metering_unsettled: u64,
    /// In a range, of an exporter that has not yet told the names of its interfaces, which decide: they count by the default.
    pub nameless: u64,
    /// Datagrams, records or samples that exporters sent and that did not come, or were of no use.
    pub missing: u64,
    /// Records of datagrams that the network repeated.
    pub repeated: u64,
    /// What was missing in earlier windows and came in this one.
    pub refilled: u64,
    /// Of the matched, those whose counts may hold what earlier records told.
    pub running_totals: u64,
    /// Since when what is missing may have been sent, nanoseconds since 1970; 0: nothing, or within this window.
    pub missing_from_ns: u64,
    /// The largest sampling rate of a matched record; 0: none had any.
    pub rate_max: u64,
}

impl FlowAccount {
    /// Words of [`Self::to_words`].
    pub const WORDS: usize = 22;

    /// All counters, and last a least and a largest.
    pub const fn to_words(&self) -> [u64; Self::WORDS] {
        [
            self.records,
            self.matched,
            self.unmatched,
            self.duplicate_view,
            self.no_address,
            self.no_counts,
            self.implausible,
            self.views,
            self.counted,
            self.lost,
            self.lost_long,
            self.rate_unknown,
            self.not_random,
            self.half_told,
            self.metering_unsettled,
            self.nameless,
            self.missing,
            self.repeated,
            self.refilled,
            self.running_totals,
            self.missing_from_ns,
            self.rate_max,
        ]
    }

    /// Out of what [`Self::to_words`] gave; of fewer words, nothing.
    pub fn from_words(words: &[u64]) -> Self {
        let Some(words) = words.first_chunk::<{ Self::WORDS }>() else { return Self::default() };
        let [records, matched, unmatched, duplicate_view, no_address, no_counts, implausible, rest @ ..] = *words;
        let [views, counted, lost, lost_long, rate_unknown, not_random, half_told, metering_unsettled, nameless, rest @ ..] = rest;
        let [missing, repeated, refilled, running_totals, missing_from_ns, rate_max] = rest;
        Self {
            records,
            matched,
            unmatched,
            duplicate_view,
            no_address,
            no_counts,
            implausible,
            views,
            counted,
            lost,
            lost_long,
            rate_unknown,
            not_random,
            half_told,
            metering_unsettled,
            nameless,
            missing,
            repeated,
            refilled,
            running_totals,
            missing_from_ns,
            rate_max,
        }
    }

    /// Whether it tells of nothing.
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all that came is accounted for.
    pub const fn balances(&self) -> bool {
        let left = self.unmatched + self.duplicate_view + self.no_address + self.no_counts + self.implausible + self.repeated;
        self.records == self.matched + left && self.views == self.counted + self.lost
    }
}

impl Site {
    /// The same account, of a core that analyses flow records: its counts stand apart from those of packets.
    #[must_use]
    pub fn of_flows(mut self) -> Self {
        let lost = self.lost_total();
        self.flows.counted += std::mem::take(&mut self.counted);
        self.flows.lost += lost[Cause::Ring as usize] + lost[Cause::Memory as usize];
        self.flows.lost_long += lost[Cause::Long as usize];
        self.lost.clear();
        self.lost_others = [0; Cause::COUNT];
        self
    }
}

impl AddAssign<&Self> for FlowAccount {
    fn add_assign(&mut self, other: &Self) {
        let rate_max = self.rate_max.max(other.rate_max);
        let missing_from_ns = match (self.missing_from_ns, other.missing_from_ns) {
            (0, one) | (one, 0) => one,
            (one, other) => one.min(other),
        };
        let (ours, theirs) = (self.to_words(), other.to_words());
        *self = Self {
            rate_max,
            missing_from_ns,
            ..Self::from_words(&std::array::from_fn::<u64, { Self::WORDS }, _>(|i| ours[i].wrapping_add(theirs[i])))
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_and_add_up() {
        let words: [u64; FlowAccount::WORDS] = std::array::from_fn(|i| i as u64 + 1);
        let mut one = FlowAccount::from_words(&words);
        assert_eq!(one.to_words(), words);
        one += &one.clone();
        // The last two are a least and a largest.
        let doubled: [u64; FlowAccount::WORDS] = std::array::from_fn(|i| if i + 2 < FlowAccount::WORDS { 2 * words[i] } else { words[i] });
        assert_eq!((one.to_words(), FlowAccount::from_words(&words[1..])), (doubled, FlowAccount::default()));
        one += &FlowAccount { missing_from_ns: 3, ..FlowAccount::default() };
        one += &FlowAccount::default();
        assert_eq!(one.missing_from_ns, 3, "the earliest that is known");
    }
}
