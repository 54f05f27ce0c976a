//! Messages between the journal and their acknowledgement, in the journal's order.

use std::collections::VecDeque;
use std::sync::Arc;

use super::lots::LotParts;
use super::split::{Cut, Part, split};
use crate::journal::{Message, WindowOf};

/// What librdkafka carries with a message and gives back: whose it is, of which attempt, and which part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Number of the message; they count up from 0.
    pub(super) number: usize,
    /// How often the message had been cut before.
    pub(super) attempt: u8,
    /// Index of the part.
    pub(super) part: u16,
}

impl Ticket {
    /// As the word that librdkafka carries.
    pub(super) fn word(self) -> usize {
        self.number << 24 | usize::from(self.attempt) << 16 | usize::from(self.part)
    }

    pub(super) fn of(word: usize) -> Self {
        let [.., attempt, high, low] = word.to_be_bytes();
        Self { number: word >> 24, attempt, part: u16::from_be_bytes([high, low]) }
    }
}

/// All of them.
pub(super) struct Flight {
    entries: VecDeque<Entry>,
    /// What stands in place of a message that is settled.
    nothing: Arc<Message>,
    /// Number of the front.
    front: usize,
    /// Numbers of messages that are to be handed to librdkafka, oldest first.
    unsent: VecDeque<usize>,
    bytes: usize,
}

/// One message.
pub(super) struct Entry {
    /// As the journal gave it.
    pub(super) message: Arc<Message>,
    /// What it goes as, if not as it is.
    parts: Option<Vec<Part>>,
    /// Of flows, each of which goes alone.
    lot: Option<LotParts>,
    /// Stats that no broker takes, even alone and as small as they can be made.
    without: Vec<String>,
    /// What was known of sizes when it was cut.
    version: u32,
    /// Into how many parts it was cut before, as far as some of them may have come,
    given_up: Vec<usize>,
    /// and whether some of those that it goes as now may have.
    was_handed: bool,
    attempt: u8,
    handed: u16,
    acknowledged: u16,
    settled: bool,
    /// Bytes that it counts for.
    bytes: usize,
}

impl Entry {
    fn count(&self) -> u16 {
        self.parts.as_ref().map_or(1, |parts| u16::try_from(parts.len()).unwrap_or(u16::MAX))
    }

    /// A part's key and bytes.
    pub(super) fn part(&self, part: u16) -> (&[u8], &[u8]) {
        match &self.lot {
            Some(lot) => lot.part(&self.message.payload, part).unwrap_or_default(),
            None => (self.message.key.as_bytes(), self.payload(part)),
        }
    }

    fn payload(&self, part: u16) -> &[u8] {
        self.parts.as_ref().map_or(&*self.message.payload, |parts| parts.get(usize::from(part)).map_or(&[][..], |part| &part.payload))
    }

    /// The stat that a part is alone with.
    pub(super) fn only_stat(&self, part: u16) -> Option<&str> {
        self.parts.as_ref()?.get(usize::from(part))?.only.as_deref()
    }

    /// Whether no stat is in a part.
    pub(super) fn is_bare(&self, part: u16) -> bool {
        self.parts.as_ref().and_then(|parts| parts.get(usize::from(part))).is_some_and(|part| part.is_bare)
    }

    /// Whether it is to be cut before it goes: a report that is longer, or one that was cut by what was known of sizes before.
    pub(super) fn is_to_cut(&self, whole_max: usize, version: u32) -> bool {
        let is_cut_before = self.parts.as_ref().map(|_| self.handed == 0 && self.version != version);
        self.lot.is_none() && is_cut_before.unwrap_or(self.message.payload.len() > whole_max)
    }

    /// Cuts it into parts of at most so many bytes, see [`split`]. What is left out that was not so far; none: it cannot be cut.
    pub(super) fn cut(&mut self, bytes_max: usize, version: u32, room: impl FnMut(&str, usize) -> Option<usize>) -> Option<Vec<String>> {
        if std::mem::take(&mut self.was_handed) {
            self.given_up.extend(self.parts.as_ref().map(Vec::len));
        }
        let cut = split(&self.message, (bytes_max, &self.given_up), room);
        let Cut { parts, left_out } = cut.filter(|cut| u16::try_from(cut.parts.len()).is_ok())?;
        (self.parts, self.version) = (Some(parts), version);
        self.attempt = self.attempt.wrapping_add(1);
        (self.handed, self.acknowledged) = (0, 0);
        let before = std::mem::replace(&mut self.without, left_out);
        Some(self.without.iter().filter(|stat| !before.contains(stat)).cloned().collect())
    }

    /// The next part that librdkafka is to get.
    pub(super) fn to_hand(&self) -> Option<u16> {
        if let Some(lot) = &self.lot {
            return lot.to_hand();
        }
        (self.handed < self.count()).then_some(self.handed)
    }

    /// librdkafka has one part more.
    pub(super) fn handed_one(&mut self) {
        match &mut self.lot {
            Some(lot) => lot.handed_one(),
            None => (self.handed, self.was_handed) = (self.handed + 1, true),
        }
    }

    /// A part was acknowledged; true where a message of a consumer's is whole: with the last part of a report, with each of a lot.
    pub(super) fn acknowledged(&mut self, part: u16) -> bool {
        if let Some(lot) = &mut self.lot {
            let is_news = lot.settle(part);
            self.settled = lot.is_settled();
            return is_news;
        }
        self.acknowledged += 1;
        self.settled |= self.acknowledged >= self.count();
        self.settled
    }

    /// It is given up; of a lot, this part alone.
    pub(super) fn give_up(&mut self, part: u16) {
        self.settled = self.lot.as_mut().is_none_or(|lot| {
            lot.settle(part);
            lot.is_settled()
        });
    }

    /// Of a lot: what librdkafka does not have is given up; how many messages.
    pub(super) fn give_up_unsent(&mut self) -> u64 {
        let Some(lot) = &mut self.lot else { return 0 };
        let count = lot.give_up_unsent();
        self.settled = lot.is_settled();
        count
    }

    /// Whether it holds flows.
    pub(super) const fn is_lot(&self) -> bool {
        self.lot.is_some()
    }

    fn ticket(&self, number: usize, part: u16) -> Ticket {
        Ticket { number, attempt: self.attempt, part }
    }
}

impl Default for Flight {
    fn default() -> Self {
        let nothing = Arc::new(Message::flows("", Box::default(), WindowOf::default()));
        Self { entries: VecDeque::new(), nothing, front: 0, unsent: VecDeque::new(), bytes: 0 }
    }
}

impl Flight {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a message. Of a lot: how many messages it says it has, and nobody can read.
    pub(super) fn push(&mut self, message: Arc<Message>) -> u64 {
        let lot = LotParts::of(&message);
        let settled = lot.as_ref().is_some_and(LotParts::is_settled);
        if !settled {
            self.unsent.push_back(self.front + self.entries.len());
        }
        let unreadable = lot.as_ref().map_or(0, |lot| message.count().saturating_sub(lot.len()).max(message.unreadable()));
        let bytes = message.bytes();
        self.bytes += bytes;
        self.entries.push_back(Entry {
            message,
            parts: None,
            lot,
            without: Vec::new(),
            version: 0,
            given_up: Vec::new(),
            was_handed: false,
            attempt: 0,
            handed: 0,
            acknowledged: 0,
            settled,
            bytes,
        });
        unreadable
    }

    /// The message that is to go next, and its number.
    pub(super) fn next(&mut self) -> Option<(usize, &mut Entry)> {
        let number = *self.unsent.front()?;
        self.entries.get_mut(number - self.front).map(|entry| (number, entry))
    }

    /// The message that was to go next has gone.
    pub(super) fn sent(&mut self) {
        self.unsent.pop_front();
    }

    /// The ticket of a part of a message.
    pub(super) fn ticket(&self, number: usize, part: u16) -> Option<Ticket> {
        self.entries.get(number.checked_sub(self.front)?).map(|entry| entry.ticket(number, part))
    }

    /// Whose ticket it is, unless the message was cut anew since, or is settled.
    pub(super) fn of(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(ticket.number.checked_sub(self.front)?)?;
        (entry.attempt == ticket.attempt && !entry.settled).then_some(entry)
    }

    /// This message goes again, all of it, or this part of a lot, before all later ones.
    pub(super) fn again(&mut self, ticket: Ticket) {
        let entry = ticket.number.checked_sub(self.front).and_then(|at| self.entries.get_mut(at));
        match entry {
            Some(Entry { lot: Some(lot), .. }) => {
                lot.again(ticket.part);
                if lot.to_hand().is_none() {
                    return;
                }
            }
            Some(entry) => (entry.handed, entry.acknowledged, entry.attempt) = (0, 0, entry.attempt.wrapping_add(1)),
            None => {}
        }
        self.goes(ticket.number);
    }

    /// A message that was cut anew goes, all of it, before all later ones.
    pub(super) fn again_from(&mut self, number: usize) {
        self.goes(number);
    }

    /// Number of the oldest message.
    pub(super) const fn front(&self) -> usize {
        self.front
    }

    /// The message of a number, unless it is settled.
    pub(super) fn at(&mut self, number: usize) -> Option<&mut Entry> {
        self.entries.get_mut(number.checked_sub(self.front)?).filter(|entry| !entry.settled)
    }

    /// It goes, if some of it is still to go.
    pub(super) fn goes_if_open(&mut self, number: usize) {
        if self.at(number).is_some_and(|entry| entry.to_hand().is_some()) {
            self.goes(number);
        }
    }

    /// It does not go any more.
    pub(super) fn goes_not(&mut self, number: usize) {
        let at = self.unsent.partition_point(|&other| other < number);
        if self.unsent.get(at) == Some(&number) {
            self.unsent.remove(at);
        }
    }

    /// What is settled is needed no longer, wherever it stands.
    pub(super) fn lighten(&mut self, number: usize) {
        if self.at(number).is_none() {
            self.goes_not(number);
        }
        let Some(entry) = number.checked_sub(self.front).and_then(|at| self.entries.get_mut(at)).filter(|entry| entry.settled) else {
            return;
        };
        self.bytes -= std::mem::take(&mut entry.bytes);
        (entry.message, entry.lot, entry.parts) = (Arc::clone(&self.nothing), None, None);
    }

    fn goes(&mut self, number: usize) {
        let at = self.unsent.partition_point(|&other| other < number);
        if self.unsent.get(at) != Some(&number) {
            self.unsent.insert(at, number);
        }
    }

    /// All that are not settled go again. How many they are.
    pub(super) fn all_again(&mut self) -> usize {
        let unsettled = self.entries.iter().enumerate().filter(|(_, entry)| !entry.settled);
        let numbers: Vec<usize> = unsettled.map(|(at, _)| self.front + at).collect();
        self.unsent.clear();
        for number in &numbers {
            match self.entries.get_mut(*number - self.front) {
                Some(Entry { lot: Some(lot), .. }) => {
                    lot.all_again();
                    self.goes(*number);
                }
                _ => self.again(Ticket { number: *number, attempt: 0, part: 0 }),
            }
        }
        numbers.len()
    }

    /// Takes what is settled at the front; how many.
    pub(super) fn settled(&mut self) -> usize {
        let mut settled = 0;
        while self.entries.front().is_some_and(|entry| entry.settled) {
            self.bytes -= self.entries.pop_front().map_or(0, |entry| entry.bytes);
            self.front += 1;
            settled += 1;
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::pb;

    #[test]
    fn a_ticket_is_a_word() {
        for ticket in [Ticket { number: 0, attempt: 0, part: 0 }, Ticket { number: 1 << 39, attempt: 255, part: 65_535 }] {
            assert_eq!(Ticket::of(ticket.word()), ticket);
        }
    }

    #[test]
    fn what_is_late_of_an_earlier_attempt_settles_nothing() {
        let mut flight = Flight::default();
        (0..3).for_each(|n| assert_eq!(flight.push(Arc::new(Message::range(&pb::RangeReport { sequence: n, ..Default::default() }))), 0));
        let first = flight.ticket(1, 0).unwrap();
        (0..3).for_each(|_| flight.sent());
        [2, 1].map(|number| flight.ticket(number, 0).unwrap()).into_iter().for_each(|ticket| flight.again(ticket));
        assert!(flight.of(first).is_none() && flight.next().unwrap().0 == 1, "the oldest goes first");
        let second = flight.ticket(1, 0).unwrap();
        assert!(flight.of(second).unwrap().acknowledged(0) && flight.settled() == 0);
        let zero = flight.ticket(0, 0).unwrap();
        flight.of(zero).unwrap().give_up(0);
        assert_eq!((flight.settled(), flight.len()), (2, 1));
        assert!(flight.of(zero).is_none() && flight.all_again() == 1);
    }
}
