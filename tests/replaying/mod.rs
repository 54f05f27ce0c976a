//! The built binary from outside: `tailwater replay` and `generate`, and what they print.

pub(crate) mod files;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Longer than any replay here takes, on a busy machine too: a hang.
const SECONDS_MAX: &str = "300";

/// What a call came to.
pub(crate) struct Ran {
    /// Exit status; none after a signal.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Calls the binary; a hang fails the test.
pub(crate) fn tailwater<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ran {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", SECONDS_MAX, env!("CARGO_BIN_EXE_tailwater")]).args(arguments).env_remove("RUST_LOG");
    let output = command.stdin(Stdio::null()).output().expect("coreutils' timeout starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what is printed is UTF-8");
    Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// `tailwater replay` of captures, with more arguments.
pub(crate) fn replay<P: AsRef<Path>>(config: &Path, captures: &[P], more: &[&str]) -> Ran {
    let mut line = vec!["replay".into(), "--config".into(), config.as_os_str().to_owned(), "--pcap".into()];
    line.extend(captures.iter().map(|file| file.as_ref().as_os_str().to_owned()));
    line.extend(more.iter().map(Into::into));
    tailwater(line)
}

impl Ran {
    /// Lines of range reports, as they were printed.
    pub(crate) fn range_lines(&self) -> Vec<&str> {
        self.stdout.lines().filter(|line| !is_appliance(line)).collect()
    }

    /// Range reports.
    pub(crate) fn ranges(&self) -> Vec<Value> {
        self.range_lines().into_iter().map(parsed).collect()
    }

    /// Appliance reports, the last one with the totals.
    pub(crate) fn appliances(&self) -> Vec<Value> {
        self.stdout.lines().filter(|line| is_appliance(line)).map(parsed).collect()
    }

    /// The report of the totals.
    pub(crate) fn total(&self) -> Value {
        let all = self.appliances();
        let last = all.last().unwrap_or_else(|| panic!("no report of totals; stderr: {}", self.stderr)).clone();
        assert_eq!(last["total"], true, "the last line holds the totals");
        last
    }

    /// Faults of all ledgers: of each window, of the totals, of each core and port, and of the totals against the windows.
    pub(crate) fn ledger_faults(&self) -> Vec<String> {
        let (all, mut faults) = (self.appliances(), Vec::new());
        for report in &all {
            let cores = report["cores"].as_array().into_iter().flatten();
            let ports = report["ports"].as_array().into_iter().flatten();
            for one in std::iter::once(report).chain(ports) {
                faults.extend(imbalance(&one["ledger"]));
            }
            for name in ["received", "parsed", "matched", "unmatched", "records", "counted"] {
                let sum: u64 = cores.clone().map(|core| count(&core["ledger"][name])).sum();
                if sum != count(&report["ledger"][name]) {
                    faults.push(format!("{name}: the cores' sum is {sum}, the ledger's {}", report["ledger"][name]));
                }
            }
        }
        let Some((total, windows)) = all.split_last() else { return vec!["no ledger".to_owned()] };
        for name in ["offered", "received", "parsed", "matched", "unmatched", "records", "counted", "late"] {
            let long = windows.iter().filter(|report| report["windowKind"] == "LONG");
            let sum: u64 = long.map(|report| count(&report["ledger"][name])).sum();
            if sum != count(&total["ledger"][name]) {
                faults.push(format!("{name}: the windows' sum is {sum}, the total {}", total["ledger"][name]));
            }
        }
        faults
    }
}

fn is_appliance(line: &str) -> bool {
    line.contains("\"ledger\":")
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("a line that is no JSON ({error}): {line}"))
}

/// Where a ledger does not balance.
fn imbalance(ledger: &Value) -> Vec<String> {
    let n = |name: &str| count(&ledger[name]);
    let drops: u64 = ledger["parseDrops"].as_array().into_iter().flatten().map(|drop| count(&drop["value"])).sum();
    let sides = [
        ("offered", n("offered"), n("received") + n("nicMissed")),
        ("received", n("received"), n("parsed") + drops),
        ("parsed", n("parsed"), n("matched") + n("unmatched")),
        ("records", n("records"), n("counted") + n("ringDropped")),
    ];
    sides.into_iter().filter(|(_, one, other)| one != other).map(|(name, one, other)| format!("{name}: {one} is not {other}")).collect()
}

/// A 64-bit integer, which JSON holds as text.
pub(crate) fn count(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no 64-bit integer"))
}

/// A stat of a report by its name.
pub(crate) fn stat<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut all = report["stats"].as_array().into_iter().flatten();
    all.find(|stat| stat["name"] == name).unwrap_or_else(|| panic!("no stat {name} in {report}"))
}

/// The value of a stat that is one figure.
pub(crate) fn value(report: &Value, name: &str) -> f64 {
    let stat = stat(report, name);
    let estimate = if stat["distinct"].is_object() { &stat["distinct"]["value"] } else { &stat["total"] };
    estimate["value"].as_f64().unwrap_or_else(|| panic!("{name} has no value: {stat}"))
}

/// The values of a histogram's bins, in order.
pub(crate) fn bins(report: &Value, name: &str) -> Vec<f64> {
    let bins = stat(report, name)["histogram"]["bins"].as_array().into_iter().flatten();
    bins.map(|bin| bin["value"]["value"].as_f64().unwrap_or(f64::NAN)).collect()
}

/// An entry of a top-K.
pub(crate) struct Top {
    pub(crate) key: String,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// What of the key may not be in the value: its counter was another's for a while.
    pub(crate) unseen: f64,
}

/// The entries of a top-K, in order.
pub(crate) fn top(report: &Value, name: &str) -> Vec<Top> {
    let entries = stat(report, name)["top"]["entries"].as_array().into_iter().flatten();
    let number = |entry: &Value, name: &str| entry["value"][name].as_f64();
    #[allow(clippy::cast_precision_loss, reason = "counts of a capture")]
    let entry = |entry: &Value| Top {
        key: entry["key"].as_str().unwrap_or_default().to_owned(),
        value: number(entry, "value").unwrap_or(f64::NAN),
        low: number(entry, "low").unwrap_or(f64::NAN),
        high: number(entry, "high").unwrap_or(f64::INFINITY),
        unseen: (count(&entry["unseenPassed"]) + count(&entry["unseenScaled"])) as f64,
    };
    entries.map(entry).collect()
}

/// Writes ranges that hold everything and a configuration of six stats; `more` goes into `[appliance]`.
pub(crate) fn everything(folder: &Path, more: &str) -> std::path::PathBuf {
    std::fs::write(folder.join("ranges.csv"), "prefix,customer\n0.0.0.0/0,all4\n::/0,all6\n").expect("the test's folder is ours");
    let stats = [
        ("packets", "sum", ""),
        ("bytes", "sum", "metric = \"bytes\"\n"),
        ("opened", "sum", "metric = \"connections_opened\"\n"),
        ("sizes", "histogram", "key = \"packet_size\"\n"),
        ("sources", "topk", "key = \"src_ip\"\nk = 10\n"),
        ("distinct_sources", "distinct", "key = \"src_ip\"\n"),
    ];
    let stats = stats.map(|(name, calculation, rest)| format!("\n[[stats]]\nname = \"{name}\"\ncalculation = \"{calculation}\"\n{rest}"));
    let head = "[ranges]\nfile = \"ranges.csv\"\n\n[parse]\nkeys_from = \"outermost\"\n";
    let file = folder.join("tailwater.toml");
    std::fs::write(&file, format!("[appliance]\nname = \"test\"\n{more}\n{head}{}", stats.concat())).expect("the test's folder is ours");
    file
}

/// Draws whole numbers; printed seeds make a draw repeatable (splitmix64, Steele et al. 2014).
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The seed that is given in `SEED`, or the clock.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seed = given.unwrap_or_else(now);
    println!("SEED={seed}");
    seed
}
