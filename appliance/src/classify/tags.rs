//! Tag rules: what the scrubber, or the mirror, wrote into a frame about it.

use crate::config::{Given, Sampler, TagField, TagMatch, TagRule};
use crate::parse::Parsed;
use crate::record::{Has, Record};
use crate::rx::Frame;

/// Index of the first rule that a frame matches.
#[inline]
pub(super) fn first_match(rules: &[TagRule], frame: &Frame<'_>, parsed: &Parsed) -> Option<usize> {
    rules.iter().position(|rule| matches(&rule.matches, frame, parsed))
}

/// The number of the link that a frame came by, from 1; 0: none.
#[inline]
pub(super) fn link(links: &[(u8, TagMatch)], frame: &Frame<'_>, parsed: &Parsed) -> u8 {
    links.iter().find(|(_, wanted)| matches(wanted, frame, parsed)).map_or(0, |(number, _)| *number)
}

fn matches(wanted: &TagMatch, frame: &Frame<'_>, parsed: &Parsed) -> bool {
    let numbers = wanted.fields.iter().all(|(field, wanted)| read(*field, frame, parsed) == Some(*wanted));
    numbers && (wanted.src_mac.is_none() || wanted.src_mac == parsed.link.src_mac)
}

/// A field of a frame, if it carries it.
fn read(field: TagField, frame: &Frame<'_>, parsed: &Parsed) -> Option<u32> {
    match field {
        TagField::Port => Some(u32::from(frame.port)),
        TagField::Vlan => vlan(parsed, 0).map(u32::from),
        TagField::InnerVlan => vlan(parsed, 1).map(u32::from),
        TagField::Dscp => parsed.headers().first().map(|h| u32::from(h.dscp)),
        TagField::Mpls => parsed.link.mpls_label,
        TagField::Vni => parsed.envelope.vni,
        TagField::GreKey => parsed.envelope.gre_key,
        TagField::ErspanSession => parsed.envelope.erspan_session.map(u32::from),
    }
}

/// VLAN id at a depth.
#[inline]
pub(super) fn vlan(parsed: &Parsed, depth: usize) -> Option<u16> {
    parsed.link.vlans.get(depth).copied().filter(|_| depth < usize::from(parsed.link.vlan_count))
}

/// Writes what a rule says into the record. False if it should have read a sampling rate from the frame, and the frame
/// has none that can be: the packet then stands for itself alone, and no interval may be claimed for it.
pub(super) fn apply(rule: &TagRule, frame: &Frame<'_>, parsed: &Parsed, record: &mut Record) -> bool {
    let value = |given: Given| match given {
        Given::Fixed(n) => Some(n),
        Given::From(field) => read(field, frame, parsed),
    };
    if let Some(id) = rule.rule.and_then(value) {
        record.rule = id;
        record.has = record.has.with(Has::RULE, true);
    }
    if !rule.blocked {
        return true;
    }
    let rate = value(rule.sampling).and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
    record.weight = rate.unwrap_or(1);
    record.has = record.has.with(Has::BLOCKED, true).with(Has::RANDOM, rate.is_some() && rule.sampler == Sampler::Random);
    rate.is_some()
}
