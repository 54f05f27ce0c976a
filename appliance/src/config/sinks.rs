//! `[sinks]` and `[admin]`: where reports go, and where the appliance answers.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::appliance::beside;
use super::fault::Fault;
use super::walk::{Field, Section};

/// `[sinks]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sinks {
    /// `[sinks.kafka]`
    pub kafka: Option<KafkaSink>,
    /// `[sinks.file]`
    pub file: Option<FileSink>,
    /// `[sinks.stdout]`
    pub stdout: bool,
}

/// `[sinks.kafka]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSink {
    /// `host:port,…`, or `mock`.
    pub brokers: String,
    /// Default `tailwater.v1.ranges`; may hold `{customer}`.
    pub ranges_topic: String,
    /// Default `tailwater.v1.appliance`.
    pub appliance_topic: String,
    /// Default `tailwater.v1.links`.
    pub links_topic: String,
    /// Default `lz4`.
    pub compression: String,
}

/// `[sinks.file]`: proto3 JSON, a message a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSink {
    /// Appended to.
    pub path: PathBuf,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// `127.0.0.1:9464` by default; `off` for none.
    pub listen: Option<SocketAddr>,
    /// Asked of whoever reloads over HTTP; none: nobody is asked. A file that cannot be read is a fault to `run` alone:
    /// who replays need not know the secret.
    pub token: Option<Result<Token, Fault>>,
}

/// A secret of the admin port. Not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether it is this one. How long that takes says nothing but the length.
    pub fn is(&self, other: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differ = own.iter().zip(other).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
        own.len() == other.len() && differ == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

const COMPRESSIONS: [(&str, &str); 5] = [("none", "none"), ("gzip", "gzip"), ("snappy", "snappy"), ("lz4", "lz4"), ("zstd", "zstd")];
/// Of a token.
const TOKEN_CHARS_MIN: usize = 16;
const RANGES_TOPIC: &str = "tailwater.v1.ranges";
const APPLIANCE_TOPIC: &str = "tailwater.v1.appliance";
const LINKS_TOPIC: &str = "tailwater.v1.links";
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);
/// Kafka's own bound on a topic's name.
pub const TOPIC_BYTES_MAX: usize = 249;
/// What stands for the customer in a topic template.
pub const CUSTOMER: &str = "{customer}";

/// `[sinks]`, or none.
pub(super) fn read(root: &Section<'_, '_>) -> Sinks {
    let Some(section) = root.section("sinks", "[sinks.kafka]") else { return Sinks::default() };
    let kafka = section.section("kafka", "[sinks.kafka]").and_then(kafka);
    let file = section.section("file", "[sinks.file]").and_then(|s| {
        let path = s.require("path", "path = \"reports.jsonl\"").and_then(|f| f.text("\"reports.jsonl\""));
        let path = path.map(|p| beside(s.book().file(), p));
        s.close();
        path.map(|path| FileSink { path })
    });
    let stdout = section.section("stdout", "[sinks.stdout]").map(Section::close).is_some();
    section.close();
    Sinks { kafka, file, stdout }
}

fn kafka(section: Section<'_, '_>) -> Option<KafkaSink> {
    let brokers = section.require("brokers", "brokers = \"127.0.0.1:9092\", or \"mock\"").and_then(|f| brokers(&f));
    let topic = |key, default: &str, may| section.take(key).map_or_else(|| Some(default.to_owned()), |f| topic(&f, default, may));
    let (ranges_topic, appliance_topic) = (topic("ranges_topic", RANGES_TOPIC, true), topic("appliance_topic", APPLIANCE_TOPIC, false));
    let links_topic = topic("links_topic", LINKS_TOPIC, false);
    let compression = section.choice("compression", &COMPRESSIONS).unwrap_or("lz4").to_owned();
    section.close();
    Some(KafkaSink {
        brokers: brokers?,
        ranges_topic: ranges_topic?,
        appliance_topic: appliance_topic?,
        links_topic: links_topic?,
        compression,
    })
}

/// `mock`, or hosts with their ports.
fn brokers(field: &Field<'_, '_>) -> Option<String> {
    let text = field.text("\"127.0.0.1:9092\"")?;
    let good = |broker: &str| {
        let (host, port) = broker.trim().rsplit_once(':').unwrap_or_else(|| (broker.trim(), "9092"));
        !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|p| p > 0)
    };
    if let Some(bad) = text.split(',').find(|b| text != "mock" && !good(b)) {
        field.fault(format!("\"{bad}\" is no broker"), "write host:port, several parted by commas, or \"mock\"");
        return None;
    }
    Some(text.to_owned())
}

/// Whether Kafka takes this for a topic's name; of a template, whatever its customer's part.
pub fn is_topic(name: &str, template: bool) -> bool {
    let named = if template { name.replace(CUSTOMER, "c") } else { name.to_owned() };
    let legal = !named.is_empty() && named.chars().all(is_topic_char) && named != "." && named != "..";
    legal && name.len() <= TOPIC_BYTES_MAX
}

/// Whether a topic's name may hold it.
pub const fn is_topic_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// A topic's name, or its template.
fn topic(field: &Field<'_, '_>, example: &str, may_have_customer: bool) -> Option<String> {
    let text = field.text(&format!("\"{example}\""))?;
    if !is_topic(text, may_have_customer) {
        let template = if may_have_customer { ", and {customer} for a topic a customer" } else { "" };
        field.fault(
            "is no name of a topic",
            format!("it may hold letters, digits, '.', '_' and '-', {TOPIC_BYTES_MAX} bytes at most{template}"),
        );
        return None;
    }
    Some(text.to_owned())
}

/// `[admin]`, or its defaults.
pub(super) fn read_admin(root: &Section<'_, '_>) -> Admin {
    let mut admin = Admin { listen: Some(LISTEN), token: None };
    let Some(section) = root.section("admin", "[admin]") else { return admin };
    if let Some(field) = section.take("listen") {
        let text = field.text("\"127.0.0.1:9464\"");
        match text.map(str::parse) {
            Some(Ok(address)) => admin.listen = Some(address),
            Some(Err(_)) if text == Some("off") => admin.listen = None,
            Some(Err(_)) => field.fault("is no address with a port", "write \"127.0.0.1:9464\", \"[::1]:9464\" or \"off\""),
            None => {}
        }
    }
    admin.token = section.take("token_file").and_then(|field| token(&field, section.book().file()));
    section.close();
    admin
}

/// What a file holds: one line without blanks, too long to be a word.
fn token(field: &Field<'_, '_>, config: &Path) -> Option<Result<Token, Fault>> {
    let file = beside(config, field.text("\"reload.token\"")?);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().to_owned(),
        Err(e) => {
            let remedy = match e.kind() {
                ErrorKind::NotFound => format!("make it with: openssl rand -hex 32 > {}", file.display()),
                _ => "let the user that runs the appliance read it, and nobody else".to_owned(),
            };
            return Some(Err(field.later(format!("{} cannot be read: {e}", file.display()), remedy)));
        }
    };
    if text.len() < TOKEN_CHARS_MIN || !text.bytes().all(|b| b.is_ascii_graphic()) {
        let remedy =
            format!("it must hold one line of {TOKEN_CHARS_MIN} letters, digits or signs or more; make one with: openssl rand -hex 32");
        field.fault(format!("{} holds no token", file.display()), remedy);
        return None;
    }
    Some(Ok(Token(text)))
}
