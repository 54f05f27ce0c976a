//! What fuzzing found, through the same judges: all inputs that are kept in fuzz/corpus, and each that broke something once, by name.
//! `bash scripts/fuzz` looks for more.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

#[path = "../fuzz/judge/mod.rs"]
#[allow(dead_code, reason = "shared with the fuzzer")]
mod judge;

#[path = "enrich_support/mmdb.rs"]
#[allow(dead_code, reason = "shared by several tests")]
mod mmdb;

use std::path::Path;

use judge::Target;

/// Inputs of a corpus: the length of each (4, little-endian), and its bytes.
fn inputs(target: &str) -> Vec<Vec<u8>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fuzz/corpus").join(target);
    let bytes = std::fs::read(&file).unwrap_or_else(|fault| panic!("{}: {fault}", file.display()));
    let (mut rest, mut inputs) = (&bytes[..], Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let (input, behind) = behind.split_at(usize::try_from(u32::from_le_bytes(*length)).unwrap());
        inputs.push(input.to_vec());
        rest = behind;
    }
    assert!(rest.is_empty() && inputs.len() >= 10, "{}: {} inputs, {} bytes behind them", file.display(), inputs.len(), rest.len());
    inputs
}

fn judged(target: &str) {
    let target = Target::named(target).unwrap();
    let inputs = inputs(target.name);
    inputs.iter().for_each(|input| target.run(input));
    println!("{}: {} inputs", target.name, inputs.len());
}

macro_rules! corpora {
    ($($name:ident)+) => {
        $(#[test] fn $name() { judged(stringify!($name)); })+

        #[test]
        fn every_target_has_a_corpus() {
            let names: Vec<&str> = judge::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),+]);
        }
    };
}

corpora! { netflow sflow frame burst pieces templates wire mrt tables database counters segment }

/// A judge that nothing fails judges nothing: what is wrong is seen.
#[test]
fn a_judge_sees_what_is_wrong() {
    let panics = |work: fn()| std::panic::catch_unwind(work).is_err();
    assert!(!panics(|| Target::named("netflow").unwrap().run(&[0, 8, 4, 0, 0, 5, 0, 0])));
    let (held, most) = judge::most(|| vec![0_u8; 10_000]);
    assert!(held.len() == 10_000 && (10_000..20_000).contains(&most), "{most}");
}

/// The head of a frame says that 7 MB follow, in a file of 121 bytes: it is believed no further than there are bytes.
#[test]
fn a_damaged_length_of_a_segment_takes_no_memory() {
    let mut bytes = vec![0; 121];
    bytes[..8].copy_from_slice(&[b'T', b'W', b'J', b'1', 0x2C, 0, 0x73, 0]);
    Target::named("segment").unwrap().run(&bytes);
}

/// A database whose every branch leads to the same node has as many leaves as there are addresses: it is refused, and soon.
#[test]
fn a_database_whose_branches_meet_again_is_refused() {
    let mut bytes = mmdb::database(6, &[("2001:db8::1/128", mmdb::system(64_500, "a"))]);
    for node in 0..127_u32 {
        let next = &(node + 1).to_be_bytes()[1..];
        let at = usize::try_from(node).unwrap() * 6;
        bytes[at..at + 6].copy_from_slice(&[next, next].concat());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.mmdb");
    std::fs::write(&file, &bytes).unwrap();
    let fault = tailwater::origins::Origins::load(Some(&file), None).unwrap_err();
    assert!(fault.what.contains("the same nodes again"), "{fault:?}");
    Target::named("database").unwrap().run(&bytes);
}
