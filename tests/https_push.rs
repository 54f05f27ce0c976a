//! The HTTPS sink against a real server: what each answer leads to, that no line is lost, and that nobody waits for it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod https_support;

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use https_support::{Reply, Server, reply, until};
use tailwater::config::{BodyFraming, Compression, Credentials, FileSink, HttpsSink, SecretPlace, Sinks};
use tailwater::journal::{Bound, Disk, FlowLane, Journal, LotForm, LotWriter, Message, WindowOf};
use tailwater::sink::{self, RunningSinks, flow_names, names};

struct Push {
    folder: tempfile::TempDir,
    journal: Arc<Journal>,
    sinks: RunningSinks,
}

impl Push {
    fn start(server: &Server, change: impl FnOnce(&mut HttpsSink)) -> Self {
        Self::with(tempfile::tempdir().unwrap(), server, false, change)
    }

    fn with(folder: tempfile::TempDir, server: &Server, on_disk: bool, change: impl FnOnce(&mut HttpsSink)) -> Self {
        server.write_ca(&folder.path().join("ca.pem"));
        let mut https = HttpsSink { ca_file: Some(folder.path().join("ca.pem")), batch_ms: 20, ..HttpsSink::to(server.url("/in")) };
        change(&mut https);
        let file = https.has_reports.then(|| FileSink { path: folder.path().join("out.jsonl") });
        let sinks = Sinks { https: Some(https), file, ..Sinks::default() };
        let disk = on_disk.then(|| Disk { folder: folder.path().join("flows"), bytes_max: 64 << 20, segment_bytes: 1 << 20 });
        let lane = FlowLane { bound: Bound::default(), disk };
        let journal = Journal::new(Bound::default(), &names(&sinks)).with_flows(&lane, &flow_names(&sinks)).unwrap();
        let running = sink::start(&sinks, &journal).unwrap();
        Self { folder, journal, sinks: running }
    }

    /// A lot of lines `{"n":FROM}` and so on.
    fn put(&self, topic: &str, numbers: std::ops::Range<u32>) {
        let mut lot = LotWriter::new(LotForm::Json, 1_000);
        numbers.for_each(|n| assert!(lot.put(|_| (), |out| write!(out, "{{\"n\":{n}}}").unwrap())));
        assert!(self.journal.append(Message::flows(topic, lot.take(), WindowOf::default())));
    }

    fn end(mut self) -> tailwater::telemetry::SinkStatus {
        let status = self.sinks.stop(Instant::now() + Duration::from_secs(30));
        status.into_iter().find(|sink| sink.name == "https").unwrap()
    }

    fn status(&self) -> tailwater::telemetry::SinkStatus {
        self.sinks.status().into_iter().find(|sink| sink.name == "https").unwrap()
    }
}

fn lines(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|n| format!("{{\"n\":{n}}}")).collect()
}

#[test]
fn lines_arrive_in_order_in_batches_packed_either_way() {
    for (compression, encoding) in [(Compression::Gzip, Some("gzip")), (Compression::Zstd, Some("zstd")), (Compression::None, None)] {
        let server = Server::start(Box::new(|_, _| reply(200)));
        let push = Push::start(&server, |https| (https.compression, https.batch_lines) = (compression, 300));
        (0..10).for_each(|lot| push.put("t", lot * 100..lot * 100 + 100));
        let status = push.end();
        assert_eq!(server.taken(), lines(0..1_000));
        let requests = server.requests();
        assert!(requests.iter().all(|request| request.header("content-encoding") == encoding && request.lines().len() <= 300));
        assert!(requests.len() >= 4 && requests.iter().all(|request| request.path == "/in" && request.header("authorization").is_none()));
        assert_eq!((status.flows, status.flows_failed, status.lots_behind), (1_000, 0, 0));
    }
}

#[test]
fn what_may_heal_is_tried_again_and_nothing_is_lost_or_swapped() {
    for statuses in [[500, 502, 503], [504, 429, 408], [401, 403, 404], [307, 415, 599]] {
        // Each of these once, then the lines are taken.
        let server = Server::start(Box::new(move |n, _| reply(statuses.get(n).copied().unwrap_or(200))));
        let push = Push::start(&server, |_| ());
        push.put("t", 0..10);
        until("the first", || !server.requests().is_empty());
        push.put("t", 10..20);
        until("all", || server.taken().len() == 20);
        let status = push.end();
        assert_eq!(server.taken(), lines(0..20));
        assert_eq!((status.retried, status.flows, status.flows_failed, status.refused), (3, 20, 0, Vec::new()));
        assert!(status.last_error.unwrap().contains(&statuses[2].to_string()));
    }
}

#[test]
fn a_line_that_is_refused_is_found_and_alone_is_given_up() {
    for (status, reason) in [(400, "bad_request"), (422, "bad_request"), (413, "too_large")] {
        let server = Server::start(Box::new(move |_, request| {
            let has = |n: u32| request.lines().contains(&format!("{{\"n\":{n}}}"));
            reply(if has(17) || has(63) { status } else { 200 })
        }));
        let push = Push::start(&server, |https| https.batch_ms = 300);
        (0..4).for_each(|lot| push.put("t", lot * 25..lot * 25 + 25));
        let told = push.end();
        let want: Vec<String> = lines(0..100).into_iter().filter(|line| line != "{\"n\":17}" && line != "{\"n\":63}").collect();
        assert_eq!(server.taken(), want, "{status}");
        assert_eq!((told.flows, told.flows_failed, told.refused, told.lots_behind), (98, 2, vec![(reason, 2)], 0));
        assert_eq!(told.last_error, Some(format!("the server answers {status} to a single line")));
        assert!(server.requests().len() < 60, "halves, not lines");
    }
}

/// What a damaged lot says that it has, and what nobody can read of it, is counted as given up; its other lines arrive.
#[test]
fn lines_that_are_damaged_in_the_journal_are_counted() {
    let server = Server::start(Box::new(|_, _| reply(200)));
    let push = Push::start(&server, |_| ());
    let mut lot = LotWriter::new(LotForm::Json, 1_000);
    (0..10).for_each(|n| assert!(lot.put(|_| (), |out| write!(out, "{{\"n\":{n}}}").unwrap())));
    let whole = lot.take();
    // Each has 13 bytes behind the lot's five; then one of which nothing can be read.
    let damaged = [whole[..5 + 3 * 13].into(), whole[..5 + 4 * 13 - 1].into(), [9].into()];
    push.put("t", 20..25);
    damaged.into_iter().for_each(|lot| assert!(push.journal.append(Message::flows("t", lot, WindowOf::default()))));
    push.put("t", 30..35);
    let told = push.end();
    assert_eq!(server.taken(), [lines(20..25), lines(0..3), lines(0..3), lines(30..35)].concat());
    assert_eq!((told.flows, told.flows_failed, told.refused, told.lots_behind), (16, 15, vec![("no_message", 15)], 0));
}

#[test]
fn a_server_that_names_a_wait_gets_it() {
    let date = SystemTime::now() + Duration::from_secs(5);
    let answers = [("2".to_owned(), 503), (httpdate(date), 429)];
    let server = Server::start(Box::new(move |n, _| match answers.get(n) {
        Some((after, status)) => Reply { headers: vec![("retry-after", after.clone())], ..reply(*status) },
        None => reply(200),
    }));
    let push = Push::start(&server, |_| ());
    push.put("t", 0..3);
    until("all", || server.taken().len() == 3);
    let at: Vec<Instant> = server.requests().iter().map(|request| request.at).collect();
    assert!(at[1] - at[0] >= Duration::from_secs(2), "{:?}", at[1] - at[0]);
    assert!(SystemTime::now() >= date - Duration::from_secs(1), "not before the date");
    assert_eq!(push.end().retried, 2);
}

fn httpdate(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

#[test]
fn credentials_go_in_the_header_and_nowhere_else_and_are_read_again() {
    const SECRET: &str = "hunter2-hunter2";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "old-secret\n").unwrap();
    for (basic, want) in [(false, format!("Bearer {SECRET}")), (true, "Basic dXNlcjpodW50ZXIyLWh1bnRlcjI=".to_owned())] {
        std::fs::write(&file, "old-secret\n").unwrap();
        let wanted = want.clone();
        let server =
            Server::start(Box::new(move |_, request| reply(if request.header("authorization") == Some(&wanted) { 200 } else { 401 })));
        let place = SecretPlace::File(file.clone());
        let credentials = if basic { Credentials::Basic("user".to_owned(), place) } else { Credentials::Token(place) };
        let push = Push::start(&server, |https| https.credentials = Some(credentials));
        push.put("t", 0..5);
        until("a refusal", || !server.requests().is_empty());
        assert!(server.taken().is_empty());
        std::fs::write(&file, format!("{SECRET}\n")).unwrap();
        until("all", || server.taken().len() == 5);
        let told = format!("{:?} {:?}", push.status(), push.sinks);
        assert!(!told.contains("hunter2") && !told.contains("old-secret") && told.contains("401"), "{told}");
        assert_eq!(server.requests().last().unwrap().header("authorization"), Some(&want[..]));
        push.end();
    }
}

#[test]
fn events_of_splunk_and_topics_that_are_not_wanted() {
    let server = Server::start(Box::new(|_, _| reply(200)));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t"), "token").unwrap();
    let push = Push::start(&server, |https| {
        https.framing = BodyFraming::SplunkHec { index: Some("main".to_owned()), source: None, sourcetype: None };
        https.credentials = Some(Credentials::Token(SecretPlace::File(folder.path().join("t"))));
        https.topics = vec!["wanted".to_owned()];
    });
    push.put("wanted", 0..2);
    push.put("other", 2..4);
    push.put("wanted", 4..5);
    let status = push.end();
    let events: Vec<serde_json::Value> = server.taken().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let want = [0, 1, 4].map(|n| serde_json::json!({"event": {"n": n}, "index": "main"}));
    assert_eq!(events, want);
    assert!(server.requests().iter().all(|request| request.header("authorization") == Some("Splunk token")));
    assert_eq!((status.flows, status.lots_behind), (3, 0));
}

#[test]
fn a_server_that_nobody_vouches_for_gets_nothing() {
    let (server, other) = (Server::start(Box::new(|_, _| reply(200))), Server::start(Box::new(|_, _| reply(200))));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.pem");
    other.write_ca(&file);
    let push = Push::start(&server, |https| https.ca_file = Some(file));
    push.put("t", 0..5);
    until("refused", || push.status().retried > 0);
    assert!(server.requests().is_empty() && push.status().lots_behind > 0);
    assert!(push.status().last_error.unwrap().to_lowercase().contains("certificate"));
}

#[test]
fn a_slow_server_holds_up_no_other_sink() {
    let server = Server::start(Box::new(|_, _| Reply { delay: Duration::from_secs(600), ..reply(200) }));
    let push = Push::start(&server, |https| (https.has_reports, https.timeout_ms) = (true, 300_000));
    let report = tailwater::report::pb::ApplianceReport::default();
    (0..50).for_each(|_| assert!(push.journal.append(Message::appliance(&report))));
    push.put("t", 0..50);
    let file = push.folder.path().join("out.jsonl");
    until("the file has all", || std::fs::read_to_string(&file).is_ok_and(|text| text.lines().count() == 100));
    assert!(server.taken().len() < 100 && push.status().flows == 0);
    let Push { mut sinks, .. } = push;
    let status = sinks.stop(Instant::now() + Duration::from_millis(100));
    assert!(status.iter().any(|sink| sink.name == "https" && sink.behind + sink.lots_behind > 0));
}

#[test]
fn what_was_not_taken_goes_after_a_restart_and_what_was_does_not() {
    let may = Arc::new(Mutex::new(false));
    let (asked, mut folder) = (Arc::clone(&may), tempfile::tempdir().unwrap());
    let server = Server::start(Box::new(move |_, _| reply(if *asked.lock().unwrap() { 200 } else { 503 })));
    for round in 0..4 {
        *may.lock().unwrap() = round % 2 == 1;
        let push = Push::with(folder, &server, true, |_| ());
        push.put("t", round * 10..round * 10 + 10);
        if round % 2 == 1 {
            until("all so far", || server.taken().len() >= usize::try_from(round + 1).unwrap() * 10);
        } else {
            until("refused", || push.status().retried > 0);
        }
        let Push { folder: same, journal, mut sinks } = push;
        sinks.stop(Instant::now() + Duration::from_millis(200));
        drop(sinks);
        // Reports have no disk here, and say so.
        let _ = journal.end(Instant::now() + Duration::from_secs(10));
        drop(journal);
        folder = same;
    }
    assert_eq!(server.taken(), lines(0..40));
}
