//! What sequence numbers told, by exporter and observation domain, of those that had gaps, repeats or restarts: a bounded number of them,
//! all others together.

use std::fmt;

use super::collector::SFLOW;
use super::domain::DomainKey;
use super::ledger::{Gaps, Ledger};
use super::rows::{Rows, Sum};
use crate::limits::FLOW_DOMAINS_TOLD_MAX;

/// Of datagrams, records and samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AllGaps([Gaps; 3]);

/// Their names.
const UNITS: [&str; 3] = ["datagrams", "records", "samples"];

impl AllGaps {
    pub(super) const fn of(ledger: &Ledger) -> Self {
        Self([ledger.datagram_gaps, ledger.record_gaps, ledger.sample_gaps])
    }

    fn since(self, before: Self) -> Self {
        let [datagrams, records, samples] = self.0;
        Self([datagrams.since(before.0[0]), records.since(before.0[1]), samples.since(before.0[2])])
    }
}

impl Sum for AllGaps {
    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| sum.add(more));
    }
}

/// One of them, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainGaps {
    /// Source address; `other` where it is all others.
    pub exporter: String,
    /// `netflow5`, `netflow7`, `netflow9`, `ipfix`, `sflow5`.
    pub protocol: &'static str,
    /// Observation domain, source id, engine or sub-agent; the agent before it where that is not the source; the port behind it where
    /// exporters are told apart by it.
    pub domain: String,
    /// What is counted (`datagrams`, `records`, `samples`), and what of it is missing.
    pub gaps: Vec<(&'static str, Gaps)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Numbers(Rows<DomainKey, AllGaps>);

impl Default for Numbers {
    fn default() -> Self {
        Self(Rows::new(FLOW_DOMAINS_TOLD_MAX))
    }
}

impl Numbers {
    /// A datagram of a domain, and the account before and behind it. Who has no gaps has no row: rows are few. See [`Rows::note`].
    #[inline]
    pub(super) fn note(&mut self, at: usize, (key, now_ns): (&DomainKey, u64), before: AllGaps, after: &Ledger) -> usize {
        let more = AllGaps::of(after).since(before);
        self.0.note(at, (key, now_ns, more != AllGaps::default()), &more)
    }

    /// By exporter, protocol and domain; the last are all others.
    pub fn told(&self) -> Vec<DomainGaps> {
        let mut rows: Vec<_> = self.0.iter().collect();
        rows.sort_by_key(|(key, _)| **key);
        let other = DomainGaps { exporter: "other".to_owned(), protocol: "", domain: String::new(), gaps: counted(0, self.0.other()) };
        rows.into_iter().map(|(key, gaps)| in_words(key, gaps)).chain([other]).collect()
    }
}

fn in_words(key: &DomainKey, gaps: &AllGaps) -> DomainGaps {
    let protocol = match key.version {
        5 => "netflow5",
        7 => "netflow7",
        9 => "netflow9",
        10 => "ipfix",
        _ => "sflow5",
    };
    let mut domain = key.id.to_string();
    if key.version == SFLOW && key.agent != key.exporter {
        domain = format!("{}/{domain}", key.agent.text());
    }
    if key.port != 0 {
        domain = format!("{domain}:{}", key.port);
    }
    DomainGaps { exporter: key.exporter.text(), protocol, domain, gaps: counted(key.version, gaps) }
}

/// What a protocol counts; version 0 is any.
fn counted(version: u16, gaps: &AllGaps) -> Vec<(&'static str, Gaps)> {
    let counts: [bool; 3] = match version {
        0 => [true; 3],
        9 => [true, false, false],
        SFLOW => [true, false, true],
        _ => [false, true, false],
    };
    UNITS.into_iter().zip(gaps.0).zip(counts).filter(|(_, is)| *is).map(|(row, _)| row).collect()
}

/// A line for each domain of which anything is told, below one that says how many there are.
impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.told();
        let of_note = |row: &&DomainGaps| row.gaps.iter().any(|(_, gaps)| *gaps != Gaps::default());
        write!(f, "gaps by domain: {} with any", self.0.iter().count())?;
        for DomainGaps { exporter, protocol, domain, gaps } in told.iter().filter(of_note) {
            let gaps = gaps.iter().map(|(of, gaps)| format!("{of} {gaps}")).collect::<Vec<_>>().join("; ");
            let who = if protocol.is_empty() { "all others".to_owned() } else { format!("{exporter} {protocol} {domain}") };
            write!(f, "\n  {who}: {gaps}")?;
        }
        Ok(())
    }
}
