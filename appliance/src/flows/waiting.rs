//! Data that still waits for its template at the end: kept on disk, so that the next start has it, and decoded when the template comes.
//!
//! It stands beside the templates, in a file of its own, written as they are. What was read of it stays there until that is decoded or given
//! up: who reads it writes it anew then, and takes it away when nothing is left. Bytes: the eight of [`MAGIC`], the CRC-32 of all that follows, then each set: the CRC-32 of its bytes, how many they are,
//! and they: whose it is, its header, its data; numbers are little-endian. One that is damaged is counted, and those behind it are read.

use std::path::{Path, PathBuf};

use super::collector::Collector;
use super::domain::DomainKey;
use super::export::Header;
use super::flow::Address;
use super::held::HeldSet;
use super::ledger::SetDrop;
use super::store::{Reader, StoreError, put_key, read, remove, replace, try_out};
use super::times::Base;

/// Of version 1.
const MAGIC: &[u8; 8] = b"TWFLOWW1";

/// Where it stands, beside a file of templates.
pub fn beside(templates: &Path) -> PathBuf {
    let mut name = templates.as_os_str().to_owned();
    name.push(".waiting");
    name.into()
}

/// Writes what [`Collector::waiting`] or [`Collector::waiting_on_disk`] gave; of nothing there is no file.
///
/// # Errors
/// The disk's; the file before is untouched.
pub fn write(file: &Path, waiting: &[u8]) -> Result<(), StoreError> {
    if waiting.is_empty() {
        return if file.exists() { Ok(remove(file)?) } else { Ok(()) };
    }
    replace(file, MAGIC, waiting)
}

impl Collector {
    /// What waits for templates, for [`write()`]; none where nothing does.
    pub fn waiting(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for (key, domain) in self.domains.iter() {
            domain.held.iter().for_each(|(template, set)| put(key, template, set, &mut out));
        }
        (!out.is_empty()).then_some(out)
    }

    /// What is left of the file of before: sets of it that wait still.
    pub fn on_disk(&self) -> usize {
        self.domains.iter().map(|(_, domain)| domain.held.on_disk()).sum()
    }

    /// The same, for [`write()`].
    pub fn waiting_on_disk(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, domain) in self.domains.iter().filter(|(_, domain)| domain.held.on_disk() > 0) {
            let own = domain.held.iter().filter(|(_, set)| set.header.on_disk);
            own.for_each(|(template, set)| put(key, template, set, &mut out));
        }
        out
    }

    /// Takes up what waited before; the file stays, unless it is none of ours. How many sets wait again.
    ///
    /// # Errors
    /// It cannot be read, or not be written anew when what it holds has gone on, or is none of ours: nothing of it was taken up.
    pub fn restore_waiting(&mut self, file: &Path) -> Result<u64, StoreError> {
        let Some(bytes) = read(file)? else { return Ok(0) };
        // Where it could not be taken away later it would come at each start.
        try_out(file)?;
        let before = self.ledger().waiting;
        let Some(rest) = bytes.strip_prefix(MAGIC).and_then(|rest| rest.get(4..)) else {
            remove(file)?;
            self.lose();
            return Err(StoreError::Damaged);
        };
        let mut c = Reader(rest);
        while !c.0.is_empty() {
            let Some((is_whole, body)) = framed(&mut c) else {
                self.lose();
                break;
            };
            match Some(body).filter(|_| is_whole).and_then(row) {
                Some((key, template, header, body)) => self.hold_again(key, template, header, body),
                None => self.lose(),
            }
        }
        Ok(self.ledger().waiting - before)
    }

    fn lose(&mut self) {
        self.ledger.sets += 1;
        self.ledger.drop_set(SetDrop::Damaged);
    }

    fn hold_again(&mut self, key: DomainKey, template: u16, header: Header, body: &[u8]) {
        if self.domains.get(&key).is_none() {
            self.add(key);
        }
        let Some(domain) = self.domains.get(&key) else { return };
        let before = (domain.place(), domain.held.bytes());
        let keeps = domain.held.keep(header, template, body, self.ledger.sets);
        self.note_held(key, before);
        self.ledger.sets += 1;
        if keeps {
            self.ledger.hold()
        } else {
            self.ledger.drop_set(SetDrop::NoRoom)
        }
        self.displace_held();
    }

    /// Nothing more will come: what waits for templates is given up.
    pub fn end(&mut self) {
        self.forget_all(SetDrop::NoTemplate);
    }

    /// The same, and what waits is on disk.
    pub fn end_kept(&mut self) {
        self.forget_all(SetDrop::Kept);
    }

    /// Sets of an exporter that waited, and wait no longer.
    pub(super) fn forget(&mut self, exporter: Address, sets: usize, reason: SetDrop) {
        self.ledger.waiting -= sets as u64;
        (0..sets).for_each(|_| self.ledger.drop_set(reason));
        self.told.drop_sets(exporter, reason, sets as u64);
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a set has less than 65,536 bytes")]
fn put(key: &DomainKey, template: u16, set: &HeldSet, out: &mut Vec<u8>) {
    let mut row = Vec::with_capacity(set.body.len() + 64);
    put_key(key, &mut row);
    let ((base, sequence, received_ns, port), repeated) = set.header.told();
    row.extend_from_slice(&template.to_le_bytes());
    row.extend_from_slice(&base.export_ns.to_le_bytes());
    row.extend_from_slice(&base.uptime_ms.to_le_bytes());
    row.extend_from_slice(&sequence.to_le_bytes());
    row.extend_from_slice(&received_ns.to_le_bytes());
    row.extend_from_slice(&port.to_le_bytes());
    row.push(u8::from(repeated));
    row.extend_from_slice(&set.body);
    out.extend_from_slice(&crc32fast::hash(&row).to_le_bytes());
    out.extend_from_slice(&(row.len() as u32).to_le_bytes());
    out.extend_from_slice(&row);
}

/// The next set's bytes, and whether they are what was written. `None`: where they end is not known.
fn framed<'a>(c: &mut Reader<'a>) -> Option<(bool, &'a [u8])> {
    let (checksum, length) = (c.u32()?, c.u32()?);
    let (body, rest) = c.0.split_at_checked(usize::try_from(length).ok()?)?;
    c.0 = rest;
    Some((crc32fast::hash(body) == checksum, body))
}

fn row(body: &[u8]) -> Option<(DomainKey, u16, Header, &[u8])> {
    let mut c = Reader(body);
    let key = c.key().filter(|key| matches!(key.version, 9 | 10))?;
    let template = c.u16()?;
    let base = Base { export_ns: c.u64()?, uptime_ms: c.u32()? };
    let told = (base, c.u32()?, c.u64()?, c.u16()?);
    let repeated = c.array::<1>()? == [1];
    Some((key, template, Header::again(&key, told, repeated), c.0))
}
