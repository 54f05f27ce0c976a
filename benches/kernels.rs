//! What the stats of the standard set cost a packet, by calculation: batches of 64 of one range, and of many in turn.
//!
//! `bash scripts/bench kernels [CASE [CALCULATION]]`: nanoseconds a packet, one line of JSON a case; `any` is each of them.
//! With a third word each runs once, as for `valgrind --tool=callgrind --toggle-collect='*kernels::measured*'`. Beside each stands a
//! checksum of what the kernels export: a faster kernel that gives another one has changed figures.

#![allow(clippy::cast_precision_loss, clippy::panic, reason = "a bench")]

mod support;

use support::{Chances, median, ran_ns, standard, traffic};
use tailwater::arch::hash::spread;
use tailwater::arch::{HashKey, agree, lanes};
use tailwater::config::StatSpec;
use tailwater::gather::packed::{Batch, Form, Layout};
use tailwater::record::{Has, Record};
use tailwater::stats::plan::{Period, Place, Plan, Rows, Scratch, WeightBounds, execute_rows};
use tailwater::stats::pool::{Budget, Memory, Pool};
use tailwater::units::Family;

const BATCH: usize = 64;
const ROUNDS: usize = 5;
const POOL_BYTES: usize = 1 << 30;

/// A window of some ranges: each gets a batch in turn.
struct Case {
    name: &'static str,
    ranges: usize,
    batches: usize,
    family: Family,
    weights: WeightBounds,
    /// Packets of a range that differ, before the same come again.
    different: usize,
}

const ONE_RATE: WeightBounds = WeightBounds { passed: 1, blocked: 40, random: true, rate: Some(40) };
const PLAIN: WeightBounds = WeightBounds { passed: 1, blocked: 1, random: true, rate: None };
const ANY_RATE: WeightBounds = WeightBounds { passed: 1, blocked: 40, random: true, rate: None };

const CASES: [Case; 7] = [
    Case { name: "one-range", ranges: 1, batches: 4_000, family: Family::V4, weights: ONE_RATE, different: usize::MAX },
    Case { name: "many-ranges", ranges: 4_000, batches: 4_000, family: Family::V4, weights: ONE_RATE, different: usize::MAX },
    Case { name: "few-keys", ranges: 40, batches: 4_000, family: Family::V4, weights: ONE_RATE, different: 100 },
    Case { name: "few-keys-cold", ranges: 2_000, batches: 12_000, family: Family::V4, weights: ONE_RATE, different: 100 },
    Case { name: "unsampled", ranges: 10, batches: 4_000, family: Family::V4, weights: PLAIN, different: usize::MAX },
    Case { name: "any-rate", ranges: 10, batches: 2_000, family: Family::V4, weights: ANY_RATE, different: usize::MAX },
    Case { name: "ipv6", ranges: 10, batches: 2_000, family: Family::V6, weights: ONE_RATE, different: usize::MAX },
];

fn records(case: &Case) -> Vec<Record> {
    let mut records: Vec<Record> = traffic(BATCH * case.batches, &Chances::uniform(1)).into_iter().map(|(_, record)| record).collect();
    for at in 0..if case.different == usize::MAX { 0 } else { records.len() } {
        // A batch goes to each range in turn.
        let (range, nth) = (at / BATCH % case.ranges, at / BATCH / case.ranges * BATCH + at % BATCH);
        let nth = nth % case.different;
        records[at] = records[(nth / BATCH * case.ranges + range) * BATCH + nth % BATCH];
    }
    for (n, record) in records.iter_mut().enumerate().filter(|_| case.different == usize::MAX) {
        // Some keys come again and again.
        if n % 3 == 0 {
            record.src[..4].copy_from_slice(&[9, 9, 9, (spread(n as u64) % 40).to_le_bytes()[0]]);
        }
        if case.weights.blocked == 1 {
            record.weight = 1;
        }
        if case.family == Family::V6 {
            record.has = record.has.with(Has::V6, true);
            (record.src[9], record.dst[15]) = (record.src[1], record.dst[3]);
        }
    }
    records
}

/// Batches as they come out of logs.
struct Packed {
    layout: Layout,
    form: Form,
    words: Vec<u64>,
    records: usize,
}

impl Packed {
    fn new(plan: &Plan, records: &[Record]) -> Self {
        let layout = Layout::of(|one, other| plan.tells_apart(one, other));
        let form = if records.iter().all(|record| Form::of(record) == Form::Narrow) { Form::Narrow } else { Form::Wide };
        let mut words = vec![0; records.len() * layout.words(form)];
        words.chunks_mut(layout.words(form)).zip(records).for_each(|(words, record)| layout.pack(record, form, words));
        Self { layout, form, words, records: records.len() }
    }

    fn batches(&self) -> impl Iterator<Item = Batch<'_>> {
        let step = self.layout.words(self.form);
        self.words.chunks(BATCH * step).map(move |words| Batch { form: self.form, len: words.len() / step, words, ends: None })
    }
}

/// What a window was like.
#[derive(Clone, Copy)]
struct Ran {
    /// A packet.
    ns: f64,
    /// Of what is exported.
    checksum: u64,
    /// Of the figures that come of it: a word a range is enough to see that two differ.
    figures: u64,
}

/// Runs a window.
#[inline(never)]
fn window(plan: &Plan, ranges: usize, packed: &Packed, key: &HashKey) -> Ran {
    let (mut pool, mut budget) = (Pool::with_bytes(POOL_BYTES), Budget::of_bytes(POOL_BYTES));
    let mut roots = vec![vec![0; plan.root_words(Period::Long)]; ranges];
    let mut scratch = Scratch::new(plan);
    let begun = ran_ns();
    measured(plan, &mut scratch, &mut roots, packed, key, &mut Memory { pool: &mut pool, budget: &mut budget });
    let ns = (ran_ns() - begun) as f64 / packed.records as f64;
    let (mut checksum, mut figures) = (0, 0);
    for root in &roots {
        let mut out = Vec::new();
        plan.export((Period::Long, Place::default()), usize::MAX, root, &pool, &mut out);
        checksum = out.iter().fold(checksum, |sum: u64, word| spread(sum.rotate_left(7) ^ word));
        figures = figures_of(plan, &out).bytes().fold(figures, |sum: u64, byte| spread(sum.rotate_left(7) ^ u64::from(byte)));
    }
    Ran { ns, checksum, figures }
}

/// Of an export, as text.
fn figures_of(plan: &Plan, words: &[u64]) -> String {
    let (mut rest, mut text) = (words, String::new());
    for stat in plan.stats() {
        let (words, more) = rest[1..].split_at(usize::try_from(rest[0]).unwrap_or(0));
        rest = more;
        let mut summary = stat.kernel.summary();
        summary.absorb(words);
        text += &format!("{:?}\n", summary.figure(&stat.question));
    }
    text
}

/// What `callgrind --toggle-collect` counts.
#[inline(never)]
fn measured(plan: &Plan, scratch: &mut Scratch, roots: &mut [Vec<u64>], packed: &Packed, key: &HashKey, memory: &mut Memory<'_>) {
    let ranges = roots.len();
    for (n, batch) in packed.batches().enumerate() {
        let rows = Rows::Packed(&batch, &packed.layout);
        execute_rows(plan, scratch, rows, key, (&mut [], &mut roots[n % ranges]), memory, &mut ());
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |name: &str, at: usize| wanted.get(at).is_none_or(|want| want == name || want == "any");
    let rounds = if wanted.len() > 2 { 1 } else { ROUNDS };
    assert_eq!(agree::disagreeing(&lanes::Form::all(), 2_000), [], "what is measured is to be right");
    let (specs, key) = (standard(1, 1_024, "").stats, HashKey::constant());
    for case in CASES.iter().filter(|case| wants(case.name, 0)) {
        let records = records(case);
        for calculation in ["sum", "histogram", "distinct", "topk", "all"].into_iter().filter(|name| wants(name, 1)) {
            let of = |spec: &StatSpec| calculation == "all" || spec.calculation == calculation;
            let list: Vec<usize> = (0..specs.len()).filter(|at| of(&specs[*at])).collect();
            let plan = Plan::compile(&specs, &list, case.family, case.weights).unwrap_or_else(|refusal| panic!("{}", refusal.message));
            let packed = Packed::new(&plan, &records);
            let runs: Vec<Ran> = (0..rounds).map(|_| window(&plan, case.ranges, &packed, &key)).collect();
            let (stats, ns) = (list.len(), median(runs.iter().map(|ran| ran.ns).collect()));
            let Ran { checksum, figures, .. } = runs[0];
            println!(
                "{{\"bench\": \"kernels\", \"case\": \"{} {calculation}\", \"stats\": {stats}, \"unit\": \"ns a packet\", \"ours\": {ns:.2}, \"checksum\": \"{checksum:016x}\", \"figures\": \"{figures:016x}\"}}",
                case.name
            );
        }
    }
}
