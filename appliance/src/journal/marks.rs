//! How far each sink is, kept beside the segments: a line each and their checksum, written anew as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

const NAME: &str = "cursors";
const NEW_NAME: &str = "cursors.new";

/// Position of the oldest message that each sink has not settled.
pub(super) type Marks = BTreeMap<String, u64>;

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
    let mark = |line: &str| line.split_once(' ').and_then(|(position, sink)| Some((sink.to_owned(), position.parse().ok()?)));
    let marks = lines.lines().map(mark).collect::<Option<Marks>>()?;
    (last == last_line(marks.len(), lines)).then_some(marks)
}

fn last_line(sinks: usize, lines: &str) -> String {
    format!("{sinks} sinks {:08x}", crc32fast::hash(lines.as_bytes()))
}

/// Saves them: the file that was there stays until the new one is whole.
pub(super) fn save(folder: &Path, marks: &Marks) -> io::Result<()> {
    let new = folder.join(NEW_NAME);
    let mut text: String = marks.iter().map(|(sink, position)| format!("{position} {sink}\n")).collect();
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
        let marks = Marks::from([("kafka".to_owned(), 7), ("file".to_owned(), u64::MAX)]);
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
