//! The key of a stat: parts side by side, each read of a record or looked up for it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::key::{Key, Lengths};
use crate::limits::KEY_PARTS_MAX;
use crate::origins::Origins;
use crate::record::Record;
use crate::units::Family;

/// A key of one stat: one part or a composite of up to three.
#[derive(Clone, Debug)]
pub struct KeySpec {
    parts: Vec<Key>,
    lengths: Lengths,
    /// Where a part is looked up; all keys of a configuration share it.
    origins: Option<Arc<Origins>>,
}

impl PartialEq for KeySpec {
    fn eq(&self, other: &Self) -> bool {
        (&self.parts, self.lengths) == (&other.parts, other.lengths)
    }
}

impl Eq for KeySpec {}

impl Hash for KeySpec {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.parts, self.lengths).hash(state);
    }
}

impl KeySpec {
    /// With what parts are looked up in, if some are.
    #[must_use]
    pub fn with_origins(self, origins: Option<Arc<Origins>>) -> Self {
        Self { origins: origins.filter(|_| self.parts.iter().any(|part| part.is_looked_up())), ..self }
    }

    /// Of the words of its text, joined by `|`, that of this part.
    pub fn place_in_text(&self, part: Key) -> Option<usize> {
        let at = self.parts.iter().position(|own| *own == part)?;
        // A flow is five words.
        Some(self.parts.iter().take(at).map(|part| if *part == Key::Flow { 5 } else { 1 }).sum())
    }

    /// What parts are looked up in.
    pub fn origins(&self) -> Option<&Origins> {
        self.origins.as_deref()
    }

    /// One part of a record.
    #[inline]
    pub(super) fn part(&self, part: Key, record: &Record, out: &mut [u8]) -> bool {
        if part.is_looked_up() {
            return self.origins.as_ref().is_some_and(|origins| looked_up(origins, part, record, out));
        }
        (part.row().extract)(record, &self.lengths, out)
    }

    /// `parts` holds one to three keys; `None` stands alone.
    pub fn new(parts: Vec<Key>, lengths: Lengths) -> Self {
        debug_assert!((1..=KEY_PARTS_MAX).contains(&parts.len()));
        Self { parts, lengths, origins: None }
    }

    /// Its parts.
    pub fn parts(&self) -> &[Key] {
        &self.parts
    }

    /// Prefix lengths of its parts.
    pub const fn lengths(&self) -> Lengths {
        self.lengths
    }

    /// The only part, if it is one.
    pub fn single(&self) -> Option<Key> {
        if let [key] = self.parts[..] { Some(key) } else { None }
    }

    /// As in the configuration, parts joined by `|`.
    pub fn name(&self) -> String {
        self.parts.iter().map(|k| k.row().name).collect::<Vec<_>>().join("|")
    }

    /// Bytes for a family, at most [`KEY_BYTES_MAX`].
    pub fn width(&self, family: Family) -> usize {
        self.parts.iter().map(|k| (k.row().width)(family)).sum()
    }

    /// Writes the key of a record into `out`, `width` bytes long; false if a part is missing.
    #[inline]
    pub fn extract(&self, record: &Record, out: &mut [u8]) -> bool {
        let family = record.family();
        let mut rest = out;
        for part in &self.parts {
            let row = part.row();
            let (head, tail) = rest.split_at_mut((row.width)(family));
            if !self.part(*part, record, head) {
                return false;
            }
            rest = tail;
        }
        true
    }

    /// The same of up to 64 records of one family, keys one behind the other: a mask of the records that have one.
    pub fn column(&self, records: &[Record], family: Family, out: &mut [u8]) -> u64 {
        if let [part] = self.parts[..]
            && !part.is_looked_up()
        {
            return (part.row().column)(records, &self.lengths, family, out);
        }
        let rows = records.iter().zip(out.chunks_exact_mut(self.width(family).max(1))).enumerate();
        rows.fold(0, |present, (i, (record, key))| present | u64::from(self.extract(record, key)) << i)
    }

    /// As text, parts joined by `|`.
    pub fn text(&self, bytes: &[u8], family: Family) -> String {
        if let [part] = self.parts[..] {
            return (part.row().text)(bytes, &self.lengths);
        }
        let mut rest = bytes;
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let row = part.row();
            let (head, tail) = rest.split_at((row.width)(family));
            parts.push((row.text)(head, &self.lengths));
            rest = tail;
        }
        parts.join("|")
    }
}

/// Of an address; false where the table does not know it.
fn looked_up(origins: &Origins, part: Key, record: &Record, out: &mut [u8]) -> bool {
    let side = if matches!(part, Key::SrcAsn | Key::SrcCountry) { &record.src } else { &record.dst };
    let address = if record.family() == Family::V4 { &side[..4] } else { &side[..] };
    if matches!(part, Key::SrcAsn | Key::DstAsn) {
        return origins.asn(address).is_some_and(|number| put(&number.to_be_bytes(), out));
    }
    origins.country(address).is_some_and(|code| put(&code, out))
}

fn put(bytes: &[u8], out: &mut [u8]) -> bool {
    out.copy_from_slice(bytes);
    true
}
