//! `[[stats]]`: five axes, a predicate, sets, and the calculation's own settings.

use toml_edit::Value;

use super::fault::near;
use super::predicate::{self, Predicate};
use super::sets::{DEFAULT, Set};
use super::walk::{Field, Section};
use crate::axes::key::{KEYS, Key, Lengths};
use crate::axes::metric::METRICS;
use crate::axes::{DecisionAxis, DirectionAxis, KeySpec, Metric, Source};
use crate::limits::{KEY_PARTS_MAX, STATS_MAX};

/// A value of a calculation's own setting.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "TOML's own kinds")]
pub enum Setting {
    Integer(i64),
    Float(f64),
    Text(String),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    Texts(Vec<String>),
    Flag(bool),
    /// Whole numbers by name, sorted by name.
    Table(Vec<(String, i64)>),
}

/// One of `[[stats]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct StatSpec {
    /// Unique.
    pub name: String,
    /// As written; `stats` knows which there are.
    pub calculation: String,
    /// What it counts. Default `packets`.
    pub source: Source,
    /// Default `none`.
    pub key: KeySpec,
    /// Default `packets`.
    pub metric: Metric,
    /// Default `any`.
    pub decision: DecisionAxis,
    /// Default `ingress`.
    pub direction: DirectionAxis,
    /// `where`
    pub predicate: Option<Predicate>,
    /// Default false.
    pub fast: bool,
    /// Default `["default"]`.
    pub sets: Vec<String>,
    /// Of `src_prefix` and `dst_prefix` in `of`; those of the key where nothing is said of them there.
    pub of_lengths: Lengths,
    /// What stands beside the axes, by name: `k`, `p`, `bins`, …; the calculation checks them.
    pub settings: Vec<(String, Setting)>,
}

impl StatSpec {
    /// Of every packet, in either direction, with the calculation's own defaults; named as it.
    pub fn new(calculation: &str, key: &[Key], metric: Metric) -> Self {
        Self {
            name: calculation.to_owned(),
            calculation: calculation.to_owned(),
            source: Source::Packets,
            key: KeySpec::new(key.to_vec(), Lengths::default()),
            metric,
            decision: DecisionAxis::Any,
            direction: DirectionAxis::Any,
            predicate: None,
            fast: false,
            sets: Vec::new(),
            of_lengths: Lengths::default(),
            settings: Vec::new(),
        }
    }

    /// With a setting of the calculation.
    #[must_use]
    pub fn with(mut self, name: &str, value: Setting) -> Self {
        self.settings.push((name.to_owned(), value));
        self
    }
}

/// A stat's calculation refuses it: `key` is the setting or axis at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Key in the stat's table.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Whether a stat can be made of a row.
type Check<'a> = dyn Fn(&StatSpec) -> Result<(), Refusal> + 'a;

/// All rows; those with faults are left out, and their faults noted.
pub(super) fn read(root: &Section<'_, '_>, sets: &[Set], check: &Check<'_>) -> Vec<StatSpec> {
    let rows = root.rows("stats");
    if rows.is_empty() && root.take("stats").is_none() {
        root.fault(
            "stats",
            "are missing: there is nothing to count",
            "write [[stats]] with name = \"packets\" and calculation = \"sum\"; or stats = [], if the ledger is all that you want",
        );
    }
    if let Some(row) = rows.get(STATS_MAX) {
        row.book().fault(&row.at, format!("is one stat more than the {STATS_MAX} that an appliance may have"), "remove it");
    }
    let mut names: Vec<(&str, usize)> = Vec::new();
    let mut stats = Vec::new();
    for mut row in rows {
        let name = row.require("name", "name = \"packets\"").and_then(|f| f.text("\"packets\"")).unwrap_or_default();
        row.named(name);
        match names.iter().find(|(other, _)| *other == name) {
            Some((_, line)) if !name.is_empty() => {
                row.fault("name", format!("\"{name}\" is taken by the stat in line {line}"), "give each stat a name of its own");
            }
            _ => names.push((name, row.at_key("name").line)),
        }
        stats.extend(stat(&row, name, sets, check));
    }
    stats
}

fn stat(row: &Section<'_, '_>, name: &str, sets: &[Set], check: &Check<'_>) -> Option<StatSpec> {
    let before = row.book().count();
    let calculation = row.require("calculation", "calculation = \"sum\"").and_then(|f| f.text("\"sum\""));
    let source = row.take("source").map_or(Some(Source::Packets), |f| f.choice(&Source::ALL));
    let lengths = lengths(row);
    let key = row.take("key").map_or_else(|| Some(KeySpec::new(vec![Key::None], Lengths::default())), |f| key(f, lengths));
    let metric = row.take("metric").map_or(Some(Metric::Packets), |f| metric(&f));
    let decision = row.take("decision").map_or(Some(DecisionAxis::Any), |f| f.choice(&DecisionAxis::ALL));
    let direction = row.take("direction").map_or(Some(DirectionAxis::Ingress), |f| f.choice(&DirectionAxis::ALL));
    let predicate = row.section("where", "{ protocol = \"udp\" }").map(predicate::read);
    let fast = row.flag("fast").unwrap_or(false);
    judge_source(row, source, (key.as_ref(), metric, predicate.as_ref()));
    let sets = in_sets(row, sets);
    let mut settings = settings(row);
    if key.is_none() {
        // Texts may be values of the key.
        settings.retain(|(_, setting)| !matches!(setting, Setting::Texts(_)));
    }
    let sound = row.book().count() == before;
    let (calculation, name) = (calculation?.to_owned(), name.to_owned());
    // Where an axis is at fault, another stands in for it, so that the calculation can judge the settings at least.
    let key = key.unwrap_or_else(|| KeySpec::new(vec![Key::PacketSize], Lengths::default()));
    let (metric, decision) = (metric.unwrap_or(Metric::Packets), decision.unwrap_or(DecisionAxis::Any));
    let (source, direction) = (source.unwrap_or_default(), direction.unwrap_or(DirectionAxis::Ingress));
    let of_lengths = if names_prefix(&settings) { lengths } else { key.lengths() };
    number_links(&row.book().links(), &key, &mut settings);
    let spec = StatSpec { name, calculation, source, key, metric, decision, direction, predicate, fast, sets, of_lengths, settings };
    ask(row, spec.clone(), check, sound);
    Some(spec)
}

/// Notes keys and metrics that what the stat counts does not have.
fn judge_source(
    row: &Section<'_, '_>,
    source: Option<Source>,
    (key, metric, predicate): (Option<&KeySpec>, Option<Metric>, Option<&Predicate>),
) {
    let Some(source) = source else { return };
    let judge = |at: &str, spec: &KeySpec| {
        for part in spec.parts().iter().filter(|part| !source.has_key(**part)) {
            let name = part.row().name;
            match source {
                Source::Packets => row.fault(
                    at,
                    format!("asks for \"{name}\", which no packet has: it is a key of flow records"),
                    "write source = \"flows\", or use another key",
                ),
                Source::Flows => {
                    row.fault(at, format!("asks for \"{name}\", which no flow record tells"), "use another key, or source = \"packets\"");
                }
            }
        }
    };
    key.into_iter().for_each(|spec| judge("key", spec));
    predicate.into_iter().flat_map(|predicate| &predicate.tests).for_each(|test| judge("where", &test.key));
    if let Some(metric) = metric.filter(|metric| !source.has_metric(*metric)) {
        let what =
            format!("\"{}\" is nothing that a flow record tells: what it says of flags is of all its packets together", metric.name());
        row.fault("metric", what, "use packets, bytes or flows, or source = \"packets\"");
    }
}

fn lengths(row: &Section<'_, '_>) -> Lengths {
    let read = |key, max| row.integer(key, 0..=max).and_then(|n| u8::try_from(n).ok());
    let usual = Lengths::default();
    Lengths { v4: read("prefix_v4", 32).unwrap_or(usual.v4), v6: read("prefix_v6", 128).unwrap_or(usual.v6) }
}

fn key(field: Field<'_, '_>, lengths: Lengths) -> Option<KeySpec> {
    let at_fault = |what: &str| field.fault(what, format!("name one to {KEY_PARTS_MAX} keys, such as [\"src_prefix\", \"dst_port\"]"));
    let Some(list) = field.value().filter(|v| v.is_array()) else {
        return named_key(&field).map(|key| spec(&field, vec![key], lengths));
    };
    match list.as_array().map_or(0, toml_edit::Array::len) {
        0 => at_fault("is empty"),
        1..=KEY_PARTS_MAX => {}
        n => at_fault(&format!("has {n} parts")),
    }
    let parts: Vec<_> =
        field.list("[\"src_ip\", \"dst_port\"]")?.iter().map(named_key).collect::<Vec<_>>().into_iter().collect::<Option<_>>()?;
    if parts.len() > 1 && parts.contains(&Key::None) {
        at_fault("has the part \"none\", which stands alone");
    }
    if (1..parts.len()).any(|i| parts[..i].contains(&parts[i])) {
        at_fault("has one part twice");
    }
    if (1..=KEY_PARTS_MAX).contains(&parts.len()) { Some(spec(&field, parts, lengths)) } else { None }
}

/// Lengths are kept only where a part has use for them: keys that are equal then look equal.
fn spec(field: &Field<'_, '_>, parts: Vec<Key>, lengths: Lengths) -> KeySpec {
    let used = parts.iter().any(|k| matches!(k, Key::SrcPrefix | Key::DstPrefix));
    let origins = field.book().origins(&field.at, &parts);
    KeySpec::new(parts, if used { lengths } else { Lengths::default() }).with_origins(origins)
}

/// Whether `of` names a prefix.
fn names_prefix(settings: &[(String, Setting)]) -> bool {
    let is_prefix = |name: &String| [Key::SrcPrefix, Key::DstPrefix].iter().any(|key| key.row().name == name);
    settings.iter().any(|(name, setting)| match setting {
        Setting::Text(key) => name == "of" && is_prefix(key),
        Setting::Texts(keys) => name == "of" && keys.iter().any(is_prefix),
        _ => false,
    })
}

/// Labels name links as reports do; packets have their numbers, from 1, and reports name them again.
fn number_links(links: &[String], key: &KeySpec, settings: &mut [(String, Setting)]) {
    let Some(at) = key.place_in_text(Key::Link) else { return };
    let labels = settings.iter_mut().filter(|(name, _)| name == "bins").filter_map(|(_, setting)| match setting {
        Setting::Texts(labels) => Some(labels),
        _ => None,
    });
    for label in labels.flatten() {
        let mut words: Vec<String> = label.split('|').map(str::to_owned).collect();
        if let Some((word, number)) = words.get_mut(at).and_then(|word| links.iter().position(|link| link == word).map(|at| (word, at + 1)))
        {
            *word = number.to_string();
            *label = words.join("|");
        }
    }
}

fn named_key(field: &Field<'_, '_>) -> Option<Key> {
    let text = field.text("\"src_ip\", or a list such as [\"src_ip\", \"dst_port\"]")?;
    let key = Key::named(text);
    if key.is_none() {
        field.unknown_word(text, KEYS.iter().map(|row| row.name));
    }
    if key == Some(Key::Link) && !field.has_links() {
        field.fault("is a key that no packet has: there are no [[links]]", "write [[links]], or use another key");
    }
    key
}

fn metric(field: &Field<'_, '_>) -> Option<Metric> {
    let text = field.text("\"packets\"")?;
    let metric = Metric::named(text);
    if metric.is_none() {
        field.unknown_word(text, METRICS.iter().map(|row| row.name));
    }
    metric
}

fn in_sets(row: &Section<'_, '_>, sets: &[Set]) -> Vec<String> {
    let Some(field) = row.take("sets") else { return vec![DEFAULT.to_owned()] };
    let Some(list) = field.list("[\"premium\"]") else { return Vec::new() };
    if list.is_empty() {
        field.fault("is empty: no range would keep this stat", "name a set, or remove the key: then it is in the set \"default\"");
    }
    let mut names = Vec::new();
    for field in &list {
        let Some(name) = field.text("\"premium\"") else { continue };
        unknown_set(field, name, sets);
        if !names.contains(&name.to_owned()) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Notes a fault if no set has that name.
pub(super) fn unknown_set(field: &Field<'_, '_>, name: &str, sets: &[Set]) {
    if name == DEFAULT || sets.iter().any(|s| s.name == name) {
        return;
    }
    let first = |i: usize| !sets[..i].iter().any(|s| s.name == sets[i].name) && sets[i].name != DEFAULT;
    let names = || (0..sets.len()).filter(|i| first(*i)).map(|i| sets[i].name.as_str()).chain([DEFAULT]);
    let meant = near(name, names()).map_or_else(String::new, |m| format!("did you mean \"{m}\"? "));
    let list = super::fault::any_of(names());
    field.fault(format!("there is no set \"{name}\""), format!("{meant}it may be {list}, or write [[sets]] with name = \"{name}\""));
}

fn settings(row: &Section<'_, '_>) -> Vec<(String, Setting)> {
    let mut settings = Vec::new();
    for (key, field) in row.rest() {
        match field.value().and_then(setting) {
            Some(value) => settings.push((key, value)),
            None => {
                field.fault("is no setting", "it must be a number, text, true, false, a list of numbers or texts, or a table of numbers")
            }
        }
    }
    settings.sort_by(|a, b| a.0.cmp(&b.0));
    settings
}

fn setting(value: &Value) -> Option<Setting> {
    match value {
        Value::Integer(n) => Some(Setting::Integer(*n.value())),
        Value::Float(n) => Some(Setting::Float(*n.value())),
        Value::String(text) => Some(Setting::Text(text.value().clone())),
        Value::Boolean(flag) => Some(Setting::Flag(*flag.value())),
        Value::Array(list) => {
            let integers: Option<_> = list.iter().map(Value::as_integer).collect();
            let floats = || list.iter().map(|v| v.as_float().or_else(|| v.as_integer().and_then(|n| n.to_string().parse().ok())));
            let texts = || list.iter().map(|v| v.as_str().map(str::to_owned)).collect::<Option<_>>().map(Setting::Texts);
            integers.map(Setting::Integers).or_else(|| floats().collect::<Option<_>>().map(Setting::Floats)).or_else(texts)
        }
        Value::InlineTable(table) => {
            let rows = table.iter().map(|(name, value)| value.as_integer().map(|n| (name.to_owned(), n)));
            let mut rows: Vec<(String, i64)> = rows.collect::<Option<_>>()?;
            rows.sort();
            Some(Setting::Table(rows))
        }
        Value::Datetime(_) => None,
    }
}

/// Asks the calculation; a setting that it refuses is noted and left out, so that it can judge the rest too. What it says
/// of the axes is noted if they are `sound`, that is as written.
fn ask(row: &Section<'_, '_>, mut spec: StatSpec, check: &Check<'_>, sound: bool) {
    let mut refused: Vec<String> = Vec::new();
    while let Err(Refusal { key, message }) = check(&spec) {
        // What is missed now was there, and is noted already.
        if refused.contains(&key) {
            return;
        }
        let left = spec.settings.len();
        spec.settings.retain(|(name, _)| *name != key);
        let was_setting = spec.settings.len() < left;
        let meant = |key: &str| near(key, row.known()).map(|m| format!("did you mean \"{m}\"?"));
        if was_setting {
            row.fault(&key, message, meant(&key).unwrap_or_default());
            refused.push(key);
            continue;
        }
        if sound || key == "calculation" {
            row.fault(&key, message, "");
        }
        for (key, remedy) in spec.settings.iter().filter_map(|(key, _)| Some((key, meant(key)?))) {
            row.fault(key, "unknown key", remedy);
        }
        return;
    }
}
