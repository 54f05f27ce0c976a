//! `[enrich]`: tables that tell more of a flow than its exporter did.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::appliance::beside;
use super::flow_predicate;
use super::looked_up::Databases;
use super::secret::SecretPlace;
use super::walk::{Field, Section};
use crate::axes::flow_field::{FlowField, named};

/// `[enrich]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrich {
    /// `customers`
    pub customers: Option<Customers>,
    /// `asn`: a MaxMind-format database.
    pub asn: Option<PathBuf>,
    /// `country`: likewise.
    pub country: Option<PathBuf>,
    /// `interfaces`: CSV.
    pub interfaces: Option<PathBuf>,
    /// `[enrich.snmp]`
    pub snmp: Option<Snmp>,
    /// `bgp`: MRT, or CSV.
    pub bgp: Option<PathBuf>,
    /// `prefer = "table"`: tables say AS and next hop whatever the exporter said.
    pub prefers_table: bool,
    /// `protocol_names`; default true.
    pub protocol_names: bool,
    /// `normalise`; default false.
    pub normalise: bool,
    /// `[[enrich.lookups]]`, in order.
    pub lookups: Vec<Lookup>,
    /// Files are looked at so often; default 5.
    pub reload_s: u64,
}

/// Where customers of addresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Customers {
    /// `[ranges]`
    Ranges,
    /// CSV, or JSON by its ending.
    File(PathBuf),
}

/// `[enrich.snmp]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snmp {
    /// Who is asked, port 161 unless told.
    pub exporters: Vec<SocketAddr>,
    /// Where the community is kept.
    pub community: SecretPlace,
    /// Asked anew so often; default 3600.
    pub refresh_s: u64,
    /// An answer is waited for so long; default 2000.
    pub timeout_ms: u64,
}

/// One of `[[enrich.lookups]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// CSV: `key`, `value`.
    pub file: PathBuf,
    /// What is looked up.
    pub by: &'static FlowField,
    /// The text that is filled.
    pub into: &'static FlowField,
}

/// Texts that a lookup may fill.
pub(super) const INTO: [&str; 14] = [
    "note",
    "customer",
    "src_customer",
    "dst_customer",
    "src_if_name",
    "src_if_desc",
    "dst_if_name",
    "dst_if_desc",
    "proto_name",
    "remote_country",
    "src_country",
    "dst_country",
    "src_as_name",
    "dst_as_name",
];

const RELOAD_S: u64 = 5;
const REFRESH_S: u64 = 3_600;
const TIMEOUT_MS: u64 = 2_000;
const SNMP_PORT: u16 = 161;
const PREFER: [(&str, bool); 2] = [("exporter", false), ("table", true)];

/// `[enrich]`, or none.
pub(super) fn read(root: &Section<'_, '_>) -> Option<Enrich> {
    let section = root.section("enrich", "[enrich]")?;
    let file = |key: &'static str, example: &str| section.take(key).and_then(|field| there(&field, example));
    let (asn, country) = (file("asn", "\"asn.mmdb\""), file("country", "\"country.mmdb\""));
    let book = section.book();
    book.name_databases(Databases { asn: asn.clone(), country: country.clone() });
    let (interfaces, bgp) = (file("interfaces", "\"interfaces.csv\""), file("bgp", "\"rib.mrt\""));
    let customers = section.take("customers").and_then(|field| customers(&field));
    let prefers_table = section.choice("prefer", &PREFER).unwrap_or(false);
    let protocol_names = section.flag("protocol_names").unwrap_or(true);
    let normalise = section.flag("normalise").unwrap_or(false);
    let reload_s = section.integer("reload_s", 1..=86_400).unwrap_or(RELOAD_S);
    let snmp = section.section("snmp", "[enrich.snmp]").and_then(snmp);
    let lookups = section.rows("lookups").into_iter().filter_map(lookup).collect();
    section.close();
    let enrich = Enrich { customers, asn, country, interfaces, snmp, bgp, prefers_table, protocol_names, normalise, lookups, reload_s };
    book.name_tables(&enrich);
    Some(enrich)
}

/// A file that is there; what it holds is looked at when it is loaded.
fn there(field: &Field<'_, '_>, example: &str) -> Option<PathBuf> {
    let file = beside(field.file(), field.text(example)?);
    if file.is_file() {
        return Some(file);
    }
    let what = if file.is_dir() { "is a directory" } else { "does not exist" };
    field.fault(format!("{} {what}", file.display()), format!("name a file, such as {example}"));
    None
}

fn customers(field: &Field<'_, '_>) -> Option<Customers> {
    match field.text("\"ranges\", or \"customers.csv\"")? {
        "ranges" => Some(Customers::Ranges),
        _ => there(field, "\"customers.csv\"").map(Customers::File),
    }
}

fn snmp(section: Section<'_, '_>) -> Option<Snmp> {
    let exporters = section.require("exporters", "exporters = [\"192.0.2.1\"]").and_then(|field| field.list("[\"192.0.2.1\"]"));
    let exporters: Option<Vec<_>> = exporters.map(|list| list.iter().filter_map(exporter).collect());
    let community = section.require("community_file", "community_file = \"snmp.community\": one line, chmod 600");
    let community = community.and_then(|field| field.text("\"snmp.community\"").map(|text| beside(field.file(), text)));
    let refresh_s = section.integer("refresh_s", 10..=604_800).unwrap_or(REFRESH_S);
    let timeout_ms = section.integer("timeout_ms", 10..=60_000).unwrap_or(TIMEOUT_MS);
    section.close();
    Some(Snmp { exporters: exporters?, community: SecretPlace::File(community?), refresh_s, timeout_ms })
}

fn exporter(field: &Field<'_, '_>) -> Option<SocketAddr> {
    let text = field.text("\"192.0.2.1\"")?;
    let found = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, SNMP_PORT)).or_else(|_| text.parse()).ok();
    if found.is_none() {
        field.fault(format!("\"{text}\" is no address"), "write one such as \"192.0.2.1\", \"192.0.2.1:1161\" or \"[2001:db8::1]:161\"");
    }
    found
}

fn lookup(section: Section<'_, '_>) -> Option<Lookup> {
    let file = section.require("file", "file = \"hosts.csv\"").and_then(|field| there(&field, "\"hosts.csv\""));
    let by = section.require("by", "by = \"dst_addr\"").and_then(|field| by(&field));
    let into = section.take("into").map_or_else(|| named("note"), |field| into(&field));
    section.close();
    Some(Lookup { file: file?, by: by?, into: into? })
}

fn by(field: &Field<'_, '_>) -> Option<&'static FlowField> {
    let row = flow_predicate::field(field, field.text("\"dst_addr\"")?)?;
    if !row.kind.is_one() {
        field.fault(format!("{} is a list", row.name), "name a field of one value, such as \"dst_addr\"");
        return None;
    }
    Some(row)
}

fn into(field: &Field<'_, '_>) -> Option<&'static FlowField> {
    let row = flow_predicate::field(field, field.text("\"note\"")?)?;
    if !INTO.contains(&row.name) {
        field.fault(format!("{} cannot be filled", row.name), format!("it may be {}", super::fault::any_of(INTO)));
        return None;
    }
    Some(row)
}
