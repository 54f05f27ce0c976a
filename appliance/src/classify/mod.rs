//! Parsed frames → records of ranges: tag rules, lengths, longest prefix match, directions.
//!
//! A [`Generation`] is made once of a configuration and its ranges, and never changes: cores share it without a lock, and
//! a new configuration is a new generation.

mod cells;
#[cfg(test)]
mod domain_tests;
mod domains;
mod length;
mod lpm;
#[cfg(test)]
mod lpm_bound_tests;
#[cfg(test)]
mod lpm_hard_tests;
#[cfg(test)]
mod lpm_tests;
mod prefix;
mod runs;
mod scopes;
mod tags;
mod usual;
mod verdict;
#[cfg(test)]
mod tests;
mod trees;
mod trie;

use std::sync::Arc;

pub use lpm::Lpm;
pub use scopes::{Of, Owner, Scope, Scopes};
pub use usual::{Found, LongSides, Sides};
pub use verdict::{Verdict, Verdicts};

use domains::{Domains, Place};

use crate::config::{KeysFrom, LengthFrom, Mirror, Range, TagMatch, TagRule};
use crate::parse::{DropReason, IpHeader, Parsed};
use crate::record::{Has, Record};
use crate::rx::Frame;
use crate::units::RangeIndex;

/// Everything that tells what a packet belongs to.
#[derive(Clone, Debug)]
pub struct Generation {
    domains: Domains,
    rules: Vec<TagRule>,
    /// With the number of the link that they are of, from 1.
    links: Vec<(u8, TagMatch)>,
    keys_from: KeysFrom,
    length: LengthFrom,
    untagged_passes: bool,
    /// Direction bits of what the mirror shows.
    observed: Has,
    /// Which ranges are counted together.
    scopes: Arc<Scopes>,
}

/// A range that a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The range.
    pub range: RangeIndex,
    /// [`Has::INGRESS`], [`Has::EGRESS`] or both: to be added to the record's `has`.
    pub direction: Has,
}

/// What came of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// The packet; without a direction. Also filled where no range matched, for those who count the unmatched.
    pub record: Record,
    /// Index of the tag rule that matched; none: untagged.
    pub tag: Option<u16>,
    /// Its length should have come from its IP header, but that one is impossible: it is the frame's.
    pub length_implausible: bool,
    /// Its sampling rate should have come from a field that it lacks, or that holds 0 or more than 65,535: it is 1.
    pub sampling_unproven: bool,
    hits: [Option<Hit>; 2],
}

impl Classified {
    /// Ranges that it belongs to, at most two; none: unmatched. The one that it comes from may be told by a twin, see [`Scopes`].
    #[inline]
    pub fn hits(&self) -> impl Iterator<Item = Hit> {
        self.hits.into_iter().flatten()
    }

    /// Whether no range matched in a direction that is observed.
    #[inline]
    pub const fn is_unmatched(&self) -> bool {
        self.hits[0].is_none() && self.hits[1].is_none()
    }
}

impl Hit {
    /// The packet as this range sees it.
    #[inline]
    #[must_use]
    pub const fn record(self, mut record: Record) -> Record {
        record.has = record.has.with(self.direction, true);
        record
    }
}

impl Generation {
    /// `ranges` in the order of [`crate::config::ranges::load`].
    pub fn new(ranges: &[Range], rules: &[TagRule], keys_from: KeysFrom, mirror: &Mirror) -> Self {
        let observed = Has::default().with(Has::INGRESS, mirror.ingress).with(Has::EGRESS, mirror.egress);
        let domains = Domains::new(ranges);
        let (length, untagged_passes, scopes) = (mirror.length, mirror.untagged_passes, Arc::default());
        Self { domains, rules: rules.to_vec(), links: Vec::new(), keys_from, length, untagged_passes, observed, scopes }
    }

    /// The same, which keeps apart what roll-ups have twice.
    #[must_use]
    pub fn with_scopes(self, scopes: &Arc<Scopes>) -> Self {
        Self { scopes: Arc::clone(scopes), ..self }
    }

    /// The same, which knows by which of these a frame came: what frames of each match, any of it.
    #[must_use]
    pub fn with_links<'a>(self, links: impl IntoIterator<Item = &'a [TagMatch]>) -> Self {
        let numbered = (1..=u8::MAX).zip(links);
        let links = numbered.flat_map(|(number, any)| any.iter().map(move |one| (number, one.clone()))).collect();
        Self { links, ..self }
    }

    /// What the tag rules say of a frame that came by a link, and by which, which need not have an IP header.
    pub fn link(&self, frame: &Frame<'_>, parsed: &Parsed) -> Record {
        let link = tags::link(&self.links, frame, parsed);
        let wire_bytes = frame.wire_bytes.saturating_sub(parsed.stripped_bytes);
        let mut record = Record { weight: 1, link, wire_bytes, ..Record::default() };
        if link > 0
            && let Some(rule) = tags::first_match(&self.rules, frame, parsed).and_then(|at| self.rules.get(at))
        {
            tags::apply(rule, frame, parsed, &mut record);
            record.wire_bytes = wire_bytes.saturating_sub(rule.added_bytes);
        }
        record
    }

    /// What is known of a frame of which no IP header could be read, and which tag rule matched.
    pub fn unread(&self, frame: &Frame<'_>, parsed: &Parsed) -> (Record, Option<u16>) {
        let mut record = Record { wire_bytes: frame.wire_bytes.saturating_sub(parsed.stripped_bytes), ..Record::default() };
        of_frame(frame, parsed, &mut record);
        record.link = tags::link(&self.links, frame, parsed);
        let tag = tags::first_match(&self.rules, frame, parsed);
        if let Some(rule) = tag.and_then(|at| self.rules.get(at)) {
            tags::apply(rule, frame, parsed, &mut record);
            record.wire_bytes = record.wire_bytes.saturating_sub(rule.added_bytes);
        }
        (record, tag.and_then(|at| u16::try_from(at).ok()))
    }

    /// Whose a range's index is, which may be that of a twin.
    pub fn owner(&self, range: RangeIndex) -> u32 {
        self.scopes.owner(range.0).range
    }

    /// Its prefixes without a domain.
    pub const fn lpm(&self) -> &Lpm {
        self.domains.common()
    }

    /// What a frame is, and whose.
    ///
    /// # Errors
    /// [`DropReason::Untagged`]: no tag rule matched, and such frames are to be dropped.
    #[inline]
    pub fn classify(&self, frame: &Frame<'_>, parsed: &Parsed) -> Result<Classified, DropReason> {
        let tag = tags::first_match(&self.rules, frame, parsed);
        if tag.is_none() && !self.untagged_passes {
            return Err(DropReason::Untagged);
        }
        let rule = tag.and_then(|i| self.rules.get(i));
        let (header, hits) = self.choose(parsed);
        let mut record = header.map_or_else(Record::default, of_header);
        of_frame(frame, parsed, &mut record);
        let proven = rule.is_none_or(|rule| tags::apply(rule, frame, parsed, &mut record));
        let (wire_bytes, length_implausible) =
            length::wire_bytes(self.length, frame, &length::Claims::of(parsed), rule.map_or(0, |r| r.added_bytes));
        record.wire_bytes = wire_bytes;
        record.link = tags::link(&self.links, frame, parsed);
        let tag = tag.and_then(|i| u16::try_from(i).ok());
        Ok(Classified { record, tag, length_implausible, sampling_unproven: !proven, hits })
    }

    /// The header that counts, and its ranges. With `matched` it is the outermost one that has any, observed or not: what
    /// a tunnel holds is never asked while its own addresses are ours.
    #[inline]
    fn choose<'a>(&self, parsed: &'a Parsed) -> (Option<&'a IpHeader>, [Option<Hit>; 2]) {
        let (headers, place) = (parsed.headers(), self.domains.place(parsed));
        let at = match self.keys_from {
            KeysFrom::Outermost => 0,
            KeysFrom::Innermost => headers.len().saturating_sub(1),
            KeysFrom::Matched => {
                let mut sides = headers.iter().enumerate().map(|(i, h)| (h, self.sides(place, i, h)));
                let Some((header, sides)) = sides.find(|(_, (src, dst))| src.is_some() || dst.is_some()) else {
                    return (headers.first(), [None, None]);
                };
                return (Some(header), self.hits(sides));
            }
        };
        let header = headers.get(at);
        (header, header.map_or([None, None], |h| self.hits(self.sides(place, at, h))))
    }

    /// Ranges of source and destination of the header at this position.
    #[inline]
    fn sides(&self, place: Place<'_>, at: usize, header: &IpHeader) -> (Option<RangeIndex>, Option<RangeIndex>) {
        let family = header.family();
        (self.domains.lookup(place, at, family, &header.src), self.domains.lookup(place, at, family, &header.dst))
    }

    /// A packet comes from its source's range and goes towards its destination's; what is not observed is left out.
    #[inline]
    fn hits(&self, (src, dst): (Option<RangeIndex>, Option<RangeIndex>)) -> [Option<Hit>; 2] {
        let hit = |range: Option<RangeIndex>, direction: Has| {
            range.filter(|_| self.observed.all(direction)).map(|range| Hit { range, direction })
        };
        let (ingress, egress) = (hit(dst, Has::INGRESS), hit(src, Has::EGRESS));
        match (ingress, egress) {
            (Some(to), Some(from)) if to.range == from.range => {
                [Some(Hit { range: to.range, direction: to.direction.with(from.direction, true) }), None]
            }
            (Some(to), Some(from)) => [Some(to), Some(Hit { range: RangeIndex(self.scopes.source(from.range.0, to.range.0)), ..from })],
            either => either.into(),
        }
    }
}

/// What the header that counts says.
#[inline]
fn of_header(header: &IpHeader) -> Record {
    let icmp = header.icmp.map_or(0, |(kind, code)| u16::from_be_bytes([kind, code]));
    let (src_port, dst_port) = header.ports.unwrap_or((icmp, 0));
    let has = Has::default()
        .with(Has::V6, header.v6)
        .with(Has::PORTS, header.ports.is_some())
        .with(Has::ICMP, header.icmp.is_some() && header.ports.is_none())
        .with(Has::TCP_FLAGS, header.tcp_flags.is_some());
    Record {
        src: header.src,
        dst: header.dst,
        payload_bytes: header.payload_bytes,
        src_port,
        dst_port,
        has,
        protocol: header.protocol,
        ttl: header.ttl,
        dscp: header.dscp,
        tcp_flags: header.tcp_flags.unwrap_or(0),
        fragment: header.fragment,
        tunnel: header.tunnel,
        tcp_options: header.tcp_options,
        ip_options: header.ip_options,
        tcp_window: header.tcp_window,
        tcp_seq: header.tcp_seq,
        weight: 1,
        ..Record::default()
    }
}

/// What is the frame's own, whichever header counts.
#[inline]
fn of_frame(frame: &Frame<'_>, parsed: &Parsed, record: &mut Record) {
    let (vlan, inner_vlan) = (tags::vlan(parsed, 0), tags::vlan(parsed, 1));
    let (mpls, mac) = (parsed.link.mpls_label, parsed.link.src_mac);
    record.time_ns = frame.time_ns;
    record.rx_port = frame.port;
    record.vlan = vlan.unwrap_or(0);
    record.inner_vlan = inner_vlan.unwrap_or(0);
    record.mpls_label = mpls.unwrap_or(0);
    record.src_mac = mac.unwrap_or_default();
    record.weight = record.weight.max(1);
    record.has = record
        .has
        .with(Has::VLAN, vlan.is_some())
        .with(Has::INNER_VLAN, inner_vlan.is_some())
        .with(Has::MPLS, mpls.is_some())
        .with(Has::MAC, mac.is_some());
}
