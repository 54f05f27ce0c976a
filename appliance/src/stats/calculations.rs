//! Which calculations there are.

use super::{Calculation, Context, Kernel, settings};
use super::{distinct, entropy, fanout, histogram, new_keys, peak, quantiles, sum, topk};
use crate::axes::Source;
use crate::config::{Refusal, StatSpec, Windows};
use crate::units::Family;

/// Those of this crate, one row each. Nothing else in the program lists them.
pub const STANDARD: &[&dyn Calculation] = &[
    &sum::Sum, //
    &peak::Peak,
    &histogram::Histogram,
    &quantiles::Quantiles,
    &topk::TopK,
    &distinct::Distinct,
    &entropy::Entropy,
    &fanout::Fanout,
    &new_keys::NewKeys,
];

/// The calculations that a configuration may name: a value, so that a program which uses this crate can add its own.
#[derive(Clone)]
pub struct Calculations(Vec<&'static dyn Calculation>);

impl Calculations {
    /// Those of this crate.
    pub fn standard() -> Self {
        Self(STANDARD.to_vec())
    }

    /// And one more; one of the same name gives way to it.
    #[must_use]
    pub fn with(mut self, calculation: &'static dyn Calculation) -> Self {
        self.0.retain(|c| c.name() != calculation.name());
        self.0.push(calculation);
        self
    }

    /// The calculation of that name.
    pub fn named(&self, name: &str) -> Option<&'static dyn Calculation> {
        self.0.iter().copied().find(|c| c.name() == name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &'static dyn Calculation> {
        self.0.iter().copied()
    }

    /// The calculation that a row names, or what is wrong with its name or its settings' names.
    fn of(&self, spec: &StatSpec) -> Result<&'static dyn Calculation, Refusal> {
        let Some(calculation) = self.named(&spec.calculation) else {
            let names: Vec<_> = self.iter().map(Calculation::name).collect();
            let message = format!("no calculation `{}`; there are: {}", spec.calculation, names.join(", "));
            return Err(Refusal { key: "calculation".to_owned(), message });
        };
        settings::only(spec, calculation.settings())?;
        if spec.source == Source::Flows && calculation.reads_times() {
            let message =
                format!("`{}` asks when each packet came, which no flow record tells: use source = \"packets\"", spec.calculation);
            return Err(Refusal { key: "calculation".to_owned(), message });
        }
        Ok(calculation)
    }

    /// Compiles a row, or says what is wrong with it.
    pub fn compile(&self, spec: &StatSpec, context: &Context) -> Result<(&'static dyn Calculation, Box<dyn Kernel>), Refusal> {
        let calculation = self.of(spec)?;
        Ok((calculation, calculation.compile(spec, context)?))
    }

    /// Whether a row can be compiled, for either family, in windows of these lengths.
    pub fn check(&self, spec: &StatSpec, windows: Windows) -> Result<(), Refusal> {
        for family in [Family::V4, Family::V6] {
            self.compile(spec, &Context { family, weight_max: 1, random: true, rate: None, windows })?;
        }
        Ok(())
    }
}

impl Default for Calculations {
    fn default() -> Self {
        Self::standard()
    }
}

/// [`Calculations::check`] of those of this crate.
pub fn check(spec: &StatSpec, windows: Windows) -> Result<(), Refusal> {
    Calculations::standard().check(spec, windows)
}
