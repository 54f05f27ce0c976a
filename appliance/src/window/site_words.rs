//! A core's account as words, on its way to the reporter.

use super::flow_account::FlowAccount;
use super::ledger::{Decisions, Ledger, Site};
use super::links::LinkSums;
use crate::duplicates::Copies;
use crate::gather::Cause;
use crate::spread::LOSING_RANGES_MAX;
use crate::units::Epoch;

impl Site {
    /// Words of [`Self::to_words`], at most.
    pub const fn words_max(ports: usize, tag_rules: usize, links: usize) -> usize {
        20 + FlowAccount::WORDS + Ledger::WORDS * ports + tag_rules + 1 + LinkSums::WORDS * links + LOSING_RANGES_MAX * (1 + Cause::COUNT)
    }

    /// Appends all of it.
    pub fn to_words(&self, out: &mut Vec<u64>) {
        out.extend([self.ports.len() as u64, self.tags.len() as u64, self.links.len() as u64, self.lost.len() as u64]);
        let held = self.held.map_or([0; 2], |(from, to)| [from.0, to.0]);
        out.extend([self.counted, self.taken_over, held[0], held[1]]);
        out.extend(self.copies.head());
        out.extend(self.lost_others);
        out.extend(self.decisions.0);
        self.copies.to_words(out);
        self.ports.iter().for_each(|ledger| ledger.to_words(out));
        out.extend_from_slice(&self.tags);
        self.links.iter().for_each(|link| link.to_words(out));
        for (range, records) in &self.lost {
            out.push(u64::from(*range));
            out.extend(records);
        }
        if !self.flows.is_blank() {
            out.extend(self.flows.to_words());
        }
    }

    /// Out of what [`Self::to_words`] wrote.
    pub fn from_words(words: &[u64]) -> Self {
        let [ports, tags, links, lost, counted, taken_over, from, to, c0, c1, c2, o0, o1, o2, d0, d1, d2, d3, d4, rest @ ..] = words else {
            return Self::default();
        };
        let size = |n: &u64| usize::try_from(*n).unwrap_or(0);
        let (copies, rest) = Copies::from_words([*c0, *c1, *c2], rest);
        let (ledgers, rest) = rest.split_at((size(ports) * Ledger::WORDS).min(rest.len()));
        let (tags, rest) = rest.split_at(size(tags).min(rest.len()));
        let (links, rest) = rest.split_at((size(links) * LinkSums::WORDS).min(rest.len()));
        let (lost, flows) = rest.split_at((size(lost) * (1 + Cause::COUNT)).min(rest.len()));
        let lost = lost.chunks_exact(1 + Cause::COUNT);
        let at = |words: &[u64], i: usize| words.get(i).copied().unwrap_or(0);
        Self {
            ports: ledgers.chunks_exact(Ledger::WORDS).map(Ledger::from_words).collect(),
            tags: tags.to_vec(),
            links: links.chunks_exact(LinkSums::WORDS).map(LinkSums::from_words).collect(),
            decisions: Decisions([*d0, *d1, *d2, *d3, *d4]),
            counted: *counted,
            taken_over: *taken_over,
            held: (from < to).then_some((Epoch(*from), Epoch(*to))),
            lost: lost.map(|of| (u32::try_from(at(of, 0)).unwrap_or(u32::MAX), [at(of, 1), at(of, 2), at(of, 3)])).collect(),
            lost_others: [*o0, *o1, *o2],
            copies,
            flows: FlowAccount::from_words(flows),
        }
    }
}
