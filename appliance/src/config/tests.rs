//! Configurations that are right, and what they come to.

use std::fs;

use super::*;
use crate::axes::{DecisionAxis, DirectionAxis, Key, Metric};
use crate::limits::KEY_BYTES_MAX;
use crate::options::{IpOptions, TcpOptions};
use crate::record::{Fragment, Has, Record, Tunnel};

const RANGES: &str = "[ranges]\nfile = \"ranges.csv\"\n";
const STAT: &str = "[[stats]]\nname = \"packets\"\ncalculation = \"sum\"\n";
const CSV: &str =
    "prefix,customer,plan\n10.0.0.0/8,acme,premium\n192.0.2.0/24,acme,basic\n198.51.100.0/24,globex,premium\n2001:db8::/32,other,\n";

fn load_beside(text: &str, csv: &str) -> Result<Config, Faults> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ranges.csv"), csv).unwrap();
    fs::write(folder.path().join("t.toml"), text).unwrap();
    load(&folder.path().join("t.toml"), &|_, _| Ok(()))
}

fn loaded(text: &str) -> Config {
    load_beside(text, CSV).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn defaults_are_the_design_s() {
    let c = loaded(&format!("{RANGES}{STAT}"));
    let a = &c.appliance;
    assert_eq!(
        (a.name.as_str(), a.pop.as_str(), a.window_ms, a.fast_window_ms, a.memory_mb, a.hash_key),
        ("tailwater", "", 10_000, 1_000, 1_024, None)
    );
    assert!(c.cores.is_none() && c.ports.is_empty() && c.tags.is_empty() && c.mirror.strip.is_empty());
    assert!(c.mirror.untagged_passes && c.mirror.ingress && c.mirror.egress && c.mirror.length == LengthFrom::Frame);
    assert_eq!((c.keys_from, c.weight_max()), (KeysFrom::Matched, 1));
    let s = &c.stats[0];
    assert_eq!(
        (s.key.single(), s.metric, s.decision, s.direction),
        (Some(Key::None), Metric::Packets, DecisionAxis::Any, DirectionAxis::Ingress)
    );
    assert_eq!((s.predicate.as_ref(), s.fast, s.sets.as_slice()), (None, false, &["default".to_owned()][..]));
    assert!(c.sinks.kafka.is_none() && c.sinks.file.is_none() && !c.sinks.stdout);
    assert_eq!(c.admin.listen, "127.0.0.1:9464".parse().ok());
    assert!(c.for_run().unwrap_err().to_string().contains("ports: are missing; write [[ports]]"));
}

#[test]
fn the_fast_window_fits_the_window() {
    let fast = |window: &str| loaded(&format!("[appliance]\n{window}\n{RANGES}{STAT}")).appliance.fast_window_ms;
    for (window, want) in [
        ("", 1_000),
        ("window_ms = 3600000", 1_000),
        ("window_ms = 500", 500),
        ("window_ms = 2500", 2_500),
        ("fast_window_ms = 250", 250),
        ("window_ms = 10", 10),
    ] {
        assert_eq!(fast(window), want, "{window}");
    }
}

/// Names stand in messages, which brokers take up to a bound.
#[test]
fn a_text_is_bounded() {
    let named = |bytes| format!("[appliance]\nname = \"{}\"\n{RANGES}{STAT}", "n".repeat(bytes));
    assert_eq!(loaded(&named(4_096)).appliance.name.len(), 4_096);
    let faults = load_beside(&named(4_097), "prefix,customer\n10.0.0.0/8,acme\n").unwrap_err().to_string();
    assert!(faults.contains("appliance.name: has 4097 bytes; it may have 4096"), "{faults}");
}

#[test]
fn every_section_is_read() {
    let c = loaded(&format!(
        "{RANGES}{STAT}
[cores]
mode = \"pipeline\"
main = 0
rx = [1, 2]
workers = [3]
reporter = 4
[[ports]]
device = \"net_null0\"
[mirror]
strip = [\"erspan\", \"gtpu\"]
from = [\"192.0.2.10\", \"2001:db8::1\"]
length = \"ip\"
directions = [\"egress\"]
[parse]
keys_from = \"innermost\"
[[tags]]
match = {{ vlan = 666, src_mac = \"02-00-5E-00-00-FF\" }}
decision = \"blocked\"
sampling = {{ from = \"inner_vlan\" }}
sampler = \"hash\"
rule = 7
[sinks.kafka]
brokers = \"mock\"
ranges_topic = \"t.{{customer}}\"
[sinks.file]
path = \"out.jsonl\"
[sinks.stdout]
[admin]
listen = \"off\"
"
    ));
    let cores = c.cores.as_ref().unwrap();
    assert_eq!((cores.mode, &cores.rx[..], &cores.workers[..], &cores.io[..]), (Mode::Pipeline, &[1, 2][..], &[3][..], &[][..]));
    assert_eq!((c.ports[0].feed.as_str(), c.ports[0].queues), ("net_null0", 1));
    assert_eq!(c.mirror.strip, [Wrap::Erspan, Wrap::GtpU]);
    assert_eq!((c.mirror.from.len(), c.mirror.length, c.mirror.ingress, c.mirror.egress), (2, LengthFrom::Ip, false, true));
    let tag = &c.tags[0];
    assert_eq!((&tag.matches.fields[..], tag.matches.src_mac), (&[(TagField::Vlan, 666)][..], Some([2, 0, 0x5E, 0, 0, 0xFF])));
    assert_eq!(
        (tag.sampling, tag.sampler, tag.rule, c.weight_max()),
        (Given::From(TagField::InnerVlan), Sampler::Hash, Some(Given::Fixed(7)), 4_095)
    );
    let kafka = c.sinks.kafka.as_ref().unwrap();
    assert_eq!((kafka.brokers.as_str(), kafka.ranges_topic.as_str(), kafka.compression.as_str()), ("mock", "t.{customer}", "lz4"));
    assert!(c.sinks.file.as_ref().unwrap().path.is_absolute() && c.sinks.stdout && c.admin.listen.is_none() && c.for_run().is_ok());
}

fn record(v6: bool) -> Record {
    let mut r = Record { has: Has::default().with(Has::V6, v6), protocol: 17, ..Record::default() };
    r.src[..4].copy_from_slice(&[192, 0, 2, 77]);
    if v6 {
        r.src[..4].copy_from_slice(&[0x20, 0x01, 0x0D, 0xB8]);
    }
    r
}

/// As a stat uses a predicate.
fn admits(predicate: &Predicate, record: &Record) -> bool {
    let family = record.family();
    predicate.tests.iter().all(|test| {
        let mut bytes = [0; KEY_BYTES_MAX];
        let bytes = &mut bytes[..test.key.width(family)];
        let has = test.key.extract(record, bytes);
        let bytes = &*bytes;
        let within = |(low, high): &Span| low.as_slice() <= bytes && bytes <= high.as_slice();
        has && test.spans(family).iter().any(within)
    })
}

#[test]
fn predicates_admit_what_they_say() {
    let ports = |src: u16, r: Record| Record { src_port: src, has: r.has.with(Has::PORTS, true), ..r };
    let (v4, v6) = (record(false), record(true));
    let tcp = Record { protocol: 6, tcp_flags: 0x12, has: v4.has.with(Has::TCP_FLAGS, true), ..v4 };
    let icmp = Record { protocol: 1, src_port: 0x0800, has: v4.has.with(Has::ICMP, true), ..v4 };
    let vlan = Record { vlan: 5, has: v6.has.with(Has::VLAN, true), ..v6 };
    let mac = Record { src_mac: [2, 0, 0, 0, 0, 1], has: v4.has.with(Has::MAC, true), ..v4 };
    let flow = Record { dst_port: 9, dst: v4.src, ..ports(53, v4) };
    for (text, yes, no) in [
        ("protocol = \"udp\"", v4, tcp),
        ("protocol = [\"tcp\", 17]", v6, icmp),
        ("protocol = [\"udp\", \"icmp\"]", icmp, Record { protocol: 58, ..v6 }),
        ("src_port = [53, 123], protocol = \"udp\"", ports(123, v6), ports(124, v4)),
        ("src_port = 0", ports(0, v4), v4),
        ("src_ip = \"192.0.2.77\"", v4, v6),
        ("src_ip = [\"192.0.2.78\", \"2001:db8::\"]", v6, v4),
        ("src_prefix = \"192.0.0.0/16\"", v4, v6),
        ("src_prefix = [\"192.0.3.0/24\", \"2001:db8::/29\"]", v6, v4),
        ("src_prefix = \"0.0.0.0/0\"", v4, v6),
        (
            "src_prefix = [\"192.0.2.64/28\", \"192.0.0.0/23\"]",
            v4,
            Record { src: [192, 0, 2, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], ..v4 },
        ),
        ("src_ip = [\"192.0.2.77\", \"198.51.100.0/24\"]", v4, v6),
        ("src_port = \"1024..\"", ports(1_024, v4), ports(1_023, v4)),
        ("src_port = [\"..53\", 123]", ports(52, v4), ports(53, v4)),
        ("packet_size = \"64..128\"", Record { wire_bytes: 127, ..v4 }, Record { wire_bytes: 128, ..v4 }),
        ("rule = \"4294967295..4294967296\"", Record { rule: u32::MAX, has: v4.has.with(Has::RULE, true), ..v4 }, v4),
        ("tcp_options = \"TS,MSS\"", Record { tcp_options: TcpOptions(0b101), ..tcp }, Record { tcp_options: TcpOptions::UNREAD, ..tcp }),
        ("ip_options = [\"-\", \"RA\"]", v6, Record { ip_options: IpOptions(1), ..v6 }),
        ("tcp_window = 1024", Record { tcp_window: 11, ..tcp }, Record { tcp_window: 12, ..tcp }),
        ("tcp_window = \"..1\"", tcp, v4),
        ("tcp_seq = 4026531840", Record { tcp_seq: 15, ..tcp }, tcp),
        ("service = [\"dns\", \"ntp\"]", ports(123, v6), ports(123, tcp)),
        ("tcp_flags = [\"AS\", \"R\"]", tcp, Record { tcp_flags: 2, ..tcp }),
        ("tcp_flags = \"-\"", Record { tcp_flags: 0, ..tcp }, tcp),
        ("icmp = \"8/0\"", icmp, Record { src_port: 1, ..icmp }),
        ("vlan = 5", vlan, v6),
        ("fragment = [\"first\", \"later\"]", Record { fragment: Fragment::Later, ..v4 }, v4),
        ("tunnel = \"gtpu\"", Record { tunnel: Tunnel::GtpU, ..v4 }, v4),
        ("src_mac = \"02:00:00:00:00:01\"", mac, Record { src_mac: [9; 6], ..mac }),
        ("ttl = 0, dscp = 46", Record { dscp: 46, ..v4 }, v4),
        ("packet_size = 60, payload_size = 4294967295", Record { wire_bytes: 60, payload_bytes: u32::MAX, ..v4 }, v4),
        ("flow = \"192.0.2.77|53|192.0.2.77|9|17\"", flow, Record { dst_port: 8, ..flow }),
        ("rule = 70000, rx_port = 0", Record { rule: 70_000, has: v4.has.with(Has::RULE, true), ..v4 }, v4),
    ] {
        let config = loaded(&format!("{RANGES}{STAT}where = {{ {text} }}\n"));
        let predicate = config.stats[0].predicate.as_ref().unwrap();
        assert!(admits(predicate, &yes), "{text}: {yes:?}");
        assert!(!admits(predicate, &no), "{text}: {no:?}");
    }
}

const SETS: &str = "
[[stats]]
name = \"deep\"
calculation = \"sum\"
sets = [\"premium\", \"acme\"]
[[stats]]
name = \"acme only\"
calculation = \"sum\"
sets = [\"acme\"]
[[sets]]
name = \"premium\"
match = { label = \"plan=premium\" }
include = [\"default\"]
[[sets]]
name = \"acme\"
match = { customer = \"acme\" }
[[sets]]
name = \"default\"
";

#[test]
fn predicates_that_ask_the_same_are_the_same() {
    let read = |text: &str| loaded(&format!("{RANGES}{STAT}where = {{ {text} }}\n")).stats[0].predicate.clone().unwrap();
    for (one, other) in [
        ("protocol = \"udp\", src_port = [53, 123]", "src_port = [123, 53, 53], protocol = [17]"),
        ("src_port = [1, 2, 3]", "src_port = [\"2..4\", 1]"),
        ("src_ip = \"192.0.2.0/24\"", "src_prefix = [\"192.0.2.128/25\", \"192.0.2.0/25\", \"192.0.2.7/32\"]"),
        ("tcp_flags = \"SA\"", "tcp_flags = \"AS\""),
    ] {
        assert_eq!(read(one), read(other), "{one}");
    }
    assert_ne!(read("src_port = 53"), read("dst_port = 53"));
}

#[test]
fn ranges_keep_the_union_of_their_sets() {
    let lists = loaded(&format!("{RANGES}{STAT}{SETS}")).stat_lists();
    let of = |range: usize| lists.lists[lists.of_range[range] as usize].as_slice();
    assert_eq!([of(0), of(1), of(2), of(3)], [&[0, 1, 2][..], &[1, 2], &[0, 1], &[0]]);
    let lists = loaded(&format!("{RANGES}{STAT}")).stat_lists();
    assert_eq!(lists, StatLists { lists: vec![vec![0]], of_range: vec![0; 4] });
}

#[test]
fn the_hash_covers_what_results_depend_on() {
    let base = format!("{RANGES}{STAT}where = {{ protocol = \"udp\", src_port = [53, 123] }}\nk = 5\np = 7\n");
    let hash = loaded(&base).hash;
    assert_eq!((hash.len(), hash.chars().all(|c| c.is_ascii_hexdigit())), (64, true));
    let more = "[cores]\nmain = 0\nrx = [1]\nreporter = 2\n[[ports]]\ndevice = \"net_null0\"\n\
        [sinks.stdout]\n[appliance]\nname = \"b\"\npop = \"c\"\nmemory_mb = 9\n[admin]\nlisten = \"off\"\n";
    let rewritten = format!("{RANGES}{STAT}p = 7\nk = 5\nwhere = {{ src_port = [123, 53, 53], protocol = 17 }}\n");
    for same in [format!("{base}{more}"), rewritten, format!("{base}[appliance]\nwindow_ms = 10000\n")] {
        assert_eq!(loaded(&same).hash, hash, "{same}");
    }
    let rolled = loaded(&base.replace(RANGES, &format!("{RANGES}rollup = true\n")));
    assert_eq!((rolled.hash, rolled.ranges.rollup, loaded(&base).ranges.rollup), (hash.clone(), true, false));
    let other = [
        base.replace("k = 5", "k = 6"),
        base.replace("udp", "tcp"),
        base.replace("53, 123", "53"),
        format!("{base}metric = \"bytes\"\n"),
        format!("{base}fast = true\n"),
        format!("{base}[appliance]\nwindow_ms = 20000\n"),
        format!("{base}[appliance]\nfast_window_ms = 500\n"),
        format!("{base}[mirror]\nlength = \"ip\"\n"),
        format!("{base}[parse]\nkeys_from = \"outermost\"\n"),
        format!("{base}[[tags]]\nmatch = {{ vlan = 1 }}\ndecision = \"blocked\"\n"),
        format!("{base}[[sets]]\nname = \"a\"\nmatch = {{ customer = \"a\" }}\n"),
    ];
    for text in other {
        assert_ne!(loaded(&text).hash, hash, "{text}");
    }
    for csv in [CSV.replace("acme", "acne"), CSV.replace("basic", "base"), CSV.replace("10.0.0.0/8", "10.0.0.0/9")] {
        assert_ne!(load_beside(&base, &csv).unwrap().hash, hash, "{csv}");
    }
    let shuffled =
        "plan,customer,prefix\n,other,2001:db8::/32\nbasic,acme,192.0.2.0/24\npremium,globex,198.51.100.0/24\npremium,acme,10.0.0.0/8\n";
    assert_eq!(load_beside(&base, shuffled).unwrap().hash, hash);
}

#[test]
fn the_hash_covers_what_holds_whatever_exporters_say() {
    let with = |rows: &str| loaded(&format!("{RANGES}{STAT}[flows]\nlisten = [\"udp/2055\"]\n{rows}")).hash;
    let none = loaded(&format!("{RANGES}{STAT}")).hash;
    assert_eq!([with(""), with("per_port = false\nsampling = []\ntopic = \"t\"\n")], [none.clone(), none.clone()]);
    let rates = ["192.0.2.1=1000", "192.0.2.1=1001", "192.0.2.2=1000", "192.0.2.1/1=1000"];
    let mut hashes: Vec<_> = rates.iter().map(|rate| with(&format!("sampling = [\"{rate}\"]\n"))).collect();
    hashes.extend([none, with("per_port = true\n")]);
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 6);
    assert_eq!(with("sampling = [\"192.0.2.1=9\", \"192.0.2.2=8\"]\n"), with("sampling = [\"192.0.2.2=8\", \"192.0.2.1=9\"]\n"));
}

/// Who replays, or reads a configuration beside its appliance, need not be able to read its secret.
#[test]
fn a_token_that_cannot_be_read_is_a_fault_to_run_alone() {
    let with = |file: &str| format!("{RANGES}{STAT}[[ports]]\ndevice = \"net_null0\"\n[admin]\ntoken_file = \"{file}\"\n");
    for (file, remedy) in [("absent.token", "make it with: openssl rand -hex 32 > "), (".", "let the user that runs the appliance read it")]
    {
        let fault = loaded(&with(file)).for_run().unwrap_err().to_string();
        assert!(fault.contains("t.toml:9: admin.token_file: ") && fault.contains(" cannot be read: ") && fault.contains(remedy), "{fault}");
    }
    assert!(
        load_beside(&with("ranges.csv"), CSV).unwrap_err().to_string().contains("ranges.csv holds no token"),
        "it can be read, and is none"
    );
}
