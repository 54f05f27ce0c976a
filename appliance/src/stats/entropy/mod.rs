//! `entropy`: how evenly a metric is spread over its keys, Shannon's, in bits.
//!
//! Up to `keys` keys a table holds what each of them has: exact. Beyond, keys fall into buckets by their hash, twice
//! over, and a HyperLogLog counts them. Both are the same however packets were spread over shards, and merge by adding
//! and by maximum. What buckets say of keys is in [`bounds`].

mod bounds;

use std::collections::BTreeMap;

use bytemuck::cast_slice_mut;

use super::columns::{Row, View};
use super::distinct::PRECISION_DEFAULT;
use super::figure::Figure;
use super::hll::set_register;
use super::interval::Question;
use super::pool::{Handle, Memory, Pool};
use super::stretch::Stretch;
use super::table::{self, Table};
use super::{Calculation, Context, Exhausted, Kernel, Summary, settings};
use crate::axes::{Key, Metric};
use crate::config::{Refusal, StatSpec};
use crate::limits::ENTROPY_KEYS_MAX;
use bounds::{Sample, Tally};

/// Keys held exactly where the row says nothing.
const KEYS_DEFAULT: u64 = 1_024;
/// Length of the table where there are buckets in its place.
const BUCKETS: u64 = u64::MAX;
/// Words of the registers that count keys.
const REGISTER_WORDS: usize = 1 << (PRECISION_DEFAULT - 3);
/// Root: table or buckets; then of sampled packets the largest, how many, how many of them unproven.
const ROOT_WORDS: usize = table::ROOT_WORDS + 3;
/// In an entry's count of samples: packets of the key came that stand for themselves.
const HAS_PASSED: u64 = 1 << 63;

/// The calculation.
pub struct Entropy;

impl Calculation for Entropy {
    fn name(&self) -> &'static str {
        "entropy"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["keys"]
    }

    fn compile(&self, spec: &StatSpec, context: &Context) -> Result<Box<dyn Kernel>, Refusal> {
        if spec.key.single() == Some(Key::None) {
            return Err(settings::refusal("key", "`entropy` tells how a metric is spread over keys: name one, such as \"src_ip\""));
        }
        if spec.metric == Metric::Flows {
            return Err(settings::refusal("metric", "`flows` goes with `sum` only"));
        }
        let keys = settings::integer(spec, "keys", KEYS_DEFAULT, 16..=ENTROPY_KEYS_MAX as u64)?;
        let keys = usize::try_from(keys).unwrap_or(ENTROPY_KEYS_MAX);
        Ok(Box::new(EntropyKernel { form: Form::new(keys, context.sampled()) }))
    }
}

/// How the state lies.
#[derive(Clone, Copy)]
struct Form {
    keys: usize,
    /// Buckets of one row.
    buckets: usize,
    sampled: bool,
    table: Table,
}

impl Form {
    /// Entries: hash, total, and (of samples) how many.
    fn new(keys: usize, sampled: bool) -> Self {
        Self { keys, buckets: keys.next_power_of_two(), sampled, table: Table { entry_words: if sampled { 3 } else { 2 } } }
    }

    /// Two rows of buckets, then registers.
    const fn bucket_words(&self) -> usize {
        2 * self.buckets + REGISTER_WORDS
    }

    /// Adds to a key's buckets. The two rows take different bits of the hash, the registers the upper ones.
    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    fn add(&self, words: &mut [u64], hash: u64, total: u64) {
        let (mask, bits) = (self.buckets - 1, self.buckets.trailing_zeros());
        let (rows, registers) = words.split_at_mut(2 * self.buckets);
        for at in [hash as usize & mask, self.buckets + ((hash >> bits) as usize & mask)] {
            rows[at] = rows[at].saturating_add(total);
        }
        let registers: &mut [u8] = cast_slice_mut(&mut registers[..REGISTER_WORDS]);
        set_register(registers, PRECISION_DEFAULT, hash);
    }
}

struct EntropyKernel {
    form: Form,
}

impl EntropyKernel {
    fn count(&self, root: &mut [u64], memory: &mut Memory<'_>, row: &Row<'_>) -> Result<(), Exhausted> {
        let (form, hash, total) = (&self.form, row.hash.max(1), (row.value * row.weight).saturating_mul(row.times));
        if root[1] != BUCKETS {
            let entry = if Table::len(root) < form.keys {
                Some(form.table.entry(root, memory, hash)?)
            } else {
                form.table.get(root, memory.pool, hash)
            };
            if let Some(entry) = entry {
                entry[1] = entry[1].saturating_add(total);
                if let Some(samples) = entry.get_mut(2) {
                    *samples = if row.is_sampled() { *samples + row.times } else { *samples | HAS_PASSED };
                }
                return Ok(());
            }
            self.turn(root, memory)?;
        }
        form.add(memory.pool.get_mut(Handle::from_word(root[0])), hash, total);
        Ok(())
    }

    /// Makes buckets of the table.
    fn turn(&self, root: &mut [u64], memory: &mut Memory<'_>) -> Result<(), Exhausted> {
        let (form, old) = (&self.form, Handle::from_word(root[0]));
        let new = memory.alloc(form.bucket_words()).ok_or(Exhausted)?;
        let (from, to) = memory.pool.get_two_mut(old, new);
        from.chunks_exact(form.table.entry_words).filter(|entry| entry[0] != 0).for_each(|entry| form.add(to, entry[0], entry[1]));
        memory.pool.free(old);
        (root[0], root[1]) = (new.word(), BUCKETS);
        Ok(())
    }
}

impl Kernel for EntropyKernel {
    fn root_words(&self) -> usize {
        ROOT_WORDS
    }

    fn keeps_keys(&self) -> bool {
        false
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        for row in view.rows() {
            if row.is_sampled()
                && let [_, _, largest, samples, unproven] = root
            {
                *largest = (*largest).max(row.value * row.weight);
                *samples += row.times;
                *unproven += if row.proven { 0 } else { row.times };
            }
            self.count(root, memory, &row)?;
        }
        Ok(())
    }

    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        self.export_some(root, pool, Stretch::WHOLE, out);
    }

    fn export_some(&self, root: &[u64], pool: &Pool, stretch: Stretch, out: &mut Vec<u64>) -> Option<usize> {
        let [_, table, samples @ ..] = root else { return None };
        if *table == BUCKETS {
            let buckets = &pool.get(Handle::from_word(root[0]))[..self.form.bucket_words()];
            return stretch.copy(&[&[1], samples, buckets], out);
        }
        let mut head = [0; 1 + ROOT_WORDS - table::ROOT_WORDS];
        head[1..].copy_from_slice(samples);
        self.form.table.export(&head, root, pool, (stretch, out))
    }

    fn export_words_max(&self) -> usize {
        ROOT_WORDS + self.form.bucket_words().max(self.form.keys * self.form.table.entry_words)
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        Table::release(root, pool);
    }

    fn summary(&self) -> Box<dyn Summary> {
        Box::new(EntropySummary { form: self.form, keys: BTreeMap::new(), buckets: Vec::new(), sample: Sample::default() })
    }
}

struct EntropySummary {
    form: Form,
    /// By hash: total, samples.
    keys: BTreeMap<u64, (u64, u64)>,
    /// As in a shard; empty while there are few keys.
    buckets: Vec<u64>,
    sample: Sample,
}

impl EntropySummary {
    fn turn(&mut self) {
        self.buckets.resize(self.form.bucket_words(), 0);
        for (hash, (total, _)) in std::mem::take(&mut self.keys) {
            self.form.add(&mut self.buckets, hash, total);
        }
    }
}

impl Summary for EntropySummary {
    fn absorb(&mut self, words: &[u64]) {
        let [in_buckets, largest, samples, unproven, rest @ ..] = words else { return };
        self.sample.merge(&Sample { largest: *largest, packets: *samples, unproven: *unproven });
        if *in_buckets == 1 {
            self.turn();
            let rows = 2 * self.form.buckets;
            self.buckets[..rows].iter_mut().zip(rest).for_each(|(ours, theirs)| *ours = ours.saturating_add(*theirs));
            let mut theirs = rest[rows..].to_vec();
            let (ours, theirs): (&mut [u8], &mut [u8]) = (cast_slice_mut(&mut self.buckets[rows..]), cast_slice_mut(&mut theirs));
            ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours = (*ours).max(*theirs));
            return;
        }
        for entry in rest.chunks_exact(self.form.table.entry_words) {
            let (total, samples) = self.keys.entry(entry[0]).or_default();
            let more = entry.get(2).copied().unwrap_or(0);
            *total = total.saturating_add(entry[1]);
            *samples = ((*samples & !HAS_PASSED) + (more & !HAS_PASSED)) | (*samples | more) & HAS_PASSED;
        }
        if self.keys.len() > self.form.keys || !self.buckets.is_empty() {
            self.turn();
        }
    }

    fn figure(&self, question: &Question) -> Figure {
        let tally = if self.buckets.is_empty() {
            let once = self.keys.values().filter(|(_, samples)| *samples == 1).count();
            Tally::Keys { totals: self.keys.values().map(|(total, _)| *total).collect(), once }
        } else {
            let (rows, registers) = self.buckets.split_at(2 * self.form.buckets);
            let mut registers = registers.to_vec();
            let registers: &mut [u8] = cast_slice_mut(&mut registers);
            let (first, second) = rows.split_at(self.form.buckets);
            Tally::Buckets { rows: [first.to_vec(), second.to_vec()], registers: registers.to_vec() }
        };
        Figure::Entropy(tally.entropy(&self.sample, question, self.form.sampled), tally.total())
    }
}
