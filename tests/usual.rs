//! The short path for usual frames against the walk: whatever a frame is, what comes of it is the same.
//!
//! `TAILWATER_SEED` chooses the seed. Frames are those of the captures, the same with bytes changed, and frames that are made
//! to be nearly usual.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

#[allow(dead_code, reason = "shared by several tests")]
mod captures;

use std::sync::Arc;
use std::time::Duration;

use captures::Held;
use tailwater::arch::HashKey;
use tailwater::arch::hash::spread;
use tailwater::config;
use tailwater::gather::Stage;
use tailwater::gather::packed::{Batch, Layout};
use tailwater::limits::{BATCH_RECORDS_MAX, BURST_FRAMES_MAX};
use tailwater::parse::{MirrorPlan, Parsed, parse_into, usual};
use tailwater::record::Record;
use tailwater::runtime::receiver::Receiver;
use tailwater::runtime::world::World;
use tailwater::rx::Frame;
use tailwater::telemetry::Registry;
use tailwater::units::{Epoch, LinkType, RangeIndex};
use tailwater::window::Told;
use tailwater::window::stream::{Stream, stream};

const RANGES: &str = "prefix,customer\n0.0.0.0/1,low\n10.0.0.0/8,ten\n10.9.0.0/16,nine\n128.0.0.0/2,mid\n192.168.0.0/16,home\n\
                      2000::/3,six\n2001:db8::/32,doc\nfe80::/10,link\n";

const SUM: &str = "[[stats]]\nname = \"all\"\ncalculation = \"sum\"\n[[stats]]\nname = \"top\"\ncalculation = \"topk\"\nkey = \"src_ip\"\n";

/// What only some configurations keep of a packet.
const EXTRAS: &str = r#"
[[stats]]
name = "vlans"
calculation = "topk"
key = ["vlan", "inner_vlan", "src_mac"]
[[stats]]
name = "windows"
calculation = "topk"
key = ["tcp_window", "tcp_seq", "rule"]
[[stats]]
name = "rest"
calculation = "topk"
key = ["rx_port", "tunnel", "mpls_label"]
[[stats]]
name = "rate"
calculation = "peak"
"#;

const OPTIONS: &str = "[[stats]]\nname = \"options\"\ncalculation = \"topk\"\nkey = [\"tcp_options\", \"ip_options\"]\n";

const TAGS: &str = r#"
[[tags]]
match = { inner_vlan = 7 }
decision = "blocked"
sampling = { from = "vlan" }
rule = { from = "dscp" }
[[tags]]
match = { vlan = 3 }
decision = "blocked"
sampling = 40
added_bytes = 4
[[tags]]
match = { dscp = 10 }
decision = "passed"
[[tags]]
match = { port = 1, src_mac = "02:00:00:00:00:01" }
decision = "blocked"
sampling = 8
sampler = "every_nth"
"#;

/// Rules that say the same of all untagged frames of a port.
const PORTS: &str = r#"
[[tags]]
match = { port = 1 }
decision = "blocked"
sampling = 40
added_bytes = 4
[[tags]]
match = { vlan = 3 }
decision = "blocked"
sampling = { from = "vlan" }
"#;

/// Configurations that differ in what the short path has to know.
fn configurations() -> Vec<String> {
    let of = |mirror: &str, rest: &str| format!("[appliance]\nmemory_mb = 64\n[ranges]\nfile = \"r.csv\"\n[mirror]\n{mirror}\n{rest}");
    vec![
        of("", SUM),
        of("directions = [\"ingress\"]", &format!("{SUM}{TAGS}")),
        of("directions = [\"egress\"]\nlength = \"ip\"", &format!("{SUM}{EXTRAS}{TAGS}")),
        of("untagged = \"drop\"\nlength = \"ip\"", &format!("{SUM}{TAGS}")),
        of("", &format!("{SUM}{PORTS}")),
        of("untagged = \"drop\"", &format!("{SUM}{PORTS}")),
        of("", &format!("{SUM}{EXTRAS}{OPTIONS}[parse]\nkeys_from = \"innermost\"\n")),
    ]
}

fn world(toml: &str) -> Arc<World> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.toml"), toml).unwrap();
    std::fs::write(folder.path().join("r.csv"), RANGES).unwrap();
    let config = config::load(&folder.path().join("t.toml"), &tailwater::stats::check).unwrap_or_else(|faults| panic!("{toml}\n{faults}"));
    Arc::new(World::new(&config, HashKey::constant(), 2).unwrap())
}

/// Keeps every record, in the order in which they come.
struct Log {
    layout: Layout,
    records: Vec<(u32, Record)>,
}

impl Stage for Log {
    fn batch(&mut self, range: RangeIndex, _: Epoch, batch: &Batch<'_>) {
        let mut out = [Record::default(); BATCH_RECORDS_MAX];
        self.records.extend(batch.unpack(&self.layout, &mut out).iter().map(|record| (range.0, *record)));
    }
    fn advance(&mut self, _: Epoch) {}
    fn step(&mut self) -> bool {
        false
    }
}

/// Records of each range, and the accounts of the core.
fn received(world: &Arc<World>, frames: &[Frame<'_>], short: bool) -> (Vec<(u32, Record)>, String) {
    let registry = Registry::new("t", "", Duration::from_secs(1));
    let (outlet, mut stream) = stream(world.room, false);
    let log = Log { layout: world.plans.layout, records: Vec::new() };
    let mut receiver = Receiver::new(Arc::clone(world), log, outlet, registry.core(1, "rx"), 1 << 22);
    receiver.epoch(Epoch(1));
    if short {
        // Some wait for those behind them, as they do between polls.
        let bursts = frames.chunk_by(|one, other| one.port == other.port).flat_map(|of_port| of_port.chunks(BURST_FRAMES_MAX));
        bursts.for_each(|burst| receiver.burst(burst));
    } else {
        frames.iter().for_each(|frame| receiver.frame(frame));
    }
    receiver.end();
    let mut records = std::mem::take(&mut receiver.stage().records);
    // Ranges have their turns by what comes either way; each one's records stay in their order.
    records.sort_by_key(|(range, _)| *range);
    (records, accounts(&mut stream))
}

fn accounts(stream: &mut Stream) -> String {
    let mut told = String::new();
    while stream.next(|message| {
        if let Told::Closed { site, .. } = message {
            told += &format!("{:?} {:?} {:?}\n", site.ports, site.tags, site.decisions);
        }
    }) {}
    told
}

/// How many of them the short path takes, by bursts of few and of many frames.
fn judge(name: &str, held: &[Held]) -> usize {
    [5, 150].iter().for_each(|run| judge_runs(name, held, *run));
    held.iter().filter(|held| alike(name, held)).count()
}

/// Runs of either port.
fn judge_runs<'a>(name: &str, held: &'a [Held], run: usize) {
    let frame = |(at, held): (usize, &'a Held)| {
        let captured_bytes = u32::try_from(held.bytes.len()).unwrap();
        let (port, late) = (u16::try_from(at / run % 2).unwrap(), at % 9 == 0);
        let (bytes, wire_bytes) = (&held.bytes[..], held.wire_bytes.max(captured_bytes));
        Frame { bytes, wire_bytes, captured_bytes, time_ns: at as u64, epoch: Epoch(1), port, link: held.link, late }
    };
    let frames: Vec<Frame<'a>> = held.iter().enumerate().map(frame).collect();
    for toml in configurations() {
        let world = world(&toml);
        let (walked, short) = (received(&world, &frames, false), received(&world, &frames, true));
        assert_eq!(walked.1, short.1, "{name}: accounts\n{toml}");
        let differs = walked.0.iter().zip(&short.0).find(|(one, other)| one != other);
        assert!(walked.0.len() == short.0.len() && differs.is_none(), "{name}: {differs:?}\n{toml}");
    }
}

/// What the short path takes is what the walk reads; false if it does not take the frame.
fn alike(name: &str, held: &Held) -> bool {
    let (plan, mut parsed) = (MirrorPlan::default(), Parsed::default());
    let wire_bytes = held.wire_bytes.max(u32::try_from(held.bytes.len()).unwrap());
    let Some(short) = usual(&held.bytes, wire_bytes, held.link, &plan) else { return false };
    parse_into(&held.bytes, wire_bytes, held.link, &plan, &mut parsed).unwrap();
    let header = parsed.headers()[0];
    assert!(parsed.fault.is_none() && parsed.headers().len() == 1, "{name}: {parsed:?}");
    assert_eq!((short.link_bytes, short.is_v6(), short.protocol()), (parsed.link.bytes, header.v6, header.protocol), "{name}");
    assert_eq!((short.ip_bytes, short.payload_bytes), (header.ip_bytes, header.payload_bytes), "{name}");
    true
}

fn seed() -> u64 {
    std::env::var("TAILWATER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_secs()
    })
}

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        spread(self.0)
    }
    fn below(&mut self, n: u64) -> usize {
        usize::try_from(self.next() % n).unwrap()
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64)]
    }
    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// A frame that is usual, but perhaps for one thing or two.
fn nearly(dice: &mut Dice) -> Held {
    let mut bytes = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, dice.of(&[1, 1, 2])];
    for _ in 0..dice.of(&[0, 0, 0, 1, 1, 2, 2, 3]) {
        bytes.extend(dice.of(&[[0x81, 0x00], [0x88, 0xA8], [0x91, 0x00], [0x93, 0x00]]));
        bytes.extend(dice.of(&[[0x00, 0x03], [0x20, 0x07], [0x00, 0x00], [0xFF, 0xFF], [0x00, 0x64]]));
    }
    let protocol = dice.of(&[6, 6, 17, 17, 17, 1, 58, 47, 4, 41, 132, 0, 44, 51]);
    let upper = upper(dice, protocol);
    let padding = dice.of(&[0, 0, 0, 6, 40]);
    if dice.one_in(3) {
        let claimed = u16::try_from(upper.len()).unwrap().wrapping_add(dice.of(&[0, 0, 0, 0, 1, 0xFFFF, 100]));
        bytes.extend([0x86, 0xDD, dice.of(&[0x60, 0x62, 0x6F, 0x40]), dice.byte(), 0, 0]);
        bytes.extend(if dice.one_in(20) { [0, 0] } else { claimed.to_be_bytes() });
        bytes.extend([protocol, dice.byte(), 0x20, 0x01, 0x0D, 0xB8]);
        bytes.extend((0..28).map(|_| dice.byte()));
    } else {
        let options = dice.of(&[0, 0, 0, 0, 0, 4, 40]);
        let total = u16::try_from(20 + options + upper.len()).unwrap().wrapping_add(dice.of(&[0, 0, 0, 0, 0, 1, 0xFFFF, 100]));
        let fragment = dice.of(&[0, 0, 0, 0x4000, 0x8000, 0x2000, 0x0001, 0x2001]);
        bytes.extend([0x08, 0x00, 0x40 | u8::try_from(5 + options / 4).unwrap(), dice.of(&[0, 40, 41, 0xFF])]);
        bytes.extend(if dice.one_in(30) { [0, 0] } else { total.to_be_bytes() });
        bytes.extend([0, 1]);
        bytes.extend(u16::to_be_bytes(fragment));
        bytes.extend([dice.byte(), protocol, 0, 0]);
        bytes.extend([dice.of(&[10, 192, 1, 250]), dice.of(&[9, 168, 1]), dice.byte(), dice.byte()]);
        bytes.extend([dice.of(&[10, 192, 1, 250]), dice.of(&[9, 168, 1]), dice.byte(), dice.byte()]);
        bytes.extend(std::iter::repeat_n(1, options));
    }
    bytes.extend(upper);
    bytes.extend(std::iter::repeat_n(0, padding));
    if dice.one_in(10) {
        bytes.truncate(dice.below(bytes.len() as u64 + 1));
    }
    let more = if dice.one_in(50) { dice.of(&[66_000, 140_000]) } else { dice.of(&[0, 0, 0, 0, 1, 2_000]) };
    Held { wire_bytes: u32::try_from(bytes.len() + more).unwrap(), bytes, link: LinkType::Ethernet }
}

fn upper(dice: &mut Dice, protocol: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..dice.of(&[8, 8, 20, 20, 24, 60, 7, 19, 100])).map(|_| dice.byte()).collect();
    match protocol {
        6 if bytes.len() > 12 => bytes[12] = dice.of(&[0x50, 0x50, 0x50, 0x60, 0xF0, 0x40, 0x00]),
        17 if bytes.len() > 5 => {
            let port: u16 = dice.of(&[53, 443, 4_789, 2_152, 6_081, 6_635, 4_754, 4_790, 80, 12_345]);
            bytes[2..4].copy_from_slice(&port.to_be_bytes());
            let length = u16::try_from(bytes.len()).unwrap();
            let length = dice.of(&[length, length, length, 0, 7, 1, 9_000]);
            bytes[4..6].copy_from_slice(&length.to_be_bytes());
        }
        _ => {}
    }
    bytes
}

#[test]
fn frames_that_are_nearly_usual() {
    let seed = seed();
    println!("TAILWATER_SEED={seed}");
    let mut dice = Dice(seed << 32);
    let held: Vec<Held> = (0..30_000).map(|_| nearly(&mut dice)).collect();
    let taken = judge("made", &held);
    println!("{taken} of {} are taken", held.len());
    assert!(taken > held.len() / 20 && taken < held.len() / 2);
}

/// Untagged IPv4, which is read in columns, and now and then something else between.
#[test]
fn frames_that_are_mostly_plain() {
    let seed = seed();
    println!("TAILWATER_SEED={seed}");
    let mut dice = Dice(seed << 32 | 1 << 31);
    let made: Vec<Held> = (0..20_000).map(|_| nearly(&mut dice)).collect();
    let is_plain = |held: &&Held| held.bytes.get(12..14) == Some(&[8, 0]) && alike("made", held);
    let plain: Vec<&Held> = made.iter().filter(is_plain).collect();
    let one = |dice: &mut Dice| {
        let of = if dice.one_in(5) { &made[dice.below(20_000)] } else { plain[dice.below(plain.len() as u64)] };
        // Of another link it is something else.
        let link = if dice.one_in(40) { LinkType::RawIp } else { of.link };
        Held { bytes: of.bytes.clone(), link, ..*of }
    };
    let held: Vec<Held> = (0..20_000).map(|_| one(&mut dice)).collect();
    let taken = judge("mostly plain", &held);
    assert!(plain.len() > 100 && taken > held.len() / 2, "{} of {taken}", plain.len());
}

#[test]
fn frames_of_captures() {
    let Some(folder) = captures::folder("frames_of_captures") else { return };
    let seed = seed();
    println!("TAILWATER_SEED={seed}");
    let (mut dice, mut all, mut taken) = (Dice(seed << 32), 0, 0);
    for file in captures::files(&folder) {
        let mut held = captures::frames(&file);
        held.truncate(3_000);
        let changed: Vec<Held> = held.iter().filter(|held| !held.bytes.is_empty()).map(|held| changed(&mut dice, held)).collect();
        all += held.len();
        taken += judge(&file.display().to_string(), &held);
        judge(&format!("{}, changed", file.display()), &changed);
    }
    println!("{taken} of {all} are taken");
    assert!(taken > all / 4, "{taken} of {all}");
}

/// With a few bytes of its headers changed.
fn changed(dice: &mut Dice, held: &Held) -> Held {
    let mut bytes = held.bytes.clone();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len().min(64) as u64);
        bytes[at] = if dice.one_in(2) { dice.byte() } else { bytes[at] ^ 1 << dice.below(8) };
    }
    Held { bytes, ..*held }
}
