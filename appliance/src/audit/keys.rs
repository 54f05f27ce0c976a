//! Whose samples are remembered. Keys come from samples, which are an attacker's, and from counters, which are the scrubber's: the latter
//! find room first, and remember more.

use std::collections::BTreeMap;

use super::account::{Account, History};
use super::rate::Counts;
use super::{Plan, Verdict};
use crate::limits::{AUDIT_KEYS_MAX, AUDIT_WINDOWS_MAX};

/// Windows with samples that a key remembers, at most,
pub(super) const WINDOWS_KEPT: usize = 1_200;
/// and until counters name it.
pub(super) const WINDOWS_KEPT_UNNAMED: usize = 120;
const _: () = assert!(AUDIT_KEYS_MAX * WINDOWS_KEPT_UNNAMED <= AUDIT_WINDOWS_MAX);

/// A verdict that stands, since when, and of what.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    pub(super) verdict: Verdict,
    pub(super) since_ns: u64,
    pub(super) counts: Counts,
    pub(super) evidence: [f64; 2],
    /// The day in which it was found.
    pub(super) found: Option<u64>,
}

/// A key that counters named.
pub(super) struct Keyed {
    pub(super) account: Account,
    pub(super) one_in: u32,
    pub(super) random: bool,
    /// From 1, in the order in which counters name keys.
    pub(super) order: u32,
    pub(super) standing: Standing,
}

/// What there is room for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) keys: usize,
    /// Of all keys together.
    pub(super) windows: usize,
}

/// See the module.
pub(super) struct Keys {
    /// In an order of their own: sums of their evidence are the same each time.
    pub(super) named: BTreeMap<String, Keyed>,
    unnamed: BTreeMap<String, History>,
    pub(super) room: Room,
    /// Windows that a named key remembers.
    kept: usize,
    /// The last window that is over.
    last: Option<u64>,
    /// The last window of which a key without a history may have had samples.
    unknown: Option<u64>,
}

impl Keys {
    /// None yet; nothing is known of windows up to this one.
    pub(super) fn since(unknown: Option<u64>) -> Self {
        let room = Room { keys: AUDIT_KEYS_MAX, windows: AUDIT_WINDOWS_MAX };
        Self { named: BTreeMap::new(), unnamed: BTreeMap::new(), room, kept: WINDOWS_KEPT, last: unknown, unknown }
    }

    /// Samples of a window. What finds no room is not known from here on.
    pub(super) fn add(&mut self, number: u64, plan: &Plan, samples: impl Iterator<Item = (String, u64)>) {
        self.last = Some(number);
        for (key, samples) in samples.filter(|(_, samples)| *samples > 0) {
            if let Some(keyed) = self.named.get_mut(&key) {
                keyed.account.history.add((number, samples), self.kept);
            } else if let Some(history) = self.unnamed.get_mut(&key) {
                history.add((number, samples), WINDOWS_KEPT_UNNAMED);
            } else if rate_of(plan, &key).is_none() {
                // Nothing that is audited.
            } else if self.is_full() {
                self.unknown = Some(number);
            } else {
                let mut history = History::since(self.unknown);
                history.add((number, samples), WINDOWS_KEPT_UNNAMED);
                self.unnamed.insert(key, history);
            }
        }
        self.share();
    }

    fn is_full(&self) -> bool {
        self.named.len() + self.unnamed.len() >= self.room.keys
    }

    /// Of the room for windows each named key has an equal part of what the others leave.
    fn share(&mut self) {
        let rest = self.room.windows.saturating_sub(self.unnamed.len() * WINDOWS_KEPT_UNNAMED);
        let kept = (rest / self.named.len().max(1)).clamp(WINDOWS_KEPT_UNNAMED, WINDOWS_KEPT);
        if kept < self.kept {
            self.named.values_mut().for_each(|keyed| keyed.account.history.keep(kept));
        }
        self.kept = kept;
    }

    /// The account of a key that counters name; the next one has this `order`. None: all room is taken by keys that were named before.
    pub(super) fn name(&mut self, key: &str, (one_in, random): (u32, bool), order: u32) -> Option<&mut Keyed> {
        if !self.named.contains_key(key) {
            let history = match self.unnamed.remove(key) {
                Some(history) => history,
                None => self.make_room()?,
            };
            let (account, standing) = (Account::with(history), Standing::default());
            self.named.insert(key.to_owned(), Keyed { account, one_in, random, order, standing });
        }
        self.named.get_mut(key)
    }

    /// An empty history. One that counters never named makes way.
    fn make_room(&mut self) -> Option<History> {
        let history = History::since(self.unknown);
        if self.is_full() {
            self.unnamed.pop_first()?;
            self.unknown = self.last;
        }
        Some(history)
    }

    /// Ranges or rates are others from here on: of what is no longer there nothing is kept, and of what is new nothing was known.
    pub(super) fn renew(&mut self, plan: &Plan, is_here: impl Fn(&str) -> bool) {
        self.unknown = self.last;
        self.unnamed.retain(|key, _| is_here(key) && rate_of(plan, key).is_some());
        self.named.retain(|key, keyed| {
            let Some((one_in, random)) = rate_of(plan, key).filter(|_| is_here(key)) else { return false };
            if one_in != keyed.one_in {
                keyed.account.begin_anew();
                keyed.standing = Standing::default();
            }
            (keyed.one_in, keyed.random) = (one_in, random);
            true
        });
    }

    /// Keys that samples came of and counters never named.
    pub(super) fn unnamed(&self) -> usize {
        self.unnamed.len()
    }

    /// Windows that all keys remember together.
    #[cfg(test)]
    pub(super) fn windows(&self) -> usize {
        let named = self.named.values().map(|keyed| &keyed.account.history);
        named.chain(self.unnamed.values()).map(History::windows).sum()
    }
}

/// One in how many a key's sampler takes, and whether it is random.
pub(super) fn rate_of(plan: &Plan, key: &str) -> Option<(u32, bool)> {
    let at = if plan.by == super::By::Tag { key.parse().ok()? } else { 0 };
    let rate: (u32, bool) = (*plan.one_in.get(at)?, *plan.random.get(at)?);
    (rate.0 > 1).then_some(rate)
}
