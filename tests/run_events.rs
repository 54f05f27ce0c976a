//! A feed that falls silent, then loses its port, and comes back each time: events as a consumer finds them in a file, each one's life
//! under one id, none missing; the configuration under the hash that reports name; accounts of sinks and queues that balance.
//!
//! In a network namespace of its own; without root it is skipped, and says so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod e2e_support;
mod eal_support;
#[path = "e2e_support/place.rs"]
mod place;

use std::process::{Child, Command};
use std::time::Duration;

use e2e_support::{Appliance, wait};
use eal_support::{in_namespace, sh};
use place::{ANY_ADMIN, FILE, Place};
use serde_json::Value;

const PORT: &str = "[[ports]]\ndevice = \"net_af_packet0,iface=mirror0\"\nfeed = \"mirror\"\nmin_pps = 10\n";

/// Sends until it is dropped.
struct Sender(Child);

impl Sender {
    fn start(place: &Place) -> Self {
        Self::behind("true", place)
    }

    /// With no moment between this command and the first frame.
    fn behind(first: &str, place: &Place) -> Self {
        let line = format!(
            "{first} && exec tcpreplay -q --pps=200 --loop=100000 --intf1=scrubber0 {} >/dev/null 2>&1",
            place.file("frames.pcap").display()
        );
        Self(Command::new("sh").args(["-c", &line]).spawn().unwrap())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All whole lines of the file that have a field.
fn with(place: &Place, field: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(place.file("reports.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|message: &Value| message.get(field).is_some()).collect()
}

/// Of one kind, in their order.
fn states(place: &Place, kind: &str) -> Vec<String> {
    let of_kind = with(place, "evidence").into_iter().filter(|event| event["kind"] == kind);
    of_kind.map(|event| event["state"].as_str().unwrap().to_owned()).collect()
}

fn says(account: &Value, reason: &str) -> bool {
    account["incomplete"]["reasons"].as_array().is_some_and(|reasons| reasons.iter().any(|one| one == reason))
}

fn number(value: &Value) -> u64 {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

/// Half a long window without the mirror is no peace: the long window says so, though its mean is above what is asked for.
#[test]
fn a_long_window_tells_of_a_feed_that_was_silent_in_a_fast_one() {
    in_namespace("a_long_window_tells_of_a_feed_that_was_silent_in_a_fast_one", || {
        let place = Place::new();
        let fast = "[[stats]]\nname = \"fast\"\ncalculation = \"sum\"\nfast = true\n";
        let appliance = Appliance::counting(&place.config(6_000, &[PORT, ANY_ADMIN, FILE, fast]), &[]);
        let of = |kind: &str, state: &str| -> Vec<Value> {
            let accounts = with(&place, "ledger").into_iter().filter(|account| account["total"] != true);
            accounts.filter(|account| account["windowKind"] == kind && account["feeds"][0]["state"] == state).collect()
        };
        let ns = |account: &Value, name: &str| -> u64 { account[name].as_str().unwrap().parse().unwrap() };
        let sender = Sender::start(&place);
        wait(60, || of("FAST", "LIVE").iter().any(|account| number(&account["ledger"]["received"]) >= 100), || appliance.log());
        drop(sender);
        let before = of("FAST", "SILENT").len();
        wait(60, || of("FAST", "SILENT").len() > before, || appliance.log());
        let sender = Sender::start(&place);
        let silent = of("FAST", "SILENT");
        let last_ns = ns(silent.last().unwrap(), "windowEndNs");
        let is_over =
            || with(&place, "ledger").iter().any(|account| account["windowKind"] == "LONG" && ns(account, "windowEndNs") >= last_ns);
        wait(60, is_over, || appliance.log());
        drop(sender);
        appliance.stop(30);
        let long = of("LONG", "SILENT");
        assert!(long.iter().any(|account| number(&account["ledger"]["received"]) >= 60), "their means say nothing: {long:?}");
        for fast in &silent {
            let within = |long: &&Value| {
                ns(long, "windowStartNs") <= ns(fast, "windowStartNs") && ns(fast, "windowEndNs") <= ns(long, "windowEndNs")
            };
            let found = long.iter().find(within).unwrap_or_else(|| panic!("{fast} is in none of {long:?}"));
            assert!(says(found, "feed_silent"), "{found}");
        }
        let ranges = with(&place, "prefix").into_iter().filter(|range| range["windowKind"] == "LONG");
        for range in ranges.filter(|range| long.iter().any(|long| long["windowStartNs"] == range["windowStartNs"])) {
            assert!(says(&range, "feed_silent"), "{range}");
        }
    });
}

#[test]
fn a_feed_that_goes_and_comes_back_is_one_event_each_time() {
    in_namespace("a_feed_that_goes_and_comes_back_is_one_event_each_time", || {
        let place = Place::new();
        let file = place.config(1_000, &[PORT, ANY_ADMIN, FILE]);
        let appliance = Appliance::counting(&file, &[]);
        let becomes = |kind: &'static str, state: &'static str, seconds| {
            wait(
                seconds,
                || states(&place, kind).iter().any(|told| told == state),
                || format!("{kind} never {state}: {}", appliance.log()),
            );
        };
        let sender = Sender::start(&place);
        let is_live =
            || with(&place, "ledger").iter().any(|account| account["feeds"][0]["state"] == "LIVE" && account["incomplete"].is_null());
        // A machine that is loaded holds cores up, and windows say so.
        wait(60, is_live, || appliance.log());
        drop(sender);
        becomes("feed_silent", "BEGUN", 20);
        wait(5, || appliance.metric("tailwater_events_open", "kind=\"feed_silent\"") == 1, || appliance.log());
        let sender = Sender::start(&place);
        becomes("feed_silent", "ENDED", 40);
        drop(sender);
        assert!(sh("ip link set scrubber0 down"));
        becomes("feed_down", "BEGUN", 20);
        let sender = Sender::behind("ip link set scrubber0 up", &place);
        becomes("feed_down", "ENDED", 40);
        let clock = || with(&place, "evidence").iter().filter(|event| event["kind"] == "clock").count().min(1) as u64;
        wait(5, || appliance.metric("tailwater_events_open", "") == clock(), || appliance.log());
        appliance.hold(Duration::from_millis(2_500));
        let held = || with(&place, "ledger").iter().filter(|account| says(account, "held_up")).count() >= 3;
        wait(20, held, || appliance.log());
        drop(sender);
        let log = appliance.stop(30);
        assert!(log.contains("frames count in a later window than their own"), "{log}");
        assert!(log.contains("feed mirror: 1 of 1 ports down or gone"), "{log}");

        lives_are_whole(&place);
        the_configuration_is_found_by_its_hash(&place, &file);
        accounts_balance(&place);
    });
}

fn lives_are_whole(place: &Place) {
    let events = with(place, "evidence");
    let sequences: Vec<u64> = events.iter().map(|event| number(&event["sequence"])).collect();
    assert_eq!(sequences, (1..=events.len() as u64).collect::<Vec<_>>(), "no event is missing");
    let accounts = with(place, "ledger");
    assert_eq!(number(&accounts.last().unwrap()["eventsSequence"]), events.len() as u64);
    for kind in ["feed_silent", "feed_down"] {
        let of_kind: Vec<&Value> = events.iter().filter(|event| event["kind"] == kind).collect();
        let told: Vec<&str> = of_kind.iter().map(|event| event["state"].as_str().unwrap()).filter(|state| *state != "ONGOING").collect();
        assert_eq!(told, ["BEGUN", "ENDED"], "{kind}: {of_kind:#?}");
        assert!(of_kind.iter().all(|event| event["id"] == of_kind[0]["id"] && event["subject"]["name"] == "mirror"));
        let last = of_kind.last().unwrap();
        assert!(number(&last["endedNs"]) > number(&last["startedNs"]) && number(&last["windows"]) > 0);
        // Its evidence is an account in the same file that says the same.
        let shown =
            accounts.iter().find(|account| account["sequence"] == last["evidence"][0]["sequence"] && account["total"] == false).unwrap();
        assert_eq!(shown["feeds"][0]["state"], if kind == "feed_down" { "DOWN" } else { "SILENT" });
        assert_eq!((&shown["windowStartNs"], &shown["bootId"]), (&last["startedNs"], &last["bootId"]));
    }
    // A disk that stands still for half a minute holds the file up.
    let others = ["feed_silent", "feed_down", "clock", "loss", "sink_behind"];
    assert!(events.iter().all(|event| others.iter().any(|kind| event["kind"] == *kind)), "{events:#?}");
}

fn the_configuration_is_found_by_its_hash(place: &Place, file: &std::path::Path) {
    let configs = with(place, "textSha256");
    let [config] = &configs[..] else { panic!("{configs:#?}") };
    let hash = &with(place, "ledger")[0]["configHash"];
    assert_eq!((&config["configHash"], &config["part"]["of"]), (hash, &Value::from(1)));
    // Who writes its two parts to files has a configuration of the same hash.
    let (toml, ranges) = config["text"].as_str().unwrap().split_once("# ranges\n").unwrap();
    std::fs::write(place.file("ranges.csv"), ranges).unwrap();
    std::fs::write(file, toml).unwrap();
    let (_, checked, _) = e2e_support::run(Command::new(e2e_support::BINARY).args(["check", "--config"]).arg(file));
    assert!(checked.contains(&hash.as_str().unwrap()[..12]), "{checked}");
}

fn accounts_balance(place: &Place) {
    let mut received = (0, 0);
    for account in with(place, "ledger").iter().filter(|account| account["total"] == false) {
        let sink = &account["sinks"][0];
        let [appended, backlog, committed, overflow, in_flight, unread] =
            ["appended", "backlog", "committed", "overflow", "inFlight", "unread"].map(|name| number(&sink[name]));
        assert_eq!(appended + backlog, committed + overflow + in_flight + unread, "{sink}");
        assert_eq!((&sink["sink"], &account["journal"]["fault"]), (&Value::from("file"), &Value::from("")));
        assert!(["UNKNOWN", "SYNCED", "UNSYNCED"].iter().any(|word| account["clockSync"] == *word), "{account}");
        assert!(["none", "ntp", "ptp", "both", "unknown"].iter().any(|word| account["clockDisciplinedBy"] == *word), "{account}");
        let port = &account["ports"][0];
        received.0 += number(&port["queues"][0]["received"]);
        received.1 += number(&port["ledger"]["received"]);
    }
    // They are read a moment after a window's end; nothing came in the last ones.
    assert!(received.0 > 0 && received.0 == received.1, "{received:?}");
}
