//! Captures of a million frames, made once, and which part of them belongs to which range.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packets of a range, let through and blocked.
pub(crate) type Shares = HashMap<String, [u64; 2]>;

/// A capture and what is in it.
pub(crate) struct Capture {
    pub(crate) pcap: PathBuf,
    pub(crate) shares: Shares,
}

impl Capture {
    /// Of this name, made if it is not there. Its `NAME.csv` are the ranges.
    pub(crate) fn ready(binary: &Path, root: &Path, folder: &Path, name: &str) -> Self {
        let file = |ending: &str| folder.join(format!("{name}.{ending}"));
        if !file("shares").is_file() {
            make(binary, &root.join(format!("benches/line/{name}.toml")), &file);
        }
        let text = std::fs::read_to_string(file("shares")).expect("shares");
        let row = |line: &str| {
            let mut fields = line.split(',');
            let prefix = fields.next()?.to_owned();
            Some((prefix, [fields.next()?.parse().ok()?, fields.next()?.parse().ok()?]))
        };
        Self { pcap: file("pcap"), shares: text.lines().map(|line| row(line).expect("a share")).collect() }
    }

    pub(crate) fn frames(&self) -> u64 {
        self.shares.values().flatten().sum()
    }
}

fn make(binary: &Path, scenario: &Path, file: &dyn Fn(&str) -> PathBuf) {
    eprintln!("making {}", file("pcap").display());
    let mut command = Command::new(binary);
    command.arg("generate").arg("--scenario").arg(scenario).arg("--pcap").arg(file("pcap"));
    let made = command.arg("--truth").arg(file("json")).arg("--ranges").arg(file("csv")).output().expect("tailwater generates");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut shares = String::new();
    // The truth has a line for each range; those of the whole capture stand behind this one.
    let lines = BufReader::new(File::open(file("json")).expect("the truth")).lines().map_while(Result::ok);
    for line in lines.skip_while(|line| line != "\"ranges\": [").skip(1).take_while(|line| line.starts_with('{')) {
        let row: serde_json::Value = serde_json::from_str(line.trim_end_matches(',')).expect("a range of the truth");
        let of = |decision: &str| row["captured"]["ingress"][decision]["packets"].as_u64().expect("packets");
        writeln!(shares, "{},{},{}", row["prefix"].as_str().expect("a prefix"), of("passed"), of("blocked")).expect("memory");
    }
    // Last, so that what was begun and not ended is made again. The truth itself is large.
    std::fs::write(file("shares"), shares).expect("shares");
    std::fs::remove_file(file("json")).expect("the truth");
}
