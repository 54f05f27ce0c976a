//! A batch of narrow records turned on its side: what nearly all stats read of them, a column each.
//!
//! [`Layout::unpack`] is the definition: a test holds columns against it. Loops are plain and over 32 or 64 records, so that they
//! are compiled into whole vectors; what stands behind the last record is left from batches before.

use super::{Batch, Form, LONG_BIT, Layout, NARROW_WORDS};
use crate::limits::BATCH_RECORDS_MAX;
use crate::record::Has;

/// The words that every narrow record has, and of the third what is asked of all records at once.
pub struct Turned {
    /// Source, and above it destination: each as the four bytes of its network order, the first one lowest.
    pub addresses: [u64; BATCH_RECORDS_MAX],
    /// Source port, destination port, wire bytes, payload bytes: sixteen bits each from the lowest on.
    pub ports: [u64; BATCH_RECORDS_MAX],
    /// Protocol, TTL, TCP flags, and DSCP with the fragment above it: eight bits each from the lowest on. Then as [`Self::has`]
    /// and [`Self::weights`].
    pub small: [u64; BATCH_RECORDS_MAX],
    /// Bits of [`Has`], and the 17th of the wire bytes.
    pub has: [u16; BATCH_RECORDS_MAX],
    /// TCP flags, and above them DSCP and fragment.
    pub flags: [u16; BATCH_RECORDS_MAX],
    /// What each stands for; zero is one.
    pub weights: [u16; BATCH_RECORDS_MAX],
}

/// Where TTL stands in [`Turned::small`], TCP flags, DSCP (which has [`DSCP_BITS`]) and the fragment.
pub const TTL_SHIFT: u32 = 8;
/// See [`TTL_SHIFT`].
pub const FLAGS_SHIFT: u32 = 16;
/// See [`TTL_SHIFT`].
pub const DSCP_SHIFT: u32 = 24;
/// Bits of a DSCP.
pub const DSCP_BITS: u32 = 6;
/// See [`TTL_SHIFT`].
pub const FRAGMENT_SHIFT: u32 = DSCP_SHIFT + DSCP_BITS;
/// Those of [`Turned::flags`] that are the fragment's.
pub const FRAGMENT_MASK: u16 = 0b11 << (FRAGMENT_SHIFT - FLAGS_SHIFT);
/// Where ports and lengths stand in [`Turned::ports`].
pub const DST_PORT_SHIFT: u32 = 16;
/// See [`DST_PORT_SHIFT`].
pub const WIRE_SHIFT: u32 = 32;
/// See [`DST_PORT_SHIFT`].
pub const PAYLOAD_SHIFT: u32 = 48;
const HAS_SHIFT: u32 = 32;
const WEIGHT_SHIFT: u32 = 48;
const _: () = assert!(LONG_BIT == 1 << 15 && Has::V6.0 < LONG_BIT, "the wire's 17th bit is the highest");

impl Turned {
    /// Of an empty batch.
    pub const fn new() -> Self {
        let (words, shorts) = ([0; BATCH_RECORDS_MAX], [0; BATCH_RECORDS_MAX]);
        Self { addresses: words, ports: words, small: words, has: shorts, flags: shorts, weights: shorts }
    }

    /// Whether a batch can be turned.
    pub const fn can(batch: &Batch<'_>) -> bool {
        matches!(batch.form, Form::Narrow)
    }

    /// Reads a batch of up to `N` narrow records.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "a place of all columns a step: whole vectors come of it")]
    pub fn fill<const N: usize>(&mut self, batch: &Batch<'_>, layout: &Layout) {
        let step = layout.words(Form::Narrow);
        let words = &batch.words[..batch.words.len().min(batch.len * step)];
        let bare = words.as_chunks::<NARROW_WORDS>().0.first_chunk::<N>().filter(|_| step == NARROW_WORDS);
        if let Some(all) = bare {
            for at in 0..N {
                let [addresses, ports, small] = all[at];
                (self.addresses[at], self.ports[at], self.small[at]) = (addresses, ports, small);
            }
        } else {
            let to = self.addresses.iter_mut().zip(&mut self.ports).zip(&mut self.small);
            for (record, ((addresses, ports), small)) in words.chunks_exact(step).zip(to) {
                if let Some(&[a, b, c]) = record.first_chunk::<NARROW_WORDS>() {
                    (*addresses, *ports, *small) = (a, b, c);
                }
            }
        }
        self.part::<N>();
    }

    /// Makes of the third words what is asked of all records at once.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, clippy::cast_possible_truncation, reason = "as above; sixteen bits each are asked for")]
    fn part<const N: usize>(&mut self) {
        let Self { small, has, flags, weights, .. } = self;
        for at in 0..N {
            has[at] = (small[at] >> HAS_SHIFT) as u16;
            flags[at] = (small[at] >> FLAGS_SHIFT) as u16;
            weights[at] = (small[at] >> WEIGHT_SHIFT) as u16;
        }
    }

    /// Bytes on the wire.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, clippy::cast_possible_truncation, reason = "as above; 17 bits")]
    pub fn wire_bytes<const N: usize>(&self, out: &mut [u32; BATCH_RECORDS_MAX]) {
        for at in 0..N {
            out[at] = (self.ports[at] >> WIRE_SHIFT & 0xFFFF | (self.small[at] >> (HAS_SHIFT + 15) & 1) << 16) as u32;
        }
    }

    /// Of flows as bytes in their order, each as words of which the first byte is the lowest: the first eight, and the other five.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "as above")]
    pub fn flows<const N: usize>(&self, first: &mut [u64; BATCH_RECORDS_MAX], rest: &mut [u64; BATCH_RECORDS_MAX]) {
        for at in 0..N {
            let (src, dst, ports) = (self.addresses[at] & 0xFFFF_FFFF, self.addresses[at] >> 32, self.ports[at]);
            // Both ports with their bytes exchanged.
            let swapped = (ports & 0x00FF_00FF) << 8 | (ports & 0xFF00_FF00) >> 8;
            first[at] = src | (swapped & 0xFFFF) << 32 | dst << 48;
            rest[at] = dst >> 16 | swapped & 0xFFFF_0000 | (self.small[at] & 0xFF) << 32;
        }
    }
}

impl Default for Turned {
    fn default() -> Self {
        Self::new()
    }
}
