//! One server: how it is trusted, how it knows us, one request at a time.

use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use zeroize::Zeroizing;

use super::answer::{Again, Answer};
use super::body::Body;
use crate::config::{BodyFraming, Credentials, HttpsSink};

/// Of the time for an answer, a connection may take no more.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// An answer's own text is read so far, so that the connection can be used again.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// See the module.
pub(super) struct Client {
    agent: ureq::Agent,
    url: String,
    scheme: &'static str,
    credentials: Option<Credentials>,
    /// The header, until the server does not know it any more: then its secret is read again.
    authorization: Option<Zeroizing<String>>,
}

impl Client {
    /// # Errors
    /// There are no certificates to trust, or the secret cannot be read.
    pub(super) fn new(config: &HttpsSink) -> Result<Self, String> {
        let timeout = Duration::from_millis(config.timeout_ms);
        let tls = TlsConfig::builder().root_certs(roots(config.ca_file.as_deref(), config.url.starts_with("https:"))?).build();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("tailwater/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(timeout))
            .timeout_connect(Some(timeout.min(CONNECT_MAX)))
            .tls_config(tls)
            .build()
            .new_agent();
        let scheme = if matches!(config.framing, BodyFraming::SplunkHec { .. }) { "Splunk" } else { "Bearer" };
        let mut client = Self { agent, url: config.url.clone(), scheme, credentials: config.credentials.clone(), authorization: None };
        client.authorization = client.read_secret()?;
        Ok(client)
    }

    fn read_secret(&self) -> Result<Option<Zeroizing<String>>, String> {
        let Some(credentials) = &self.credentials else { return Ok(None) };
        let (Credentials::Token(place) | Credentials::Basic(_, place)) = credentials;
        let secret = place.read().map_err(|fault| fault.to_string())?;
        Ok(Some(Zeroizing::new(match credentials {
            Credentials::Token(_) => format!("{} {}", self.scheme, secret.expose()),
            Credentials::Basic(username, _) => {
                let both = Zeroizing::new(format!("{username}:{}", secret.expose()));
                format!("Basic {}", STANDARD.encode(both.as_bytes()))
            }
        })))
    }

    /// Sends a body, and says what came of it.
    pub(super) fn post(&mut self, body: &Body) -> Answer {
        if self.credentials.is_some() && self.authorization.is_none() {
            match self.read_secret() {
                Ok(read) => self.authorization = read,
                Err(why) => return Answer::Again(Again { why, remedy: "mend it: it is read again".to_owned(), after: None }),
            }
        }
        let mut request = self.agent.post(&self.url).header("content-type", body.content_type);
        if let Some(encoding) = body.encoding {
            request = request.header("content-encoding", encoding);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization.as_str());
        }
        match request.send(&body.bytes[..]) {
            Ok(mut response) => {
                let status = response.status().as_u16();
                let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
                // What it says beside is nobody's: it may hold what we sent.
                let _ = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
                if matches!(status, 401 | 403) {
                    self.authorization = None;
                }
                Answer::of(status, after.as_deref(), SystemTime::now())
            }
            Err(fault) => Answer::Again(Again { why: told(&fault), remedy: remedy(&fault).to_owned(), after: None }),
        }
    }
}

fn told(fault: &ureq::Error) -> String {
    match fault {
        ureq::Error::Timeout(_) => "the server does not answer in time".to_owned(),
        fault => fault.to_string(),
    }
}

const fn remedy(fault: &ureq::Error) -> &'static str {
    match fault {
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
            "write sinks.https.ca_file with who signed the server's certificate, and a url with the name in it"
        }
        ureq::Error::HostNotFound => "look at the name in sinks.https.url",
        _ => "look whether the server is there, and what stands between",
    }
}

/// Whom a server's certificate must be signed by: those of a file, else those that the system trusts.
fn roots(ca_file: Option<&Path>, is_tls: bool) -> Result<RootCerts, String> {
    if !is_tls {
        return Ok(RootCerts::new_with_certs(&[]));
    }
    let certificates: Vec<Certificate<'static>> = match ca_file {
        Some(file) => {
            let pem = std::fs::read(file).map_err(|fault| format!("ca_file: {} cannot be read: {fault}", file.display()))?;
            parse_pem(&pem).filter_map(|item| if let Ok(PemItem::Certificate(one)) = item { Some(one) } else { None }).collect()
        }
        None => rustls_native_certs::load_native_certs().certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect(),
    };
    if certificates.is_empty() {
        let place = ca_file.map_or_else(
            || "the system trusts nobody: install ca-certificates, or write".to_owned(),
            |file| format!("{} holds none:", file.display()),
        );
        return Err(format!("ca_file: {place} a file with certificates in PEM"));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}
