//! `distinct`: how many different keys there were.
//!
//! Up to [`DISTINCT_EXACT_MAX`] keys are kept as their keyed 64-bit hashes and counted exactly (two keys of one window
//! share a hash once in 10^15). Beyond, the hashes become a HyperLogLog of 2^p one-byte registers (Flajolet, Fusy,
//! Gandouet and Meunier, 2007) read by Ertl's estimator (2017). Whether a window is exact depends on its keys alone,
//! never on how its packets were spread over shards.
//!
//! What a sample says of distinct keys is a lower bound: figures with sampled packets have no upper end.

use std::collections::BTreeSet;

use bytemuck::cast_slice_mut;

use super::columns::View;
use super::figure::{Basis, Confidence, Distinct as Figures, DistinctSketch, Estimate, Figure};
use super::interval::Question;
use super::pool::{Handle, Memory, Pool};
use super::{Calculation, Context, Exhausted, Kernel, Summary, settings};
use crate::axes::{Key, Metric};
use crate::config::{Refusal, StatSpec};
use crate::limits::DISTINCT_EXACT_MAX;

/// log2 of registers where the row says nothing.
pub const PRECISION_DEFAULT: u32 = 12;
/// State of a root whose chunk holds registers.
const SKETCH: u64 = u64::MAX;
/// Slots of the first table of hashes.
const SLOTS_MIN: usize = 8;
/// Root: chunk, number of hashes or [`SKETCH`], sampled packets.
const ROOT_WORDS: usize = 3;

/// The calculation.
pub struct Distinct;

impl Calculation for Distinct {
    fn name(&self) -> &'static str {
        "distinct"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["p"]
    }

    fn compile(&self, spec: &StatSpec, _context: &Context) -> Result<Box<dyn Kernel>, Refusal> {
        if spec.key.single() == Some(Key::None) {
            return Err(settings::refusal("key", "`distinct` counts different keys: name one, such as \"src_ip\""));
        }
        if matches!(spec.metric, Metric::Bytes | Metric::Flows) {
            let message = "with `distinct` the metric says which packets count: packets, connections_opened, connections_accepted, resets or fragments";
            return Err(settings::refusal("metric", message));
        }
        let precision = settings::integer(spec, "p", u64::from(PRECISION_DEFAULT), 4..=16)?;
        Ok(Box::new(DistinctKernel { precision: u32::try_from(precision).unwrap_or(PRECISION_DEFAULT), total: false }))
    }
}

/// A kernel whose figure is a total.
pub(super) fn total(precision: u32) -> Box<dyn Kernel> {
    Box::new(DistinctKernel { precision, total: true })
}

struct DistinctKernel {
    precision: u32,
    total: bool,
}

impl DistinctKernel {
    fn register_words(&self) -> usize {
        1 << (self.precision - 3)
    }

    /// Adds one hash to a table that is small, growing or turning it where needed.
    fn insert(&self, root: &mut [u64], memory: &mut Memory<'_>, hash: u64) -> Result<(), Exhausted> {
        if root[0] == 0 {
            root[0] = memory.alloc(SLOTS_MIN).ok_or(Exhausted)?.word();
        }
        let table = memory.pool.get_mut(Handle::from_word(root[0]));
        let slot = find(table, hash);
        if table[slot] == hash {
            return Ok(());
        }
        let count = usize::try_from(root[1]).unwrap_or(usize::MAX);
        if count == DISTINCT_EXACT_MAX {
            self.turn(root, memory)?;
            self.register(memory.pool.get_mut(Handle::from_word(root[0])), hash);
            return Ok(());
        }
        if (count + 1) * 2 > table.len() {
            let grown = grow(root, memory);
            let table = memory.pool.get_mut(Handle::from_word(root[0]));
            // Without memory it fills up further, but one slot stays free: probing ends there.
            if grown.is_err() && count + 2 > table.len() {
                return grown;
            }
        }
        let table = memory.pool.get_mut(Handle::from_word(root[0]));
        let slot = find(table, hash);
        table[slot] = hash;
        root[1] += 1;
        Ok(())
    }

    /// Makes registers of the hashes.
    fn turn(&self, root: &mut [u64], memory: &mut Memory<'_>) -> Result<(), Exhausted> {
        let old = Handle::from_word(root[0]);
        let new = memory.alloc(self.register_words()).ok_or(Exhausted)?;
        for i in 0..memory.pool.get(old).len() {
            let hash = memory.pool.get(old)[i];
            if hash != 0 {
                self.register(memory.pool.get_mut(new), hash);
            }
        }
        memory.pool.free(old);
        (root[0], root[1]) = (new.word(), SKETCH);
        Ok(())
    }

    #[inline]
    fn register(&self, words: &mut [u64], hash: u64) {
        let registers: &mut [u8] = cast_slice_mut(words);
        set_register(registers, self.precision, hash);
    }
}

/// Enters a hash.
#[inline]
pub(super) fn set_register(registers: &mut [u8], precision: u32, hash: u64) {
    let index = usize::try_from(hash >> (64 - precision)).unwrap_or(0);
    let rank = (hash << precision | 1 << (precision - 1)).leading_zeros() + 1;
    registers[index] = registers[index].max(u8::try_from(rank).unwrap_or(u8::MAX));
}

/// Slot of a hash, or the free one where it belongs. The table is a power of two long and always has a free slot.
#[allow(clippy::cast_possible_truncation, reason = "masked")]
fn find(table: &[u64], hash: u64) -> usize {
    let mask = table.len() - 1;
    let mut slot = (hash >> 20) as usize & mask;
    while table[slot] != 0 && table[slot] != hash {
        slot = (slot + 1) & mask;
    }
    slot
}

/// Doubles the table of hashes.
fn grow(root: &mut [u64], memory: &mut Memory<'_>) -> Result<(), Exhausted> {
    let old = Handle::from_word(root[0]);
    let slots = memory.pool.get(old).len();
    let new = memory.alloc(slots * 2).ok_or(Exhausted)?;
    for i in 0..slots {
        let hash = memory.pool.get(old)[i];
        if hash != 0 {
            let table = memory.pool.get_mut(new);
            let slot = find(table, hash);
            table[slot] = hash;
        }
    }
    memory.pool.free(old);
    root[0] = new.word();
    Ok(())
}

impl Kernel for DistinctKernel {
    fn root_words(&self) -> usize {
        ROOT_WORDS
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        for row in view.rows() {
            root[2] += u64::from(row.is_sampled());
            let hash = row.hash.max(1);
            if root[1] == SKETCH {
                self.register(memory.pool.get_mut(Handle::from_word(root[0])), hash);
            } else {
                self.insert(root, memory, hash)?;
            }
        }
        Ok(())
    }

    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        out.extend([u64::from(root[1] == SKETCH), root[2]]);
        if root[0] == 0 {
            return;
        }
        let chunk = pool.get(Handle::from_word(root[0]));
        if root[1] == SKETCH {
            out.extend_from_slice(&chunk[..self.register_words()]);
        } else {
            out.extend(chunk.iter().filter(|hash| **hash != 0));
        }
    }

    fn export_words_max(&self) -> usize {
        2 + self.register_words().max(DISTINCT_EXACT_MAX)
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        pool.free(Handle::from_word(root[0]));
    }

    fn summary(&self) -> Box<dyn Summary> {
        Box::new(DistinctSummary {
            precision: self.precision,
            total: self.total,
            hashes: BTreeSet::new(),
            registers: Vec::new(),
            sampled: 0,
        })
    }
}

struct DistinctSummary {
    precision: u32,
    total: bool,
    hashes: BTreeSet<u64>,
    registers: Vec<u8>,
    sampled: u64,
}

impl DistinctSummary {
    fn turn_to_registers(&mut self) {
        self.registers.resize(1 << self.precision, 0);
        for hash in std::mem::take(&mut self.hashes) {
            set_register(&mut self.registers, self.precision, hash);
        }
    }
}

impl Summary for DistinctSummary {
    fn absorb(&mut self, words: &[u64]) {
        let [sketch, sampled, rest @ ..] = words else { return };
        self.sampled += sampled;
        if *sketch == 0 {
            self.hashes.extend(rest);
            if self.hashes.len() > DISTINCT_EXACT_MAX || !self.registers.is_empty() {
                self.turn_to_registers();
            }
            return;
        }
        self.turn_to_registers();
        let mut rest = rest.to_vec();
        let theirs: &[u8] = cast_slice_mut(&mut rest);
        self.registers.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours = (*ours).max(*theirs));
    }

    fn figure(&self, question: &Question) -> Figure {
        let sampled = self.sampled > 0 || question.weight_max > 1;
        let exact = self.registers.is_empty();
        let value = if exact { count(self.hashes.len()) } else { ertl(&self.registers).round() };
        let estimate = bounds(value, exact, sampled, self.registers.len());
        if self.total {
            return Figure::Total(estimate, None);
        }
        let sketch = if exact {
            DistinctSketch::Hashes(self.hashes.iter().copied().collect())
        } else {
            DistinctSketch::Registers(self.registers.clone())
        };
        Figure::Distinct(Figures { value: estimate, sketch, sampled_packets: self.sampled })
    }
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand at most")]
fn count(n: usize) -> f64 {
    n as f64
}

/// Bounds of a number of distinct keys. The standard error of m registers is 1.04 / √m.
fn bounds(value: f64, exact: bool, sampled: bool, registers: usize) -> Estimate {
    let basis = match (exact, sampled) {
        (true, false) => return Estimate::exact(value),
        (true, true) => Basis::Sampled,
        (false, false) => Basis::Sketched,
        (false, true) => Basis::SampledSketched,
    };
    if exact {
        return Estimate { value, low: value, high: None, basis, confidence: Confidence::Sure };
    }
    let spread = 1.96 * 1.04 / count(registers).sqrt();
    let high = (!sampled).then(|| (value * (1.0 + spread)).ceil());
    Estimate { value, low: (value * (1.0 - spread)).floor(), high, basis, confidence: Confidence::P95 }
}

/// Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), the improved raw estimator.
pub(super) fn ertl(registers: &[u8]) -> f64 {
    let m = count(registers.len());
    let q = 64 - registers.len().trailing_zeros() as usize;
    let mut histogram = vec![0.0_f64; q + 2];
    registers.iter().for_each(|r| histogram[usize::from(*r).min(q + 1)] += 1.0);
    let mut z = m * tau(1.0 - histogram[q + 1] / m);
    for k in (1..=q).rev() {
        z = 0.5 * (z + histogram[k]);
    }
    z += m * sigma(histogram[0] / m);
    m / (2.0 * std::f64::consts::LN_2) * m / z
}

fn sigma(x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut x, mut y, mut z) = (x, 1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut x, mut y, mut z) = (x, 1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}
