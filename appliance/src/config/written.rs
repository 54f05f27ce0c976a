//! A configuration as text that others may read: what counts, without comments, places of secrets blotted out.
//!
//! Written anew from what the file holds, value by value: a comment, and what an operator left in one, is in it nowhere.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use toml_edit::{Item, Key, TableLike, Value};

use super::Range;

/// Stands for what is not shown.
const BLOT: &str = "\"***\"";
/// A key whose name holds one of these says where a secret is, or is one by mistake.
const SECRET: [&str; 5] = ["password", "secret", "token", "key_file", "community"];
/// Stands between the configuration and its ranges.
const RANGES: &str = "# ranges";

/// The file's text.
pub(super) fn toml(root: &dyn TableLike) -> String {
    let mut text = String::new();
    table(&mut text, "", root);
    text
}

/// What it names as ranges, as CSV: every label that some range has is a column.
///
/// # Errors
/// None that a writer into memory has.
pub(super) fn ranges(list: &[Range]) -> Result<String, csv::Error> {
    let labels: BTreeSet<&str> = list.iter().flat_map(|range| range.labels.iter().map(|(name, _)| &name[..])).collect();
    let mut writer = csv::Writer::from_writer(format!("{RANGES}\n").into_bytes());
    writer.write_record(["prefix", "customer", "domain"].into_iter().chain(labels.iter().copied()))?;
    for range in list {
        let label = |name: &&str| range.labels.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value).to_owned();
        let domain = range.domain.map_or_else(String::new, |domain| domain.to_string());
        let first = [crate::axes::key::network_text(&range.prefix), range.customer.clone(), domain];
        writer.write_record(first.into_iter().chain(labels.iter().map(label)))?;
    }
    let bytes = writer.into_inner().map_err(|fault| fault.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Its own values first, then what is below it.
fn table(text: &mut String, path: &str, of: &dyn TableLike) {
    let inner = |key: &str| if path.is_empty() { name(key) } else { format!("{path}.{}", name(key)) };
    for (key, item) in of.iter() {
        if let Item::Value(of) = item {
            line(text, &format!("{} = {}", name(key), shown(key, of)));
        }
    }
    for (key, item) in of.iter() {
        match item {
            Item::Table(below) => {
                line(text, &format!("[{}]", inner(key)));
                table(text, &inner(key), below);
            }
            Item::ArrayOfTables(rows) => {
                for row in rows {
                    line(text, &format!("[[{}]]", inner(key)));
                    table(text, &inner(key), row);
                }
            }
            Item::Value(_) | Item::None => {}
        }
    }
}

fn line(text: &mut String, words: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{words}");
}

fn name(key: &str) -> String {
    Key::new(key).display_repr().into_owned()
}

fn shown(key: &str, of: &Value) -> String {
    match of {
        _ if SECRET.iter().any(|word| key.contains(word)) => BLOT.to_owned(),
        Value::String(text) if key == "url" => quoted(&address(text.value())),
        of => value(of),
    }
}

/// Of an URL who is asked: what stands behind may be a secret.
pub fn address(url: &str) -> String {
    let authority = url.find("://").map_or(0, |at| at + 3);
    match url.get(authority..).and_then(|rest| rest.find(['/', '?', '#'])) {
        Some(at) => format!("{}/***", url.get(..authority + at).unwrap_or_default()),
        None => url.to_owned(),
    }
}

/// On one line.
fn value(of: &Value) -> String {
    match of {
        Value::String(text) => quoted(text.value()),
        Value::Integer(number) => number.value().to_string(),
        Value::Float(number) => format!("{:?}", number.value()),
        Value::Boolean(is) => is.value().to_string(),
        Value::Datetime(time) => time.value().to_string(),
        Value::Array(list) => format!("[{}]", list.iter().map(value).collect::<Vec<_>>().join(", ")),
        Value::InlineTable(inner) => {
            let pairs = inner.iter().map(|(key, of)| format!("{} = {}", name(key), shown(key, of)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(quoted, "\\{c}"),
            c if c.is_control() => write!(quoted, "\\u{:04X}", u32::from(c)),
            c => write!(quoted, "{c}"),
        };
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use toml_edit::DocumentMut;

    use super::*;

    /// What a document says, whatever it looks like.
    fn said(of: &dyn TableLike) -> String {
        let mut keys: Vec<_> = of.iter().map(|(key, item)| format!("{key}: {}", item_said(item))).collect();
        keys.sort();
        format!("{{{}}}", keys.join("; "))
    }

    fn item_said(item: &Item) -> String {
        match item {
            Item::ArrayOfTables(rows) => rows.iter().map(|row| said(row)).collect::<Vec<_>>().join("|"),
            Item::Value(Value::Array(list)) => list.iter().map(|one| item_said(&Item::Value(one.clone()))).collect::<Vec<_>>().join("|"),
            Item::Value(Value::String(text)) => format!("{:?}", text.value()),
            Item::Value(Value::Integer(n)) => n.value().to_string(),
            other => other.as_table_like().map_or_else(|| other.to_string().trim().to_owned(), said),
        }
    }

    #[test]
    fn the_text_says_what_the_file_says_without_comments_and_secrets() {
        let file = "# hunter1\n[appliance] # hunter2\nname = \"a\\\"\\\\\\n\\u007F\" # hunter3\nmemory_mb = 0x40\nhash_key_file = \"hunter4\"\n\
                    [sinks.kafka]\nbrokers = 'b:1'\npassword_env = \"hunter5\"\nkey_password_file = \"hunter6\"\nca_file = \"ca.pem\"\n\
                    [admin]\ntoken_file = \"hunter7\"\n[[stats]]\nname = \"s\"\nkey = [\n  \"src_ip\", # hunter8\n  \"dst_ip\",\n]\n\
                    where = { dst_port = [53], link = \"x\" }\nmax = 0.5\nfast = true\n[[stats]]\nname = \"t\"\n\
                    [[tags]]\nsampling = { from = \"vlan\" }\n[tags.match]\nvlan = 666\n";
        let document: DocumentMut = file.parse().unwrap();
        let text = toml(document.as_table());
        println!("{text}");
        assert!(!text.contains("hunter") && !text.contains('#'), "{text}");
        let blotted = ["4", "5", "6", "7"].iter().fold(file.to_owned(), |file, n| file.replace(&format!("hunter{n}"), "***"));
        let expected: DocumentMut = blotted.parse().unwrap();
        let again: DocumentMut = text.parse().unwrap();
        assert_eq!(said(again.as_table()), said(expected.as_table()));
    }

    #[test]
    fn ranges_are_rows_of_csv() {
        let range = |prefix: &str, customer: &str, labels: &[(&str, &str)]| Range {
            prefix: prefix.parse().unwrap(),
            domain: None,
            customer: customer.to_owned(),
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        let list = [range("192.0.2.0/24", "a,b", &[("plan", "x")]), range("2001:db8::/32", "c", &[("city", "y\"")])];
        let expected = "# ranges\nprefix,customer,domain,city,plan\n192.0.2.0/24,\"a,b\",,,x\n2001:db8::/32,c,,\"y\"\"\",\n";
        assert_eq!(ranges(&list).unwrap(), expected);
    }
}
