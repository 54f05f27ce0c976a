//! `[sinks.https]`: JSON lines pushed to a server, in batches.

use std::path::{Path, PathBuf};

use super::appliance::beside;
use super::fault::Fault;
use super::secret::{SecretPlace, is_open_to_all};
use super::trust::{secret_file, variable};
use super::walk::{Field, Section};

/// `[sinks.https]`
#[derive(Clone, Debug, Eq)]
pub struct HttpsSink {
    /// `https://…`; `http://` to this machine alone.
    pub url: String,
    /// `of`: flow messages; default true.
    pub has_flows: bool,
    /// `of`: packet logs; default false.
    pub has_packets: bool,
    /// `of`: reports of all kinds; default false.
    pub has_reports: bool,
    /// `topics`: of flow messages those of these alone; empty: all.
    pub topics: Vec<String>,
    /// Default `gzip`.
    pub compression: Compression,
    /// How lines stand in a body.
    pub framing: BodyFraming,
    /// Who we are; none: nobody asks.
    pub credentials: Option<Credentials>,
    /// Who must have signed the server's certificate, PEM; none: whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// Lines of a body at most; default 5000.
    pub batch_lines: usize,
    /// Bytes of a body at most, before it is compressed; default 1024 KiB. One line that is longer goes alone.
    pub batch_bytes: usize,
    /// A line waits for others no longer; default 1000.
    pub batch_ms: u64,
    /// An answer is waited for so long; default 30,000.
    pub timeout_ms: u64,
    /// Secrets and certificates that cannot be read: faults to `run` alone, who replays need not have them.
    pub unreadable: Vec<Fault>,
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// How lines stand in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// One behind the other, each with its end.
    Lines,
    /// Each as an event of Splunk's HTTP Event Collector, with what the operator says of it.
    SplunkHec {
        /// `index`
        index: Option<String>,
        /// `source`
        source: Option<String>,
        /// `sourcetype`
        sourcetype: Option<String>,
    },
}

/// Who we are to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// `token_file` or `token_env`: `Authorization: Bearer`, or `Splunk` with that framing.
    Token(SecretPlace),
    /// `username` and `password_file` or `password_env`.
    Basic(String, SecretPlace),
}

/// Of what is written: whether files can be read now makes it no other.
impl PartialEq for HttpsSink {
    fn eq(&self, other: &Self) -> bool {
        let of = |sink: &Self| Self { unreadable: Vec::new(), ..sink.clone() };
        let parts = |sink: &Self| {
            let Self { url, has_flows, has_packets, has_reports, topics, compression, framing, credentials, ca_file, .. } = of(sink);
            let Self { batch_lines, batch_bytes, batch_ms, timeout_ms, .. } = *sink;
            (
                (url, has_flows, has_packets, has_reports, topics, compression, framing),
                (credentials, ca_file, batch_lines, batch_bytes, batch_ms, timeout_ms),
            )
        };
        parts(self) == parts(other)
    }
}

impl HttpsSink {
    /// Flow messages to a server, all else as it is by default.
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            has_flows: true,
            has_packets: false,
            has_reports: false,
            topics: Vec::new(),
            compression: Compression::Gzip,
            framing: BodyFraming::Lines,
            credentials: None,
            ca_file: None,
            batch_lines: BATCH_LINES,
            batch_bytes: BATCH_KB << 10,
            batch_ms: BATCH_MS,
            timeout_ms: TIMEOUT_MS,
            unreadable: Vec::new(),
        }
    }

    /// What works and should not be left so: what, and what mends it.
    pub fn weaknesses(&self) -> Vec<(String, String)> {
        let (Some(Credentials::Token(place)) | Some(Credentials::Basic(_, place))) = &self.credentials else { return Vec::new() };
        let open = place.file().filter(|file| is_open_to_all(file));
        open.map(|file| (format!("everybody may read {}", file.display()), format!("chmod o= {}", file.display()))).into_iter().collect()
    }
}

const URL: &str = "\"https://collector.example.net/ingest\"";
const COMPRESSIONS: [(&str, Compression); 3] = [("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)];
const FRAMINGS: [(&str, bool); 2] = [("lines", false), ("splunk-hec", true)];
/// What is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Flows,
    Packets,
    Reports,
}

const OF: [(&str, Of); 3] = [("flows", Of::Flows), ("packets", Of::Packets), ("reports", Of::Reports)];
const BATCH_LINES: usize = 5_000;
const BATCH_KB: usize = 1_024;
const BATCH_MS: u64 = 1_000;
const TIMEOUT_MS: u64 = 30_000;

pub(super) fn read(section: Section<'_, '_>) -> Option<HttpsSink> {
    let url = section.require("url", &format!("url = {URL}")).and_then(|field| url(&field));
    let of = section.take("of").map_or_else(|| Some(vec![Of::Flows]), of);
    let topics = section.list("topics", "[\"tailwater.v1.flows\"]").into_iter().flatten();
    let topics = topics.filter_map(|field| super::kafka::topic(&field, "tailwater.v1.flows", false)).collect();
    let compression = section.choice("compression", &COMPRESSIONS).unwrap_or(Compression::Gzip);
    let framing = framing(&section);
    let mut unreadable = Vec::new();
    let credentials = credentials(&section, &mut unreadable);
    let ca_file = ca_file(&section, &mut unreadable);
    let number = |key, bounds, default: u64| section.integer(key, bounds).unwrap_or(default);
    let batch_lines = number("batch_lines", 1..=1_000_000, BATCH_LINES as u64);
    let batch_kb = number("batch_kb", 1..=65_536, BATCH_KB as u64);
    let (batch_ms, timeout_ms) = (number("batch_ms", 1..=600_000, BATCH_MS), number("timeout_ms", 100..=600_000, TIMEOUT_MS));
    section.close();
    let of = of?;
    Some(HttpsSink {
        url: url?,
        has_flows: of.contains(&Of::Flows),
        has_packets: of.contains(&Of::Packets),
        has_reports: of.contains(&Of::Reports),
        topics,
        compression,
        framing,
        credentials,
        ca_file,
        batch_lines: usize::try_from(batch_lines).unwrap_or(BATCH_LINES),
        batch_bytes: usize::try_from(batch_kb << 10).unwrap_or(BATCH_KB << 10),
        batch_ms,
        timeout_ms,
        unreadable,
    })
}

/// In plain text only to this machine: an agent there may speak TLS itself.
fn url(field: &Field<'_, '_>) -> Option<String> {
    let text = field.text(URL)?;
    let (rest, is_tls) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, true),
        (None, Some(rest)) => (rest, false),
        _ => {
            field.fault("is no address of https", format!("write {URL}"));
            return None;
        }
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    if authority.contains('@') {
        field.fault("holds credentials", "write username and password_file, or token_file, and here the address alone");
        return None;
    }
    let host = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(authority, |(host, _)| host);
    let is_there = !host.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains('#');
    if !is_there {
        field.fault("is no address of https", format!("write {URL}"));
        return None;
    }
    if !is_tls && !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        field.fault("would go over the network in plain text", format!("write https://{rest}; http:// is for this machine alone"));
        return None;
    }
    Some(text.to_owned())
}

fn of(field: Field<'_, '_>) -> Option<Vec<Of>> {
    let list = field.one_or_many()?;
    let kinds: Vec<Of> = list.iter().filter_map(|one| one.choice(&OF)).collect();
    (kinds.len() == list.len()).then_some(kinds)
}

fn framing(section: &Section<'_, '_>) -> BodyFraming {
    let is_hec = section.choice("framing", &FRAMINGS).unwrap_or(false);
    let text = |key, example: &str| {
        let text = section.text(key, example).map(str::to_owned);
        if text.is_some() && !is_hec {
            section.fault(key, "is of Splunk's framing", "write framing = \"splunk-hec\", or remove it");
        }
        text
    };
    let (index, source, sourcetype) = (text("index", "\"main\""), text("source", "\"tailwater\""), text("sourcetype", "\"_json\""));
    if is_hec { BodyFraming::SplunkHec { index, source, sourcetype } } else { BodyFraming::Lines }
}

fn credentials(section: &Section<'_, '_>, unreadable: &mut Vec<Fault>) -> Option<Credentials> {
    for (key, kept) in
        [("token", "token_file = \"push.token\"; or token_env"), ("password", "password_file = \"push.password\"; or password_env")]
    {
        // Looked for among what nobody took: it shall not be listed as a key that there is.
        if let Some((_, field)) = section.rest().into_iter().find(|(name, _)| name == key) {
            section.forget([key]);
            field.fault("may not stand in a configuration", format!("write it into a file, chmod 600, and here {kept}"));
        }
    }
    let token =
        [secret_file(section, "token_file", "\"push.token\"", unreadable), variable(section, "token_env", "\"PUSH_TOKEN\"", unreadable)];
    let username = section.text("username", "\"tailwater\"").map(str::to_owned);
    let password = [
        secret_file(section, "password_file", "\"push.password\"", unreadable),
        variable(section, "password_env", "\"PUSH_PASSWORD\"", unreadable),
    ];
    let has = |key: &str| section.has(key);
    let keys = ["token_file", "token_env", "password_file", "password_env"];
    let given: Vec<&str> = keys.into_iter().filter(|key| has(key)).collect();
    if let [_, second, ..] = given[..] {
        section.fault(second, "is a second secret", format!("keep one of {}", given.join(" and ")));
        return None;
    }
    let is_basic = has("password_file") || has("password_env");
    if is_basic && !has("username") {
        section.fault(
            given.first().copied().unwrap_or("password_file"),
            "has no username",
            "write username = \"tailwater\", or token_file",
        );
    }
    if has("username") && !is_basic {
        section.fault("username", "has no password", "write password_file = \"push.password\", or password_env = \"PUSH_PASSWORD\"");
    }
    let place = |places: [Option<SecretPlace>; 2]| places.into_iter().flatten().next();
    place(token).map(Credentials::Token).or_else(|| Some(Credentials::Basic(username?, place(password)?)))
}

fn ca_file(section: &Section<'_, '_>, unreadable: &mut Vec<Fault>) -> Option<PathBuf> {
    let field = section.take("ca_file")?;
    let file = beside(section.book().file(), field.text("\"ca.pem\"")?);
    match std::fs::read(&file) {
        Ok(pem) if holds_certificate(&pem) => {}
        Ok(_) => {
            let remedy = "name a file with the certificates in PEM of who signed the server's: -----BEGIN CERTIFICATE-----";
            unreadable.push(field.later(format!("{} holds no certificate in PEM", file.display()), remedy));
        }
        Err(fault) => unreadable
            .push(field.later(format!("{} cannot be read: {fault}", file.display()), "name a file in PEM that the appliance may read")),
    }
    Some(file)
}

/// As the client reads it.
#[cfg(feature = "https")]
fn holds_certificate(pem: &[u8]) -> bool {
    ureq::tls::parse_pem(pem).any(|item| matches!(item, Ok(ureq::tls::PemItem::Certificate(_))))
}

/// Nobody reads it.
#[cfg(not(feature = "https"))]
const fn holds_certificate(_: &[u8]) -> bool {
    true
}

impl Credentials {
    /// The secret's file, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        let (Self::Token(place) | Self::Basic(_, place)) = self;
        place.file()
    }
}
