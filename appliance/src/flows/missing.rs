//! What flows are short of: numbers that are left out, what could not be read, what waits; and since when.

use super::collector::{Collector, Work};
use super::domain::DomainKey;
use super::flow::Address;
use super::ledger::{Ledger, SetDrop, TemplateEvent, Unit};
use super::sequence::{Times, Verdict};
use super::steps::Units;

impl Work<'_> {
    /// Judges a datagram's number. One that was here before is known to be.
    pub(super) fn follow(&mut self, unit: Unit, number: u32, units: (Units, Units), times: Times) -> Verdict {
        let sequence = &mut self.domain.sequence;
        sequence.open(self.window);
        let verdict = if self.repeated { Verdict::Repeated } else { sequence.take(number, units, times) };
        self.ledger.number(unit, verdict, sequence.is_own());
        self.ledger.misnumbered(unit, sequence.misnumbered());
        verdict
    }
}

/// The account before a datagram, as far as it tells what is missing.
#[derive(Clone, Copy)]
pub(super) struct Then {
    missed: u64,
    gaps: u64,
    /// Sets that ever waited,
    held: u64,
    /// and what was of use.
    useful: u64,
}

impl Then {
    pub(super) fn of(ledger: &Ledger) -> Self {
        let templates = [TemplateEvent::New, TemplateEvent::Refreshed, TemplateEvent::Changed, TemplateEvent::Conflict];
        let told: u64 = templates.iter().map(|event| ledger.templates[*event as usize]).sum();
        let gone = [SetDrop::NoTemplate, SetDrop::Displaced].map(|reason| ledger.set_drops[reason as usize]);
        Self {
            missed: ledger.missed,
            gaps: ledger.gaps(),
            held: ledger.waiting + ledger.released + gone.iter().sum::<u64>(),
            useful: ledger.flows + ledger.options + ledger.counters + told,
        }
    }
}

impl Collector {
    /// What is taken from here on comes in another window: what was missed before, and comes now, was missed there all the same. See
    /// [`Ledger::missed`].
    pub const fn turn(&mut self) {
        self.window = self.window.wrapping_add(1);
    }

    /// Since when what was noticed to be missing may have been sent, nanoseconds since 1970, since this was asked last; none: nothing was
    /// noticed, or it was just now.
    pub const fn missed_since_ns(&mut self) -> Option<u64> {
        self.missed_since_ns.take()
    }

    /// Whether what this datagram left missing is missing: not if it was here before, nor of a stranger, as far as it did not even wait.
    pub(super) fn judge(&mut self, key: &DomainKey, then: Then, repeated: bool, last_ns: u64) {
        let (now, ledger) = (Then::of(&self.ledger), &mut self.ledger);
        let own = self.exporters.get_mut(&key.exporter);
        let is_heard = own.is_some_and(|own| {
            own.is_heard |= now.useful > then.useful;
            own.is_heard
        });
        if repeated {
            ledger.missed = ledger.missed.min(then.missed);
        } else if !is_heard {
            ledger.missed = ledger.missed.min(then.missed + now.held - then.held);
            ledger.junk += u64::from(now.held == then.held);
        } else if now.gaps > then.gaps && last_ns > 0 {
            self.missed_since_ns = Some(self.missed_since_ns.map_or(last_ns, |since| since.min(last_ns)));
        }
    }

    /// An address that is known to export.
    pub(super) fn hear(&mut self, exporter: Address) {
        if let Some(own) = self.exporters.get_mut(&exporter) {
            own.is_heard = true;
        }
    }

    /// The kernel dropped so many datagrams before they could be read.
    pub const fn note_kernel_drops(&mut self, datagrams: u64) {
        self.ledger.kernel_drops += datagrams;
        self.ledger.missed += datagrams;
    }

    /// The same where it is known since when: nanoseconds since 1970.
    pub fn note_kernel_drops_since(&mut self, datagrams: u64, since_ns: u64) {
        self.note_kernel_drops(datagrams);
        if datagrams > 0 && since_ns > 0 {
            self.missed_since_ns = Some(self.missed_since_ns.map_or(since_ns, |since| since.min(since_ns)));
        }
    }
}
