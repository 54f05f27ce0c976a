//! Every record once, in its range's order, in its epoch.

use std::collections::BTreeMap;

use super::packed::{Batch, Layout};
use super::*;
use crate::arch::hash::spread;
use crate::limits::{BATCH_RECORDS_MAX, LOG_RECORDS_MAX};
use crate::record::{Has, Record};

struct Log {
    layout: Layout,
    batches: BTreeMap<(u32, u64), Vec<u64>>,
    ended: Vec<(u64, u32)>,
    largest: usize,
    handed: usize,
}

impl Log {
    fn new() -> Self {
        Self { layout: Layout::whole(), batches: BTreeMap::new(), ended: Vec::new(), largest: 0, handed: 0 }
    }
}

impl Stage for Log {
    fn batch(&mut self, range: RangeIndex, epoch: Epoch, batch: &Batch<'_>) {
        self.largest = self.largest.max(batch.len);
        self.handed += 1;
        let mut out = [Record::default(); BATCH_RECORDS_MAX];
        let times = batch.unpack(&self.layout, &mut out).iter().map(|r| r.time_ns);
        assert!(!self.ended.contains(&(epoch.0, range.0)), "nothing comes behind the last");
        self.batches.entry((range.0, epoch.0)).or_default().extend(times);
        if let Some(next) = batch.ends {
            self.passed(range, epoch, next);
        }
    }
    fn passed(&mut self, range: RangeIndex, epoch: Epoch, next: Epoch) {
        assert!(epoch < next);
        self.ended.push((epoch.0, range.0));
    }
    fn advance(&mut self, _: Epoch) {}
    fn step(&mut self) -> bool {
        false
    }
}

fn record(n: u64, range: u32) -> Record {
    let wire_bytes = if spread(n).is_multiple_of(90) { 1 << 20 } else { 64 };
    Record { time_ns: n, wire_bytes, has: Has::default().with(Has::V6, range.is_multiple_of(3)), ..Record::default() }
}

/// Batches by epoch, and where an epoch may begin: the length of its first is 0 there.
#[derive(Default)]
struct Order(Vec<(u64, usize)>, u64);

impl Stage for Order {
    fn batch(&mut self, _: RangeIndex, epoch: Epoch, batch: &Batch<'_>) {
        self.0.push((epoch.0, batch.len));
    }
    fn begin(&mut self, next: Epoch) {
        self.0.push((next.0, 0));
    }
    fn lose(&mut self, _: RangeIndex, epoch: Epoch, records: u64) {
        assert_eq!(epoch, Epoch(9));
        self.1 += records;
    }
    fn advance(&mut self, _: Epoch) {}
    fn step(&mut self) -> bool {
        false
    }
}

/// The same batches, whether records come one by one or a few at once.
#[test]
fn a_run_is_its_records_one_by_one() {
    #[derive(Default)]
    struct Words(Vec<(u64, u64, Vec<u64>)>);
    impl Stage for Words {
        fn batch(&mut self, range: RangeIndex, epoch: Epoch, batch: &Batch<'_>) {
            self.0.push((range.0.into(), epoch.0, batch.words.to_vec()));
        }
        fn advance(&mut self, _: Epoch) {}
        fn step(&mut self) -> bool {
            false
        }
    }
    let bare = Layout::of(|_, _| false);
    assert!(bare.is_bare());
    for bytes in [1 << 24, 0] {
        let gathers = || (Gather::new(40, bytes, &bare), Words::default());
        let ((mut single, mut singles), (mut many, mut batches)) = (gathers(), gathers());
        let mut n = 0_u64;
        while n < 200_000 {
            let (range, run) = (RangeIndex(u32::try_from(spread(n) % 40).unwrap() / 3), 1 + spread(n + 7) % 64);
            let rows = (n..n + run).map(|n| (n, n + 1, n & 0xFFFF));
            rows.clone().for_each(|row| single.append_narrow(range, row, &mut singles));
            many.append_run(range, rows.collect::<Vec<_>>().into_iter(), &mut batches);
            n += run;
        }
        for (gather, stage) in [(&mut single, &mut singles), (&mut many, &mut batches)] {
            gather.advance(Epoch(1));
            while gather.step(stage) {}
        }
        let records: usize = batches.0.iter().map(|(_, _, words)| words.len() / 3).sum();
        assert_eq!(records as u64, n);
        assert!(singles.0 == batches.0, "{bytes}");
    }
}

/// Whatever its packets are like, and however little memory there is: nothing of a held epoch goes before the walk is over, and
/// nothing is lost.
#[test]
fn what_is_held_waits_for_the_walk() {
    for (bytes, packets, walks) in
        [(1 << 24, 1_000, true), (1 << 24, 150_000, true), (1 << 24, 150_000, false), (0, 30_000, true), (0, 0, true)]
    {
        let (mut gather, mut order) = (Gather::new(300, bytes, &Layout::whole()), Order::default());
        gather.advance(Epoch(1));
        while gather.step(&mut order) {}
        let before = if walks { 6_000 } else { 0 };
        (0..before).for_each(|n| gather.append(RangeIndex(u32::try_from(n % 300).unwrap()), &record(n, 0), &mut order));
        gather.advance(Epoch(9));
        gather.hold(&mut order);
        for n in 0..packets {
            gather.append(RangeIndex(if n % 50 == 0 { 8 } else { 7 }), &record(n, 0), &mut order);
            if n % 32 == 31 && gather.is_walking() {
                gather.step(&mut order);
            }
        }
        while gather.is_walking() && gather.step(&mut order) {}
        gather.advance(Epoch(10));
        while gather.step(&mut order) {}
        let begins: Vec<usize> = (0..order.0.len()).filter(|at| order.0[*at] == (9, 0)).collect();
        assert_eq!(begins.len(), 1, "{bytes}, {packets}");
        let (old, new) = order.0.split_at(begins[0]);
        let count = |of: &[(u64, usize)], epoch: u64| {
            assert!(of.iter().all(|(n, _)| *n == epoch), "{bytes}, {packets}: in order");
            of.iter().map(|(_, len)| *len as u64).sum::<u64>()
        };
        assert_eq!((count(old, 1), count(new, 9), order.1), (before, packets, 0), "{bytes}, {packets}");
    }
}

/// What is held and finds no room makes the walk go on, by a bounded piece a poll, and is lost and told until it is over. Then
/// what waits goes, of every range.
#[test]
fn what_is_held_never_ends_the_walk_at_once() {
    const RANGES: u32 = 60_000;
    const PACKETS: u64 = 600_000;
    for (bytes, hot) in [(1 << 27, 1), (1 << 27, 3), (4 << 20, 2)] {
        let (mut gather, mut order) = (Gather::new(70_000, bytes, &Layout::whole()), Order::default());
        gather.advance(Epoch(1));
        while gather.step(&mut order) {}
        (0..RANGES).for_each(|range| gather.append(RangeIndex(range), &record(1, 1), &mut order));
        gather.advance(Epoch(9));
        gather.hold(&mut order);
        for n in 0..PACKETS {
            let before = order.0.len();
            gather.append(RangeIndex(7 + u32::try_from(n % hot).unwrap()), &record(n, 1), &mut order);
            assert!(order.0.len() - before <= STEP_RANGES + 2, "{} batches for one record", order.0.len() - before);
            if n % 32 == 0 && gather.is_walking() {
                gather.step(&mut order);
            }
        }
        assert!(!gather.is_walking());
        gather.advance(Epoch(10));
        while gather.step(&mut order) {}
        let new: u64 = order.0.iter().filter(|(epoch, _)| *epoch == 9).map(|(_, len)| *len as u64).sum();
        println!("{bytes} bytes, {hot} hot: {} lost", order.1);
        assert_eq!(new + order.1, PACKETS);
        assert!(order.1 < PACKETS / 2, "{} lost", order.1);
    }
}

/// Whatever the pool's size, and whichever forms meet in a range.
#[test]
fn no_record_is_lost_doubled_or_moved() {
    for bytes in [0, 50_000, 1 << 22] {
        let mut gather = Gather::new(300, bytes, &Layout::whole());
        let (mut log, mut want) = (Log::new(), BTreeMap::<(u32, u64), Vec<u64>>::new());
        let mut epoch = Epoch(0);
        for n in 0..60_000_u64 {
            if n % 7_000 == 6_999 {
                while gather.is_walking() && gather.step(&mut log) {}
                epoch = Epoch(epoch.0 + 1 + n % 3);
                gather.advance(epoch);
            }
            let draw = spread(n * 31 + bytes as u64);
            let range = u32::try_from(if draw.is_multiple_of(2) { draw % 300 } else { draw % 3 }).unwrap();
            want.entry((range, epoch.0)).or_default().push(n);
            gather.append(RangeIndex(range), &record(n, range), &mut log);
            if n % 32 == 0 && gather.is_walking() {
                gather.step(&mut log);
            }
        }
        while gather.step(&mut log) {}
        gather.advance(Epoch::END);
        while gather.step(&mut log) {}
        assert_eq!(log.batches, want, "{bytes} bytes");
        assert_eq!(log.largest, BATCH_RECORDS_MAX);
        log.ended.sort_unstable();
        assert!(
            log.ended.iter().copied().eq(want.keys().map(|(range, epoch)| (*epoch, *range)).collect::<std::collections::BTreeSet<_>>())
        );
    }
}

/// Ranges that fill batch after batch must not cut each other's short.
#[test]
fn hot_ranges_keep_their_batches_whole() {
    let mut gather = Gather::new(300, 1 << 18, &Layout::whole());
    let mut log = Log::new();
    for n in 0..64 * 3_000_u64 {
        let range = u32::try_from(spread(n) % 8).unwrap();
        gather.append(RangeIndex(range), &Record { time_ns: n, ..Record::default() }, &mut log);
    }
    assert!(log.handed <= 3_000, "{} batches", log.handed);
}

/// Up to a log's length nothing is handed on; then what is there, a batch at a time.
#[test]
fn a_log_is_kept_until_it_is_full_and_then_worked_off() {
    let mut gather = Gather::new(1, 1 << 20, &Layout::whole());
    let mut log = Log::new();
    let mut held = Vec::new();
    for n in 0..4 * LOG_RECORDS_MAX as u64 {
        let before = log.handed;
        gather.append(RangeIndex(0), &Record { time_ns: n, ..Record::default() }, &mut log);
        assert!(log.handed <= before + 1, "never two batches for one record");
        held.push(n + 1 - 64 * log.handed as u64);
    }
    assert_eq!(held[LOG_RECORDS_MAX - 2], LOG_RECORDS_MAX as u64 - 1);
    let most = LOG_RECORDS_MAX as u64 + u64::from(TURN_RECORDS);
    assert!(held[3 * LOG_RECORDS_MAX..].iter().all(|held| *held <= most), "then what is ripe goes, all of it");
    assert!(held[3 * LOG_RECORDS_MAX..].iter().any(|held| *held < 64), "down to what is no batch");
}

/// Where lengths are what IP headers claim, one packet in a range's log must not make it run: it would open a block for the
/// few records of each range that it is sent to.
#[test]
fn no_length_that_an_ip_header_claims_cuts_a_log() {
    let mut gather = Gather::new(1, 1 << 20, &Layout::whole());
    let mut log = Log::new();
    for n in 0..LOG_RECORDS_MAX as u64 - 1 {
        let wire_bytes = if n % 100 == 50 { 65_535 + 14 + 4 * 6 } else { 64 };
        gather.append(RangeIndex(0), &Record { time_ns: n, wire_bytes, ..Record::default() }, &mut log);
    }
    assert_eq!(log.handed, 0);
}

/// What waits on desks too: of some thousand ranges, hot ones and cold ones, whatever the pool's size, each record of the usual kind
/// once, in its order, also where a walk takes a few records at a time.
#[test]
fn what_lies_on_a_desk_is_handed_on_in_its_order() {
    #[derive(Default)]
    struct Words(BTreeMap<(u32, u64), Vec<u64>>);
    impl Stage for Words {
        fn batch(&mut self, range: RangeIndex, epoch: Epoch, batch: &Batch<'_>) {
            let numbers = batch.words.as_chunks::<3>().0.iter().map(|[n, ..]| *n);
            assert_eq!(numbers.len(), batch.len);
            self.0.entry((range.0, epoch.0)).or_default().extend(numbers);
        }
        fn walk_records_max(&self) -> Option<usize> {
            Some(13)
        }
        fn advance(&mut self, _: Epoch) {}
        fn step(&mut self) -> bool {
            false
        }
    }
    const RANGES: u64 = 3_000;
    let bare = Layout::of(|_, _| false);
    for bytes in [0, 3 << 20, 1 << 27] {
        let mut gather = Gather::new(usize::try_from(RANGES).unwrap(), bytes, &bare);
        let (mut words, mut want) = (Words::default(), BTreeMap::<(u32, u64), Vec<u64>>::new());
        let (mut epoch, mut desks) = (Epoch(0), 0);
        for n in 0..900_000_u64 {
            if n % 400_000 == 399_999 {
                while gather.is_walking() && gather.step(&mut words) {}
                epoch = Epoch(epoch.0 + 1);
                gather.advance(epoch);
            }
            let draw = spread(n * 31 + bytes as u64);
            let range = u32::try_from(if draw % 64 < 48 { draw / 64 % RANGES } else { draw / 64 % 5 }).unwrap();
            want.entry((range, epoch.0)).or_default().push(n);
            gather.append_narrow(RangeIndex(range), (n, 0, 0), &mut words);
            desks += usize::from(gather.chains[gather.side][range as usize].is_at_desk());
            if n % 32 == 0 && gather.is_walking() {
                gather.step(&mut words);
            }
        }
        while gather.step(&mut words) {}
        gather.advance(Epoch::END);
        while gather.step(&mut words) {}
        assert!(words.0 == want, "{bytes} bytes");
        assert_eq!(desks > 100_000, bytes > 0, "{bytes} bytes: {desks} records on desks");
        assert_eq!(gather.memory().used, 0, "every segment is free again");
    }
}

/// Where no memory is left, one record makes few batches go, however many ranges hold no more than a desk.
#[test]
fn no_record_hands_on_all_desks() {
    const RANGES: u32 = 6_000;
    const DESKS: u32 = 1_000;
    let (mut gather, mut order) = (Gather::new(RANGES as usize, 9 << 20, &Layout::of(|_, _| false)), Order::default());
    let mut append = |gather: &mut Gather, range: u32| {
        let before = order.0.len();
        gather.append_narrow(RangeIndex(range), (0, 0, 0), &mut order);
        assert!(order.0.len() - before <= 2, "{} batches for one record", order.0.len() - before);
    };
    (0..70 * DESKS).for_each(|n| append(&mut gather, n % DESKS));
    let mut others = (DESKS..RANGES).cycle();
    while (0..DESKS).any(|range| gather.chains[0][range as usize].count > 8) {
        others.by_ref().take(10_000).for_each(|range| append(&mut gather, range));
    }
    (0..DESKS).for_each(|range| append(&mut gather, range));
    assert!((0..DESKS).all(|range| gather.chains[0][range as usize].is_at_desk()));
    gather.advance(Epoch(1));
    (0..RANGES).rev().cycle().take(200_000).for_each(|range| append(&mut gather, range));
}

/// Records of all forms, one by one and in runs, in epochs of either layout, held ones among them: each once and in its order.
#[test]
fn whatever_way_records_come_they_keep_their_order() {
    struct Numbers(Layout, BTreeMap<(u32, u64), Vec<u32>>);
    impl Stage for Numbers {
        fn batch(&mut self, range: RangeIndex, epoch: Epoch, batch: &Batch<'_>) {
            let layout = if epoch.0.is_multiple_of(2) { Layout::of(|_, _| false) } else { self.0 };
            let mut out = [Record::default(); BATCH_RECORDS_MAX];
            let numbers = batch.unpack(&layout, &mut out).iter().map(|r| u32::from(r.src_port) | u32::from(r.dst_port) << 16);
            self.1.entry((range.0, epoch.0)).or_default().extend(numbers);
        }
        fn lose(&mut self, range: RangeIndex, epoch: Epoch, records: u64) {
            panic!("{records} of {range:?} in {epoch:?}");
        }
        fn advance(&mut self, _: Epoch) {}
        fn step(&mut self) -> bool {
            false
        }
    }
    let bare = Layout::of(|_, _| false);
    for (bytes, first) in [(4 << 20, bare), (1 << 26, bare), (1 << 26, Layout::whole())] {
        let mut gather = Gather::new(3_000, bytes, &first);
        gather.pack_as(&bare);
        let (mut stage, mut want) = (Numbers(Layout::whole(), BTreeMap::new()), BTreeMap::<(u32, u64), Vec<u32>>::new());
        let (mut epoch, mut n) = (Epoch(0), 0_u32);
        for step in 0..700_000_u64 {
            if step % 200_000 == 199_999 {
                while gather.step(&mut stage) {}
                epoch = Epoch(epoch.0 + 1);
                gather.advance(epoch);
                gather.pack_as(if epoch.0.is_multiple_of(2) { &bare } else { &stage.0 });
            }
            let draw = spread(step * 31 + bytes as u64);
            let range = RangeIndex(u32::try_from(if draw % 64 < 48 { draw / 64 % 3_000 } else { draw / 64 % 5 }).unwrap());
            let run = if draw.is_multiple_of(512) { 1 + u32::try_from(draw / 512 % 40).unwrap() } else { 1 };
            want.entry((range.0, epoch.0)).or_default().extend(n..n + run);
            if run > 1 && gather.layout().is_bare() {
                gather.append_run(range, (n..n + run).map(|n| (0, n.into(), 0)), &mut stage);
            } else {
                let is_v6 = draw.is_multiple_of(20_011);
                let record = |n: u32| Record {
                    src_port: (n & 0xFFFF) as u16,
                    dst_port: (n >> 16) as u16,
                    has: Has::default().with(Has::V6, is_v6),
                    ..Record::default()
                };
                (n..n + run).for_each(|n| gather.append(range, &record(n), &mut stage));
            }
            n += run;
            if step % 32 == 0 && gather.is_walking() {
                gather.step(&mut stage);
            }
        }
        while gather.step(&mut stage) {}
        gather.advance(Epoch::END);
        while gather.step(&mut stage) {}
        assert!(stage.1 == want, "{bytes} bytes");
        assert_eq!(gather.memory().used, 0, "every segment is free again");
    }
}
