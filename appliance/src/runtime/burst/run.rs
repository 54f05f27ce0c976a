//! What is counted once for many frames.

use crate::classify::Verdict;
use crate::gather::usual::tag_word;
use crate::window::{Same, Site};

/// Frames one behind the other of which the tag rules say the same.
#[derive(Default)]
pub(super) struct Run {
    /// None before the first: no frame has its key.
    pub(super) verdict: Verdict,
    /// What it adds to a record.
    pub(super) word: u64,
    pub(super) frames: u64,
    /// On the wire, without what the mirror added.
    pub(super) bytes: u64,
    /// Of those the squares, and the longest, where a link asks for them.
    pub(super) squares: u64,
    pub(super) longest: u64,
}

impl Run {
    pub(super) fn begin(&mut self, verdict: Verdict) {
        let word = tag_word(verdict.has, verdict.weight);
        *self = Self { verdict, word, ..Self::default() };
    }

    #[inline]
    pub(super) fn add(&mut self, wire_bytes: u32) {
        let bytes = u64::from(wire_bytes);
        (self.frames, self.bytes) = (self.frames + 1, self.bytes + bytes);
        if self.verdict.link > 0 {
            (self.squares, self.longest) = (self.squares + bytes * bytes, self.longest.max(bytes));
        }
    }

    pub(super) fn book(&self, site: &mut Site, port: usize) {
        if self.frames == 0 {
            return;
        }
        site.decisions.add(self.verdict.has, (self.frames, self.bytes), self.verdict.weight);
        site.tags[usize::from(self.verdict.tag)] += self.frames;
        if let Some(link) = site.link(self.verdict.link) {
            let Self { verdict: Verdict { has, weight, .. }, frames, bytes, squares, longest, .. } = *self;
            link.add(&Same { has, weight, frames, bytes, squares, longest });
        }
        let ledger = &mut site.ports[port];
        ledger.received += self.frames;
        ledger.parsed += self.frames;
        ledger.unproven += if self.verdict.sampling_unproven { self.frames } else { 0 };
    }
}
