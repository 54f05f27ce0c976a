//! `tailwater run` with `[flows]`: datagrams over loopback, flow messages out of the topic and the file. They are those that
//! `tailwater flows` makes of the same datagrams, none is lost for want of a template when the appliance is killed, and the
//! ledger has them all.
//!
//! Each test has a network namespace of its own; without root they are skipped, and say so.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test says what it expects; its numbers are small"
)]

mod e2e_support;
mod eal_support;
#[path = "../benches/support/exports.rs"]
mod exports;
mod flows_support;
#[path = "flows_support/lines.rs"]
mod lines;
#[path = "flows_support/live.rs"]
mod live;
#[path = "e2e_support/place.rs"]
mod place;
#[path = "e2e_support/topic.rs"]
mod topic;

use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

use e2e_support::{Appliance, BINARY, run, wait};
use eal_support::in_namespace;
use flows_support::{captures, datagrams};
use lines::flow_lines;
use live::{FLOWS, LISTEN, captured, five, had, nine, send};
use place::{ANY_ADMIN, FILE, MIRROR, Place};
use prost::Message as _;
use serde_json::Value;
use tailwater::flows::pb::FlowMessage;
use topic::topic;

const MOCK: &str = "[sinks.kafka]\nbrokers = \"mock\"\n";
const JOURNAL: &str = "[journal]\npath = \"journal\"\nsize_mb = 16\n";
/// Of each capture.
const DATAGRAMS_MAX: usize = 1_500;
/// Numbers below 2000 are GoFlow2's: those of its own `flow.proto`.
const GOFLOW2: [u32; 50] = [
    1, 3, 4, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38,
    70, 71, 80, 81, 82, 100, 101, 102, 103, 104, 105, 106, 110, 111, 112,
];

const STREAMS: &str = "[enrich]\ncustomers = \"ranges\"\nprotocol_names = true\n[[streams]]\nname = \"five\"\nwhere = { type = \"NETFLOW_V5\" }\n\
                       topic = \"edge.{type}\"\nformat = \"json\"\n[[streams]]\nname = \"nine\"\nwhere = { export_version = 9 }\n\
                       drop_fields = [\"sequence_num\"]\n";

/// What `tailwater flows --pcap` makes of the same datagrams from the same socket.
fn expected(folder: &Path, payloads: &[Vec<u8>], port: u16) -> Vec<FlowMessage> {
    let capture = folder.join("sent.pcap");
    std::fs::write(&capture, captured(payloads, port)).unwrap();
    let output = Command::new(BINARY).args(["flows", "--format", "protobuf", "--pcap"]).arg(&capture).output().unwrap();
    assert!(output.status.success());
    let (mut rest, mut messages) = (&output.stdout[..], Vec::new());
    while !rest.is_empty() {
        messages.push(FlowMessage::decode_length_delimited(&mut rest).unwrap());
    }
    messages
}

/// How often each message is there, but for when it was received, and for times that are that time (sFlow has none of its own): no two
/// sides agree on that.
fn counted(messages: impl IntoIterator<Item = FlowMessage>) -> BTreeMap<Vec<u8>, usize> {
    let mut counts = BTreeMap::new();
    for mut message in messages {
        let received_ns = std::mem::take(&mut message.time_received_ns);
        [&mut message.time_flow_start_ns, &mut message.time_flow_end_ns]
            .into_iter()
            .filter(|ns| **ns == received_ns)
            .for_each(|ns| *ns = 0);
        *counts.entry(message.encode_to_vec()).or_default() += 1;
    }
    counts
}

/// Numbers of the fields of a message, read by hand.
fn numbers(mut message: &[u8]) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let varint = |bytes: &mut &[u8]| prost::encoding::decode_varint(bytes).unwrap();
    while !message.is_empty() {
        let key = varint(&mut message);
        match key & 7 {
            0 => _ = varint(&mut message),
            2 => {
                let bytes = varint(&mut message) as usize;
                message = &message[bytes..];
            }
            kind => panic!("kind {kind}"),
        }
        found.insert(u32::try_from(key >> 3).unwrap());
    }
    found
}

#[test]
fn the_topic_has_what_the_command_makes_of_the_same_datagrams() {
    in_namespace("the_topic_has_what_the_command_makes_of_the_same_datagrams", || {
        let place = Place::new();
        let more = "key = [\"sampler_address\", \"type\"]\ntopic = \"edge.flows\"\n";
        let appliance = Appliance::counting(&place.config(1_000, &[MIRROR, ANY_ADMIN, MOCK, FLOWS, more]), &[]);
        let mut payloads: Vec<Vec<u8>> = (0..200).map(|n| five(n * 30, 30)).collect();
        // Data, then its template, then more.
        payloads.extend((1..100).map(|n| nine(n, n == 20)));
        payloads.push(b"no export at all".to_vec());
        for (_, mut exports) in exports::all() {
            payloads.push(exports.template.clone());
            payloads.extend((0..50).map(|n| exports.number(n).to_vec()));
        }
        payloads.retain(|payload| !payload.is_empty());
        for file in captures("run_flows").into_iter().flatten() {
            let came = datagrams(&file).into_iter().take(DATAGRAMS_MAX);
            payloads.extend(came.map(|(_, payload)| payload).filter(|payload| payload.len() < 65_000));
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        send(&socket, &payloads);
        had(&appliance, payloads.len());
        let expected = expected(place.folder.path(), &payloads, port);
        let delivered = || appliance.metric("tailwater_sink_flows_delivered_total", "sink=\"kafka\"") as usize;
        wait(30, || delivered() == expected.len(), || format!("{} of {} delivered\n{}", delivered(), expected.len(), appliance.log()));

        let log = appliance.log();
        let brokers = log.split("kcat -C -b ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        let came = topic(&brokers, "edge.flows", expected.len());
        let messages: Vec<FlowMessage> = came.iter().map(|(_, value)| FlowMessage::decode_length_delimited(&value[..]).unwrap()).collect();
        for ((key, value), message) in came.iter().zip(&messages) {
            let bare = tailwater::flows::text::unframed(value).unwrap();
            let foreign = numbers(bare).into_iter().find(|number| *number < 2000 && !GOFLOW2.contains(number));
            assert_eq!(foreign, None, "a number that GoFlow2 has not");
            let sampler = tailwater::flows::Address::of(&message.sampler_address).ip().map_or_else(String::new, |ip| ip.to_string());
            assert_eq!(String::from_utf8_lossy(key), format!("{sampler}|{}", message.r#type().as_str_name()));
        }
        assert_eq!(messages.len(), expected.len());
        let (ours, theirs) = (counted(messages), counted(expected));
        let other = ours.iter().find(|(message, n)| theirs.get(*message) != Some(n)).map(|(message, _)| FlowMessage::decode(&message[..]));
        assert!(ours == theirs, "the same messages, each as often: {other:?}");
        by_exporter(&appliance, payloads.len());
        appliance.stop(60);
    });
}

/// `/metrics` has the exporter by its address, with what was of no use.
fn by_exporter(appliance: &Appliance, datagrams: usize) {
    let of = |name: &str, label: &str| appliance.metric(&format!("tailwater_flows_{name}"), label);
    assert_eq!(of("datagrams_total", "exporter=\"127.0.0.1\"") as usize, datagrams);
    assert_eq!(of("datagrams_total", "exporter=\"other\""), 0);
    assert!(of("errors_total", "of=\"datagram\",reason=\"version\"") >= 1 && of("templates_total", "127.0.0.1") >= 1);
    assert_eq!(of("records_total", ""), of("journalled_total", ""));
    assert_eq!(of("kernel_dropped_total", ""), 0);
    let (_, text) = appliance.get("/metrics");
    // Domains one by one make the exporter.
    assert!(of("domain_gaps_total", "exporter=\"127.0.0.1\",protocol=\"ipfix\"") >= 1);
    assert!(of("domain_lost", "exporter=\"127.0.0.1\"") >= of("sequence_lost", "exporter=\"127.0.0.1\""));
    assert!(text.contains("tailwater_flows_delay_seconds_bucket{le=\"1.0\",exporter=\"127.0.0.1\"}"), "{text}");
}

/// Lines of a file that are flows; the last may be half written.
fn lines(place: &Place) -> Vec<Value> {
    let text = std::fs::read_to_string(place.file("reports.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let all = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line.get("sampler_address").is_some()).collect()
}

fn number(of: &Value, name: &str) -> i64 {
    of[name].as_str().map_or(0, |text| text.parse().unwrap())
}

fn sum(of: &Value, list: &str) -> i64 {
    of[list].as_array().unwrap().iter().map(|row| number(row, "value")).sum()
}

/// What must be equal in an account, of a window or of all.
fn balances(flows: &Value) {
    let n = |name: &str| number(flows, name);
    assert_eq!(n("datagrams"), n("decoded") + sum(flows, "datagramDrops"), "{flows}");
    let sets = n("templateSets") + n("dataSets") + sum(flows, "setDrops") + n("setsWaiting");
    assert_eq!(n("setsWaitingBefore") + n("sets"), sets, "{flows}");
    assert_eq!(n("records"), n("flows") + n("options") + n("counters") + sum(flows, "recordDrops"), "{flows}");
    assert_eq!((n("flows"), n("messages")), (n("messages"), n("journalled") + n("refused")), "{flows}");
}

#[test]
fn a_kill_amid_the_stream_loses_no_record_for_want_of_a_template() {
    in_namespace("a_kill_amid_the_stream_loses_no_record_for_want_of_a_template", || {
        let place = Place::new();
        let config = place.config(1_000, &[MIRROR, ANY_ADMIN, FILE, JOURNAL, FLOWS]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let killed = Appliance::counting(&config, &[]);
        send(&socket, &(0..100).map(|n| nine(n, n == 0)).collect::<Vec<_>>());
        had(&killed, 100);
        let templates = place.file("journal/flow-templates");
        wait(20, || templates.exists(), || killed.log());
        wait(20, || lines(&place).len() == 198, || format!("{} lines\n{}", lines(&place).len(), killed.log()));
        killed.signal("KILL");
        killed.ended(20);

        let last = Appliance::counting(&config, &[]);
        // None of these brings a template.
        send(&socket, &(100..300).map(|n| nine(n, false)).collect::<Vec<_>>());
        had(&last, 200);
        // Written is not yet on disk: only then is it acknowledged.
        let delivered = || last.metric("tailwater_sink_flows_delivered_total", "sink=\"file\"") as usize;
        wait(60, || delivered() >= 400, || format!("{} of 400 delivered\n{}", delivered(), last.log()));
        last.stop(60);
        let sources: BTreeMap<String, usize> = lines(&place).iter().fold(BTreeMap::new(), |mut all, line| {
            *all.entry(line["src_addr"].as_str().unwrap().to_owned()).or_default() += 1;
            all
        });
        // Each record is there; what the killed run had written without saying so may be there twice.
        let expected: BTreeSet<String> = (2..600_u32).map(|n| std::net::Ipv4Addr::from(n).to_string()).collect();
        assert_eq!(sources.keys().cloned().collect::<BTreeSet<_>>(), expected);
        assert!(
            sources.iter().all(|(source, n)| *n == 1 || source.parse::<std::net::Ipv4Addr>().unwrap() < std::net::Ipv4Addr::from(200)),
            "{sources:?}"
        );
        accounts(&place);
    });
}

/// Each account of a long window balances, and the windows of the run that ended well sum up to its totals.
fn accounts(place: &Place) {
    let text = std::fs::read_to_string(place.file("reports.jsonl")).unwrap();
    let all: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let total = all.iter().rfind(|line| line["total"] == true).unwrap();
    let long = |line: &&Value| line["windowKind"] == "LONG" && line.get("ledger").is_some() && line["bootId"] == total["bootId"];
    let windows: Vec<&Value> = all.iter().filter(long).filter(|line| line["total"] == false).map(|line| &line["flows"]).collect();
    windows.iter().copied().chain([&total["flows"]]).for_each(balances);
    for name in ["datagrams", "sets", "records", "flows", "journalled"] {
        let sum: i64 = windows.iter().map(|flows| number(flows, name)).sum();
        assert_eq!(sum, number(&total["flows"], name), "{name}");
    }
    let (flows, sink) = (&total["flows"], &total["flows"]["sinks"][0]);
    assert_eq!((number(flows, "datagrams"), number(flows, "flows")), (200, 400), "{flows}");
    assert!(sink["sink"] == "file" && number(sink, "acknowledged") >= 400 && number(sink, "lost") == 0, "{sink}");
    assert!(flows["templates"].as_array().unwrap().iter().any(|row| row["name"] == "restored" && row["value"] == "1"), "{flows}");
}

#[test]
fn a_port_that_another_holds_is_told_before_anything_starts() {
    in_namespace("a_port_that_another_holds_is_told_before_anything_starts", || {
        let place = Place::new();
        let config = place.config(1_000, &[MIRROR, ANY_ADMIN, FLOWS]);
        let held = UdpSocket::bind(LISTEN).unwrap();
        let (status, log) = Appliance::start(&config, &[]).ended(20);
        assert!(status == Some(2) && log.contains("flows.listen[0]: udp 127.0.0.1:2055 cannot be listened at"), "{status:?} {log}");
        let check = || run(Command::new(BINARY).args(["check", "--config"]).arg(&config));
        let (status, said, _) = check();
        assert!(status == Some(1) && said.contains("flows.listen[0]: udp 127.0.0.1:2055 cannot be listened at"), "{said}");
        drop(held);
        let (status, said, _) = check();
        assert!(status == Some(0) && said.contains("udp 127.0.0.1:2055 is free"), "{said}");
        assert!(said.contains("templates are in memory alone") && said.contains("there is no sink"), "{said}");
    });
}

#[test]
fn streams_of_a_run_are_those_of_the_command() {
    in_namespace("streams_of_a_run_are_those_of_the_command", || {
        let place = Place::new();
        let file = place.config(1_000, &[MIRROR, ANY_ADMIN, MOCK, FILE, FLOWS, STREAMS]);
        let appliance = Appliance::counting(&file, &[]);
        let mut payloads: Vec<Vec<u8>> = (0..100).map(|n| five(u32::from_be_bytes([203, 0, 112, 0]) + n * 10, 10)).collect();
        payloads.extend((1..100).map(|n| nine(n, n == 20)));
        // Of no stream.
        payloads.extend(exports::all().into_iter().filter(|(name, _)| *name == "sflow").map(|(_, mut exports)| exports.number(1).to_vec()));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        send(&socket, &payloads);
        had(&appliance, payloads.len());
        // Who only reads makes no topic: there have to be all.
        let delivered = || appliance.metric("tailwater_sink_flows_delivered_total", "sink=\"kafka\"");
        wait(30, || delivered() == 1_196, || appliance.log());
        let log = appliance.log();
        let brokers = log.split("kcat -C -b ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        let (fives, nines) = (topic(&brokers, "edge.NETFLOW_V5", 1_000), topic(&brokers, "tailwater.v1.flows", 196));
        assert_eq!((fives.len(), nines.len()), (1_000, 196));
        for (_, value) in &fives {
            let flow: Value = serde_json::from_slice(value).unwrap();
            let is_ours = flow["src_addr"].as_str().unwrap().starts_with("203.0.113.");
            assert_eq!(flow.get("src_customer").map(|name| name == "web-shop"), is_ours.then_some(true), "{flow}");
        }
        assert!(nines.iter().all(|(_, value)| FlowMessage::decode_length_delimited(&value[..]).unwrap().sequence_num == 0));
        appliance.stop(60);

        let capture = place.file("sent.pcap");
        std::fs::write(&capture, captured(&payloads, socket.local_addr().unwrap().port())).unwrap();
        let command = e2e_support::output(Command::new(BINARY).args(["flows", "--config"]).arg(&file).arg("--pcap").arg(&capture));
        let reports = std::fs::read_to_string(place.file("reports.jsonl")).unwrap();
        assert_eq!(flow_lines(&reports), flow_lines(&command));
        let mut accounts = reports.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let total = accounts.rfind(|report| report["total"] == true).unwrap()["flows"].take();
        let n = |name: &str| total[name].as_str().unwrap().parse::<u64>().unwrap();
        assert_eq!((n("messages"), n("journalled"), n("refused")), (1_196, 1_196, 0));
        assert_eq!(n("flowsUnwritten"), n("flows") - 1_196);
    });
}
