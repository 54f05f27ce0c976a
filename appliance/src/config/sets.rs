//! `[[sets]]`: which ranges keep which stats.

use std::collections::HashMap;

use super::ranges::Range;
use super::stats::{StatSpec, unknown_set};
use super::walk::{At, Section};

/// The set of every stat that names none, and of every range that none matches.
pub(super) const DEFAULT: &str = "default";

/// What a set asks of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetMatch {
    /// `label = "plan=premium"`
    Label(String, String),
    /// `customer = "…"`
    Customer(String),
}

impl SetMatch {
    /// Whether a range has it.
    pub fn fits(&self, range: &Range) -> bool {
        match self {
            Self::Label(name, value) => range.labels.iter().any(|(n, v)| n == name && v == value),
            Self::Customer(customer) => range.customer == *customer,
        }
    }
}

/// One of `[[sets]]`.
#[derive(Clone, Debug)]
pub struct Set {
    /// Unique.
    pub name: String,
    /// `match`
    pub matches: Option<SetMatch>,
    /// Further sets whose stats it holds.
    pub include: Vec<String>,
}

/// Which stats each range keeps: few lists, and one of them for each range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatLists {
    /// Different lists of indices into [`super::Config::stats`], each in that order.
    pub lists: Vec<Vec<usize>>,
    /// For each range its list.
    pub of_range: Vec<u32>,
}

const MATCH: &str = "match = { label = \"plan=premium\" }";

/// `[[sets]]`; faults are noted.
pub(super) fn read(root: &Section<'_, '_>) -> Vec<Set> {
    let rows = root.rows("sets");
    let mut sets: Vec<Set> = Vec::new();
    let mut includes = Vec::new();
    let mut places: Vec<Place> = Vec::new();
    for mut row in rows {
        let name = row.require("name", "name = \"premium\"").and_then(|f| f.text("\"premium\"")).unwrap_or_default().to_owned();
        row.named(&name);
        if !name.is_empty()
            && let Some(i) = sets.iter().position(|s| s.name == name)
        {
            row.fault("name", format!("\"{name}\" is taken by the set in line {}", places[i].row.line), "give each set a name of its own");
        }
        let field = row.take("match");
        let open = field.is_none();
        let matches = field.and_then(|f| f.section(MATCH)).and_then(matching);
        if name == DEFAULT && matches.is_some() {
            row.fault(
                "match",
                "stands in the set \"default\", which every range without a match has",
                "remove it, or name the set otherwise",
            );
        }
        let listed = row.list("include", "[\"default\"]").unwrap_or_default();
        let include = listed.iter().filter_map(|f| f.text("\"default\"")).map(str::to_owned).collect();
        includes.push(listed);
        places.push(Place { row: row.at.clone(), include: row.at_key("include"), open });
        row.close();
        sets.push(Set { name, matches, include });
    }
    for field in includes.iter().flatten() {
        if let Some(name) = field.as_text().filter(|n| !n.trim().is_empty()) {
            unknown_set(field, name, &sets);
        }
    }
    for (place, set) in places.iter().zip(&sets) {
        judge(root, place, set, &sets);
    }
    sets
}

/// Where a set stands, and whether it says nothing of its ranges.
struct Place {
    row: At,
    include: At,
    open: bool,
}

fn matching(section: Section<'_, '_>) -> Option<SetMatch> {
    let label = section.take("label");
    let customer = section.take("customer");
    if label.is_some() == customer.is_some() {
        let which = if label.is_some() { "has both label and customer" } else { "has neither label nor customer" };
        section.book().fault(&section.at, which, "write { label = \"plan=premium\" } or { customer = \"acme\" }");
    }
    section.close();
    if let Some(field) = label {
        let text = field.text("\"plan=premium\"")?;
        let parts = text.split_once('=').map(|(name, value)| (name.trim(), value.trim())).filter(|(name, _)| !name.is_empty());
        if parts.is_none() {
            field.fault(format!("\"{text}\" is no label"), "write name=value, such as \"plan=premium\"");
        }
        return parts.map(|(name, value)| SetMatch::Label(name.to_owned(), value.to_owned()));
    }
    customer?.text("\"acme\"").map(|c| SetMatch::Customer(c.to_owned()))
}

/// A set that includes itself, or that no range can have.
fn judge(root: &Section<'_, '_>, place: &Place, set: &Set, sets: &[Set]) {
    if let Some(path) = cycle(set, sets) {
        root.book().fault(&place.include, format!("includes itself: {}", path.join(" → ")), "remove one of these includes");
    }
    let included = sets.iter().any(|s| s.include.contains(&set.name));
    if place.open && !included && set.name != DEFAULT && !set.name.is_empty() {
        root.book().fault(
            &place.row.inner("match"),
            "is missing, and no other set includes this one: no range would have it",
            format!("write {MATCH}"),
        );
    }
}

/// Names from a set back to itself, if there is such a way; it is told of its first set alone.
fn cycle(start: &Set, sets: &[Set]) -> Option<Vec<String>> {
    let mut seen: Vec<&str> = Vec::new();
    let mut ways = vec![vec![start]];
    while let Some(way) = ways.pop() {
        for next in way.last().map_or(&[][..], |set| &set.include) {
            if *next == start.name {
                let told = sets.iter().find(|s| way.iter().any(|w| w.name == s.name)).is_some_and(|s| s.name == start.name);
                return told.then(|| way.iter().map(|s| s.name.clone()).chain([next.clone()]).collect());
            }
            if !seen.contains(&next.as_str()) {
                seen.push(next);
                ways.extend(sets.iter().find(|s| s.name == *next).map(|s| [&way[..], &[s]].concat()));
            }
        }
    }
    None
}

impl StatLists {
    /// Union of all sets that fit a range, with what they include; `default` where none fits.
    pub fn new(stats: &[StatSpec], sets: &[Set], ranges: &[Range]) -> Self {
        let of_set: Vec<Vec<usize>> = sets.iter().map(|s| stats_of(&s.name, stats, sets)).collect();
        let default = stats_of(DEFAULT, stats, sets);
        let mut made = Self::default();
        let mut known: HashMap<Vec<usize>, u32> = HashMap::new();
        for range in ranges {
            let fits = |set: &Set| set.matches.as_ref().is_some_and(|m| m.fits(range));
            let which: Vec<usize> = sets.iter().enumerate().filter(|(_, s)| fits(s)).map(|(i, _)| i).collect();
            let list = *known.entry(which).or_insert_with_key(|which| {
                let mut union: Vec<usize> = which.iter().flat_map(|i| of_set[*i].clone()).collect();
                if which.is_empty() {
                    union.clone_from(&default);
                }
                union.sort_unstable();
                union.dedup();
                made.place_of(union)
            });
            made.of_range.push(list);
        }
        made
    }

    fn place_of(&mut self, list: Vec<usize>) -> u32 {
        let place = self.lists.iter().position(|l| *l == list).unwrap_or_else(|| {
            self.lists.push(list);
            self.lists.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }
}

/// Names of those that fit a range; `default` where none does.
pub(super) fn of<'a>(sets: &'a [Set], range: &Range) -> Vec<&'a str> {
    let fits: Vec<&str> =
        sets.iter().filter(|set| set.matches.as_ref().is_some_and(|m| m.fits(range))).map(|set| set.name.as_str()).collect();
    if fits.is_empty() { vec![DEFAULT] } else { fits }
}

/// Stats of a set and of all that it includes.
fn stats_of(name: &str, stats: &[StatSpec], sets: &[Set]) -> Vec<usize> {
    let mut names = vec![name];
    let mut at = 0;
    while let Some(name) = names.get(at).copied() {
        for include in sets.iter().filter(|s| s.name == name).flat_map(|s| &s.include) {
            if !names.contains(&include.as_str()) {
                names.push(include);
            }
        }
        at += 1;
    }
    let within = |stat: &StatSpec| stat.sets.iter().any(|s| names.contains(&s.as_str()));
    stats.iter().enumerate().filter(|(_, s)| within(s)).map(|(i, _)| i).collect()
}
