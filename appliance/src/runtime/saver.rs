//! Templates and rates onto the disk, by a thread of its own: who receives never waits for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::leftover::Leftover;
use crate::flows::{Collector, store};

/// They are written no more often. What was told alone is written at once.
const EVERY: Duration = Duration::from_secs(1);

/// How often the end is looked for.
const NAP: Duration = Duration::from_millis(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Saver {
    to: SyncSender<Vec<u8>>,
    failed: Arc<AtomicBool>,
    /// When they were given to the thread last.
    offered: Option<Instant>,
    thread: JoinHandle<()>,
    /// What waits for templates.
    leftover: Leftover,
    /// It has ended, and that was told.
    is_gone: bool,
}

impl Saver {
    /// Takes up what the file has, and keeps it from now on. What ails the file is told, and tried again.
    /// None: there is no thread for it, which is told.
    pub(super) fn start(file: &Path, collector: &mut Collector) -> Option<Self> {
        match collector.restore(file) {
            Ok(templates) => tracing::info!(templates, "flows: templates of an earlier run, out of {}", file.display()),
            Err(fault) => tracing::warn!("flows: {}: {fault}", file.display()),
        }
        let leftover = Leftover::start(file, collector);
        if let Err(fault) = store::try_out(file) {
            tracing::error!("flows: {}: templates cannot be kept: {fault}; after a restart data waits for new ones", file.display());
        }
        let (to, from) = sync_channel(1);
        let failed = Arc::new(AtomicBool::new(false));
        let (name, file, says) = (file.display().to_string(), file.to_owned(), Arc::clone(&failed));
        match thread::Builder::new().name("flow-templates".into()).spawn(move || write(&file, &from, &says)) {
            Ok(thread) => Some(Self { to, failed, offered: None, thread, leftover, is_gone: false }),
            Err(fault) => {
                tracing::error!(
                    "flows: {name}: no thread keeps templates: {fault}; raise the limit on threads; after a restart data waits"
                );
                None
            }
        }
    }

    /// After each burst: if something changed, it is written, unless something was within the last second. Waits for nothing.
    pub(super) fn offer(&mut self, collector: &mut Collector) {
        self.leftover.offer(collector);
        let is_to_write = collector.is_changed() || self.failed.load(Ordering::Relaxed);
        if !is_to_write || self.offered.is_some_and(|offered| offered.elapsed() < EVERY) {
            return;
        }
        self.offered = Some(Instant::now());
        self.failed.store(false, Ordering::Relaxed);
        if let Err(fault) = self.to.try_send(collector.told()) {
            collector.is_to_keep();
            if matches!(fault, TrySendError::Disconnected(_)) && !std::mem::replace(&mut self.is_gone, true) {
                tracing::error!(
                    "flows: the thread that keeps templates has ended by a fault of its own: they are not kept; please report this"
                );
            }
        }
    }

    /// Nothing more will come: what waits for templates goes to the disk, if that takes it within this time, and else is given up.
    pub(super) fn end_waiting(&self, collector: &mut Collector, at_most: Duration) {
        self.leftover.end(collector, at_most);
    }

    /// All of it, and waits until it is there, but no longer than this: a disk that hangs does not hold up the end.
    pub(super) fn end(self, collector: &mut Collector, at_most: Duration) {
        let until = Instant::now() + at_most;
        let mut is_to_write = collector.is_changed() || self.failed.load(Ordering::Relaxed);
        let mut told = if is_to_write { collector.told() } else { Vec::new() };
        while is_to_write && Instant::now() < until {
            match self.to.try_send(told) {
                Err(TrySendError::Full(back)) => {
                    told = back;
                    thread::sleep(NAP);
                }
                Ok(()) | Err(TrySendError::Disconnected(_)) => {
                    is_to_write = false;
                    told = Vec::new();
                }
            }
        }
        self.stop(until);
    }

    /// What it was given is written; waits for that until then.
    fn stop(self, until: Instant) {
        drop(self.to);
        while !self.thread.is_finished() && Instant::now() < until {
            thread::sleep(NAP);
        }
        if !self.thread.is_finished() {
            tracing::error!("flows: the disk does not take templates: left behind; after a restart data waits for new ones");
        } else if self.thread.join().is_err() {
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
        saver.offered = None;
        saver.offer(&mut collector);
        while !saver.failed.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        std::fs::create_dir(folder.path().join("later")).unwrap();
        saver.end(&mut collector, Duration::from_secs(30));
        let mut next = Collector::new(&Settings::default());
        assert_eq!(next.restore(&file).unwrap(), 1);
        Saver::start(&file, &mut next).unwrap().end(&mut next, Duration::from_secs(30));
    }

    /// Killed at any moment behind this, nothing of it is lost: no time has to go by.
    #[test]
    fn what_is_told_is_written_at_once_and_no_more_than_once_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("templates");
        let from = |last| Arrival { exporter: Address::of(&[192, 0, 2, last]), port: 9, received_ns: 1 };
        let mut collector = Collector::new(&Settings::default());
        let mut saver = Saver::start(&file, &mut collector).unwrap();
        saver.offer(&mut collector);
        collector.take(&from(1), &TEMPLATE, &mut |_| {});
        saver.offer(&mut collector);
        let kept = || Collector::new(&Settings::default()).restore(&file).unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while kept() != 1 {
            assert!(Instant::now() < until, "it was not written at once");
            thread::sleep(NAP);
        }
        // Within a second of it, whatever the time is.
        saver.offered = Some(Instant::now() + Duration::from_secs(3_600));
        collector.take(&from(2), &TEMPLATE, &mut |_| {});
        saver.offer(&mut collector);
        assert!(collector.is_changed() && kept() == 1, "it waits for the next second");
        saver.offered = Some(Instant::now() - EVERY);
        saver.offer(&mut collector);
        assert!(!collector.is_changed());
        saver.end(&mut collector, Duration::from_secs(30));
        assert_eq!(kept(), 2);
    }

    #[test]
    fn what_waits_goes_to_the_disk_or_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("templates");
        let from = Arrival { exporter: Address::of(&[192, 0, 2, 1]), port: 9, received_ns: 1 };
        let data = [&TEMPLATE[..20], &[1, 0, 0, 12, 192, 0, 2, 5, 0, 0, 0, 77]].concat();
        let waits = |kept: &str, file: &Path| {
            let mut collector = Collector::new(&Settings::default());
            let saver = Saver::start(file, &mut collector).unwrap();
            collector.take(&from, &data, &mut |_| {});
            saver.end_waiting(&mut collector, Duration::from_secs(30));
            assert!(collector.ledger().waiting == 0 && collector.ledger().to_string().contains(kept), "{}", collector.ledger());
            saver.end(&mut collector, Duration::from_secs(30));
        };
        waits("kept 1", &file);
        waits("no_template 1", &folder.path().join("nowhere/templates"));
        let (mut next, mut bytes) = (Collector::new(&Settings::default()), Vec::new());
        let saver = Saver::start(&file, &mut next).unwrap();
        next.take(&from, &TEMPLATE, &mut |flow| bytes.push(flow.fields.bytes));
        assert_eq!(bytes, [77]);
        saver.end(&mut next, Duration::from_secs(30));
    }

    fn nothing() -> Leftover {
        Leftover::start(Path::new("/nowhere/templates"), &mut Collector::new(&Settings::default()))
    }

    /// A file that nobody takes bytes of, as of a disk that hangs, does not hold up the end.
    #[test]
    fn a_disk_that_hangs_does_not_hold_up_the_end() {
        let (to, from) = sync_channel(1);
        let (open, shut) = std::sync::mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let _first = from.recv();
            let _ = shut.recv();
        });
        let failed = Arc::new(AtomicBool::new(true));
        let saver = Saver { to, failed, offered: None, thread, leftover: nothing(), is_gone: false };
        for _ in 0..2 {
            while saver.to.try_send(Vec::new()).is_err() {
                thread::sleep(NAP);
            }
        }
        saver.end(&mut Collector::new(&Settings::default()), Duration::from_millis(50));
        drop(open);
    }

    #[test]
    fn a_thread_that_has_gone_is_told_and_holds_up_nothing() {
        let (to, from) = sync_channel(1);
        let thread = thread::spawn(move || drop(from));
        let mut saver = Saver { to, failed: Arc::default(), offered: None, thread, leftover: nothing(), is_gone: false };
        let from = Arrival { exporter: Address::of(&[192, 0, 2, 1]), port: 9, received_ns: 1 };
        let mut collector = Collector::new(&Settings::default());
        collector.take(&from, &TEMPLATE, &mut |_| {});
        while !saver.thread.is_finished() {
            thread::sleep(NAP);
        }
        while !saver.is_gone {
            saver.offered = None;
            saver.offer(&mut collector);
        }
        assert!(collector.is_changed(), "it is not taken for kept");
        saver.end(&mut collector, Duration::from_secs(30));
    }
}
