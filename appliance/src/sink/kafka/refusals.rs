//! Topics of flows that brokers refuse: not there and not made, or not allowed.
//!
//! Flows name topics by what they hold, so one that is refused may be anyone's making. Its flows step aside, so that those of other
//! topics go on; it is asked for again and again; and [`PATIENCE`] after its first refusal they are given up, and so are those that
//! come later, until a broker takes one of them.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;

/// So long flows of a topic wait from its first refusal on.
pub(super) const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 4 } else { 30 });
/// A topic whose flows wait is asked for so often,
const ASK_WAITING: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 5_000 });
/// and one whose flows are given up.
const ASK_GIVEN_UP: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });
/// A topic is told of so often,
const TELL: Duration = Duration::from_secs(60);
/// and so many topics in that time; of others how many there are.
const TOLD_MAX: usize = 8;
/// Topics that are told apart. What is refused beyond is given up at once.
const TOPICS_MAX: usize = 4_096;

/// What becomes of a topic's flows now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// They go.
    Go,
    /// They step aside.
    Wait,
    /// They are given up.
    GiveUp,
}

#[derive(Debug)]
struct Refused {
    since: Instant,
    asked: Instant,
    code: Code,
    is_given_up: bool,
    told: Option<Instant>,
    /// Given up since it was last told.
    untold: u64,
    /// Numbers of lots that wait.
    waiting: BTreeSet<usize>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    topics: HashMap<String, Refused>,
    told_since: Option<Instant>,
    told: usize,
}

/// What is to be said of a topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) topic: String,
    pub(super) code: Code,
    /// Messages given up since it was last said.
    pub(super) flows: u64,
}

impl Refusals {
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// A broker refused a topic. False: there are too many to know one more, and what it holds is to be given up now.
    pub(super) fn refused(&mut self, topic: &str, code: Code, now: Instant) -> bool {
        if let Some(known) = self.topics.get_mut(topic) {
            (known.code, known.asked) = (code, now);
            return true;
        }
        let is_given_up = self.topics.len() >= TOPICS_MAX;
        if is_given_up {
            let idle = self.topics.iter().find(|(_, of)| of.is_given_up && of.untold == 0).map(|(topic, _)| topic.clone());
            let Some(idle) = idle else { return false };
            self.topics.remove(&idle);
        }
        let refused = Refused { since: now, asked: now, code, is_given_up, told: None, untold: 0, waiting: BTreeSet::new() };
        self.topics.insert(topic.to_owned(), refused);
        true
    }

    /// A broker took a topic's message: what waits for it goes, by number.
    pub(super) fn taken(&mut self, topic: &str) -> Option<BTreeSet<usize>> {
        self.topics.remove(topic).map(|refused| refused.waiting)
    }

    /// What the next message of a topic is to do. Now and then one goes, to ask.
    pub(super) fn course(&mut self, topic: &str, now: Instant) -> Course {
        let Some(refused) = self.topics.get_mut(topic) else { return Course::Go };
        let (course, each) = if refused.is_given_up { (Course::GiveUp, ASK_GIVEN_UP) } else { (Course::Wait, ASK_WAITING) };
        if now.duration_since(refused.asked) < each {
            return course;
        }
        refused.asked = now;
        Course::Go
    }

    /// A lot of a topic has stepped aside.
    pub(super) fn wait(&mut self, topic: &str, number: usize) {
        if let Some(refused) = self.topics.get_mut(topic) {
            refused.waiting.insert(number);
        }
    }

    /// So many messages of a topic were given up.
    pub(super) fn gave_up(&mut self, topic: &str, flows: u64) {
        if let Some(refused) = self.topics.get_mut(topic) {
            refused.untold += flows;
        }
    }

    /// Whether this lot waits.
    pub(super) fn holds(&self, number: usize) -> bool {
        self.topics.values().any(|refused| refused.waiting.contains(&number))
    }

    /// Lots that waited long enough, and are given up from now on; at once if `all`.
    pub(super) fn over(&mut self, all: bool, now: Instant) -> Vec<usize> {
        let mut lots = Vec::new();
        for refused in self.topics.values_mut() {
            if !refused.is_given_up && (now.duration_since(refused.since) >= PATIENCE || all && !refused.waiting.is_empty()) {
                refused.is_given_up = true;
                lots.extend(std::mem::take(&mut refused.waiting));
            }
        }
        lots
    }

    /// Lots that ask for their topics now, one of each.
    pub(super) fn to_ask(&self, now: Instant) -> Vec<usize> {
        let due = self.topics.values().filter(|refused| now.duration_since(refused.asked) >= ASK_WAITING);
        due.filter_map(|refused| refused.waiting.first().copied()).collect()
    }

    /// What is to be said now: each topic once in a while, the worst first; and how many others there are.
    pub(super) fn untold(&mut self, now: Instant) -> (Vec<Said>, usize) {
        if self.told_since.is_none_or(|since| now.duration_since(since) >= TELL) {
            (self.told_since, self.told) = (Some(now), 0);
        }
        let is_due = |of: &Refused| of.untold > 0 && of.told.is_none_or(|told| now.duration_since(told) >= TELL);
        let mut due: Vec<(&String, &mut Refused)> = self.topics.iter_mut().filter(|(_, refused)| is_due(refused)).collect();
        due.sort_by(|a, b| b.1.untold.cmp(&a.1.untold).then_with(|| a.0.cmp(b.0)));
        let (mut said, mut others) = (Vec::new(), 0);
        for (topic, refused) in due {
            let flows = std::mem::take(&mut refused.untold);
            refused.told = Some(now);
            if self.told < TOLD_MAX {
                self.told += 1;
                said.push(Said { topic: topic.clone(), code: refused.code, flows });
            } else {
                others += 1;
            }
        }
        (said, others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: Code = Code::UnknownTopicOrPartition;

    #[test]
    fn flows_wait_ask_and_are_given_up_and_go_again() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.course("t", start), Course::Go);
        refusals.refused("t", CODE, start);
        assert_eq!((refusals.course("t", start), refusals.course("u", start)), (Course::Wait, Course::Go));
        refusals.wait("t", 7);
        refusals.wait("t", 9);
        assert!(refusals.holds(7) && !refusals.holds(8) && refusals.to_ask(start).is_empty());
        let later = start + ASK_WAITING;
        assert_eq!(refusals.to_ask(later), [7]);
        assert_eq!([refusals.course("t", later), refusals.course("t", later)], [Course::Go, Course::Wait], "one asks");
        let over = start + PATIENCE;
        assert_eq!(refusals.over(false, over), [7, 9]);
        assert_eq!(refusals.course("t", later), Course::GiveUp);
        refusals.gave_up("t", 5);
        assert_eq!(refusals.untold(over), (vec![Said { topic: "t".to_owned(), code: CODE, flows: 5 }], 0));
        refusals.gave_up("t", 6);
        assert_eq!(refusals.untold(over), (Vec::new(), 0), "once a minute");
        assert_eq!(refusals.untold(over + TELL).0[0].flows, 6);
        assert_eq!(refusals.taken("t"), Some(BTreeSet::new()));
        assert!(refusals.is_empty() && refusals.course("t", over) == Course::Go);
    }

    #[test]
    fn topics_without_end_have_a_bound_and_few_lines() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        for n in 0..TOPICS_MAX + 10 {
            refusals.refused(&format!("t{n}"), CODE, now);
            refusals.wait(&format!("t{n}"), n);
        }
        assert_eq!(refusals.topics.len(), TOPICS_MAX);
        assert_eq!(refusals.over(true, now).len(), TOPICS_MAX, "what waits goes where there is no room");
        (0..100).for_each(|n| refusals.gave_up(&format!("t{n}"), n + 1));
        let (said, others) = refusals.untold(now);
        assert_eq!((said.len(), said[0].flows, others), (TOLD_MAX, 100, 100 - TOLD_MAX));
        refusals.refused("new", CODE, now);
        assert_eq!((refusals.topics.len(), refusals.course("new", now)), (TOPICS_MAX, Course::GiveUp));
    }
}
