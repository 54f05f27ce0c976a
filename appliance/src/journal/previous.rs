//! How far the run before this one came.
//!
//! Each lane keeps it beside its cursors ([`LastRun`]): written when a run begins, so that one that is killed at once leaves a trace, and
//! again as its accounts reach the disk. What the disk has behind that is looked through at the next start. Runs are counted: whose number
//! is larger was later, whatever the clock did.

use std::collections::VecDeque;

use prost::Message as _;

use super::frame::Content;
use super::segment::{self, Frames, Segment};
use super::{Kind, Message};
use crate::report::pb;

/// Of one lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LastRun {
    /// Counts up with each start; 0: nobody counted.
    pub(super) number: u64,
    /// All accounts before this position are in it.
    pub(super) read_to: u64,
    /// When it began, or where nobody counted, when its last window did.
    pub(super) start_ns: u64,
    /// How far it came: at first, where its windows begin.
    pub(super) last: pb::PreviousRun,
}

impl LastRun {
    /// As it stands in the file of cursors.
    pub(super) fn words(&self) -> String {
        let Self { number, read_to, start_ns, last } = self;
        let pb::PreviousRun { boot_id, sequence, long_end_ns, fast_end_ns, ended } = last;
        format!("{number} {read_to} {start_ns} {boot_id} {sequence} {long_end_ns} {fast_end_ns} {}", u8::from(*ended))
    }

    pub(super) fn parse(words: &str) -> Option<Self> {
        let words: Vec<u64> = words.split(' ').map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let [number, read_to, start_ns, boot_id, sequence, long_end_ns, fast_end_ns, ended] = words[..] else { return None };
        let last = pb::PreviousRun { boot_id, sequence, long_end_ns, fast_end_ns, ended: ended == 1 };
        Some(Self { number, read_to, start_ns, last })
    }

    /// It has got so far, if it is this one.
    fn add(&mut self, told: &Told) {
        if told.run.boot_id == self.last.boot_id {
            further(&mut self.last, &told.run);
        }
    }
}

/// What is known twice of a run.
fn further(run: &mut pb::PreviousRun, other: &pb::PreviousRun) {
    run.sequence = run.sequence.max(other.sequence);
    run.long_end_ns = run.long_end_ns.max(other.long_end_ns);
    run.fast_end_ns = run.fast_end_ns.max(other.fast_end_ns);
    run.ended |= other.ended;
}

/// Accounts on their way to the disk that are followed apart.
const ACCOUNTS_MAX: usize = 64;

/// The present one, as it is kept.
#[derive(Debug, Default)]
pub(super) struct Run {
    kept: Option<LastRun>,
    /// Accounts that may not be on the disk yet, oldest first.
    coming: VecDeque<(u64, Told)>,
    is_new: bool,
    /// It has begun, and the disk does not have that yet.
    is_awaited: bool,
}

impl Run {
    /// None has begun: what is known of the one before stays.
    pub(super) fn after(before: Option<LastRun>) -> Self {
        Self { kept: before, ..Self::default() }
    }

    pub(super) fn begin(&mut self, run: LastRun) {
        *self = Self { kept: Some(run), coming: VecDeque::new(), is_new: true, is_awaited: true };
    }

    /// Whether it has begun since this was asked last.
    pub(super) fn has_begun(&mut self) -> bool {
        std::mem::take(&mut self.is_new)
    }

    /// Not told of yet, by [`Self::has_begun`].
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether this one was saved, and may not be there yet after a power cut.
    pub(super) fn is_unsettled(&self, saved: Option<LastRun>) -> bool {
        self.is_awaited && saved.map(|run| run.number) == self.kept.map(|run| run.number)
    }

    /// It is on the disk for good.
    pub(super) const fn settled(&mut self) {
        self.is_awaited = false;
    }

    pub(super) const fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    /// An account was appended there.
    pub(super) fn account(&mut self, position: u64, told: Option<Told>) {
        let of_this_run = |told: &Told| self.kept.is_some_and(|run| run.last.boot_id == told.run.boot_id);
        if let Some(told) = told.filter(of_this_run) {
            let is_full = self.coming.len() >= ACCOUNTS_MAX;
            match self.coming.back_mut() {
                // A disk takes none for long.
                Some((last, before)) if is_full => {
                    *last = position;
                    further(&mut before.run, &told.run);
                }
                _ => self.coming.push_back((position, told)),
            }
        }
    }

    /// How far it has come, where all messages before a position are on the disk.
    pub(super) fn reached(&mut self, end: u64) -> Option<LastRun> {
        let run = self.kept.as_mut()?;
        while let Some((position, told)) = self.coming.front().filter(|(position, _)| *position < end) {
            run.add(told);
            run.read_to = position + 1;
            self.coming.pop_front();
        }
        Some(*run)
    }
}

/// How far an account says that its run has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Of its window; 0: of no window.
    start_ns: u64,
    run: pb::PreviousRun,
}

impl Told {
    /// Of an account; none of other messages.
    pub(super) fn by(message: &Message) -> Option<Self> {
        let is_account = message.kind == Kind::Appliance;
        let account = is_account.then(|| pb::ApplianceReport::decode(&*message.payload).ok()).flatten()?;
        let pb::ApplianceReport { boot_id, sequence, total: ended, window_start_ns, window_end_ns, .. } = account;
        let run = pb::PreviousRun { boot_id, sequence, ended, ..Default::default() };
        let (start_ns, run) = match account.window_kind() {
            _ if ended => (0, run),
            pb::WindowKind::Long => (window_start_ns, pb::PreviousRun { long_end_ns: window_end_ns, ..run }),
            pb::WindowKind::Fast => (window_start_ns, pb::PreviousRun { fast_end_ns: window_end_ns, ..run }),
        };
        Some(Self { start_ns, run })
    }
}

/// How far the last run came whose accounts are on the disk, if it was kept so far how far it had come.
pub(super) fn previous(segments: &[Segment], kept: Option<LastRun>) -> Option<LastRun> {
    let Some(mut run) = kept else { return searched(segments) };
    let read_to = run.read_to;
    for segment in segments.iter().filter(|segment| segment.end > read_to) {
        accounts(segment).iter().flatten().for_each(|told| run.add(told));
    }
    run.read_to = segments.last().map_or(run.read_to, |segment| segment.end.max(run.read_to));
    Some(run)
}

/// The same where nobody kept it: the accounts of the last run are looked for from the end on, until there are those of another.
fn searched(segments: &[Segment]) -> Option<LastRun> {
    let read_to = segments.last()?.end;
    let mut run: Option<LastRun> = None;
    let mut first_ns = u64::MAX;
    for segment in segments.iter().rev() {
        let accounts = accounts(segment)?;
        let Some(last) = accounts.last() else { continue };
        let begun = pb::PreviousRun { boot_id: last.run.boot_id, ..Default::default() };
        let run = run.get_or_insert(LastRun { number: 0, read_to, start_ns: 0, last: begun });
        let boot_id = run.last.boot_id;
        for told in accounts.iter().filter(|told| told.run.boot_id == boot_id) {
            run.add(told);
            if told.start_ns > 0 {
                (first_ns, run.start_ns) = (first_ns.min(told.start_ns), run.start_ns.max(told.start_ns));
            }
        }
        if run.last.long_end_ns > 0 || accounts.iter().any(|told| told.run.boot_id != boot_id) {
            break;
        }
    }
    let mut run = run?;
    if run.last.long_end_ns == 0 && first_ns < u64::MAX {
        run.last.long_end_ns = first_ns;
    }
    Some(run)
}

/// None: this is a lane of lots, which has none.
fn accounts(segment: &Segment) -> Option<Vec<Told>> {
    let mut accounts = Vec::new();
    let first = Frames::open(&segment.path).and_then(|mut frames| frames.next());
    if matches!(first, Ok(Some((_, Content::Message(message)))) if message.kind.is_lot()) {
        return None;
    }
    segment::read(segment, |_, content| match content {
        Content::Message(message) => accounts.extend(Told::by(&message)),
        Content::Gap(_) => {}
    });
    Some(accounts)
}

/// What two lanes know of the run before: of the later one, if only one of them knows of it.
pub(super) fn of_both(long: Option<&LastRun>, fast: Option<&LastRun>) -> Option<pb::PreviousRun> {
    let (Some(long), Some(fast)) = (long, fast) else { return long.or(fast).map(|run| run.last) };
    if long.last.boot_id != fast.last.boot_id {
        let is_fast_later = (fast.number, fast.start_ns) > (long.number, long.start_ns);
        return Some(if is_fast_later { fast.last } else { long.last });
    }
    let mut both = long.last;
    further(&mut both, &fast.last);
    Some(both)
}
