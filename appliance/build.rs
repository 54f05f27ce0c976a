//! Makes the Rust types of `proto/` and their proto3 JSON, without `protoc`.

#[path = "build/json.rs"]
mod json;

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../proto");
    let files = [root.join("tailwater/v1/report.proto"), root.join("flowpb/flow.proto")];
    println!("cargo::rerun-if-changed={}", root.display());
    println!("cargo::rerun-if-changed=build");
    let descriptors = protox::compile(&files, [&root])?;
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    config.compile_fds(descriptors.clone())?;
    let encoded = prost_message(&descriptors);
    // Zero values are written: a consumer must not have to guess whether a figure is zero or unknown.
    pbjson_build::Builder::new().register_descriptors(&encoded)?.emit_fields().ignore_unknown_fields().build(&[".tailwater.v1"])?;
    let tables = PathBuf::from(std::env::var("OUT_DIR")?).join("tailwater.v1.json.rs");
    std::fs::write(tables, json::tables(&descriptors, "tailwater.v1")?)?;
    Ok(())
}

fn prost_message(descriptors: &impl prost::Message) -> Vec<u8> {
    descriptors.encode_to_vec()
}
