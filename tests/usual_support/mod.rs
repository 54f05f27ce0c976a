//! The short path for usual frames against the walk: how both are driven, and what must be alike.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

use std::sync::Arc;
use std::time::Duration;

use tailwater::arch::HashKey;
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
use tailwater::units::{Epoch, RangeIndex};
use tailwater::window::Told;
use tailwater::window::stream::{Stream, stream};

use super::Held;

const RANGES: &str = "prefix,customer\n0.0.0.0/1,low\n10.0.0.0/8,ten\n10.9.0.0/16,both\n128.0.0.0/2,mid\n192.168.0.0/16,both\n\
                      2000::/3,six\n2001:db8::/32,doc\n2001:db8:1::/48,both\n2001:db8:2::/48,both\nfe80::/10,link\n";

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

/// By all that a link can be known by.
const LINKS: &str = r#"
[[links]]
name = "a"
capacity_bps = 1_000_000_000
match = [{ vlan = 3, port = 1 }, { inner_vlan = 100 }]
[[links]]
name = "b"
capacity_bps = 1_000_000_000
match = { src_mac = "02:00:00:00:00:02" }
[[links]]
name = "c"
capacity_bps = 1_000_000_000
match = { dscp = 10 }
[[links]]
name = "d"
capacity_bps = 1_000_000_000
match = { port = 1 }
"#;

/// Configurations that differ in what the short path has to know.
pub(crate) fn configurations() -> Vec<String> {
    let of = |mirror: &str, rest: &str| format!("[appliance]\nmemory_mb = 64\n[ranges]\nfile = \"r.csv\"\n[mirror]\n{mirror}\n{rest}");
    vec![
        of("", SUM),
        of("directions = [\"ingress\"]", &format!("{SUM}{TAGS}")),
        of("directions = [\"egress\"]\nlength = \"ip\"", &format!("{SUM}{EXTRAS}{TAGS}")),
        of("untagged = \"drop\"\nlength = \"ip\"", &format!("{SUM}{TAGS}")),
        of("", &format!("{SUM}{PORTS}")),
        of("untagged = \"drop\"", &format!("{SUM}{PORTS}")),
        // Packets between two ranges of a customer count apart.
        of("", &format!("{SUM}{TAGS}")).replace("[ranges]", "[ranges]\nrollup = true"),
        of("", &format!("{SUM}{EXTRAS}{OPTIONS}[parse]\nkeys_from = \"innermost\"\n")),
        // No record is made of what matches a range.
        format!("stats = []\n{}", of("", TAGS)),
        // Links' frames are counted, also those that are dropped.
        of("untagged = \"drop\"", &format!("{SUM}{TAGS}{LINKS}")),
        format!("stats = []\n{}", of("length = \"ip\"", &format!("{PORTS}{LINKS}"))),
    ]
}

pub(crate) fn world(toml: &str) -> Arc<World> {
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
            told += &format!("{:?} {:?} {:?} {:?}\n", site.ports, site.tags, site.decisions, site.links);
        }
    }) {}
    told
}

/// Both readings of frames, in runs of either port, by one configuration.
pub(crate) fn judge_runs<'a>(name: &str, held: &'a [Held], run: usize, toml: &str, world: &Arc<World>) {
    let frame = |(at, held): (usize, &'a Held)| {
        let captured_bytes = u32::try_from(held.bytes.len()).unwrap();
        let (port, late) = (u16::try_from(at / run % 2).unwrap(), at % 9 == 0);
        let (bytes, wire_bytes) = (&held.bytes[..], held.wire_bytes.max(captured_bytes));
        Frame { bytes, wire_bytes, captured_bytes, time_ns: at as u64, epoch: Epoch(1), port, link: held.link, late }
    };
    let frames: Vec<Frame<'a>> = held.iter().enumerate().map(frame).collect();
    let (walked, short) = (received(world, &frames, false), received(world, &frames, true));
    assert_eq!(walked.1, short.1, "{name}: accounts\n{toml}");
    let differs = walked.0.iter().zip(&short.0).find(|(one, other)| one != other);
    assert!(walked.0.len() == short.0.len() && differs.is_none(), "{name}: {differs:?}\n{toml}");
}

/// What the short path takes is what the walk reads; false if it does not take the frame.
pub(crate) fn alike(name: &str, held: &Held) -> bool {
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
