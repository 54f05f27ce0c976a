//! Every capture of the truth folder: frames, wire bytes and captured bytes as tshark counted them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects")]

#[allow(dead_code, reason = "shared by several tests")]
mod captures;

use std::path::{Path, PathBuf};

use serde_json::Value;
use tailwater::rx::capture::{Capture, CaptureFault};

/// Where the truth is judged wrong, and why. What is left of such a file is still read to its end.
const JUDGED: &[(&str, &str)] = &[
    ("PcapPlusPlus__igmplayer.pcap", "tshark takes it for a Nokia capture and shifts its second record by four bytes"),
    ("tcpdump__aoe-oobr-1.pcap", "34 bytes captured of a frame of 32: we cut, tshark counts what was captured"),
    ("tcpdump__pim_header_asan-2.pcap", "more captured than was on the wire: we cut"),
    ("tcpdump__rsvp-rsvp_obj_print-oobr.pcap", "more captured than was on the wire: we cut"),
];

/// tshark prints no `frame.len` above this, whatever the record says.
const TSHARK_LENGTH_MAX: u32 = 2_147_483_647;

/// What one file came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    frames: u64,
    wire_bytes: u64,
    captured_bytes: u64,
    cut_frames: u64,
}

fn count(file: &Path) -> Result<(Counts, Option<String>), String> {
    let mut counts = Counts::default();
    let mut capture = Capture::open(file).map_err(|error| match error.fault {
        CaptureFault::LinkType(_) => String::new(),
        _ => error.to_string(),
    })?;
    loop {
        match capture.next_frame() {
            Ok(Some(frame)) => {
                counts.frames += 1;
                counts.wire_bytes += u64::from(frame.wire_bytes.min(TSHARK_LENGTH_MAX));
                counts.captured_bytes += frame.bytes.len() as u64;
                counts.cut_frames += u64::from((frame.bytes.len() as u64) < u64::from(frame.wire_bytes));
            }
            Ok(None) => return Ok((counts, capture.warning().map(str::to_owned))),
            Err(error) => return Ok((counts, Some(error.to_string()))),
        }
    }
}

/// Captures with their truth, by name.
fn with_truth(folder: &Path) -> Vec<(PathBuf, Value)> {
    let mut files = captures::files(folder);
    let flows = std::fs::read_dir(folder.join("flows")).into_iter().flatten().flatten().map(|entry| entry.path());
    files.extend(flows.filter(|file| file.extension().is_some_and(|extension| extension == "pcap")));
    let truth = |file: &Path| serde_json::from_slice(&std::fs::read(file.with_extension("truth.json")).unwrap()).unwrap();
    files.into_iter().map(|file| (file.clone(), truth(&file))).collect()
}

#[test]
fn frames_and_bytes_equal_the_truth() {
    let Some(folder) = captures::folder("frames_and_bytes_equal_the_truth") else { return };
    let (mut compared, mut refused, mut wrong) = (0, 0, Vec::new());
    for (file, truth) in with_truth(&folder) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let packets = &truth["packets"];
        match count(&file) {
            Ok((counts, odd)) if packets.is_object() => {
                let figure = |key: &str| packets[key].as_u64().unwrap_or(u64::MAX);
                let (frames, wire_bytes) = (figure("frames"), figure("wire_bytes"));
                let expected = Counts { frames, wire_bytes, captured_bytes: figure("cap_bytes"), cut_frames: figure("truncated_frames") };
                compared += 1;
                if JUDGED.iter().any(|(judged, _)| *judged == name) {
                    assert_ne!(counts, expected, "{name}: agrees, take it off the list");
                } else if counts != expected {
                    wrong.push(format!("{name}: {counts:?}, truth {expected:?}, {odd:?}"));
                } else if odd.is_some() != packets["tshark_message"].is_string() {
                    wrong.push(format!("{name}: {odd:?}, tshark says {}", packets["tshark_message"]));
                }
            }
            // No packet truth: not Ethernet, or unreadable. Nothing to compare but that it ends.
            Ok(_) => {}
            Err(error) if error.is_empty() => refused += 1,
            Err(error) if packets.is_object() && packets["frames"] != 0 => wrong.push(format!("{name}: {error}")),
            Err(_) => refused += 1,
        }
    }
    println!("{compared} captures compared, {refused} refused");
    assert!(wrong.is_empty(), "{} captures differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 0, "no capture in {}", folder.display());
}
