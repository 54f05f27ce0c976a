//! Flow records into the stats of ranges, on the thread that receives them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::analyse::Analysis;
use crate::enrich::Edges;
use crate::flows::listen::now_ns;
use crate::flows::{Collector, Flow};
use crate::rx::timeline::Timeline;

/// What counts flows, and the time of the data path: its windows are those of all other cores, whatever the wall clock does.
pub(super) type Counting = (Analysis, Arc<Timeline>);

/// From who makes the data path to the thread that receives.
#[derive(Default)]
pub(super) enum Hand {
    /// The data path has not begun.
    #[default]
    Empty,
    /// To be taken.
    Given(Box<Counting>),
    /// The thread has ended: nobody takes it.
    Over,
}

/// Both sides hold it.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Hand>>);

impl Shared {
    /// Gives it to the thread. Where that is over already the reporter is told so: it waits for the end of all.
    pub(super) fn give(&self, counting: Counting) {
        let mut hand = self.lock();
        match &mut *hand {
            Hand::Over => {
                drop(hand);
                let (mut analysis, _) = counting;
                analysis.end();
            }
            empty => *empty = Hand::Given(Box::new(counting)),
        }
    }

    fn take(&self, becomes: Hand) -> Option<Box<Counting>> {
        match std::mem::replace(&mut *self.lock(), becomes) {
            Hand::Given(counting) => Some(counting),
            Hand::Empty | Hand::Over => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Hand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's side.
#[derive(Default)]
pub(super) struct Analysing {
    pub(super) hand: Shared,
    /// Whether stats ask for flows: then what counts them comes, when the data path has begun.
    pub(super) is_asked_for: bool,
    counting: Option<Box<Counting>>,
    /// What names of interfaces say.
    pub(super) edges: Option<Edges>,
}

impl Analysing {
    /// Whether flows are counted.
    pub(super) const fn is_on(&self) -> bool {
        self.counting.is_some()
    }

    /// Whether what counts flows is still to come: what is read before counts nowhere, and can wait in the sockets.
    pub(super) fn is_awaited(&mut self, collector: &mut Collector) -> bool {
        self.begin(collector);
        self.is_asked_for && self.counting.is_none()
    }

    /// Takes what counts flows, if it is there.
    fn begin(&mut self, collector: &mut Collector) {
        if self.counting.is_some() {
            return;
        }
        self.counting = self.hand.take(Hand::Empty);
        if let Some((analysis, _)) = self.counting.as_deref_mut() {
            // Its numbers begin where counting does.
            let _ = collector.missed_since_ns();
            analysis.begin((collector.ledger().missed, collector.ledger().refilled));
        }
    }

    /// The window of now is open; once a burst.
    pub(super) fn turn(&mut self, collector: &mut Collector) {
        self.begin(collector);
        if let Some((analysis, timeline)) = self.counting.as_deref_mut()
            && analysis.turn(timeline.now_ns())
        {
            collector.turn();
            self.edges.iter_mut().for_each(Edges::look);
        }
    }

    /// Does some of closing a window; whether there is more to do.
    pub(super) fn step(&mut self) -> bool {
        self.counting.as_deref_mut().is_some_and(|(analysis, _)| analysis.step())
    }

    /// Counts a flow.
    #[inline]
    pub(super) fn take(&mut self, flow: &Flow) {
        if let Some((analysis, _)) = self.counting.as_deref_mut() {
            let named = self.edges.as_mut().map_or_else(Default::default, |edges| edges.of(flow));
            analysis.take_named(flow, named);
        }
    }

    /// Notes what is known to be missing by now. Datagrams have the wall clock's time, windows that of the data path.
    pub(super) fn miss(&mut self, collector: &mut Collector) {
        let Some((analysis, timeline)) = self.counting.as_deref_mut() else { return };
        let since_ns = collector.missed_since_ns();
        let since_ns = since_ns.map(|since_ns| timeline.now_ns().saturating_sub(now_ns().saturating_sub(since_ns)));
        let ledger = collector.ledger();
        analysis.miss((ledger.missed, ledger.refilled), since_ns);
    }

    /// Nothing comes any more.
    pub(super) fn end(&mut self) {
        let late = self.hand.take(Hand::Over);
        if let Some((analysis, _)) = self.counting.take().or(late).as_deref_mut() {
            analysis.end();
        }
    }
}

/// However the thread ends, the reporter does not wait for it.
impl Drop for Analysing {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::HashKey;
    use crate::runtime::wiring::{Cores, wire};
    use crate::runtime::world::World;
    use crate::telemetry::Registry;
    use crate::window::FlowAccount;
    use std::time::Duration;

    fn analysis(folder: &std::path::Path) -> (Analysis, crate::window::stream::Stream) {
        std::fs::write(folder.join("r.csv"), "prefix,customer\n10.0.0.0/8,a\n").unwrap();
        let rows = "[ranges]\nfile = \"r.csv\"\n[[stats]]\nname = \"s\"\ncalculation = \"sum\"\nsource = \"flows\"\n";
        std::fs::write(folder.join("t.toml"), rows).unwrap();
        let config = crate::config::load(&folder.join("t.toml"), &crate::stats::check).unwrap();
        let world = Arc::new(World::new(&config, HashKey::constant(), 1).unwrap());
        let registry = Registry::new("t", "", Duration::from_secs(1));
        let mut wired = wire(&world, &Cores { rx: vec![1], workers: Vec::new() }, &registry, false);
        (wired.analysis.take().unwrap(), wired.streams.pop().unwrap().1)
    }

    fn address(octets: [u8; 4]) -> crate::flows::Address {
        crate::flows::Address::from(std::net::IpAddr::from(octets))
    }

    /// A packet from outside to the range, in by one interface and out by another.
    fn crossing() -> Flow {
        let mut flow = Flow::default();
        let f = &mut flow.fields;
        (f.src_addr, f.dst_addr) = (address([192, 0, 2, 1]), address([10, 1, 1, 1]));
        (f.in_if, f.out_if, f.packets, f.bytes, f.sampling_rate) = (1, 2, 1, 100, 1);
        flow
    }

    /// It is given before, while or after the thread ends: its stream is over each time.
    #[test]
    fn the_reporter_is_told_the_end_whoever_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for order in 0..3 {
            let (analysis, mut stream) = analysis(folder.path());
            let (mut analysing, timeline) = (Analysing::default(), Arc::new(Timeline::default()));
            let hand = analysing.hand.clone();
            if order == 2 {
                analysing.end();
            }
            hand.give((analysis, timeline));
            if order == 0 {
                analysing.turn(&mut Collector::new(&crate::flows::Settings::default()));
                assert!(analysing.is_on());
            }
            drop(analysing);
            while stream.next(|_| {}) {}
            assert!(stream.is_over(), "{order}");
        }
    }
    /// Both directions of a connection in one record: each counts in its own direction, with its own counts.
    #[test]
    fn both_ways_of_a_record_count() {
        const SECOND: u64 = 1_000_000_000;
        let folder = tempfile::tempdir().unwrap();
        let (mut analysis, mut stream) = analysis(folder.path());
        let mut flow = Flow::default();
        analysis.turn(1_000 * SECOND);
        let f = &mut flow.fields;
        (f.src_addr, f.dst_addr) = (address([8, 8, 8, 8]), address([10, 0, 0, 2]));
        (f.in_if, f.out_if, f.packets, f.bytes, f.sampling_rate, f.reverse_packets) = (1, 2, 10, 1_000, 1, 90);
        analysis.take(&flow);
        let f = &mut flow.fields;
        (f.packets, f.bytes, f.reverse_packets, f.responder_packets, f.responder_bytes) = (0, 0, 0, 5, 500);
        analysis.take(&flow);
        let f = &mut flow.fields;
        (f.src_addr, f.dst_addr) = (address([8, 8, 8, 8]), address([9, 9, 9, 9]));
        analysis.take(&flow);
        analysis.end();
        let mut told = Vec::new();
        while stream.next(|message| {
            if let crate::window::Told::Closed { site, .. } = message {
                let FlowAccount { records, matched, unmatched, views, .. } = site.flows;
                told.push((records, matched, unmatched, views));
            }
        }) {}
        told.retain(|account| *account != (0, 0, 0, 0));
        assert_eq!(told, [(3, 2, 1, 3)]);
    }

    /// Names decide where its flows count, and it has not told them: they count by the default, and it is said.
    #[test]
    fn flows_by_interfaces_without_a_name_yet_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let (mut analysis, mut stream) = analysis(folder.path());
        let flow = crossing();
        analysis.turn(1_000_000_000_000);
        for are_unknown in [true, false] {
            analysis.take_named(&flow, crate::record::Named { sides: [None; 2], are_unknown });
        }
        analysis.end();
        let mut told = Vec::new();
        while stream.next(|message| {
            if let crate::window::Told::Closed { site, .. } = message {
                told.push((site.flows.matched, site.flows.nameless, site.flows.metering_unsettled));
            }
        }) {}
        told.retain(|account| *account != (0, 0, 0));
        assert_eq!(told, [(2, 1, 1)], "by default they are external: it may count too often");
    }

    /// It tells of each flow where it comes in and where it leaves. Once that is known, one of the two counts.
    #[test]
    fn a_router_that_meters_both_ways_counts_a_flow_once() {
        const SECOND: u64 = 1_000_000_000;
        let folder = tempfile::tempdir().unwrap();
        let (mut analysis, mut stream) = analysis(folder.path());
        let mut flow = crossing();
        analysis.turn(1_000 * SECOND);
        for n in 0..6 {
            flow.fields.direction = n % 2;
            analysis.take(&flow);
        }
        analysis.end();
        let (mut views, mut duplicate_view) = (0, 0);
        while stream.next(|message| {
            if let crate::window::Told::Closed { site, .. } = message {
                views += site.flows.views;
                duplicate_view += site.flows.duplicate_view;
            }
        }) {}
        assert_eq!((views, duplicate_view), (3, 3));
    }

    /// What is missing counts where it is noticed, and tells since when it may be; a window is closed in steps, and what comes meanwhile
    /// counts behind it.
    #[test]
    fn what_is_missing_is_told_with_when_it_may_have_been_sent() {
        const SECOND: u64 = 1_000_000_000;
        let folder = tempfile::tempdir().unwrap();
        let (mut analysis, mut stream) = analysis(folder.path());
        let mut flow = Flow::default();
        assert!(analysis.turn(1_000 * SECOND) && !analysis.turn(1_000 * SECOND + 1));
        analysis.take(&flow);
        analysis.miss((3, 0), Some(1_000 * SECOND));
        // In order after all, within the window.
        analysis.miss((2, 0), None);
        assert!(analysis.turn(2_000 * SECOND));
        flow.repeated = true;
        analysis.take(&flow);
        analysis.miss((2, 2), None);
        analysis.miss((7, 2), Some(1_000 * SECOND));
        analysis.miss((8, 2), Some(2_000 * SECOND));
        while analysis.step() {}
        analysis.end();
        let mut told = Vec::new();
        while stream.next(|message| {
            if let crate::window::Told::Closed { site, .. } = message {
                let FlowAccount { records, repeated, missing, refilled, missing_from_ns, .. } = site.flows;
                told.push((records, repeated, missing, refilled, missing_from_ns / SECOND));
            }
        }) {}
        told.retain(|account| *account != (0, 0, 0, 0, 0));
        assert_eq!(told, [(1, 0, 2, 0, 0), (1, 1, 6, 2, 1_000)]);
    }
}
