//! Ranges as JSON: an array of objects.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Rows, Written};
use crate::config::fault::Lines;

const REMEDY: &str = "write [{\"prefix\": \"203.0.113.0/24\", \"customer\": \"acme\", \"labels\": {\"plan\": \"premium\"}}]";

/// Reads all objects; what is wrong is noted.
pub(super) fn read(text: &str, rows: &mut Rows<'_>) {
    let elements: Vec<&RawValue> = match serde_json::from_str(text) {
        Ok(elements) => elements,
        Err(e) if e.is_data() => return rows.fault(1, "", "is no array of objects", REMEDY),
        Err(e) => return rows.fault(e.line(), "", format!("is no JSON: {e}"), REMEDY),
    };
    let lines = Lines::of(text);
    for element in elements {
        let raw = element.get();
        let place = Place { raw, start: raw.as_ptr().addr().saturating_sub(text.as_ptr().addr()), lines: &lines };
        match serde_json::from_str::<Map<String, Value>>(raw) {
            Ok(object) => {
                if !row(&object, &place, rows) {
                    return;
                }
            }
            Err(_) => rows.fault(place.line(""), "", "is no object", REMEDY),
        }
    }
}

/// One element in the file.
struct Place<'a> {
    raw: &'a str,
    start: usize,
    lines: &'a Lines,
}

impl Place<'_> {
    /// Line of a key's first mention, or else of the object.
    fn line(&self, key: &str) -> usize {
        self.lines.at(self.start + self.raw.find(&format!("\"{key}\"")).unwrap_or(0))
    }
}

/// Keys that are no labels.
const TEXTS: [&str; 3] = ["prefix", "customer", "domain"];

fn row(object: &Map<String, Value>, place: &Place<'_>, rows: &mut Rows<'_>) -> bool {
    let mut labels: Vec<(String, String)> = Vec::new();
    let inner = object.get("labels").and_then(Value::as_object);
    let flat = object.iter().filter(|(k, _)| !TEXTS.contains(&k.as_str()) && (inner.is_none() || *k != "labels"));
    for (name, value) in flat.chain(inner.into_iter().flatten()) {
        if labels.iter().any(|(other, _)| other == name) {
            rows.fault(place.line(name), name, "is a label twice", "give it within labels alone");
        }
        match scalar(value) {
            Some(value) => labels.push((name.clone(), value)),
            None => rows.fault(place.line(name), name, "is no label", "it must be text, a number, true, false or null"),
        }
    }
    let mut text = |key: &str| match object.get(key) {
        None => String::new(),
        Some(Value::Null) if key == "domain" => String::new(),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(_) => {
            rows.fault(place.line(key), key, "is no text", REMEDY);
            String::new()
        }
    };
    let [prefix, customer, domain] = &TEXTS.map(&mut text);
    let wrong = |key: &&str| object.get(*key).is_some_and(|v| !(v.is_string() || v.is_null() && *key == "domain"));
    TEXTS.iter().any(wrong) || rows.push(Written { prefix, customer, domain, labels, lines: TEXTS.map(|key| place.line(key)) })
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}
