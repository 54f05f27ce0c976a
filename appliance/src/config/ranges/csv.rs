//! Ranges as CSV.

use csv::{ReaderBuilder, StringRecord, Trim};

use super::{Rows, Written};

/// Column numbers by the header.
struct Columns {
    prefix: usize,
    customer: usize,
    domain: Option<usize>,
    labels: Vec<(usize, String)>,
    count: usize,
}

/// Reads all rows; what is wrong is noted.
pub(super) fn read(text: &str, rows: &mut Rows<'_>) {
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).comment(Some(b'#')).from_reader(text.as_bytes());
    let lines = crate::config::fault::Lines::of(text);
    let mut record = StringRecord::new();
    let mut columns: Option<Columns> = None;
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => return rows.fault(0, "", format!("is no CSV: {e}"), "save it as CSV with commas"),
        }
        let line = lines.at(start(text, record.position().map_or(0, |p| p.byte())));
        if record.iter().all(str::is_empty) {
            continue;
        }
        match &columns {
            Some(columns) => {
                if !row(columns, &record, line, rows) {
                    return;
                }
            }
            None => match header(&record, line, rows) {
                Some(found) => columns = Some(found),
                None => return,
            },
        }
    }
    if columns.is_none() {
        rows.fault(0, "", "is empty", "start it with the header prefix,customer");
    }
}

/// Where a record really starts: the reader's position stands before the blank lines and comments that it skipped.
pub(crate) fn start(text: &str, position: u64) -> usize {
    let mut at = usize::try_from(position).unwrap_or(usize::MAX).min(text.len());
    while let Some(rest) = text.get(at..).filter(|r| r.starts_with(['\n', '\r', '#'])) {
        at += if rest.starts_with('#') { rest.find('\n').map_or(rest.len(), |end| end + 1) } else { 1 };
    }
    at
}

fn header(record: &StringRecord, line: usize, rows: &mut Rows<'_>) -> Option<Columns> {
    let before = rows.faults.count();
    let remedy = "the first line must be prefix,customer and then the names of labels, if any";
    let find = |name: &str| record.iter().position(|field| field == name);
    let (prefix, customer) = (find("prefix"), find("customer"));
    for (name, place) in [("prefix", prefix), ("customer", customer)] {
        if place.is_none() {
            rows.fault(line, name, "has no column in the header", remedy);
        }
    }
    for (i, name) in record.iter().enumerate() {
        if name.is_empty() {
            rows.fault(line, &format!("column {}", i + 1), "has no name in the header", remedy);
        } else if record.iter().take(i).any(|other| other == name) {
            rows.fault(line, name, "is the name of two columns", "give each column a name of its own");
        }
    }
    let (prefix, customer) = (prefix?, customer?);
    let domain = find("domain");
    let is_label = |i: usize| i != prefix && i != customer && Some(i) != domain;
    let labels = record.iter().enumerate().filter(|(i, _)| is_label(*i)).map(|(i, name)| (i, name.to_owned())).collect();
    (rows.faults.count() == before).then_some(Columns { prefix, customer, domain, labels, count: record.len() })
}

fn row(columns: &Columns, record: &StringRecord, line: usize, rows: &mut Rows<'_>) -> bool {
    if record.len() > columns.count {
        let what = format!("has {} fields where the header has {}", record.len(), columns.count);
        rows.fault(line, "", what, "quote a field that holds a comma, or name the column in the header");
    }
    let field = |i: usize| record.get(i).unwrap_or_default();
    let labels = columns.labels.iter().map(|(i, name)| (name.clone(), field(*i).to_owned())).collect();
    let (prefix, customer) = (field(columns.prefix), field(columns.customer));
    rows.push(Written { prefix, customer, domain: columns.domain.map_or("", field), labels, lines: [line; 3] })
}
