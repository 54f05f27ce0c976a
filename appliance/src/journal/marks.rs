//! How far each sink is, kept beside the segments: lines of each and their checksum, written anew as a whole. Beside it what the sink has
//! lost and no account on the disk tells: after a kill the next run tells it. And how far this run has come, for the next one's accounts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use prost::Message as _;

use super::previous::LastRun;
use super::queue::Hole;
use super::telling::KINDS;
use crate::report::pb;

const NAME: &str = "cursors";
pub(super) const NEW_NAME: &str = "cursors.new";
/// What a line of losses begins with, in place of a position: of reports, of flows, of packet logs.
const LOST: [&str; KINDS] = ["lost", "lost-flows", "lost-logs"];
/// The same of what a sink had been given.
const ADRIFT: [&str; KINDS] = ["adrift", "adrift-flows", "adrift-logs"];
const COUNTED: &str = "counted";
const RUN: &str = "run";

/// All that is saved.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Saved {
    pub(super) sinks: Marks,
    /// How far the present run has come.
    pub(super) run: Option<LastRun>,
}

/// Of each sink.
pub(super) type Marks = BTreeMap<String, Mark>;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mark {
    /// Of the oldest message on the disk that it has not settled.
    pub(super) position: u64,
    /// Behind that: positions of messages that are settled, or were counted as lost.
    pub(super) counted: Vec<Hole>,
    /// Messages that it was given, and had neither settled nor could get again, and what they were.
    pub(super) adrift: Option<(u64, Untold)>,
    pub(super) untold: Option<Untold>,
}

impl Mark {
    /// Behind all that it knows of.
    pub(super) fn end(&self) -> u64 {
        self.counted.last().map_or(self.position, |Hole(_, to)| *to)
    }

    fn counted_from(&mut self, words: &str) -> Option<()> {
        for hole in words.split(',') {
            let (from, to) = hole.split_once('-')?;
            let hole = Hole(from.parse().ok()?, to.parse().ok()?);
            if hole.0 >= hole.1 || hole.0 < self.end() {
                return None;
            }
            self.counted.push(hole);
        }
        Some(())
    }
}

/// What a sink has lost, and is to be told: of reports, of flows, of packet logs.
pub(super) type Untold = [pb::JournalLosses; KINDS];

/// What was saved; none if nothing was, or if it cannot be read: then every sink begins with the oldest message, since one that
/// comes twice is known by its number, and one that is left out is lost.
pub(super) fn load(folder: &Path) -> io::Result<Option<Saved>> {
    match std::fs::read_to_string(folder.join(NAME)) {
        Ok(text) => Ok(parse(&text)),
        Err(fault) if matches!(fault.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The last line says that it is whole: how many there are, and the CRC-32 (IEEE 802.3) of all lines before it.
fn parse(text: &str) -> Option<Saved> {
    let text = text.trim_end();
    let (lines, last) = text.rsplit_once('\n').map_or(("", text), |(lines, last)| (&text[..=lines.len()], last));
    let mut saved = Saved::default();
    for line in lines.lines() {
        line_of(&mut saved, line)?;
    }
    (last == last_line(saved.sinks.len(), lines)).then_some(saved)
}

fn line_of(saved: &mut Saved, line: &str) -> Option<()> {
    let (word, rest) = line.split_once(' ')?;
    if word == RUN {
        saved.run = Some(LastRun::parse(rest)?);
        return Some(());
    }
    if let Ok(position) = word.parse() {
        saved.sinks.insert(rest.to_owned(), Mark { position, ..Mark::default() });
        return Some(());
    }
    let (value, sink) = rest.split_once(' ')?;
    let mark = saved.sinks.get_mut(sink)?;
    let losses = |hex: &str| pb::JournalLosses::decode(&*bytes(hex)?).ok();
    let of = |names: [&str; KINDS]| names.iter().position(|name| *name == word);
    match (of(LOST), of(ADRIFT)) {
        (Some(what), _) => mark.untold.get_or_insert_default()[what] = losses(value)?,
        (_, Some(what)) => {
            let (count, hex) = value.split_once(':')?;
            let (all, adrift) = mark.adrift.get_or_insert_default();
            (*all, adrift[what]) = (count.parse().ok()?, losses(hex)?);
        }
        _ if word == COUNTED => mark.counted_from(value)?,
        _ => return None,
    }
    Some(())
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn hex(losses: &pb::JournalLosses) -> String {
    losses.encode_to_vec().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn lines(sink: &str, mark: &Mark) -> String {
    let Mark { position, counted, adrift, untold } = mark;
    let mut lines = format!("{position} {sink}\n");
    if !counted.is_empty() {
        let counted: Vec<_> = counted.iter().map(|Hole(from, to)| format!("{from}-{to}")).collect();
        lines += &format!("{COUNTED} {} {sink}\n", counted.join(","));
    }
    if let Some((count, adrift)) = adrift {
        let all = ADRIFT.into_iter().zip(adrift);
        all.for_each(|(word, losses)| lines += &format!("{word} {count}:{} {sink}\n", hex(losses)));
    }
    for (word, losses) in untold.iter().flat_map(|untold| LOST.into_iter().zip(untold)) {
        lines += &format!("{word} {} {sink}\n", hex(losses));
    }
    lines
}

fn last_line(sinks: usize, lines: &str) -> String {
    format!("{sinks} sinks {:08x}", crc32fast::hash(lines.as_bytes()))
}

/// Saves them: the file that was there stays until the new one is whole.
pub(super) fn save(folder: &Path, saved: &Saved) -> io::Result<()> {
    let new = folder.join(NEW_NAME);
    let mut text: String = saved.run.iter().map(|run| format!("{RUN} {}\n", run.words())).collect();
    text.extend(saved.sinks.iter().map(|(sink, mark)| lines(sink, mark)));
    text = format!("{text}{}\n", last_line(saved.sinks.len(), &text));
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
        let adrift = Some((3, [3, 0, 7].map(|total| losses("file", total))));
        let mark = |position, untold| Mark { position, untold, ..Mark::default() };
        let file = Mark { counted: vec![Hole(9, 12), Hole(13, u64::MAX)], adrift, ..mark(8, untold) };
        let sinks = Marks::from([("kafka".to_owned(), mark(u64::MAX, None)), ("file".to_owned(), file)]);
        let last = pb::PreviousRun { boot_id: 5, sequence: 6, long_end_ns: 7, fast_end_ns: 0, ended: true };
        let saved = Saved { sinks, run: Some(LastRun { number: 3, read_to: 4, start_ns: 8, last }) };
        save(folder.path(), &saved).unwrap();
        assert_eq!(load(folder.path()).unwrap(), Some(saved));
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
        save(folder.path(), &Saved::default()).unwrap();
        assert_eq!(load(folder.path()).unwrap(), Some(Saved::default()));
    }
}
