//! Finds the distribution's DPDK with pkg-config, compiles the shim and generates the bindings.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest release whose headers the bindings are written for.
const DPDK_VERSION_MIN: &str = "22.11";
const REMEDY: &str = "run `bash scripts/setup`, or build without DPDK: `cargo build --no-default-features`";
/// Core libraries, `net_ring`, whose set-up function is called directly, and the prefix tables that a bench compares with
/// ours; what is not called is not linked. Every other driver is loaded by EAL itself.
const LIBRARIES: [&str; 8] = ["rte_eal", "rte_ethdev", "rte_mbuf", "rte_mempool", "rte_ring", "rte_net_ring", "rte_lpm", "rte_fib"];

fn main() {
    for file in ["wrapper.h", "shim.c", "shim.h", "build.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    for name in ["PKG_CONFIG", "PKG_CONFIG_PATH", "LIBCLANG_PATH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if let Err(error) = build() {
        // `cargo::error` stands alone on the terminal; a panic would bury it.
        println!("cargo::error={error}");
        std::process::exit(1);
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let flags = pkg_config("--cflags")?;
    cc::Build::new()
        .file("shim.c")
        .flags(&flags)
        .opt_level(3)
        .warnings(false)
        .try_compile("tailwater_dpdk_shim")
        .map_err(|error| format!("the DPDK shim does not compile ({error}); is libdpdk-dev installed? {REMEDY}"))?;
    link()?;
    bindings(&flags)
}

fn link() -> Result<(), Box<dyn Error>> {
    for flag in pkg_config("--libs-only-L")? {
        println!("cargo::rustc-link-search=native={}", flag.trim_start_matches("-L"));
    }
    let directory = pkg_config("--variable=libdir")?;
    println!("cargo::rustc-link-search=native={}", directory.first().ok_or("pkg-config names no libdir for libdpdk")?);
    for library in LIBRARIES {
        println!("cargo::rustc-link-lib=dylib={library}");
    }
    Ok(())
}

/// Words that pkg-config prints for libdpdk.
fn pkg_config(argument: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let program = std::env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    let output = Command::new(&program)
        .args([argument, &format!("libdpdk >= {DPDK_VERSION_MIN}")])
        .output()
        .map_err(|error| format!("cannot run {program} ({error}): {REMEDY}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or("no reason given");
        return Err(format!("DPDK {DPDK_VERSION_MIN} or newer not found ({said}): {REMEDY}").into());
    }
    Ok(String::from_utf8(output.stdout)?.split_whitespace().map(Into::into).collect())
}

fn bindings(flags: &[String]) -> Result<(), Box<dyn Error>> {
    choose_libclang();
    let builder = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(flags)
        .allowlist_function("tw_.*|rte_(eal|dev|eth|pktmbuf|mempool|mbuf_dyn|ring|lcore|get_.*_lcore|log|openlog|strerror|version).*")
        .allowlist_function("rte_malloc_heap_.*")
        .allowlist_function("rte_(lpm6?|fib6?)_(create|free|add|lookup_bulk|lookup_bulk_func|select_lookup)|rte_vect_set_max_simd_bitwidth")
        .allowlist_type("rte_(mbuf|eth_.*)")
        .allowlist_var("TW_.*|RTE_(ETH|MBUF|MAX|PKTMBUF|LOG|MEMPOOL|LPM_LOOKUP)_.*")
        .derive_default(true)
        .default_enum_style(bindgen::EnumVariation::ModuleConsts)
        .layout_tests(true);
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("bindings.rs");
    // bindgen panics, it does not return, where it cannot load libclang; our own words are enough then.
    std::panic::set_hook(Box::new(|_| {}));
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.generate()));
    let _ = std::panic::take_hook();
    match made {
        Err(_) => Err(format!("libclang is missing or unusable: {REMEDY}").into()),
        Ok(Err(error)) => Err(format!("bindings to DPDK cannot be generated ({error}): {REMEDY}").into()),
        Ok(Ok(bindings)) => Ok(bindings.write_to_file(out)?),
    }
}

/// Where several releases of libclang stand side by side, the one that belongs to `clang` is taken: another's own headers
/// do not fit.
fn choose_libclang() {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return;
    }
    let said = Command::new("clang").arg("--version").output().map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    let Some(major) =
        said.ok().as_deref().and_then(|said| said.split("version ").nth(1)).and_then(|v| v.split('.').next().map(str::to_owned))
    else {
        return;
    };
    let directory = format!("/usr/lib/llvm-{major}/lib");
    if Path::new(&directory).is_dir() {
        // SAFETY: this program has one thread.
        unsafe { std::env::set_var("LIBCLANG_PATH", directory) };
    }
}
