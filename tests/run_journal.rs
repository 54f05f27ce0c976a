//! `tailwater run` with its journal on disk: what a kill and a broker that is away leave, the next start delivers.
//!
//! Each test has a network namespace of its own; without root they are skipped, and say so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod e2e_support;
mod eal_support;
#[path = "e2e_support/place.rs"]
mod place;

use e2e_support::{Appliance, Broker, wait};
use eal_support::{in_namespace, is_able, is_inside};
use place::{ANY_ADMIN, MIRROR, Place};
use serde_json::Value;

const KAFKA: &str = "[sinks.kafka]\nbrokers = \"127.0.0.1:19094\"\n";
const JOURNAL: &str = "[journal]\npath = \"journal\"\nsize_mb = 16\n";

/// 500 frames, and waits until the window that they are in is on disk.
fn send(place: &Place, appliance: &Appliance) {
    place.send(appliance);
    let windows = || appliance.metric("tailwater_windows_closed_total", "");
    let before = windows();
    wait(20, || windows() > before + 1, || appliance.log());
    let bytes = || appliance.metric("tailwater_journal_disk_bytes", "");
    let last = bytes();
    wait(20, || bytes() > last, || appliance.log());
}

#[test]
fn reports_outlive_a_kill_and_a_broker_that_is_away() {
    if !is_inside() && is_able() {
        Broker::fetch();
    }
    in_namespace("reports_outlive_a_kill_and_a_broker_that_is_away", || {
        let place = Place::new();
        let config = place.config(1_000, &[MIRROR, ANY_ADMIN, KAFKA, JOURNAL]);
        let killed = Appliance::counting(&config, &[]);
        send(&place, &killed);
        killed.signal("KILL");
        killed.ended(20);

        let ended = Appliance::counting(&config, &[]);
        ended.says("reports of an earlier run wait in the journal", 10);
        send(&place, &ended);
        ended.signal("TERM");
        let (status, log) = ended.ended(60);
        assert_eq!(status, Some(0), "nothing is lost: {log}");
        assert!(log.contains("the next start delivers it"), "{log}");

        let (broker, last) = (Broker::new(), Appliance::counting(&config, &[]));
        let address = broker.start(19_094);
        wait(30, || last.metric("tailwater_sink_up", "sink=\"kafka\"") == 1, || last.log());
        place.send(&last);
        last.stop(60);
        let sums: Value = serde_json::from_str(&Broker::read(&address, &["--sums"])).unwrap();
        assert_eq!(sums["ranges"]["203.0.113.0/24"]["stats"]["packets"], 1_500.0, "{sums}");
        assert!(sums["gaps"] == 0 && sums["repeated"] == 0 && sums["unbalanced"] == 0, "{sums}");
        runs_know_the_one_before(&Broker::read(&address, &["--ranges-topic", ""]));
    });
}

/// Each run's accounts say how far the one before came: the killed one not to its end, the other to its totals.
fn runs_know_the_one_before(lines: &str) {
    let accounts: Vec<Value> = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].clone()).collect();
    let mut runs: Vec<Vec<&Value>> = Vec::new();
    for account in &accounts {
        match runs.last_mut() {
            Some(run) if run[0]["bootId"] == account["bootId"] => run.push(account),
            _ => runs.push(vec![account]),
        }
    }
    assert_eq!(runs.len(), 3);
    assert!(runs[0].iter().all(|account| account.get("previousRun").is_none_or(Value::is_null)), "the first one knows of none");
    for (before, run) in runs.iter().zip(&runs[1..]) {
        let mut windows = before.iter().filter(|account| account["windowKind"] == "LONG" && account["total"] == false);
        let (last, ended) = (windows.next_back().unwrap(), before.last().unwrap()["total"] == true);
        for account in run {
            let told = &account["previousRun"];
            assert_eq!((&told["bootId"], &told["longEndNs"]), (&last["bootId"], &last["windowEndNs"]), "{told}");
            assert_eq!((&told["sequence"], &told["ended"]), (&before.last().unwrap()["sequence"], &Value::from(ended)), "{told}");
        }
    }
    assert_eq!([0, 1].map(|run| runs[run].last().unwrap()["total"] == true), [false, true]);
}
