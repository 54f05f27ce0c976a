//! Files made by hand, byte by byte, and mutated ones.

use std::io::Cursor;
use std::path::Path;

use proptest::prelude::*;

use super::window::Order;
use super::*;

/// A classic record header and its bytes.
fn record(time: (u32, u32), captured: u32, original: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = [time.0, time.1, captured, original].iter().flat_map(|field| field.to_le_bytes()).collect();
    out.extend_from_slice(bytes);
    out
}

fn header(magic: u32, version: (u16, u16), link: u32) -> Vec<u8> {
    let mut out = magic.to_le_bytes().to_vec();
    out.extend_from_slice(&version.0.to_le_bytes());
    out.extend_from_slice(&version.1.to_le_bytes());
    out.extend_from_slice(&[0; 12]);
    out.extend_from_slice(&link.to_le_bytes());
    out
}

fn classic(records: &[Vec<u8>]) -> Vec<u8> {
    [header(0xa1b2_c3d4, (2, 4), 1), records.concat()].concat()
}

/// A pcapng block of either byte order.
fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let bytes = u32::try_from(padded + 12).unwrap();
    let mut out = [order.put32(kind), order.put32(bytes)].concat();
    out.extend_from_slice(body);
    out.resize(8 + padded, 0);
    out.extend_from_slice(&order.put32(bytes));
    out
}

impl Order {
    fn put32(self, value: u32) -> [u8; 4] {
        if self == Self::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }

    fn put16(self, value: u16) -> [u8; 2] {
        if self == Self::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }
}

fn section(order: Order) -> Vec<u8> {
    let body = [&order.put32(0x1a2b_3c4d)[..], &order.put16(1), &order.put16(0), &[0xff; 8]].concat();
    block(order, u32::from_be_bytes([0x0a, 0x0d, 0x0d, 0x0a]), &body)
}

fn interface(order: Order, link: u16, snap: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = [&order.put16(link)[..], &[0; 2], &order.put32(snap)].concat();
    for (code, value) in options {
        body.extend_from_slice(&order.put16(*code));
        body.extend_from_slice(&order.put16(u16::try_from(value.len()).unwrap()));
        body.extend_from_slice(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    block(order, 1, &body)
}

fn enhanced(order: Order, interface: u32, ticks: u64, original: u32, bytes: &[u8]) -> Vec<u8> {
    let (high, low) = (u32::try_from(ticks >> 32).unwrap(), u32::try_from(ticks & 0xffff_ffff).unwrap());
    let fields = [interface, high, low, u32::try_from(bytes.len()).unwrap(), original].map(|field| order.put32(field));
    block(order, 6, &[fields.as_flattened(), bytes].concat())
}

type Seen = (u64, u32, Vec<u8>, LinkType);

fn open(bytes: Vec<u8>) -> Result<Capture, CaptureError> {
    Capture::from_reader(Path::new("x.pcap"), Box::new(Cursor::new(bytes)))
}

/// All frames, then the error if there was one, then the warning.
fn drain(bytes: Vec<u8>) -> (Vec<Seen>, Option<CaptureError>, Option<String>) {
    let mut seen = Vec::new();
    let mut capture = match open(bytes) {
        Ok(capture) => capture,
        Err(error) => return (seen, Some(error), None),
    };
    let error = loop {
        match capture.next_frame() {
            Ok(Some(frame)) => seen.push((frame.time_ns, frame.wire_bytes, frame.bytes.to_vec(), frame.link)),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert_eq!(seen.len() as u64, capture.frames());
    assert!(matches!(capture.next_frame(), Ok(None)), "frames after the end");
    (seen, error, capture.warning().map(str::to_owned))
}

#[test]
fn classic_of_both_resolutions() {
    let frames = [record((1, 2), 3, 60, b"abc"), record((1, 999_999), 0, 0, b"")];
    let (seen, error, warning) = drain(classic(&frames));
    assert!(error.is_none() && warning.is_none());
    assert_eq!(seen[0], (1_000_002_000, 60, b"abc".to_vec(), LinkType::Ethernet));
    assert_eq!(seen[1], (1_999_999_000, 0, Vec::new(), LinkType::Ethernet));
    let ns = [header(0xa1b2_3c4d, (2, 4), 0x3000_0071), record((7, 5), 1, 1, b"x")].concat();
    assert_eq!(drain(ns).0, [(7_000_000_005, 1, b"x".to_vec(), LinkType::LinuxCooked)]);
}

#[test]
fn classic_of_the_other_byte_order() {
    let bytes: Vec<u8> = [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65535, 101, 9, 8, 2, 40].iter().flat_map(|v: &u32| v.to_be_bytes()).collect();
    let (seen, error, _) = drain([bytes, b"xy".to_vec()].concat());
    assert!(error.is_none());
    assert_eq!(seen, [(9_000_008_000, 40, b"xy".to_vec(), LinkType::RawIp)]);
}

#[test]
fn classic_of_old_versions_swaps_the_lengths() {
    let swapped = [header(0xa1b2_c3d4, (2, 2), 1), record((0, 0), 60, 3, b"abc")].concat();
    assert_eq!(drain(swapped).0, [(0, 60, b"abc".to_vec(), LinkType::Ethernet)]);
    let either = [header(0xa1b2_c3d4, (2, 3), 1), record((0, 0), 60, 3, b"abc"), record((0, 0), 2, 9, b"de")].concat();
    assert_eq!(drain(either).0.iter().map(|seen| (seen.1, seen.2.len())).collect::<Vec<_>>(), [(60, 3), (9, 2)]);
    let modified = [header(0xa1b2_cd34, (2, 4), 1), record((0, 1), 3, 3, &[0; 8]), b"abc".to_vec()].concat();
    assert_eq!(drain(modified).0, [(1_000, 3, b"abc".to_vec(), LinkType::Ethernet)]);
}

#[test]
fn captured_above_original_is_cut_to_it() {
    let (seen, error, _) = drain(classic(&[record((0, 0), 3, 2, b"abc"), record((0, 0), 1, 1, b"d")]));
    assert!(error.is_none());
    assert_eq!(seen.iter().map(|seen| (seen.1, seen.2.clone())).collect::<Vec<_>>(), [(2, b"ab".to_vec()), (1, b"d".to_vec())]);
}

#[test]
fn a_cut_last_record_is_a_warning() {
    let whole = classic(&[record((0, 0), 3, 3, b"abc"), record((0, 0), 3, 3, b"def")]);
    for end in 24 + 19 + 1..whole.len() {
        let (seen, error, warning) = drain(whole[..end].to_vec());
        assert!(error.is_none() && warning.unwrap().contains("after 1 whole frames"), "cut at {end}");
        assert_eq!(seen.len(), 1);
    }
    let ng = [section(Order::Little), interface(Order::Little, 1, 0, &[]), enhanced(Order::Little, 0, 0, 3, b"abc")].concat();
    let more = [ng.clone(), block(Order::Little, 0x0bad, &[0; 40])].concat();
    for end in ng.len() + 1..more.len() {
        let (seen, error, warning) = drain(more[..end].to_vec());
        assert!(error.is_none() && warning.is_some() && seen.len() == 1, "cut at {end}");
    }
}

#[test]
fn what_is_no_capture_is_told_at_start() {
    let text = |bytes: &[u8]| {
        let error = open(bytes.to_vec()).unwrap_err();
        assert!(error.before_start());
        error.to_string()
    };
    assert_eq!(text(b""), "x.pcap: is empty; a capture has a header at least");
    assert!(text(b"\xd4\xc3\xb2\xa1\x02").contains("ends inside its header"));
    assert!(text(b"a").contains("ends inside its header"));
    assert!(text(b"hello").contains("starts with 68 65 6c 6c"));
    assert!(text(b"\x1f\x8b\x08\x00").contains("gunzip"));
    assert!(text(&header(0xa1b2_c3d4, (2, 4), 0x3000_0069)).contains("link type 105 (IEEE802_11)"));
    assert!(text(&header(0xa1b2_c3d4, (1, 4), 1)).contains("version 1.4"));
    assert!(text(&[section(Order::Big), interface(Order::Big, 127, 0, &[])].concat()).contains("link type 127"));
    let folder = Capture::open(Path::new("/")).unwrap_err();
    assert!(folder.before_start() && folder.to_string().contains("is a directory"));
    assert!(Capture::open(Path::new("/nowhere/x.pcap")).unwrap_err().to_string().contains("no such file"));
}

#[test]
fn a_corrupt_record_is_told_when_it_is_reached() {
    let (seen, error, _) = drain(classic(&[record((0, 0), 1, 1, b"a"), record((0, 0), 262_145, 1, b"a")]));
    let error = error.unwrap();
    assert!(seen.len() == 1 && !error.before_start());
    assert_eq!(error.to_string(), "x.pcap: is corrupt: a record of 262145 bytes (at most 262144) (at byte 41, after 1 whole frames)");
    let (_, first, _) = drain(classic(&[record((0, 0), u32::MAX, 1, b"a")]));
    assert!(!first.unwrap().before_start());
    let ng = [section(Order::Little), interface(Order::Little, 1, 0, &[]), enhanced(Order::Little, 3, 0, 1, b"a")].concat();
    let (_, absent, _) = drain(ng);
    assert!(absent.unwrap().to_string().contains("interface 3, of 1"));
}

#[test]
fn pcapng_of_several_sections_interfaces_and_clocks() {
    let (little, big) = (Order::Little, Order::Big);
    let file = [
        section(little),
        interface(little, 1, 0, &[(1, b"note"), (9, &[9]), (14, &5_i64.to_le_bytes())]),
        interface(little, 101, 0, &[(9, &[0x80 | 10])]),
        interface(little, 127, 0, &[]),
        block(little, 5, &[1, 2, 3]),
        enhanced(little, 0, 7, 100, b"abcde"),
        enhanced(little, 1, 1024 + 512, 3, b"abc"),
        block(little, 3, &[&little.put32(2)[..], b"zz"].concat()),
        section(big),
        interface(big, 113, 2, &[(9, &[3]), (14, &(-1_i64).to_be_bytes())]),
        block(big, 3, &[&big.put32(9)[..], b"qqqq"].concat()),
        enhanced(big, 0, 2_500, 1, b"k"),
        block(big, 2, &[&[0, 0, 0, 9][..], [0, 1, 1, 44].map(|v| big.put32(v)).as_flattened(), b"o"].concat()),
    ];
    let (seen, error, warning) = drain(file.concat());
    assert!(error.is_none() && warning.is_none(), "{error:?} {warning:?}");
    assert_eq!(seen[0], (5_000_000_007, 100, b"abcde".to_vec(), LinkType::Ethernet));
    assert_eq!(seen[1], (1_500_000_000, 3, b"abc".to_vec(), LinkType::RawIp));
    assert_eq!(seen[2], (1_500_000_000, 2, b"zz".to_vec(), LinkType::Ethernet));
    assert_eq!(seen[3], (1_500_000_000, 9, b"qq".to_vec(), LinkType::LinuxCooked));
    assert_eq!(seen[4], (1_500_000_000, 1, b"k".to_vec(), LinkType::LinuxCooked));
    assert_eq!(seen[5], (0, 44, b"o".to_vec(), LinkType::LinuxCooked));
    let unreadable = [section(little), interface(little, 1, 0, &[]), interface(little, 127, 0, &[])].concat();
    let late = [unreadable.clone(), enhanced(little, 0, 0, 1, b"a"), enhanced(little, 1, 0, 1, b"a")].concat();
    let (seen, error, _) = drain(late);
    assert!(seen.len() == 1 && !error.unwrap().before_start());
    assert!(open([unreadable, enhanced(little, 1, 0, 1, b"a")].concat()).unwrap_err().before_start());
}

#[test]
fn stamps_of_any_resolution_stay_in_range() {
    for power in 0..=u8::MAX {
        let options: [(u16, &[u8]); 2] = [(9, &[power]), (14, &i64::MAX.to_le_bytes())];
        let file = [section(Order::Little), interface(Order::Little, 1, 0, &options), enhanced(Order::Little, 0, u64::MAX, 1, b"a")];
        assert_eq!(drain(file.concat()).0[0].0, u64::MAX, "power {power}");
    }
    let before: [(u16, &[u8]); 1] = [(14, &i64::MIN.to_le_bytes())];
    let file = [section(Order::Little), interface(Order::Little, 1, 0, &before), enhanced(Order::Little, 0, 9, 1, b"a")];
    assert_eq!(drain(file.concat()).0[0].0, 0);
}

#[test]
fn merged_by_time_earlier_file_first() {
    let of = |times: &[u32]| open(classic(&times.iter().map(|time| record((*time, 0), 1, 1, b"a")).collect::<Vec<_>>())).unwrap();
    let mut merged = Merged::of(vec![of(&[1, 5, 3, 9]), of(&[1, 4, 5]), of(&[])]);
    let mut seen = Vec::new();
    while let Some((port, frame)) = merged.next_frame().unwrap() {
        seen.push((port, frame.time_ns / 1_000_000_000));
    }
    assert_eq!(seen, [(0, 1), (1, 1), (1, 4), (0, 5), (0, 3), (1, 5), (0, 9)]);
    assert_eq!(merged.frames(), 7);
}

#[test]
fn what_is_written_is_read() {
    let mut writer = PcapWriter::new(Vec::new(), 1, 128).unwrap();
    writer.write(1_735_689_600_123_456_789, 1500, &[7; 128]).unwrap();
    writer.write(1_735_689_601_000_000_000, 60, &[8; 60]).unwrap();
    assert!(writer.write(u64::MAX, 60, &[8; 60]).is_err());
    let (seen, error, _) = drain(writer.finish().unwrap());
    assert!(error.is_none());
    assert_eq!(seen[0], (1_735_689_600_123_456_789, 1500, vec![7; 128], LinkType::Ethernet));
    assert_eq!((seen[1].0, seen.len()), (1_735_689_601_000_000_000, 2));
}

#[test]
fn records_above_the_read_size_come_whole() {
    let big: Vec<u8> = (0..262_144_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let frames = vec![record((0, 0), 262_144, 262_144, &big); 5];
    let (seen, error, _) = drain(classic(&frames));
    assert!(error.is_none() && seen.len() == 5 && seen.iter().all(|seen| seen.2 == big));
}

fn small_captures() -> [Vec<u8>; 3] {
    let ng = |order| {
        let mut file = [section(order), interface(order, 1, 0, &[(9, &[9])]), interface(order, 101, 64, &[(9, &[0x94])])].concat();
        for i in 0..6 {
            file.extend(enhanced(order, i % 2, u64::from(i) << 33, 60, b"abcdefgh"));
            file.extend(block(order, 3, &[&order.put32(60)[..], b"zz"].concat()));
        }
        file
    };
    let frames: Vec<_> = (0..8).map(|i| record((i, i), 8, 60, b"abcdefgh")).collect();
    [classic(&frames), ng(Order::Little), ng(Order::Big)]
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), which in 0..4_usize) {
        let starts: [&[u8]; 4] = [b"", b"\xd4\xc3\xb2\xa1\x02\0\x04\0", b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0", b"\xa1\xb2\x3c\x4d"];
        let (seen, _, _) = drain([starts[which], &bytes].concat());
        prop_assert!(seen.len() <= bytes.len());
    }

    #[test]
    fn mutated_captures_never_panic(which in 0..3_usize, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = small_captures()[which].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let total = bytes.len();
        let (seen, _, _) = drain(bytes);
        prop_assert!(seen.iter().map(|seen| seen.2.len()).sum::<usize>() <= total);
        prop_assert!(seen.iter().all(|seen| seen.2.len() <= seen.1 as usize));
    }
}

/// The bound on a record is no reason to refuse a file whose last record claims more than the file has left.
#[test]
fn a_last_record_that_claims_too_much_is_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.pcap");
    std::fs::write(&file, classic(&[record((0, 0), 1, 1, b"a"), record((0, 0), u32::MAX, 1, b"abc")])).unwrap();
    let mut capture = Capture::open(&file).unwrap();
    assert!(capture.next_frame().unwrap().is_some());
    assert!(capture.next_frame().unwrap().is_none() && capture.warning().is_some());
}
