//! Records into chains; and what waits in chains while a walk over the epoch before is still in its way.

use super::chain::{Chain, DRAIN_RECORDS, Fit, LOTS_SHIFT, RIPE, RUNS, WIDE};
use super::desk::{DESK_RECORDS, DESK_STEP, NARROW_STEP};
use super::packed::{Form, Layout, NARROW_WORDS};
use super::{Gather, HELD_RECORDS_MAX, Stage, TURN_RECORDS};
use crate::arch::prefetch::prefetch_write;
use crate::limits::{BATCH_RECORDS_MAX, LOG_RECORDS_MAX, SEGMENT_RECORDS};
use crate::record::Record;
use crate::units::RangeIndex;

/// Whether a held chain of so many records has as many as make the walk go on.
#[inline]
const fn drives(count: usize, flags: u8) -> bool {
    if flags & RUNS == 0 { count == LOG_RECORDS_MAX } else { count.is_multiple_of(DRAIN_RECORDS) && count >= BATCH_RECORDS_MAX }
}

impl Gather {
    /// Adds a record to its range's chain.
    #[inline]
    pub fn append(&mut self, range: RangeIndex, record: &Record, stage: &mut impl Stage) {
        let (form, layout) = (Form::of(record), &self.layouts[self.side]);
        let (mut words, len) = ([0; Layout::WORDS_MAX], layout.words(form));
        layout.pack(record, form, &mut words[..len]);
        self.append_packed(range, form, &words[..len], stage);
    }

    /// How the records of the open epoch are packed.
    #[inline]
    pub const fn layout(&self) -> &Layout {
        &self.layouts[self.side]
    }

    /// Asks for a range's chain, soon to be needed.
    #[inline]
    pub fn prefetch_chain(&self, range: RangeIndex) {
        prefetch_write(&self.chains[self.side][range.at()]);
    }

    /// Asks for where the range's next record goes, and if it makes what lies on a desk go, for where that goes.
    #[inline]
    pub fn prefetch_tail(&self, range: RangeIndex) {
        let chain = self.chains[self.side][range.at()];
        if chain.room == 0 && chain.flags >> LOTS_SHIFT != 0 {
            self.segments.prefetch_desk(chain.next.wrapping_sub(DESK_STEP), chain.lot);
        } else {
            self.segments.prefetch(chain.next);
        }
    }

    /// Adds a record in the narrow form, which has no extras. Its words stay numbers: gathered in memory first, they would be read
    /// from there wider than they were written, and so not before all stores until then are through, those to cold lines too.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "what is handed over stays in registers")]
    pub fn append_narrow(&mut self, range: RangeIndex, (one, two, three): (u64, u64, u64), stage: &mut impl Stage) {
        let chain = &mut self.chains[self.side][range.at()];
        if chain.room == 0 {
            return self.append_slowly(range, [one, two, three], stage);
        }
        self.segments.put(chain.next, (one, two, three));
        chain.next += NARROW_STEP;
        (chain.count, chain.room) = (chain.count + 1, chain.room - 1);
    }

    /// Adds narrow records, one behind the other: as [`Self::append_narrow`] of each.
    #[inline]
    pub fn append_run(&mut self, range: RangeIndex, mut rows: impl ExactSizeIterator<Item = (u64, u64, u64)>, stage: &mut impl Stage) {
        while rows.len() > 0 {
            let chain = &mut self.chains[self.side][range.at()];
            let some = rows.len().min(usize::from(chain.room));
            let words = self.segments.at_mut(chain.next, some * NARROW_WORDS);
            for (words, (one, two, three)) in words.as_chunks_mut().0.iter_mut().zip(&mut rows) {
                *words = [one, two, three];
            }
            let some = u8::try_from(some).unwrap_or(0);
            chain.next += u32::from(some) * NARROW_STEP;
            (chain.count, chain.room) = (chain.count + u16::from(some), chain.room - some);
            if let Some((one, two, three)) = rows.next() {
                self.append_slowly(range, [one, two, three], stage);
            }
        }
    }

    #[inline(never)]
    fn append_slowly(&mut self, range: RangeIndex, words: [u64; NARROW_WORDS], stage: &mut impl Stage) {
        if self.append_first(range, words) {
            if self.ripe.is_due(DESK_RECORDS.into(), TURN_RECORDS) {
                self.hand_on_ripe(stage);
            }
            return;
        }
        self.append_packed(range, Form::Narrow, &words, stage);
    }

    /// Adds a record that is packed in the narrowest form that it fits.
    #[inline]
    pub fn append_packed(&mut self, range: RangeIndex, form: Form, words: &[u64], stage: &mut impl Stage) {
        let chain = self.chains[self.side][range.at()];
        if self.held {
            return self.append_held(range, form, words, stage);
        }
        if chain.count > 0 && chain.form() != form {
            return self.append_other(range, form, words, stage);
        }
        self.push(range, form, words, stage);
    }

    /// Of another form than its chain. A wide chain takes any record: packets that differ in what they claim do not cut it into
    /// single ones.
    #[cold]
    fn append_other(&mut self, range: RangeIndex, form: Form, words: &[u64], stage: &mut impl Stage) {
        if form == Form::Narrow {
            self.push_wide(range, form, words, stage);
        } else {
            self.hand_on_all(range.0, stage);
            self.push(range, form, words, stage);
        }
    }

    /// Of an epoch that is held: its chains are not cut, and so are wide.
    #[cold]
    fn append_held(&mut self, range: RangeIndex, form: Form, words: &[u64], stage: &mut impl Stage) {
        let side = self.side;
        if usize::from(self.chains[side][range.at()].count) >= HELD_RECORDS_MAX {
            if !self.hasten(1, stage) {
                return stage.lose(range, self.epochs[side], 1);
            }
            self.hand_on(range.0, side, None, stage);
        }
        self.push_wide(range, form, words, stage);
    }

    fn push_wide(&mut self, range: RangeIndex, form: Form, words: &[u64], stage: &mut impl Stage) {
        let layout = &self.layouts[self.side];
        let (record, len) = (layout.unpack(words, form), layout.words(Form::Wide));
        let mut wide = [0; Layout::WORDS_MAX];
        layout.pack(&record, Form::Wide, &mut wide[..len]);
        self.push(range, Form::Wide, &wide[..len], stage);
    }

    /// Behind the last of its chain, which has its form.
    #[inline]
    fn push(&mut self, range: RangeIndex, form: Form, words: &[u64], stage: &mut impl Stage) {
        let side = self.side;
        let mut chain = self.chains[side][range.at()];
        let (fit, mut counted) = (self.fit(side, form), u32::from(chain.room));
        if chain.count == 0 || self.left(chain, fit) == 0 {
            let Some(extended) = self.extend(range.0, form, stage) else {
                return stage.lose(range, self.epochs[side], 1);
            };
            (chain, counted) = (extended, 0);
        }
        self.segments.at_mut(chain.next, fit.words).copy_from_slice(&words[..fit.words]);
        chain.next += fit.step;
        chain.count += 1;
        let room = self.room(chain, fit);
        self.chains[side][range.at()] = Chain { room, ..chain };
        if self.held {
            if drives(usize::from(chain.count), chain.flags) {
                self.drive_for(range.0, stage);
            }
            return;
        }
        let is_due = self.ripe.is_due((1 + u32::from(room)).saturating_sub(counted), TURN_RECORDS);
        if chain.asks(self.lengths) {
            self.full(range.0, stage);
        } else if is_due {
            self.hand_on_ripe(stage);
        }
    }

    /// Records for which a chain's last segment has room.
    #[inline]
    fn left(&self, chain: Chain, fit: Fit) -> usize {
        if chain.is_at_desk() {
            return chain.count.wrapping_neg() as usize % SEGMENT_RECORDS;
        }
        let (segment, size) = self.segments.of_word(chain.next - 1);
        fit.records[size as usize] - ((chain.next - self.segments.start(segment)) / fit.step) as usize
    }

    /// Records that a chain takes before it has to be looked at.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "31 at most")]
    fn room(&self, chain: Chain, fit: Fit) -> u8 {
        if self.held || chain.flags & WIDE != 0 || !self.layout().is_bare() {
            return 0;
        }
        let until = chain.asks_at(self.lengths).saturating_sub(usize::from(chain.count) + 1);
        self.left(chain, fit).min(until).min(TURN_RECORDS as usize - 1) as u8
    }

    /// What is held waits for the walk, which goes on, unless that is to pause.
    #[inline(never)]
    fn drive_for(&mut self, range: u32, stage: &mut impl Stage) {
        self.chains[self.side][range as usize].flags |= RUNS;
        if !stage.is_busy() {
            self.drive(1, stage);
        }
    }

    /// A range is ripe, or has waited too long.
    #[inline(never)]
    fn full(&mut self, range: u32, stage: &mut impl Stage) {
        let chain = &mut self.chains[self.side][range as usize];
        if chain.flags & RIPE == 0 {
            chain.flags |= RIPE;
            return self.ripe.push(range);
        }
        self.hand_on(range, self.side, None, stage);
    }

    /// One batch of the ripe range whose turn it is, until it has none that is whole.
    #[inline(never)]
    fn hand_on_ripe(&mut self, stage: &mut impl Stage) {
        let Some(range) = self.ripe.first() else { return };
        let side = self.side;
        if self.has_batch(range, side) {
            self.hand_on(range, side, None, stage);
        }
        if !self.has_batch(range, side) {
            let chain = self.chains[side][range as usize];
            let chain = Chain { flags: chain.flags & !RIPE | RUNS, ..chain };
            let room = if chain.count == 0 { 0 } else { self.room(chain, self.fit(side, chain.form())) };
            self.chains[side][range as usize] = Chain { room, ..chain };
            self.ripe.pop();
        }
        self.prefetch_ripe();
    }

    /// Asks for the batch whose turn is the next.
    fn prefetch_ripe(&self) {
        if let Some(range) = self.ripe.first() {
            let chain = self.chains[self.side][range as usize];
            let fit = self.fit(self.side, chain.form());
            self.segments.prefetch_batch(chain.first, fit.batch * fit.words);
        }
    }

    /// The open epoch is not the next after the one before: none of its batches is handed on before the walk is over, so that
    /// they are not in the way of those that the walk still gives. What finds no room meanwhile is lost, and told.
    pub fn hold(&mut self, stage: &mut impl Stage) {
        self.held = true;
        if self.touched[self.side ^ 1].is_empty() {
            self.let_go(stage);
        }
    }

    /// What is held has no more room to wait: the walk goes on, even if it had better pause. Whether it is over, and batches may
    /// go.
    #[cold]
    pub(super) fn hasten(&mut self, steps: usize, stage: &mut impl Stage) -> bool {
        stage.hurry();
        self.drive(steps, stage);
        !self.held
    }

    /// Lets the walk go on by so many steps, once a poll: however many records ask for it, what they do stays bounded.
    fn drive(&mut self, steps: usize, stage: &mut impl Stage) {
        if !std::mem::replace(&mut self.driven, true) {
            let _ = (0..steps).all(|_| self.held && self.walk_on(stage, stage.walk_records_max()));
        }
    }

    /// The walk is over: from here on the open epoch's batches may go.
    pub(super) fn let_go(&mut self, stage: &mut impl Stage) {
        (self.walking, self.held) = (false, false);
        stage.begin(self.epochs[self.side]);
    }
}
