//! One receiving core: frame → parse → classify → gather, and the closing of its epochs.
//!
//! Knows nothing of queues: whoever owns one gives it frames and epochs.

use std::sync::Arc;

use super::burst::Bursts;
use super::world::World;
use crate::arch::Region;
use crate::duplicates::Copies;
use crate::exports::Tap;
use crate::flows::tap::Tap as PortTap;
use crate::gather::{Gather, Stage};
use crate::limits::{BURST_FRAMES_LATE, BURST_FRAMES_MAX};
use crate::parse::Parsed;
use crate::spread::Load;
use crate::stats::plan::Period;
use crate::telemetry::cost::{Meter, Part};
use crate::telemetry::{Did, LiveCore};
use crate::units::Epoch;
use crate::window::{Coming, Control, Decisions, Ledger, Outlet, Sent, Site};

/// An epoch that is over for new frames, and whose batches are on their way.
struct Closing {
    from: Epoch,
    to: Epoch,
    site: Site,
    /// The stage was told.
    handed: bool,
}

/// A walk that would not be over in so many hundredths of its epoch goes on by so many long pieces a poll.
const PACES: [(u128, u32); 3] = [(40, 1), (80, 2), (90, 4)];
/// One that would not be over in these either leaves no more frames to a poll than [`BURST_FRAMES_LATE`].
const WALK_PERCENT: u128 = 95;

/// See the module.
pub struct Receiver<S> {
    /// Of the open epoch.
    pub(super) world: Arc<World>,
    /// Of the next, where that is another.
    coming: Coming<Arc<World>>,
    pub(super) gather: Gather,
    pub(super) stage: S,
    pub(super) bursts: Bursts,
    /// Takes export datagrams out, where that is configured.
    pub(super) port_tap: Option<Box<PortTap>>,
    pub(super) parsed: Parsed,
    at: Epoch,
    /// The first epoch in which `world` counted.
    began: Epoch,
    pub(super) open: Site,
    spare: Site,
    closing: Option<Closing>,
    /// Long pieces of a walk that a step does; none: a short one.
    strides: u32,
    /// The epoch that has begun, while the one before the open one still closes: there are no more than two.
    pub(super) overdue: Option<Epoch>,
    outlet: Outlet,
    /// Of what is exported of frames; nothing is: none.
    pub(super) tap: Option<Box<Tap>>,
    pub(super) live: Arc<LiveCore>,
    /// Of its queues; none where nothing is shed.
    pub(super) load: Option<Load>,
    /// So much sheds the core that it takes bursts from.
    helped: u32,
    /// Since it was last asked.
    did: Did,
    pub(super) meter: Meter,
    /// What earlier epochs counted, for `live`.
    pub(super) before: Ledger,
    pub(super) decisions_before: Decisions,
    pub(super) untagged_before: u64,
}

impl<S: Stage> Receiver<S> {
    /// That hands batches to `stage` and its accounts to `outlet`, and whose logs take no more than so many bytes.
    pub fn new(world: Arc<World>, stage: S, outlet: Outlet, live: Arc<LiveCore>, logs_bytes: usize) -> Self {
        let gather = Gather::reserved(world.ranges(), logs_bytes, &world.plans.layout, world.reserve);
        let copies = || world.duplicates.map(|plan| Copies::new(plan.sample));
        let site = || Site::new(world.ports, world.tag_rules, world.links).with_copies(copies());
        let (open, spare) = (site(), site());
        Self {
            gather,
            stage,
            bursts: Bursts::new(&world),
            port_tap: None,
            parsed: Parsed::default(),
            at: Epoch(0),
            began: Epoch(0),
            open,
            spare,
            closing: None,
            strides: 0,
            overdue: None,
            load: (world.sheds && !outlet.waits()).then(Load::of_queues),
            helped: 0,
            outlet,
            tap: None,
            live,
            did: Did::Poll,
            meter: Meter::new(),
            before: Ledger::default(),
            decisions_before: Decisions::default(),
            untagged_before: 0,
            world,
            coming: Coming::default(),
        }
    }

    /// Hands export datagrams over from now on.
    pub fn take_exports_by(&mut self, tap: PortTap) {
        self.port_tap = Some(Box::new(tap));
    }

    /// By this end other generations come.
    pub fn control(&mut self) -> Control<Arc<World>> {
        self.coming.control()
    }

    /// Its frames are sampled from now on.
    pub fn sample_for(&mut self, tap: Tap) {
        self.tap = Some(Box::new(tap));
    }

    /// What it shows.
    pub const fn live(&self) -> &Arc<LiveCore> {
        &self.live
    }

    /// What takes its batches.
    pub const fn stage(&mut self) -> &mut S {
        &mut self.stage
    }

    /// What takes its batches, to look at.
    pub const fn stage_ref(&self) -> &S {
        &self.stage
    }

    /// What logs take of the system.
    pub const fn logs(&self) -> &Region {
        self.gather.region()
    }

    /// A poll that is timed begins: [`Self::lap`] says what each part of it was.
    pub fn begin_timing(&mut self) {
        self.stage.begin_timing();
        self.meter.begin(self.stage.timed());
    }

    /// Where the poll is timed: what came since the last call was this, but for what the stage has timed itself.
    #[inline]
    pub fn lap(&mut self, part: Part) {
        if self.meter.is_on() {
            self.meter.lap(part, self.stage.timed());
        }
    }

    /// The poll is over.
    pub fn end_timing(&mut self) {
        let counts = self.meter.end();
        self.stage.end_timing(counts);
    }

    /// Looks whether something has come from the control; to be called now and then.
    pub fn look(&mut self) {
        self.coming.look(Some(self.at));
        self.stage.look();
    }

    /// Opens an epoch, unless it or a later one is open or due. Where the one before the open one is still closing it is due
    /// when that is done, and until then frames count in the open one: an end at once would hold this core as long as it takes.
    pub fn epoch(&mut self, next: Epoch) {
        if next <= self.reached() {
            return;
        }
        if self.may_turn() {
            self.open(next);
        } else {
            self.overdue = Some(next);
            self.stage.hurry();
        }
    }

    /// The epoch that is open, or has begun and waits.
    pub const fn reached(&self) -> Epoch {
        match self.overdue {
            Some(epoch) => epoch,
            None => self.at,
        }
    }

    /// So many frames come that another core polled in this epoch. Where that is over here they count in the open one.
    #[inline]
    pub fn late(&mut self, port: u16, of: Epoch, frames: u64) {
        if of < self.at
            && let Some(ledger) = self.open.ports.get_mut(usize::from(port))
        {
            ledger.late += frames;
        }
    }

    /// Whether an epoch has begun that cannot be opened yet.
    pub const fn is_overdue(&self) -> bool {
        self.overdue.is_some()
    }

    /// Whether all of the epoch before the open one was handed on and counted, but perhaps for its account.
    fn may_turn(&self) -> bool {
        self.closing.as_ref().is_none_or(|closing| closing.handed) && !self.stage.is_closing()
    }

    fn open(&mut self, next: Epoch) {
        // What waits is of the epoch that ends.
        self.settle();
        self.live.windows.add(1);
        self.did = self.did.max(Did::Window);
        let skips = next != Epoch::END && next.0 - 1 > self.at.0;
        self.turn(next);
        if self.outlet.waits() {
            // In a replay what is over goes before what comes: where bursts are cut decides nothing, also where memory is short.
            while self.step() {
                std::thread::yield_now();
            }
        } else if skips && self.stage.is_stepwise() {
            self.gather.hold(&mut self.stage);
        }
    }

    /// Ends the open epoch, and opens another.
    fn turn(&mut self, next: Epoch) {
        // What the reporter has no room for even now is told with the next one.
        self.close();
        let unheard = self.closing.take().map(|closing| closing.site);
        self.keep_live();
        if let Some(site) = unheard {
            self.open.take_over(&site, self.began < self.at);
            self.keep(site);
        }
        let site = std::mem::replace(&mut self.open, std::mem::take(&mut self.spare));
        self.closing = Some(Closing { from: self.at, to: next, site, handed: false });
        (self.at, self.strides) = (next, 0);
        self.look();
        self.renew();
        self.gather.advance(next);
        self.gather.pack_as(&self.world.plans.layout);
    }

    /// From the open epoch on another generation may count.
    fn renew(&mut self) {
        if let Some(world) = self.coming.turn(self.at) {
            self.stage.renew(&world.efforts);
            self.bursts.renew(&world);
            let old = std::mem::replace(&mut self.world, world);
            self.coming.give_back(Some(old));
            self.began = self.at;
            self.did = Did::Reload;
        }
        self.open.shape(self.world.tag_rules);
    }

    fn keep(&mut self, mut site: Site) {
        site.clear();
        self.spare = site;
    }

    /// Does a bounded piece of what waits; false if nothing does. To be called once a poll.
    pub fn step(&mut self) -> bool {
        let mut busy = self.step_some();
        let mut done = 1;
        while busy && done < self.strides && self.gather.is_walking() {
            busy = self.step_some();
            done += 1;
        }
        self.did = self.did.max(if busy { Did::Closing } else { Did::Poll });
        busy
    }

    /// What it did since this was last asked, beside frames.
    pub fn did(&mut self) -> Did {
        std::mem::take(&mut self.did)
    }

    fn step_some(&mut self) -> bool {
        let busy = self.stage.step();
        if self.closing.is_none() && self.overdue.is_none() {
            return busy;
        }
        // A range's end is sealed before the next range comes, and a walk leaves rings room for what is received meanwhile.
        if !self.stage.is_busy() {
            self.close();
        }
        if self.overdue.is_some()
            && self.may_turn()
            && let Some(next) = self.overdue.take()
        {
            self.open(next);
        }
        true
    }

    /// Frames that the next poll may bring, at a time: fewer where the epoch before closes here more slowly than the open one
    /// goes by, whatever a step does. Then this core has more to do than it can, and what it cannot take is for the NIC to miss,
    /// and to count.
    pub fn frames_max(&mut self, time_ns: u64) -> usize {
        let walks = self.gather.is_walking() && self.stage.walk_records_max().is_some();
        let behind = PACES.iter().take_while(|(percent, _)| walks && self.is_behind(time_ns, *percent));
        self.strides = behind.last().map_or(0, |(_, strides)| *strides);
        let late = self.overdue.is_some() || self.strides > 0 && self.is_behind(time_ns, WALK_PERCENT);
        if late { BURST_FRAMES_LATE } else { BURST_FRAMES_MAX }
    }

    /// Whether the walk would not be over when so much of its epoch is gone, if it went on as until now.
    fn is_behind(&self, time_ns: u64, percent: u128) -> bool {
        let calendar = &self.world.calendar;
        let gone_ns = u128::from(time_ns.saturating_sub(calendar.bounds_ns(Period::Fast, self.at.0).0));
        let (walked, all) = self.gather.walked();
        // Some ahead: each step is a piece of a range only.
        let walked = walked + all / 64 + 1;
        walked as u128 * u128::from(calendar.epoch_ns()) * percent < gone_ns * all as u128 * 100
    }

    /// Does the next piece of what closes the epoch before.
    fn close(&mut self) {
        let Some(closing) = &mut self.closing else { return };
        if self.gather.is_walking() {
            if self.strides > 0 {
                self.gather.stride(&mut self.stage)
            } else {
                self.gather.step(&mut self.stage)
            };
        } else if !closing.handed {
            closing.handed = true;
            self.stage.advance(closing.to);
            let site = &mut closing.site;
            self.stage.losses(&mut |lost| site.lose(lost));
        } else if self.outlet.closed(closing.from, closing.to, &closing.site) == Sent::Yes
            && let Some(closing) = self.closing.take()
        {
            self.keep(closing.site);
        }
    }

    /// A poll of a queue took all that it may, or not: where that goes on, stats that run here do less.
    #[inline]
    pub fn polled_all(&mut self, is_full: bool) {
        if self.load.as_mut().and_then(|load| load.polled(is_full)).is_some() {
            self.stage.shed(self.shed_level());
        }
    }

    /// Takes bursts from a core that sheds so much: then there is more than both can do. False: it helps one that sheds more.
    #[inline]
    pub fn helps(&mut self, level: u32) -> bool {
        if self.helped < level {
            self.helped = level;
            self.stage.shed(self.shed_level());
        }
        self.helped == level
    }

    /// It is not given anything any more by a core that sheds as much as it was told.
    pub fn helps_nobody(&mut self) {
        if self.helped > 0 {
            self.helped = 0;
            self.stage.shed(self.shed_level());
        }
    }

    /// What others should shed that help this core: what it only heard of others is no reason.
    pub fn own_shed_level(&self) -> u32 {
        self.load.as_ref().map_or(0, Load::level)
    }

    /// Stats that run here and may leave records out look at one in 2^this.
    pub fn shed_level(&self) -> u32 {
        self.own_shed_level().max(self.helped)
    }

    /// Closes everything. The core has said its last.
    pub fn end(&mut self) {
        // What is over already goes out in peace.
        while self.step() {
            std::thread::yield_now();
        }
        self.epoch(Epoch::END);
        while self.step() {
            std::thread::yield_now();
        }
        self.show();
    }
}

#[cfg(test)]
#[path = "receiver_tests.rs"]
mod tests;
