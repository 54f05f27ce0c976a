//! A word in the log when figures become coarser for want of memory or time, and when they no longer do: not in every window.

use std::time::{Duration, Instant};

use crate::report::Strain;

/// It is over once no window had such figures for so long: memory that runs out at each pulse of an attack is not said to
/// suffice between two.
const OVER_AFTER: Duration = Duration::from_mins(10);

/// What is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// A window has such figures, and that is not what was said last.
    Begins,
    /// No window has had any for a while, where it was said that there are.
    Over,
}

/// What was said so far of one want.
#[derive(Debug, Default)]
struct Spell {
    /// When a window last had such figures; none: the last word is that there are none.
    last: Option<Instant>,
}

impl Spell {
    /// Looks at a long window, which has such figures or has not.
    fn look(&mut self, has: bool, now: Instant) -> Option<Word> {
        if has {
            return self.last.replace(now).is_none().then_some(Word::Begins);
        }
        let over = self.last.is_some_and(|last| now.saturating_duration_since(last) >= OVER_AFTER);
        over.then(|| {
            self.last = None;
            Word::Over
        })
    }
}

/// What was said so far.
#[derive(Debug, Default)]
pub struct Strained {
    memory: Spell,
    time: Spell,
}

impl Strained {
    /// Looks at a long window, and says in the log what is new.
    pub fn tell(&mut self, strain: &Strain) {
        let (now, shed) = (Instant::now(), strain.shed);
        match self.memory.look(strain.is_of_memory(), now) {
            Some(Word::Begins) => {
                let Strain { thinned, short, folded, missed, .. } = *strain;
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
        match self.time.look(shed > 0, now) {
            Some(Word::Begins) => tracing::warn!(
                shed,
                "a core has more to do than it can: these lists of the window left records out, and say at which weight (`shed_weight`); \
                 their bounds hold; sums are exact. More rx cores or workers, or fewer stats; tailwater_core_shed_total says which core. \
                 That it is over is said after ten minutes without any"
            ),
            Some(Word::Over) => tracing::info!("cores keep up again: for ten minutes no list left records out"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_when_it_begins_and_once_when_it_is_over() {
        let (none, some) = (false, true);
        let (mut spell, start) = (Spell::default(), Instant::now());
        let mut at = |seconds: u64, has: bool| spell.look(has, start + Duration::from_secs(seconds));
        assert_eq!(at(0, none), None);
        assert_eq!((at(10, some), at(20, some)), (Some(Word::Begins), None));
        // It comes and goes: what was said stays true.
        assert_eq!((at(30, none), at(40, some), at(60, none), at(630, none)), (None, None, None, None));
        assert_eq!((at(640, none), at(650, none)), (Some(Word::Over), None));
        assert_eq!((at(660, some), at(670, none)), (Some(Word::Begins), None));
    }
}
