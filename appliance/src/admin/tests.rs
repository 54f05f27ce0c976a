use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::*;
use crate::config::Token;
use crate::telemetry::{Ages, Did, FeedHealth, FeedSnapshot, Pause, Registry, SinkState, SinkStatus, Work};

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Refuses what is asked, for a reason that is to be told.
fn reload(asked: Asked) -> bool {
    asked.answer(Outcome::Faulty, "ranges.csv:2: prefix: is wrong".to_owned());
    true
}

/// Takes the question and never answers.
fn gone(asked: Asked) -> bool {
    drop(asked);
    true
}

fn open(registry: &Arc<Registry>) -> Gate {
    Gate::new(None, Arc::clone(registry))
}

fn serve_registry(registry: &Arc<Registry>) -> Admin {
    let (registry, gate) = (Arc::clone(registry), open(registry));
    Admin::start(any_port(), Arc::new(move || registry.snapshot()), Arc::new(reload), gate).unwrap()
}

/// Status and body.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    ask(address, "GET", path)
}

fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    ask_with(address, method, path, "")
}

/// With a line of the head, or none.
fn ask_with(address: SocketAddr, method: &str, path: &str, line: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\n{line}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn example() -> Arc<Registry> {
    let registry = Registry::new("pop1-a", "pop1", Duration::from_secs(1));
    registry.set_drop_reasons(&["not_ip", "cut"]);
    let core = registry.core(2, "rx");
    core.received.add(1000);
    core.drop_frame(1, 3);
    let mut pause = Pause::default();
    pause.polled(1_000, Work::default(), &core.pauses);
    pause.did(Did::Poll, 32);
    pause.polled(11_000, Work::default(), &core.pauses);
    pause.polled(311_000, Work::default(), &core.pauses);
    registry.core(3, "worker").counted.add(7);
    let port = registry.port(0, "net_pcap0,rx_pcap=\"a b\".pcap", "mirror-a");
    port.missed.add(5);
    registry.set_feeds(vec![FeedSnapshot { name: "mirror-a".into(), health: FeedHealth::Silent }]);
    let mut ages = Ages { sum_us: 150_000, ..Ages::default() };
    ages.counts[1] = 1;
    let mut packet_ages = Ages { sum_us: 1_150_000, ..Ages::default() };
    packet_ages.counts[4] = 1;
    let kafka = SinkStatus {
        name: "kafka".into(),
        state: SinkState::Up,
        delivered: 12,
        failed: 1,
        retried: 2,
        flows: 0,
        flows_failed: 0,
        logs: 0,
        logs_failed: 0,
        topics_failed: [("t".to_owned(), 1)].into(),
        lots_behind: 0,
        log_lots_behind: 0,
        refused: Vec::new(),
        overflow: 3,
        behind: 4,
        last_error: None,
        address: "127.0.0.1:9092".into(),
        ages: vec![("fast", ages)],
        packet_ages: vec![("fast", packet_ages)],
    };
    registry.set_sinks(move || vec![kafka.clone()]);
    registry.generation(3, 12);
    registry.reloaded(true);
    registry.reloaded(false);
    registry
}

#[test]
fn metrics_tell_everything_that_registered() {
    let text = open_metrics(example().snapshot());
    for line in [
        "# TYPE tailwater_core_received counter",
        "tailwater_core_received_total{lcore=\"2\",role=\"rx\"} 1000",
        "tailwater_core_counted_total{lcore=\"3\",role=\"worker\"} 7",
        "# TYPE tailwater_core_pause_seconds histogram",
        "tailwater_core_pause_seconds_sum{lcore=\"2\",role=\"rx\"} 0.00031",
        "tailwater_core_pause_seconds_count{lcore=\"2\",role=\"rx\"} 2",
        "tailwater_core_pause_seconds_bucket{le=\"0.000008192\",lcore=\"2\",role=\"rx\"} 0",
        "tailwater_core_pause_seconds_bucket{le=\"0.000016384\",lcore=\"2\",role=\"rx\"} 1",
        "tailwater_core_pause_seconds_bucket{le=\"+Inf\",lcore=\"2\",role=\"rx\"} 2",
        "tailwater_core_paused_nanoseconds_total{lcore=\"2\",role=\"rx\",cause=\"frames\"} 10000",
        "tailwater_core_longest_pause_nanoseconds{lcore=\"2\",role=\"rx\",cause=\"system\"} 300000",
        "tailwater_core_parse_drops_by_reason_total{lcore=\"2\",role=\"rx\",reason=\"cut\"} 3",
        "tailwater_port_missed_total{port=\"0\",device=\"net_pcap0,rx_pcap=\\\"a b\\\".pcap\",feed=\"mirror-a\"} 5",
        "tailwater_feed_state{feed=\"mirror-a\",state=\"silent\"} 1",
        "tailwater_feed_state{feed=\"mirror-a\",state=\"live\"} 0",
        "tailwater_sink_delivered_total{sink=\"kafka\"} 12",
        "tailwater_sink_report_age_seconds_bucket{le=\"0.2\",sink=\"kafka\",window=\"fast\"} 1",
        "tailwater_sink_report_age_seconds_sum{sink=\"kafka\",window=\"fast\"} 0.15",
        "tailwater_sink_packet_age_seconds_bucket{le=\"1.0\",sink=\"kafka\",window=\"fast\"} 0",
        "tailwater_sink_packet_age_seconds_bucket{le=\"2.0\",sink=\"kafka\",window=\"fast\"} 1",
        "tailwater_sink_packet_age_seconds_sum{sink=\"kafka\",window=\"fast\"} 1.15",
        "tailwater_sink_overflow_total{sink=\"kafka\"} 3",
        "tailwater_sink_info{sink=\"kafka\",address=\"127.0.0.1:9092\"} 1",
        "tailwater_windows_closed_total 0",
        "tailwater_generation 3",
        "tailwater_reloads_total{result=\"accepted\"} 1",
        "tailwater_reloads_total{result=\"refused\"} 1",
        "tailwater_last_reload_accepted 0",
        "tailwater_ready 0",
    ] {
        assert!(text.lines().any(|have| have == line), "no line `{line}` in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn health_and_readiness_over_http() {
    let registry = example();
    let admin = serve_registry(&registry);
    assert_eq!(get(admin.address(), "/healthz"), (200, "alive\n".to_owned()));
    let (status, reasons) = get(admin.address(), "/readyz");
    assert!(status == 503 && reasons.contains("not started") && reasons.contains("first window"), "{reasons}");
    let port = registry.port(1, "second", "mirror-a");
    port.started.set(1);
    assert!(get(admin.address(), "/readyz").1.contains("port 1 (second) has no link"));
    assert!(get(admin.address(), "/metrics").1.contains("tailwater_core_received_total"));
    assert_eq!(get(admin.address(), "/nothing").0, 404);
}

#[test]
fn a_reload_is_asked_for_with_post_and_answered() {
    let admin = serve_registry(&example());
    assert_eq!(ask(admin.address(), "POST", "/reload"), (422, "ranges.csv:2: prefix: is wrong\n".to_owned()));
    assert_eq!(ask(admin.address(), "GET", "/reload").0, 405);
    assert_eq!(ask(admin.address(), "POST", "/metrics").0, 405);
    for (reload, status) in [(Arc::new(|_| false) as Reload, 429), (Arc::new(gone), 503)] {
        let admin = Admin::start(any_port(), Arc::new(|| example().snapshot()), reload, open(&example())).unwrap();
        assert_eq!(ask(admin.address(), "POST", "/reload").0, status);
    }
}

#[test]
fn with_a_token_only_who_shows_it_reloads() {
    let registry = example();
    let gate = Gate::new(Some(Token::new("0123456789abcdef")), Arc::clone(&registry));
    let admin = Admin::start(any_port(), Arc::new(move || registry.snapshot()), Arc::new(reload), gate.clone()).unwrap();
    let status = |line: &str| ask_with(admin.address(), "POST", "/reload", line).0;
    assert_eq!(status("Authorization: Bearer 0123456789abcdef\r\n"), 422, "it is asked");
    for wrong in ["", "Bearer 0123456789abcdeg", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0", "Bearer ", "Basic 0123456789abcdef"]
    {
        let line = if wrong.is_empty() { String::new() } else { format!("Authorization: {wrong}\r\n") };
        assert_eq!(status(&line), 401, "{wrong}");
    }
    assert_eq!((get(admin.address(), "/metrics").0, get(admin.address(), "/healthz").0), (200, 200), "who reads is not asked");
    assert!(get(admin.address(), "/metrics").1.contains("tailwater_reloads_total{result=\"denied\"} 6"));
    gate.exchange(Some(Token::new("fedcba9876543210")));
    assert_eq!(status("Authorization: Bearer 0123456789abcdef\r\n"), 401, "it was exchanged");
    assert_eq!(status("Authorization: Bearer fedcba9876543210\r\n"), 422);
    assert_eq!(format!("{:?}", Token::new("secret")), "Token(…)");
}

#[test]
fn ready_is_ready() {
    let registry = Registry::new("a", "", Duration::from_secs(1));
    let port = registry.port(0, "x", "f");
    port.started.set(1);
    port.link_up.set(1);
    registry.window_opened();
    registry.reporter_beat();
    assert_eq!(get(serve_registry(&registry).address(), "/readyz"), (200, "ready\n".to_owned()));
}

#[test]
fn an_address_in_use_names_the_key() {
    let first = serve_registry(&example());
    let fault =
        Admin::start(first.address(), Arc::new(|| example().snapshot()), Arc::new(reload), open(&example())).unwrap_err().to_string();
    assert!(fault.starts_with(&format!("[admin] listen = \"{}\": Address already in use", first.address())), "{fault}");
    assert!(fault.contains("another program listens there"));
}

#[test]
fn it_stops_though_a_client_hangs_on() {
    let admin = serve_registry(&example());
    let address = admin.address();
    let mut idle = TcpStream::connect(address).unwrap();
    idle.write_all(b"GET /metr").unwrap();
    let before = Instant::now();
    drop(admin);
    assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}
