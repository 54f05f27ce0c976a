//! The whole way as a user sees it: generated traffic over a veth pair into `tailwater run`, a real Apache Kafka, and a
//! consumer that shares no code with us; its sums are the generator's truth, and the ledger balances in every window.
//!
//! Without root the tests are skipped, and say so. Without tcpreplay, Java, Maven, kcat, protoc or Python's protobuf they
//! fail, and say what to install.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod e2e_support;
mod eal_support;

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e_support::{Appliance, BINARY, Broker, interface, output, root, wait};
use eal_support::{in_namespace, is_able, is_inside, sh};
use serde_json::Value;

/// Twenty seconds behind a scrubber, some 3,000 frames a second.
const SCENARIO: &str = r#"
about = "The end-to-end test: a SYN flood and a DNS reflection, mostly blocked"
duration_s = 20
ranges.count = 8
ranges.list = [{ prefix = "203.0.113.0/24", customer = "web-shop" }]
legitimate.pps = 2000

[[attack]]
kind = "syn_flood"
target = "203.0.113.10"
begin_s = 4
pps = 20000
blocked = 0.97

[[attack]]
kind = "dns_reflection"
target = "203.0.113.20"
begin_s = 8
pps = 5000
blocked = 0.9
"#;

#[test]
fn reports_in_kafka_are_the_truth() {
    if !is_inside() && is_able() {
        Broker::fetch();
    }
    in_namespace("reports_in_kafka_are_the_truth", inside);
}

fn inside() {
    assert!(sh("ip link set lo up && ip link add mirror0 type veth peer name scrubber0"));
    assert!(sh("ip link set mirror0 up && ip link set scrubber0 up"));
    let folder = tempfile::tempdir().unwrap();
    let traffic = Traffic::generate(folder.path());
    let broker = Broker::new();
    let address = broker.start(0);

    traffic.one_mode(&address, "completion", "", &[]);
    // More lcores than a small machine has CPUs: they share.
    let cores = "[cores]\nmode = \"pipeline\"\nmain = 0\nrx = [1]\nworkers = [2, 3]\nreporter = 4\n";
    traffic.one_mode(&address, "pipeline", cores, &["--share-cpus"]);
}

struct Traffic {
    folder: PathBuf,
    truth: Value,
}

impl Traffic {
    fn generate(folder: &Path) -> Self {
        std::fs::write(folder.join("scenario.toml"), SCENARIO).unwrap();
        let files = ["scenario.toml", "traffic.pcap", "truth.json", "base.toml"].map(|name| folder.join(name));
        let mut command = Command::new(BINARY);
        command.arg("generate");
        for (option, file) in ["--scenario", "--pcap", "--truth", "--config"].iter().zip(&files) {
            command.arg(option).arg(file);
        }
        output(&mut command);
        let truth = serde_json::from_str(&std::fs::read_to_string(&files[2]).unwrap()).unwrap();
        Self { folder: folder.to_owned(), truth }
    }

    fn one_mode(&self, broker: &str, name: &str, cores: &str, arguments: &[&str]) {
        let base = std::fs::read_to_string(self.folder.join("base.toml")).unwrap();
        let base = base.replace("name = \"generated\"", &format!("name = \"e2e-{name}-{}\"", std::process::id()));
        let base = base.replace("window_ms = 10000", "window_ms = 2000");
        let ports = "[[ports]]\ndevice = \"net_af_packet0,iface=mirror0\"\nfeed = \"mirror\"\n";
        let config = self.folder.join(format!("{name}.toml"));
        let topics = format!("ranges_topic = \"{name}.ranges\"\nappliance_topic = \"{name}.appliance\"");
        let sinks = format!("[sinks.kafka]\nbrokers = \"{broker}\"\n{topics}\n[admin]\nlisten = \"127.0.0.1:0\"\n");
        std::fs::write(&config, [&base, ports, cores, &sinks].join("\n")).unwrap();

        let before = interface("mirror0", "rx_packets");
        let appliance = Appliance::counting(&config, arguments);
        assert_eq!(appliance.get("/healthz"), (200, "alive\n".to_owned()));
        wait(10, || appliance.get("/readyz").0 == 200, || format!("never ready: {:?}", appliance.get("/readyz")));
        let capture = self.folder.join("traffic.pcap");
        output(Command::new("tcpreplay").args(["-q", "--multiplier=4", "--intf1=scrubber0"]).arg(capture));
        let delivered = interface("mirror0", "rx_packets") - before;
        let counters = Counters::once_all_are_counted(&appliance, delivered);
        let log = appliance.stop(30);
        assert!(log.contains("all reports delivered"), "{log}");

        let (ranges, appliances) = (format!("{name}.ranges"), format!("{name}.appliance"));
        let more = ["--ranges-topic", &ranges, "--appliance-topic", &appliances, "--sums"];
        let sums: Value = serde_json::from_str(&Broker::read(broker, &more)).unwrap();
        println!("{name}: delivered {delivered}, ledger {}", sums["ledger"]);
        self.compare(&sums, delivered, &counters);
    }

    /// What the consumer read, against what was sent, what the interface delivered and what `/metrics` said.
    fn compare(&self, sums: &Value, delivered: u64, counters: &Counters) {
        let count = |name: &str| sums["ledger"][name].as_u64().unwrap();
        assert_eq!(count("received") + count("nic_missed"), delivered, "{sums}");
        assert_eq!(count("offered"), delivered);
        for nothing in ["repeated", "gaps", "unbalanced", "wrong_keys"] {
            assert_eq!(sums[nothing], 0, "{nothing}: {sums}");
        }
        assert!(sums["windows"].as_u64().unwrap() >= 3, "{sums}");
        let counted = [count("received"), count("parsed"), count("matched"), count("unmatched"), count("records"), count("counted")];
        assert_eq!(counters.0, counted, "what /metrics said is what was reported");

        let totals = &self.truth["totals"];
        assert_eq!(totals["frames"], delivered, "the interface delivers what was sent");
        if count("nic_missed") > 0 {
            println!("the kernel dropped {}: sums are not compared with the truth", count("nic_missed"));
            return;
        }
        for (ours, theirs) in [("matched", "matched"), ("unmatched", "unmatched"), ("records", "records"), ("parse_drops", "non_ip_frames")]
        {
            assert_eq!(count(ours), totals[theirs].as_u64().unwrap(), "{ours}");
        }
        let ranges = self.truth["ranges"].as_array().unwrap();
        assert_eq!(sums["ranges"].as_object().unwrap().len(), ranges.len());
        for range in ranges {
            compare_range(range, &sums["ranges"][range["prefix"].as_str().unwrap()]["stats"]);
        }
    }
}

/// One range's sums over all windows; a blocked frame of the capture stands for 40 packets.
fn compare_range(truth: &Value, sums: &Value) {
    let figure = |direction: &str, decision: &str, name: &str| truth["captured"][direction][decision][name].as_f64().unwrap();
    let any = |direction: &str, name: &str| figure(direction, "passed", name) + 40.0 * figure(direction, "blocked", name);
    let expected = [
        ("packets", any("ingress", "packets")),
        ("passed_packets", figure("ingress", "passed", "packets")),
        ("blocked_packets", 40.0 * figure("ingress", "blocked", "packets")),
        ("bytes", any("ingress", "bytes")),
        ("passed_bytes", figure("ingress", "passed", "bytes")),
        ("blocked_bytes", 40.0 * figure("ingress", "blocked", "bytes")),
        ("opened", any("ingress", "connections_opened")),
        ("accepted", any("ingress", "connections_accepted")),
        ("resets", any("ingress", "resets")),
        ("fragments", any("ingress", "fragments")),
        ("sent_packets", any("egress", "packets")),
        ("sent_bytes", any("egress", "bytes")),
        ("dns_answers", any("ingress", "dns_answer_bytes")),
    ];
    for (stat, value) in expected {
        assert_eq!(sums[stat].as_f64(), Some(value), "{stat} of {}", truth["prefix"]);
    }
}

/// The data path's counters as `/metrics` shows them: received, parsed, matched, unmatched, records, counted.
struct Counters([u64; 6]);

impl Counters {
    fn once_all_are_counted(appliance: &Appliance, delivered: u64) -> Self {
        let core = |name: &str| appliance.metric(&format!("tailwater_core_{name}_total"), "");
        let missed = || appliance.metric("tailwater_port_missed_total", "");
        let batches_are_on_their_way = || core("counted") < core("records");
        let all = || core("received") + missed() == delivered && !batches_are_on_their_way();
        wait(20, all, || format!("received {} and missed {} of {delivered}:\n{}", core("received"), missed(), appliance.log()));
        assert_eq!(appliance.metric("tailwater_feed_state", "state=\"live\""), 1);
        // Of the last look at the port, once a second.
        let offered = || appliance.metric("tailwater_port_offered_total", "");
        wait(5, || offered() == delivered, || format!("offered {} of {delivered}", offered()));
        Self(["received", "parsed", "matched", "unmatched", "records", "counted"].map(core))
    }
}

#[test]
fn a_short_campaign_at_a_high_rate() {
    if !is_inside() && is_able() {
        Broker::fetch();
    }
    in_namespace("a_short_campaign_at_a_high_rate", || {
        let script = root().join("scripts/veth-rate");
        // Of its own: what a run that was killed left is not met again.
        let own = tempfile::tempdir().unwrap();
        let said =
            output(Command::new("bash").arg(script).args(["--binary", BINARY, "50000", "3"]).env("TAILWATER_VETH_RATE_DIR", own.path()));
        println!("{said}");
        assert!(said.contains("received + nic_missed = delivered") && said.contains("sums in Kafka = ledger"), "{said}");
    });
}
