//! `tailwater run` with stats of flow records: export datagrams over loopback count in the ranges' reports, beside packets.
//!
//! In a network namespace of its own; without root it is skipped, and says so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod e2e_support;
mod eal_support;
#[path = "flows_support/live.rs"]
mod live;
#[path = "e2e_support/place.rs"]
mod place;

use std::net::UdpSocket;
use std::time::Duration;

use e2e_support::{Appliance, wait};
use eal_support::in_namespace;
use live::{FLOWS, LISTEN, five, had, send};
use place::{ANY_ADMIN, FILE, MIRROR, Place};
use serde_json::Value;

#[test]
fn flows_off_sockets_count_in_their_ranges() {
    in_namespace("flows_off_sockets_count_in_their_ranges", || {
        let place = Place::new();
        let rows = "sampling = [\"127.0.0.1=1\"]\n[[stats]]\nname = \"flow_bytes\"\ncalculation = \"sum\"\nmetric = \"bytes\"\n\
                    source = \"flows\"\ndirection = \"egress\"\n";
        let file = place.config(1_000, &[MIRROR, ANY_ADMIN, FILE, FLOWS, rows]);
        let appliance = Appliance::counting(&file, &[]);
        // Packets and flows side by side: so many frames of 100 bytes towards the range, and flows from it.
        place.send(&appliance);
        let payloads: Vec<Vec<u8>> = (0..100).map(|n| five(u32::from_be_bytes([203, 0, 112, 0]) + n * 10, 10)).collect();
        // Flows that come before the data path counts are told, not counted.
        std::thread::sleep(Duration::from_millis(200));
        send(&UdpSocket::bind("127.0.0.1:0").unwrap(), &payloads);
        had(&appliance, payloads.len());
        // Another range, and another stat of flows, count from the next window on.
        std::fs::write(place.file("ranges.csv"), "prefix,customer\n203.0.113.0/24,web-shop\n203.0.112.0/24,second\n").unwrap();
        let more = "[[stats]]\nname = \"flow_packets\"\ncalculation = \"sum\"\nsource = \"flows\"\ndirection = \"egress\"\n";
        place.config(1_000, &[MIRROR, ANY_ADMIN, FILE, FLOWS, rows, more]);
        appliance.signal("HUP");
        let generation = || appliance.metric("tailwater_generation", "");
        wait(20, || generation() == 2, || appliance.log());
        // The same flows, but in other datagrams: those would be taken for repeats.
        let again: Vec<Vec<u8>> = (0..200).map(|n| five(u32::from_be_bytes([203, 0, 112, 0]) + n * 5, 5)).collect();
        send(&UdpSocket::bind("127.0.0.1:0").unwrap(), &again);
        had(&appliance, payloads.len() + again.len());
        // What would have to be made at the start is refused.
        place.config(1_000, &[MIRROR, ANY_ADMIN, FILE, FLOWS, "sampling = [\"127.0.0.1=1\"]\n"]);
        appliance.signal("HUP");
        appliance.says("count no flow records, and did at the start", 10);
        appliance.stop(60);
        let text = std::fs::read_to_string(place.file("reports.jsonl")).unwrap();
        let reports: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |name: &str, customer: &str| -> f64 {
            let reports = reports.iter().filter(|report| report["customer"] == customer);
            let stats = reports.filter_map(|report| report["stats"].as_array()).flatten().filter(|stat| stat["name"] == name);
            stats.map(|stat| stat["total"]["value"].as_f64().unwrap()).sum()
        };
        assert_eq!((of("packets", "web-shop"), of("flow_bytes", "web-shop"), of("flow_packets", "web-shop")), (500.0, 5_120.0, 256.0));
        assert_eq!((of("packets", "second"), of("flow_bytes", "second"), of("flow_packets", "second")), (0.0, 2_560.0, 256.0));
        let total = reports.iter().rfind(|report| report["total"] == true).unwrap();
        let n = |name: &str| total["flowAnalysis"][name].as_str().unwrap().parse::<u64>().unwrap();
        assert_eq!((n("records"), n("matched"), n("unmatched"), n("views"), n("counted")), (2_000, 768, 1_232, 768, 768));
    });
}

/// Stopped while more comes than the socket holds, then nothing comes any more: what was dropped is told all the same, and the window in
/// which it is noticed is not complete.
#[test]
fn what_the_kernel_dropped_is_told_though_nothing_follows() {
    in_namespace("what_the_kernel_dropped_is_told_though_nothing_follows", || {
        let place = Place::new();
        let rows = "sampling = [\"127.0.0.1=1\"]\n[[stats]]\nname = \"flow_bytes\"\ncalculation = \"sum\"\nmetric = \"bytes\"\n\
                    source = \"flows\"\ndirection = \"egress\"\n";
        let appliance = Appliance::counting(&place.config(1_000, &[MIRROR, ANY_ADMIN, FILE, FLOWS, rows]), &[]);
        let of = |name: &str| appliance.metric(&format!("tailwater_flows_{name}_total"), "");
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        send(&socket, &[five(u32::from_be_bytes([203, 0, 113, 0]), 10)]);
        had(&appliance, 1);
        let (mut long, sent) = (five(u32::from_be_bytes([203, 0, 113, 10]), 10), 20_000);
        long.resize(16_000, 0);
        appliance.signal("STOP");
        // As fast as they go, whether anybody takes them or not.
        (0..sent).for_each(|_| drop(socket.send_to(&long, LISTEN)));
        appliance.signal("CONT");
        wait(
            30,
            || of("datagrams") + of("kernel_dropped") == sent + 1,
            || format!("{} read, {} dropped", of("datagrams"), of("kernel_dropped")),
        );
        let dropped = of("kernel_dropped");
        assert!(dropped > 0, "the buffer took them all");
        appliance.stop(60);
        let text = std::fs::read_to_string(place.file("reports.jsonl")).unwrap();
        let reports: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let number = |of: &Value| of.as_str().unwrap().parse::<u64>().unwrap();
        let total = reports.iter().rfind(|report| report["total"] == true).unwrap();
        assert_eq!(number(&total["flows"]["kernelDropped"]), dropped);
        assert!(number(&total["flowAnalysis"]["missing"]) >= dropped, "{total}");
        let reasons = |report: &&Value| report["incomplete"]["reasons"].as_array().is_some_and(|all| all.contains(&"flows_lost".into()));
        assert!(
            reports.iter().filter(|report| report["total"] == false).any(|report| reasons(&report)),
            "no window says that it lacks any"
        );
    });
}
