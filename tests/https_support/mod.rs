//! A server over HTTPS, made of rustls and of a certificate that is made for it: it answers as a test says, and keeps what it got.

#![allow(dead_code, reason = "not every test uses all")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// As it was before it was packed.
    pub(crate) body: Vec<u8>,
    /// The status that it got.
    pub(crate) status: u16,
}

/// What it gets.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) delay: Duration,
}

/// How requests are answered: the number of the request, from 0, and what it is.
pub(crate) type Answers = Box<dyn FnMut(usize, &Request) -> Reply + Send>;

/// See the module. It ends with the process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// PEM, who signed its certificate: it itself.
    pub(crate) ca: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

pub(crate) fn reply(status: u16) -> Reply {
    Reply { status, headers: Vec::new(), delay: Duration::ZERO }
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        String::from_utf8(self.body.clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Server {
    /// With a certificate for `localhost`.
    pub(crate) fn start(answers: Answers) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, answers) = (Arc::clone(&requests), Arc::new(Mutex::new(answers)));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, kept, answers) = (Arc::clone(&config), Arc::clone(&kept), Arc::clone(&answers));
                thread::spawn(move || {
                    let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    while serve(&mut tls, &kept, &answers).is_some() {}
                });
            }
        });
        Self { address, ca: made.cert.pem(), requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// What came so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lines of all bodies that it took, in their order.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.requests().iter().filter(|request| request.status < 300).flat_map(Request::lines).collect()
    }

    /// The certificate as a file.
    pub(crate) fn write_ca(&self, file: &Path) {
        std::fs::write(file, &self.ca).unwrap();
    }
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

fn serve(tls: &mut Tls, kept: &Mutex<Vec<Request>>, answers: &Mutex<Answers>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    let mut request = Request { at: Instant::now(), path, headers, body: Vec::new(), status: 0 };
    let mut body = vec![0; request.header("content-length")?.parse().ok()?];
    tls.read_exact(&mut body).ok()?;
    request.body = match request.header("content-encoding") {
        Some("gzip") => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).ok()?;
            plain
        }
        Some("zstd") => zstd::stream::decode_all(&body[..]).ok()?,
        _ => body,
    };
    let number = kept.lock().unwrap_or_else(PoisonError::into_inner).len();
    let reply = answers.lock().unwrap_or_else(PoisonError::into_inner)(number, &request);
    request.status = reply.status;
    kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    thread::sleep(reply.delay);
    let headers: String = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(tls, "HTTP/1.1 {} x\r\ncontent-length: 2\r\n{headers}\r\n{{}}", reply.status).ok()?;
    tls.flush().ok()
}

/// Waits until it holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}
