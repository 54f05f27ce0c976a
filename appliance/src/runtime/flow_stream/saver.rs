//! Templates and rates onto the disk, by a thread of its own: who receives never waits for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::flows::{Collector, store};

/// They are written so long after a change, so that one that follows at once is written with it.
const EVERY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Saver {
    to: SyncSender<Vec<u8>>,
    failed: Arc<AtomicBool>,
    offered: Instant,
    thread: JoinHandle<()>,
}

impl Saver {
    /// Takes up what the file has, and keeps it from now on. What ails the file is told, and tried again.
    pub(super) fn start(file: &Path, collector: &mut Collector) -> std::io::Result<Self> {
        match collector.restore(file) {
            Ok(templates) => tracing::info!(templates, "flows: templates of an earlier run, out of {}", file.display()),
            Err(fault) => tracing::warn!("flows: {}: {fault}", file.display()),
        }
        if let Err(fault) = store::try_out(file) {
            tracing::error!("flows: {}: templates cannot be kept: {fault}; after a restart data waits for new ones", file.display());
        }
        let (to, from) = sync_channel(1);
        let failed = Arc::new(AtomicBool::new(false));
        let (file, says) = (file.to_owned(), Arc::clone(&failed));
        let thread = thread::Builder::new().name("flow-templates".into()).spawn(move || write(&file, &from, &says))?;
        Ok(Self { to, failed, offered: Instant::now(), thread })
    }

    /// From time to time: if something changed, it is written.
    pub(super) fn offer(&mut self, collector: &mut Collector) {
        if self.offered.elapsed() < EVERY {
            return;
        }
        self.offered = Instant::now();
        if self.failed.swap(false, Ordering::Relaxed) {
            collector.is_to_keep();
        }
        if collector.is_changed() && self.to.try_send(collector.told()).is_err() {
            collector.is_to_keep();
        }
    }

    /// All of it, and waits until it is there.
    pub(super) fn end(self, collector: &mut Collector) {
        if collector.is_changed() || self.failed.load(Ordering::Relaxed) {
            // Who would take it is there as long as this is.
            let _ = self.to.send(collector.told());
        }
        drop(self.to);
        if self.thread.join().is_err() {
            tracing::error!("flows: the thread that keeps templates ended by a fault of its own");
        }
    }
}

fn write(file: &Path, from: &Receiver<Vec<u8>>, failed: &AtomicBool) {
    let mut is_told = false;
    for told in from {
        match store::write(file, &told) {
            Ok(()) => is_told = false,
            Err(fault) => {
                failed.store(true, Ordering::Relaxed);
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!("flows: {}: templates cannot be kept: {fault}; trying again", file.display());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::{Address, Arrival, Settings};

    /// A template of NetFlow 9: source address and octets.
    const TEMPLATE: [u8; 36] =
        [0, 9, 0, 1, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 16, 1, 0, 0, 2, 0, 8, 0, 4, 0, 1, 0, 4];

    #[test]
    fn what_is_told_is_there_after_a_restart_also_if_the_disk_refused_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("later/templates");
        let from = Arrival { exporter: Address::of(&[192, 0, 2, 1]), port: 9, received_ns: 1 };
        let mut collector = Collector::new(&Settings::default());
        let mut saver = Saver::start(&file, &mut collector).unwrap();
        collector.take(&from, &TEMPLATE, &mut |_| {});
        assert!(collector.is_changed(), "{}", collector.ledger());
        saver.offered -= EVERY;
        saver.offer(&mut collector);
        while !saver.failed.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        std::fs::create_dir(folder.path().join("later")).unwrap();
        saver.end(&mut collector);
        let mut next = Collector::new(&Settings::default());
        assert_eq!(next.restore(&file).unwrap(), 1);
        Saver::start(&file, &mut next).unwrap().end(&mut next);
    }
}
