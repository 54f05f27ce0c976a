//! Files that others write: templates kept on disk, routing tables, tables of CSV and JSON, databases, counters, segments of the journal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use tailwater::audit::counters::Reader;
use tailwater::axes::flow_field::FLOW_FIELDS;
use tailwater::config::{Customers, Enrich, Lookup};
use tailwater::enrich::Tables;
use tailwater::flows::{Added, Address, Collector, Flow, LeftOut, Settings, StoreError, TemplateEvent, text};
use tailwater::journal::{self, Lot};
use tailwater::limits::FLOW_KNOWN_BYTES_MAX;
use tailwater::origins::Origins;

use super::bound;

/// A file of this process and thread, in memory where there is such a folder.
pub(crate) fn put(name: &str, bytes: &[u8]) -> PathBuf {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static OWN: u64 = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let file = folder.join(format!("tailwater-fuzz-{}-{}-{name}", std::process::id(), OWN.with(|own| *own)));
    std::fs::write(&file, bytes).unwrap();
    file
}

/// Given away again.
fn with<T>(name: &str, bytes: &[u8], work: impl FnOnce(&PathBuf) -> T) -> T {
    let file = put(name, bytes);
    let out = work(&file);
    std::fs::remove_file(file).unwrap();
    out
}

/// What a collector told, as its file has it.
pub(crate) fn kept(body: &[u8]) -> Vec<u8> {
    [&b"TWFLOWT1"[..], &crc32fast::hash(body).to_le_bytes(), body].concat()
}

/// Domains come in any order.
pub(crate) fn sorted(body: &[u8]) -> Vec<u8> {
    let mut bytes = body.to_vec();
    bytes.sort_unstable();
    bytes
}

/// The file of templates, its checksum right: what a disk or another version may have made of it.
pub(crate) fn templates(bytes: &[u8]) {
    let file = kept(bytes);
    with("templates", &file, |path| {
        let mut collector = Collector::new(&Settings::default());
        let (restored, most) = bound::most(|| collector.restore(path));
        assert!(most <= (256 << 10) + 512 * bytes.len(), "{most} bytes held for {}", bytes.len());
        let Ok(restored) = restored else {
            assert!(matches!(restored, Err(StoreError::Damaged)) && collector.domains() == 0);
            return;
        };
        assert_eq!(collector.ledger().templates[TemplateEvent::Restored as usize], restored);
        assert!(collector.memory_bytes().0 <= FLOW_KNOWN_BYTES_MAX && collector.ledger().balances());
        // What is written of it is read again, all of it.
        let told = collector.told();
        std::fs::write(path, kept(&told)).unwrap();
        let mut again = Collector::new(&Settings::default());
        again.restore(path).unwrap();
        assert_eq!(sorted(&again.told()), sorted(&told));
    });
}

/// Protobuf of whoever wrote to the topic, as files of streams turn it into JSON.
pub(crate) fn wire(bytes: &[u8]) {
    let mut line = Vec::new();
    let (whole, most) = bound::most(|| text::json_of(bytes, LeftOut::default(), &mut line));
    assert!(most <= (64 << 10) + 256 * bytes.len(), "{most} bytes held for {}", bytes.len());
    if whole {
        serde_json::from_slice::<serde_json::Value>(&line).unwrap();
    } else {
        assert!(line.is_empty());
    }
    let _ = text::unframed(bytes);
}

/// Tables that a configuration names give what they say, or their faults; and whatever they gave is looked up in.
fn enrich(enrich: &Enrich, bytes: usize) {
    let (tables, most) = bound::most(|| Tables::load(enrich, &[]));
    assert!(most <= (4 << 20) + 2_048 * bytes, "{most} bytes held for {bytes}");
    let Ok(tables) = tables else { return };
    let mut added = Added::NONE;
    for ip in [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::BROADCAST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let mut flow = Flow::default();
        (flow.fields.src_addr, flow.fields.dst_addr, flow.fields.sampler_address) =
            (Address::from(ip), Address::from(ip), Address::from(ip));
        tables.enrich(&mut flow, &mut added);
    }
}

/// A routing table.
pub(crate) fn mrt(bytes: &[u8]) {
    with("rib.mrt", bytes, |path| enrich(&Enrich { bgp: Some(path.clone()), ..Enrich::default() }, bytes.len()));
}

/// CSV and JSON; the first byte says which table.
pub(crate) fn tables(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let lookup = |file: &PathBuf, by: &str| {
        let named = |name: &str| FLOW_FIELDS.iter().find(|field| field.name == name).unwrap();
        vec![Lookup { file: file.clone(), by: named(by), into: named("note") }]
    };
    let name = if which % 7 == 1 { "table.json" } else { "table.csv" };
    with(name, bytes, |path| {
        let none = Enrich::default();
        let asked = match which % 7 {
            0 | 1 => Enrich { customers: Some(Customers::File(path.clone())), ..none },
            2 => Enrich { interfaces: Some(path.clone()), ..none },
            3 => Enrich { bgp: Some(path.clone()), ..none },
            4 => Enrich { lookups: lookup(path, "src_addr"), ..none },
            5 => Enrich { lookups: lookup(path, "dst_port"), ..none },
            _ => Enrich { lookups: lookup(path, "src_mac"), ..none },
        };
        enrich(&asked, bytes.len());
    });
}

/// A database in MaxMind's format.
pub(crate) fn database(bytes: &[u8]) {
    with("origins.mmdb", bytes, |path| {
        let (origins, most) = bound::most(|| Origins::load(Some(path), Some(path)));
        assert!(most <= (4 << 20) + 4_096 * bytes.len(), "{most} bytes held for {}", bytes.len());
        if let Ok(origins) = origins {
            let _ = (origins.asn(&[192, 0, 2, 1]), origins.country(&[0xFF; 16]));
        }
        enrich(&Enrich { asn: Some(path.clone()), country: Some(path.clone()), ..Enrich::default() }, bytes.len());
    });
}

/// The scrubber's counters.
pub(crate) fn counters(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (read, most) = bound::most(|| Reader::read(&text));
    assert!(most <= (128 << 10) + 512 * text.len(), "{most} bytes held for {}", text.len());
    assert_eq!(read.bad > 0, read.first_bad.is_some());
    assert!(read.rows.iter().all(|row| !row.key.is_empty()));
    // Rows of CSV as they are written come back.
    let written = read.rows.iter().filter(|row| row.key.bytes().all(|b| b.is_ascii_alphanumeric() || b"./:".contains(&b)));
    let rows: Vec<_> = written.cloned().collect();
    let lines: String = rows.iter().map(|row| format!("{},{},{}\n", row.time_ns, row.key, row.dropped)).collect();
    let again = Reader::read(&format!("time_ns,key,dropped_packets\n{lines}"));
    assert_eq!((again.rows, again.bad), (rows, 0));
}

/// A segment of the journal, and lots in it: the same messages are found as one who looks at every byte finds.
pub(crate) fn segment(bytes: &[u8]) {
    let mut found = Vec::new();
    with("segment.twj", bytes, |path| {
        let (_, most) = bound::most(|| journal::segment(path, |position, message| found.push((position, message.map(|m| m.payload)))));
        assert!(most <= (4 << 20) + 64 * bytes.len(), "{most} bytes held for {}", bytes.len());
    });
    let (mut at, mut plain) = (0, Vec::new());
    while at < bytes.len() {
        match frame(&bytes[at..]) {
            Some((position, payload, length)) => {
                plain.push((position, payload.map(Into::into)));
                at += length;
            }
            None => at += 1,
        }
    }
    assert_eq!(found, plain);
    for (_, payload) in &found {
        payload.iter().for_each(|payload| lot(payload));
    }
    lot(bytes);
}

/// docs/journal.md, byte by byte: position, payload (none of a gap), and bytes in all.
fn frame(bytes: &[u8]) -> Option<(u64, Option<&[u8]>, usize)> {
    let number = |at: usize, count: usize| Some(bytes.get(at..at + count)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    let length = usize::try_from(number(4, 4)?).ok()?;
    let body = bytes.get(20..20 + length).filter(|body| bytes.starts_with(b"TWJ1") && body.len() >= 22)?;
    let summed = [&bytes[4..16], body].concat();
    if u64::from(crc32fast::hash(&summed)) != number(16, 4)? {
        return None;
    }
    let position = number(8, 8)?;
    if body[0] == 255 {
        return (number(34, 8)? > position).then_some((position, None, 20 + length));
    }
    let texts = usize::try_from(number(22, 2)? + number(24, 2)?).ok()?;
    let payload = body.get(22 + texts..).filter(|_| body[0] < 6)?;
    Some((position, Some(payload), 20 + length))
}

/// Entries of a lot lie within it, in their order.
fn lot(bytes: &[u8]) {
    let Some(lot) = Lot::read(bytes) else { return };
    let mut end = 5;
    for (key, value) in lot.places() {
        assert_eq!((key.start, key.end), (end + 6, value.start));
        assert!(value.start <= value.end && value.end <= bytes.len());
        end = value.end;
    }
    assert!(lot.entries().all(|(key, _)| key.len() <= usize::from(u16::MAX)));
}
