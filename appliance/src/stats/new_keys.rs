//! `new_keys`: how many of a window's distinct keys the windows before had not seen.
//!
//! The data path keeps what `distinct` keeps. The reporter remembers, for each range and stat, the union of the windows
//! before in two halves: when the younger has taken in `windows` windows the elder is forgotten, so that it knows of
//! `windows` windows at least and of twice as many at most. Hashes are compared one by one while there are few; beyond,
//! the number is the difference of two HyperLogLogs, the union with this window and without it.
//!
//! A key that a sample shows for the first time may have come before unseen: of samples there is no interval.

use super::columns::View;
use super::distinct::Distinct;
use super::figure::{Basis, Confidence, Distinct as Keys, DistinctSketch, Estimate, Figure, NewKeys as Figures};
use super::hll::{ertl, fold, set_register};
use super::interval::Question;
use super::pool::{Memory, Pool};
use super::stretch::Stretch;
use super::{Calculation, Closing, Context, Exhausted, Kernel, Summary, settings};
use crate::axes::{Key, Metric};
use crate::config::{Refusal, StatSpec};
use crate::limits::{NEW_KEYS_EXACT_MAX, NEW_KEYS_WINDOWS_MAX};

/// Windows that are remembered at least where the row says nothing: an hour of ten seconds.
const WINDOWS_DEFAULT: u64 = 360;
/// Standard errors of a 95 % interval.
const Z: f64 = 1.96;
/// Of a difference of HyperLogLogs: σ = 1.43·√((H + n)·n / m).
const DIFFERENCE_ERROR: f64 = 1.43;
/// Below so many times H/m a difference is within its noise: only an upper end is claimed.
const NOISE: f64 = 4.0;

/// The calculation.
pub struct NewKeys;

impl Calculation for NewKeys {
    fn name(&self) -> &'static str {
        "new_keys"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["p", "windows"]
    }

    fn compile(&self, spec: &StatSpec, context: &Context) -> Result<Box<dyn Kernel>, Refusal> {
        if spec.key.single() == Some(Key::None) {
            return Err(settings::refusal("key", "`new_keys` counts different keys: name one, such as \"src_ip\""));
        }
        if matches!(spec.metric, Metric::Bytes | Metric::Flows) {
            let message = "with `new_keys` the metric says which packets count: packets, connections_opened, connections_accepted, resets or fragments";
            return Err(settings::refusal("metric", message));
        }
        let windows = settings::integer(spec, "windows", WINDOWS_DEFAULT, 1..=NEW_KEYS_WINDOWS_MAX)?;
        let precision = settings::integer(spec, "p", u64::from(super::distinct::PRECISION_DEFAULT), 4..=16)?;
        let mut distinct = spec.clone();
        distinct.settings.retain(|(name, _)| name == "p");
        // What a sample missed says nothing of what is new: it is not kept.
        let keys = Distinct.compile(&distinct, &Context { random: false, ..*context })?;
        Ok(Box::new(NewKeysKernel { keys, windows, precision: u32::try_from(precision).unwrap_or(12) }))
    }
}

/// What `distinct` does.
struct NewKeysKernel {
    keys: Box<dyn Kernel>,
    windows: u64,
    precision: u32,
}

impl Kernel for NewKeysKernel {
    fn root_words(&self) -> usize {
        self.keys.root_words()
    }

    fn keeps_keys(&self) -> bool {
        false
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        self.keys.update(root, memory, view)
    }

    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        self.keys.export(root, pool, out);
    }

    fn export_some(&self, root: &[u64], pool: &Pool, stretch: Stretch, out: &mut Vec<u64>) -> Option<usize> {
        self.keys.export_some(root, pool, stretch, out)
    }

    fn export_words_max(&self) -> usize {
        self.keys.export_words_max()
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        self.keys.release(root, pool);
    }

    fn summary(&self) -> Box<dyn Summary> {
        Box::new(NewKeysSummary { keys: self.keys.summary(), windows: self.windows, precision: self.precision })
    }
}

struct NewKeysSummary {
    keys: Box<dyn Summary>,
    windows: u64,
    precision: u32,
}

impl NewKeysSummary {
    fn keys(&self, question: &Question) -> Keys {
        match self.keys.figure(question) {
            Figure::Distinct(keys) => keys,
            // A distinct has no other figure.
            _ => Keys { value: Estimate::exact(0.0), sketch: DistinctSketch::Hashes(Vec::new()), sampled_packets: 0, shown: None },
        }
    }
}

impl Summary for NewKeysSummary {
    fn absorb(&mut self, words: &[u64]) {
        self.keys.absorb(words);
    }

    /// As of a first window.
    fn figure(&self, question: &Question) -> Figure {
        let keys = self.keys(question);
        Figure::NewKeys(Figures { value: of_sample(keys.value, &keys, question), keys, covers_windows: 0 })
    }

    fn remembers(&self) -> bool {
        true
    }

    fn close(&self, question: &Question, closing: &mut Closing<'_>) -> Figure {
        let (start_ns, end_ns) = closing.window_ns;
        let length_ns = (end_ns - start_ns).max(1);
        let window = start_ns / length_ns;
        let keys = self.keys(question);
        let known = closing.past.state.take().and_then(|state| state.downcast::<Known>().ok());
        let mut known = known.unwrap_or_else(|| Box::new(Known::new(window, self.precision)));
        known.turn(window, self.windows);
        let value = known.count_new(&keys);
        let covers_windows = window.saturating_sub(known.since);
        known.young.add(&keys.sketch, self.precision);
        known.young.last = window;
        closing.past.until_ns = end_ns.saturating_add(length_ns.saturating_mul(2 * self.windows));
        closing.past.state = Some(known);
        Figure::NewKeys(Figures { value: of_sample(value, &keys, question), keys, covers_windows })
    }
}

/// Of a sample the number says what was new in the sample; nothing follows for the truth.
fn of_sample(value: Estimate, keys: &Keys, question: &Question) -> Estimate {
    if question.weight_max <= 1 && keys.sampled_packets == 0 {
        return value;
    }
    let basis = if value.basis == Basis::Exact || value.basis == Basis::Sampled { Basis::Sampled } else { Basis::SampledSketched };
    Estimate { value: value.value, low: 0.0, high: None, basis, confidence: Confidence::Sure }
}

/// What the windows before have shown.
struct Known {
    /// First window that is known.
    since: u64,
    elder: Half,
    young: Half,
    precision: u32,
}

/// The union of some windows.
#[derive(Default)]
struct Half {
    /// Sorted; empty where there are registers.
    hashes: Vec<u64>,
    registers: Vec<u8>,
    first: u64,
    last: u64,
}

impl Half {
    /// With a window's keys. Registers are as few as the fewest that came: memory may have been short.
    fn add(&mut self, sketch: &DistinctSketch, precision: u32) {
        match sketch {
            DistinctSketch::Hashes(hashes) if self.registers.is_empty() => {
                self.hashes.extend(hashes);
                self.hashes.sort_unstable();
                self.hashes.dedup();
                if self.hashes.len() > NEW_KEYS_EXACT_MAX {
                    self.turn(precision);
                }
            }
            DistinctSketch::Hashes(hashes) => {
                let precision = self.precision(precision);
                hashes.iter().for_each(|hash| set_register(&mut self.registers, precision, *hash));
            }
            DistinctSketch::Registers(theirs) => {
                let precision = self.precision(precision).min(theirs.len().trailing_zeros());
                self.turn(precision);
                raise(&mut self.registers, &fold(theirs, precision));
            }
        }
    }

    fn turn(&mut self, precision: u32) {
        self.registers = self.as_registers(precision);
        self.hashes = Vec::new();
    }

    /// Of its registers; `full` where it has none yet.
    fn precision(&self, full: u32) -> u32 {
        if self.registers.is_empty() { full } else { self.registers.len().trailing_zeros() }
    }

    /// No more than it has.
    fn as_registers(&self, precision: u32) -> Vec<u8> {
        let mut registers = if self.registers.is_empty() { vec![0; 1 << precision] } else { fold(&self.registers, precision) };
        self.hashes.iter().for_each(|hash| set_register(&mut registers, precision, *hash));
        registers
    }

    fn has(&self, hash: u64) -> bool {
        self.hashes.binary_search(&hash).is_ok()
    }
}

/// The element-wise maximum.
fn raise(ours: &mut [u8], theirs: &[u8]) {
    ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours = (*ours).max(*theirs));
}

impl Known {
    fn new(window: u64, precision: u32) -> Self {
        let half = || Half { first: window, last: window, ..Half::default() };
        Self { since: window, elder: half(), young: half(), precision }
    }

    /// Forgets what is older than it must be.
    fn turn(&mut self, window: u64, windows: u64) {
        // One half follows the other without a gap, also where the range was idle: together they are never longer than two.
        let halves = window.saturating_sub(self.young.first) / windows;
        if halves > 0 {
            let first = self.young.first + halves * windows;
            let young = std::mem::replace(&mut self.young, Half { first, last: window, ..Half::default() });
            let idle = || Half { first: first - windows, last: first - 1, ..Half::default() };
            self.elder = if halves == 1 { young } else { idle() };
            self.since = self.since.max(first - windows);
        }
        if self.elder.last + windows < window {
            // Windows in which the range was idle are known too: nothing was there.
            self.since = self.since.max(self.elder.last + 1);
            (self.elder.hashes, self.elder.registers) = (Vec::new(), Vec::new());
        }
    }

    /// How many of a window's keys are not known.
    fn count_new(&self, keys: &Keys) -> Estimate {
        let exact = self.elder.registers.is_empty() && self.young.registers.is_empty();
        let unknown = |hash: &&u64| !self.elder.has(**hash) && !self.young.has(**hash);
        match &keys.sketch {
            DistinctSketch::Hashes(hashes) if exact => Estimate::exact(count(hashes.iter().filter(unknown).count())),
            DistinctSketch::Hashes(hashes) => self.probe(hashes.iter().filter(unknown)),
            DistinctSketch::Registers(registers) => self.difference(registers, &keys.value),
        }
    }

    /// Of both halves.
    fn common_precision(&self) -> u32 {
        self.elder.precision(self.precision).min(self.young.precision(self.precision))
    }

    fn registers(&self, precision: u32) -> Vec<u8> {
        let mut known = self.elder.as_registers(precision);
        raise(&mut known, &self.young.as_registers(precision));
        known
    }

    /// Of keys that no hash list knows: one that would raise a register was surely not there.
    fn probe<'a>(&self, keys: impl Iterator<Item = &'a u64>) -> Estimate {
        let precision = self.common_precision();
        let known = self.registers(precision);
        let (mut new, mut all) = (0, 0);
        for hash in keys {
            let mut one = known.clone();
            set_register(&mut one, precision, *hash);
            new += usize::from(one != known);
            all += 1;
        }
        // How likely a new key raises a register.
        let chance = known.iter().map(|rank| 0.5_f64.powi(i32::from(*rank))).sum::<f64>() / count(known.len());
        let (low, high) = (count(new), count(all));
        let value = (low / chance.max(f64::MIN_POSITIVE)).round().clamp(low, high);
        Estimate { value, low, high: Some(high), basis: Basis::Sketched, confidence: Confidence::Sure }
    }

    fn difference(&self, registers: &[u8], window: &Estimate) -> Estimate {
        let precision = self.common_precision().min(registers.len().trailing_zeros());
        let mut union = self.registers(precision);
        let known = ertl(&union);
        if known < 1.0 {
            return *window;
        }
        raise(&mut union, &fold(registers, precision));
        let new = (ertl(&union) - known).max(0.0);
        let m = count(union.len());
        // The numbers n whose own error reaches to what was counted: (n - counted)² = k·(H + n)·n.
        let k = (Z * DIFFERENCE_ERROR).powi(2) / m;
        let ends = |counted: f64| {
            let middle = counted + k * known / 2.0;
            let apart = (middle * middle - (1.0 - k) * counted * counted).max(0.0).sqrt();
            ((middle - apart) / (1.0 - k), (middle + apart) / (1.0 - k))
        };
        let noise = NOISE * known / m;
        let high = ends(new.max(noise)).1.ceil().min(window.high.unwrap_or(f64::INFINITY));
        let low = if new > noise { ends(new).0.max(0.0).floor().min(high) } else { 0.0 };
        let value = new.round().clamp(low, high);
        Estimate { value, low, high: Some(high), basis: Basis::Sketched, confidence: Confidence::P95 }
    }
}

#[allow(clippy::cast_precision_loss, reason = "small")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::hash::spread;

    /// A flood of sources that were never seen, upon a past of many: the difference of two estimates may be above the window's own
    /// upper end.
    #[test]
    fn no_more_are_new_than_there_are() {
        let seed = crate::stats::tests::seed();
        for (known_keys, keys) in [(100_000, 300), (100_000, 1_000), (300_000, 200), (1_000_000, 2_000)] {
            for draw in 0..60_000_000 / known_keys.max(1_000_000) {
                let hash = |n: u64| spread(n ^ spread(seed << 32 | draw << 8 | keys));
                let mut known = Known::new(1, 12);
                known.young.registers = vec![0; 1 << 12];
                (0..known_keys).for_each(|n| set_register(&mut known.young.registers, 12, hash(n)));
                let mut registers = vec![0; 1 << 12];
                (0..keys).for_each(|n| set_register(&mut registers, 12, hash(known_keys + n)));
                let value = ertl(&registers);
                let window =
                    Estimate { value, low: value * 0.97, high: Some(value * 1.033), basis: Basis::Sketched, confidence: Confidence::P95 };
                let new = known.difference(&registers, &window);
                let high = new.high.unwrap();
                assert!(new.low <= new.value && new.value <= high && high <= value * 1.033, "seed {seed}, {draw}: {new:?} of {value}");
            }
        }
    }
}
