//! Brokers that ask who comes: TLS, SASL and ACLs of a real one. What is wrong is told with what mends it, nothing is lost
//! meanwhile, and no secret is shown by anything.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod e2e_support;
#[path = "kafka_support/mod.rs"]
mod kafka_support;
#[path = "e2e_support/topic.rs"]
mod topic;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e_support::{Appliance, wait};
use kafka_support::{Broker, Log, start_to, stop, wait_for};
use tailwater::admin::open_metrics;
use tailwater::config::{self, KafkaSink, Sinks};
use tailwater::journal::{Bound, FlowLane, Journal, LotForm, LotWriter, Message, WindowOf};
use tailwater::report::pb;
use tailwater::sink::{self, kafka};
use tailwater::stats;
use tailwater::telemetry::{Registry, SinkState};
use topic::topic;

const WRONG: &str = "not-the-password-5c1f";

/// A configuration in a folder of its own, with files that can be exchanged.
struct Setting {
    folder: tempfile::TempDir,
}

impl Setting {
    fn new(broker: &Broker) -> Self {
        let setting = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(setting.path("r.csv"), "prefix,customer\n10.0.0.0/8,a\n").unwrap();
        for name in ["ca.pem", "client.pem", "client.key", "key-password", "password"] {
            std::fs::copy(broker.secure(name), setting.path(name)).unwrap();
        }
        setting
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, brokers: &str, rows: &str) -> PathBuf {
        let mut text =
            "[ranges]\nfile = \"r.csv\"\n[[stats]]\nname = \"s\"\ncalculation = \"sum\"\n[[ports]]\ndevice = \"net_null0\"\n".to_owned();
        write!(text, "[sinks.kafka]\nbrokers = \"{brokers}\"\ntls = true\nca_file = \"ca.pem\"\n{rows}").unwrap();
        std::fs::write(self.path("t.toml"), text).unwrap();
        self.path("t.toml")
    }

    fn kafka(&self, brokers: &str, rows: &str) -> KafkaSink {
        let config = config::load(&self.write(brokers, rows), &stats::check).unwrap_or_else(|faults| panic!("{faults}"));
        config.for_run().unwrap();
        config.sinks.kafka.unwrap()
    }

    fn sasl(&self, broker: &Broker, mechanism: &str) -> KafkaSink {
        let rows = format!("sasl = \"{mechanism}\"\nusername = \"tailwater\"\npassword_file = \"password\"\n");
        self.kafka(&broker.secret("sasl"), &rows)
    }

    fn certificate(&self, broker: &Broker) -> KafkaSink {
        let rows = "cert_file = \"client.pem\"\nkey_file = \"client.key\"\nkey_password_file = \"key-password\"\n";
        self.kafka(&broker.secret("ssl"), rows)
    }
}

fn range(n: u64) -> Message {
    Message::range(&pb::RangeReport { sequence: n, prefix: "10.0.0.0/8".to_owned(), ..Default::default() })
}

#[test]
fn what_a_broker_refuses_is_told_and_goes_on_once_it_is_mended() {
    let log = Log::of_everything();
    let broker = Broker::start_with(&["--secure"]);
    let setting = Setting::new(&broker);
    let mut shown = mended_step_by_step(&broker, &setting, &log);
    every_mechanism_works(&broker, &setting);
    shown.push_str(&what_check_says(&broker, &setting));
    shown.push_str(&what_a_run_shows(&broker, &setting));
    shown.push_str(&log.text());
    no_secret_is_in(&shown, &broker);
}

/// Another CA, another password, no ACL: one by one, without a restart.
fn mended_step_by_step(broker: &Broker, setting: &Setting, log: &Log) -> String {
    std::fs::copy(broker.secure("other-ca.pem"), setting.path("ca.pem")).unwrap();
    std::fs::write(setting.path("password"), WRONG).unwrap();
    let config = setting.sasl(broker, "SCRAM-SHA-512");
    let mut shown = format!("{config:?} {config:#?}");
    let (sinks, journal) = start_to(config);
    (1..=3).for_each(|n| assert!(journal.append(range(n))));
    let mut until = |what: &str, remedy: &str| {
        wait_for(&sinks, what, |kafka| kafka.state == SinkState::Down && kafka.last_error.as_ref().is_some_and(|text| text.contains(what)));
        wait_for(&sinks, remedy, |_| log.text().contains(remedy));
        let status = sinks.status().remove(0);
        assert_eq!((status.delivered, status.failed, status.overflow, status.behind), (0, 0, 0, 3), "{status:?}");
        let registry = Registry::new("a", "", Duration::from_secs(1));
        write!(shown, "{status:?}").unwrap();
        registry.set_sinks(move || vec![status.clone()]);
        shown.push_str(&open_metrics(registry.snapshot()));
    };
    until("certificate", "correct [sinks.kafka] ca_file");
    std::fs::copy(broker.secure("ca.pem"), setting.path("ca.pem")).unwrap();
    until("Authentication failed", "correct [sinks.kafka] username = \"tailwater\" and its password");
    std::fs::copy(broker.secure("password"), setting.path("password")).unwrap();
    until("Cluster authorization failed", "--add --allow-principal User:tailwater --producer --topic tailwater.v1.ranges");
    broker.allow("User:tailwater", "another.");
    until("Topic authorization failed", "--add --allow-principal");
    broker.allow("User:tailwater", "tailwater.");
    wait_for(&sinks, "delivery", |kafka| kafka.delivered == 3 && kafka.state == SinkState::Up);
    let status = stop(sinks);
    assert_eq!((status.delivered, status.failed, status.behind), (3, 0, 0));
    shown
}

fn every_mechanism_works(broker: &Broker, setting: &Setting) {
    broker.allow("User:CN=tailwater", "tailwater.");
    let sasl = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].map(|mechanism| setting.sasl(broker, mechanism));
    for (config, n) in sasl.into_iter().chain([setting.certificate(broker)]).zip(4..) {
        kafka::probe(&config, Duration::from_secs(20)).unwrap();
        let (sinks, journal) = start_to(config);
        assert!(journal.append(range(n)));
        wait_for(&sinks, "delivery", |kafka| kafka.delivered == 1);
        assert_eq!(stop(sinks).failed, 0);
    }
    let mut sequences: Vec<_> =
        kafka_support::read_ranges(&broker.address(), "tailwater.v1.ranges").iter().map(|report| report["sequence"].clone()).collect();
    sequences.sort_by_key(|text| text.as_str().unwrap().to_owned());
    assert_eq!(sequences, ["1", "2", "3", "4", "5", "6", "7"]);
}

fn check(file: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tailwater")).args(["--log", "trace", "check", "--config"]).arg(file).output().unwrap();
    [output.stdout, output.stderr].iter().map(|bytes| String::from_utf8_lossy(bytes)).collect()
}

fn what_check_says(broker: &Broker, setting: &Setting) -> String {
    let rows = "sasl = \"PLAIN\"\nusername = \"tailwater\"\npassword_file = \"password\"\n";
    let file = setting.write(&broker.secret("sasl"), rows);
    let good = check(&file);
    assert!(good.contains("sinks.kafka.brokers: a cluster of 127.0.0.1:"), "{good}");
    // The user may not see it: whether it is there, only the broker knows.
    let hidden = check(&setting.write(&broker.secret("sasl"), &format!("{rows}events_topic = \"denied.events\"\n")));
    assert!(hidden.contains("1 of 5 are not shown to this user: denied.events") && !hidden.contains("denied.events; do"), "{hidden}");
    assert!(hidden.contains("--add --allow-principal User:tailwater --producer --topic denied.events"), "{hidden}");
    // A listener that has TLS, or SASL, and one that has not.
    let plain = std::fs::read_to_string(&file).unwrap();
    let no_tls = plain.replace(&broker.secret("sasl"), &broker.address());
    std::fs::write(&file, &no_tls).unwrap();
    let no_tls = check(&file);
    assert!(no_tls.contains("take tls out"), "{no_tls}");
    let no_sasl = plain.replace(&broker.secret("sasl"), &broker.address()).replace("tls = true\nca_file = \"ca.pem\"\n", "");
    std::fs::write(&file, no_sasl).unwrap();
    let no_sasl = check(&file);
    assert!(no_sasl.contains("take sasl, username and the password out"), "{no_sasl}");
    setting.write(&broker.secret("sasl"), rows);
    std::fs::write(setting.path("password"), WRONG).unwrap();
    Command::new("chmod").arg("644").arg(setting.path("password")).status().unwrap();
    let wrong = check(&file);
    assert!(wrong.contains("Authentication failed") && wrong.contains("everybody may read"), "{wrong}");
    std::fs::remove_file(setting.path("password")).unwrap();
    let absent = check(&file);
    assert!(absent.contains("sinks.kafka.password_file: ") && absent.contains(": `run` would not start"), "{absent}");
    // What stands in a wrong place is not shown, either.
    let inline = check(
        &setting.write(&broker.secret("sasl"), &format!("password = \"{WRONG}\"\npassword_env = \"{}\"\n", broker.secret("password"))),
    );
    assert!(inline.contains("may not stand in a configuration"), "{inline}");
    let no_key = setting.write(&broker.secret("ssl"), "cert_file = \"client.pem\"\nkey_file = \"client.key\"\n");
    [good, wrong, absent, inline, check(&no_key)].concat()
}

/// Its log at its most talkative, its metrics, its configuration on the topic, and all that its journal holds.
fn what_a_run_shows(broker: &Broker, setting: &Setting) -> String {
    std::fs::copy(broker.secure("password"), setting.path("password")).unwrap();
    let rows = "sasl = \"SCRAM-SHA-512\"\nusername = \"tailwater\"\npassword_file = \"password\"\n[journal]\npath = \"journal\"\n\
                [admin]\nlisten = \"127.0.0.1:0\"\n[appliance]\nwindow_ms = 1000\nmemory_mb = 64\n";
    let file = setting.write(&broker.secret("sasl"), rows);
    let text = std::fs::read_to_string(&file).unwrap().replace("net_null0", "net_null0,no-rx=1");
    std::fs::write(&file, text).unwrap();
    let appliance = Appliance::counting(&file, &["--log", "trace"]);
    let delivered = || appliance.metric("tailwater_sink_delivered_total", "sink=\"kafka\"");
    wait(60, || delivered() >= 3, || appliance.log());
    let (_, metrics) = appliance.get("/metrics");
    let log = appliance.stop(60);
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "{log}");
    let configs: String =
        topic(&broker.address(), "tailwater.v1.configs", 1).iter().map(|(_, value)| String::from_utf8_lossy(value)).collect();
    assert!(configs.contains("password_file"), "{configs}");
    [metrics, log, configs, of_files(&setting.path("journal"))].concat()
}

fn of_files(folder: &Path) -> String {
    let of = |entry: std::fs::DirEntry| match entry.path() {
        path if path.is_dir() => of_files(&path),
        path => String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned(),
    };
    std::fs::read_dir(folder).unwrap().map(|entry| of(entry.unwrap())).collect()
}

fn no_secret_is_in(shown: &str, broker: &Broker) {
    assert!(shown.len() > 10_000 && shown.contains("password"), "what was shown was not looked at");
    let keys = ["client.key", "broker.key", "ca.key"].map(|name| broker.secret(name));
    let lines = keys.iter().flat_map(|key| key.lines()).filter(|line| line.len() > 20 && !line.contains("-----"));
    let passwords = [broker.secret("password"), broker.secret("key-password"), WRONG.to_owned()];
    for secret in lines.chain(passwords.iter().map(String::as_str)) {
        let found = shown.lines().find(|line| line.contains(secret));
        assert!(found.is_none(), "a secret is shown: {found:?}");
    }
}

/// Flows of a topic that the real broker forbids are given up after their time, those of others arrive
/// meanwhile.
#[test]
fn flows_of_a_forbidden_topic_hold_up_no_others() {
    let broker = Broker::start_with(&["--secure"]);
    let setting = Setting::new(&broker);
    broker.allow("User:tailwater", "tailwater.");
    let kafka = KafkaSink { flows_have_one_topic: false, ..setting.sasl(&broker, "PLAIN") };
    let sinks = Sinks { kafka: Some(kafka), ..Sinks::default() };
    let (lane, names) = (FlowLane { bound: Bound::default(), disk: None }, sink::names(&sinks));
    let journal = Journal::new(Bound::default(), &names).with_flows(&lane, &names).unwrap();
    let sinks = sink::start(&sinks, &journal).unwrap();
    let append = |topic: &str, flows: u32| {
        let mut writer = LotWriter::new(LotForm::Bare, 1 << 12);
        (0..flows).for_each(|n| assert!(writer.put(|key| key.extend(n.to_be_bytes()), |value| value.extend(n.to_be_bytes()))));
        assert!(journal.append(Message::flows(topic, writer.take(), WindowOf::default())));
    };
    for _ in 0..20 {
        append("forged.x", 10);
        append("tailwater.v1.flows", 10);
    }
    wait_for(&sinks, "the flows that may go", |kafka| kafka.flows == 200);
    assert_eq!(sinks.status()[0].flows_failed, 0, "the others wait for a while");
    wait_for(&sinks, "the end of patience", |kafka| kafka.flows_failed == 200 && kafka.lots_behind == 0);
    assert_eq!(sinks.status()[0].topics_failed, [("forged.x".to_owned(), 200)].into());
    append("forged.x", 5);
    append("tailwater.v1.flows", 5);
    wait_for(&sinks, "what comes later", |kafka| kafka.flows == 205 && kafka.flows_failed == 205);
    let status = stop(sinks);
    assert_eq!((status.flows, status.flows_failed, status.lots_behind), (205, 205, 0), "{status:?}");
}
