//! How large a report, or a single stat of one, may be for a broker: nobody tells, so it is learned of what is refused, and not asked again
//! with each report.
//!
//! A refusal costs a producer and up to a second. So of each topic and stat the smallest size that was refused is remembered, and what is
//! as large is made smaller beforehand; from time to time one goes at that size, since a topic may have been given more room.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A size that was refused is tried again after so long,
pub(super) const ASK: Duration = Duration::from_secs(300);
/// and of all topics and stats together one in this time.
pub(super) const ASK_ANY: Duration = Duration::from_secs(30);
/// A stat that is refused though it is as small as this is left out.
const LEAST_BYTES: usize = 1_024;
/// Topics that are known; beyond, all are learned anew.
pub(super) const TOPICS_MAX: usize = 4_096;

/// Of one stat, alone in its part of a report; bytes of the part.
#[derive(Debug)]
struct Size {
    /// The smallest that was refused.
    refused: usize,
    /// The largest that was taken below that.
    taken: usize,
    /// It is made so small now; 0: left out.
    goal: usize,
    /// When the one that was refused was last tried.
    asked: Instant,
    is_told: bool,
}

impl Size {
    /// From here on it would be refused: reports of ranges differ by names and labels, so nearly as large is as large.
    const fn bar(&self) -> usize {
        self.refused - self.refused / 16
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Sizes {
    /// A report that is longer is cut.
    whole_max: usize,
    topics: HashMap<String, HashMap<String, Size>>,
    asked: Option<Instant>,
    /// Counts up with each refusal that taught something: what was cut before is cut anew.
    version: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { whole_max: usize::MAX, topics: HashMap::new(), asked: None, version: 0 }
    }
}

impl Sizes {
    pub(super) const fn whole_max(&self) -> usize {
        self.whole_max
    }

    pub(super) const fn version(&self) -> u32 {
        self.version
    }

    /// Whether no stat was ever refused.
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Several stats together were refused.
    pub(super) fn refused_together(&mut self, bytes: usize) {
        self.whole_max = self.whole_max.min(bytes / 2);
        self.version = self.version.wrapping_add(1);
    }

    /// A stat alone was refused. Whether that is news.
    pub(super) fn refused(&mut self, (topic, stat): (&str, &str), bytes: usize, now: Instant) -> bool {
        if self.topics.len() >= TOPICS_MAX && !self.topics.contains_key(topic) {
            self.topics.clear();
        }
        let stats = self.topics.entry(topic.to_owned()).or_default();
        let fresh = Size { refused: usize::MAX, taken: 0, goal: usize::MAX, asked: now, is_told: false };
        let size = stats.entry(stat.to_owned()).or_insert(fresh);
        size.asked = now;
        let is_news = bytes < size.refused;
        if is_news {
            size.refused = bytes;
            size.taken = if size.taken < size.bar() { size.taken } else { 0 };
            size.goal = if bytes <= LEAST_BYTES { 0 } else { (bytes / 8 * 5).max(size.taken) };
            size.is_told = false;
            // A report that is longer would be refused as well.
            self.whole_max = self.whole_max.min(size.bar().saturating_sub(1));
            self.version = self.version.wrapping_add(1);
        }
        is_news
    }

    /// A stat alone was taken: a larger one than was refused before says that there is more room now.
    pub(super) fn taken(&mut self, (topic, stat): (&str, &str), bytes: usize) {
        let Some(stats) = self.topics.get_mut(topic) else { return };
        let Some(size) = stats.get_mut(stat) else { return };
        if bytes < size.bar() {
            size.taken = size.taken.max(bytes);
            size.goal = size.goal.max(size.taken);
            return;
        }
        stats.remove(stat);
        if stats.is_empty() {
            self.topics.remove(topic);
        }
    }

    /// How long a part with this stat alone, which would be of so many bytes, may be. None: as it is.
    pub(super) fn room(&mut self, (topic, stat): (&str, &str), bytes: usize, now: Instant) -> Option<usize> {
        let size = self.topics.get_mut(topic)?.get_mut(stat).filter(|size| bytes >= size.bar())?;
        let is_due = |asked: Instant, each: Duration| now.saturating_duration_since(asked) >= each;
        if is_due(size.asked, ASK) && self.asked.is_none_or(|asked| is_due(asked, ASK_ANY)) {
            (size.asked, self.asked) = (now, Some(now));
            return Some(size.refused);
        }
        Some(size.goal)
    }

    /// Whether it is to be said that a stat is left out: once, until it is refused at another size.
    pub(super) fn tells(&mut self, (topic, stat): (&str, &str)) -> bool {
        let size = self.topics.get_mut(topic).and_then(|stats| stats.get_mut(stat));
        size.is_some_and(|size| !std::mem::replace(&mut size.is_told, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: (&str, &str) = ("t", "s");

    #[test]
    fn what_is_as_large_as_what_was_refused_is_not_asked_again_for_minutes() {
        let (mut sizes, now) = (Sizes::default(), Instant::now());
        assert_eq!(sizes.room(OF, 1 << 30, now), None);
        assert!(sizes.refused(OF, 64_000, now) && !sizes.refused(OF, 64_000, now), "the second one is none the wiser");
        for later in [0, 299] {
            assert_eq!(sizes.room(OF, 63_000, now + Duration::from_secs(later)), Some(40_000));
        }
        assert_eq!((sizes.room(OF, 59_000, now), sizes.room(("t", "other"), 64_000, now)), (None, None));
        assert!(sizes.whole_max() < 64_000);
        // One asks; the next does not.
        let then = now + ASK;
        assert_eq!([sizes.room(OF, 63_000, then), sizes.room(OF, 63_000, then)], [Some(64_000), Some(40_000)]);
        // What is taken all the same: the topic has more room.
        sizes.taken(OF, 63_000);
        assert!(sizes.room(OF, 63_000, then).is_none() && sizes.is_empty());
    }

    #[test]
    fn a_topic_is_found_step_by_step_and_only_the_least_is_left_out() {
        let now = Instant::now();
        for limit in [30_000, 2_500, 10] {
            let (mut sizes, mut asked) = (Sizes::default(), 0);
            let mut bytes = 1 << 20;
            while bytes > limit && bytes > 0 {
                asked += 1;
                assert!(sizes.refused(OF, bytes, now));
                bytes = sizes.room(OF, 1 << 20, now).unwrap();
            }
            assert!(asked < 20 && (bytes == 0) == (limit == 10), "{limit}: {asked}, {bytes}");
            assert!(sizes.tells(OF) && !sizes.tells(OF));
        }
    }

    #[test]
    fn of_many_topics_one_asks_at_a_time() {
        let (mut sizes, now) = (Sizes::default(), Instant::now());
        let topics: Vec<String> = (0..10).map(|n| format!("t{n}")).collect();
        topics.iter().for_each(|topic| assert!(sizes.refused((topic, "s"), 10_000, now)));
        let asked = topics.iter().filter(|topic| sizes.room((topic, "s"), 10_000, now + ASK) == Some(10_000)).count();
        assert_eq!(asked, 1);
    }
}
