//! A word in the log when figures become coarser for want of memory, and when they no longer do: not in every window.

use std::time::{Duration, Instant};

use crate::report::Strain;

/// It is over once no window had such figures for so long: memory that runs out at each pulse of an attack is not said to
/// suffice between two.
const OVER_AFTER: Duration = Duration::from_mins(10);

/// What is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A window has such figures, and that is not what was said last.
    Begins,
    /// No window has had any for a while, where it was said that there are.
    Over,
}

/// What was said so far.
#[derive(Debug, Default)]
pub struct Strained {
    /// When a window last had such figures; none: the last word is that there are none.
    last: Option<Instant>,
}

impl Strained {
    /// Looks at a long window.
    pub fn look(&mut self, strain: &Strain, now: Instant) -> Option<Word> {
        if strain.is_any() {
            return self.last.replace(now).is_none().then_some(Word::Begins);
        }
        let over = self.last.is_some_and(|last| now.saturating_duration_since(last) >= OVER_AFTER);
        over.then(|| {
            self.last = None;
            Word::Over
        })
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
                    "memory for sketches is spent, or more than seven eighths of a core's: these figures of the window are coarser, their \
                     bounds hold; sums are exact. Raise memory_mb (a restart), or lower k, p or the number of stats; \
                     tailwater_core_memory_used_bytes says which core. That it is over is said after ten minutes without any"
                );
            }
            Some(Word::Over) => tracing::info!("memory for sketches suffices again: for ten minutes no figure was coarser for want of it"),
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
        // It comes and goes: what was said stays true.
        assert_eq!((at(30, &none), at(40, &some), at(60, &none), at(630, &none)), (None, None, None, None));
        assert_eq!((at(640, &none), at(650, &none)), (Some(Word::Over), None));
        assert_eq!((at(660, &some), at(670, &none)), (Some(Word::Begins), None));
    }
}
