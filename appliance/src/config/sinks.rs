//! `[sinks]` and `[admin]`: where reports go, and where the appliance answers.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::appliance::beside;
use super::fault::Fault;
use super::https::{self, HttpsSink};
use super::kafka::{self, KafkaSink};
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
    /// `[sinks.https]`
    pub https: Option<HttpsSink>,
}

/// `[sinks.file]`: proto3 JSON, a message a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSink {
    /// Appended to.
    pub path: PathBuf,
}

impl Sinks {
    /// Whether there is one that takes reports.
    pub const fn take_reports(&self) -> bool {
        let by_https = matches!(&self.https, Some(https) if https.has_reports);
        self.kafka.is_some() || self.file.is_some() || self.stdout || by_https
    }

    /// Whether there is one that takes flow messages.
    pub const fn take_flows(&self) -> bool {
        let by_https = matches!(&self.https, Some(https) if https.has_flows);
        self.kafka.is_some() || self.file.is_some() || self.stdout || by_https
    }

    /// Whether there is one that takes packet logs.
    pub const fn take_logs(&self) -> bool {
        let by_https = matches!(&self.https, Some(https) if https.has_packets);
        self.kafka.is_some() || self.file.is_some() || self.stdout || by_https
    }
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

/// Of a token.
const TOKEN_CHARS_MIN: usize = 16;
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);
/// `[sinks]`, or none.
pub(super) fn read(root: &Section<'_, '_>) -> Sinks {
    let Some(section) = root.section("sinks", "[sinks.kafka]") else { return Sinks::default() };
    let kafka = section.section("kafka", "[sinks.kafka]").and_then(kafka::read);
    let file = section.section("file", "[sinks.file]").and_then(|s| {
        let path = s.require("path", "path = \"reports.jsonl\"").and_then(|f| f.text("\"reports.jsonl\""));
        let path = path.map(|p| beside(s.book().file(), p));
        s.close();
        path.map(|path| FileSink { path })
    });
    let stdout = section.section("stdout", "[sinks.stdout]").map(Section::close).is_some();
    let https = section.section("https", "[sinks.https]").and_then(https::read);
    section.close();
    Sinks { kafka, file, stdout, https }
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
