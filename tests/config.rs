//! Configurations as files: those that must load, and those whose faults must be named. Anyone can add a case: a pair
//! `NAME.toml` and `NAME.expect` in `tests/config-errors`, the latter holding lines that must appear.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::path::{Path, PathBuf};

use tailwater::config::{self, Config, Faults};
use tailwater::stats;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(name)
}

fn load(file: &Path) -> Result<Config, Faults> {
    config::load(file, &stats::check)
}

#[test]
fn the_design_example_loads_completely() {
    let config = load(&folder("config-valid/design.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!((config.appliance.window_ms, config.appliance.fast_window_ms), (10_000, 1_000));
    assert_eq!(config.stats.len(), 3);
    assert!(config.appliance.hash_key.is_some());
    assert!(config.for_run().is_ok());
}

/// What every bench of the engine counts: 8 sums, 4 histograms, 4 distinct, 8 top-K, and a 1:40 sample of what is blocked.
#[test]
fn the_standard_set_is_what_it_should_be() {
    let config = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/standard.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    let of = |calculation: &str| config.stats.iter().filter(|stat| stat.calculation == calculation).count();
    assert_eq!(["sum", "histogram", "distinct", "topk"].map(of), [8, 4, 4, 8]);
    assert_eq!((config.stats.len(), config.tags.len(), config.weight_max()), (24, 1, 40));
    assert!(config.stats.iter().all(|stat| stat.direction == tailwater::axes::DirectionAxis::Ingress));
}

/// What is said of a configuration, its folder left out.
fn said(file: &Path) -> Vec<String> {
    let folder = format!("{}/", file.parent().unwrap().display());
    match load(file) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.to_string().lines().map(|line| line.replace(&folder, "")).collect(),
    }
}

#[test]
fn a_file_that_is_none_is_named() {
    for (file, what) in [("/nowhere/at.toml", "/nowhere/at.toml: cannot be read: "), ("/", "/: is a directory; name a file")] {
        let said = load(Path::new(file)).unwrap_err().to_string();
        assert!(said.starts_with(what), "{said}");
    }
}

fn cases(name: &str, ending: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = files.filter(|f| f.extension().is_some_and(|e| e == ending)).collect();
    cases.sort();
    cases
}

/// Each line of `NAME.expect` must be found in the error, and each line of the error in `NAME.expect`.
#[test]
fn every_fault_is_named_and_no_other() {
    let cases = cases("config-errors", "toml");
    assert!(cases.len() > 20);
    let mut wrong = Vec::new();
    for file in cases {
        let said = said(&file);
        let expect = std::fs::read_to_string(file.with_extension("expect")).unwrap_or_default();
        let wanted: Vec<_> = expect.lines().filter(|line| !line.trim().is_empty()).collect();
        let missing = wanted.iter().filter(|w| !said.iter().any(|s| s.contains(*w))).map(|w| format!("- {w}"));
        let beyond = said.iter().filter(|s| !wanted.iter().any(|w| s.contains(w))).map(|s| format!("+ {s}"));
        let differ: Vec<_> = missing.chain(beyond).collect();
        if !differ.is_empty() || said.is_empty() {
            wrong.push(format!("{}\n{}", file.display(), differ.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The example, each of its values in turn replaced by something else.
#[test]
fn no_value_makes_it_panic_and_faults_have_lines() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["fleet.key", "ranges.csv"] {
        std::fs::copy(self::folder("config-valid").join(file), folder.path().join(file)).unwrap();
    }
    let example = std::fs::read_to_string(self::folder("config-valid/design.toml")).unwrap();
    let lines: Vec<&str> = example.lines().collect();
    let file = folder.path().join("t.toml");
    let others = [
        "0",
        "-1",
        "1.5",
        "9223372036854775807",
        "true",
        "\"\"",
        "\"x\"",
        "[]",
        "[[]]",
        "[\"x\", 1]",
        "{}",
        "{ x = {} }",
        "1979-05-27",
        "nan",
        "[1, 1.5]",
        "",
    ];
    for (i, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(" = ")) {
        let key = line.split(" = ").next().unwrap();
        for other in others {
            let mut changed = lines.clone();
            let row = format!("{key} = {other}");
            changed[i] = &row;
            std::fs::write(&file, changed.join("\n")).unwrap();
            if let Err(faults) = load(&file) {
                assert!(faults.list().iter().all(|f| f.line > 0 && !f.key.is_empty()), "{row}: {faults}");
                assert!(faults.to_string().contains(&format!("t.toml:{}:", i + 1)) || row.starts_with("name"), "{row}: {faults}");
            }
        }
    }
}

/// What `run` needs and `check` looks at too, and a replay does not: who signed the server's certificate.
#[cfg(feature = "https")]
#[test]
fn a_ca_file_without_certificates_is_a_fault_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("r.csv", "prefix,customer\n10.0.0.0/8,a\n");
    write(
        "t.toml",
        "[ranges]\nfile = \"r.csv\"\n[[stats]]\nname = \"s\"\ncalculation = \"sum\"\n[[ports]]\ndevice = \"net_null0\"\n\
         [sinks.https]\nurl = \"https://127.0.0.1/\"\nca_file = \"ca.pem\"\n",
    );
    let [begin, end] = ["-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n"];
    let fault = |pem: &str| {
        write("ca.pem", pem);
        let config = load(&folder.path().join("t.toml")).unwrap_or_else(|faults| panic!("{faults}"));
        config.for_run().err().map(|faults| faults.to_string())
    };
    assert_eq!(fault(&[begin, "MAA=\n", end].concat()), None);
    for pem in ["", "prefix,customer\n10.0.0.0/8,a\n", begin, "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"] {
        let said = fault(pem).unwrap_or_default();
        assert!(
            said.contains("t.toml:10: sinks.https.ca_file: ") && said.contains("ca.pem holds no certificate in PEM; name a file"),
            "{said}"
        );
    }
}
