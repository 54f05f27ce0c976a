//! libFuzzer on one of the judges, which `TAILWATER_FUZZ` names.
#![no_main]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a judge says what must hold")]

use std::sync::OnceLock;

#[path = "../judge/mod.rs"]
mod judge;

static TARGET: OnceLock<&judge::Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("TAILWATER_FUZZ").unwrap_or_default();
        judge::Target::named(&name).unwrap_or_else(|| panic!("TAILWATER_FUZZ=\"{name}\" names no target"))
    });
    target.run(bytes);
});
