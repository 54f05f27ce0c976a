//! `tailwater run` and `check` as a user meets them: what they refuse and how they say it, signals, brokers and ports that
//! are away, links that go down, feeds that fall silent, the status line.
//!
//! Each test has a network namespace of its own; without root they are skipped, and say so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod e2e_support;
mod eal_support;
#[path = "e2e_support/place.rs"]
mod place;

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e_support::{Appliance, BINARY, Broker, interface, output, run, wait};
use eal_support::{in_namespace, is_able, is_inside, sh};
use place::{ANY_ADMIN, FILE, MIRROR, Place};
use serde_json::Value;

#[test]
fn a_second_run_is_refused_with_the_pid_of_the_first() {
    in_namespace("a_second_run_is_refused_with_the_pid_of_the_first", || {
        let place = Place::new();
        // Even the admin port is the same: the first thing told is who is there already.
        let config = place.config(1_000, &[MIRROR, "[admin]\nlisten = \"127.0.0.1:9464\"\n", FILE]);
        let first = Appliance::counting(&config, &[]);
        let (status, log) = Appliance::start(&config, &[]).ended(20);
        assert_eq!(status, Some(1), "{log}");
        assert!(log.contains(&format!("is held by process {} (tailwater)", first.pid())), "{log}");
        first.stop(30);
    });
}

#[test]
fn signals_close_the_window_and_deliver_it() {
    in_namespace("signals_close_the_window_and_deliver_it", || {
        let place = Place::new();
        for (signal, windows_before) in [("TERM", 0), ("INT", 1)] {
            // An hour: nothing but the signal ends the window, unless the hour ends.
            wait(60, || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() % 3_600 < 3_560, String::new);
            let appliance = Appliance::counting(&place.config(3_600_000, &[MIRROR, ANY_ADMIN, FILE]), &[]);
            place.send(&appliance);
            assert_eq!(place.reports().accounts.len(), windows_before);
            appliance.signal(signal);
            let (status, log) = appliance.ended(30);
            assert_eq!(status, Some(0), "{log}");
            let reports = place.reports();
            assert_eq!(reports.accounts.len(), windows_before + 1, "{log}");
            let (range, account) = (reports.ranges.last().unwrap(), reports.accounts.last().unwrap());
            assert_eq!(range["stats"][0]["total"]["value"], 500.0);
            assert_eq!(range["incomplete"]["reasons"], serde_json::json!(["partial_window"]));
            let ledger = ["offered", "received", "parsed", "matched", "records", "counted"].map(|name| &account["ledger"][name]);
            assert!(ledger.iter().all(|count| *count == "500"), "{account}");
        }
    });
}

#[test]
fn a_broker_that_is_away_is_waited_for() {
    if !is_inside() && is_able() {
        Broker::fetch();
    }
    in_namespace("a_broker_that_is_away_is_waited_for", || {
        let place = Place::new();
        let kafka = "[sinks.kafka]\nbrokers = \"127.0.0.1:19092\"\n";
        let appliance = Appliance::counting(&place.config(1_000, &[MIRROR, ANY_ADMIN, kafka, FILE]), &[]);
        place.send(&appliance);
        appliance.says("cannot deliver, trying again", 30);
        // Meanwhile the other sink has them.
        wait(10, || place.reports().sum("packets") == 500.0, || appliance.log());
        assert_eq!(appliance.metric("tailwater_sink_up", "sink=\"kafka\""), 0);
        assert!(appliance.metric("tailwater_sink_behind", "sink=\"kafka\"") > 0);

        let broker = Broker::new();
        let address = broker.start(19_092);
        wait(30, || appliance.metric("tailwater_sink_up", "sink=\"kafka\"") == 1, || appliance.log());
        place.send(&appliance);
        let log = appliance.stop(30);
        assert_eq!(log.matches("all reports delivered").count(), 2, "{log}");
        let sums: Value = serde_json::from_str(&Broker::read(&address, &["--sums"])).unwrap();
        assert_eq!(sums["ranges"]["203.0.113.0/24"]["stats"]["packets"], 1_000.0, "{sums}");
        assert!(sums["gaps"] == 0 && sums["repeated"] == 0 && sums["unbalanced"] == 0, "{sums}");
    });
}

/// Reports that nobody took are lost when the process ends: that is no good end.
#[test]
fn a_broker_that_never_comes_makes_a_bad_end() {
    in_namespace("a_broker_that_never_comes_makes_a_bad_end", || {
        let place = Place::new();
        let kafka = "[sinks.kafka]\nbrokers = \"127.0.0.1:19093\"\n";
        let appliance = Appliance::counting(&place.config(1_000, &[MIRROR, ANY_ADMIN, kafka]), &[]);
        place.send(&appliance);
        appliance.signal("TERM");
        let (status, log) = appliance.ended(40);
        assert_eq!(status, Some(1), "{log}");
        assert!(log.contains("reports were not delivered within 20 s of the end"), "{log}");
    });
}

#[test]
fn what_cannot_run_says_why_and_what_to_do() {
    in_namespace("what_cannot_run_says_why_and_what_to_do", || {
        let place = Place::new();
        let port = |device: &str| format!("[[ports]]\ndevice = \"{device}\"\n");
        let core = "[cores]\nmain = 0\nrx = [101]\nreporter = 1\n";
        let pipeline = "[cores]\nmode = \"pipeline\"\nmain = 0\nrx = [1]\nworkers = [102, 103]\nreporter = 104\n";
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap();
        let admin = format!("[admin]\nlisten = \"{taken}\"\n");
        let cases: Vec<(Vec<&str>, String, i32, Vec<String>)> = vec![
            (vec![ANY_ADMIN], port("net_pcap0,rx_pcap=absent.pcap"), 1, words(&["net_pcap0", "absent.pcap"])),
            (vec![ANY_ADMIN], port("net_af_packet0,iface=absent0"), 1, words(&["net_af_packet0", "absent0"])),
            (vec![ANY_ADMIN], port("net_af_packet0,iface=mirror0,qpairs=2"), 1, words(&["has 2 queues, only 1", "queues = 2"])),
            (vec![ANY_ADMIN], port("0000:99:00.0"), 1, words(&["0000:99:00.0"])),
            (vec![ANY_ADMIN, core], MIRROR.to_owned(), 2, words(&["tailwater.toml:14: cores.rx: lcore 101", "choose among"])),
            (vec![ANY_ADMIN, pipeline], MIRROR.to_owned(), 2, words(&["cores.workers: lcore 103", "cores.reporter", "--share-cpus"])),
            (vec![&admin], MIRROR.to_owned(), 1, words(&["[admin] listen", &taken.to_string(), "another program listens there"])),
        ];
        for (more, ports, status, said) in cases {
            let config = place.config(1_000, &[&more[..], &[&ports]].concat());
            let (ended, log) = Appliance::start(&config, &[]).ended(20);
            assert_eq!(ended, Some(status), "{log}");
            assert!(said.iter().all(|word| log.contains(word)), "{said:?}:\n{log}");
            // A port that is taken is not looked at by `check`: the appliance itself may hold it.
            if !more.contains(&admin.as_str()) {
                check_finds(&config, &said);
            }
        }
    });
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// `check` finds it too: a line with what is wrong, one with the remedy, status 1.
fn check_finds(config: &Path, said: &[String]) {
    let (status, stdout, stderr) = run(Command::new(BINARY).args(["check", "--config"]).arg(config));
    assert_eq!(status, Some(1), "{stdout}{stderr}");
    assert!(said.iter().all(|word| stdout.contains(word)), "{said:?}:\n{stdout}");
    let lines: Vec<&str> = stdout.lines().collect();
    let wrong: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].starts_with("WRONG")).collect();
    assert!(!wrong.is_empty() && stderr.contains("to mend before `run`"), "{stdout}{stderr}");
    for at in (0..lines.len()).filter(|at| lines[*at].starts_with("WRONG") || lines[*at].starts_with("weak")) {
        assert!(lines.get(at + 1).is_some_and(|line| line.trim_start().starts_with("-> ")), "{stdout}");
    }
}

#[test]
fn check_is_content_with_what_runs() {
    in_namespace("check_is_content_with_what_runs", || {
        let place = Place::new();
        let (status, stdout, stderr) = run(Command::new(BINARY).args(["check", "--config"]).arg(place.config(1_000, &[MIRROR])));
        assert_eq!(status, Some(0), "{stdout}{stderr}");
        assert!(!stdout.contains("WRONG") && stdout.contains("net_af_packet"), "{stdout}");
    });
}

#[test]
fn a_link_that_goes_down_and_a_feed_that_falls_silent_are_told() {
    in_namespace("a_link_that_goes_down_and_a_feed_that_falls_silent_are_told", || {
        let place = Place::new();
        let port = "[[ports]]\ndevice = \"net_af_packet0,iface=mirror0\"\nfeed = \"mirror\"\nmin_pps = 10\n";
        let appliance = Appliance::counting(&place.config(1_000, &[port, ANY_ADMIN, FILE]), &[]);
        let state = |state: &str| appliance.metric("tailwater_feed_state", &format!("state=\"{state}\"")) == 1;
        let became = |what: &'static str| wait(20, || state(what), || format!("never {what}: {}", appliance.log()));

        let sender = || format!("tcpreplay -q --pps=200 --loop=100000 --intf1=scrubber0 {}", place.file("frames.pcap").display());
        let mut sending = Command::new("sh").args(["-c", &format!("exec {} >/dev/null 2>&1", sender())]).spawn().unwrap();
        became("live");
        sending.kill().unwrap();
        sending.wait().unwrap();
        became("silent");
        appliance.says("the feed is SILENT", 5);
        assert_eq!(appliance.get("/readyz").0, 200, "silence is the mirror's, not ours");

        // A window that holds frames, and then the link goes down: its ranges' reports say that something is missing.
        let into_the_window = || std::time::UNIX_EPOCH.elapsed().unwrap().subsec_millis();
        wait(5, || into_the_window() < 100, String::new);
        let frames = place.file("frames.pcap");
        let then = "ip link set scrubber0 down";
        assert!(sh(&format!("tcpreplay -q --pps=5000 --intf1=scrubber0 {} >/dev/null 2>&1 && {then}", frames.display())));
        became("down");
        appliance.says("link is down: its feed is DOWN", 5);
        let (status, why) = appliance.get("/readyz");
        assert!(status == 503 && why.contains("has no link"), "{why}");
        assert_eq!(appliance.metric("tailwater_port_link_up", ""), 0);

        assert!(sh("ip link set scrubber0 up"));
        let mut sending = Command::new("sh").args(["-c", &format!("exec {} >/dev/null 2>&1", sender())]).spawn().unwrap();
        became("live");
        appliance.says("the port is up again", 5);
        appliance.says("the feed is LIVE again", 5);
        let whole = || place.reports().accounts.iter().rev().take(2).all(|account| account["feeds"][0]["state"] == "LIVE");
        wait(10, whole, || appliance.log());
        sending.kill().unwrap();
        sending.wait().unwrap();
        appliance.stop(30);

        let states: Vec<(Value, Vec<Value>)> = place.reports().accounts.iter().map(state_and_reasons).collect();
        println!("{states:?}");
        let has =
            |state: &str, reason: &str| states.iter().any(|(told, reasons)| told == state && reasons.iter().any(|told| told == reason));
        assert!(has("SILENT", "feed_silent") && has("DOWN", "feed_down"), "{states:?}");
        assert!(states.iter().any(|(state, reasons)| state == "LIVE" && reasons.is_empty()), "{states:?}");
        // A range's report of a window in which its feed was not live says so itself.
        let ranges = place.reports().ranges;
        assert!(ranges.iter().any(|range| range["incomplete"]["reasons"].to_string().contains("feed_down")), "{states:?}");
        let delivered = interface("mirror0", "rx_packets");
        let sum = |name: &str| -> u64 {
            place.reports().accounts.iter().map(|account| account["ledger"][name].as_str().unwrap().parse::<u64>().unwrap()).sum()
        };
        assert_eq!(sum("received") + sum("nicMissed"), delivered);
    });
}

/// Each window ends with the link up, and one of them was a moment without it.
#[test]
fn a_link_that_goes_down_and_comes_back_within_a_window_is_told() {
    in_namespace("a_link_that_goes_down_and_comes_back_within_a_window_is_told", || {
        let place = Place::new();
        // It had changed before: the first reading is none.
        assert!(sh("ip link set scrubber0 down && ip link set scrubber0 up"));
        let port = "[[ports]]\ndevice = \"net_af_packet0,iface=mirror0\"\nfeed = \"mirror\"\n";
        let appliance = Appliance::counting(&place.config(2_000, &[port, ANY_ADMIN, FILE]), &[]);
        let windows = |more: usize| {
            let enough = place.reports().accounts.len() + more;
            wait(20, || place.reports().accounts.len() >= enough, || appliance.log());
        };
        windows(2);
        place.send(&appliance);
        let into_the_window = || std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() % 2_000;
        wait(5, || (200..500).contains(&into_the_window()), String::new);
        assert!(sh("ip link set scrubber0 down && ip link set scrubber0 up"));
        let flapped = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        // "went down and came back", or "is down" where one of the looks, a second apart, fell into that moment.
        appliance.says("the port's link", 10);
        windows(2);
        appliance.stop(30);

        let accounts = place.reports().accounts;
        let told: Vec<u128> = accounts
            .iter()
            .filter(|account| state_and_reasons(account).1.iter().any(|reason| reason == "feed_down"))
            .map(|account| account["windowEndNs"].as_str().unwrap().parse().unwrap())
            .collect();
        println!("at {flapped}: windows told {told:?} of {}", accounts.len());
        // A reading comes a moment behind a window's end, and a slow machine may take its time over the command.
        assert!(!told.is_empty() && told.len() <= 2 && told.len() + 3 <= accounts.len(), "{accounts:?}");
        assert!(told.iter().all(|end_ns| end_ns.abs_diff(flapped) < 8_000_000_000), "{flapped} {told:?}");
    });
}

fn state_and_reasons(account: &Value) -> (Value, Vec<Value>) {
    let reasons = account["incomplete"]["reasons"].as_array().cloned().unwrap_or_default();
    (account["feeds"][0]["state"].clone(), reasons)
}

#[test]
fn a_device_that_goes_away_is_told() {
    in_namespace("a_device_that_goes_away_is_told", || {
        let place = Place::new();
        let appliance = Appliance::counting(&place.config(1_000, &[MIRROR, ANY_ADMIN, FILE]), &[]);
        place.send(&appliance);
        assert!(sh("ip link del mirror0"));
        appliance.says("the port's device is gone: its feed is DOWN until a restart", 10);
        let down = || place.reports().accounts.last().is_some_and(|account| account["feeds"][0]["state"] == "DOWN");
        wait(10, down, || appliance.log());
        appliance.stop(30);
        assert_eq!(place.reports().sum("packets"), 500.0);
    });
}

/// The driver's sockets hear every interface until they are bound to theirs.
#[test]
fn what_other_interfaces_carry_is_not_counted() {
    in_namespace("what_other_interfaces_carry_is_not_counted", || {
        let place = Place::new();
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
                while !over.load(std::sync::atomic::Ordering::Relaxed) && std::time::Instant::now() < end {
                    // Nobody reads it.
                    let _ = socket.send_to(&[0; 100], socket.local_addr().unwrap());
                    std::thread::sleep(std::time::Duration::from_micros(50));
                }
            });
            let appliance = Appliance::counting(&place.config(1_000, &[MIRROR, ANY_ADMIN, FILE]), &[]);
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            place.send(&appliance);
            assert_eq!(appliance.metric("tailwater_core_received_total", ""), 500);
            wait(5, || appliance.metric("tailwater_port_offered_total", "") == 500, || appliance.get("/metrics").1);
            appliance.stop(30);
        });
    });
}

/// Two receiving cores and one queue: what the log says, and how many of them poll.
fn one_has_no_queue(hand_over: bool, says: &str, polling: usize) {
    let place = Place::new();
    let cores = "[cores]\nmain = 0\nrx = [1, 2]\nreporter = 3\n";
    let config = place.config(1_000, &[MIRROR, ANY_ADMIN, FILE, cores]);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replacen("[appliance]\n", &format!("[appliance]\nhand_over = {hand_over}\n"), 1)).unwrap();
    let appliance = Appliance::counting(&config, &["--share-cpus"]);
    appliance.says(says, 1);
    place.send(&appliance);
    wait(10, || place.reports().sum("packets") == 500.0, || appliance.log());
    let polls = |lcore| appliance.metric("tailwater_core_polls_total", &format!("lcore=\"{lcore}\""));
    assert_eq!((1..=2).filter(|lcore| polls(*lcore) > 0).count(), polling);
    let log = appliance.stop(30);
    assert!(!log.contains("please report"), "{log}");
}

/// It polls all the same, so that it can take bursts of the other.
#[test]
fn a_receiving_core_without_a_queue_is_there_for_others() {
    in_namespace("a_receiving_core_without_a_queue_is_there_for_others", || {
        one_has_no_queue(true, "have no queue and poll all the same", 2);
    });
}

#[test]
fn where_nothing_is_handed_over_a_core_without_a_queue_stays_idle() {
    in_namespace("where_nothing_is_handed_over_a_core_without_a_queue_stays_idle", || {
        one_has_no_queue(false, "have no queue and stay idle", 1);
    });
}

/// `script` gives the appliance a terminal.
#[test]
fn a_terminal_gets_a_status_line_a_second() {
    in_namespace("a_terminal_gets_a_status_line_a_second", || {
        let place = Place::new();
        let config = place.config(1_000, &[MIRROR, ANY_ADMIN, "[sinks.kafka]\nbrokers = \"mock\"\n"]);
        let typed = place.file("typed");
        let pid = place.file("pid");
        let line = format!("echo $$ >{}; exec {BINARY} run --config {}", pid.display(), config.display());
        let mut shown = Command::new("script").args(["-qefc", &line]).arg(&typed).stdout(std::process::Stdio::null()).spawn().unwrap();
        let seen = || String::from_utf8_lossy(&fs::read(&typed).unwrap_or_default()).into_owned();
        wait(30, || seen().contains("passed "), seen);
        let first = std::time::Instant::now();
        output(Command::new("tcpreplay").args(["-q", "--pps=500", "--intf1=scrubber0"]).arg(place.file("frames.pcap")));
        wait(10, || seen().contains("matched 100.0%"), seen);
        std::thread::sleep(std::time::Duration::from_secs(4));
        assert!(sh(&format!("kill -INT $(cat {})", pid.display())));
        assert_eq!(shown.wait().unwrap().code(), Some(0), "{}", seen());

        let text = seen();
        let lines: Vec<&str> = text.split(['\r', '\n']).filter(|line| line.contains("passed ")).collect();
        println!("{lines:#?}");
        let seconds = usize::try_from(first.elapsed().as_secs()).unwrap();
        assert!((3..=seconds + 2).contains(&lines.len()), "one line a second, {seconds} s: {text}");
        for line in &lines {
            assert!(
                ["passed ", "pps", "bit/s", "blocked ", "matched ", "lost 0", "kafka "].iter().all(|word| line.contains(word)),
                "{line}"
            );
        }
        assert!(lines.iter().any(|line| line.contains("kafka up")), "{text}");
    });
}

#[test]
fn every_help_has_an_example() {
    for command in ["run", "check", "replay", "generate"] {
        let help = output(Command::new(BINARY).args([command, "--help"]));
        assert!(help.contains(&format!("tailwater {command} ")) && help.contains("Example"), "{help}");
    }
    assert_eq!(run(&mut Command::new(BINARY)).0, Some(2));
    assert_eq!(run(Command::new(BINARY).args(["run", "--config", "/absent.toml"])).0, Some(2));
}
