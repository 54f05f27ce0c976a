//! How large a message that cannot be cut may be for a topic: what is as large as one that was refused is given up without a broker's word.
//!
//! Each refusal costs a producer and what goes by it up to a second. From time to time one goes all the same, since a topic may have been
//! given more room.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::sizes::{ASK, ASK_ANY, TOPICS_MAX};

#[derive(Debug)]
struct Whole {
    /// The least that was refused,
    refused: usize,
    /// and the largest that was taken below that.
    taken: usize,
    /// When one that large was last tried.
    asked: Instant,
}

/// Of each topic; bytes of whole messages.
#[derive(Debug, Default)]
pub(super) struct Wholes {
    topics: HashMap<String, Whole>,
    asked: Option<Instant>,
}

impl Wholes {
    /// Whether nothing was ever refused.
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// It was refused. What the least is now, and the largest that was taken below it: 0 if none is known.
    pub(super) fn refused(&mut self, topic: &str, bytes: usize, now: Instant) -> (usize, usize) {
        if self.topics.len() >= TOPICS_MAX && !self.topics.contains_key(topic) {
            self.topics.clear();
        }
        let whole = self.topics.entry(topic.to_owned()).or_insert(Whole { refused: bytes, taken: 0, asked: now });
        (whole.refused, whole.asked) = (whole.refused.min(bytes), now);
        if whole.taken >= whole.refused {
            whole.taken = 0;
        }
        (whole.refused, whole.taken)
    }

    /// It was taken: one as large as what was refused says that there is more room now.
    pub(super) fn taken(&mut self, topic: &str, bytes: usize) {
        let Some(whole) = self.topics.get_mut(topic) else { return };
        if bytes >= whole.refused {
            self.topics.remove(topic);
        } else {
            whole.taken = whole.taken.max(bytes);
        }
    }

    /// Whether a message of so many bytes would be refused, and need not go.
    pub(super) fn has_no_room(&mut self, topic: &str, bytes: usize, now: Instant) -> bool {
        let Some(whole) = self.topics.get_mut(topic).filter(|whole| bytes >= whole.refused) else { return false };
        let is_due = |asked: Instant, each: Duration| now.saturating_duration_since(asked) >= each;
        let asks = is_due(whole.asked, ASK) && self.asked.is_none_or(|asked| is_due(asked, ASK_ANY));
        if asks {
            (whole.asked, self.asked) = (now, Some(now));
        }
        !asks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_not_asked_again_for_minutes_and_what_is_smaller_goes() {
        let (mut wholes, now) = (Wholes::default(), Instant::now());
        assert!(wholes.is_empty() && !wholes.has_no_room("t", 1 << 30, now));
        assert_eq!(wholes.refused("t", 611, now), (611, 0));
        assert!(wholes.has_no_room("t", 611, now) && wholes.has_no_room("t", 9_000, now + ASK - Duration::from_secs(1)));
        assert!(!wholes.has_no_room("t", 610, now) && !wholes.has_no_room("u", 611, now), "smaller, and of another topic");
        wholes.taken("t", 400);
        wholes.taken("t", 300);
        assert_eq!([wholes.refused("t", 520, now), wholes.refused("t", 700, now)], [(520, 400); 2]);
        // One asks; the next does not, nor one of another topic.
        wholes.refused("u", 611, now);
        let then = now + ASK;
        assert_eq!([("t", 520), ("t", 520), ("u", 611)].map(|(topic, bytes)| wholes.has_no_room(topic, bytes, then)), [false, true, true]);
        assert!(!wholes.has_no_room("u", 611, then + ASK_ANY));
        // What is taken all the same: the topic has more room.
        wholes.taken("t", 520);
        assert!(!wholes.has_no_room("t", 9_000, then));
    }
}
