//! Rates that hold for a whole exporter: told in one of its domains, of no domain. They hold for those that told none themselves, as far as
//! all who told agree: line cards may each speak of themselves as of all.

use super::lru::Lru;
use super::sampling::{Rates, Told};
use crate::limits::{WIDE_BYTES_MAX, WIDE_TELLERS_MAX};

/// What a domain that told costs beside its rates, about.
const TELLER_BYTES: usize = 2 * size_of::<(u32, Teller)>();
/// Who last told so long before another told is asked no more: options come every few minutes, and a domain that is gone, or never was the
/// exporter's, contradicts no longer.
const HEARD_NS: u64 = 3_600 * 1_000_000_000;

/// What one domain told of all, and when it last did; 0: an earlier run heard it.
#[derive(Debug)]
struct Teller {
    rates: Rates,
    told_ns: u64,
}

/// Of one exporter: by its port, where exporters are told apart by it (else 0), and by the domain that told.
#[derive(Debug)]
pub(super) struct Wide {
    tellers: Lru<(u16, u32), Teller>,
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
    pub(super) fn learn(&mut self, teller: (u16, u32), (told, now_ns): (&Told, u64), interface: Option<u32>) -> bool {
        self.change(teller, now_ns, |rates| rates.learn(told, interface))
    }

    /// Takes back one of [`Self::rows`].
    pub(super) fn restore(&mut self, teller: (u16, u32), row: (u8, u64, u64)) {
        self.change(teller, 0, |rates| rates.restore(row));
    }

    fn change<T>(&mut self, teller: (u16, u32), told_ns: u64, change: impl FnOnce(&mut Rates) -> T) -> T {
        let mut rates = self.take(teller).unwrap_or_else(Rates::new);
        let done = change(&mut rates);
        if !rates.is_empty() {
            self.bytes += TELLER_BYTES + rates.memory_bytes();
            self.tellers.insert(teller, Teller { rates, told_ns });
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
        let Teller { rates, .. } = self.tellers.remove(&teller)?;
        self.bytes -= TELLER_BYTES + rates.memory_bytes();
        Some(rates)
    }

    /// The rate that holds for a record of a domain which told none itself.
    #[inline]
    pub(super) fn of(&mut self, port: u16, sampler: Option<u64>, interface: Option<u32>) -> Option<u64> {
        if self.bytes == 0 { None } else { self.agreed(port, sampler, interface) }
    }

    fn agreed(&mut self, port: u16, sampler: Option<u64>, interface: Option<u32>) -> Option<u64> {
        let newest_ns = self.tellers.iter().filter(|((of, _), _)| *of == port).map(|(_, teller)| teller.told_ns).max().unwrap_or(0);
        let is_heard = |((of, _), teller): &(&(u16, u32), &mut Teller)| *of == port && teller.told_ns.saturating_add(HEARD_NS) >= newest_ns;
        let mut told =
            self.tellers.iter_mut().filter(is_heard).filter_map(|(_, Teller { rates, .. })| match rates.of(sampler, interface) {
                // It told of several, and which of them it is nobody knows.
                None if rates.is_in_doubt(sampler) => Some(None),
                rate => rate.map(Some),
            });
        let first = told.next()??;
        told.all(|rate| rate == Some(first)).then_some(first)
    }

    /// All that was told, by port and domain, for keeping.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u16, u32, &Rates)> {
        self.tellers.iter().map(|((port, domain), teller)| (*port, *domain, &teller.rates))
    }
}

/// The rate that options tell for a record: of its own domain, else of all.
#[inline]
pub(super) fn either(own: &mut Rates, wide: &mut Wide, port: u16, (sampler, interface): (Option<u64>, Option<u32>)) -> Option<u64> {
    own.of(sampler, interface).or_else(|| if own.is_in_doubt(sampler) { None } else { wide.of(port, sampler, interface) })
}
