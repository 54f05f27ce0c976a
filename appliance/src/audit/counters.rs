//! The scrubber's counters as they are written: CSV with a header, or JSON: a list of objects, or one object a line.

use std::fmt;

use serde_json::Value;

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
}

impl Reader {
    /// JSON if it starts like it, else CSV.
    pub fn read(text: &str) -> Self {
        let mut reader = Self::default();
        match text.trim_start().as_bytes().first() {
            Some(b'[') => reader.list(text),
            Some(b'{') => reader.lines(text),
            _ => reader.csv(text),
        }
        reader
    }

    fn push(&mut self, at: usize, row: Result<Row, String>) {
        match row {
            Ok(row) => self.rows.push(row),
            Err(what) => {
                self.bad += 1;
                self.first_bad.get_or_insert(Bad { at, what });
            }
        }
    }

    fn list(&mut self, text: &str) {
        match serde_json::from_str::<Vec<Value>>(text) {
            Ok(values) => values.iter().enumerate().for_each(|(i, value)| self.push(i + 1, object(value))),
            Err(fault) => self.push(fault.line(), Err(format!("is no JSON: {fault}"))),
        }
    }

    fn lines(&mut self, text: &str) {
        for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let value = serde_json::from_str::<Value>(line).map_err(|fault| format!("is no JSON: {fault}"));
            self.push(i + 1, value.and_then(|value| object(&value)));
        }
    }

    fn csv(&mut self, text: &str) {
        let mut csv = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).comment(Some(b'#')).from_reader(text.as_bytes());
        let header = match csv.headers() {
            Ok(header) => header.clone(),
            Err(fault) => return self.push(1, Err(format!("is no CSV: {fault}"))),
        };
        let column = |name: &str| header.iter().position(|field| field == name);
        let time = column("time_ns").or_else(|| column("time"));
        let (Some(time), Some(key), Some(dropped)) = (time, column("key"), column("dropped_packets")) else {
            return self.push(1, Err("the header lacks time_ns (or time), key or dropped_packets".to_owned()));
        };
        let domain = column("domain");
        for (i, record) in csv.records().enumerate() {
            let row = record.map_err(|fault| format!("is no CSV: {fault}")).and_then(|record| {
                let field = |at: usize| record.get(at).unwrap_or_default();
                row(field(time), (domain.map_or("", field), field(key)), field(dropped))
            });
            self.push(i + 2, row);
        }
    }
}

fn object(value: &Value) -> Result<Row, String> {
    let text = |name: &str| match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let time = if value.get("time_ns").is_some() { "time_ns" } else { "time" };
    row(&text(time), (&text("domain"), &text("key")), &text("dropped_packets"))
}

fn row(time: &str, (domain, key): (&str, &str), dropped: &str) -> Result<Row, String> {
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
fn time_ns(text: &str) -> Option<u64> {
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
