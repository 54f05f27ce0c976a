//! `tailwater flows` with a configuration, with `--where` and with `--top`, as it is called, on captures that the test makes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod enrich_support;

use std::path::Path;
use std::process::{Command, Output};

use enrich_support::Place;
use enrich_support::mmdb::{country, database, system};
use prost::Message as _;
use serde_json::Value;
use tailwater::flows::pb::FlowMessage;

/// NetFlow 5 of one-in-ten sampling: source, destination, destination port, protocol, packets, bytes of each record.
type Row = ([u8; 4], [u8; 4], u16, u8, u32, u32);

fn five(rows: &[Row]) -> Vec<u8> {
    let mut out = [5u16.to_be_bytes(), u16::try_from(rows.len()).unwrap().to_be_bytes()].concat();
    out.resize(22, 0);
    out.extend((1_u16 << 14 | 10).to_be_bytes());
    for (src, dst, port, protocol, packets, bytes) in rows {
        let mut record = [0u8; 48];
        record[..4].copy_from_slice(src);
        record[4..8].copy_from_slice(dst);
        record[12..14].copy_from_slice(&3u16.to_be_bytes());
        record[16..20].copy_from_slice(&packets.to_be_bytes());
        record[20..24].copy_from_slice(&bytes.to_be_bytes());
        record[32..34].copy_from_slice(&4_000u16.to_be_bytes());
        record[34..36].copy_from_slice(&port.to_be_bytes());
        record[38] = *protocol;
        out.extend(record);
    }
    out
}

/// A classic capture of UDP over raw IPv4: a millisecond and a payload each, from 192.0.2.7.
fn capture(payloads: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut out =
        [&0xA1B2_C3D4u32.to_le_bytes()[..], &[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0], &65_535u32.to_le_bytes(), &101u32.to_le_bytes()]
            .concat();
    for (ms, payload) in payloads {
        let length = |extra: usize| u16::try_from(payload.len() + extra).unwrap();
        let ip = [&[0x45, 0][..], &length(28).to_be_bytes(), &[0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 7, 192, 0, 2, 8]].concat();
        let udp = [&[0x30, 0x39, 0x12, 0x34][..], &length(8).to_be_bytes(), &[0, 0]].concat();
        let size = u32::from(length(28)).to_le_bytes();
        out.extend([&(ms / 1_000).to_le_bytes()[..], &(ms % 1_000 * 1_000).to_le_bytes(), &size, &size, &ip, &udp, payload].concat());
    }
    out
}

const CUSTOMER: [u8; 4] = [203, 0, 113, 5];
const OUTSIDE: [u8; 4] = [192, 0, 2, 200];

fn rows() -> Vec<Row> {
    vec![(OUTSIDE, CUSTOMER, 443, 6, 10, 1_000), (OUTSIDE, CUSTOMER, 53, 17, 2, 200), (CUSTOMER, OUTSIDE, 80, 6, 5, 400)]
}

const SECTIONS: &str = "[enrich]\ncustomers = \"ranges\"\nasn = \"asn.mmdb\"\ncountry = \"country.mmdb\"\ninterfaces = \"if.csv\"\n\
    [[streams]]\nname = \"dns\"\nwhere = { protocol = \"udp\", dst_port = [53] }\nformat = \"protobuf\"\nkeep = [\"bytes\", \"note\", \"stream\", \"src_country\"]\n\
    [[streams]]\nname = \"all\"\ndrop_fields = [\"sequence_num\"]\nanonymise = { fields = [\"src_addr\"], method = \"truncate\" }\n";

fn place() -> Place {
    let place = Place::new();
    place.put("asn.mmdb", database(6, &[("192.0.2.0/24", system(64_500, "Example"))]));
    place.put("country.mmdb", database(6, &[("192.0.2.0/24", country("DE"))]));
    place.put("if.csv", "exporter,if_index,name\n192.0.2.7,3,transit-a\n");
    place.put("x.pcap", capture(&[(1_000, five(&rows()))]));
    place
}

fn flows(pcap: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
    command.arg("flows").env_remove("RUST_LOG").args(more).arg("--pcap").arg(pcap).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_configuration_enriches_and_splits() {
    let place = place();
    let config = place.config(SECTIONS);
    let out = flows(&place.path("x.pcap"), &["--config", config.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let lines: Vec<Value> = text(&out.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let streams: Vec<&str> = lines.iter().map(|line| line["stream"].as_str().unwrap()).collect();
    assert_eq!(streams, ["all", "dns", "all", "all"]);
    let all = &lines[0];
    assert_eq!((&all["src_addr"], &all["dst_addr"], &all["cid"]), (&"192.0.2.0".into(), &"203.0.113.5".into(), &7.into()));
    assert_eq!((&all["src_as"], &all["src_as_name"], &all["src_country"]), (&64_500.into(), &"Example".into(), &"DE".into()));
    assert_eq!((&all["src_if_name"], &all["proto_name"], &all["remote_addr"]), (&"transit-a".into(), &"TCP".into(), &"Src".into()));
    assert_eq!(lines[3]["remote_country"], "DE");
    assert_eq!(lines[1].as_object().unwrap().len(), 3, "{}", lines[1]);
    let said = text(&out.stderr);
    assert!(said.contains("stream dns: 1 written, 0 not drawn, 0 dropped") && said.contains("stream all: 3 written"), "{said}");
}

#[test]
fn one_stream_is_written_as_it_is_configured() {
    let place = place();
    let config = place.config(SECTIONS);
    let config = config.to_str().unwrap();
    let out = flows(&place.path("x.pcap"), &["--config", config, "--stream", "dns"]);
    let mut rest = &out.stdout[..];
    let message = FlowMessage::decode_length_delimited(&mut rest).unwrap();
    let want = FlowMessage { bytes: 200, stream: "dns".to_owned(), src_country: "DE".to_owned(), ..FlowMessage::default() };
    assert_eq!((message, rest.len()), (want, 0));
    let out = flows(&place.path("x.pcap"), &["--config", config, "--stream", "dns", "--format", "json"]);
    assert_eq!(text(&out.stdout), "{\"bytes\":\"200\",\"src_country\":\"DE\",\"stream\":\"dns\"}\n");
    let out = flows(&place.path("x.pcap"), &["--config", config, "--stream", "smtp"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("there is no stream \"smtp\"; there are dns, all"), "{}", text(&out.stderr));
    place.put("if.csv", "exporter,if_index,name\nrouter,3,x\n");
    let out = flows(&place.path("x.pcap"), &["--config", config]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("if.csv:2: exporter: \"router\" is no address"), "{}", text(&out.stderr));
}

#[test]
fn conditions_hold_without_a_configuration_too() {
    let place = place();
    let out = flows(&place.path("x.pcap"), &["--where", "{ protocol = \"tcp\", src_ip = \"203.0.113.0/24\" }"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let said = text(&out.stdout);
    assert!(said.lines().count() == 1 && said.contains("\"dst_port\":80") && !said.contains("stream"), "{said}");
    let out = flows(&place.path("x.pcap"), &["--where", "{ protocl = 6 }"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("did you mean \"protocol\""), "{}", text(&out.stderr));
}

/// Two seconds of flows and one of silence: what is shown is the sum by hand, times the rate of ten.
#[test]
fn top_talkers_by_any_field() {
    let place = place();
    place.put(
        "t.pcap",
        capture(&[(5_000, five(&rows())), (5_900, five(&rows()[..1])), (6_100, five(&rows()[2..])), (8_200, five(&rows()))]),
    );
    let out = flows(&place.path("t.pcap"), &["--top", "src_addr,dst_port", "--every", "1s", "--rows", "2"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let said = text(&out.stdout);
    let blocks: Vec<Vec<Vec<&str>>> =
        said.trim_end().split("\n\n").map(|block| block.lines().map(|line| line.split_whitespace().collect()).collect()).collect();
    assert_eq!(blocks.len(), 3, "{said}");
    assert_eq!(blocks[0][0], ["1970-01-01T00:00:05.000Z", "1", "s,", "4", "flows", "of", "3", "talkers,", "0", "of", "unknown", "rate"]);
    assert_eq!(blocks[0][1], ["packets/s", "bits/s", "flows", "src_addr", "dst_port"]);
    assert_eq!(blocks[0][2], ["270.0", "208000.0", "4", "(all)"]);
    assert_eq!(blocks[0][3], ["200.0", "160000.0", "2", "192.0.2.200", "443"]);
    assert_eq!(blocks[0][4], ["50.0", "32000.0", "1", "203.0.113.5", "80"]);
    assert_eq!(blocks[0].len(), 5);
    assert_eq!(blocks[1][2], ["50.0", "32000.0", "1", "(all)"]);
    assert!(blocks[2][0][0] == "1970-01-01T00:00:08.000Z" && blocks[2][2][2] == "3", "{said}");
    let config = place.config(SECTIONS);
    let more = ["--top", "customer,remote_country", "--where", "{ protocol = \"tcp\" }", "--count", "1", "--every", "500ms"];
    let out = flows(&place.path("t.pcap"), &[&["--config", config.to_str().unwrap()][..], &more].concat());
    let said = text(&out.stdout);
    let lines: Vec<&str> = said.trim_end().lines().collect();
    assert_eq!((lines.len(), lines[3].split_whitespace().collect::<Vec<_>>()), (4, vec!["300.0", "224000.0", "2", "acme", "DE"]), "{said}");
    for bad in [&["--top", "nothing"][..], &["--top", "proto", "--every", "0s"], &["--count", "3"]] {
        assert_eq!(flows(&place.path("t.pcap"), bad).status.code(), Some(2), "{bad:?}");
    }
}

/// A flow counts under the whole of a list.
#[test]
fn top_talkers_by_a_list() {
    let place = place();
    let out = flows(&place.path("x.pcap"), &["--top", "as_path,dst_port", "--rows", "1"]);
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert_eq!(said.lines().nth(3).unwrap().split_whitespace().skip(2).collect::<Vec<_>>(), ["1", "-", "443"], "{said}");
}

/// What is faulty in tables is told at once with what is not there, and with what is wrong in the configuration.
#[test]
fn all_faults_of_tables_are_told_at_once() {
    let place = place();
    place.put("c.csv", "prefix,cid\n10.0.0.0/8,x\n10.0.0.0/33,1\n");
    place.put("if.csv", "exporter,if_index,name\nrouter,3,x\n");
    let lookup = "[[enrich.lookups]]\nfile = \"gone.csv\"\nby = \"src_port\"";
    let config = place.config(&format!("[enrich]\ncustomers = \"c.csv\"\ninterfaces = \"if.csv\"\nbgp = \"gone.mrt\"\n{lookup}"));
    let out = flows(&place.path("x.pcap"), &["--config", config.to_str().unwrap()]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{said}");
    let wanted = [
        "t.toml:7: enrich.bgp: ",
        "t.toml:9: enrich.lookups[0].file: ",
        "c.csv:2: cid: \"x\" is no number",
        "c.csv:3: prefix: ",
        "if.csv:2: exporter: \"router\" is no address",
    ];
    let places: Vec<_> = wanted.iter().map(|wanted| said.find(wanted).unwrap_or_else(|| panic!("{wanted}: {said}"))).collect();
    assert!(places.is_sorted(), "file by file, line by line: {said}");
    // A link of the same configuration may be asked for.
    place.put("if.csv", "exporter,if_index,name\n192.0.2.7,3,x\n");
    let link = "[[links]]\nname = \"a\"\nexporter = \"192.0.2.7\"\nif_index = 3\ncapacity_bps = 1000000";
    let config = place.config(&format!("{link}\n"));
    let out = flows(&place.path("x.pcap"), &["--config", config.to_str().unwrap(), "--where", "{ link = \"a\" }"]);
    assert_eq!((out.status.code(), text(&out.stdout).lines().count()), (Some(0), 3), "{}", text(&out.stderr));
    let out = flows(&place.path("x.pcap"), &["--config", config.to_str().unwrap(), "--where", "{ link = \"b\" }"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("they are a"), "{}", text(&out.stderr));
}

/// Time goes on without flows, too.
#[test]
fn refreshes_come_when_nothing_does_and_end() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
    command.args(["flows", "--listen", "127.0.0.1:0", "--top", "src_addr", "--every", "100ms", "--count", "2"]).env_remove("RUST_LOG");
    let out = command.output().unwrap();
    let said = text(&out.stdout);
    assert_eq!((out.status.code(), said.trim_end().split("\n\n").count()), (Some(0), 2), "{said}");
    assert!(said.lines().filter(|line| line.contains(" 0 flows of 0 talkers")).count() == 2, "{said}");
}

/// Frames of UDP over raw IPv4, one millisecond apart: source, destination, so many.
fn traffic(rows: &[([u8; 4], [u8; 4], usize)]) -> Vec<u8> {
    let mut out =
        [&0xA1B2_C3D4u32.to_le_bytes()[..], &[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0], &65_535u32.to_le_bytes(), &101u32.to_le_bytes()]
            .concat();
    let each = rows.iter().flat_map(|(src, dst, count)| std::iter::repeat_n((src, dst), *count));
    for ((src, dst), ms) in each.zip(0_u32..) {
        let frame = [&[0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0][..], src, dst, &[0, 53, 0, 80, 0, 8, 0, 0]].concat();
        out.extend([&1_000u32.to_le_bytes()[..], &(ms * 1_000).to_le_bytes(), &28u32.to_le_bytes(), &28u32.to_le_bytes(), &frame].concat());
    }
    out
}

/// Countries and AS are keys of packets: in top-K, in histograms, in pairs with what packets have, and in `where`.
#[test]
fn packets_are_told_apart_by_country_and_as() {
    let place = place();
    place.put("country.mmdb", database(6, &[("192.0.2.0/24", country("DE")), ("198.51.100.0/24", country("FR"))]));
    place.put("asn.mmdb", database(4, &[("192.0.2.0/25", system(64_500, "a")), ("192.0.2.128/25", system(64_501, "b"))]));
    place.put(
        "p.pcap",
        traffic(&[
            ([192, 0, 2, 1], CUSTOMER, 30),
            ([192, 0, 2, 200], CUSTOMER, 20),
            ([198, 51, 100, 9], CUSTOMER, 10),
            ([8, 8, 8, 8], CUSTOMER, 5),
        ]),
    );
    let stat = |name: &str, rest: &str| format!("[[stats]]\nname = \"{name}\"\n{rest}\n");
    let text = [
        "[ranges]\nfile = \"ranges.csv\"\n[enrich]\nasn = \"asn.mmdb\"\ncountry = \"country.mmdb\"\n".to_owned(),
        stat("countries", "calculation = \"topk\"\nkey = \"src_country\""),
        stat("names", "calculation = \"histogram\"\nkey = \"src_country\""),
        stat("pairs", "calculation = \"topk\"\nkey = [\"src_asn\", \"dst_port\"]"),
        stat("of_b", "calculation = \"sum\"\nwhere = { src_asn = [\"64501..\"], src_country = [\"DE\", \"FR\"] }"),
        stat("systems", "calculation = \"distinct\"\nkey = \"src_asn\""),
        stat("none", "calculation = \"topk\"\nkey = \"dst_country\""),
    ];
    let config = place.put("k.toml", text.concat());
    let mut reports = Vec::new();
    for mode in [&["--mode", "run-to-completion"][..], &["--mode", "pipeline", "--workers", "2"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
        command.arg("replay").env_remove("RUST_LOG").arg("--config").arg(&config).arg("--pcap").arg(place.path("p.pcap")).args(mode);
        let out = command.output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{}", self::text(&out.stderr));
        reports.push(self::text(&out.stdout).lines().next().unwrap().to_owned());
    }
    assert_eq!(reports[0], reports[1]);
    let report: Value = serde_json::from_str(&reports[0]).unwrap();
    let stats = report["stats"].as_array().unwrap();
    let stat = |name: &str| stats.iter().find(|stat| stat["name"] == name).unwrap_or_else(|| panic!("{name}: {report}"));
    let top = |name: &str| -> Vec<(String, f64)> {
        let entries = stat(name)["top"]["entries"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|e| (e["key"].as_str().unwrap().to_owned(), e["value"]["value"].as_f64().unwrap())).collect()
    };
    let pair = |key: &str, value: f64| (key.to_owned(), value);
    assert_eq!(top("countries"), [pair("DE", 50.0), pair("FR", 10.0)]);
    assert_eq!(top("pairs"), [pair("64500|80", 30.0), pair("64501|80", 20.0)]);
    assert_eq!(top("none"), []);
    assert_eq!(stat("of_b")["total"]["value"], 20.0);
    assert_eq!(stat("systems")["distinct"]["value"]["value"], 2.0);
    let bins = stat("names")["histogram"]["bins"].as_array().unwrap();
    let bins: Vec<_> = bins.iter().map(|bin| (bin["label"].as_str().unwrap(), bin["value"]["value"].as_f64().unwrap())).collect();
    assert!(bins.contains(&("DE", 50.0)) && bins.contains(&("FR", 10.0)), "{bins:?}");
    // Another database gives other figures, so another hash.
    let hash = place_hash(&config);
    place.put("asn.mmdb", database(4, &[("192.0.2.0/24", system(64_500, "a"))]));
    assert_ne!(place_hash(&config), hash);
}

fn place_hash(config: &Path) -> String {
    tailwater::config::load(config, &tailwater::stats::check).unwrap_or_else(|faults| panic!("{faults}")).hash
}
