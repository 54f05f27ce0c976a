//! `[[tags]]`: what a frame must carry to count as blocked, and what else its tag says.

use std::fmt;
use std::ops::RangeInclusive;

use super::walk::{Field, Section};
use crate::axes::value::mac;
use crate::limits::{FRAME_BYTES_MAX, TAG_RULES_MAX};

/// A field of a frame that tags are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "spelled as in the configuration")]
pub enum TagField {
    Port,
    Vlan,
    InnerVlan,
    Dscp,
    Mpls,
    Vni,
    GreKey,
    ErspanSession,
}

impl TagField {
    /// All of them, with their spelling.
    pub const ALL: [(&'static str, Self); 8] = [
        ("port", Self::Port),
        ("vlan", Self::Vlan),
        ("inner_vlan", Self::InnerVlan),
        ("dscp", Self::Dscp),
        ("mpls", Self::Mpls),
        ("vni", Self::Vni),
        ("gre_key", Self::GreKey),
        ("erspan_session", Self::ErspanSession),
    ];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, f)| *f == self).map_or("", |(name, _)| name)
    }

    /// What it can hold, by its width on the wire.
    pub const fn bounds(self) -> RangeInclusive<u64> {
        let bits = match self {
            Self::Port => 16,
            Self::Vlan | Self::InnerVlan => 12,
            Self::Dscp => 6,
            Self::Mpls => 20,
            Self::Vni => 24,
            Self::GreKey => 32,
            Self::ErspanSession => 10,
        };
        0..=(1 << bits) - 1
    }
}

/// What a frame must carry for a tag rule: all that are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagMatch {
    /// Numbers, by field.
    pub fields: Vec<(TagField, u32)>,
    /// `src_mac`
    pub src_mac: Option<[u8; 6]>,
}

impl fmt::Display for TagMatch {
    /// `vlan=666 src_mac=02:00:5e:10:00:01`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mac = |mac: &[u8; 6]| format!("src_mac={}", mac.map(|byte| format!("{byte:02x}")).join(":"));
        let fields = self.fields.iter().map(|(field, value)| format!("{}={value}", field.name()));
        f.write_str(&fields.chain(self.src_mac.as_ref().map(mac)).collect::<Vec<_>>().join(" "))
    }
}

/// A number that is given, or that a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// In the configuration.
    Fixed(u32),
    /// In this field of the frame.
    From(TagField),
}

/// How the scrubber draws its sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "spelled as in the configuration")]
pub enum Sampler {
    Random,
    EveryNth,
    Hash,
}

impl Sampler {
    /// All of them, with their spelling.
    pub const ALL: [(&'static str, Self); 3] = [("random", Self::Random), ("every_nth", Self::EveryNth), ("hash", Self::Hash)];
}

/// One of `[[tags]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRule {
    /// `match`
    pub matches: TagMatch,
    /// `decision`
    pub blocked: bool,
    /// Default 1; at most 65,535.
    pub sampling: Given,
    /// Default `random`.
    pub sampler: Sampler,
    /// Default 0.
    pub added_bytes: u32,
    /// `rule`
    pub rule: Option<Given>,
}

impl TagRule {
    /// The largest weight that it can give a record.
    pub fn weight_max(&self) -> u16 {
        match self.sampling {
            Given::Fixed(n) => u16::try_from(n).unwrap_or(u16::MAX),
            Given::From(field) => u16::try_from(*field.bounds().end()).unwrap_or(u16::MAX),
        }
    }
}

const DECISIONS: [(&str, bool); 2] = [("passed", false), ("blocked", true)];
const MATCH: &str = "match = { vlan = 666 }";

/// `[[tags]]`
pub(super) fn read(root: &Section<'_, '_>) -> Vec<TagRule> {
    let rows = root.rows("tags");
    if let Some(row) = rows.get(TAG_RULES_MAX) {
        row.book().fault(&row.at, format!("is one rule more than the {TAG_RULES_MAX} that an appliance may have"), "remove it");
    }
    rows.into_iter().filter_map(rule).collect()
}

fn rule(row: Section<'_, '_>) -> Option<TagRule> {
    let matches = row.require("match", MATCH).and_then(|f| f.section(MATCH)).map(matching);
    let blocked = row.require("decision", "decision = \"blocked\"").and_then(|f| f.choice(&DECISIONS));
    let sampling = row.take("sampling").map_or(Some(Given::Fixed(1)), |f| given(&f, 1..=u64::from(u16::MAX), "40"));
    if blocked == Some(false) && sampling.is_some_and(|s| s != Given::Fixed(1)) {
        row.fault("sampling", "stands beside decision = \"passed\", but every packet that passed is mirrored", "remove it");
    }
    let sampler = row.choice("sampler", &Sampler::ALL).unwrap_or(Sampler::Random);
    let added_bytes = row.integer("added_bytes", 0..=FRAME_BYTES_MAX as u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let rule = row.take("rule").map(|f| given(&f, 0..=u64::from(u32::MAX), "7"));
    row.close();
    Some(TagRule { matches: matches?, blocked: blocked?, sampling: sampling?, sampler, added_bytes, rule: rule.flatten() })
}

pub(super) fn matching(section: Section<'_, '_>) -> TagMatch {
    let mut found = TagMatch::default();
    let before = section.book().count();
    for (name, field) in TagField::ALL {
        let value = section.integer(name, field.bounds()).and_then(|n| u32::try_from(n).ok());
        found.fields.extend(value.map(|n| (field, n)));
    }
    if let Some(field) = section.take("src_mac") {
        found.src_mac = field.text("\"02:00:5e:10:00:01\"").and_then(mac);
        if found.src_mac.is_none() && field.as_text().is_some() {
            field.fault("is no MAC address", "write six bytes in hex, such as \"02:00:5e:10:00:01\"");
        }
    }
    let (at, book, names) = (section.at.clone(), section.book(), section.known());
    section.close();
    if found.fields.is_empty() && found.src_mac.is_none() && book.count() == before {
        book.fault(&at, "names no field: every frame would match", format!("give one at least of {}", names.join(", ")));
    }
    found
}

/// A number, or `{ from = "field" }`.
fn given(field: &Field<'_, '_>, bounds: RangeInclusive<u64>, example: &str) -> Option<Given> {
    if field.is_table() {
        let section = field.section("{ from = \"inner_vlan\" }")?;
        let from = section.require("from", "from = \"inner_vlan\"").and_then(|f| f.choice(&TagField::ALL));
        section.close();
        return from.map(Given::From);
    }
    if field.as_integer().is_none() {
        field.fault("is neither a number nor a field", format!("write {example}, or {{ from = \"inner_vlan\" }}"));
        return None;
    }
    field.integer(&bounds).and_then(|n| u32::try_from(n).ok()).map(Given::Fixed)
}
