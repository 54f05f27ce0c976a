//! Tables as CSV (RFC 4180): a header that names the columns, `#` before a comment.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::wrong::Wrong;
use crate::config::{Faults, Lines, any_of, read_text, record_start};

/// What each column is called; the first of them must be there.
pub(super) struct Header<'a> {
    pub(super) required: &'a [&'a str],
    pub(super) optional: &'a [&'a str],
}

/// What is done with a row: its line, and its fields.
pub(super) type Each<'a> = dyn FnMut(usize, &[&str]) -> Result<(), Wrong> + 'a;

/// Reads a file: `each` gets line and fields, in the order of the header asked for; what is not there is empty.
///
/// # Errors
/// All that is wrong in it.
pub(super) fn read(file: &Path, header: &Header<'_>, each: &mut Each<'_>) -> Result<(), Faults> {
    let text = read_text(file)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).comment(Some(b'#')).from_reader(text.as_bytes());
    let (lines, mut faults, mut record) = (Lines::of(text), Faults::default(), StringRecord::new());
    let mut columns: Option<Vec<Option<usize>>> = None;
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(fault) => return Err(Wrong::of("", format!("is no CSV: {fault}"), "save it as CSV with commas").only(file, 0)),
        }
        let line = lines.at(record_start(text, record.position().map_or(0, csv::Position::byte)));
        if record.iter().all(str::is_empty) {
            continue;
        }
        let Some(columns) = &columns else {
            columns = Some(found(header, &record).map_err(|wrong| wrong.only(file, line))?);
            continue;
        };
        let fields: Vec<&str> = columns.iter().map(|at| at.and_then(|at| record.get(at)).unwrap_or("")).collect();
        if let Err(wrong) = each(line, &fields) {
            faults.add(wrong.at(file, line));
        }
    }
    if columns.is_none() {
        return Err(Wrong::of("", "is empty", format!("start it with the header {}", header.required.join(","))).only(file, 0));
    }
    faults.or(())
}

/// Where each column stands.
fn found(header: &Header<'_>, record: &StringRecord) -> Result<Vec<Option<usize>>, Wrong> {
    let place = |name: &&str| record.iter().position(|field| field == *name);
    let all = || header.required.iter().chain(header.optional);
    if let Some(absent) = header.required.iter().find(|name| place(name).is_none()) {
        let remedy = format!("the first line must be {}", all().copied().collect::<Vec<_>>().join(","));
        return Err(Wrong::of(absent, "has no column in the header", remedy));
    }
    if let Some(strange) = record.iter().find(|field| all().all(|name| name != field)) {
        return Err(Wrong::of(strange, "is no column of this table", format!("it may have {}", any_of(all().copied()))));
    }
    Ok(all().map(place).collect())
}
