//! Frames: one through the parser, several through the data path both ways, and fragments into datagrams.

use std::sync::Arc;

use tailwater::flows::Address;
use tailwater::flows::udp::{Datagrams, looks_like_export};
use tailwater::limits::DATAGRAM_PIECES_BYTES_MAX;
use tailwater::parse::{MirrorPlan, Parsed, parse_into};
use tailwater::runtime::world::World;
use tailwater::rx::capture::CapturedFrame;
use tailwater::units::LinkType;

use super::{bound, came};

#[path = "../../tests/parse_support/mod.rs"]
#[allow(dead_code, reason = "seeds begin with its frames")]
mod parse_support;
#[path = "../../tests/usual_support/mod.rs"]
mod usual_support;

#[allow(unused_imports, reason = "seeds begin with them")]
pub(crate) use parse_support::STARTS;

/// One frame, held.
pub(crate) struct Held {
    pub(crate) wire_bytes: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) link: LinkType,
}

/// From control and what stands in the input: the link in the lowest three bits, how much longer it was on the wire in the highest two.
fn held(control: u8, bytes: &[u8]) -> Held {
    let longer = [0, 1, 1_400, 70_000][usize::from(control >> 6)];
    let length = u32::try_from(bytes.len()).unwrap_or(0);
    let link = parse_support::LINKS.get(usize::from(control & 7)).copied().unwrap_or(LinkType::Ethernet);
    Held { wire_bytes: length + longer, bytes: bytes.to_vec(), link }
}

/// One frame: what holds for all, what holds of its parts, and the short way if it takes it.
pub(crate) fn frame(bytes: &[u8]) {
    let Some((control, bytes)) = bytes.split_first() else { return };
    let (frame, mut whole, mut part) = (held(*control, bytes), Parsed::default(), Parsed::default());
    let ((), most) = bound::most(|| {
        let _ = parse_into(&frame.bytes, frame.wire_bytes, frame.link, &MirrorPlan::default(), &mut whole);
    });
    assert_eq!(most, 0, "the data path allocates nothing");
    parse_support::check(&frame.bytes, frame.wire_bytes, frame.link, &mut part);
    for end in [bytes.len() / 2, bytes.len().saturating_sub(1), 34.min(bytes.len())] {
        let _ = parse_into(&bytes[..end], frame.wire_bytes, frame.link, &MirrorPlan::default(), &mut part);
        parse_support::part_of(&part, &whole);
    }
    usual_support::alike("fuzzed", &frame);
}

/// Several frames through the data path, by the walk and as bursts; the first byte says by which configuration, and how long runs are.
pub(crate) fn burst(bytes: &[u8]) {
    let Some((first, mut rest)) = bytes.split_first() else { return };
    let mut frames = Vec::new();
    while let Some((control, bytes, behind)) = came::next(rest) {
        rest = behind;
        // Mostly Ethernet, as nearly all that comes.
        let control = if control & 0x38 == 0 { control } else { control & 0xF8 };
        frames.push(held(control, bytes));
    }
    WORLDS.with(|worlds| {
        let (toml, world) = &worlds[usize::from(first & 0x7F) % worlds.len()];
        usual_support::judge_runs("fuzzed", &frames, if first & 0x80 == 0 { 5 } else { 150 }, toml, world);
    });
}

thread_local! {
    static WORLDS: Vec<(String, Arc<World>)> = usual_support::configurations().into_iter().map(|toml| (toml.clone(), usual_support::world(&toml))).collect();
}

/// Time before a frame, by three bits of its control.
const STEPS_NS: [u64; 8] = [0, 1, 1_000_000_000, 5_000_000_000, 15_000_000_000, 30_000_000_000, 30_000_000_001, u64::MAX - 7];

/// Fragments into datagrams, with time between: never more held than may be, none longer than a datagram can be, nor made of what did not
/// come, and each that was begun is accounted for.
pub(crate) fn pieces(mut bytes: &[u8]) {
    let (mut datagrams, mut frames, mut time_ns) = (Datagrams::default(), Vec::new(), 1_u64);
    while let Some((control, frame, behind)) = came::next(bytes) {
        bytes = behind;
        // The last one goes back.
        time_ns = time_ns.wrapping_add(STEPS_NS[usize::from(control >> 3 & 7)]);
        frames.push((held(control, frame), time_ns));
    }
    let all: usize = frames.iter().map(|(frame, _)| frame.bytes.len() + 256).sum();
    let ((), most) = bound::most(|| {
        for (frame, time_ns) in &frames {
            let captured = CapturedFrame { bytes: &frame.bytes, wire_bytes: frame.wire_bytes, link: frame.link, time_ns: *time_ns };
            if let Some(datagram) = datagrams.take(&captured) {
                assert!(datagram.payload.len() <= all && datagram.src != Address::NONE);
                let _ = looks_like_export(&datagram.payload);
            }
            assert!(datagrams.taken().balances(), "{:?}", datagrams.taken());
        }
    });
    assert_eq!(datagrams.taken().whole + datagrams.taken().begun > 0, !frames.is_empty());
    assert!(most <= DATAGRAM_PIECES_BYTES_MAX.min((64 << 10) + 16 * all), "{most} bytes held for {all}");
}
