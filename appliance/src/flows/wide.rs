//! Rates that hold for a whole exporter: told in one of its domains, of no domain. They hold for those that told none themselves, as far as
//! all who told agree: line cards may each speak of themselves as of all.

use super::lru::Lru;
use super::sampling::{Rates, Told};
use crate::limits::{WIDE_BYTES_MAX, WIDE_TELLERS_MAX};

/// What a domain that told costs beside its rates, about.
const TELLER_BYTES: usize = 2 * size_of::<(u32, Rates)>();

/// Of one exporter: by its port, where exporters are told apart by it (else 0), and by the domain that told.
#[derive(Debug)]
pub(super) struct Wide {
    tellers: Lru<(u16, u32), Rates>,
    bytes: usize,
}

impl Wide {
    pub(super) fn new() -> Self {
        Self { tellers: Lru::new(), bytes: 0 }
    }

    /// Memory that they take, about.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// Takes up what a domain told of all. True: it is news.
    pub(super) fn learn(&mut self, teller: (u16, u32), told: &Told, interface: Option<u32>) -> bool {
        self.change(teller, |rates| rates.learn(told, interface))
    }

    /// Takes back one of [`Self::rows`].
    pub(super) fn restore(&mut self, teller: (u16, u32), row: (u8, u64, u64)) {
        self.change(teller, |rates| rates.restore(row));
    }

    fn change<T>(&mut self, teller: (u16, u32), change: impl FnOnce(&mut Rates) -> T) -> T {
        let mut rates = self.take(teller).unwrap_or_else(Rates::new);
        let done = change(&mut rates);
        if !rates.is_empty() {
            self.bytes += TELLER_BYTES + rates.memory_bytes();
            self.tellers.insert(teller, rates);
        }
        // One alone is always within.
        while (self.bytes > WIDE_BYTES_MAX || self.tellers.len() > WIDE_TELLERS_MAX)
            && let Some(oldest) = self.tellers.oldest().copied()
        {
            self.take(oldest);
        }
        done
    }

    fn take(&mut self, teller: (u16, u32)) -> Option<Rates> {
        let rates = self.tellers.remove(&teller)?;
        self.bytes -= TELLER_BYTES + rates.memory_bytes();
        Some(rates)
    }

    /// The rate that holds for a record of a domain which told none itself.
    #[inline]
    pub(super) fn of(&mut self, port: u16, sampler: Option<u64>, interface: Option<u32>) -> Option<u64> {
        if self.bytes == 0 { None } else { self.agreed(port, sampler, interface) }
    }

    fn agreed(&mut self, port: u16, sampler: Option<u64>, interface: Option<u32>) -> Option<u64> {
        let of_port = self.tellers.iter_mut().filter(|((of, _), _)| *of == port);
        let mut told = of_port.filter_map(|(_, rates)| match rates.of(sampler, interface) {
            // It told of several, and which of them it is nobody knows.
            None if rates.is_in_doubt(sampler) => Some(None),
            rate => rate.map(Some),
        });
        let first = told.next()??;
        told.all(|rate| rate == Some(first)).then_some(first)
    }

    /// All that was told, by port and domain, for keeping.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u16, u32, &Rates)> {
        self.tellers.iter().map(|((port, domain), rates)| (*port, *domain, rates))
    }
}

/// The rate that options tell for a record: of its own domain, else of all.
#[inline]
pub(super) fn either(own: &mut Rates, wide: &mut Wide, port: u16, (sampler, interface): (Option<u64>, Option<u32>)) -> Option<u64> {
    own.of(sampler, interface).or_else(|| if own.is_in_doubt(sampler) { None } else { wide.of(port, sampler, interface) })
}
