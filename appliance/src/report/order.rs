//! How much of a top list's order is proven.

use crate::stats::figure::{Top, TopEntry};
use crate::stats::interval::{Question, estimate_key};
use crate::stats::weighted::Weighted;

/// How many entries at the head of a list are proven to be the largest, in this order: the low end of each lies above the
/// high end of every entry behind it, and above what a key that is not listed may have.
pub(super) fn proven(top: &Top, question: &Question) -> u32 {
    let mut behind = absent_high(top, question);
    top.reserve.iter().for_each(|entry| behind = higher(behind, entry));
    let mut proven = 0;
    // From the last entry to the first: what lies behind an entry is known when it is met.
    for entry in top.entries.iter().rev() {
        proven = if behind.is_some_and(|high| entry.value.low > high) { proven + 1 } else { 0 };
        behind = higher(behind, entry);
    }
    proven
}

fn higher(high: Option<f64>, entry: &TopEntry) -> Option<f64> {
    Some(high?.max(entry.value.high?))
}

/// The high end of a key that is not listed.
#[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
fn absent_high(top: &Top, question: &Question) -> Option<f64> {
    if question.weight_max <= 1 {
        return Some(top.absent.passed as f64);
    }
    let question = Question { random: question.random && top.all_sufficient.unproven == 0, ..*question };
    // As one of as many keys as there may be samples: each may be its own.
    let keys = top.all_sufficient.sampled_packets.saturating_add(top.entries.len() as u64).saturating_add(1);
    estimate_key(&Weighted::default(), &top.absent, keys, &question).high
}
