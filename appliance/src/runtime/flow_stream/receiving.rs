//! The thread that receives: it owns sockets, collector and outlets. It waits for datagrams alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::super::doubts::Doubts;
use super::super::saver::Saver;
use super::analysing::Analysing;
use super::ports::Ports;
use super::watch::Watch;
use super::way::Way;
use crate::arch::Patience;
use crate::flows::listen::{Listener, now_ns, wait};
use crate::flows::{Collector, Flow};
use crate::rx::timeline::Timeline;

/// How long it waits for a datagram at most; a signal to end is seen within it.
const NAP_MS: u16 = 50;
/// The same while flows are counted: the reporter waits for the end of our windows as for any core's.
const NAP_ANALYSING_MS: u16 = 5;
/// The same while cores hand over what is in the mirror: nobody wakes it for that.
const NAP_PORTS_MS: u16 = 1;
/// How often others see where everything went.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// For so long what still waits in the sockets is read after the signal to end.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// So long the last templates may take to the disk.
const KEEP_MAX: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Receiving {
    pub(super) listeners: Vec<Listener>,
    pub(super) collector: Collector,
    pub(super) way: Way,
    pub(super) saver: Option<Saver>,
    pub(super) watch: Arc<Watch>,
    pub(super) told: Instant,
    pub(super) doubts: Doubts,
    /// The last fault of a socket, that it is told once.
    pub(super) fault: Option<String>,
    pub(super) analysing: Analysing,
    /// Of the data path, once it has begun.
    pub(super) time: Arc<OnceLock<Arc<Timeline>>>,
    pub(super) ports: Ports,
}

impl Receiving {
    /// Until the signal; then what came before it is read, and all is given on.
    pub(super) fn run(mut self, stop: &AtomicBool) {
        let mut patience = Patience::default();
        while !stop.load(Ordering::Relaxed) {
            if self.analysing.is_awaited(&mut self.collector) {
                std::thread::sleep(Duration::from_millis(NAP_ANALYSING_MS.into()));
                continue;
            }
            let came = self.burst();
            // A window is closed between bursts: sockets do not run over meanwhile.
            let closes = self.analysing.step();
            if self.told.elapsed() >= TELL_EVERY {
                self.tell();
            }
            // Lots are closed by their age, at the next burst or behind a nap without one.
            let nap_ms = match (self.ports.is_on(), self.analysing.is_on()) {
                (true, _) => NAP_PORTS_MS,
                (false, true) => NAP_ANALYSING_MS,
                (false, false) => NAP_MS,
            };
            if came == 0 && closes {
                patience.wait();
                continue;
            }
            patience.reset();
            if came == 0 && (wait(&self.listeners, nap_ms).is_err() || self.fault.is_some()) {
                std::thread::sleep(Duration::from_millis(u64::from(nap_ms)));
            }
            if let Some(saver) = &mut self.saver {
                saver.offer(&mut self.collector);
            }
        }
        let (since, since_ns) = (Instant::now(), now_ns());
        while since.elapsed() < DRAIN_MAX {
            // Asked before it is looked: cores end at the same word as this thread.
            let is_over = self.ports.is_over();
            if self.burst() == 0 {
                if is_over {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.leave(since_ns);
        self.end();
    }

    /// What is still in the sockets of before the signal is told as lost.
    fn leave(&mut self, since_ns: u64) {
        let Self { listeners, collector, .. } = self;
        let left: u64 = listeners.iter_mut().map(|listener| listener.leave(since_ns, collector).unwrap_or(0)).sum();
        if left > 0 {
            tracing::warn!(
                "flows: {left} datagrams waited at the end and were not read within a second: they count as dropped by the kernel"
            );
        }
        self.analysing.miss(&mut self.collector);
    }

    /// Takes what is there of each socket, up to a burst.
    fn burst(&mut self) -> usize {
        // Windows of lots are those of reports, as soon as the data path's time stands.
        let now_ns = self.time.get().map_or_else(now_ns, |timeline| timeline.now_ns());
        self.way.turn(now_ns);
        self.analysing.turn(&mut self.collector);
        let (mut came, mut fault, dropped) = (0, None, self.collector.ledger().kernel_drops);
        let Self { listeners, collector, way, analysing, ports, .. } = self;
        let mut each = |flow: &Flow| {
            way.put(flow);
            analysing.take(flow);
        };
        for listener in listeners {
            match listener.receive(collector, &mut each) {
                Ok(datagrams) => came += datagrams,
                Err(reason) => fault = Some(reason.to_string()),
            }
        }
        came += ports.receive(now_ns, collector, &mut each);
        if came > 0 || self.collector.ledger().kernel_drops != dropped {
            self.analysing.miss(&mut self.collector);
        }
        if fault != self.fault {
            match &fault {
                Some(fault) => tracing::error!("flows: a socket cannot be read: {fault}; trying again"),
                None => tracing::info!("flows: all sockets can be read again"),
            }
            self.fault = fault;
        }
        came
    }

    /// A moment at which all flows that came are given on. Whoever looks at it just now gets the next one.
    fn tell(&mut self) {
        self.told = Instant::now();
        self.way.flush();
        self.watch.tell(&self.collector, self.way.given());
        if self.doubts.are_due() {
            self.watch.doubt(self.collector.doubts(now_ns()));
        }
    }

    fn end(mut self) {
        self.ports.end(&mut self.collector);
        match &self.saver {
            Some(saver) => saver.end_waiting(&mut self.collector, KEEP_MAX),
            None => self.collector.end(),
        }
        self.way.flush();
        self.collector.warnings().iter().for_each(|warning| tracing::warn!("flows: {warning}"));
        self.watch.doubt(self.collector.doubts(now_ns()));
        // First the account: the reporter may wait for it, and reads no stream meanwhile.
        self.watch.end(&self.collector, self.way.given());
        self.analysing.end();
        if let Some(saver) = self.saver {
            saver.end(&mut self.collector, KEEP_MAX);
        }
    }
}
