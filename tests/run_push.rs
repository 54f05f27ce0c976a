//! `tailwater run` with `[sinks.https]`: killed while the server refuses, killed while it takes, it loses no line; and says no secret.
//!
//! The test has a network namespace of its own; without root it is skipped, and says so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "a test says what it expects")]

mod e2e_support;
mod eal_support;
mod https_support;
#[path = "flows_support/live.rs"]
mod live;
#[path = "e2e_support/place.rs"]
mod place;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use e2e_support::Appliance;
use eal_support::in_namespace;
use https_support::{Server, reply, until};
use live::{FLOWS, five, had, send};
use place::{ANY_ADMIN, FILE, MIRROR, Place};

const JOURNAL: &str = "[journal]\npath = \"journal\"\nsize_mb = 16\n";
const SECRET: &str = "hunter2-of-the-push";

/// How often each record came, by its source: they are numbered.
fn sources(server: &Server) -> BTreeMap<u32, usize> {
    let mut counts = BTreeMap::new();
    for line in server.taken() {
        let flow: serde_json::Value = serde_json::from_str(&line).unwrap();
        let source: std::net::Ipv4Addr = flow["src_addr"].as_str().unwrap().parse().unwrap();
        *counts.entry(source.into()).or_default() += 1;
    }
    counts
}

#[test]
fn a_kill_loses_no_line_whatever_the_server_says() {
    in_namespace("a_kill_loses_no_line_whatever_the_server_says", || {
        let place = Place::new();
        let takes = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&takes);
        let server = Server::start(Box::new(move |_, _| reply(if asked.load(Ordering::Relaxed) { 200 } else { 503 })));
        server.write_ca(&place.file("ca.pem"));
        std::fs::write(place.file("token"), format!("{SECRET}\n")).unwrap();
        let push = format!(
            "[sinks.https]\nurl = \"{}\"\nca_file = \"ca.pem\"\ntoken_file = \"token\"\nbatch_ms = 50\ncompression = \"zstd\"\n",
            server.url("/in")
        );
        let config = place.config(1_000, &[MIRROR, ANY_ADMIN, FILE, JOURNAL, FLOWS, &push]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut logs = String::new();
        for round in 0..4_u32 {
            takes.store(round % 2 == 1, Ordering::Relaxed);
            let appliance = Appliance::counting(&config, &[]);
            let payloads: Vec<Vec<u8>> = (0..50).map(|n| five(1 + (round * 50 + n) * 10, 10)).collect();
            send(&socket, &payloads);
            had(&appliance, 50);
            // No sink sees a line before it is on the disk: the file says that all of them are.
            let last = format!("\"src_addr\":\"{}\"", std::net::Ipv4Addr::from((round + 1) * 500));
            until("all on the disk", || std::fs::read_to_string(place.file("reports.jsonl")).unwrap_or_default().contains(&last));
            match round {
                0 | 2 => until("a refusal", || appliance.metric("tailwater_sink_retried_total", "sink=\"https\"") > 0),
                1 => until("lines of this round", || sources(&server).contains_key(&501)),
                _ => until("all", || sources(&server).len() == 2_000),
            }
            logs += &appliance.log();
            if round < 3 {
                appliance.signal("KILL");
                appliance.ended(20);
            } else {
                logs += &appliance.stop(60);
            }
        }
        let sources = sources(&server);
        // What was refused and killed came after the next start; what was taken and not yet settled comes twice at most.
        assert_eq!(sources.keys().copied().collect::<Vec<_>>(), (1..=2_000).collect::<Vec<_>>());
        assert!(sources.values().all(|n| *n <= 2), "{sources:?}");
        assert!(logs.contains("503") && !logs.contains("hunter2"), "{logs}");
        assert!(server.requests().iter().all(|request| request.header("authorization") == Some(&format!("Bearer {SECRET}"))));
    });
}
