//! Flow records in the stats engine: whose they are, where they count, and windows.
//!
//! An [`Analysis`] is to the reporter one core more: it has a shard of its own, with the same kernels and the same blocks as
//! those of packets, but runs the stats that have `source = "flows"`, and those alone. A record goes straight to its range's stats,
//! for there are few beside packets. It counts in the window that is open when it is received, and in a range where it crosses an
//! external interface.

pub(crate) mod keys;
mod metering;
mod rows;
mod sides;

use std::net::IpAddr;
use std::sync::Arc;

use crate::arch::Patience;
use crate::flows::Flow;
use crate::gather::Stage;
use crate::limits::{BATCH_RECORDS_MAX, FLOW_RATE_MAX};
use crate::parse::IpHeader;
use crate::record::{FlowRow, Has, Named};
use crate::stats::plan::Period;
use crate::units::{Epoch, Family};
use crate::window::{Calendar, Coming, Compiled, Control, FlowAccount, Shard};
use metering::Metering;
pub use rows::is_implausible;
use rows::{Counts, Share};
pub use sides::FlowSides;
use sides::{Found, View};

/// Steps of closing a window between which others may run, the reporter above all.
const STEPS_AT_A_STRETCH: u32 = 64;
/// Times that they are let, before what finds no room at a reporter that is behind is lost: naps of a quarter of a second.
const WAITS_MAX: u32 = 4_000;

/// Counts flow records. See the module.
pub struct Analysis {
    /// Of the open epoch.
    sides: Arc<FlowSides>,
    /// Of the next, where that is another.
    coming: Coming<Arc<FlowSides>>,
    metering: Metering,
    shard: Shard,
    calendar: Calendar,
    at: Epoch,
    rows: Vec<FlowRow>,
    /// What was missing, and what came of it later, as told last.
    missed: (u64, u64),
    /// The first exporter that was heard of, and whether a second one was.
    exporters: (Option<IpAddr>, bool),
}

impl Analysis {
    /// Over a shard of the stats of flows.
    pub fn new(sides: Arc<FlowSides>, shard: Shard, calendar: Calendar) -> Self {
        Self {
            sides,
            coming: Coming::default(),
            metering: Metering::new(),
            shard,
            calendar,
            at: Epoch(0),
            rows: Vec::with_capacity(BATCH_RECORDS_MAX),
            missed: (0, 0),
            exporters: (None, false),
        }
    }

    /// By these ends other generations come: as to a receiving core, whose epochs this has.
    pub fn controls(&mut self) -> (Control<Arc<FlowSides>>, Control<Compiled>) {
        (self.coming.control(), self.shard.control())
    }

    /// Turns to the window of a time, nanoseconds since 1970: those before it are closed. An earlier time changes nothing. To be
    /// told the time once before the flows of a datagram, and without any at least once in each short window. Whether another window is
    /// open now.
    pub fn turn(&mut self, time_ns: u64) -> bool {
        self.look();
        self.open(self.calendar.epoch(time_ns))
    }

    /// Looks whether something has come from the control.
    fn look(&mut self) {
        self.coming.look(Some(self.at));
        self.shard.look();
    }

    /// Turns to an epoch; see [`Self::turn`]. What was open closes in [steps](Self::step); there is room for two windows, so what still
    /// closes then is over first.
    pub fn open(&mut self, epoch: Epoch) -> bool {
        if epoch <= self.at {
            return false;
        }
        self.finish();
        self.at = epoch;
        self.look();
        if let Some(sides) = self.coming.turn(epoch) {
            let old = std::mem::replace(&mut self.sides, sides);
            self.coming.give_back(Some(old));
        }
        self.shard.advance(epoch);
        self.metering.turn(self.calendar.bounds_ns(Period::Fast, epoch.0).0);
        true
    }

    /// Does some of what closing the window before takes, so that who receives comes to his sockets in between. Whether there is more.
    pub fn step(&mut self) -> bool {
        if !self.shard.is_closing() {
            return false;
        }
        for _ in 0..STEPS_AT_A_STRETCH {
            self.shard.step();
            if !self.shard.is_closing() {
                return false;
            }
        }
        true
    }

    /// All of it. A reporter that is behind is waited for, but not without end.
    fn finish(&mut self) {
        let (mut patience, mut waits) = (Patience::default(), 0);
        while self.step() {
            patience.wait();
            waits += 1;
            if waits == WAITS_MAX {
                self.shard.hurry();
            }
        }
    }

    /// No flow comes any more.
    pub fn end(&mut self) {
        self.open(Epoch::END);
        self.finish();
    }

    /// What was missing, and came later, before flows were counted: that is of no window.
    pub const fn begin(&mut self, missed: (u64, u64)) {
        self.missed = missed;
    }

    /// Takes note of so many datagrams, records or samples that exporters sent and that were not read: figures of flows are short of
    /// them.
    ///
    /// So many are missing in all by now, and of what was missing in earlier windows so many came: both only rise, but for what comes
    /// after all within a window. `since_ns`: what was noticed now may have been sent since then, if that is known.
    pub fn miss(&mut self, (missed, refilled): (u64, u64), since_ns: Option<u64>) {
        let from_ns = since_ns.filter(|since_ns| self.calendar.epoch(*since_ns) < self.at).unwrap_or(0);
        let account = &mut self.shard.account(self.at).flows;
        account.missing = (account.missing + missed).saturating_sub(self.missed.0);
        account.refilled += refilled.saturating_sub(self.missed.1);
        *account += &FlowAccount { missing_from_ns: from_ns, ..FlowAccount::default() };
        self.missed = (missed, refilled);
    }

    /// Counts a record in the window that is open.
    pub fn take(&mut self, flow: &Flow) {
        self.take_named(flow, Named::default());
    }

    /// The same, where names of its interfaces, in and out, may say whether they are external.
    pub fn take_named(&mut self, flow: &Flow, named: Named) {
        let f = &flow.fields;
        let exporter = f.sampler_address.ip().unwrap_or_else(|| IpAddr::from([0; 4])).to_canonical();
        let rate = if f.sampling_rate > FLOW_RATE_MAX { 0 } else { f.sampling_rate };
        let is_random = f.rate_random || self.sides.interfaces.is_random(exporter);
        // A frame that is shown and not counted is one.
        let is_frame = f.packets == 0 && f.bytes == 0 && f.frame_bytes > 0;
        let (packets, bytes) = if is_frame { (1, f.frame_bytes) } else { (f.packets, f.bytes.saturating_sub(u64::from(f.fcs_bytes))) };
        let ways = [(packets, bytes), keys::back(f)].map(|(packets, bytes)| Counts {
            packets,
            bytes,
            rate,
            is_random,
            are_totals: f.running_totals,
        });
        let account = &mut self.shard.account(self.at).flows;
        account.records += 1;
        if flow.repeated {
            account.repeated += 1;
            return;
        }
        let within = self.sides.within(&flow.lists.headers);
        let Some(addresses) = within.map(keys::ends).or_else(|| keys::addresses(f)) else {
            account.no_address += 1;
            return;
        };
        if ways.iter().all(Counts::are_none) {
            account.no_counts += 1;
            return;
        }
        if ways.iter().any(Counts::are_implausible) {
            account.implausible += 1;
            return;
        }
        self.count_ways((flow, within), addresses, exporter, (&ways, named));
        self.tell_apart(exporter);
    }

    /// Counts what went, and what came back, in the ranges of both.
    fn count_ways(
        &mut self,
        (flow, within): (&Flow, Option<&IpHeader>),
        addresses: (Family, [u8; 16], [u8; 16]),
        exporter: IpAddr,
        (ways, named): (&[Counts; 2], Named),
    ) {
        let f = &flow.fields;
        let (family, src, dst) = addresses;
        let (from, to) = (self.sides.lpm.lookup(family, &src), self.sides.lpm.lookup(family, &dst));
        let mut sides = match from.or(to) {
            Some(_) => self.metering.sides(&self.sides.told(f, exporter, (family, ways[0]))),
            None => [metering::Counts::SURELY; 2],
        };
        if named.are_unknown && from.or(to).is_some() {
            self.shard.account(self.at).flows.nameless += 1;
            let is_guess = self.sides.interfaces.default_external;
            sides.iter_mut().for_each(|side| side.is_settled &= !is_guess);
        }
        let [came, left] = sides;
        let [in_if, out_if] = [(f.in_if, named.sides[0]), (f.out_if, named.sides[1])];
        let (mut row, mut is_matched, mut is_duplicate, mut is_half_told, mut is_guessed) = (None, false, false, false, false);
        for (is_back, counts) in [false, true].into_iter().zip(ways).filter(|(_, counts)| !counts.are_none()) {
            // What goes back comes in where the other leaves.
            let found = match is_back {
                false => self.sides.find((from, to), exporter, [in_if, out_if], [came, left]),
                true => self.sides.find((to, from), exporter, [out_if, in_if], [left, came]),
            };
            match found {
                Found::Unmatched => {}
                Found::Duplicate => is_duplicate = true,
                Found::Views(views) => {
                    if !std::mem::replace(&mut is_matched, true) {
                        self.note(counts);
                    }
                    is_half_told |= counts.are_half_told();
                    is_guessed |= views.iter().flatten().any(|(.., is_settled)| !is_settled);
                    let there = *row.get_or_insert_with(|| keys::row((flow, within), addresses, exporter));
                    let row = if is_back { keys::turned(&there, f) } else { there };
                    views.into_iter().flatten().for_each(|view| self.count(row, counts, view));
                }
            }
        }
        let account = &mut self.shard.account(self.at).flows;
        account.half_told += u64::from(is_half_told);
        account.metering_unsettled += u64::from(is_guessed);
        match (is_matched, is_duplicate) {
            (true, _) => {}
            (false, true) => account.duplicate_view += 1,
            (false, false) => account.unmatched += 1,
        }
    }

    fn note(&mut self, counts: &Counts) {
        let account = &mut self.shard.account(self.at).flows;
        account.matched += 1;
        account.running_totals += u64::from(counts.are_totals);
        account.rate_unknown += u64::from(counts.rate == 0);
        account.not_random += u64::from(counts.rate > 1 && !counts.is_random);
        account.rate_max = account.rate_max.max(counts.rate);
    }

    /// Runs a range's stats over a record's packets.
    fn count(&mut self, mut row: FlowRow, counts: &Counts, (range, direction, link, is_settled): View) {
        // What is asked of hidden stats: see `report/flows.rs`.
        let rule = u32::from(counts.rate == 0) | u32::from(!is_settled) << 1;
        row.record.has = row.record.has.with(direction, true).with(Has::RULE, rule > 0);
        (row.record.link, row.record.rule) = (link, rule);
        if counts.packets == 1 && counts.bytes > 0 {
            row.record.wire_bytes = u32::try_from(counts.bytes).unwrap_or(u32::MAX);
            row.told |= FlowRow::SIZE;
        }
        let Self { shard, rows, at, .. } = self;
        shard.account(*at).flows.views += 1;
        let mut records = 1;
        counts.share(&mut |share: Share| {
            let mut record = row.record;
            record.weight = share.weight;
            record.has = record.has.with(Has::RANDOM, share.proven && is_settled);
            rows.push(FlowRow { record, packets: share.packets, bytes: share.bytes, times: share.times, ..row });
            if rows.len() == BATCH_RECORDS_MAX {
                shard.flows(range, *at, rows, std::mem::take(&mut records));
                rows.clear();
            }
        });
        if !rows.is_empty() {
            shard.flows(range, *at, rows, records);
            rows.clear();
        }
    }

    /// Says it once, if several exporters may show the same flows and nothing tells which of them count.
    fn tell_apart(&mut self, exporter: IpAddr) {
        let (first, several) = &mut self.exporters;
        if *several || *first.get_or_insert(exporter) == exporter {
            return;
        }
        *several = true;
        if !self.sides.interfaces.are_configured() {
            tracing::warn!(
                "several exporters send flows, and a flow that two of them see counts twice: say in [flows.interfaces] which interfaces are external"
            );
        }
    }
}
