//! `[ranges]`: the customers' subnets, from CSV or JSON.

mod csv;
mod domain;
mod json;
mod prefix;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::appliance::beside;
use super::fault::{Fault, Faults, read_text};
use super::walk::Section;
use crate::limits::{RANGE_NAMES_BYTES_MAX, RANGES_MAX};

pub(crate) use self::csv::start as record_start;
pub use domain::Domain;
pub(crate) use prefix::parse as prefix;

/// A customer's subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Without host bits.
    pub prefix: IpNet,
    /// What separates it from the same prefix of other customers.
    pub domain: Option<Domain>,
    /// Not empty.
    pub customer: String,
    /// Name and value, sorted by name; none is empty.
    pub labels: Vec<(String, String)>,
}

/// `[ranges]`
#[derive(Clone, Debug)]
pub struct Ranges {
    /// CSV, or JSON by its ending; absolute, or relative to the working directory.
    pub file: PathBuf,
    /// Ranges that there may be until the next restart; absent: an eighth more than at the start, at least 1,024 more.
    pub max: Option<usize>,
    /// Ranges are reported together too: with those nested in them, and by customer. Default false.
    pub rollup: bool,
    /// What it holds, in the order of [`load`].
    pub list: Vec<Range>,
}

/// `[ranges]`; `None` where a fault was noted.
pub(super) fn read(root: &Section<'_, '_>) -> Option<Ranges> {
    const EXAMPLE: &str = "file = \"ranges.csv\"";
    let section = root.require("ranges", "[ranges] and below it file = \"ranges.csv\"")?.section("[ranges]")?;
    let field = section.require("file", EXAMPLE);
    let max = section.integer("max", 1..=RANGES_MAX as u64).and_then(|n| usize::try_from(n).ok());
    let at_max = section.at_key("max");
    let rollup = section.flag("rollup").unwrap_or(false);
    section.close();
    let field = field?;
    let file = beside(root.book().file(), field.text("\"ranges.csv\"")?);
    if !file.is_file() {
        let what = if file.is_dir() { "is a directory" } else { "does not exist" };
        field.fault(format!("{} {what}", file.display()), "name a CSV file with the header prefix,customer, or a .json file");
        return None;
    }
    match load(&file) {
        Ok(list) => {
            if let Some(max) = max.filter(|max| *max < list.len()) {
                let what = format!("{max} is less than the {} ranges of {}", list.len(), file.display());
                root.book().fault(&at_max, what, format!("it must be {} at least, with room for those that reloads will add", list.len()));
                return None;
            }
            Some(Ranges { file, max, rollup, list })
        }
        Err(faults) => {
            root.book().join(faults);
            None
        }
    }
}

/// Reads ranges, sorted by family (IPv4 first), address, length and domain (none first): position is [`crate::units::RangeIndex`].
///
/// A name that ends in `.json` holds an array of objects with `prefix`, `customer`, perhaps `domain`, and labels (within `labels`,
/// or flat); any other is CSV (RFC 4180) whose header names `prefix`, `customer`, perhaps `domain`, and labels. In CSV a line that starts
/// with `#` is a comment. An empty label is none.
///
/// # Errors
/// All lines that are wrong: malformed, non-canonical or double prefixes, no customer, too many ranges.
pub fn load(file: &Path) -> Result<Vec<Range>, Faults> {
    let text = read_text(file)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut rows = Rows { file, list: Vec::new(), faults: Faults::default() };
    if file.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
        json::read(text, &mut rows)
    } else {
        csv::read(text, &mut rows)
    }
    rows.finish()
}

/// One row as it is written.
struct Written<'a> {
    prefix: &'a str,
    customer: &'a str,
    domain: &'a str,
    labels: Vec<(String, String)>,
    /// Lines of prefix, customer and domain.
    lines: [usize; 3],
}

/// Ranges as they are read, each with its line.
struct Rows<'a> {
    file: &'a Path,
    list: Vec<(Range, usize)>,
    faults: Faults,
}

impl Rows<'_> {
    fn fault(&mut self, line: usize, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.faults.add(Fault { file: self.file.to_owned(), line, key: key.to_owned(), what: what.into(), remedy: remedy.into() });
    }

    /// One row; false if no more can be taken.
    fn push(&mut self, written: Written<'_>) -> bool {
        let Written { prefix, customer, domain, mut labels, lines: [line, customer_line, domain_line] } = written;
        if self.list.len() == RANGES_MAX {
            self.fault(
                line,
                "prefix",
                format!("is one range more than the {RANGES_MAX} that an appliance may have"),
                "remove this and what follows",
            );
            return false;
        }
        if customer.is_empty() {
            self.fault(customer_line, "customer", "is missing", "name the customer whose prefix this is");
        }
        labels.retain(|(_, value)| !value.is_empty());
        let names_bytes = customer.len() + labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if names_bytes > RANGE_NAMES_BYTES_MAX {
            let remedy = format!("they may have {RANGE_NAMES_BYTES_MAX} together, since each report of the range has them");
            self.fault(customer_line, "customer", format!("has {names_bytes} bytes with the range's labels"), remedy);
        }
        labels.sort_unstable();
        let domain = domain::parse(domain).map_err(|(what, remedy)| self.fault(domain_line, "domain", what, remedy));
        match (self::prefix(prefix), domain) {
            (Ok(prefix), Ok(domain)) => self.list.push((Range { prefix, domain, customer: customer.to_owned(), labels }, line)),
            (Err((what, remedy)), _) => self.fault(line, "prefix", what, remedy),
            _ => {}
        }
        true
    }

    fn finish(mut self) -> Result<Vec<Range>, Faults> {
        let mut list = std::mem::take(&mut self.list);
        list.sort_by_key(|(range, line)| (range.prefix.addr(), range.prefix.prefix_len(), range.domain, *line));
        let mut first: Option<(&Range, usize)> = None;
        for (range, line) in &list {
            match first {
                Some((other, before)) if (other.prefix, other.domain) == (range.prefix, range.domain) => {
                    let within = range.domain.map_or_else(String::new, |domain| format!(" in the domain {domain}"));
                    self.fault(
                        *line,
                        "prefix",
                        format!("{}{within} stands already in line {before}", range.prefix),
                        "remove one of the two",
                    );
                }
                _ => first = Some((range, *line)),
            }
        }
        if list.is_empty() && self.faults.is_empty() {
            self.fault(0, "", "holds no range", "write one a line, such as 203.0.113.0/24,acme; 0.0.0.0/0 and ::/0 are allowed");
        }
        self.faults.sort(self.file);
        self.faults.or(list.into_iter().map(|(range, _)| range).collect())
    }
}
