//! A word in the log when figures become coarser for want of memory, and when they no longer do: not in every window.

use std::time::{Duration, Instant};

use crate::report::Strain;

/// A second warning comes no sooner than this after the first, however often memory runs out between.
const WARNED_EVERY: Duration = Duration::from_mins(10);

/// What is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A window has such figures, and that was not said before.
    Begins,
    /// A window has none, where it was said that there are.
    Over,
}

/// What was said so far.
#[derive(Debug, Default)]
pub struct Strained {
    warned: Option<Instant>,
    said: bool,
}

impl Strained {
    /// Looks at a long window.
    pub fn look(&mut self, strain: &Strain, now: Instant) -> Option<Word> {
        let quiet = self.warned.is_some_and(|warned| now.saturating_duration_since(warned) < WARNED_EVERY);
        match (strain.is_any(), self.said) {
            (true, false) if !quiet => {
                (self.warned, self.said) = (Some(now), true);
                Some(Word::Begins)
            }
            (false, true) => {
                self.said = false;
                Some(Word::Over)
            }
            _ => None,
        }
    }

    /// The same, in the log.
    pub fn tell(&mut self, strain: &Strain) {
        match self.look(strain, Instant::now()) {
            Some(Word::Begins) => {
                let Strain { thinned, short, folded, missed } = *strain;
                tracing::warn!(
                    thinned,
                    short_of_memory = short,
                    folded,
                    missed,
                    "memory for sketches is spent: these figures of the window are coarser, and say so; sums are exact. Raise memory_mb \
                     (a restart), or lower k, p or the number of stats; tailwater_core_memory_used_bytes says which core"
                );
            }
            Some(Word::Over) => tracing::info!("memory for sketches suffices again: no figure of the window is coarser for want of it"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_when_it_begins_and_once_when_it_is_over() {
        let (none, some) = (Strain::default(), Strain { thinned: 3, ..Strain::default() });
        let (mut strained, start) = (Strained::default(), Instant::now());
        let mut at = |seconds: u64, strain: &Strain| strained.look(strain, start + Duration::from_secs(seconds));
        assert_eq!(at(0, &none), None);
        assert_eq!((at(10, &some), at(20, &some)), (Some(Word::Begins), None));
        assert_eq!((at(30, &none), at(40, &none)), (Some(Word::Over), None));
        // It comes and goes: quiet for ten minutes, and what was not said is not taken back.
        assert_eq!((at(50, &some), at(60, &none), at(70, &some)), (None, None, None));
        assert_eq!((at(620, &some), at(630, &none)), (Some(Word::Begins), Some(Word::Over)));
    }
}
