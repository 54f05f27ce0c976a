//! Where the receiving thread spends its time: samples of `perf`, by stage.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::support::stages::{self, Shares};

/// Samples a second. A prime: no loop keeps in step.
const SAMPLES_HZ: &str = "1999";

/// Samples a thread, which is a folder of /proc, for so many seconds; none where there is no `perf` that may.
pub(crate) fn sampled(binary: &Path, thread: &Path, folder: &Path, seconds: &str) -> Option<Shares> {
    let base = base(binary, thread)?;
    let data = folder.join("perf.data");
    let mut record = Command::new("perf");
    record.args(["record", "-e", "cpu-clock", "-F", SAMPLES_HZ, "-t"]).arg(thread.file_name()?).arg("-o").arg(&data);
    record.args(["--", "sleep", seconds]).stdout(Stdio::null()).stderr(Stdio::null());
    record.status().ok().filter(std::process::ExitStatus::success)?;
    let script = Command::new("perf").args(["script", "-F", "ip,dso", "-i"]).arg(&data).stderr(Stdio::null()).output().ok()?;
    std::fs::remove_file(&data).ok();
    let (mut shares, mut addresses) = (Shares::new(), HashMap::<u64, f64>::new());
    for line in String::from_utf8_lossy(&script.stdout).lines() {
        let Some((ip, object)) = line.trim().split_once(' ') else { continue };
        let Ok(ip) = u64::from_str_radix(ip, 16) else { continue };
        if object.contains("/tailwater)") {
            *addresses.entry(ip.wrapping_sub(base)).or_default() += 1.0;
        } else {
            *shares.entry(stages::library(object)).or_default() += 1.0;
        }
    }
    let listed: Vec<(u64, f64)> = addresses.into_iter().collect();
    let of = stages::of_addresses(binary, &listed.iter().map(|(address, _)| *address).collect::<Vec<_>>());
    listed.iter().zip(of).for_each(|((_, samples), stage)| *shares.entry(stage).or_default() += samples);
    (shares.values().sum::<f64>() > 0.0).then_some(shares)
}

/// Where the program lies in the thread's memory.
fn base(binary: &Path, thread: &Path) -> Option<u64> {
    let maps = std::fs::read_to_string(thread.join("maps")).ok()?;
    let first = maps.lines().find(|line| line.ends_with(&*binary.to_string_lossy()))?;
    u64::from_str_radix(first.split('-').next()?, 16).ok()
}
