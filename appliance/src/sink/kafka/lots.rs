//! A lot of flow messages on its way: each goes to Kafka as a message of its own, and is settled on its own.

use std::ops::Range;

use crate::journal::{Lot, Message};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// librdkafka is to get it.
    Unsent,
    /// It has it.
    Handed,
    /// Acknowledged, or given up.
    Settled,
}

/// The messages of one lot.
#[derive(Debug)]
pub(super) struct LotParts {
    places: Box<[(Range<usize>, Range<usize>)]>,
    states: Box<[State]>,
    /// All before are not unsent.
    next: usize,
    unsettled: usize,
}

impl LotParts {
    /// Of a lot; `None`: the message is none.
    pub(super) fn of(message: &Message) -> Option<Self> {
        if !message.kind.is_lot() {
            return None;
        }
        let count = usize::try_from(message.count()).unwrap_or(usize::MAX).min(usize::from(u16::MAX));
        let places: Box<[_]> = Lot::read(&message.payload).into_iter().flat_map(Lot::places).take(count).collect();
        let states = vec![State::Unsent; places.len()].into();
        Some(Self { unsettled: places.len(), places, states, next: 0 })
    }

    /// Messages that can be read of it.
    pub(super) fn len(&self) -> u64 {
        self.places.len() as u64
    }

    /// Key and value of a part.
    pub(super) fn part<'a>(&self, payload: &'a [u8], part: u16) -> Option<(&'a [u8], &'a [u8])> {
        let (key, value) = self.places.get(usize::from(part))?.clone();
        payload.get(key).zip(payload.get(value))
    }

    /// The next part that librdkafka is to get.
    pub(super) fn to_hand(&self) -> Option<u16> {
        u16::try_from(self.next).ok().filter(|_| self.next < self.states.len())
    }

    /// It has got it.
    pub(super) fn handed_one(&mut self) {
        self.set(self.next, State::Handed);
        self.advance();
    }

    /// A part is delivered or given up. Whether that is news.
    pub(super) fn settle(&mut self, part: u16) -> bool {
        let is_news = self.states.get(usize::from(part)).is_some_and(|state| *state != State::Settled);
        if is_news {
            self.set(usize::from(part), State::Settled);
            self.unsettled -= 1;
            self.advance();
        }
        is_news
    }

    /// All that librdkafka does not have are given up; how many they are.
    pub(super) fn give_up_unsent(&mut self) -> u64 {
        let mut count = 0;
        for state in self.states.iter_mut().filter(|state| **state == State::Unsent) {
            *state = State::Settled;
            count += 1;
        }
        self.unsettled -= count;
        self.advance();
        count as u64
    }

    /// A part that librdkafka had goes again.
    pub(super) fn again(&mut self, part: u16) {
        if self.states.get(usize::from(part)) == Some(&State::Handed) {
            self.set(usize::from(part), State::Unsent);
            self.next = self.next.min(usize::from(part));
        }
    }

    /// All that librdkafka had, and that were not acknowledged, go again.
    pub(super) fn all_again(&mut self) {
        self.states.iter_mut().filter(|state| **state == State::Handed).for_each(|state| *state = State::Unsent);
        self.next = 0;
        self.advance();
    }

    /// Whether all are settled.
    pub(super) const fn is_settled(&self) -> bool {
        self.unsettled == 0
    }

    fn set(&mut self, part: usize, to: State) {
        if let Some(state) = self.states.get_mut(part) {
            *state = to;
        }
    }

    fn advance(&mut self) {
        while self.states.get(self.next).is_some_and(|state| *state != State::Unsent) {
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{LotForm, LotWriter, WindowOf};

    #[test]
    fn each_part_goes_until_it_is_settled_and_none_that_is() {
        let mut writer = LotWriter::new(LotForm::Bare, 100);
        (0..4_u8).for_each(|n| assert!(writer.put(|key| key.push(n), |value| value.extend([n, n]))));
        let message = Message::flows("t", writer.take(), WindowOf::default());
        let mut parts = LotParts::of(&message).unwrap();
        assert_eq!(parts.part(&message.payload, 3), Some((&[3][..], &[3, 3][..])));
        let hand = |parts: &mut LotParts| {
            let mut handed = Vec::new();
            while let Some(part) = parts.to_hand() {
                handed.push(part);
                parts.handed_one();
            }
            handed
        };
        assert_eq!(hand(&mut parts), [0, 1, 2, 3]);
        assert!(parts.settle(2) && !parts.settle(2) && !parts.settle(9));
        parts.again(1);
        parts.again(2);
        assert_eq!(hand(&mut parts), [1], "what is acknowledged does not go again");
        parts.all_again();
        assert_eq!(hand(&mut parts), [0, 1, 3]);
        parts.again(3);
        assert!(parts.give_up_unsent() == 1 && !parts.is_settled() && parts.to_hand().is_none(), "what is on its way may arrive");
        assert!([0, 1].into_iter().all(|part| parts.settle(part)) && parts.is_settled() && parts.give_up_unsent() == 0);
        assert!(LotParts::of(&Message::appliance(&crate::report::pb::ApplianceReport::default())).is_none());
    }
}
