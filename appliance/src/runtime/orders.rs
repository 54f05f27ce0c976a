//! What others want of a running appliance: signals, and callers of the admin port.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::reload::Reloader;
use crate::admin::Asked;

/// Callers that may wait for a reload to be looked at.
const ASKED_MAX: usize = 64;
/// How often the main loop looks around.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// The same while a reload waits for cores.
const LOOK_SOON: Duration = Duration::from_millis(1);

/// See the module.
pub(super) struct Orders {
    /// SIGTERM or SIGINT came, or a core has stopped.
    pub(super) stop: Arc<AtomicBool>,
    /// SIGHUP came.
    reload: Arc<AtomicBool>,
    asked: Receiver<Asked>,
    /// The reloader waits for cores.
    soon: bool,
}

impl Orders {
    /// Signals are caught from here on; the sender is for the admin port.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn listen() -> Result<(Self, SyncSender<Asked>), std::io::Error> {
        let (stop, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGTERM, SIGINT] {
            // A second one while the first is being obeyed ends at once: somebody does not want to wait for a broker.
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(&reload))?;
        let (ask, asked) = sync_channel(ASKED_MAX);
        Ok((Self { stop, reload, asked, soon: false }, ask))
    }

    /// Waits for a moment, and does what came meanwhile, to stop aside.
    pub(super) fn obey(&mut self, reloader: &mut Reloader) {
        let wait = if self.soon { LOOK_SOON } else { LOOK };
        match self.asked.recv_timeout(wait) {
            Ok(asked) => reloader.reload(Some(asked)),
            Err(RecvTimeoutError::Timeout) => {}
            // There is no admin port.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
        }
        if self.reload.swap(false, Ordering::Relaxed) {
            reloader.reload(None);
        }
        self.soon = reloader.step();
    }
}
