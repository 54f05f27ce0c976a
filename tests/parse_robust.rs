//! The parser against bytes that nobody sane would send: random ones, real frames with bytes changed, and real frames cut
//! at every byte. It may be told lies; it may not panic, exceed its bounds, or make more of a part than of the whole.

#![allow(clippy::cast_possible_truncation, reason = "frames are short")]

mod captures;
mod parse_support;

use parse_support::{LINKS, STARTS, check, part_of};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tailwater::parse::{MirrorPlan, Parsed, parse_into};
use tailwater::units::LinkType;

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_break_nothing(bytes in prop::collection::vec(any::<u8>(), 0..300), wire_bytes in 0u32..2_000, link in 0usize..5) {
        check(&bytes, wire_bytes, LINKS[link], &mut Parsed::default());
    }

    /// Random bytes hardly ever get past the first type: these begin as something.
    #[test]
    fn random_payloads_break_nothing(start in 0usize..STARTS.len(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let frame = [STARTS[start], &bytes].concat();
        check(&frame, 0, LinkType::Ethernet, &mut Parsed::default());
    }
}

/// Frames to change and to cut: a few of each capture, or the beginnings above with zeros behind them.
fn specimens(test: &str, of_each: usize) -> Vec<captures::Held> {
    let Some(folder) = captures::folder(test) else {
        let held = |start: &&[u8]| captures::Held { wire_bytes: 0, bytes: [start, &[0x45; 120][..]].concat(), link: LinkType::Ethernet };
        return STARTS.iter().map(held).collect();
    };
    captures::files(&folder).iter().flat_map(|path| captures::frames(path).into_iter().take(of_each)).collect()
}

#[test]
fn changed_frames_break_nothing() {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| u64::from(std::process::id()));
    println!("SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut parsed = Parsed::default();
    for frame in &mut specimens("changed_frames_break_nothing", 20) {
        let original = frame.bytes.clone();
        for _ in 0..200 {
            frame.bytes.clone_from(&original);
            let reach = original.len().clamp(1, 160);
            for _ in 0..=random.next_u32() % 6 {
                let at = random.next_u32() as usize % reach;
                if let Some(byte) = frame.bytes.get_mut(at) {
                    *byte = random.next_u32().to_le_bytes()[0];
                }
            }
            check(&frame.bytes, frame.wire_bytes, frame.link, &mut parsed);
        }
    }
}

#[test]
fn a_cut_frame_says_nothing_else() {
    let (mut whole, mut part) = (Parsed::default(), Parsed::default());
    let plan = MirrorPlan::default();
    for frame in &specimens("a_cut_frame_says_nothing_else", 60) {
        let wire_bytes = frame.wire_bytes.max(frame.bytes.len() as u32);
        let _ = parse_into(&frame.bytes, wire_bytes, frame.link, &plan, &mut whole);
        for end in 0..frame.bytes.len().min(400) {
            let _ = parse_into(&frame.bytes[..end], wire_bytes, frame.link, &plan, &mut part);
            part_of(&part, &whole);
        }
    }
}
