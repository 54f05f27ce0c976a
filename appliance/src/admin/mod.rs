//! The local HTTP port: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever keeps the appliance running,
//! `/reload` for whoever changes its configuration.
//!
//! One thread of its own with a runtime of its own, so that a scrape never meets a data path core. It knows nothing but
//! the snapshot it is given and whom to ask for a reload.

mod exports;
mod flows;
mod metrics;
mod reload;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use metrics::open_metrics;
pub use reload::{Answer, Asked, Gate, Outcome, Reload};

use crate::telemetry::Snapshot;

/// Requests under way when the server is told to stop get so long to end.
const GRACE: Duration = Duration::from_millis(500);

/// Whom to ask for the figures. Called once for each request.
pub type Source = Arc<dyn Fn() -> Snapshot + Send + Sync>;

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be listened at.
    #[error("[admin] listen = \"{address}\": {reason}; {remedy}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// The system's reason.
        reason: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// No thread or no runtime.
    #[error("[admin]: the server cannot start: {0}; raise the limits on threads and open files")]
    Start(io::Error),
}

/// The server at work; dropped, it stops.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Listens at `address` (port 0: the system chooses), serves what `source` says, and hands on who asks for a `reload`
    /// and passes the gate.
    ///
    /// # Errors
    /// The address is taken or not ours, or there is no thread to be had.
    pub fn start(address: SocketAddr, source: Source, reload: Reload, gate: Gate) -> Result<Self, AdminError> {
        let listen = |reason: io::Error| AdminError::Listen { address, remedy: remedy(&reason), reason };
        // Bound before the thread starts, so that the caller learns of a fault at once.
        let socket = std::net::TcpListener::bind(address).map_err(listen)?;
        socket.set_nonblocking(true).map_err(listen)?;
        let address = socket.local_addr().map_err(listen)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AdminError::Start)?;
        let (stop, stopped) = oneshot::channel();
        let work = move || {
            if let Err(fault) = runtime.block_on(serve(socket, source, (reload, gate), stopped)) {
                tracing::error!(%address, "metrics and health checks have ended: {fault}");
            }
        };
        let thread = thread::Builder::new().name("admin".into()).spawn(work).map_err(AdminError::Start)?;
        tracing::info!(%address, "metrics at http://{address}/metrics, health at /healthz and /readyz");
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // Its own fault was logged by it.
            let _ = thread.join();
        }
    }
}

fn remedy(fault: &io::Error) -> &'static str {
    match fault.kind() {
        io::ErrorKind::AddrInUse => "another program listens there: give another port, port 0 for any, or \"off\"",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address: give one of its own",
        io::ErrorKind::PermissionDenied => "give a port above 1023",
        _ => "give another address, or \"off\"",
    }
}

async fn serve(socket: std::net::TcpListener, source: Source, reload: (Reload, Gate), stopped: oneshot::Receiver<()>) -> io::Result<()> {
    let listener = TcpListener::from_std(socket)?;
    let routes = Router::new().route("/metrics", get(show_metrics)).route("/healthz", get(healthz)).route("/readyz", get(readyz));
    let app = routes.with_state(source).route("/reload", post(reload::ask).with_state(reload));
    let (tell, told) = tokio::sync::watch::channel(false);
    let graceful = {
        let mut told = told.clone();
        async move { drop(told.changed().await) }
    };
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, app).with_graceful_shutdown(graceful).into_future();
    tokio::pin!(server);
    tokio::select! {
        done = &mut server => return done,
        // Told so, or its owner is gone: both end it.
        _ = stopped => drop(tell.send(true)),
    }
    // A client that reads slowly holds nobody up.
    tokio::time::timeout(GRACE, server).await.unwrap_or(Ok(()))
}

async fn show_metrics(State(source): State<Source>) -> impl IntoResponse {
    let text = open_metrics(source());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}

async fn healthz() -> &'static str {
    "alive\n"
}

async fn readyz(State(source): State<Source>) -> (StatusCode, String) {
    let reasons = source().not_ready;
    if reasons.is_empty() { (StatusCode::OK, "ready\n".to_owned()) } else { (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n") }
}

#[cfg(test)]
mod tests;
