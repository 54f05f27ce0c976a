//! Reports of links: what came by each, of all frames, and which ranges fill it.

use super::appliance::Window;
use super::audit::{AUDITED, Audited};
use super::loss::Incompleteness;
use super::message::{estimate, weighted};
use super::open::kind;
use super::reporter::Reporter;
use super::widen::{Missing, widen};
use super::{Health, LinkName, Publisher, SCHEMA_VERSION, Setting, pb};
use crate::axes::{DecisionAxis, Key};
use crate::config::StatSpec;
use crate::stats::figure::{Bin, BinOf, Estimate, Figure};
use crate::stats::interval::{Question, estimate as estimate_sum};
use crate::stats::weighted::Weighted;
use crate::window::links::{LINE_BYTES, LinkSums};

/// Ranges that are listed of each decision.
pub(super) const RANGES_LISTED: usize = 20;
/// So many more are kept before the smallest are forgotten.
const RANGES_KEPT: usize = 1_024;
const BITS: f64 = 8.0;

/// A range's part of a link.
type Part = (u32, Bin);

/// What hidden stats say. Ranges that fill links, in one window: of each link those whose packets passed, and those whose packets were
/// blocked.
#[derive(Default)]
pub(super) struct Fills {
    by_link: Vec<[Vec<Part>; 2]>,
    /// Memory was short: some are of no link that is known.
    is_short: bool,
    /// Of samples.
    pub(super) audited: Audited,
}

impl Fills {
    /// A range's bytes by link.
    pub(super) fn add(&mut self, range: u32, spec: &StatSpec, figure: Figure) {
        if spec.name == AUDITED {
            return self.audited.add(range, figure);
        }
        let Figure::Histogram(bins) = figure else { return };
        let decision = usize::from(spec.decision == DecisionAxis::Blocked);
        for bin in bins {
            let BinOf::Label(label) = &bin.of else { continue };
            let Ok(number) = label.parse::<usize>() else {
                self.is_short |= bin.value.high != Some(0.0);
                continue;
            };
            let Some(link) = number.checked_sub(1) else { continue };
            self.by_link.resize_with(self.by_link.len().max(link + 1), Default::default);
            let parts = &mut self.by_link[link][decision];
            parts.push((range, bin));
            if parts.len() >= RANGES_KEPT {
                cut(parts);
            }
        }
    }

    fn of(&mut self, link: usize) -> [Vec<Part>; 2] {
        let mut both = self.by_link.get_mut(link).map(std::mem::take).unwrap_or_default();
        both.iter_mut().for_each(cut);
        both
    }
}

/// The largest remain, the largest first.
fn cut(parts: &mut Vec<Part>) {
    parts.retain(|(_, bin)| bin.value.value > 0.0);
    parts.sort_by(|a, b| b.1.value.value.total_cmp(&a.1.value.value).then(a.0.cmp(&b.0)));
    parts.truncate(RANGES_LISTED);
}

impl<P: Publisher, H: Health> Reporter<P, H> {
    /// Publishes what came by each link in a window.
    pub(super) fn publish_links(&mut self, sums: &[LinkSums], fills: &mut Fills, of: &Window, missing: &Incompleteness) {
        self.link_sequence += 1;
        for (at, link) in self.setting.links_of_frames() {
            let sums = sums.get(at).copied().unwrap_or_default();
            let one = OneLink { setting: &self.setting, link, window: of, missing, is_short: fills.is_short };
            let report = one.report(self.link_sequence, &sums, fills.of(at));
            self.publisher.link(&report);
        }
    }
}

struct OneLink<'a> {
    setting: &'a Setting,
    link: &'a LinkName,
    window: &'a Window,
    missing: &'a Incompleteness,
    is_short: bool,
}

impl OneLink<'_> {
    fn report(&self, sequence: u64, sums: &LinkSums, [passed, blocked]: [Vec<Part>; 2]) -> pb::LinkReport {
        let (identity, link, window) = (&self.setting.identity, self.link, self.window);
        let plain = |passed: u64| Weighted { passed, ..Weighted::default() };
        let of_passed = [sums.passed[0], sums.passed[1], sums.passed[1] + LINE_BYTES * sums.passed[0]].map(plain);
        let mut all = sums.blocked;
        all.iter_mut().zip(&of_passed).for_each(|(sum, passed)| sum.merge(passed));
        let [max, target, acceptable] = link.utilisation;
        pb::LinkReport {
            schema_version: SCHEMA_VERSION,
            appliance: identity.appliance.clone(),
            pop: identity.pop.clone(),
            boot_id: identity.boot_id,
            sequence,
            window_start_ns: window.bounds_ns.0,
            window_end_ns: window.bounds_ns.1,
            window_kind: kind(window.period).into(),
            config_hash: identity.config_hash.clone(),
            incomplete: self.missing.told_of_frames(),
            link: link.name.clone(),
            router: link.router.clone(),
            interface: link.interface.clone(),
            provider: link.provider.clone(),
            capacity_bps: link.capacity_bps,
            max,
            target,
            acceptable,
            passed: Some(self.traffic(&of_passed, 1)),
            blocked: Some(self.traffic(&sums.blocked, link.weight_max)),
            total: Some(self.traffic(&all, link.weight_max)),
            passed_ranges: passed.iter().map(|part| self.range(part)).collect(),
            blocked_ranges: blocked.iter().map(|part| self.range(part)).collect(),
            ranges_incomplete: self.missing.told_of_lists(self.is_short),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn traffic(&self, [frames, bytes, line]: &[Weighted; 3], weight_max: u32) -> pb::LinkTraffic {
        let longest = u64::from(self.setting.frame_bytes_max);
        let [frames_of, bytes_of] = [(frames, 1), (bytes, longest)].map(|(sum, most)| self.estimated(sum, weight_max, most));
        let line_of = self.estimated(line, weight_max, longest + LINE_BYTES);
        let seconds = self.window.bounds_ns.1.saturating_sub(self.window.bounds_ns.0) as f64 / 1e9;
        let whole = self.link.capacity_bps as f64 * seconds;
        let share = if whole > 0.0 { BITS / whole } else { 0.0 };
        pb::LinkTraffic {
            frames: Some(estimate(&frames_of)),
            l2_bits: Some(estimate(&times(&bytes_of, BITS))),
            l1_bits: Some(estimate(&times(&line_of, BITS))),
            utilisation: Some(estimate(&times(&line_of, share))),
            frames_sufficient: Some(weighted(frames)),
            l2_bytes_sufficient: Some(weighted(bytes)),
            l1_bytes_sufficient: Some(weighted(line)),
        }
    }

    /// What ports may have lost may have come by any link.
    fn estimated(&self, sum: &Weighted, weight_max: u32, value_max: u64) -> Estimate {
        let value = u32::try_from(value_max).unwrap_or(u32::MAX);
        let question = Question { weight_max, value_max: value, random: self.link.is_random, twins: false };
        let mut figure = Figure::Total(estimate_sum(sum, &question), Some(*sum));
        if let Some(gap) = self.missing.gap_of_frames() {
            widen(&mut figure, &Missing { gap, value_max, question: &question });
        }
        match figure {
            Figure::Total(value, _) => value,
            _ => Estimate::exact(0.0),
        }
    }

    fn range(&self, (range, bin): &Part) -> pb::LinkRange {
        let name = &self.setting.ranges[*range as usize];
        pb::LinkRange {
            prefix: name.prefix.clone(),
            domain: name.domain.clone(),
            customer: name.customer.clone(),
            l2_bits: Some(estimate(&times(&bin.value, BITS))),
            l2_bytes_sufficient: Some(weighted(&bin.sufficient)),
        }
    }
}

fn times(of: &Estimate, factor: f64) -> Estimate {
    Estimate { value: of.value * factor, low: of.low * factor, high: of.high.map(|high| high * factor), ..*of }
}

/// Puts the names of links into a figure whose key has a link, in place of their numbers.
pub(super) fn name_links(figure: &mut Figure, spec: &StatSpec, links: &[LinkName]) {
    let Some(before) = spec.key.place_in_text(Key::Link) else { return };
    let named = |key: &mut String| {
        let mut words: Vec<&str> = key.split('|').collect();
        let number = words.get(before).and_then(|word| word.parse::<usize>().ok());
        if let Some(link) = number.and_then(|number| links.get(number.checked_sub(1)?)) {
            words[before] = &link.name;
            *key = words.join("|");
        }
    };
    match figure {
        Figure::Histogram(bins) => bins.iter_mut().for_each(|bin| match &mut bin.of {
            BinOf::Label(label) => named(label),
            BinOf::Numbers(..) => {}
        }),
        Figure::Top(top) => top.entries.iter_mut().chain(&mut top.reserve).for_each(|entry| named(&mut entry.key)),
        Figure::Fanout(of) => of.entries.iter_mut().chain(&mut of.reserve).for_each(|entry| named(&mut entry.key)),
        _ => {}
    }
}
