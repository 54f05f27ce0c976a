//! One process at a time holds a file prefix: the second is told the first's pid.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::process::Command;

use tailwater::dpdk::{DpdkError, Eal, EalConfig, FilePrefix, Hugepages};

const SECOND: &str = "TAILWATER_TEST_PREFIX";

fn config(prefix: &str) -> EalConfig {
    let file_prefix = FilePrefix::Named(prefix.to_owned());
    EalConfig { file_prefix, hugepages: Hugepages::Never, memory_mb: 32, ..EalConfig::private("eal-prefix", &[0]) }
}

#[test]
fn a_second_process_is_refused_with_the_pid_of_the_first() {
    if let Ok(prefix) = std::env::var(SECOND) {
        // The second process: it says what it was told.
        match Eal::init(&config(&prefix)) {
            Err(DpdkError::PrefixInUse { pid, .. }) => println!("held by {pid}."),
            other => println!("unexpected: {other:?}"),
        }
        return;
    }
    let own = std::process::id();
    let prefix = format!("tailwater-test-{own}");
    let eal = Eal::init(&config(&prefix)).unwrap();
    let second = || {
        let test = "a_second_process_is_refused_with_the_pid_of_the_first";
        let run = Command::new(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]).env(SECOND, &prefix).output();
        String::from_utf8(run.unwrap().stdout).unwrap()
    };
    let said = second();
    assert!(said.contains(&format!("held by {own}.")), "{said}");
    drop(eal);
    for folder in ["/var/run/dpdk", "/tmp/dpdk"] {
        let _ = std::fs::remove_dir_all(format!("{folder}/{prefix}"));
    }
}
