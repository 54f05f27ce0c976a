//! How evenly workers are loaded while nine packets in ten go to one range of 10,000, and sets of stats differ widely.
//!
//! `bash scripts/bench balance`: one line of JSON a row. Which worker gets which batch is decided by the engine's own
//! dispatcher, over its own rings. What a batch costs is counted: instructions under callgrind, for each set and several
//! lengths, of a shard that has counted some thousand records before; between these lengths it is taken to grow evenly.
//! Beside it stand three other ways to assign the same work: each range to one worker, each kind of calculation to one,
//! and each range's stat to one, by hash.

#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::panic, clippy::expect_used, reason = "a bench")]

mod support;

use std::process::Command;
use std::sync::Arc;

use support::{Chances, Figure, assign, record, twelve_more, world, written};
use tailwater::arch::Reserve;
use tailwater::arch::hash::spread;
use tailwater::gather::packed::{Batch, Form, Layout};
use tailwater::gather::{Gather, Stage};
use tailwater::limits::BATCH_WORDS_MAX;
use tailwater::runtime::world::World;
use tailwater::spread::{Dispatcher, Worker, lane};
use tailwater::units::{Epoch, RangeIndex};
use tailwater::window::stream::stream;
use tailwater::window::{Shard, ShardBytes};

const RANGES: usize = 10_000;
const PACKETS: u64 = 3_000_000;
const LENGTHS: [usize; 5] = [1, 4, 16, 32, 64];
/// Batches that callgrind counts of a kind.
const COUNTED: usize = 40;
const WARM_RECORDS: u64 = 6_000;

/// The sets: a few sums, the standard set, and that with twelve more.
fn sets() -> [String; 3] {
    let standard = support::standard_text();
    let (head, rows) = standard.split_at(standard.find("# 8 sums").expect("the standard set's rows"));
    let light: String = rows.split("[[stats]]").skip(1).take(3).map(|row| format!("[[stats]]{row}")).collect();
    [format!("{head}{light}"), standard.clone(), format!("{standard}{}", twelve_more())]
}

/// Each stat of a set as a set of its own, with its calculation.
fn singles(set: &str) -> Vec<(String, String)> {
    let (head, rows) = set.split_at(set.find("[[stats]]").expect("stats"));
    let calculation = |row: &str| row.split("calculation = \"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
    rows.split("[[stats]]").skip(1).map(|row| (calculation(row).expect("a calculation"), format!("{head}[[stats]]{row}"))).collect()
}

fn shard(world: &Arc<World>) -> Shard {
    let (outlet, _) = stream(world.plans.room(), false);
    let bytes = ShardBytes { roots: 1 << 24, sketches: 1 << 26, reserve: Reserve::Lazily };
    Shard::new(Arc::clone(&world.plans), world.hash_key.clone(), world.calendar, bytes, outlet, 1)
}

/// What callgrind collects.
#[inline(never)]
fn counted_by_callgrind(shard: &mut Shard, batch: &Batch<'_>) {
    shard.batch(RangeIndex(0), Epoch(0), batch);
}

/// Counts batches of one length; to be run under callgrind.
fn run_kind(file: &str, len: usize) {
    let text = std::fs::read_to_string(file).expect("a set");
    let world = world(&written(1, &text));
    let mut shard = shard(&world);
    let layout: &Layout = &world.plans.layout;
    let words = layout.words(Form::Narrow);
    let mut packed = vec![0; BATCH_WORDS_MAX];
    let mut n = 0;
    let mut next = |len: usize, shard: &mut Shard, counted: bool| {
        for row in packed.chunks_exact_mut(words).take(len) {
            layout.pack(&record(n, 0), Form::Narrow, row);
            n += 1;
        }
        let batch = Batch { form: Form::Narrow, len, words: &packed[..len * words], ends: None };
        if counted { counted_by_callgrind(shard, &batch) } else { shard.batch(RangeIndex(0), Epoch(0), &batch) }
    };
    (0..WARM_RECORDS / 64).for_each(|_| next(64, &mut shard, false));
    (0..COUNTED).for_each(|_| next(len, &mut shard, true));
}

/// Instructions of a batch of so many records of a set.
fn instructions(set: &str, len: usize) -> f64 {
    let file = std::env::temp_dir().join(format!("tailwater-balance-{}.toml", std::process::id()));
    std::fs::write(&file, set).expect("a file");
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no", "--toggle-collect=*counted_by_callgrind*"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["kind", &file.display().to_string(), &len.to_string()])
        .output()
        .expect("valgrind starts");
    std::fs::remove_file(&file).expect("a file that was just made");
    let said = String::from_utf8_lossy(&ran.stderr);
    let collected = said.lines().find_map(|line| line.split("Collected :").nth(1)).unwrap_or_else(|| panic!("callgrind says {said}"));
    collected.trim().parse::<f64>().expect("instructions") / COUNTED as f64
}

/// Instructions of a set's batches, by length.
struct Costs([f64; LENGTHS.len()]);

impl Costs {
    fn of(&self, len: usize) -> f64 {
        let high = LENGTHS.iter().position(|known| *known >= len).unwrap_or(LENGTHS.len() - 1);
        if high == 0 || LENGTHS[high] == len {
            return self.0[high];
        }
        let (from, to) = (LENGTHS[high - 1], LENGTHS[high]);
        self.0[high - 1] + (self.0[high] - self.0[high - 1]) * (len - from) as f64 / (to - from) as f64
    }
}

/// The set of a range: the victim's is the heaviest.
fn set_of(range: u32) -> usize {
    if range as usize == RANGES / 2 { 2 } else { spread(u64::from(range)) as usize % 3 }
}

/// A worker's account.
struct Account {
    costs: Arc<[Costs; 3]>,
    cost: f64,
    records: usize,
    by_range: Vec<f64>,
}

impl Stage for Account {
    fn batch(&mut self, range: RangeIndex, _: Epoch, batch: &Batch<'_>) {
        let cost = self.costs[set_of(range.0)].of(batch.len);
        self.cost += cost;
        self.records += batch.len;
        self.by_range[range.at()] += cost;
    }
    fn advance(&mut self, _: Epoch) {}
    fn step(&mut self) -> bool {
        false
    }
}

/// One window through the dispatcher: what each worker was given, and what each range cost.
fn dispatch(workers: usize, costs: &Arc<[Costs; 3]>, efforts: &[u8; 3], layout: &Layout) -> (Vec<f64>, Vec<f64>) {
    let (lanes, inboxes): (Vec<_>, Vec<_>) = (0..workers).map(|_| lane()).unzip();
    let account = || Account { costs: Arc::clone(costs), cost: 0.0, records: 0, by_range: vec![0.0; RANGES] };
    let mut ends: Vec<Worker<Account>> = inboxes.into_iter().map(|inbox| Worker::new(vec![inbox], account())).collect();
    let of_ranges = (0..RANGES as u32).map(|range| efforts[set_of(range)]).collect::<Vec<u8>>();
    let mut dispatcher = Dispatcher::new(lanes, of_ranges, RANGES, false);
    let mut gather = Gather::new(RANGES, 256 << 20, layout);
    let chances = Chances::victim(RANGES);
    for n in 0..PACKETS {
        let range = chances.pick(spread(n));
        gather.append(RangeIndex(range), &record(n, range), &mut dispatcher);
        if n.is_multiple_of(256) {
            ends.iter_mut().for_each(|worker| _ = worker.poll());
        }
    }
    gather.advance(Epoch(1));
    while gather.step(&mut dispatcher) {
        ends.iter_mut().for_each(|worker| _ = worker.poll());
    }
    ends.iter_mut().for_each(|worker| while worker.poll() {});
    let mut by_range = vec![0.0; RANGES];
    let records: usize = ends.iter_mut().map(|worker| worker.stage().records).sum();
    assert_eq!(records as u64, PACKETS, "no ring overflowed");
    let given = ends.iter_mut().map(|worker| {
        worker.stage().by_range.iter().zip(&mut by_range).for_each(|(cost, sum)| *sum += cost);
        worker.stage().cost
    });
    (given.collect(), by_range)
}

/// The busiest over the mean.
fn uneven(given: &[f64]) -> f64 {
    given.iter().copied().fold(0.0, f64::max) / (given.iter().sum::<f64>() / given.len() as f64)
}

/// Work by another way of assigning it: each part of each range's work goes to one worker.
fn assigned(workers: usize, by_range: &[f64], parts: &[Vec<f64>; 3], to: impl Fn(usize, usize) -> usize) -> f64 {
    let mut given = vec![0.0; workers];
    for (range, cost) in by_range.iter().enumerate() {
        for (part, share) in parts[set_of(range as u32)].iter().enumerate() {
            given[to(range, part) % workers] += cost * share;
        }
    }
    uneven(&given)
}

fn print(case: &str, ratio: f64) {
    Figure { bench: "balance", case, unit: "busiest over mean", ours: ratio, against: "the bound", theirs: 1.05, ratio }.print();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let [mode, file, len] = &arguments[..]
        && mode == "kind"
    {
        return run_kind(file, len.parse().expect("a length"));
    }
    let sets = sets();
    let costs = Arc::new([0, 1, 2].map(|set| Costs(LENGTHS.map(|len| instructions(&sets[set], len)))));
    for (set, costs) in costs.iter().enumerate() {
        eprintln!("set {set}: instructions of a batch of {LENGTHS:?} records: {:?}", costs.0);
    }
    let shares = sets.each_ref().map(|set| {
        let all: Vec<(String, f64)> = singles(set).into_iter().map(|(kind, set)| (kind, instructions(&set, 64))).collect();
        let sum: f64 = all.iter().map(|(_, cost)| cost).sum();
        all.into_iter().map(|(kind, cost)| (kind, cost / sum)).collect::<Vec<_>>()
    });
    let by_stat = shares.each_ref().map(|set| set.iter().map(|(_, share)| *share).collect::<Vec<_>>());
    let mut kinds: Vec<&str> = shares[2].iter().map(|(kind, _)| &kind[..]).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let of_kind = |set: &[(String, f64)], kind: &str| set.iter().filter(|(k, _)| k == kind).map(|(_, share)| share).sum::<f64>();
    let by_type = shares.each_ref().map(|set| kinds.iter().map(|kind| of_kind(set, kind)).collect::<Vec<_>>());
    let worlds = sets.each_ref().map(|set| world(&written(1, set)));
    let efforts = worlds.each_ref().map(|world| world.plans.efforts()[0]);
    for workers in 2..=20 {
        let (given, by_range) = dispatch(workers, &costs, &efforts, &worlds[2].plans.layout);
        print(&format!("ours-{workers}"), uneven(&given));
        let whole = [vec![1.0], vec![1.0], vec![1.0]];
        print(&format!("by-range-{workers}"), assigned(workers, &by_range, &whole, assign::by_range));
        print(&format!("by-type-{workers}"), assigned(workers, &by_range, &by_type, assign::by_type));
        print(&format!("by-stat-{workers}"), assigned(workers, &by_range, &by_stat, assign::by_stat));
    }
}
