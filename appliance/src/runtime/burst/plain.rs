//! The plainest frames of a burst, read and packed in columns, where tag rules say the same of all of them.

use super::{Bursts, Kind};
use crate::arch::columns;
use crate::classify::Verdict;
use crate::gather::usual::{Reading, tag_word};
use crate::limits::BURST_FRAMES_MAX;
use crate::runtime::world::World;
use crate::rx::Frames;
use crate::units::LinkType;

/// Fewer frames of the plainest kind are not worth to be read at once.
const PLAIN_FRAMES_MIN: u32 = 8;

/// Frames of the plainest kind that were read.
#[derive(Default)]
pub(super) struct Told {
    /// A bit each.
    pub(super) frames: u64,
    pub(super) verdict: Verdict,
    /// On the wire, without what the mirror added; and with it.
    pub(super) bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) late: u64,
}

impl Bursts {
    /// Reads those frames of a burst that are of the plainest kind, where rules and lengths allow.
    #[inline]
    pub(super) fn read_plain<'a>(&mut self, frames: impl Frames<'a>, count: usize, world: &World) -> Told {
        let Some(one) = frames.at(0).filter(|one| one.link == LinkType::Ethernet) else { return Told::default() };
        let verdict = self.verdicts.untagged(&world.generation, &one).filter(|verdict| !verdict.drops);
        let Some(verdict) = verdict.filter(|_| world.generation.measures_frames()) else { return Told::default() };
        let (mut have, mut late) = (0_u64, 0_u64);
        for at in 0..count.min(BURST_FRAMES_MAX) {
            let Some(frame) = frames.at(at) else {
                self.plain.put(at, &[], 0);
                continue;
            };
            let is_whole = frame.captured_bytes >= frame.wire_bytes && frame.link == LinkType::Ethernet;
            have |= u64::from(self.plain.put(at, if is_whole { frame.bytes } else { &[] }, frame.wire_bytes)) << at;
            late |= u64::from(frame.late) << at;
        }
        if have.count_ones() < PLAIN_FRAMES_MIN {
            return Told::default();
        }
        self.plain.end(count);
        let (plain, bank) = (&self.plain, &mut self.banks[self.bank]);
        let (reads_options, added_bytes) = (world.mirror.reads_options(), verdict.added_bytes);
        let tag = tag_word(verdict.has, verdict.weight);
        let (frames, bytes) = columns::run(Reading { plain, rows: &mut bank.rows, reads_options, added_bytes, tag });
        self.sides.put_all(&plain.addresses);
        bank.kinds[..count.min(BURST_FRAMES_MAX)].fill(Kind::Narrow);
        let received_bytes = plain.wire_bytes.iter().enumerate().map(|(at, bytes)| u64::from(*bytes) * (frames >> at & 1)).sum();
        Told { frames, verdict, bytes, received_bytes, late: (late & frames).count_ones().into() }
    }
}
