//! What is wrong with a written file: all of it at once, each with file, line, key and remedy.

use std::fmt;
use std::path::{Path, PathBuf};

/// Faults of one file that are kept; the rest is counted.
const FAULTS_PER_FILE_MAX: usize = 50;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// File as it was named.
    pub file: PathBuf,
    /// Line from 1; 0 where the fault is the file's as a whole.
    pub line: usize,
    /// Full dotted path of the key, or the column; empty where there is none.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right; empty where `what` says it already.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// Everything that is wrong. Prints one fault a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    list: Vec<Fault>,
    unlisted: Vec<(PathBuf, usize)>,
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for fault in &self.list {
            write!(f, "{between}{fault}")?;
            between = "\n";
        }
        for (file, count) in &self.unlisted {
            write!(f, "{between}{}: {count} more of the same kind; mend those above first", file.display())?;
            between = "\n";
        }
        Ok(())
    }
}

impl Faults {
    /// One fault.
    pub fn one(fault: Fault) -> Self {
        Self { list: vec![fault], unlisted: Vec::new() }
    }

    /// A fault of a file as a whole.
    pub fn of_file(file: &Path, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::one(Fault { file: file.to_owned(), line: 0, key: String::new(), what: what.into(), remedy: remedy.into() })
    }

    /// Those that are listed, by line.
    pub fn list(&self) -> &[Fault] {
        &self.list
    }

    /// How many there are, also beyond those that are listed.
    pub fn count(&self) -> usize {
        self.list.len() + self.unlisted.iter().map(|(_, count)| count).sum::<usize>()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds one; beyond `FAULTS_PER_FILE_MAX` of one file it is only counted.
    pub fn add(&mut self, fault: Fault) {
        if let Some((_, count)) = self.unlisted.iter_mut().find(|(file, _)| *file == fault.file) {
            *count += 1;
        } else if self.list.iter().filter(|f| f.file == fault.file).count() < FAULTS_PER_FILE_MAX {
            self.list.push(fault);
        } else {
            self.unlisted.push((fault.file, 1));
        }
    }

    /// Adds all of another file's.
    pub fn join(&mut self, other: Self) {
        self.list.extend(other.list);
        self.unlisted.extend(other.unlisted);
    }

    /// The same, but for those that are there already.
    pub(super) fn join_new(&mut self, other: Self) {
        let is_new =
            |fault: &Fault| !self.list.iter().any(|own| own.file == fault.file && own.line == fault.line && own.what == fault.what);
        let list: Vec<Fault> = other.list.into_iter().filter(is_new).collect();
        self.join(Self { list, unlisted: other.unlisted });
    }

    /// File by file in the order of the lines, those of `first` before any other file's.
    pub(crate) fn sort(&mut self, first: &Path) {
        self.list.sort_by(|a, b| {
            let by_file = (a.file != first).cmp(&(b.file != first)).then_with(|| a.file.cmp(&b.file));
            by_file.then_with(|| a.line.cmp(&b.line))
        });
    }

    /// `value` if nothing is wrong.
    ///
    /// # Errors
    /// All of them.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

/// Reads a text file.
///
/// # Errors
/// A fault that names the file: unreadable, a directory, or not UTF-8.
pub(crate) fn read_text(file: &Path) -> Result<String, Faults> {
    if file.is_dir() {
        return Err(Faults::of_file(file, "is a directory", "name a file"));
    }
    let bytes = std::fs::read(file)
        .map_err(|e| Faults::of_file(file, format!("cannot be read: {e}"), "name a file that exists and may be read"))?;
    String::from_utf8(bytes).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|b| **b == b'\n').count();
        let what = "holds bytes that are not UTF-8".to_owned();
        Faults::one(Fault { file: file.to_owned(), line, key: String::new(), what, remedy: "save it as UTF-8".to_owned() })
    })
}

/// Which line a byte stands in.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i).collect())
    }

    /// Line from 1 of the byte at `offset`.
    pub(crate) fn at(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|end| *end < offset)
    }
}

/// The candidate that `word` was probably meant to be: few edits away, letter case and `-` for `_` being free.
pub fn near<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace('-', "_").chars().collect::<Vec<_>>();
    let word = plain(word);
    let may = match word.len() {
        0..=5 => 1,
        6..=8 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|c| (edits(&word, &plain(c)), c))
        .filter(|(d, c)| *d <= may && *d < c.len())
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Edit distance with transpositions of neighbours (optimal string alignment).
fn edits(a: &[char], b: &[char]) -> usize {
    let mut older: Vec<usize> = Vec::new();
    let mut old: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut new = vec![i];
        for j in 1..=b.len() {
            let replaced = old[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(old[j] + 1).min(new[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(older[j - 2] + 1);
            }
            new.push(best);
        }
        older = std::mem::replace(&mut old, new);
    }
    old[b.len()]
}

/// `a, b or c`.
pub(crate) fn any_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => (*last).to_owned(),
        None => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_recognised() {
        let keys = ["name", "metric", "decision", "k", "window_ms"];
        for (written, meant) in [("metrc", "metric"), ("meTric", "metric"), ("window-ms", "window_ms"), ("nmae", "name")] {
            assert_eq!(near(written, keys), Some(meant), "{written}");
        }
        for other in ["colour", "p", "zz", ""] {
            assert_eq!(near(other, keys), None, "{other}");
        }
    }

    #[test]
    fn a_file_full_of_faults_is_cut_and_counted() {
        let mut faults = Faults::default();
        for line in 1..=60 {
            let (key, what, remedy) = ("prefix".to_owned(), "is wrong".to_owned(), String::new());
            faults.add(Fault { file: "r.csv".into(), line, key, what, remedy });
        }
        let text = faults.to_string();
        assert_eq!((faults.count(), text.lines().count()), (60, 51));
        assert!(text.ends_with("r.csv: 10 more of the same kind; mend those above first"), "{text}");
    }

    #[test]
    fn lines_are_counted_from_one() {
        let lines = Lines::of("a\nb\n\nc");
        assert_eq!([0, 1, 2, 3, 4, 5].map(|at| lines.at(at)), [1, 1, 2, 2, 3, 4]);
    }
}
