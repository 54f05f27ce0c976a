//! The usual frames of a burst, in stages: each is a short loop, and what one frame waits for of memory, others are worked on
//! meanwhile.
//!
//! A frame that [`crate::parse::usual`] takes becomes a packed record without ever being a [`crate::parse::Parsed`]; any other
//! takes the general way in its turn, so that each range's records stay in their order.

use super::receiver::Receiver;
use super::world::World;
use crate::classify::{Found, Hit, Sides, Verdicts};
use crate::gather::Stage;
use crate::gather::packed::{Form, Layout};
use crate::gather::usual::Words;
use crate::limits::BURST_FRAMES_MAX;
use crate::parse::{Usual, usual};
use crate::record::Has;
use crate::rx::Frame;
use crate::telemetry::cost::Part;
use crate::units::{Family, RangeIndex};
use crate::window::{Decisions, Ledger};

const V4_ADDRESSES: usize = 12;
const V6_ADDRESSES: usize = 8;

/// What a frame has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Not of the usual kind.
    Walks,
    /// A record in the narrow form, without extras.
    Narrow,
    /// Any other.
    Packed(Form),
}

/// What a core keeps for its bursts: of each frame of one.
pub(super) struct Bursts {
    verdicts: Verdicts,
    kinds: [Kind; BURST_FRAMES_MAX],
    words: Box<[Words; BURST_FRAMES_MAX]>,
    /// Where an IPv6 header stands.
    ip_at: [usize; BURST_FRAMES_MAX],
    sides: Sides,
    found: Found,
    /// Where its record goes, and as what.
    to: [Hit; BURST_FRAMES_MAX],
    /// And the other range that it belongs to.
    from: [Option<Hit>; BURST_FRAMES_MAX],
}

impl Bursts {
    pub(super) fn new(world: &World) -> Self {
        let none = [0; BURST_FRAMES_MAX];
        Self {
            verdicts: world.generation.verdicts(),
            kinds: [Kind::Walks; BURST_FRAMES_MAX],
            words: Box::new([Words([0; Layout::WORDS_MAX]); BURST_FRAMES_MAX]),
            ip_at: [0; BURST_FRAMES_MAX],
            sides: Sides { src: none, dst: none },
            found: Found { src: none, dst: none },
            to: [Hit { range: RangeIndex(0), direction: Has(0) }; BURST_FRAMES_MAX],
            from: [None; BURST_FRAMES_MAX],
        }
    }

    /// Another generation counts.
    pub(super) fn renew(&mut self, world: &World) {
        self.verdicts.renew(&world.generation);
    }
}

/// What the usual frames of a burst add to the accounts.
#[derive(Default)]
struct Sums {
    frames: u64,
    bytes: u64,
    late: u64,
    implausible: u64,
    unproven: u64,
    unmatched: u64,
    records: u64,
    decisions: Decisions,
}

impl Sums {
    #[inline]
    fn frame(&mut self, frame: &Frame<'_>, implausible: bool, unproven: bool) {
        self.frames += 1;
        self.bytes += u64::from(frame.wire_bytes);
        self.late += u64::from(frame.late);
        self.implausible += u64::from(implausible);
        self.unproven += u64::from(unproven);
    }

    fn book(&self, overdue: bool, ledger: &mut Ledger) {
        ledger.received += self.frames;
        ledger.received_bytes += self.bytes;
        ledger.parsed += self.frames;
        ledger.late += self.late;
        ledger.overdue += if overdue { self.frames } else { 0 };
        ledger.implausible += self.implausible;
        ledger.unproven += self.unproven;
        ledger.matched += self.frames - self.unmatched;
        ledger.unmatched += self.unmatched;
        ledger.records += self.records;
    }
}

impl<S: Stage> Receiver<S> {
    /// Counts frames of the open epoch, in their order.
    #[inline]
    pub fn frames(&mut self, frames: &[Frame<'_>]) {
        for of_port in frames.chunk_by(|one, other| one.port == other.port) {
            for burst in of_port.chunks(BURST_FRAMES_MAX) {
                self.burst(burst);
            }
        }
    }

    /// Frames of one port.
    fn burst(&mut self, frames: &[Frame<'_>]) {
        let Some(port) = frames.first().map(|frame| usize::from(frame.port)) else { return };
        if port < self.open.ports.len() && self.world.generation.is_plain() {
            let mut sums = Sums::default();
            self.read(frames, &mut sums);
            self.lap(Part::Parse);
            self.world.generation.find_v4(frames.len(), &self.bursts.sides, &mut self.bursts.found);
            self.choose(frames, &mut sums);
            self.open.decisions += &sums.decisions;
            sums.book(self.overdue.is_some(), &mut self.open.ports[port]);
            self.lap(Part::Lpm);
        } else {
            self.bursts.kinds = [Kind::Walks; BURST_FRAMES_MAX];
        }
        for (at, frame) in frames.iter().enumerate().take(BURST_FRAMES_MAX) {
            match self.bursts.kinds[at] {
                Kind::Walks => self.frame(frame),
                Kind::Narrow => self.append_narrow(at),
                Kind::Packed(form) => self.append(at, form),
            }
        }
        self.lap(Part::Gather);
    }

    /// Reads frames, asks the tag rules and packs; of what is not of the usual kind nothing is counted.
    fn read(&mut self, frames: &[Frame<'_>], sums: &mut Sums) {
        let Self { world, bursts, gather, open, .. } = self;
        let Bursts { verdicts, kinds, words, sides, ip_at, .. } = bursts;
        let (generation, layout) = (&world.generation, gather.layout());
        for (at, frame) in frames.iter().enumerate().take(BURST_FRAMES_MAX) {
            kinds[at] = Kind::Walks;
            let Some((usual, ip)) = taken(frame, world) else { continue };
            let verdict = verdicts.of(generation, frame, &usual);
            if verdict.drops {
                continue;
            }
            let (wire_bytes, implausible) = generation.wire_bytes(frame, &usual, verdict.added_bytes);
            let words = &mut words[at];
            if usual.is_v6 {
                ip_at[at] = usual.link_bytes as usize;
                words.v6(&usual, ip[V6_ADDRESSES..].first_chunk().unwrap_or(&[0; 32]));
            } else {
                let both = ip[V4_ADDRESSES..].first_chunk().unwrap_or(&[0; 8]);
                words.v4(&usual, both);
                let [a, b, c, d, e, f, g, h] = *both;
                (sides.src[at], sides.dst[at]) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
            }
            words.tag(verdict.has, wire_bytes, verdict.weight);
            let form = Words::form(&usual, wire_bytes);
            kinds[at] = if form == Form::Narrow && layout.is_bare() {
                Kind::Narrow
            } else {
                complete(layout, form, (frame, &usual), (wire_bytes, verdict.rule), words);
                Kind::Packed(form)
            };
            sums.frame(frame, implausible, verdict.sampling_unproven);
            sums.decisions.add(verdict.has, wire_bytes, verdict.weight);
            open.tags[usize::from(verdict.tag)] += 1;
        }
    }

    /// Where the records go, and asks for the memory there.
    fn choose(&mut self, frames: &[Frame<'_>], sums: &mut Sums) {
        let Self { world, bursts, gather, .. } = self;
        for (at, frame) in frames.iter().enumerate().take(BURST_FRAMES_MAX) {
            let family = match bursts.kinds[at] {
                Kind::Walks => continue,
                Kind::Packed(_) if bursts.words[at].is_v6() => {
                    world.generation.find_v6(at, frame.bytes.get(bursts.ip_at[at]..).unwrap_or_default(), &mut bursts.found);
                    Family::V6
                }
                _ => Family::V4,
            };
            let [first, from] = bursts.found.hits(at);
            sums.records += u64::from(first.is_some()) + u64::from(from.is_some());
            sums.unmatched += u64::from(first.is_none());
            let to = first.unwrap_or_else(|| Hit { range: world.unmatched(family), direction: Has(0) });
            (bursts.to[at], bursts.from[at]) = (to, from);
            gather.prefetch_chain(to.range);
        }
        for (to, kind) in bursts.to.iter().zip(&bursts.kinds).take(frames.len()) {
            if *kind != Kind::Walks {
                gather.prefetch_tail(to.range);
            }
        }
    }

    #[inline]
    fn append_narrow(&mut self, at: usize) {
        let Self { bursts, gather, stage, .. } = self;
        let (words, to, from) = (&bursts.words[at], bursts.to[at], bursts.from[at]);
        gather.append_narrow(to.range, &words.narrow(to.direction), stage);
        if let Some(from) = from {
            gather.append_narrow(from.range, &words.narrow(from.direction), stage);
        }
    }

    fn append(&mut self, at: usize, form: Form) {
        let Self { bursts, gather, stage, .. } = self;
        let len = gather.layout().words(form);
        let (words, to, from) = (&bursts.words[at], bursts.to[at], bursts.from[at]);
        gather.append_packed(to.range, form, &words.towards(to.direction).0[..len], stage);
        if let Some(from) = from {
            gather.append_packed(from.range, form, &words.towards(from.direction).0[..len], stage);
        }
    }
}

/// A frame of the usual kind, and what is behind its link layer: an IP header at least.
#[inline(always)]
#[allow(clippy::inline_always, reason = "what it gives is taken apart at once, and need not be in memory")]
fn taken<'a>(frame: &Frame<'a>, world: &World) -> Option<(Usual, &'a [u8])> {
    if frame.captured_bytes < frame.wire_bytes {
        return None;
    }
    let usual = usual(frame.bytes, frame.wire_bytes, frame.link, &world.mirror)?;
    let ip = frame.bytes.get(usual.link_bytes as usize..)?;
    (ip.len() >= if usual.is_v6 { 40 } else { 20 }).then_some((usual, ip))
}

/// Behind what every form has: what the wide form adds, and what only some stats read.
#[inline(never)]
fn complete(layout: &Layout, form: Form, (frame, usual): (&Frame<'_>, &Usual), (wire_bytes, rule): (u32, u32), words: &mut Words) {
    if form == Form::Wide {
        words.widen(usual, wire_bytes);
    }
    if !layout.is_bare() {
        let mut record = usual.extras(frame.bytes);
        (record.time_ns, record.rx_port, record.rule) = (frame.time_ns, frame.port, rule);
        layout.pack_extras(&record, words.extras(layout, form));
    }
}
