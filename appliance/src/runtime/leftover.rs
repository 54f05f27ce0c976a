//! The file of what waited for its template at an earlier run's end: it stays until all of that was decoded or given up, and is written anew
//! as it becomes less, so that a kill loses none of it.
//!
//! What went on leaves the file a second later, when it is in the journal: a kill in between lets it come twice, and none go missing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::flows::{Collector, waiting};

/// It is looked at no more often.
const EVERY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Leftover {
    file: PathBuf,
    /// It is there, and was read.
    is_there: bool,
    /// Sets of it that waited when it was looked at last; none: it was not.
    left: Option<usize>,
    looked: Option<Instant>,
    /// What waited of it then, if that is to be written.
    told: Option<Vec<u8>>,
    writer: Option<JoinHandle<()>>,
    /// The run ends, and what waits then is there, or on its way: nothing is written behind that. Held by who writes.
    is_over: Arc<Mutex<bool>>,
}

impl Leftover {
    /// Beside a file of templates; takes up what is there.
    pub(super) fn start(templates: &Path, collector: &mut Collector) -> Self {
        let file = waiting::beside(templates);
        let mut is_there = file.exists();
        match collector.restore_waiting(&file) {
            Ok(0) => {}
            Ok(sets) => tracing::info!(sets, "flows: data of an earlier run waits for its templates, out of {}", file.display()),
            Err(fault) => {
                // What was not taken up is left to the next start.
                is_there = false;
                tracing::warn!("flows: {}: {fault}", file.display());
            }
        }
        Self { is_there, file, left: None, looked: None, told: None, writer: None, is_over: Arc::default() }
    }

    /// After each burst. Waits for nothing.
    pub(super) fn offer(&mut self, collector: &Collector) {
        if !self.is_there || self.looked.is_some_and(|looked| looked.elapsed() < EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        if self.writer.as_ref().is_some_and(|writer| !writer.is_finished()) {
            return;
        }
        if let Some(told) = self.told.take() {
            self.is_there = !told.is_empty();
            self.write(told);
        }
        let left = Some(collector.on_disk());
        if self.is_there && left != self.left {
            (self.left, self.told) = (left, Some(collector.waiting_on_disk()));
        }
    }

    fn write(&mut self, told: Vec<u8>) {
        let (file, is_over) = (self.file.clone(), Arc::clone(&self.is_over));
        let work = move || {
            let is_over = is_over.lock().unwrap_or_else(PoisonError::into_inner);
            if !*is_over && let Err(fault) = waiting::write(&file, &told) {
                tracing::warn!("flows: {}: {fault}: after a kill what it holds may come twice", file.display());
            }
        };
        self.writer = thread::Builder::new().name("flow-waiting".into()).spawn(work).ok();
    }

    /// Nothing more will come: what waits for templates goes to the disk, if that takes it within this time, and else is given up.
    pub(super) fn end(&self, collector: &mut Collector, at_most: Duration) {
        let told = collector.waiting().unwrap_or_default();
        if told.is_empty() && !self.is_there && self.writer.is_none() {
            return collector.end();
        }
        let (file, is_over, (done, is_done)) = (self.file.clone(), Arc::clone(&self.is_over), sync_channel(1));
        let work = move || {
            let mut is_over = is_over.lock().unwrap_or_else(PoisonError::into_inner);
            *is_over = true;
            done.send(waiting::write(&file, &told))
        };
        let spawned: io::Result<_> = thread::Builder::new().name("flow-waiting".into()).spawn(work);
        let fault = match spawned.map(|_| is_done.recv_timeout(at_most)) {
            Ok(Ok(Ok(()))) => return collector.end_kept(),
            Ok(Ok(Err(fault))) => fault.to_string(),
            Ok(Err(_)) => "the disk does not take it".to_owned(),
            Err(fault) => fault.to_string(),
        };
        tracing::error!("flows: {}: {fault}: data that waits for its template is given up", self.file.display());
        collector.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::{Address, Arrival, Settings};

    /// NetFlow 9 with one set.
    fn nine(id: u16, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + body.len()).unwrap();
        let words = [0x0009_0001_u32, 9, 9, 1, 7].map(u32::to_be_bytes).concat();
        [&words[..], &id.to_be_bytes(), &length.to_be_bytes(), body].concat()
    }

    /// Of octets alone.
    fn template(id: u16) -> Vec<u8> {
        nine(0, &[id, 1, 1, 4].map(u16::to_be_bytes).concat())
    }

    fn give(collector: &mut Collector, datagram: &[u8]) -> usize {
        let (from, mut flows) = (Arrival { exporter: Address::of(&[192, 0, 2, 1]), port: 9, received_ns: 1 }, 0);
        collector.take(&from, datagram, &mut |_| flows += 1);
        flows
    }

    /// Two looks, and what they wrote is there.
    fn look(leftover: &mut Leftover, collector: &Collector) {
        for _ in 0..2 {
            leftover.looked = None;
            leftover.offer(collector);
        }
        leftover.writer.take().into_iter().for_each(|writer| writer.join().unwrap());
    }

    #[test]
    fn what_waited_outlives_kills_until_it_is_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let templates = folder.path().join("templates");
        let file = waiting::beside(&templates);
        let start = || {
            let mut collector = Collector::new(&Settings::default());
            (Leftover::start(&templates, &mut collector), collector)
        };
        let (leftover, mut collector) = start();
        let data = [nine(256, &[0, 0, 0, 7]), nine(257, &[0, 0, 0, 8]), nine(257, &[0, 0, 0, 9])];
        data.iter().for_each(|data| assert_eq!(give(&mut collector, data), 0));
        leftover.end(&mut collector, Duration::from_secs(30));
        // Each start is killed; what comes anew is none of the file's.
        for (id, flows, left) in [(300, 0, 3), (256, 1, 2), (256, 0, 2), (257, 2, 0)] {
            let (mut leftover, mut collector) = start();
            look(&mut leftover, &collector);
            give(&mut collector, &nine(400, &[1, 1, 1, 1]));
            assert_eq!(give(&mut collector, &template(id)), flows);
            look(&mut leftover, &collector);
            assert_eq!((collector.on_disk(), file.exists(), leftover.is_there), (left, left > 0, left > 0), "{id}");
        }
    }

    /// What went on a moment ago may not be in the journal yet.
    #[test]
    fn what_has_just_gone_on_is_on_disk_still() {
        let folder = tempfile::tempdir().unwrap();
        let templates = folder.path().join("templates");
        let (mut collector, mut next) = (Collector::new(&Settings::default()), Collector::new(&Settings::default()));
        let leftover = Leftover::start(&templates, &mut collector);
        give(&mut collector, &nine(256, &[0, 0, 0, 7]));
        leftover.end(&mut collector, Duration::from_secs(30));
        let mut leftover = Leftover::start(&templates, &mut next);
        assert_eq!(give(&mut next, &template(256)), 1);
        leftover.offer(&next);
        leftover.offer(&next);
        assert!(leftover.writer.is_none() && leftover.is_there);
        // A clean end takes it away, and nobody writes it behind that.
        leftover.end(&mut next, Duration::from_secs(30));
        leftover.write(vec![1]);
        leftover.writer.take().into_iter().for_each(|writer| writer.join().unwrap());
        assert!(!waiting::beside(&templates).exists());
    }
}
