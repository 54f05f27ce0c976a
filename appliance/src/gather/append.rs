//! Records into chains; and what waits in chains while a walk over the epoch before is still in its way.

use super::packed::{Form, Layout, NARROW_WORDS};
use super::{DRAIN_RECORDS, Gather, HELD_RECORDS_MAX, RUNS, Stage, WIDE};
use crate::arch::prefetch::prefetch;
use crate::limits::{BATCH_RECORDS_MAX, LOG_RECORDS_MAX};
use crate::record::Record;
use crate::units::RangeIndex;

/// Whether a chain of so many records has a batch to hand on, or as many as a log holds.
#[inline]
const fn is_full(count: usize, flags: u8) -> bool {
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
        prefetch(&self.chains[range.at()]);
    }

    /// Asks for where the range's next record goes.
    #[inline]
    pub fn prefetch_tail(&self, range: RangeIndex) {
        let chain = &self.chains[range.at()][self.side];
        // Of a narrow chain: of a wide one it is near enough. An empty one has none.
        self.segments.prefetch(chain.tail, usize::from(chain.filled) * NARROW_WORDS);
    }

    /// Adds a record in the narrow form, which has no extras.
    #[inline]
    pub fn append_narrow(&mut self, range: RangeIndex, words: &[u64; NARROW_WORDS], stage: &mut impl Stage) {
        let side = self.side;
        let segment = self.fits[side][Form::Narrow as usize].segment;
        let chain = &mut self.chains[range.at()][side];
        let (filled, count) = (usize::from(chain.filled), usize::from(chain.count) + 1);
        // Any other is rare: it begins a segment, fills a log or a batch, or does not fit its chain.
        let usual = filled > 0 && filled < segment && chain.flags & WIDE == 0 && !self.held && !is_full(count, chain.flags);
        if !usual {
            return self.append_packed(range, Form::Narrow, words, stage);
        }
        (chain.filled, chain.count) = (chain.filled + 1, chain.count + 1);
        let tail = chain.tail;
        let to = self.segments.words_mut(tail).get_mut(filled * NARROW_WORDS..).and_then(|rest| rest.first_chunk_mut());
        if let Some(to) = to {
            *to = *words;
        }
    }

    /// Adds a record that is packed in the narrowest form that it fits.
    #[inline]
    pub fn append_packed(&mut self, range: RangeIndex, form: Form, words: &[u64], stage: &mut impl Stage) {
        let chain = self.chains[range.at()][self.side];
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
        if usize::from(self.chains[range.at()][side].count) >= HELD_RECORDS_MAX {
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
        let mut chain = self.chains[range.at()][side];
        let fit = self.fit(side, form);
        if chain.count == 0 || usize::from(chain.filled) == fit.segment {
            let Some(extended) = self.extend(range.0, form, stage) else {
                return stage.lose(range, self.epochs[side], 1);
            };
            chain = extended;
        }
        let at = usize::from(chain.filled) * fit.words;
        let to = &mut self.segments.words_mut(chain.tail)[at..at + fit.words];
        match (<&mut [u64; NARROW_WORDS]>::try_from(&mut *to), words.first_chunk()) {
            // Without a call, as nearly all are.
            (Ok(to), Some(from)) => *to = *from,
            _ => to.copy_from_slice(&words[..fit.words]),
        }
        chain.filled += 1;
        chain.count += 1;
        self.chains[range.at()][side] = chain;
        if is_full(usize::from(chain.count), chain.flags) {
            self.full(range.0, stage);
        }
    }

    #[inline(never)]
    fn full(&mut self, range: u32, stage: &mut impl Stage) {
        if !self.held {
            return self.hand_on(range, self.side, None, stage);
        }
        // It waits for the walk, which goes on, unless that is to pause.
        self.chains[range as usize][self.side].flags |= RUNS;
        if !stage.is_busy() {
            self.drive(1, stage);
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
            let _ = (0..steps).all(|_| self.held && self.walk_on(stage));
        }
    }

    /// The walk is over: from here on the open epoch's batches may go.
    pub(super) fn let_go(&mut self, stage: &mut impl Stage) {
        (self.walking, self.held) = (false, false);
        stage.begin(self.epochs[self.side]);
    }
}
