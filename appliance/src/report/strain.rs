//! What want of memory, or of time, did to a window's figures, counted as they are made.

use crate::config::StatSpec;
use crate::stats::distinct::PRECISION_DEFAULT;
use crate::stats::figure::{Basis, Bin, Distinct, DistinctSketch, Figure};
use crate::stats::settings;

/// Figures of a window that want of memory or time made coarser; one may be several of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strain {
    /// Lists that admitted one new key in so many only.
    pub thinned: u64,
    /// Lists whose table found no memory to grow.
    pub short: u64,
    /// `distinct` with fewer registers or kept keys than asked for, and histograms that put what found no place into `other`.
    pub folded: u64,
    /// Reports of which some stat missed records.
    pub missed: u64,
    /// Lists that left records out since a core had more to do than it could.
    pub shed: u64,
}

impl Strain {
    /// By [`crate::telemetry::DEGRADED`].
    pub const fn counts(&self) -> [u64; 5] {
        [self.thinned, self.short, self.folded, self.missed, self.shed]
    }

    /// Whether there was any for want of memory.
    pub fn is_of_memory(&self) -> bool {
        Self { shed: 0, ..*self } != Self::default()
    }

    /// Looks at a figure. A `sum` of `flows` does not tell whether its registers are fewer: it is not counted.
    pub(super) fn see(&mut self, spec: &StatSpec, figure: &Figure) {
        match figure {
            Figure::Top(top) => {
                self.thinned += u64::from(top.thinned > 1);
                self.short += u64::from(top.short);
                self.shed += u64::from(top.shed > 1);
            }
            Figure::Distinct(distinct) => self.folded += u64::from(is_folded(spec, distinct)),
            Figure::NewKeys(of) => self.folded += u64::from(is_folded(spec, &of.keys)),
            Figure::Histogram(bins) => self.folded += u64::from(bins.iter().any(lacks)),
            _ => {}
        }
    }
}

/// Whether it has fewer registers than its row asks for, or kept fewer of a sample's keys than it would.
fn is_folded(spec: &StatSpec, of: &Distinct) -> bool {
    if of.shown.as_ref().is_some_and(|shown| shown.short) {
        return true;
    }
    let DistinctSketch::Registers(registers) = &of.sketch else { return false };
    let wanted = settings::integer(spec, "p", u64::from(PRECISION_DEFAULT), 4..=16).unwrap_or(0);
    u64::from(registers.len().ilog2()) < wanted
}

/// Whether some of the bin may stand in `other`.
fn lacks(bin: &Bin) -> bool {
    matches!(bin.value.basis, Basis::Sketched | Basis::SampledSketched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axes::{Key, Metric};
    use crate::config::Setting;
    use crate::stats::figure::{BinOf, Estimate, Top, Unseen};
    use crate::stats::weighted::Weighted;

    fn spec(settings: Vec<(String, Setting)>) -> StatSpec {
        StatSpec { settings, ..StatSpec::new("distinct", &[Key::SrcIp], Metric::Packets) }
    }

    fn seen(spec: &StatSpec, figure: &Figure) -> [u64; 4] {
        let mut strain = Strain::default();
        strain.see(spec, figure);
        let [of_memory @ .., shed] = strain.counts();
        assert_eq!(shed, u64::from(matches!(figure, Figure::Top(top) if top.shed > 1)));
        of_memory
    }

    #[test]
    fn what_is_coarser_is_counted_and_what_is_whole_is_not() {
        let top = |thinned, short| {
            let all = Weighted::default();
            let (entries, reserve, absent) = (Vec::new(), Vec::new(), Unseen::default());
            let (all_sufficient, all) = (all, Estimate::exact(0.0));
            Figure::Top(Top { entries, reserve, coverage: 1.0, all, all_sufficient, absent, thinned, short, shed: 2 * thinned })
        };
        let default = spec(Vec::new());
        assert_eq!(seen(&default, &top(1, false)), [0; 4]);
        assert_eq!(seen(&default, &top(4, true)), [1, 1, 0, 0]);
        let distinct = |sketch| Figure::Distinct(Distinct { value: Estimate::exact(1.0), sketch, sampled_packets: 0, shown: None });
        let registers = |p: u32| distinct(DistinctSketch::Registers(vec![0; 1 << p]));
        assert_eq!(seen(&default, &registers(12)), [0; 4]);
        assert_eq!(seen(&default, &registers(6)), [0, 0, 1, 0]);
        assert_eq!(seen(&default, &distinct(DistinctSketch::Hashes(vec![1]))), [0; 4]);
        assert_eq!(seen(&spec(vec![("p".to_owned(), Setting::Integer(6))]), &registers(6)), [0; 4]);
        let bins = |basis| {
            let value = Estimate { basis, ..Estimate::exact(1.0) };
            Figure::Histogram(vec![Bin { of: BinOf::Label("6".to_owned()), value, sufficient: Weighted::default() }])
        };
        assert_eq!((seen(&default, &bins(Basis::Sampled)), seen(&default, &bins(Basis::Sketched))), ([0; 4], [0, 0, 1, 0]));
    }
}
