//! A scrubber that samples one packet in 60 where one in 40 is configured: its counters, in a file that grows, say so while the
//! appliance runs; the event ends no sooner than a day, and outlives the counters.
//!
//! In a network namespace of its own; without root it is skipped, and says so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod e2e_support;
mod eal_support;
#[path = "e2e_support/place.rs"]
mod place;

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use e2e_support::{Appliance, wait};
use eal_support::in_namespace;
use place::{ANY_ADMIN, FILE, MIRROR, Place};
use serde_json::Value;

/// All frames are blocked samples.
const AUDIT: &str =
    "[[tags]]\nmatch = { port = 0 }\ndecision = \"blocked\"\nsampling = 40\n[audit]\ncounters = \"counters.csv\"\nskew_ms = 0\n";
/// What the scrubber's sampler does.
const TRUE_RATE: u64 = 60;

/// The counter as the scrubber would have it now, when it was replaced as a whole.
fn write_counter(place: &Place, dropped: u64) {
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let text = format!("time_ns,key,dropped_packets\n{now},203.0.113.0/24,{dropped}\n");
    std::fs::write(place.file("counters.new"), text).unwrap();
    std::fs::rename(place.file("counters.new"), place.file("counters.csv")).unwrap();
}

fn events(place: &Place) -> Vec<Value> {
    let text = std::fs::read_to_string(place.file("reports.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let all = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|message| message.get("evidence").is_some() && message["kind"] == "sampler").collect()
}

#[test]
fn a_sampler_of_another_rate_is_an_event() {
    in_namespace("a_sampler_of_another_rate_is_an_event", || {
        let place = Place::new();
        let file = place.config(1_000, &[MIRROR, ANY_ADMIN, FILE, AUDIT]);
        let checked = e2e_support::run(Command::new(e2e_support::BINARY).args(["check", "--config"]).arg(&file)).1;
        assert!(checked.contains("tailwater.toml:22: audit.counters: ") && checked.contains("counters.csv: No such file"), "{checked}");
        let appliance = Appliance::counting(&file, &[]);
        write_counter(&place, 0);
        let mut sent = 0;
        let found = || events(&place).iter().any(|event| event["state"] == "BEGUN");
        // Each 500 samples: an expected 750 where the rate is the configured one.
        while !found() && sent < 10_000 {
            place.send(&appliance);
            sent += 500;
            // The window that they came in is over before the counter is read.
            std::thread::sleep(std::time::Duration::from_millis(1_100));
            write_counter(&place, sent * TRUE_RATE);
        }
        wait(10, found, || appliance.log());
        let event = events(&place).remove(0);
        assert_eq!((&event["subject"]["name"], &event["severity"]), (&Value::from("1:40"), &Value::from("WARNING")), "{event:#}");
        let log = appliance.stop(30);
        assert!(log.contains("sampler 1:40 samples at another rate"), "{log}");
    });
}
