//! What the tag rules say of a frame of the usual kind, remembered by what they read of it: a mirror has few tags, and its
//! frames many fields.

use super::Generation;
use super::tags;
use crate::config::{Given, TagField, TagMatch, TagRule};
use crate::parse::{IpHeader, Parsed, Usual};
use crate::record::{Has, Record};
use crate::rx::Frame;

/// Answers that are remembered.
const ROWS: usize = 64;
/// Among the bits of a key: it stands for a frame, where an empty row stands for none.
const TAKEN: u64 = 1 << 63;
const VLAN_SHIFTS: [u32; 2] = [16, 29];
const DSCP_SHIFT: u32 = 42;

/// What rules say of a frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verdict {
    key: [u64; 2],
    /// Index of the rule that matched; behind the last one: none did.
    pub tag: u16,
    /// The frame is dropped: no rule matched.
    pub drops: bool,
    /// Its sampling rate should have come from a field that it lacks, or that holds none.
    pub sampling_unproven: bool,
    /// Bytes that the mirror added.
    pub added_bytes: u32,
    /// Bits that it adds to a record.
    pub has: Has,
    /// Packets that the frame stands for.
    pub weight: u16,
    /// The mitigation rule that dropped it; 0 where none is told.
    pub rule: u32,
    /// The link that it came by, from 1; 0: none.
    pub link: u8,
}

impl Verdict {
    /// Of the frames that it is said of, see [`Verdicts::key`]; of none before it is said.
    #[inline]
    pub const fn key(&self) -> [u64; 2] {
        self.key
    }
}

/// Verdicts of one generation, at one core.
#[derive(Clone, Debug)]
pub struct Verdicts {
    rows: Box<[Verdict; ROWS]>,
    /// What of a key some rule reads.
    mask: [u64; 2],
}

impl Verdicts {
    /// None yet.
    pub(super) fn new(rules: &[TagRule], links: &[(u8, TagMatch)]) -> Self {
        Self { rows: Box::new([Verdict::default(); ROWS]), mask: Self::mask(rules, links) }
    }

    /// None yet of another generation, which counts from here on.
    pub fn renew(&mut self, generation: &Generation) {
        self.rows.fill(Verdict::default());
        self.mask = Self::mask(&generation.rules, &generation.links);
    }

    fn mask(rules: &[TagRule], links: &[(u8, TagMatch)]) -> [u64; 2] {
        let read = |rule: &TagRule| {
            let from = [Some(rule.sampling), rule.rule].into_iter().flatten().filter_map(|given| match given {
                Given::Fixed(_) => None,
                Given::From(field) => Some(field),
            });
            from.map(field_mask).fold(0, |mask, more| mask | more)
        };
        let matches = || rules.iter().map(|rule| &rule.matches).chain(links.iter().map(|(_, wanted)| wanted));
        let matched = matches().flat_map(|wanted| &wanted.fields).map(|(field, _)| field_mask(*field));
        let mac = if matches().any(|wanted| wanted.src_mac.is_some()) { u64::MAX } else { 0 };
        [rules.iter().map(read).chain(matched).fold(TAKEN, |mask, more| mask | more), mac]
    }

    /// What the rules of its generation say of a frame with this key.
    #[inline(never)]
    pub fn of(&mut self, key: [u64; 2], generation: &Generation, frame: &Frame<'_>, usual: &Usual) -> Verdict {
        let mixed = (key[0] ^ key[1].rotate_left(23)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let row = &mut self.rows[(mixed >> 58) as usize % ROWS];
        if row.key != key {
            *row = ask(key, generation, frame, *usual);
        }
        *row
    }

    /// What the rules say of all untagged frames of a frame's port; none, if they ask more of them.
    #[inline]
    pub fn untagged(&mut self, generation: &Generation, frame: &Frame<'_>) -> Option<Verdict> {
        let reads_more = self.mask[1] != 0 || self.mask[0] & field_mask(TagField::Dscp) != 0;
        let key = [(TAKEN | u64::from(frame.port)) & self.mask[0], 0];
        (!reads_more).then(|| self.of(key, generation, frame, &Usual::UNTAGGED))
    }

    /// All that a rule can read of a frame, in numbers; never zeros.
    #[inline]
    pub fn key(&self, frame: &Frame<'_>, usual: &Usual) -> [u64; 2] {
        let vlan = |depth: usize| u64::from(usual.vlans[depth]) << VLAN_SHIFTS[depth];
        let key = TAKEN | u64::from(frame.port) | vlan(0) | vlan(1) | u64::from(usual.dscp()) << DSCP_SHIFT;
        let mac = if self.mask[1] == 0 { 0 } else { frame.bytes.get(6..).and_then(|rest| rest.first_chunk()).map_or(0, number) };
        [key & self.mask[0], mac]
    }
}

fn number(mac: &[u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = *mac;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// Where a field stands in a key; what no frame of the usual kind has stands nowhere.
const fn field_mask(field: TagField) -> u64 {
    match field {
        TagField::Port => 0xFFFF,
        TagField::Vlan => (Usual::TAG as u64 | 0x0FFF) << VLAN_SHIFTS[0],
        TagField::InnerVlan => (Usual::TAG as u64 | 0x0FFF) << VLAN_SHIFTS[1],
        TagField::Dscp => 0x3F << DSCP_SHIFT,
        TagField::Mpls | TagField::Vni | TagField::GreKey | TagField::ErspanSession => 0,
    }
}

/// Asks the rules themselves, with as much of the frame as they can read.
#[cold]
fn ask(key: [u64; 2], generation: &Generation, frame: &Frame<'_>, usual: Usual) -> Verdict {
    let mut parsed = Parsed::default();
    parsed.link.src_mac = frame.bytes.get(6..).and_then(|rest| rest.first_chunk()).copied();
    for id in usual.vlans.iter().filter(|id| **id != 0) {
        parsed.link.vlans[usize::from(parsed.link.vlan_count)] = id & !Usual::TAG;
        parsed.link.vlan_count += 1;
    }
    parsed.begin(IpHeader { dscp: usual.dscp(), ..IpHeader::default() });
    let at = tags::first_match(&generation.rules, frame, &parsed);
    let rule = at.and_then(|at| generation.rules.get(at));
    let mut record = Record { weight: 1, ..Record::default() };
    let proven = rule.is_none_or(|rule| tags::apply(rule, frame, &parsed, &mut record));
    Verdict {
        key,
        tag: u16::try_from(at.unwrap_or(generation.rules.len())).unwrap_or(u16::MAX),
        drops: at.is_none() && !generation.untagged_passes,
        sampling_unproven: !proven,
        added_bytes: rule.map_or(0, |rule| rule.added_bytes),
        has: record.has,
        weight: record.weight,
        rule: record.rule,
        link: tags::link(&generation.links, frame, &parsed),
    }
}
