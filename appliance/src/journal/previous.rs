//! How far the run before this one came.

use prost::Message as _;

use super::Kind;
use super::frame::Content;
use super::segment::{self, Frames, Segment};
use crate::report::pb;

/// So many segments are looked through for an account of a long window.
const LOOKED_THROUGH_MAX: usize = 16;

/// What the last accounts say that are on disk; none if there are none.
pub(super) fn previous(segments: &[Segment]) -> Option<pb::PreviousRun> {
    let mut run: Option<pb::PreviousRun> = None;
    for segment in segments.iter().rev().take(LOOKED_THROUGH_MAX) {
        let mut accounts = accounts(segment);
        let Some(boot_id) = run.as_ref().map(|run| run.boot_id).or_else(|| accounts.last().map(|account| account.boot_id)) else {
            continue;
        };
        accounts.retain(|account| account.boot_id == boot_id);
        let run = run.get_or_insert_with(|| pb::PreviousRun { boot_id, ..Default::default() });
        accounts.iter().for_each(|account| add(run, account));
        if run.ended || run.long_end_ns > 0 {
            break;
        }
    }
    run
}

fn accounts(segment: &Segment) -> Vec<pb::ApplianceReport> {
    let mut accounts = Vec::new();
    // Lanes of lots have no accounts, and are long.
    let first = Frames::open(&segment.path).and_then(|mut frames| frames.next());
    if matches!(first, Ok(Some((_, Content::Message(message)))) if message.kind.is_lot()) {
        return accounts;
    }
    segment::read(segment, |_, content| match content {
        Content::Message(message) if message.kind == Kind::Appliance => accounts.extend(pb::ApplianceReport::decode(&*message.payload)),
        _ => {}
    });
    accounts
}

fn add(run: &mut pb::PreviousRun, account: &pb::ApplianceReport) {
    run.sequence = run.sequence.max(account.sequence);
    if account.total {
        run.ended = true;
        return;
    }
    let end_ns = if account.window_kind() == pb::WindowKind::Long { &mut run.long_end_ns } else { &mut run.fast_end_ns };
    *end_ns = account.window_end_ns.max(*end_ns);
}

/// What two lanes know of the run before: of the later one, if only one of them knows of it.
pub(super) fn of_both(long: Option<&pb::PreviousRun>, fast: Option<&pb::PreviousRun>) -> Option<pb::PreviousRun> {
    let (Some(long), Some(fast)) = (long, fast) else { return long.or(fast).copied() };
    let last_ns = |run: &pb::PreviousRun| run.long_end_ns.max(run.fast_end_ns);
    if long.boot_id != fast.boot_id {
        return Some(if last_ns(fast) > last_ns(long) { *fast } else { *long });
    }
    Some(pb::PreviousRun {
        boot_id: long.boot_id,
        sequence: long.sequence.max(fast.sequence),
        long_end_ns: long.long_end_ns.max(fast.long_end_ns),
        fast_end_ns: long.fast_end_ns.max(fast.fast_end_ns),
        ended: long.ended || fast.ended,
    })
}
