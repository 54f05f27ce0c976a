//! The consumers that the papers offer, in Python and in Rust, on a stream that holds a repeat, a gap and a report in parts.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

#[path = "kafka_support/mod.rs"]
mod kafka_support;

use std::path::PathBuf;
use std::process::Command;

use kafka_support::{Broker, root, start_to, stop};
use tailwater::config::KafkaSink;
use tailwater::journal::Message;
use tailwater::report::pb;

fn range(prefix: &str, sequence: u64, part: Option<pb::Part>) -> Message {
    let (appliance, prefix) = ("pop1-a".to_owned(), prefix.to_owned());
    Message::range(&pb::RangeReport { appliance, boot_id: 9, kind_sequence: sequence, prefix, part, ..Default::default() })
}

/// The example as it is now: cargo builds none for one test alone.
fn example() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let folder = exe.parent().unwrap().parent().unwrap();
    let profile = if folder.ends_with("release") { "release" } else { "dev" };
    let arguments = ["build", "--quiet", "--locked", "--package", "tailwater", "--example", "gapless", "--profile", profile];
    assert!(Command::new(env!("CARGO")).args(arguments).current_dir(root()).status().unwrap().success());
    folder.join("examples/gapless")
}

fn said(command: &mut Command, address: &str) -> (Option<i32>, Vec<String>) {
    let output = command.arg(address).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), text.lines().map(str::to_owned).collect())
}

#[test]
fn both_consumers_find_what_is_missing_and_drop_what_is_repeated() {
    let broker = Broker::start();
    let address = broker.address();
    let (sinks, journal) = start_to(KafkaSink::to(&address));
    let part = |number| Some(pb::Part { number, of: 2 });
    for (prefix, numbers) in [("192.0.2.0/24", &[1, 2, 3, 2, 3, 4][..]), ("198.51.100.0/24", &[1, 2, 5, 6, 6])] {
        numbers.iter().for_each(|number| assert!(journal.append(range(prefix, *number, None))));
    }
    for (sequence, part) in [(1, None), (2, part(1)), (2, part(2)), (2, part(1)), (3, None)] {
        assert!(journal.append(range("203.0.113.0/24", sequence, part)));
    }
    let of_three = |number| Some(pb::Part { number, of: 3 });
    for (sequence, part) in [(1, of_three(1)), (1, of_three(3)), (2, None), (3, of_three(2))] {
        assert!(journal.append(range("192.0.2.128/25", sequence, part)));
    }
    for (number, of) in [(1, 2), (1, 3), (2, 3), (3, 3)] {
        assert!(journal.append(range("192.0.2.64/26", 1, Some(pb::Part { number, of }))), "a second attempt, in shorter parts");
    }
    // Of the run before nothing came, though it had accounts.
    let previous_run = Some(pb::PreviousRun { boot_id: 8, sequence: 4, long_end_ns: 30, ..Default::default() });
    let lost = |sink: &str| pb::JournalLosses { sink: sink.to_owned(), total: 30, ..Default::default() };
    for kind_sequence in [1, 2, 2] {
        let appliance = "pop1-a".to_owned();
        let journal_losses = if kind_sequence == 1 { Vec::new() } else { vec![lost("file"), lost("kafka")] };
        let report = pb::ApplianceReport {
            appliance,
            boot_id: 9,
            kind_sequence,
            window_start_ns: 50,
            window_end_ns: 60,
            incomplete: Some(pb::Incomplete { reasons: vec!["partial_window".to_owned()], ..Default::default() }),
            previous_run,
            journal_losses,
            ranges_reported: 1,
            rollups_reported: Some(1),
            ..Default::default()
        };
        assert!(journal.append(Message::appliance(&report)));
    }
    for (kind_sequence, window_kind) in [(1, pb::WindowKind::Fast.into()), (3, pb::WindowKind::Fast.into())] {
        let (appliance, prefix) = ("pop1-a".to_owned(), "192.0.2.0/24".to_owned());
        let report = pb::RangeReport { appliance, boot_id: 9, kind_sequence, window_kind, prefix, ..Default::default() };
        assert!(journal.append(Message::range(&report)));
    }
    assert_eq!(stop(sinks).delivered, 29);
    let expected = [
        "19 reports, 5 repeats, 7 gaps, 1 runs cut off, 30 told as lost",
        "gap: pop1-a 8 has 4 accounts, and 0 came",
        "gap: pop1-a 9 192.0.2.0/24 fast sequence 3 comes after 1",
        "gap: pop1-a 9 192.0.2.128/25 sequence 1 part 3 of 3 comes after 1 part 1 of 3",
        "gap: pop1-a 9 192.0.2.128/25 sequence 3 part 2 of 3 comes after 2",
        "gap: pop1-a 9 192.0.2.128/25 sequence ends with 3 part 2 of 3",
        "gap: pop1-a 9 198.51.100.0/24 sequence 5 comes after 2",
        "gap: pop1-a 9 long window from 50 has 2 reports of ranges, and 0 came",
        "nobody counted: pop1-a from 30 to 60",
        "repeat: pop1-a 9 (appliance) sequence 2",
        "repeat: pop1-a 9 192.0.2.0/24 sequence 2",
        "repeat: pop1-a 9 192.0.2.0/24 sequence 3",
        "repeat: pop1-a 9 198.51.100.0/24 sequence 6",
        "repeat: pop1-a 9 203.0.113.0/24 sequence 2 part 1 of 2",
    ];
    let python = root().join("consumers/python/gapless.py");
    for command in [Command::new("/usr/bin/python3").arg(python), &mut Command::new(example())] {
        let (code, mut lines) = said(command, &address);
        lines.sort();
        assert!(!command.args(["nope.r", "nope.a"]).status().unwrap().success(), "what cannot be read proves nothing");
        assert_eq!((code, lines), (Some(1), expected.map(str::to_owned).to_vec()), "{command:?}");
    }
}

#[test]
fn topics_of_all_customers_are_one_stream() {
    let broker = Broker::start();
    let address = broker.address();
    let (sinks, journal) = start_to(KafkaSink { ranges_topic: "y.{customer}".to_owned(), ..KafkaSink::to(&address) });
    for customer in ["a", "b"] {
        let [appliance, prefix, customer] = ["pop1-a", "192.0.2.0/24", customer].map(str::to_owned);
        let prefix = if customer == "a" { prefix } else { "198.51.100.0/24".to_owned() };
        let report = pb::RangeReport { appliance, boot_id: 9, kind_sequence: 1, prefix, customer, ..Default::default() };
        assert!(journal.append(Message::range(&report)));
    }
    let account =
        pb::ApplianceReport { appliance: "pop1-a".to_owned(), boot_id: 9, kind_sequence: 1, ranges_reported: 2, ..Default::default() };
    assert!(journal.append(Message::appliance(&account)));
    assert_eq!(stop(sinks).delivered, 3);
    let python = root().join("consumers/python/gapless.py");
    for (topics, code) in [("y.a,y.b", 0), ("y.a", 1)] {
        for command in [Command::new("/usr/bin/python3").arg(&python), &mut Command::new(example())] {
            let status = command.args([&address[..], topics, "tailwater.v1.appliance"]).status().unwrap();
            assert_eq!(status.code(), Some(code), "{command:?}");
        }
    }
}
