//! Packets that came twice, in the appliance's account.

use super::message::estimate;
use super::reporter::Reporter;
use super::{Health, Publisher, Setting, pb};
use crate::duplicates::pairs::Pair;
use crate::duplicates::{PairFigures, Plan, Standing};
use crate::stats::figure::{Basis, Confidence, Estimate};
use crate::stats::interval::garwood;
use crate::stats::plan::Period;

/// Of both ends of an interval of 95 %.
const TAIL: f64 = 0.025;

impl<P: Publisher, H: Health> Reporter<P, H> {
    /// What was seen of each pair of ports, at a long window's end.
    pub(super) fn duplicates(&mut self, period: Period) -> Option<pb::DuplicatesReport> {
        let pairs = self.pairs.as_mut().filter(|_| period == Period::Long)?;
        let (plan, (figures, sample)) = (*pairs.plan(), pairs.take());
        let pairs = figures.iter().map(|(pair, of)| message(&self.setting, &plan, *pair, of)).collect();
        Some(pb::DuplicatesReport { sample, within_ms: plan.within_ns / 1_000_000, alarm_share: plan.alarm_share, pairs })
    }
}

fn message(setting: &Setting, plan: &Plan, (first, second): Pair, of: &PairFigures) -> pb::PortPair {
    let device = |port: u16| setting.ports.get(usize::from(port)).map(|port| port.device.clone()).unwrap_or_default();
    let share = share(of);
    let verdict = match of.standing(share.low, plan.alarm_share) {
        Standing::Unknown => pb::DuplicatesVerdict::Unknown,
        Standing::Few => pb::DuplicatesVerdict::Few,
        Standing::Duplicated => pb::DuplicatesVerdict::Duplicated,
        Standing::Concentrated => pb::DuplicatesVerdict::Concentrated,
    };
    pb::PortPair {
        first: first.into(),
        second: second.into(),
        first_device: device(first),
        second_device: device(second),
        verdict: verdict.into(),
        share: Some(estimate(&share)),
        sampled_packets: of.sampled,
        seen_twice: of.twice,
        seen_twice_a_hop_apart: of.hop,
    }
}

/// Garwood's interval of a Poisson count is wider than the binomial one.
#[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
fn share(of: &PairFigures) -> Estimate {
    let (twice, all) = (of.twice as f64, (of.sampled as f64).max(1.0));
    let (low, high) = garwood(twice, TAIL);
    let value = (twice / all).min(1.0);
    Estimate {
        value,
        low: (low / all).min(value),
        high: Some((high / all).clamp(value, 1.0)),
        basis: Basis::Sampled,
        confidence: Confidence::P95,
    }
}
