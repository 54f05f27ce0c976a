//! The scrubber's counters as they are written: CSV with a header, or JSON: a list of objects, or one object a line.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Read};

use super::json;
use crate::limits::AUDIT_ROWS_MAX;

/// What a scrubber says it had dropped at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Since 1970.
    pub time_ns: u64,
    /// A prefix (behind its domain and a space, if it has one), the number of a tag rule, or the id of a mitigation rule.
    pub key: String,
    /// Packets since some start.
    pub dropped: u64,
}

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Line, or number of the row, from 1.
    pub at: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}: {}", self.at, self.what)
    }
}

/// Rows of a text, and those that are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    /// In the order of the text.
    pub rows: Vec<Row>,
    /// How many are bad,
    pub bad: u64,
    /// and the first of them.
    pub first_bad: Option<Bad>,
    /// Rows for which there was no room: the first ones, since files grow at their end.
    pub left_out: u64,
    most: usize,
    /// The oldest row, where there is no room for more.
    oldest: usize,
}

impl Reader {
    /// JSON if it starts like it, else CSV.
    pub fn read(text: &str) -> Self {
        // A text does not fail.
        Self::of(text.as_bytes(), AUDIT_ROWS_MAX).unwrap_or_default()
    }

    /// The same, of what is never held as a whole; the last so many rows.
    pub fn of(mut from: impl BufRead, most: usize) -> io::Result<Self> {
        let mut reader = Self { most: most.max(1), ..Self::default() };
        match from.fill_buf()?.trim_ascii_start().first() {
            Some(b'[') => json::list(&mut reader, from)?,
            Some(b'{') => json::lines(&mut reader, from)?,
            _ => reader.csv(from)?,
        }
        reader.rows.rotate_left(reader.oldest);
        Ok(reader)
    }

    pub(super) fn push(&mut self, at: usize, row: Result<Row, String>) {
        match row {
            Ok(row) if self.rows.len() < self.most => self.rows.push(row),
            Ok(row) => {
                self.rows[self.oldest] = row;
                self.oldest = (self.oldest + 1) % self.most;
                self.left_out += 1;
            }
            Err(what) => {
                self.bad += 1;
                self.first_bad.get_or_insert(Bad { at, what });
            }
        }
    }

    fn csv(&mut self, from: impl Read) -> io::Result<()> {
        let mut csv = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).comment(Some(b'#')).from_reader(from);
        let header = match csv.headers() {
            Ok(header) => header.clone(),
            Err(fault) => return self.no_csv(1, fault),
        };
        let column = |name: &str| header.iter().position(|field| field == name);
        let time = column("time_ns").or_else(|| column("time"));
        let (Some(time), Some(key), Some(dropped)) = (time, column("key"), column("dropped_packets")) else {
            self.push(1, Err("the header lacks time_ns (or time), key or dropped_packets".to_owned()));
            return Ok(());
        };
        let (domain, mut record) = (column("domain"), csv::ByteRecord::new());
        for at in 2.. {
            match csv.read_byte_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {
                    let field = |at: usize| record.get(at).map_or(Cow::Borrowed(""), String::from_utf8_lossy);
                    let domain = domain.map_or(Cow::Borrowed(""), field);
                    self.push(at, row(&field(time), (&domain, &field(key)), &field(dropped)));
                }
                Err(fault) => self.no_csv(at, fault)?,
            }
        }
        Ok(())
    }

    /// What cannot be read is no row; what cannot be had ends it.
    fn no_csv(&mut self, at: usize, fault: csv::Error) -> io::Result<()> {
        if fault.is_io_error() {
            return Err(fault.into());
        }
        self.push(at, Err(format!("is no CSV: {fault}")));
        Ok(())
    }
}

/// What is written of a row.
pub(super) fn row(time: &str, (domain, key): (&str, &str), dropped: &str) -> Result<Row, String> {
    let time_ns = time_ns(time).ok_or_else(|| format!("time \"{time}\" is neither nanoseconds since 1970 nor RFC 3339"))?;
    let dropped = dropped.parse().map_err(|_| format!("dropped_packets \"{dropped}\" is no whole number"))?;
    if key.is_empty() {
        return Err("key is missing".to_owned());
    }
    // As reports write it.
    let key = key.parse::<ipnet::IpNet>().map_or_else(|_| key.to_owned(), |prefix| prefix.trunc().to_string());
    let key = if domain.is_empty() { key } else { format!("{domain} {key}") };
    Ok(Row { time_ns, key, dropped })
}

/// Nanoseconds since 1970, written so or as RFC 3339 writes a time of UTC or of an offset.
pub fn time_ns(text: &str) -> Option<u64> {
    if let Ok(ns) = text.parse() {
        return Some(ns);
    }
    if !text.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to).filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?.parse::<i64>().ok();
    let is = |at: usize, of: &[u8]| text.as_bytes().get(at).is_some_and(|byte| of.contains(byte));
    if ![(4, &b"-"[..]), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")].iter().all(|(at, of)| is(*at, of)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let digits = rest.strip_prefix('.').map_or("", |rest| &rest[..rest.bytes().take_while(u8::is_ascii_digit).count()]);
    let zone = rest.get(if rest.starts_with('.') { digits.len() + 1 } else { 0 }..)?;
    let fraction: i64 = if digits.is_empty() { 0 } else { format!("{digits:0<9}").get(..9)?.parse().ok()? };
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute - offset_minutes(zone)?) * 60 + second;
    u64::try_from(seconds.checked_mul(1_000_000_000)?.checked_add(fraction)?).ok()
}

/// `Z`, or `+02:00`.
fn offset_minutes(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = if zone.starts_with('+') { 1 } else { -1 };
    let (hours, minutes) = zone.strip_prefix(['+', '-'])?.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(sign * (60 * hours + minutes))
}

/// Days since 1970 of a date of the Gregorian calendar, in years that begin in March.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_and_json_say_the_same_and_bad_rows_are_told() {
        let csv = "time,key,dropped_packets,dropped_bytes\n1970-01-01T00:00:01Z,10.0.0.0/8,7,900\n2,3,9,1\nlater,3,9,1\n3,3,-9,1\n";
        let json =
            r#"[{"time_ns":1000000000,"key":"10.0.0.0/8","dropped_packets":"7"},{"time_ns":"2","key":3,"dropped_packets":9},{"key":3},4]"#;
        let lines = "{\"time_ns\":1000000000,\"key\":\"10.9.0.0/8\",\"dropped_packets\":7}\n{\"time\":2,\"key\":\"3\",\"dropped_packets\":9}\n{x}\n{}\n";
        for text in [csv, json, lines] {
            let read = Reader::read(text);
            let want = [
                Row { time_ns: 1_000_000_000, key: "10.0.0.0/8".to_owned(), dropped: 7 },
                Row { time_ns: 2, key: "3".to_owned(), dropped: 9 },
            ];
            assert_eq!((&read.rows[..], read.bad), (&want[..], 2), "{text} {:?}", read.first_bad);
        }
        assert_eq!(Reader::read("").bad, 1);
        assert_eq!(Reader::read("a,b\n1,2\n").first_bad.unwrap().at, 1);
        let domain = Reader::read("time_ns,domain,key,dropped_packets\n5,vni=7,2001:DB8::/32,1\n");
        assert_eq!(domain.rows[0].key, "vni=7 2001:db8::/32");
    }

    /// Rows that go on without end are read, and the last of them are kept.
    #[test]
    fn the_last_rows_are_kept_of_more_than_there_is_room_for() {
        let csv = (0..1_000).fold("time_ns,key,dropped_packets\n".to_owned(), |text, n| format!("{text}{n},3,7\n"));
        let objects: Vec<String> = (0..1_000).map(|n| format!("{{\"time_ns\":{n},\"key\":3,\"dropped_packets\":7}}")).collect();
        for text in [csv, format!("[{}]", objects.join(",\n")), objects.join("\n")] {
            let read = Reader::of(text.as_bytes(), 300).unwrap();
            let times: Vec<u64> = read.rows.iter().map(|row| row.time_ns).collect();
            assert_eq!((times, read.left_out, read.bad), ((700..1_000).collect(), 700, 0));
        }
    }

    /// What is no row of ours is passed over, of whatever kind, and what comes before a fault is kept.
    #[test]
    fn json_of_any_kind_is_no_more_than_a_bad_row() {
        let good = r#"{"time_ns":5,"key":"3","dropped_packets":7,"other":[{"key":[1,2]},null,1e9,"x"]}"#;
        let bad = [
            "[1,[2,{}]]",
            "\"text\"",
            "null",
            "true",
            "-1.5",
            "{}",
            r#"{"time_ns":null,"time":"5","key":"3","dropped_packets":7}"#,
            r#"{"time_ns":5,"key":{"a":1},"dropped_packets":7}"#,
            r#"{"time_ns":5,"key":"3","dropped_packets":7.5}"#,
        ];
        let all = format!("[{good},{},{good}", bad.join(","));
        let whole = Reader::of(format!("{all}]").as_bytes(), 10).unwrap();
        assert_eq!((whole.rows.len(), whole.bad), (2, bad.len() as u64), "{:?}", whole.first_bad);
        let torn = Reader::of(all.as_bytes(), 10).unwrap();
        assert_eq!((torn.rows.len(), torn.bad), (2, bad.len() as u64 + 1));
        let lines = Reader::of(format!("{good}\n{}\n{good}\n{good}x\n", bad.join("\n")).as_bytes(), 10).unwrap();
        assert_eq!((lines.rows.len(), lines.bad), (2, bad.len() as u64 + 1));
        let long = format!("{good}\n{{\"a\":\"{}\"}}\n{good}", "x".repeat(3 << 20));
        let long = Reader::of(long.as_bytes(), 10).unwrap();
        assert_eq!((long.rows.len(), long.bad, long.first_bad.unwrap().at), (2, 1, 2));
    }

    /// A file that fails while it is read is told as such: nothing goes on for ever.
    #[test]
    fn what_cannot_be_read_is_a_fault() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("no"))
            }
        }
        for begin in ["time_ns,key,dropped_packets\n", "[", "{\"time_ns\""] {
            let from = io::BufReader::with_capacity(64, begin.as_bytes().chain(Fails));
            assert!(Reader::of(from, 10).is_err(), "{begin}");
        }
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        let of = [
            ("1985-04-12T23:20:50.52Z", Some(482_196_050_520_000_000)),
            ("1996-12-19T16:39:57-08:00", Some(851_042_397_000_000_000)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000_000_000)),
            ("1937-01-01T12:00:27.87+00:20", None),
            ("2024-02-29", None),
            ("2024-02-29T00:00:00", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-02-29T00:00:00é", None),
        ];
        of.iter().for_each(|(text, want)| assert_eq!(time_ns(text), *want, "{text}"));
    }
}
