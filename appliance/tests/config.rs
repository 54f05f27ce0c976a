//! Configurations as files: those that must load, and those whose faults must be named. Anyone can add a case: a pair
//! `NAME.toml` and `NAME.expect` in `tests/config-errors`, the latter holding lines that must appear.

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
