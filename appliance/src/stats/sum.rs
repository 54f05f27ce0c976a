//! `sum`: a metric added up. Exact, but for sampled packets, which are scaled.
//!
//! With the metric `flows` it is the number of distinct 5-tuples, a sketch.

use super::columns::View;
use super::distinct;
use super::figure::Figure;
use super::interval::{Question, estimate};
use super::pool::{Memory, Pool};
use super::weighted::{SumLayout, Weighted};
use super::{Calculation, Context, Exhausted, Kernel, Summary};
use crate::axes::{Key, KeySpec, Metric};
use crate::config::{Refusal, StatSpec};

/// The calculation.
pub struct Sum;

impl Calculation for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn key(&self, spec: &StatSpec) -> KeySpec {
        if spec.metric == Metric::Flows { KeySpec::new(vec![Key::Flow], spec.key.lengths()) } else { spec.key.clone() }
    }

    fn compile(&self, spec: &StatSpec, context: &Context) -> Result<Box<dyn Kernel>, Refusal> {
        if spec.metric != Metric::Flows {
            return Ok(Box::new(SumKernel { layout: SumLayout::of(context, spec.metric) }));
        }
        if spec.key.single() != Some(Key::None) {
            return Err(super::settings::refusal("key", "`flows` are counted over 5-tuples: leave `key` out"));
        }
        Ok(distinct::total(distinct::PRECISION_DEFAULT, context))
    }
}

struct SumKernel {
    layout: SumLayout,
}

impl Kernel for SumKernel {
    fn root_words(&self) -> usize {
        self.layout.words()
    }

    fn keeps_keys(&self) -> bool {
        false
    }

    fn reads_hashes(&self) -> bool {
        false
    }

    fn prefetches(&self) -> bool {
        false
    }

    fn update(&self, root: &mut [u64], _memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        self.layout.add_all(root, view);
        Ok(())
    }

    fn export(&self, root: &[u64], _pool: &Pool, out: &mut Vec<u64>) {
        out.extend_from_slice(root);
    }

    fn export_words_max(&self) -> usize {
        self.layout.words()
    }

    fn summary(&self) -> Box<dyn Summary> {
        Box::new(SumSummary { layout: self.layout, sum: Weighted::default() })
    }
}

struct SumSummary {
    layout: SumLayout,
    sum: Weighted,
}

impl Summary for SumSummary {
    fn absorb(&mut self, words: &[u64]) {
        self.sum.merge(&self.layout.read(words));
    }

    fn figure(&self, question: &Question) -> Figure {
        Figure::Total(estimate(&self.sum, question), Some(self.sum))
    }
}
