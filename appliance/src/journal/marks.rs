//! How far each sink is, kept beside the segments: lines of each and their checksum, written anew as a whole. Beside it what the sink has
//! lost and no account on the disk tells: after a kill the next run tells it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use prost::Message as _;

use super::telling::KINDS;
use crate::report::pb;

const NAME: &str = "cursors";
const NEW_NAME: &str = "cursors.new";
/// What a line of losses begins with, in place of a position: of reports, of flows, of packet logs.
const LOST: [&str; KINDS] = ["lost", "lost-flows", "lost-logs"];

/// Of each sink.
pub(super) type Marks = BTreeMap<String, Mark>;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mark {
    /// Of the oldest message that it has not settled.
    pub(super) position: u64,
    pub(super) untold: Option<Untold>,
}

/// What a sink has lost, and is to be told: of reports, of flows, of packet logs.
pub(super) type Untold = [pb::JournalLosses; KINDS];

/// What was saved; none if nothing was, or if it cannot be read: then every sink begins with the oldest message, since one that
/// comes twice is known by its number, and one that is left out is lost.
pub(super) fn load(folder: &Path) -> io::Result<Option<Marks>> {
    match std::fs::read_to_string(folder.join(NAME)) {
        Ok(text) => Ok(parse(&text)),
        Err(fault) if matches!(fault.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The last line says that it is whole: how many there are, and the CRC-32 (IEEE 802.3) of all lines before it.
fn parse(text: &str) -> Option<Marks> {
    let text = text.trim_end();
    let (lines, last) = text.rsplit_once('\n').map_or(("", text), |(lines, last)| (&text[..=lines.len()], last));
    let mut marks = Marks::new();
    for line in lines.lines() {
        let (word, rest) = line.split_once(' ')?;
        match LOST.iter().position(|lost| *lost == word) {
            Some(what) => {
                let (hex, sink) = rest.split_once(' ')?;
                marks.get_mut(sink)?.untold.get_or_insert_default()[what] = pb::JournalLosses::decode(&*bytes(hex)?).ok()?;
            }
            None => {
                marks.insert(rest.to_owned(), Mark { position: word.parse().ok()?, untold: None });
            }
        }
    }
    (last == last_line(marks.len(), lines)).then_some(marks)
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn lines(sink: &str, mark: &Mark) -> String {
    let mut lines = format!("{} {sink}\n", mark.position);
    for (lost, losses) in mark.untold.iter().flat_map(|untold| LOST.into_iter().zip(untold)) {
        let hex = losses.encode_to_vec().iter().fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        lines += &format!("{lost} {hex} {sink}\n");
    }
    lines
}

fn last_line(sinks: usize, lines: &str) -> String {
    format!("{sinks} sinks {:08x}", crc32fast::hash(lines.as_bytes()))
}

/// Saves them: the file that was there stays until the new one is whole.
pub(super) fn save(folder: &Path, marks: &Marks) -> io::Result<()> {
    let new = folder.join(NEW_NAME);
    let mut text: String = marks.iter().map(|(sink, mark)| lines(sink, mark)).collect();
    text = format!("{text}{}\n", last_line(marks.len(), &text));
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    std::fs::rename(&new, folder.join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_half_of_it_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()).unwrap(), None);
        let losses = |sink: &str, total| pb::JournalLosses { sink: sink.to_owned(), total, ..Default::default() };
        let untold = Some([9, u64::MAX, 0].map(|total| losses("file", total)));
        let mark = |position, untold| Mark { position, untold };
        let marks = Marks::from([("kafka".to_owned(), mark(7, None)), ("file".to_owned(), mark(u64::MAX, untold))]);
        save(folder.path(), &marks).unwrap();
        assert_eq!(load(folder.path()).unwrap(), Some(marks));
        let text = std::fs::read(folder.path().join(NAME)).unwrap();
        for cut in 0..text.len() - 1 {
            std::fs::write(folder.path().join(NAME), &text[..cut]).unwrap();
            assert_eq!(load(folder.path()).unwrap(), None, "{cut}");
        }
        for at in 0..text.len() - 1 {
            let mut hit = text.clone();
            hit[at] ^= 1;
            std::fs::write(folder.path().join(NAME), hit).unwrap();
            assert_eq!(load(folder.path()).unwrap(), None, "{at}");
        }
        std::fs::write(folder.path().join(NAME), [0xFF; 9]).unwrap();
        assert_eq!(load(folder.path()).unwrap(), None);
        save(folder.path(), &Marks::new()).unwrap();
        assert_eq!(load(folder.path()).unwrap(), Some(Marks::new()));
    }
}
