//! The usual frames of a burst, in stages: each is a short loop, and what one frame waits for of memory, others are worked on
//! meanwhile.
//!
//! A frame that [`crate::parse::usual`] takes becomes a packed record without ever being a [`crate::parse::Parsed`]; any other
//! takes the general way in its turn, so that each range's records stay in their order.

mod bank;
mod plain;
mod run;

use super::receiver::Receiver;
use super::world::World;
use crate::classify::{Found, LongSides, Sides, Verdicts};
use crate::duplicates::sight;
use crate::exports::Sample;
use crate::gather::Stage;
use crate::gather::packed::{Form, Layout};
use crate::gather::usual::{Words, direction_word, narrow};
use crate::limits::BURST_FRAMES_MAX;
use crate::parse::plain::Plain;
use crate::parse::{Usual, usual};
use crate::rx::{Frame, Frames};
use crate::stats::columns::first;
use crate::telemetry::cost::Part;
use crate::units::{Family, RangeIndex};
use crate::window::Ledger;
use bank::{Bank, Goal, Kind};
use plain::Told;
use run::Run;

const V6_ADDRESSES: usize = 8;

/// What a core keeps for its bursts: of each frame of two.
///
/// A burst's records are appended when the next has been read: until then the memory where they go has come.
pub(super) struct Bursts {
    verdicts: Verdicts,
    banks: [Bank; 2],
    /// That of the burst which is being read.
    bank: usize,
    plain: Plain,
    sides: Sides,
    long_sides: LongSides,
    found: Found,
}

impl Bursts {
    pub(super) fn new(world: &World) -> Self {
        let none = [0; BURST_FRAMES_MAX];
        Self {
            verdicts: world.generation.verdicts(),
            banks: [Bank::new(), Bank::new()],
            bank: 0,
            plain: Plain::default(),
            sides: Sides { src: none, dst: none },
            long_sides: LongSides::default(),
            found: Found { src: none, dst: none },
        }
    }

    /// Another generation counts.
    pub(super) fn renew(&mut self, world: &World) {
        self.verdicts.renew(&world.generation);
    }
}

impl<S: Stage> Receiver<S> {
    /// Counts frames of the open epoch, in their order.
    #[inline]
    pub fn frames(&mut self, frames: &[Frame<'_>]) {
        for of_port in frames.chunk_by(|one, other| one.port == other.port) {
            of_port.chunks(BURST_FRAMES_MAX).for_each(|burst| self.burst(burst));
        }
    }

    /// The same, of one port, and no more than a burst. What it adds to ranges may wait for the next one, or for
    /// [`Self::settle`].
    #[inline]
    pub fn burst<'a>(&mut self, frames: impl Frames<'a>) {
        let count = frames.count().min(BURST_FRAMES_MAX);
        let Some(port) = frames.at(0).map(|frame| usize::from(frame.port)) else { return };
        if self.open.copies.is_on() {
            self.look_twice(frames, count);
        }
        if let Some(tap) = &mut self.tap
            && tap.comes(count)
        {
            self.sample(frames);
        }
        if self.port_tap.is_some() {
            self.take_exports(frames, count);
        }
        let bank = self.bursts.bank;
        let mut walks = true;
        if port < self.open.ports.len() && self.world.generation.is_plain() {
            walks = self.read(frames, (count, port));
            self.lap(Part::Parse);
            let Bursts { sides, long_sides, found, .. } = &mut self.bursts;
            self.world.generation.find_v4(count, sides, found);
            if !long_sides.is_empty() {
                self.world.generation.find_v6(long_sides, found);
            }
            self.choose((count, port));
            self.lap(Part::Lpm);
        } else {
            self.bursts.banks[bank].kinds = [Kind::Walks; BURST_FRAMES_MAX];
        }
        self.settle();
        if walks {
            return self.append_all(bank, count, frames);
        }
        self.bursts.banks[bank].waiting = count;
        self.bursts.bank = bank ^ 1;
        // What is kept of these ranges has come meanwhile; where their records go comes while the next burst is received.
        self.bursts.banks[bank].goals[..count].iter().for_each(|goal| self.gather.prefetch_tail(goal.range));
    }

    /// Hands over what is of exporters; it counts as any other packet too.
    #[inline(never)]
    fn take_exports<'a>(&mut self, frames: impl Frames<'a>, count: usize) {
        let Self { port_tap: Some(tap), world, .. } = self else { return };
        (0..count).filter_map(|at| frames.at(at)).for_each(|frame| tap.see(&frame, &world.mirror));
    }

    /// Keeps of the frames those that are sampled to find what comes twice.
    #[inline(never)]
    fn look_twice<'a>(&mut self, frames: impl Frames<'a>, count: usize) {
        let (key, copies) = (&self.world.hash_key, &mut self.open.copies);
        for frame in (0..count).filter_map(|at| frames.at(at)) {
            if let Some(sight) = sight(frame.bytes, frame.link, key, copies.below()) {
                copies.see(&sight, frame.time_ns, frame.port);
            }
        }
    }

    /// Takes samples of a burst.
    #[inline(never)]
    fn sample<'a>(&mut self, frames: impl Frames<'a>) {
        let Self { tap, world, parsed, .. } = self;
        let Some(tap) = tap else { return };
        while let Some(at) = tap.at() {
            let sample = |frame: Frame<'_>| Sample::of(&frame, (&world.generation, world.number), &world.mirror, parsed);
            tap.take(frames.at(at).map(sample));
        }
    }

    /// Appends what waits. To be called before anything else happens to an epoch, and when nothing comes.
    #[inline]
    pub fn settle(&mut self) {
        let bank = self.bursts.bank ^ 1;
        let waiting = std::mem::take(&mut self.bursts.banks[bank].waiting);
        if waiting > 0 {
            self.append_all(bank, waiting, &[][..]);
        }
    }

    fn append_all<'a>(&mut self, bank: usize, count: usize, frames: impl Frames<'a>) {
        let (count, mut at) = (count.min(BURST_FRAMES_MAX), 0);
        loop {
            at = self.append_each(bank, (at, count));
            if at >= count {
                break;
            }
            let mut frames_done = 1;
            match self.bursts.banks[bank].kinds[at] {
                Kind::Narrow => frames_done = self.append_several(bank, (at, count)),
                Kind::Packed(form, _) => self.append(bank, at, form),
                Kind::Walks => {
                    self.lap(Part::Gather);
                    frames.at(at).iter().for_each(|frame| self.frame(frame));
                }
                Kind::Told => {}
            }
            at += frames_done;
        }
        self.lap(Part::Gather);
    }

    /// Reads frames, asks the tag rules and packs; of what is not of the usual kind nothing is counted. Whether there is any.
    #[inline]
    fn read<'a>(&mut self, frames: impl Frames<'a>, (count, port): (usize, usize)) -> bool {
        let Self { world, bursts, gather, open, overdue, .. } = self;
        let (generation, layout) = (&world.generation, gather.layout());
        let (is_bare, bank, mut run) = (layout.is_bare(), bursts.bank, Run::default());
        bursts.long_sides.clear();
        let (mut received_bytes, mut late, mut implausible_frames, mut taken) = (0, 0, 0, 0);
        let plain = if is_bare { bursts.read_plain(frames, count, world) } else { Told::default() };
        if plain.frames != 0 {
            run.begin(plain.verdict);
            // No link asks for their squares: with links a record is never bare.
            (run.frames, run.bytes) = (plain.frames.count_ones().into(), plain.bytes);
            (received_bytes, late, taken) = (plain.received_bytes, plain.late, run.frames);
        }
        let mut others = first(count) & !plain.frames;
        while others != 0 {
            let at = others.trailing_zeros() as usize % BURST_FRAMES_MAX;
            others &= others - 1;
            bursts.banks[bank].kinds[at] = Kind::Walks;
            let Some(frame) = frames.at(at) else { continue };
            let Some(usual) = whole(&frame, world) else { continue };
            let key = bursts.verdicts.key(&frame, &usual);
            if key != run.verdict.key() {
                run.book(open, port);
                run.begin(bursts.verdicts.of(key, generation, &frame, &usual));
            }
            if run.verdict.drops {
                continue;
            }
            let (wire_bytes, implausible) = generation.wire_bytes(&frame, &usual, run.verdict.added_bytes);
            run.add(wire_bytes);
            received_bytes += u64::from(frame.wire_bytes);
            late += u64::from(frame.late);
            (implausible_frames, taken) = (implausible_frames + u64::from(implausible), taken + 1);
            let form = Words::form(&usual, wire_bytes);
            if form == Form::Narrow && is_bare {
                let bank = &mut bursts.banks[bank];
                bank.rows.put(at, narrow(&usual, wire_bytes, run.word));
                bank.kinds[at] = Kind::Narrow;
            } else {
                bursts.pack(at, layout, form, (&frame, &usual), (wire_bytes, &run));
            }
            bursts.sides.put(at, usual.addresses);
        }
        run.book(open, port);
        let ledger = &mut open.ports[port];
        (ledger.received_bytes, ledger.late) = (ledger.received_bytes + received_bytes, ledger.late + late);
        ledger.implausible += implausible_frames;
        ledger.overdue += if overdue.is_some() { taken } else { 0 };
        taken < count as u64
    }

    /// Where the records go, and asks for what is kept of those ranges.
    #[inline]
    fn choose(&mut self, (count, port): (usize, usize)) {
        let Self { world, bursts, gather, open, .. } = self;
        let (bank, counts) = (bursts.bank, world.counts);
        let (mut frames_usual, mut records, mut unmatched) = (0_u64, 0_u64, 0_u64);
        for at in 0..count.min(BURST_FRAMES_MAX) {
            let family = match bursts.banks[bank].kinds[at] {
                Kind::Walks | Kind::Told => continue,
                Kind::Narrow => Family::V4,
                Kind::Packed(_, family) => family,
            };
            let (first, directions, from) = bursts.found.hits(at);
            frames_usual += 1;
            if !counts && first != Found::NONE {
                bursts.banks[bank].kinds[at] = Kind::Told;
                continue;
            }
            records += u64::from(first != Found::NONE) + u64::from(from != Found::NONE);
            unmatched += u64::from(first == Found::NONE);
            let range = if first == Found::NONE { world.unmatched(family) } else { RangeIndex(first - 1) };
            bursts.banks[bank].goals[at] = Goal { range, from, directions: direction_word(directions) };
            gather.prefetch_chain(range);
        }
        book_ranges(&mut open.ports[port], frames_usual, records, unmatched);
    }

    /// Narrow records that go to one range each, up to the first other one, or one whose neighbour goes where it goes: where that
    /// is. Most are of this kind, and a dozen instructions each.
    #[inline]
    fn append_each(&mut self, bank: usize, (mut at, count): (usize, usize)) -> usize {
        let Self { bursts, gather, stage, .. } = self;
        let bank = &bursts.banks[bank];
        while at < count {
            let goal = bank.goals[at];
            let is_one = bank.is_beside(at, goal.range) && !(at + 1 < count && bank.is_beside(at + 1, goal.range));
            if !is_one {
                break;
            }
            gather.append_narrow(goal.range, bank.rows.row(at, goal.directions), stage);
            at += 1;
        }
        at
    }

    /// A narrow record for two ranges, or several for one, one behind the other. Says of how many frames.
    #[inline(never)]
    fn append_several(&mut self, bank: usize, (at, count): (usize, usize)) -> usize {
        let Self { bursts, gather, stage, .. } = self;
        let bank = &bursts.banks[bank];
        let goal = bank.goals[at];
        if let Some(from) = goal.other() {
            gather.append_narrow(goal.range, bank.rows.row(at, goal.directions), stage);
            gather.append_narrow(from, bank.rows.row(at, Goal::FROM), stage);
            return 1;
        }
        let run = 1 + (at + 1..count).take_while(|at| bank.is_beside(*at, goal.range)).count();
        gather.append_run(goal.range, (at..at + run).map(|at| bank.rows.row(at, bank.goals[at].directions)), stage);
        run
    }

    fn append(&mut self, bank: usize, at: usize, form: Form) {
        let Self { bursts, gather, stage, .. } = self;
        let len = gather.layout().words(form);
        let bank = &bursts.banks[bank];
        let (words, goal) = (&bank.words[at], bank.goals[at]);
        gather.append_packed(goal.range, form, &words.towards(goal.directions).0[..len], stage);
        if let Some(from) = goal.other() {
            gather.append_packed(from, form, &words.towards(Goal::FROM).0[..len], stage);
        }
    }
}

#[inline]
const fn book_ranges(ledger: &mut Ledger, frames: u64, records: u64, unmatched: u64) {
    ledger.matched += frames - unmatched;
    ledger.unmatched += unmatched;
    ledger.records += records;
}

/// What a frame of the usual kind says, if all of it is there.
#[inline(always)]
#[allow(clippy::inline_always, reason = "what it gives is taken apart at once, and need not be in memory")]
fn whole(frame: &Frame<'_>, world: &World) -> Option<Usual> {
    if frame.captured_bytes < frame.wire_bytes {
        return None;
    }
    usual(frame.bytes, frame.wire_bytes, frame.link, &world.mirror)
}

impl Bursts {
    /// Packs what has more than the narrow form alone: IPv6, much length, what only some stats read.
    #[inline(never)]
    #[allow(clippy::cast_possible_truncation, reason = "a burst has some dozen frames")]
    fn pack(&mut self, at: usize, layout: &Layout, form: Form, (frame, usual): (&Frame<'_>, &Usual), (wire_bytes, run): (u32, &Run)) {
        let bank = &mut self.banks[self.bank];
        let words = &mut bank.words[at];
        let family = if usual.is_v6() { Family::V6 } else { Family::V4 };
        bank.kinds[at] = Kind::Packed(form, family);
        if family == Family::V6 {
            let addresses = frame.bytes.get(usual.link_bytes as usize + V6_ADDRESSES..).and_then(|rest| rest.first_chunk());
            // Frames of the usual kind have their whole header.
            let addresses = addresses.unwrap_or(&[0; 32]);
            words.v6(usual, addresses);
            self.long_sides.put(at as u8, addresses);
        } else {
            words.v4(usual);
        }
        words.tag(wire_bytes, run.word);
        if form == Form::Wide {
            words.widen(usual, wire_bytes);
        }
        if !layout.is_bare() {
            let mut record = usual.extras(frame.bytes);
            (record.time_ns, record.rx_port) = (frame.time_ns, frame.port);
            (record.rule, record.link) = (run.verdict.rule, run.verdict.link);
            layout.pack_extras(&record, words.extras(layout, form));
        }
    }
}
