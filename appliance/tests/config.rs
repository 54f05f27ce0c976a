//! Configurations as files: those that must load, and those whose faults must be named. Anyone can add a case: a pair
//! `NAME.toml` and `NAME.expect` in `tests/config-errors`, the latter holding lines that must appear.

use std::path::{Path, PathBuf};

use tailwater::config::{self, Config, Faults, Refusal, StatSpec};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(name)
}

/// As far as these cases need it, what the calculations refuse.
fn refuse(spec: &StatSpec) -> Result<(), Refusal> {
    let refusal = |key: &str, message: &str| Err(Refusal { key: key.to_owned(), message: message.to_owned() });
    let known: &[&str] = match spec.calculation.as_str() {
        "sum" => &[],
        "topk" => &["k"],
        "distinct" => &["p"],
        "histogram" => &["bins"],
        _ => return refusal("calculation", "is unknown"),
    };
    if spec.calculation == "distinct" && spec.metric == tailwater::axes::Metric::Bytes {
        return refusal("metric", "bytes is no metric of distinct; write packets");
    }
    match spec.settings.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        Some((name, _)) => refusal(name, "is no setting of this calculation"),
        None => Ok(()),
    }
}

fn load(file: &Path) -> Result<Config, Faults> {
    config::load(file, &refuse)
}

#[test]
fn the_design_example_loads_completely() {
    let config = load(&folder("config-valid/design.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!((config.appliance.window_ms, config.appliance.fast_window_ms), (10_000, 1_000));
    assert_eq!(config.stats.len(), 3);
    assert!(config.appliance.hash_key.is_some());
    assert!(config.for_run().is_ok());
}
