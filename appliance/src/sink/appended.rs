//! A file of lines: only ever appended to, and made anew where it was renamed or removed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::lines::Target;

/// A file that is only ever appended to. If it was renamed or removed (log rotation), it is made anew.
pub(super) struct Appended {
    path: PathBuf,
    file: File,
    /// What it was before, not synced yet.
    moved: Vec<File>,
    /// A sync failed: it is opened anew, since the system tells each of those that have it open but once.
    is_doubtful: bool,
}

impl Appended {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open_at_line_start(path)?, moved: Vec::new(), is_doubtful: false })
    }

    fn is_still_there(&self) -> bool {
        let identity = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        match (self.file.metadata().map(identity), std::fs::metadata(&self.path).map(identity)) {
            (Ok(mine), Ok(theirs)) => mine == theirs,
            _ => false,
        }
    }
}

impl Target for Appended {
    const IS_SYNCED: bool = true;

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn between_lines(&mut self) -> io::Result<()> {
        if self.is_doubtful {
            self.file = open_at_line_start(&self.path)?;
            self.is_doubtful = false;
        } else if !self.is_still_there() {
            let before = std::mem::replace(&mut self.file, open_at_line_start(&self.path)?);
            self.moved.push(before);
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let all = self.moved.drain(..).collect::<Vec<_>>();
        let synced = all.iter().chain([&self.file]).try_for_each(sync_data);
        self.is_doubtful = synced.is_err();
        synced
    }
}

/// A device or a pipe in a file's place keeps nothing.
fn sync_data(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.sync_data() } else { Ok(()) }
}

/// Opens for appending. A last line that an earlier run could not finish gets its end, so that it spoils no other.
fn open_at_line_start(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.is_file() && file.metadata()?.len() > 0 {
        let mut reader = File::open(path)?;
        reader.seek(SeekFrom::End(-1))?;
        let mut last = [0; 1];
        reader.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    } else {
        // A file that its folder does not name is lost, whatever is in it. A folder that may not be read cannot be synced either.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(file)
}
