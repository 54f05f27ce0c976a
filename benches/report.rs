//! What it costs to report a window: 50,000 ranges with 24 stats, of four shards, on one core.
//!
//! `cargo bench --bench report`: one line of JSON a case. Blocks are made by the engine's own shards out of real frames, of
//! ranges of every size (zipf 1.0), then told to a reporter as cores would tell them. `seconds`: from the first message that
//! is read to the last that is encoded, and of that the close alone. `MB`: what the process takes beside the words
//! themselves, the blocks that the bench made included. `ratio` is the share of the bound. It is the second window that is measured: a
//! reporter keeps its memory from one to the next.
//!
//! `rollup-50k` also reports 5,000 customers of ten ranges each.
//!
//! `delivered-50k` goes on to the end: each message into a journal on disk, and by the Kafka sink to a real broker until all of its
//! replicas have it (`scripts/kafka.sh`; where there is none, one line says so). `acknowledged` is the time of that from the first message
//! on, `cpu` what the process took of one core for it all: less than half of a window of 10 s. `messages` are the bytes, against what the
//! journal holds by default.
//!
//! `fast-50k` goes on for 30 fast windows of a second in which each range has four fast stats, and three long ones that end amid them:
//! `p99` is how soon behind their window's end 99 of 100 fast reports are acknowledged. The first ten windows, of which the last
//! ends with the first long one, are `start-p99`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench"
)]

#[cfg(feature = "kafka")]
#[path = "report/delivered.rs"]
mod delivered;
#[cfg(feature = "kafka")]
#[path = "report/fast.rs"]
mod fast;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tailwater::arch::HashKey;
use tailwater::config;
use tailwater::journal::{Journal, Message};
use tailwater::report::{CoreName, NoHealth, Publisher, Reporter, pb};
use tailwater::runtime::receiver::Receiver;
use tailwater::runtime::wiring::{AnyReceiver, Cores, wire};
use tailwater::runtime::world::{World, setting};
use tailwater::rx::Frame;
use tailwater::stats::plan::Period;
use tailwater::telemetry::Registry;
use tailwater::units::{Epoch, LinkType, RangeIndex};
use tailwater::window::stream::{Outlet, stream};
use tailwater::window::{Room, Sealed, Shard, Site, Told};

/// As the program itself has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RANGES: u32 = 50_000;
const SHARDS: usize = 4;
/// Packets of a shard and window, over all ranges.
const PACKETS: f64 = 1_000_000.0;
/// Ranges whose blocks are made; others take those of the one that is most like them.
const MADE: u32 = 240;
const SECONDS_MAX: f64 = 3.0;
/// Half of a window of 10 s.
const ROLLUP_SECONDS_MAX: f64 = 5.0;
const MEGABYTES_MAX: f64 = 400.0;

/// Blocks of the ranges that were made, by shard.
type Blocks = Vec<Vec<(Period, u32, Vec<u64>)>>;

/// Packets of the range of that rank.
fn packets(rank: u32) -> f64 {
    PACKETS / (f64::from(RANGES).ln() + 0.577) / f64::from(rank + 1)
}

/// The ranks of ranges that are made: each of the first, and ever fewer.
fn ranks() -> Vec<u32> {
    let mut ranks: Vec<u32> = (0..MADE).map(|i| (f64::from(RANGES).powf(f64::from(i) / f64::from(MADE - 1)) - 1.0) as u32).collect();
    ranks.dedup();
    ranks
}

/// What the configuration has beside 24 stats.
#[derive(Clone, Copy, Default)]
struct Beside {
    tagged: bool,
    fast: bool,
    rollup: bool,
}

fn standard(Beside { tagged, fast, rollup }: Beside) -> String {
    let mut out = format!("[appliance]\nmemory_mb = 1024\n[ranges]\nfile = \"ranges.csv\"\nrollup = {rollup}\n");
    if tagged {
        out += "[[tags]]\nmatch = { vlan = 666 }\ndecision = \"blocked\"\nsampling = 40\nadded_bytes = 4\n";
    }
    let mut stat = |name: &str, rest: &str| {
        let _ = writeln!(out, "[[stats]]\nname = \"{name}\"\ndirection = \"ingress\"\n{rest}");
    };
    for metric in ["packets", "bytes", "connections_opened", "resets"] {
        for decision in ["passed", "blocked"] {
            let fast = if fast && decision == "passed" { "\nfast = true" } else { "" };
            let rest = format!("calculation = \"sum\"\nmetric = \"{metric}\"\ndecision = \"{decision}\"{fast}");
            stat(&format!("{metric}_{decision}"), &rest);
        }
    }
    for key in ["packet_size", "protocol", "ttl", "tcp_flags"] {
        stat(&format!("by_{key}"), &format!("calculation = \"histogram\"\nkey = \"{key}\""));
    }
    for (key, p) in [("src_ip", 12), ("dst_ip", 10), ("flow", 10), ("src_prefix", 10)] {
        stat(&format!("distinct_{key}"), &format!("calculation = \"distinct\"\nkey = \"{key}\"\np = {p}"));
    }
    for key in ["src_ip", "dst_ip", "dst_port"] {
        for metric in ["packets", "bytes"] {
            stat(&format!("top_{key}_{metric}"), &format!("calculation = \"topk\"\nkey = \"{key}\"\nmetric = \"{metric}\""));
        }
    }
    for key in ["src_port", "src_prefix"] {
        stat(&format!("top_{key}"), &format!("calculation = \"topk\"\nkey = \"{key}\""));
    }
    out
}

fn world(folder: &Path, beside: Beside) -> (config::Config, Arc<World>) {
    let customer = |n: u32| if beside.rollup { n / 10 } else { n };
    let rows = (0..RANGES).map(|n| format!("10.{}.{}.0/28,customer{}\n", n / 256, n % 256, customer(n))).collect::<String>();
    std::fs::write(folder.join("t.toml"), standard(beside)).expect("the folder is ours");
    std::fs::write(folder.join("ranges.csv"), format!("prefix,customer\n{rows}")).expect("the folder is ours");
    let config = config::load(&folder.join("t.toml"), &tailwater::stats::check).unwrap_or_else(|faults| panic!("{faults}"));
    let world = Arc::new(World::new(&config, HashKey::constant(), 1).unwrap_or_else(|r| panic!("{}", r.message)));
    (config, world)
}

/// A frame to a range: TCP or UDP from one of many sources, one in eight blocked if frames are tagged.
fn frame(bytes: &mut Vec<u8>, range: u32, dice: &mut u64, tagged: bool) {
    let mut draw = |n: u64| {
        *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*dice >> 33) % n
    };
    let [_, high, low, _] = (range << 8).to_be_bytes();
    let source = (draw(3_000) as u32 * draw(2) as u32).wrapping_mul(40_503).to_be_bytes();
    let (udp, payload) = (draw(3) == 0, draw(1_200) as usize);
    let length = (40 + payload) as u16;
    bytes.clear();
    bytes.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    if tagged && draw(8) == 0 {
        bytes.extend([0x81, 0, 0x02, 0x9A]);
    }
    bytes.extend([8, 0, 0x45, 0]);
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 50 + draw(10) as u8, if udp { 17 } else { 6 }, 0, 0, 80, source[1], source[2], source[3]]);
    bytes.extend([10, high, low, draw(16) as u8]);
    bytes.extend((1_024 + draw(8_000) as u16).to_be_bytes());
    bytes.extend([53u16, 80, 443, 123][draw(4) as usize].to_be_bytes());
    let flags = [0x02, 0x10, 0x18, 0x04][draw(4) as usize];
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    if udp {
        let at = bytes.len() - 16;
        bytes[at..at + 2].copy_from_slice(&(length - 20).to_be_bytes());
    }
    bytes.resize(bytes.len() + payload, 0);
}

/// What the shards tell of the ranges that are made.
fn blocks(world: &Arc<World>, tagged: bool) -> Blocks {
    let registry = Registry::new("bench", "", Duration::from_secs(1));
    let wired = wire(world, &Cores { rx: (1..=SHARDS as u32).collect(), workers: Vec::new() }, &registry, true);
    let mut streams: Vec<_> = wired.streams.into_iter().map(|(_, stream)| stream).collect();
    std::thread::scope(|scope| {
        for (i, receiver) in wired.receivers.into_iter().enumerate() {
            let AnyReceiver::Own(receiver) = receiver else { continue };
            scope.spawn(move || receive(*receiver, i as u64, tagged));
        }
        let mut blocks: Blocks = vec![Vec::new(); SHARDS];
        while !streams.iter().all(|stream| stream.is_over()) {
            for (i, stream) in streams.iter_mut().enumerate() {
                while stream.next(|told| {
                    if let Told::Block(sealed, words) = told {
                        blocks[i / 2].push((sealed.period, sealed.range.0, words.to_vec()));
                    }
                }) {}
            }
            std::thread::yield_now();
        }
        blocks
    })
}

fn receive(mut receiver: Receiver<Shard>, shard: u64, tagged: bool) {
    let (mut bytes, mut dice) = (Vec::new(), 7 + shard * 977);
    receiver.epoch(Epoch(2));
    for rank in ranks() {
        for _ in 0..packets(rank).ceil() as u64 {
            frame(&mut bytes, rank, &mut dice, tagged);
            let length = bytes.len() as u32;
            let (time_ns, epoch, port, link, late) = (1, Epoch(2), 0, LinkType::Ethernet, false);
            receiver.frames(&[Frame { bytes: &bytes, wire_bytes: length, captured_bytes: length, time_ns, epoch, port, link, late }]);
        }
    }
    receiver.end();
}

/// Encodes as the journal does, and looks at the process's memory.
#[derive(Default)]
struct Measure {
    reports: u64,
    bytes: u64,
    first: Option<Instant>,
    /// What the process had run by then, in seconds.
    cpu_first: f64,
    last: Option<Instant>,
    resident_max: u64,
    /// Where they go, if anywhere.
    journal: Option<Arc<Journal>>,
}

impl Measure {
    fn take(&mut self, message: Message) {
        self.bytes += message.payload.len() as u64;
        if let Some(journal) = &self.journal {
            assert!(journal.append(message));
        }
    }
}

impl Publisher for Measure {
    fn range(&mut self, report: &pb::RangeReport) {
        if self.first.is_none() {
            (self.first, self.cpu_first) = (Some(Instant::now()), cpu_seconds());
        }
        self.take(Message::range(report));
        self.reports += 1;
        if self.reports.is_multiple_of(512) {
            self.resident_max = self.resident_max.max(resident());
        }
    }

    fn appliance(&mut self, report: &pb::ApplianceReport) {
        if !report.total {
            self.take(Message::appliance(report));
            self.last = Some(Instant::now());
        }
    }
}

/// Seconds that all threads of this process ran.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let of = |at: usize| text.rsplit(')').next()?.split_whitespace().nth(at)?.parse::<f64>().ok();
    // User and system time, in hundredths.
    (of(11).unwrap_or(0.0) + of(12).unwrap_or(0.0)) / 100.0
}

/// Bytes of memory that the process holds.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

fn line(case: &str, unit: &str, ours: f64, bound: f64) {
    let ratio = ours / bound;
    println!(
        "{{\"bench\": \"report\", \"case\": \"{case}\", \"unit\": \"{unit}\", \"ours\": {ours:.3}, \"against\": \"bound\", \"theirs\": {bound}, \"ratio\": {ratio:.3}}}"
    );
}

/// A reporter, and what tells it of each shard.
fn reporter<P: Publisher>(
    config: &config::Config,
    world: &Arc<World>,
    blocks: &Blocks,
    publisher: P,
    live: bool,
) -> (Vec<Outlet>, Reporter<P, NoHealth>) {
    let most = blocks.iter().flatten().map(|(.., words)| words.len()).max().unwrap_or(0);
    let room = Room { block: Room::of_block(most), part: most, account: Site::words_max(1, 1, 0) };
    let pairs = (0..SHARDS).map(|i| (CoreName { lcore: i as u32, role: "rx" }, stream(room, false)));
    let (outlets, streams): (Vec<_>, Vec<_>) = pairs.map(|(name, (outlet, stream))| (outlet, (name, stream))).unzip();
    let port = tailwater::report::PortName { device: "port".to_owned(), feed: "feed".to_owned(), min_pps: 0 };
    let setting = setting(config, world, 0, vec![port], live);
    (outlets, Reporter::new(setting, Arc::clone(&world.plans), world.calendar, streams, publisher, NoHealth))
}

/// Reports one window: what was measured, and what resident memory and words were.
fn window(beside: Beside, journal: Option<Arc<Journal>>) -> Window {
    let folder = tempfile::tempdir().expect("a folder for the configuration");
    let (config, world) = world(folder.path(), beside);
    let blocks = blocks(&world, beside.tagged);
    let (mut outlets, mut reporter) = reporter(&config, &world, &blocks, Measure { journal, ..Measure::default() }, false);
    let made = ranks();
    let before = resident();
    let mut measured = (Measure::default(), 0, 0, Duration::ZERO);
    for number in 1..=2 {
        let mut tell = |range: u32, outlets: &mut [_]| told(range, &made, &blocks, outlets, (Period::Long, number));
        measured = one(&mut reporter, &mut outlets, &mut tell, number);
        let Some(journal) = &measured.0.journal else { continue };
        if number == 1 {
            assert!(journal.drained_by(Instant::now() + Duration::from_secs(120)), "{:?}", journal.state());
            *reporter.publisher() = Measure { journal: Some(Arc::clone(journal)), ..Measure::default() };
        }
    }
    let (have, words, read, spent) = measured;
    assert_eq!(have.reports, u64::from(RANGES + if beside.rollup { RANGES / 10 } else { 0 }));
    Window { have, before, read, raw: 8 * words, spent }
}

/// Tells all cores' blocks of a range, of one window; how many words they have.
fn told(range: u32, made: &[u32], blocks: &Blocks, outlets: &mut [Outlet], (period, number): (Period, u64)) -> u64 {
    let (like, mut words) = (made.partition_point(|rank| *rank <= range) - 1, 0);
    for (outlet, blocks) in outlets.iter_mut().zip(blocks) {
        for (.., block) in blocks.iter().filter(|(of, made_of, _)| (*of, *made_of) == (period, made[like])) {
            let sealed = Sealed { period, number, range: RangeIndex(range), records: 1, starved: 0 };
            assert!(outlet.block(&sealed, |out| out.extend_from_slice(block)), "the reporter reads them all");
            words += block.len() as u64;
        }
    }
    words
}

/// One window: what was published, its words, what was resident when they were read, and how long the reporter worked.
fn one(
    reporter: &mut Reporter<Measure, NoHealth>,
    outlets: &mut [Outlet],
    tell: &mut impl FnMut(u32, &mut [Outlet]) -> u64,
    number: u64,
) -> (Measure, u64, u64, Duration) {
    let (mut words, mut spent) = (0, Duration::ZERO);
    for range in 0..RANGES {
        words += tell(range, outlets);
        let start = Instant::now();
        while reporter.poll() {}
        spent += start.elapsed();
    }
    let (read, epoch) = (resident(), Epoch(number + 1));
    let next = if number == 2 { Epoch::END } else { Epoch(number + 2) };
    for outlet in outlets {
        outlet.closed(epoch, next, &Site::new(1, 1, 0));
    }
    let start = Instant::now();
    while reporter.poll() || (number == 2 && !reporter.is_over()) {}
    spent += start.elapsed();
    (std::mem::take(reporter.publisher()), words, read, spent)
}

/// What reporting a window came to.
struct Window {
    have: Measure,
    before: u64,
    read: u64,
    raw: u64,
    spent: Duration,
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn case(name: &str, beside: Beside, at_start: u64) {
    let Window { have, before, read, raw, spent } = window(beside, None);
    let close = have.first.zip(have.last).map_or(0.0, |(first, last)| (last - first).as_secs_f64());
    eprintln!(
        "{name}: {:.0} MB of words, {:.0} MB of messages; {:.0} MB resident before, {:.0} when all was read, {:.0} at most",
        megabytes(raw),
        megabytes(have.bytes),
        megabytes(before),
        megabytes(read),
        megabytes(have.resident_max)
    );
    let bound = if beside.rollup { ROLLUP_SECONDS_MAX } else { SECONDS_MAX };
    line(&format!("{name}-close"), "seconds", close, bound);
    line(&format!("{name}-all"), "seconds", spent.as_secs_f64(), bound);
    // Against an empty process: what the first window left behind is taken up again, and would hide the second's.
    let beside = have.resident_max.max(read).saturating_sub(at_start).saturating_sub(raw);
    line(&format!("{name}-memory"), "MB", megabytes(beside), MEGABYTES_MAX);
}

fn main() {
    let at_start = resident();
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let is_wanted = |name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    let (plain, tagged) = (Beside::default(), Beside { tagged: true, ..Beside::default() });
    for (name, beside) in [("passed-50k", plain), ("sampled-50k", tagged), ("rollup-50k", Beside { rollup: true, ..plain })] {
        if is_wanted(name) {
            case(name, beside, at_start);
        }
    }
    #[cfg(feature = "kafka")]
    for (name, case) in [("delivered-50k", delivered::case as fn(&str)), ("fast-50k", fast::case)] {
        if is_wanted(name) {
            case(name);
        }
    }
}
