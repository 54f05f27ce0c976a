//! `POST /reload`: asks for the configuration to be read again, and answers what came of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use tokio::sync::oneshot;

use crate::config::Token;
use crate::telemetry::Registry;

/// A caller waits so long. Cores answer within milliseconds, unless one is held up; what was asked for still happens.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls without the token are told in the log no oftener.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// Who may reload over HTTP. A clone is the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Held>);

#[derive(Debug)]
struct Held {
    token: Mutex<Option<Token>>,
    told: Mutex<Option<Instant>>,
    registry: Arc<Registry>,
}

impl Gate {
    /// Asks for this token, if there is one, and counts there who does not have it.
    pub fn new(token: Option<Token>, registry: Arc<Registry>) -> Self {
        Self(Arc::new(Held { token: Mutex::new(token), told: Mutex::default(), registry }))
    }

    /// Asks for this one from now on.
    pub fn exchange(&self, token: Option<Token>) {
        *self.0.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Whether a caller who shows this has the token, if there is one.
    pub fn admits(&self, shown: Option<&[u8]>) -> bool {
        let token = self.0.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.as_ref().is_none_or(|token| shown.is_some_and(|shown| token.is(shown)))
    }

    fn denied(&self, peer: SocketAddr) {
        let denied = self.0.registry.reload_denied();
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            *told = Some(Instant::now());
            tracing::warn!(%peer, denied, "POST /reload without the token of [admin] token_file: denied; told once a minute at most");
        }
    }
}

/// Whom to ask. False: too many wait for an answer already.
pub type Reload = Arc<dyn Fn(Asked) -> bool + Send + Sync>;

/// What came of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It counts from a window on.
    Accepted,
    /// The file is faulty; nothing has changed.
    Faulty,
    /// It changes what cannot change while the appliance runs; nothing has changed.
    NeedsRestart,
}

/// Somebody who waits for an answer. Dropped, it says that the appliance stops.
#[derive(Debug)]
pub struct Asked(oneshot::Sender<(Outcome, String)>);

/// Where an answer comes.
#[derive(Debug)]
pub struct Answer(oneshot::Receiver<(Outcome, String)>);

impl Answer {
    /// What came of it, once that is known.
    pub fn now(&mut self) -> Option<(Outcome, String)> {
        self.0.try_recv().ok()
    }

    /// Whether none will come: the appliance stops.
    pub fn is_gone(&mut self) -> bool {
        matches!(self.0.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }
}

impl Asked {
    /// A question, and where its answer comes.
    pub fn pair() -> (Self, Answer) {
        let (tell, told) = oneshot::channel();
        (Self(tell), Answer(told))
    }

    /// Nobody waits any more.
    pub fn is_gone(&self) -> bool {
        self.0.is_closed()
    }

    /// Tells what came of it.
    pub fn answer(self, outcome: Outcome, text: String) {
        // A caller may have gone.
        let _ = self.0.send((outcome, text));
    }
}

pub(super) async fn ask(
    State((reload, gate)): State<(Reload, Gate)>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    if !gate.admits(headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))) {
        gate.denied(peer);
        let text = "who reloads must show the token of [admin] token_file: -H \"Authorization: Bearer TOKEN\"\n".to_owned();
        return (StatusCode::UNAUTHORIZED, text);
    }
    let (asked, Answer(told)) = Asked::pair();
    if !reload(asked) {
        return (StatusCode::TOO_MANY_REQUESTS, "too many wait for an answer already: ask again\n".to_owned());
    }
    let (status, text) = match tokio::time::timeout(PATIENCE, told).await {
        Ok(Ok((outcome, text))) => (status(outcome), text),
        Ok(Err(_)) => (StatusCode::SERVICE_UNAVAILABLE, "the appliance is stopping".to_owned()),
        Err(_) => (StatusCode::ACCEPTED, "not every core has looked yet: the log and /metrics will tell what came of it".to_owned()),
    };
    (status, text + "\n")
}

const fn status(outcome: Outcome) -> StatusCode {
    match outcome {
        Outcome::Accepted => StatusCode::OK,
        Outcome::Faulty => StatusCode::UNPROCESSABLE_ENTITY,
        Outcome::NeedsRestart => StatusCode::CONFLICT,
    }
}
