//! What exporters told, kept on disk: templates and sampling rates, so that a restart needs none of them again.
//!
//! The file is replaced as a whole: written beside, synced, renamed. It has a version and a checksum; one that is damaged is told
//! and ignored, and the exporters' next templates fill it again.
//!
//! Bytes: the eight of [`MAGIC`], the CRC-32 of all that follows, then a row each domain; numbers are little-endian.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::collector::Collector;
use super::domain::{Domain, DomainKey};
use super::flow::Address;
use super::ledger::TemplateEvent;
use super::sampling::Rates;
use super::template::{Definition, Field, Purpose};
use crate::limits::{FLOW_DOMAINS_MAX, FLOW_KNOWN_BYTES_MAX, TEMPLATE_FIELDS_MAX};

/// Of version 1.
const MAGIC: &[u8; 8] = b"TWFLOWT1";
/// The version of rows that are rates of a whole exporter.
const WIDE: u16 = 0;
/// Nothing that we wrote is longer.
const FILE_BYTES_MAX: u64 = 4 * FLOW_KNOWN_BYTES_MAX as u64;

/// Why a file was not used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is not what was written.
    #[error("it is damaged, or of another version: it is ignored, and replaced when templates come")]
    Damaged,
}

impl Collector {
    /// Writes what was told.
    ///
    /// # Errors
    /// The disk's; the file before is untouched.
    pub fn save(&mut self, file: &Path) -> Result<(), StoreError> {
        write(file, &self.told()).inspect_err(|_| self.changed = true)
    }

    /// What was told, for [`write()`]: who writes it elsewhere says with [`Self::is_to_keep`] if that failed.
    pub fn told(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        for (key, domain) in self.domains.iter().filter(|(_, domain)| domain.template_count() > 0) {
            put_domain(key, domain, &mut body);
        }
        self.put_wide(&mut body);
        (self.changed, self.kept_ns) = (false, self.last_ns);
        body
    }

    /// Rates of whole exporters, of those that stand there already: rows of no version, a domain each that told.
    fn put_wide(&self, body: &mut Vec<u8>) {
        let there = self.domains.iter().filter(|(_, domain)| domain.template_count() > 0);
        for exporter in there.map(|(key, _)| key.exporter).collect::<BTreeSet<_>>() {
            for (port, id, rates) in self.exporters.get(&exporter).into_iter().flat_map(|own| own.wide.rows()) {
                put_key(&DomainKey { exporter, port, version: WIDE, id, agent: Address::NONE }, body);
                body.extend_from_slice(&u64::MAX.to_le_bytes());
                body.extend_from_slice(&0u32.to_le_bytes());
                put_rates(rates, body);
            }
        }
    }

    fn restore_wide(&mut self, row: Row) {
        let Some(own) = self.exporters.get_mut(&row.key.exporter) else { return };
        let before = own.wide.memory_bytes();
        row.rates.into_iter().for_each(|rate| own.wide.restore((row.key.port, row.key.id), rate));
        let after = own.wide.memory_bytes();
        own.known_bytes = own.known_bytes + after - before;
        self.known_bytes = self.known_bytes + after - before;
    }

    /// What was told last did not reach the disk.
    pub const fn is_to_keep(&mut self) {
        self.changed = true;
    }

    /// Takes up what was told before. How many templates; a file that is not there has none.
    ///
    /// # Errors
    /// It cannot be read, or is damaged: nothing of it was taken up.
    pub fn restore(&mut self, file: &Path) -> Result<u64, StoreError> {
        let Some(bytes) = read(file)? else { return Ok(0) };
        let mut c = Reader(bytes.strip_prefix(MAGIC).ok_or(StoreError::Damaged)?);
        let checksum = c.u32().ok_or(StoreError::Damaged)?;
        if crc32fast::hash(c.0) != checksum {
            return Err(StoreError::Damaged);
        }
        let rows = rows(&mut c).ok_or(StoreError::Damaged)?;
        let before = self.ledger.templates;
        rows.into_iter().for_each(|row| self.restore_row(row));
        let is_new = TemplateEvent::New as usize;
        let restored = self.ledger.templates[is_new] - before[is_new];
        self.ledger.templates = before;
        self.ledger.templates[TemplateEvent::Restored as usize] += restored;
        Ok(restored)
    }

    fn restore_row(&mut self, row: Row) {
        let version = row.key.version;
        if version == WIDE {
            return self.restore_wide(row);
        }
        if self.domains.get(&row.key).is_some() {
            return;
        }
        self.add(row.key);
        self.hear(row.key.exporter);
        let Some(domain) = self.domains.get(&row.key) else { return };
        for (id, port, told_ns, definition) in row.templates {
            domain.learn(id, definition, version, (port, told_ns), &mut self.ledger);
        }
        row.rates.into_iter().for_each(|rate| domain.rates.restore(rate));
        domain.init_ms = row.init_ms;
        let (bytes, has_templates) = (domain.memory_bytes(), domain.template_count() > 0);
        self.known_bytes += bytes;
        self.note_use(row.key, has_templates, (bytes, 0));
    }
}

/// Replaces the file by what a collector told.
///
/// # Errors
/// The disk's; the file before is untouched.
pub fn write(file: &Path, told: &[u8]) -> Result<(), StoreError> {
    replace(file, MAGIC, told)
}

/// Replaces a file as a whole: eight bytes of what it is, then a checksum, then all else.
pub(super) fn replace(file: &Path, magic: &[u8; 8], body: &[u8]) -> Result<(), StoreError> {
    let beside = beside(file);
    if let Err(fault) = put((magic, body), &beside).and_then(|()| fs::rename(&beside, file)) {
        let _ = fs::remove_file(&beside);
        return Err(fault.into());
    }
    File::open(folder_of(file))?.sync_all()?;
    Ok(())
}

/// Takes a file away, for good: a power cut does not bring it back.
pub(super) fn remove(file: &Path) -> io::Result<()> {
    fs::remove_file(file)?;
    // It is gone for whoever looks now: what it held is not given up because the disk ails.
    if let Err(fault) = File::open(folder_of(file)).and_then(|folder| folder.sync_all()) {
        tracing::warn!("{}: is taken away, and the disk did not say so: {fault}; after a power cut it may come again", file.display());
    }
    Ok(())
}

/// All of a file; `None`: it is not there.
pub(super) fn read(file: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::metadata(file) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault.into()),
        Ok(meta) if meta.len() > FILE_BYTES_MAX => Err(StoreError::Damaged),
        Ok(_) => Ok(Some(fs::read(file)?)),
    }
}

/// Whether the file could be written: one beside it is made and taken away.
///
/// # Errors
/// The disk's.
pub fn try_out(file: &Path) -> io::Result<()> {
    if file.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let beside = beside(file);
    File::create(&beside)?;
    fs::remove_file(&beside)
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// A name that no other process writes to, and that is never the file's own.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    name.into()
}

fn put((magic, body): (&[u8; 8], &[u8]), beside: &Path) -> io::Result<()> {
    let mut out = File::create(beside)?;
    out.write_all(magic)?;
    out.write_all(&crc32fast::hash(body).to_le_bytes())?;
    out.write_all(body)?;
    out.sync_all()
}

struct Row {
    key: DomainKey,
    init_ms: Option<u64>,
    templates: Vec<(u16, u16, u64, Definition)>,
    rates: Vec<(u8, u64, u64)>,
}

#[allow(clippy::cast_possible_truncation, reason = "an address has 16 bytes at most")]
pub(super) fn put_key(key: &DomainKey, out: &mut Vec<u8>) {
    let DomainKey { exporter, port, version, id, agent } = key;
    for address in [exporter, agent] {
        out.push(address.bytes().len() as u8);
        out.extend_from_slice(address.bytes());
    }
    out.extend_from_slice(&port.to_le_bytes());
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&id.to_le_bytes());
}

#[allow(clippy::cast_possible_truncation, reason = "counts are bounded far below")]
fn put_domain(key: &DomainKey, domain: &Domain, out: &mut Vec<u8>) {
    put_key(key, out);
    out.extend_from_slice(&domain.init_ms.unwrap_or(u64::MAX).to_le_bytes());
    out.extend_from_slice(&(domain.template_count() as u32).to_le_bytes());
    for (id, template) in domain.templates() {
        let (port, definition) = (template.port(), &template.definition);
        let (options, scope) = if let Purpose::Options(scope) = definition.purpose { (1u16, scope) } else { (0, 0) };
        [id, port, options, scope, definition.fields.len() as u16].iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
        out.extend_from_slice(&template.told_ns.to_le_bytes());
        for field in &definition.fields {
            out.extend_from_slice(&field.id.to_le_bytes());
            out.extend_from_slice(&field.bytes.to_le_bytes());
            out.extend_from_slice(&field.enterprise.to_le_bytes());
        }
    }
    put_rates(&domain.rates, out);
}

#[allow(clippy::cast_possible_truncation, reason = "counts are bounded far below")]
fn put_rates(rates: &Rates, out: &mut Vec<u8>) {
    let rates = rates.rows();
    out.extend_from_slice(&(rates.len() as u32).to_le_bytes());
    for (kind, id, rate) in rates {
        out.push(kind);
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&rate.to_le_bytes());
    }
}

fn rows(c: &mut Reader<'_>) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    while !c.0.is_empty() && rows.len() < FLOW_DOMAINS_MAX {
        rows.push(row(c)?);
    }
    Some(rows)
}

fn row(c: &mut Reader<'_>) -> Option<Row> {
    let key = c.key()?;
    let init_ms = Some(c.u64()?).filter(|init| *init != u64::MAX);
    let mut templates = Vec::new();
    for _ in 0..c.u32()? {
        templates.push(template(c)?);
    }
    let mut rates = Vec::new();
    for _ in 0..c.u32()? {
        rates.push((c.array::<1>()?[0], c.u64()?, c.u64()?));
    }
    Some(Row { key, init_ms, templates, rates })
}

fn template(c: &mut Reader<'_>) -> Option<(u16, u16, u64, Definition)> {
    let (id, port, options, scope, count, told_ns) = (c.u16()?, c.u16()?, c.u16()?, c.u16()?, c.u16()?, c.u64()?);
    if usize::from(count) > TEMPLATE_FIELDS_MAX {
        return None;
    }
    let purpose = if options == 1 { Purpose::Options(scope) } else { Purpose::Data };
    let field = |c: &mut Reader<'_>| Some(Field { id: c.u16()?, bytes: c.u16()?, enterprise: c.u32()? });
    let fields = (0..count).map(|_| field(c)).collect::<Option<Box<[Field]>>>()?;
    Some((id, port, told_ns, Definition { purpose, fields }))
}

/// Little-endian, and never beyond the end.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn key(&mut self) -> Option<DomainKey> {
        let (exporter, agent) = (self.address()?, self.address()?);
        Some(DomainKey { exporter, agent, port: self.u16()?, version: self.u16()?, id: self.u32()? })
    }

    fn address(&mut self) -> Option<Address> {
        match self.array::<1>()? {
            [0] => Some(Address::NONE),
            [4] => self.array::<4>().map(|bytes| Address::of(&bytes)),
            [16] => self.array::<16>().map(|bytes| Address::of(&bytes)),
            _ => None,
        }
    }
}
