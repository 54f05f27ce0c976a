//! Where every frame went, counted where it went.

use std::ops::AddAssign;

use super::flow_account::FlowAccount;
use super::links::LinkSums;
use crate::duplicates::Copies;
use crate::gather::{Cause, LossOfRange, Lost};
use crate::limits::TAG_RULES_MAX;
use crate::parse::{DropReason, Fault};
use crate::record::{Has, Record};
use crate::spread::LOSING_RANGES_MAX;
use crate::units::Epoch;

/// What one core counted of one port in one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Frames taken.
    pub received: u64,
    /// Bytes of them on the wire.
    pub received_bytes: u64,
    /// With a readable IP header.
    pub parsed: u64,
    /// Without, by reason.
    pub drops: [u64; DropReason::COUNT],
    /// Parsed, with a fault behind the IP header, by kind.
    pub faults: [u64; Fault::COUNT],
    /// Parsed, in a range.
    pub matched: u64,
    /// Parsed, in none.
    pub unmatched: u64,
    /// Packet x range.
    pub records: u64,
    /// Frames that came with a time before the open window.
    pub late: u64,
    /// Frames counted in an earlier window than their own, which could not be opened yet.
    pub overdue: u64,
    /// Frames of which only a part reached us.
    pub truncated: u64,
    /// Packets whose IP length made no sense where it was asked for.
    pub implausible: u64,
    /// Packets whose sampling rate should have stood in a field that does not hold one.
    pub unproven: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            received: 0,
            received_bytes: 0,
            parsed: 0,
            drops: [0; DropReason::COUNT],
            faults: [0; Fault::COUNT],
            matched: 0,
            unmatched: 0,
            records: 0,
            late: 0,
            overdue: 0,
            truncated: 0,
            implausible: 0,
            unproven: 0,
        }
    }
}

/// Single counters of a ledger, before its lists.
const SCALARS: usize = 11;

impl Ledger {
    /// Words of [`Self::to_words`].
    pub const WORDS: usize = SCALARS + DropReason::COUNT + Fault::COUNT;

    /// Appends all counters.
    pub fn to_words(&self, out: &mut Vec<u64>) {
        out.extend([self.received, self.received_bytes, self.parsed, self.matched, self.unmatched]);
        out.extend([self.records, self.late, self.truncated, self.implausible, self.unproven, self.overdue]);
        out.extend(self.drops);
        out.extend(self.faults);
    }

    /// Out of what [`Self::to_words`] wrote.
    pub fn from_words(words: &[u64]) -> Self {
        let at = |i: usize| words.get(i).copied().unwrap_or(0);
        Self {
            received: at(0),
            received_bytes: at(1),
            parsed: at(2),
            matched: at(3),
            unmatched: at(4),
            records: at(5),
            late: at(6),
            truncated: at(7),
            implausible: at(8),
            unproven: at(9),
            overdue: at(10),
            drops: std::array::from_fn(|i| at(SCALARS + i)),
            faults: std::array::from_fn(|i| at(SCALARS + DropReason::COUNT + i)),
        }
    }
}

impl AddAssign<&Self> for Ledger {
    fn add_assign(&mut self, other: &Self) {
        self.received += other.received;
        self.received_bytes += other.received_bytes;
        self.parsed += other.parsed;
        self.matched += other.matched;
        self.unmatched += other.unmatched;
        self.records += other.records;
        self.late += other.late;
        self.overdue += other.overdue;
        self.truncated += other.truncated;
        self.implausible += other.implausible;
        self.unproven += other.unproven;
        self.drops.iter_mut().zip(other.drops).for_each(|(a, b)| *a += b);
        self.faults.iter_mut().zip(other.faults).for_each(|(a, b)| *a += b);
    }
}

/// Packets by decision: passed, their bytes, sampled blocked ones, the same scaled by their sampling rate, their bytes
/// scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decisions(pub [u64; 5]);

impl Decisions {
    /// Counts a packet.
    #[inline]
    pub fn count(&mut self, record: &Record) {
        self.add(record.has, (1, u64::from(record.wire_bytes)), record.weight);
    }

    /// Counts packets and their bytes, each of which stands for so many.
    #[inline]
    pub fn add(&mut self, has: Has, (packets, bytes): (u64, u64), weight: u16) {
        let weight = u64::from(weight);
        let [passed, passed_bytes, samples, blocked, blocked_bytes] = &mut self.0;
        if has.all(Has::BLOCKED) {
            *samples += packets;
            *blocked += weight * packets;
            *blocked_bytes += weight * bytes;
        } else {
            *passed += packets;
            *passed_bytes += bytes;
        }
    }
}

impl AddAssign<&Self> for Decisions {
    fn add_assign(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(ours, theirs)| *ours += theirs);
    }
}

/// Everything that one core says of one epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// By port.
    pub ports: Vec<Ledger>,
    /// Frames by tag rule; the last counts those that no rule matched.
    pub tags: Vec<u64>,
    /// By link.
    pub links: Vec<LinkSums>,
    /// What the scrubber did.
    pub decisions: Decisions,
    /// Records that reached their range's stats on this core.
    pub counted: u64,
    /// Records lost on this core, by range and [`Cause`]; in the order of ranges.
    pub lost: Vec<LossOfRange>,
    /// Records lost by ranges that are not in the list.
    pub lost_others: [u64; Cause::COUNT],
    /// Accounts of earlier epochs that are told with this one.
    pub taken_over: u64,
    /// The core did not poll for long, and over the ends of windows: frames of any window from the first on may count in a later one, up to
    /// the second.
    pub held: Option<(Epoch, Epoch)>,
    /// Packets that are sampled to find those that come twice.
    pub copies: Copies,
    /// Of a core that analyses flow records.
    pub flows: FlowAccount,
}

fn add(ours: &mut [u64; Cause::COUNT], theirs: &[u64; Cause::COUNT]) {
    ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours += theirs);
}

impl Site {
    /// An empty account.
    pub fn new(ports: usize, tag_rules: usize, links: usize) -> Self {
        let mut tags = Vec::with_capacity(TAG_RULES_MAX + 1);
        tags.resize(tag_rules + 1, 0);
        Self { ports: vec![Ledger::default(); ports], tags, links: vec![LinkSums::default(); links], ..Self::of_worker() }
    }

    /// An empty account of a core that receives nothing itself.
    pub fn of_worker() -> Self {
        Self { lost: Vec::with_capacity(LOSING_RANGES_MAX), ..Self::default() }
    }

    /// One that keeps such packets too.
    #[must_use]
    pub fn with_copies(self, copies: Option<Copies>) -> Self {
        Self { copies: copies.unwrap_or_default(), ..self }
    }

    /// All ports together.
    pub fn ledger(&self) -> Ledger {
        let mut all = Ledger::default();
        self.ports.iter().for_each(|port| all += port);
        all
    }

    /// Of the link with this number, from 1; 0 is none.
    #[inline]
    pub fn link(&mut self, number: u8) -> Option<&mut LinkSums> {
        self.links.get_mut(usize::from(number).checked_sub(1)?)
    }

    /// Forgets all, keeping its memory.
    pub fn clear(&mut self) {
        self.ports.fill(Ledger::default());
        self.tags.fill(0);
        self.links.fill(LinkSums::default());
        (self.decisions, self.counted, self.lost_others) = (Decisions::default(), 0, [0; Cause::COUNT]);
        (self.taken_over, self.held) = (0, None);
        self.flows = FlowAccount::default();
        self.copies.clear();
        self.lost.clear();
    }

    /// Counts records as lost. The list stays bounded: what is behind its end is one sum.
    pub fn lose(&mut self, more: &Lost<'_>) {
        let Self { lost, lost_others, .. } = self;
        add(lost_others, &more.others);
        let room = LOSING_RANGES_MAX.saturating_sub(lost.len());
        let (mut at, mut new, mut beyond) = (0, 0, 0);
        for (range, records) in more.ranges {
            while lost.get(at).is_some_and(|(known, _)| known < range) {
                at += 1;
            }
            match lost.get_mut(at) {
                Some((known, ours)) if known == range => add(ours, records),
                _ if new < room => new += 1,
                _ => {
                    add(lost_others, records);
                    beyond += 1;
                }
            }
        }
        self.list(more.ranges, new, beyond);
    }

    /// Lists `new` ranges more; the last `beyond` of those that are not listed find no room. From the end on, so that each entry
    /// moves once.
    fn list(&mut self, ranges: &[LossOfRange], new: usize, mut beyond: usize) {
        let lost = &mut self.lost;
        let (mut from, mut to) = (lost.len(), lost.len() + new);
        lost.resize(to, (0, [0; Cause::COUNT]));
        for entry in ranges.iter().rev() {
            while from > 0 && lost[from - 1].0 > entry.0 {
                (from, to) = (from - 1, to - 1);
                lost[to] = lost[from];
            }
            if from > 0 && lost[from - 1].0 == entry.0 {
                continue;
            }
            if beyond > 0 {
                beyond -= 1;
                continue;
            }
            to -= 1;
            lost[to] = *entry;
        }
    }

    /// Adds an earlier epoch's account of the same core, which could not be told. Takes no memory. Where that epoch had
    /// other ranges and tag rules than this one (`same` is false), its losses are any range's, and its tags count by number,
    /// those beyond as untagged.
    pub fn take_over(&mut self, other: &Self, same: bool) {
        self.ports.iter_mut().zip(&other.ports).for_each(|(a, b)| *a += b);
        if let (Some((untagged, tags)), Some((more, others))) = (self.tags.split_last_mut(), other.tags.split_last()) {
            tags.iter_mut().zip(others).for_each(|(a, b)| *a += b);
            *untagged += more + others.iter().skip(tags.len()).sum::<u64>();
        }
        self.links.iter_mut().zip(&other.links).for_each(|(a, b)| a.merge(b));
        self.decisions += &other.decisions;
        self.counted += other.counted;
        self.flows += &other.flows;
        self.taken_over += 1 + other.taken_over;
        other.held.into_iter().for_each(|(from, to)| self.hold(from, to));
        self.copies.take_over(&other.copies);
        let lost = Lost { ranges: &other.lost, others: other.lost_others };
        self.lose(&if same { lost } else { Lost { ranges: &[], others: other.lost_total() } });
    }

    /// The core did not poll from one epoch to another.
    pub fn hold(&mut self, from: Epoch, to: Epoch) {
        let (first, last) = self.held.unwrap_or((from, to));
        self.held = Some((first.min(from), last.max(to)));
    }

    /// Makes an empty account fit so many tag rules: memory was taken for as many as there may ever be.
    pub fn shape(&mut self, tag_rules: usize) {
        self.tags.resize(tag_rules + 1, 0);
    }

    /// Records lost, by [`Cause`].
    pub fn lost_total(&self) -> [u64; Cause::COUNT] {
        self.lost.iter().fold(self.lost_others, |mut all, (_, records)| {
            add(&mut all, records);
            all
        })
    }

    /// Whether it tells of nothing: a worker's, of an epoch in which it had no work.
    pub fn is_blank(&self) -> bool {
        self.ports.is_empty() && self.counted == 0 && self.flows.is_blank() && self.lost_total() == [0; Cause::COUNT]
    }

    /// Adds another core's, or another epoch's, but for its [`Copies`]. For the reporter: each range is listed once, however many there
    /// are.
    pub fn merge(&mut self, other: &Self) {
        self.ports.resize(self.ports.len().max(other.ports.len()), Ledger::default());
        self.ports.iter_mut().zip(&other.ports).for_each(|(a, b)| *a += b);
        self.tags.resize(self.tags.len().max(other.tags.len()), 0);
        self.tags.iter_mut().zip(&other.tags).for_each(|(a, b)| *a += b);
        self.links.resize(self.links.len().max(other.links.len()), LinkSums::default());
        self.links.iter_mut().zip(&other.links).for_each(|(a, b)| a.merge(b));
        self.decisions += &other.decisions;
        self.counted += other.counted;
        self.flows += &other.flows;
        self.taken_over += other.taken_over;
        add(&mut self.lost_others, &other.lost_others);
        if other.lost.is_empty() {
            return;
        }
        self.lost.extend_from_slice(&other.lost);
        self.lost.sort_unstable_by_key(|(range, _)| *range);
        self.lost.dedup_by(|again, first| {
            let same = again.0 == first.0;
            if same {
                add(&mut first.1, &again.1);
            }
            same
        });
    }

    /// No longer tells which range lost what.
    pub fn forget_ranges(&mut self) {
        self.lost_others = self.lost_total();
        self.lost.clear();
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
