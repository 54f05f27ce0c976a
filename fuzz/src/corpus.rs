//! Seeds, made by the encoders of the tests, and the corpus: what fuzzing from them has found, an input a record.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool of developers, that ends where something is wrong")]

use std::fs;
use std::path::Path;

#[path = "../judge/mod.rs"]
#[allow(dead_code, reason = "the list of targets is wanted alone")]
mod judge;
mod seeds;

const USAGE: &str = "corpus targets | seeds TARGET FOLDER | pack FOLDER FILE | unpack FILE FOLDER";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["targets"] => judge::TARGETS.iter().for_each(|target| println!("{} {}", target.name, target.bytes_max)),
        ["seeds", target, folder] => put(folder, &seeds::of(target)),
        ["pack", folder, file] => pack(folder, file),
        ["unpack", file, folder] => put(folder, &inputs(file)),
        _ => panic!("{USAGE}"),
    }
}

/// Each under the checksum of what it holds: the same twice is once.
fn put(folder: &str, inputs: &[Vec<u8>]) {
    fs::create_dir_all(folder).unwrap();
    for input in inputs {
        fs::write(Path::new(folder).join(format!("{:08x}-{}", crc32fast::hash(input), input.len())), input).unwrap();
    }
}

/// Bytes that a corpus in the repository may have: beyond, the longest inputs are left out.
const KEPT_BYTES_MAX: usize = 800 << 10;

/// Shortest first: a record is its length (4, little-endian), then its bytes.
fn pack(folder: &str, file: &str) {
    let mut inputs: Vec<Vec<u8>> = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    inputs.sort_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    let mut bytes = 0;
    inputs.retain(|input| {
        bytes += 4 + input.len();
        bytes <= KEPT_BYTES_MAX
    });
    let record = |input: &Vec<u8>| [&u32::try_from(input.len()).unwrap().to_le_bytes()[..], input].concat();
    fs::write(file, inputs.iter().flat_map(record).collect::<Vec<u8>>()).unwrap();
    println!("{} inputs", inputs.len());
}

fn inputs(file: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(file).unwrap();
    let (mut rest, mut inputs) = (&bytes[..], Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let (input, behind) = behind.split_at(usize::try_from(u32::from_le_bytes(*length)).unwrap());
        inputs.push(input.to_vec());
        rest = behind;
    }
    inputs
}
