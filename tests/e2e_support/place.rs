//! A mirror of its own, and a configuration that listens to it.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::e2e_support::{Appliance, Reports, output, wait};
use crate::eal_support::{sh, write_pcap};

pub(crate) const MIRROR: &str = "[[ports]]\ndevice = \"net_af_packet0,iface=mirror0\"\nfeed = \"mirror\"\n";
pub(crate) const ANY_ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n";
pub(crate) const FILE: &str = "[sinks.file]\npath = \"reports.jsonl\"\n";

/// A veth pair, and a folder with ranges and frames towards one of them.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        assert!(sh("ip link set lo up && ip link add mirror0 type veth peer name scrubber0"));
        assert!(sh("ip link set mirror0 up && ip link set scrubber0 up"));
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ranges.csv"), "prefix,customer\n203.0.113.0/24,web-shop\n").unwrap();
        write_pcap(&folder.path().join("frames.pcap"), 500, 100, false);
        Self { folder }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A configuration with windows of so many milliseconds; the name of the appliance is the test's alone.
    pub(crate) fn config(&self, window_ms: u64, rest: &[&str]) -> PathBuf {
        let name = format!("behaviour-{}", std::process::id());
        let first = format!(
            "[appliance]\nname = \"{name}\"\nwindow_ms = {window_ms}\nmemory_mb = 64\n[ranges]\nfile = \"ranges.csv\"\n\
             [[stats]]\nname = \"packets\"\ncalculation = \"sum\"\n"
        );
        let file = self.file("tailwater.toml");
        fs::write(&file, [&first, rest.concat().as_str()].concat()).unwrap();
        file
    }

    /// 500 frames, and waits until the appliance has them all.
    pub(crate) fn send(&self, appliance: &Appliance) {
        let before = appliance.metric("tailwater_core_received_total", "");
        output(Command::new("tcpreplay").args(["-q", "--pps=5000", "--intf1=scrubber0"]).arg(self.file("frames.pcap")));
        let all = || appliance.metric("tailwater_core_received_total", "") == before + 500;
        wait(10, all, || appliance.log());
    }

    pub(crate) fn reports(&self) -> Reports {
        Reports::of(&self.file("reports.jsonl"))
    }
}
