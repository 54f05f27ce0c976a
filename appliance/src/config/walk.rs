//! TOML walked with spans: what a section holds, taken key by key; what nobody took is an unknown key.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::Path;

use toml_edit::{Document, Item, Table, TableLike, Value};

use super::fault::{Fault, Faults, Lines, any_of, near, read_text};
use super::looked_up::LookedUp;
use super::named::Named;
use crate::limits::TEXT_BYTES_MAX;

/// One file under examination: its faults gather here.
pub(super) struct Book<'a> {
    file: &'a Path,
    lines: Lines,
    faults: RefCell<Faults>,
    pub(super) named: Named,
    pub(super) looked_up: LookedUp,
}

/// Where something stands.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) line: usize,
    pub(super) key: String,
    /// Name of the row that it belongs to, for the reader.
    pub(super) of: String,
}

impl At {
    /// A key within this one.
    pub(super) fn inner(&self, key: &str) -> Self {
        let path = if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) };
        Self { key: path, ..self.clone() }
    }
}

/// Parses the file's text, or tells where it is no TOML.
pub(super) fn parse(file: &Path) -> Result<Document<String>, Faults> {
    parse_text(file, read_text(file)?)
}

/// The same of a text; `file` is what faults name.
pub(super) fn parse_text(file: &Path, text: String) -> Result<Document<String>, Faults> {
    let lines = Lines::of(&text);
    Document::parse(text).map_err(|e| {
        let line = e.span().map_or(1, |s| lines.at(s.start));
        let remedy = "mend this line of TOML first; the rest is checked when the file can be read".to_owned();
        Faults::one(Fault { file: file.to_owned(), line, key: "syntax".to_owned(), what: e.message().to_owned(), remedy })
    })
}

impl<'a> Book<'a> {
    pub(super) fn new(file: &'a Path, text: &str) -> Self {
        let lines = Lines::of(text);
        Self { file, lines, faults: RefCell::default(), named: Named::default(), looked_up: LookedUp::default() }
    }

    pub(super) fn file(&self) -> &'a Path {
        self.file
    }

    /// Notes a fault.
    pub(super) fn fault(&self, at: &At, what: impl Into<String>, remedy: impl Into<String>) {
        self.faults.borrow_mut().add(self.fault_at(at, what, remedy));
    }

    fn fault_at(&self, at: &At, what: impl Into<String>, remedy: impl Into<String>) -> Fault {
        let key = if at.of.is_empty() { at.key.clone() } else { format!("{} ({})", at.key, at.of) };
        Fault { file: self.file.to_owned(), line: at.line, key, what: what.into(), remedy: remedy.into() }
    }

    /// Adds another file's faults.
    pub(super) fn join(&self, faults: Faults) {
        self.faults.borrow_mut().join(faults);
    }

    pub(super) fn count(&self) -> usize {
        self.faults.borrow().count()
    }

    pub(super) fn into_faults(self) -> Faults {
        self.faults.into_inner()
    }

    /// Line of a span; `or` where there is none.
    fn line(&self, span: Option<std::ops::Range<usize>>, or: usize) -> usize {
        span.filter(|s| s.end > 0).map_or(or, |s| self.lines.at(s.start))
    }
}

/// A value that was written, and where.
pub(super) struct Field<'b, 'a> {
    pub(super) at: At,
    book: &'b Book<'a>,
    kind: &'static str,
    value: Option<&'b Value>,
    table: Option<&'b dyn TableLike>,
}

impl<'b, 'a> Field<'b, 'a> {
    fn of_value(book: &'b Book<'a>, at: At, value: &'b Value) -> Self {
        let table = value.as_inline_table().map(|t| t as &dyn TableLike);
        Self { at, book, kind: value.type_name(), value: Some(value), table }
    }

    /// Whether the configuration has links.
    pub(super) fn has_links(&self) -> bool {
        !self.book.links().is_empty()
    }

    pub(super) fn book(&self) -> &'b Book<'a> {
        self.book
    }

    /// The file that it stands in.
    pub(super) fn file(&self) -> &'a Path {
        self.book.file()
    }

    /// Notes a fault of this value.
    pub(super) fn fault(&self, what: impl Into<String>, remedy: impl Into<String>) {
        self.book.fault(&self.at, what, remedy);
    }

    /// A fault that is not noted: whether it is one depends on who asks.
    pub(super) fn later(&self, what: impl Into<String>, remedy: impl Into<String>) -> Fault {
        self.book.fault_at(&self.at, what, remedy)
    }

    fn wrong_type(&self, remedy: &str) {
        let article = if self.kind.starts_with(['a', 'i']) { "an" } else { "a" };
        self.fault(format!("is {article} {}", self.kind), format!("it must be {remedy}"));
    }

    pub(super) fn value(&self) -> Option<&'b Value> {
        self.value
    }

    pub(super) fn as_text(&self) -> Option<&'b str> {
        self.value.and_then(Value::as_str)
    }

    pub(super) fn as_integer(&self) -> Option<i64> {
        self.value.and_then(Value::as_integer)
    }

    pub(super) fn is_table(&self) -> bool {
        self.table.is_some()
    }

    /// Text; `example` shows one.
    pub(super) fn text(&self, example: &str) -> Option<&'b str> {
        let text = self.as_text();
        match text {
            None => self.wrong_type(&format!("text, such as {example}")),
            Some(t) if t.trim().is_empty() => self.fault("is empty", format!("write for instance {example}")),
            Some(t) if t.len() > TEXT_BYTES_MAX => self.fault(format!("has {} bytes", t.len()), format!("it may have {TEXT_BYTES_MAX}")),
            Some(_) => return text,
        }
        None
    }

    /// A whole number within bounds.
    pub(super) fn integer(&self, bounds: &RangeInclusive<u64>) -> Option<u64> {
        let (low, high) = (bounds.start(), bounds.end());
        let Some(number) = self.as_integer() else {
            self.wrong_type(&format!("a whole number from {low} to {high}"));
            return None;
        };
        let within = u64::try_from(number).ok().filter(|n| bounds.contains(n));
        if within.is_none() {
            self.fault(format!("{number} is out of range"), format!("it may be {low} to {high}"));
        }
        within
    }

    /// A share of a whole.
    pub(super) fn share(&self) -> Option<f64> {
        let integer = self.as_integer().and_then(|n| i32::try_from(n).ok()).map(f64::from);
        let share = self.value.and_then(Value::as_float).or(integer).filter(|share| *share > 0.0 && *share <= 1.0);
        if share.is_none() {
            self.fault("is no share", "write a number above 0 and up to 1, such as 0.8");
        }
        share
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, all: &[(&'static str, T)]) -> Option<T> {
        let names = || all.iter().map(|(name, _)| *name);
        let Some(text) = self.as_text() else {
            self.wrong_type(&quoted(names()));
            return None;
        };
        let found = all.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            self.unknown_word(text, names());
        }
        found
    }

    /// `text` is none of `names`.
    pub(super) fn unknown_word(&self, text: &str, names: impl Iterator<Item = &'static str> + Clone) {
        let meant = near(text, names.clone()).map_or_else(String::new, |m| format!("did you mean \"{m}\"? "));
        self.fault(format!("there is no \"{text}\""), format!("{meant}it may be {}", any_of(names)));
    }

    /// True or false.
    pub(super) fn flag(&self) -> Option<bool> {
        let flag = self.value.and_then(Value::as_bool);
        if flag.is_none() {
            self.wrong_type("true or false");
        }
        flag
    }

    /// The values of an array; `example` shows one.
    pub(super) fn list(&self, example: &str) -> Option<Vec<Self>> {
        let Some(array) = self.value.and_then(Value::as_array) else {
            self.wrong_type(&format!("a list, such as {example}"));
            return None;
        };
        let element = |(i, value): (usize, &'b Value)| {
            let at = At { line: self.book.line(value.span(), self.at.line), key: format!("{}[{i}]", self.at.key), of: self.at.of.clone() };
            Field::of_value(self.book, at, value)
        };
        Some(array.iter().enumerate().map(element).collect())
    }

    /// The values of an array, or the one value that stands there without brackets.
    pub(super) fn one_or_many(self) -> Option<Vec<Self>> {
        if self.value.is_some_and(Value::is_array) { self.list("[53, 123]") } else { Some(vec![self]) }
    }

    /// A table; `example` shows one.
    pub(super) fn section(&self, example: &str) -> Option<Section<'b, 'a>> {
        if self.table.is_none() {
            self.wrong_type(&format!("a table, such as {example}"));
        }
        Some(Section::new(self.book, self.table?, self.at.clone()))
    }
}

fn quoted(names: impl Iterator<Item = &'static str>) -> String {
    let names: Vec<_> = names.map(|n| format!("\"{n}\"")).collect();
    any_of(names.iter().map(String::as_str))
}

/// A table whose keys are taken one by one.
pub(super) struct Section<'b, 'a> {
    pub(super) at: At,
    book: &'b Book<'a>,
    table: &'b dyn TableLike,
    known: RefCell<Vec<&'static str>>,
}

impl<'b, 'a> Section<'b, 'a> {
    fn new(book: &'b Book<'a>, table: &'b dyn TableLike, at: At) -> Self {
        Self { at, book, table, known: RefCell::default() }
    }

    /// The whole document.
    pub(super) fn root(book: &'b Book<'a>, table: &'b Table) -> Self {
        Self::new(book, table, At { line: 1, key: String::new(), of: String::new() })
    }

    pub(super) fn book(&self) -> &'b Book<'a> {
        self.book
    }

    /// Faults from here on tell this row's name.
    pub(super) fn named(&mut self, name: &str) {
        self.at.of = name.to_owned();
    }

    /// Where a key stands, or would stand.
    pub(super) fn at_key(&self, key: &str) -> At {
        let mut at = self.at.inner(key);
        at.line = self.book.line(self.table.key(key).and_then(|k| k.span()), self.at.line);
        at
    }

    /// Notes a fault of one of its keys.
    pub(super) fn fault(&self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.book.fault(&self.at_key(key), what, remedy);
    }

    /// What stands under a key, which is known from here on.
    pub(super) fn take(&self, key: &'static str) -> Option<Field<'b, 'a>> {
        self.forget([key]);
        self.peek(key)
    }

    /// These keys are known from here on.
    pub(super) fn forget(&self, keys: impl IntoIterator<Item = &'static str>) {
        let mut known = self.known.borrow_mut();
        for key in keys {
            if !known.contains(&key) {
                known.push(key);
            }
        }
    }

    /// Whether anything stands under a key; it stays as unknown as it was.
    pub(super) fn has(&self, key: &str) -> bool {
        self.peek(key).is_some()
    }

    fn peek(&self, key: &str) -> Option<Field<'b, 'a>> {
        let item = self.table.get(key).filter(|item| !item.is_none())?;
        let at = self.at_key(key);
        Some(Field { at, book: self.book, kind: item.type_name(), value: item.as_value(), table: item.as_table_like() })
    }

    /// What stands under a key; its absence is a fault, `remedy` being what to write.
    pub(super) fn require(&self, key: &'static str, remedy: &str) -> Option<Field<'b, 'a>> {
        let field = self.take(key);
        if field.is_none() {
            self.fault(key, "is missing", format!("write {remedy}"));
        }
        field
    }

    pub(super) fn text(&self, key: &'static str, example: &str) -> Option<&'b str> {
        self.take(key)?.text(example)
    }

    pub(super) fn integer(&self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        self.take(key)?.integer(&bounds)
    }

    pub(super) fn choice<T: Copy>(&self, key: &'static str, all: &[(&'static str, T)]) -> Option<T> {
        self.take(key)?.choice(all)
    }

    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        self.take(key)?.flag()
    }

    pub(super) fn list(&self, key: &'static str, example: &str) -> Option<Vec<Field<'b, 'a>>> {
        self.take(key)?.list(example)
    }

    pub(super) fn section(&self, key: &'static str, example: &str) -> Option<Self> {
        self.take(key)?.section(example)
    }

    /// The rows of `[[key]]`, also where they are written as an array of inline tables.
    pub(super) fn rows(&self, key: &'static str) -> Vec<Self> {
        let Some(field) = self.take(key) else { return Vec::new() };
        if let Some(Item::ArrayOfTables(tables)) = self.table.get(key) {
            let row = |(i, table): (usize, &'b Table)| {
                let at = At { line: self.book.line(table.span(), field.at.line), key: format!("{}[{i}]", field.at.key), of: String::new() };
                Section::new(self.book, table, at)
            };
            return tables.iter().enumerate().map(row).collect();
        }
        if field.value.is_some_and(Value::is_array) {
            return field.list("").into_iter().flatten().filter_map(|f| f.section("{ … }")).collect();
        }
        field.wrong_type(&format!("rows that start with [[{key}]]"));
        Vec::new()
    }

    /// What nobody took, by name.
    pub(super) fn rest(&self) -> Vec<(String, Field<'b, 'a>)> {
        let known = self.known.borrow();
        let unknown: Vec<_> = self.table.iter().map(|(key, _)| key.to_owned()).filter(|key| !known.contains(&key.as_str())).collect();
        unknown.into_iter().filter_map(|key| self.peek(&key).map(|field| (key, field))).collect()
    }

    /// Names that were asked for.
    pub(super) fn known(&self) -> Vec<&'static str> {
        self.known.borrow().clone()
    }

    /// Every key that nobody took is a fault.
    pub(super) fn close(self) {
        for (key, field) in self.rest() {
            let known = self.known();
            let meant = near(&key, known.iter().copied()).map_or_else(String::new, |m| format!("did you mean \"{m}\"? "));
            let place = if self.at.key.is_empty() { "the file's top level".to_owned() } else { self.at.key.clone() };
            field.fault("unknown key", format!("{meant}{place} may hold {}", any_of(known.iter().copied())));
        }
    }
}
