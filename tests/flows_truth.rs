//! Captures of real exporters: what we make of them is what tshark and nfdump made; a restart loses nothing; cut and shuffled
//! datagrams break nothing.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod flows_support;

use flows_support::{Came, captures, collector, datagrams, feed};
use prost::Message;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;
use tailwater::flows::{Flow, FlowType, RateFrom, TemplateEvent, json, pb, protobuf, waiting};

/// Captures whose truth the two tools give alike: flows, packets, bytes.
fn truth(file: &std::path::Path) -> Option<(u64, u64, u64)> {
    let whole: Value = serde_json::from_slice(&std::fs::read(file.with_extension("truth.json")).unwrap()).unwrap();
    let (tshark, nfdump) = (&whole["flow_export"], &whole["flow_export"]["nfdump_unscaled"]);
    let all: u64 = tshark["data_records"].as_object()?.values().filter_map(Value::as_u64).sum();
    let records = all - tshark["options_data_records"].as_u64()?;
    let (packets, bytes) = (tshark["packets_sum"].as_u64()?, tshark["octets_sum"].as_u64()?);
    let judged = all > 0 && tshark["undecoded_data_sets"].as_u64() == Some(0);
    let agree = nfdump["flows"].as_u64()? == records && nfdump["packets"].as_u64()? == packets && nfdump["bytes"].as_u64()? == bytes;
    (judged && agree).then_some((records, packets, bytes))
}

fn sums(flows: &[Flow]) -> (u64, u64, u64) {
    (flows.len() as u64, flows.iter().map(|f| f.fields.packets).sum(), flows.iter().map(|f| f.fields.bytes).sum())
}

/// Where the tools disagree, or do not look: what is right, and why.
const JUDGED_BY_HAND: [(&str, (u64, u64, u64)); 9] = [
    // tshark adds the reverse direction of biflow records; nfdump does not.
    ("akvorado__ipfix_ipfixprobe", (4, 34, 24_268)),
    // A data set stands before its template, in the same datagram; both tools drop its eleven records.
    ("akvorado__nf9_data+templates", (21, 66, 58_329)),
    // Two sets came before their templates: tshark drops three records that nfdump, after its warm-up, has.
    ("graylog__netflow9", (21, 23, 7_302)),
    // The same: fourteen records that both drop.
    ("graylog__nprobe-netflow9-4", (15, 74, 33_915)),
    // Data of a template that never comes, beside three flows.
    ("logstash__ipfix_ipfix_netscaler_with_variable_length_fields", (3, 5, 3_106)),
    // Octets under other numbers (85, 231): nfdump counts them, tshark does not.
    ("logstash__nf9_netflow_9_cisco_asa", (14, 0, 888)),
    ("logstash__nf9_netflow_9_cisco_asa_2", (19, 0, 1_131)),
    ("logstash__nf9_netflow_9_ipt_netflow_reduced_size_encoding", (12, 74, 7_598)),
    // No template ever comes.
    ("nDPI__netflowv9", (0, 0, 0)),
];

#[test]
fn records_packets_and_bytes_are_those_of_tshark_and_nfdump() {
    let Some(files) = captures("flows_truth") else { return };
    let (mut judged, mut wrong) = (0, Vec::new());
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let by_hand = JUDGED_BY_HAND.iter().find(|(n, _)| *n == name).map(|(_, figures)| *figures);
        let Some(want) = truth(&file).or(by_hand) else { continue };
        judged += 1;
        let have = sums(&feed(&mut collector(), &datagrams(&file)));
        if have != want {
            wrong.push(format!("{name}: want {want:?}, have {have:?}"));
        }
    }
    assert!(judged > 0 && wrong.is_empty(), "of {judged}:\n{}", wrong.join("\n"));
}

#[test]
fn sampled_headers_are_all_there() {
    let Some(files) = captures("flows_truth (sFlow)") else { return };
    for file in files {
        let whole: Value = serde_json::from_slice(&std::fs::read(file.with_extension("truth.json")).unwrap()).unwrap();
        let Some(sflow) = whole["flow_export"]["sflow"].as_object() else { continue };
        let flows = feed(&mut collector(), &datagrams(&file));
        // Neither NetFlow beside it, nor packets that were discarded: tshark does not know such samples.
        let is_sample = |flow: &&Flow| {
            let f = &flow.fields;
            f.kind == FlowType::Sflow5 && (f.forwarding_status == 0 || f.sampling_rate != 1)
        };
        let sampled: Vec<_> = flows.iter().filter(is_sample).cloned().collect();
        let (headers, bytes) = (&sflow["sampled_headers"], &sflow["sampled_header_frame_length_sum"]);
        let have = sums(&sampled);
        assert_eq!((have.0, have.2), (headers.as_u64().unwrap(), bytes.as_u64().unwrap()), "{}", file.display());
    }
}

#[test]
fn a_restart_in_mid_stream_loses_no_record() {
    let Some(files) = captures("flows_truth (restart)") else { return };
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let came = datagrams(&file);
        let whole = sums(&feed(&mut collector(), &came));
        for at in 0..=came.len().min(40) {
            let kept = folder.path().join("templates");
            let mut first = collector();
            let before = sums(&feed(&mut first, &came[..at]));
            let beside = waiting::beside(&kept);
            waiting::write(&beside, &first.waiting().unwrap_or_default()).unwrap();
            first.save(&kept).unwrap();
            let mut second = collector();
            second.restore(&kept).unwrap();
            assert_eq!(second.restore_waiting(&beside).unwrap(), first.ledger().waiting);
            let after = sums(&feed(&mut second, &came[at..]));
            assert_eq!((before.0 + after.0, before.1 + after.1, before.2 + after.2), whole, "{} at {at}", file.display());
        }
    }
}

#[test]
fn a_damaged_file_is_told_and_nothing_of_it_is_used() {
    let Some(files) = captures("flows_truth (damaged)") else { return };
    let kept = tempfile::tempdir().unwrap().keep().join("templates");
    let mut first = collector();
    files.iter().take(20).for_each(|file| drop(feed(&mut first, &datagrams(file))));
    first.save(&kept).unwrap();
    let good = std::fs::read(&kept).unwrap();
    assert!(good.len() > 200 && collector().restore(&kept).unwrap() > 5);
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        std::fs::write(&kept, if at % 2 == 0 { &bad[..] } else { &good[..at] }).unwrap();
        let mut second = collector();
        assert!(second.restore(&kept).is_err());
        assert_eq!(second.domains(), 0);
    }
}

/// Data that came before its template is not lost: in any order the same flows come out, unless an order mixes up what a
/// template's id meant at a time.
#[test]
fn templates_that_come_last_lose_nothing() {
    let Some(files) = captures("flows_truth (order)") else { return };
    let mut proven = 0;
    for file in files {
        let came = datagrams(&file);
        let mut plain = collector();
        let mut want = feed(&mut plain, &came);
        let changed = plain.ledger().templates[TemplateEvent::Changed as usize];
        let mut last_first: Vec<Came> = came.iter().rev().cloned().collect();
        last_first.sort_by_key(|(_, datagram)| datagram[1] != 9 && datagram[1] != 10);
        let mut turned = collector();
        let mut have = feed(&mut turned, &last_first);
        if changed > 0 || turned.ledger().waiting > 0 || plain.ledger().waiting > 0 {
            continue;
        }
        proven += u64::from(turned.ledger().released > 0);
        // Which rate was known when, and when the exporter started, is another matter.
        for Flow { fields, .. } in want.iter_mut().chain(&mut have) {
            (fields.sampling_rate, fields.rate_from, fields.rate_random) = (0, RateFrom::Unknown, false);
            (fields.time_flow_start_ns, fields.time_flow_end_ns) = (0, 0);
        }
        let text = |flows: &[Flow]| {
            let mut lines: Vec<String> = flows.iter().map(|flow| format!("{flow:?}")).collect();
            lines.sort();
            lines
        };
        assert!(text(&have) == text(&want), "{}", file.display());
    }
    assert!(proven > 5, "only {proven} captures had data that waited");
}

#[test]
fn cut_and_changed_datagrams_break_nothing() {
    let Some(files) = captures("flows_truth (cut)") else { return };
    let mut dice = ChaCha8Rng::seed_from_u64(11);
    for file in files {
        let came = datagrams(&file);
        let mut collector = collector();
        for (from, datagram) in came.iter().take(12) {
            for length in 0..datagram.len() {
                feed(&mut collector, &[(*from, datagram[..length].to_vec())]);
                let mut changed = datagram.clone();
                changed[length] = dice.next_u32().to_le_bytes()[0];
                feed(&mut collector, &[(*from, changed)]);
            }
        }
        collector.end();
        assert!(collector.ledger().balances() && collector.ledger().waiting == 0);
    }
}

/// Our own writer against prost, and JSON against both.
#[test]
fn all_forms_say_the_same() {
    let Some(files) = captures("flows_truth (forms)") else { return };
    for file in files {
        for flow in feed(&mut collector(), &datagrams(&file)) {
            let (mut bare, mut framed, mut text) = (Vec::new(), Vec::new(), Vec::new());
            protobuf::write(&flow, &mut bare);
            protobuf::write_framed(&flow, &mut Vec::new(), &mut framed);
            json::write(&flow, &mut text);
            let message = pb::FlowMessage::decode(&bare[..]).unwrap();
            let again = pb::FlowMessage::decode_length_delimited(&framed[..]).unwrap();
            assert_eq!(message, again);
            assert_eq!(message.encoded_len(), bare.len());
            let (f, lists) = (&flow.fields, &flow.lists);
            assert_eq!((message.bytes, message.packets, message.sampling_rate), (f.bytes, f.packets, f.sampling_rate));
            assert_eq!((&message.src_addr[..], &message.dst_addr[..]), (f.src_addr.bytes(), f.dst_addr.bytes()));
            assert_eq!((message.as_path, message.mpls_label), (lists.as_path.to_vec(), lists.mpls_label.to_vec()));
            assert_eq!(message.layer_size.len(), message.layer_stack.len());
            let line: Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(line["bytes"], Value::String(f.bytes.to_string()));
            assert_eq!(line["time_flow_end_ns"].as_str().map_or(0, |t| t.parse().unwrap()), message.time_flow_end_ns);
            assert_eq!(line["src_port"].as_u64().unwrap_or(0), u64::from(message.src_port));
            assert!(text.ends_with(b"}\n") && text.iter().filter(|b| **b == b'\n').count() == 1);
        }
    }
}
