//! The figures of `distinct` against the model, and what they say of keys that a sample missed.

use tailwater::report::pb;

use super::compare::{Counts, EXACT_KEYS, holds, same};

/// Keys of sampled packets that are all kept.
const KEPT_KEYS: usize = 256;

impl Counts<'_> {
    /// `bounded`: of `distinct` itself, which says how many keys a sample may have missed.
    pub(super) fn distinct(&self, have: &pb::Distinct, bounded: bool) -> Result<(), String> {
        same("sampled", have.sampled_packets, self.all.sampled_packets)?;
        if self.keys.len() <= self.exact_distinct() {
            same("sketch", (&have.sketch_kind[..], have.sketch.len()), ("hashes64", 8 * self.keys.len()))?;
        } else {
            same("sketch", (&have.sketch_kind[..], have.p, have.sketch.len()), ("hll", self.row.p, 1 << self.row.p))?;
        }
        self.shown(have, bounded)?;
        self.number(have.value.as_ref().ok_or("no value")?, bounded)
    }

    /// How often each key of the sample was seen, as the message says it.
    fn shown(&self, have: &pb::Distinct, bounded: bool) -> Result<(), String> {
        let hashes = have.shown_hashes.as_chunks::<8>().0;
        let mut counts: Vec<u16> = have.shown_counts.as_chunks::<2>().0.iter().map(|bytes| u16::from_be_bytes(*bytes)).collect();
        same("lengths", (8 * hashes.len(), 2 * counts.len()), (have.shown_hashes.len(), have.shown_counts.len()))?;
        holds("memory", !have.short_of_memory)?;
        if !bounded || !self.claims() {
            return same("nothing is claimed", (hashes.len(), have.shown_level), (0, 0));
        }
        holds("ascending", hashes.is_sorted() && hashes.iter().all(|h| u64::from_be_bytes(*h).leading_zeros() >= have.shown_level))?;
        let sampled = || self.keys.values().filter(|sum| sum.sampled_packets > 0);
        if sampled().count() > KEPT_KEYS {
            return holds("thinned", have.shown_level > 0 && (KEPT_KEYS / 8..=KEPT_KEYS).contains(&hashes.len()));
        }
        let mut want: Vec<u16> = sampled()
            .map(|sum| match sum.sampled_packets {
                1 => u16::try_from(sum.scaled).unwrap(),
                2 => 1,
                _ => 0,
            })
            .collect();
        want.sort_unstable();
        counts.sort_unstable();
        same("shown", (have.shown_level, counts), (0, want))
    }

    fn exact_distinct(&self) -> usize {
        if self.row.p < 10 { 64 } else { EXACT_KEYS }
    }

    /// Whether a sample's interval may be claimed.
    fn claims(&self) -> bool {
        self.may_be_sampled() && !self.setup.every_nth && self.all.unproven == 0
    }

    pub(super) fn number(&self, have: &pb::Estimate, bounded: bool) -> Result<(), String> {
        let truth = self.keys.len() as f64;
        let exact = self.keys.len() <= self.exact_distinct();
        let deviation = if exact { 0.0 } else { 1.04 / f64::from(1_u32 << self.row.p).sqrt() };
        holds(&format!("{truth}"), (have.value - truth).abs() <= 5.0 * deviation * truth)?;
        let basis = match (exact, self.may_be_sampled()) {
            (true, false) => return same("exact", (have.low, have.high, have.basis()), (truth, Some(truth), pb::Basis::Exact)),
            (true, true) => pb::Basis::Sampled,
            (false, false) => pb::Basis::Sketched,
            (false, true) => pb::Basis::SampledSketched,
        };
        same("basis", have.basis(), basis)?;
        holds("low", if exact { have.low == truth } else { have.low <= have.value })?;
        if !self.may_be_sampled() {
            return holds("high", have.high >= Some(have.value));
        }
        if !bounded || !self.claims() {
            return same("no high", have.high, None);
        }
        let (missed, sure) = (have.high.ok_or("no high")? - (have.value * (1.0 + 1.96 * deviation)).ceil(), pb::Confidence::Sure);
        holds("confidence", have.confidence() != sure)?;
        self.missed(missed)
    }

    /// Of keys that the sample does not show: more than are expected at most, and no more than three deviations more.
    fn missed(&self, have: f64) -> Result<(), String> {
        let sampled = self.keys.values().filter(|sum| sum.sampled_packets > 0);
        let once: Vec<f64> = sampled.clone().filter(|sum| sum.sampled_packets == 1).map(|sum| sum.scaled as f64 - 1.0).collect();
        let heaviest = if self.setup.one_rate { 39.0 } else { 4_094.0 };
        let all = || once.iter().copied().chain([heaviest]);
        let (mean, variance): (f64, f64) = (all().sum(), all().map(|n| n * (n + 1.0)).sum());
        if sampled.count() > KEPT_KEYS {
            return holds(&format!("{have} where {mean} are expected"), have >= mean * 0.3);
        }
        holds(&format!("{have} where {mean} are expected"), have >= mean && have <= mean + 3.0 * variance.sqrt() + 1.0)
    }
}
