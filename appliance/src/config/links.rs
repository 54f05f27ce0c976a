//! `[[links]]`: the pipes that traffic comes by.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::interfaces::exporter_of;
use super::tags::{TagMatch, matching};
use super::walk::{Field, Section};
use crate::limits::LINKS_MAX;

/// One of `[[links]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// `name`
    pub name: String,
    /// `router`, or empty.
    pub router: String,
    /// `interface`, or empty.
    pub interface: String,
    /// `provider`, or empty.
    pub provider: String,
    /// `capacity_bps`, of the physical layer.
    pub capacity_bps: u64,
    /// `max`, `target` and `acceptable`: shares of the capacity. Default 1, and each as the one before it.
    pub utilisation: [f64; 3],
    /// `match`: a frame that is any of these came by it. None: flow records alone know it.
    pub matches: Vec<TagMatch>,
    /// `exporter` and `if_index`: by which interface flows come or go.
    pub of_flows: Option<(IpAddr, u32)>,
}

impl Link {
    /// Whether frames may come by it: of one that flow records alone know, nothing is reported but what they tell.
    pub fn has_frames(&self) -> bool {
        !self.matches.is_empty()
    }
}

const CAPACITY_BPS: RangeInclusive<u64> = 1_000..=100_000_000_000_000;
const MATCH: &str = "match = { port = 0 }";
const NAME: &str = "name = \"transit-a\"";

/// `[[links]]`
pub(super) fn read(root: &Section<'_, '_>) -> Vec<Link> {
    let rows = root.rows("links");
    if let Some(row) = rows.get(LINKS_MAX) {
        row.book().fault(&row.at, format!("is one link more than the {LINKS_MAX} that an appliance may have"), "remove it");
    }
    let links: Vec<Link> = rows.into_iter().filter_map(|row| link(row, root)).collect();
    root.book().name_links(links.iter().map(|link| (link.name.clone(), link.of_flows)).collect());
    links
}

fn link(mut row: Section<'_, '_>, root: &Section<'_, '_>) -> Option<Link> {
    let name = row.require("name", NAME).and_then(|field| named(&field));
    if let Some(name) = &name {
        row.named(name);
        if root.book().link(name).is_some() {
            row.fault("name", "names another link too", "give each a name of its own");
        }
        root.book().name_link(name);
    }
    let (of_flows, is_of_flows) = (of_flows(&row), row.has("exporter") || row.has("if_index"));
    let matches = match is_of_flows && !row.has("match") {
        true => Some(Vec::new()),
        false => row.require("match", MATCH).and_then(any_of),
    };
    let text = |key: &'static str| row.take(key).and_then(|field| field.text("\"edge1\"").map(str::to_owned)).unwrap_or_default();
    let (router, interface, provider) = (text("router"), text("interface"), text("provider"));
    let capacity_bps = row.require("capacity_bps", "capacity_bps = 10_000_000_000").and_then(|field| field.integer(&CAPACITY_BPS));
    let utilisation = utilisation(&row);
    row.close();
    Some(Link { name: name?, router, interface, provider, capacity_bps: capacity_bps?, utilisation, matches: matches?, of_flows })
}

/// One table, or a list of them: what has a tag of the scrubber in front looks different from what has none.
fn any_of(field: Field<'_, '_>) -> Option<Vec<TagMatch>> {
    let (at, book) = (field.at.clone(), field.book());
    let fields = field.one_or_many()?;
    if fields.is_empty() {
        book.fault(&at, "lists nothing: no frame would match", format!("write {MATCH}"));
        return None;
    }
    if fields.len() > LINKS_MAX {
        book.fault(&at, format!("lists {}, and {LINKS_MAX} are the most", fields.len()), "know the link by less");
    }
    fields.iter().map(|field| field.section(MATCH).map(matching)).collect()
}

/// An exporter's interface.
fn of_flows(row: &Section<'_, '_>) -> Option<(IpAddr, u32)> {
    let (exporter, index) = (row.take("exporter"), row.take("if_index"));
    match (&exporter, &index) {
        (Some(_), None) => row.fault("if_index", "is missing beside exporter", "write if_index = 3, the interface's number"),
        (None, Some(_)) => row.fault("exporter", "is missing beside if_index", "write exporter = \"192.0.2.1\""),
        _ => {}
    }
    let exporter = exporter.and_then(|field| exporter_of(&field));
    let index = index.and_then(|field| field.integer(&(0..=u64::from(u32::MAX)))).and_then(|index| u32::try_from(index).ok());
    exporter.zip(index)
}

/// A name that stands in keys, where parts are joined by `|`.
fn named(field: &Field<'_, '_>) -> Option<String> {
    let name = field.text("\"transit-a\"")?;
    if name.contains('|') || name.chars().any(char::is_control) {
        field.fault("holds `|` or a control character", "write a name without, such as \"transit-a\"");
        return None;
    }
    Some(name.to_owned())
}

fn utilisation(row: &Section<'_, '_>) -> [f64; 3] {
    let mut before = 1.0;
    ["max", "target", "acceptable"].map(|key| {
        if let Some(field) = row.take(key) {
            match field.share() {
                Some(share) if share > before => {
                    field.fault(format!("{share} is above {before}"), "order them: acceptable <= target <= max <= 1.0");
                }
                Some(share) => before = share,
                None => {}
            }
        }
        before
    })
}
