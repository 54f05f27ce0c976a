//! Which stage of a packet's life an instruction belongs to, by the file that it was compiled from.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Stages in the order of a packet's life, and what is none.
pub const STAGES: [&str; 18] = [
    "rx",
    "loop",
    "parse",
    "tags",
    "LPM",
    "gather",
    "columns",
    "sum",
    "peak",
    "histogram",
    "distinct",
    "topk",
    "entropy",
    "fanout",
    "other kernels",
    "shard",
    "windows",
    "other",
];

/// How much of each stage; names are of [`STAGES`].
pub type Shares = BTreeMap<&'static str, f64>;

/// The stage of a function in a source file; none: it serves others.
pub fn stage(file: &str, function: &str) -> Option<&'static str> {
    let (_, path) = file.split_once("appliance/src/")?;
    let (room, rest) = path.split_once('/').unwrap_or((path, ""));
    Some(match room {
        "dpdk" | "rx" => "rx",
        "parse" => "parse",
        "classify" if rest.starts_with("lpm") || rest.starts_with("domains") => "LPM",
        // A burst's prefixes are looked up at once, in vectors.
        "classify" if rest.starts_with("usual") && function.contains("find") => "LPM",
        "arch" if rest.starts_with("cells") => "LPM",
        "classify" | "record.rs" => "tags",
        "gather" if rest.contains("turned") => "columns",
        "gather" => "gather",
        "axes" => "columns",
        "stats" if function.contains("export") => "windows",
        "stats" => kernel(rest),
        "window" if rest.starts_with("shard") => "shard",
        "window" => "windows",
        "runtime" | "main.rs" => "loop",
        _ => return None,
    })
}

fn kernel(file: &str) -> &'static str {
    let name = file.split(['/', '.']).next().unwrap_or_default();
    match name {
        "hll" | "hashes" => "distinct",
        "bins" | "labels" => "histogram",
        "weighted" => "sum",
        "plan" | "columns" | "filling" | "values" | "weights" | "told" | "selection" | "once" | "stretch" | "table" | "pages" | "pool"
        | "mod" => "columns",
        known => STAGES.into_iter().find(|stage| *stage == known).unwrap_or("other kernels"),
    }
}

/// The stage of a library's code, where its file is not ours.
pub fn library(object: &str) -> &'static str {
    if object.contains("librte_") || object.contains("libpcap") || object.contains("vdso") { "rx" } else { "other" }
}

/// The stage of each address of a program: of the innermost function there, inlined or not, that has one.
pub fn of_addresses(program: &Path, addresses: &[u64]) -> Vec<&'static str> {
    let mut command = Command::new("addr2line");
    command.args(["-a", "-f", "-i", "-C", "-e"]).arg(program).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return vec!["other"; addresses.len()] };
    let asked: String = addresses.iter().fold(String::new(), |mut text, address| {
        writeln!(text, "{address:#x}").expect("memory");
        text
    });
    let mut to = child.stdin.take().expect("it was piped");
    let writes = std::thread::spawn(move || to.write_all(asked.as_bytes()));
    let said = child.wait_with_output().expect("addr2line ends");
    writes.join().ok();
    let (mut stages, mut function) = (Vec::with_capacity(addresses.len()), String::new());
    for line in String::from_utf8_lossy(&said.stdout).lines() {
        if line.starts_with("0x") {
            stages.push((None, false));
            function.clear();
        } else if function.is_empty() {
            line.clone_into(&mut function);
        } else {
            if let Some((last, hashes)) = stages.last_mut() {
                *last = last.or_else(|| stage(line, &function));
                *hashes |= line.contains("arch/hash.rs");
            }
            function.clear();
        }
    }
    stages.resize(addresses.len(), (None, false));
    // What hashes whole columns is a function of its own, called for them.
    stages.into_iter().map(|(stage, hashes)| stage.unwrap_or(if hashes { "columns" } else { "other" })).collect()
}

/// As a line of text, what is less than a hundredth left out; `whole` is what they are shares of.
pub fn text(shares: &Shares, whole: f64) -> String {
    let listed = STAGES.iter().filter_map(|stage| Some((stage, shares.get(stage)? / whole * 100.0)));
    listed.filter(|(_, percent)| *percent >= 0.5).map(|(stage, percent)| format!("{stage} {percent:.0} %")).collect::<Vec<_>>().join(", ")
}
