//! Datagrams that the network repeats: the same bytes again, of the same exporter's domain, a little later.
//!
//! A number that comes again is not enough: an exporter that began anew counts through old numbers, and a datagram of IPFIX that holds
//! templates alone has the number of the one behind it. So what is remembered is a fingerprint of header, length, first and last
//! records: headers tell number and time, so no two datagrams that an exporter sends are alike.

use crate::limits::REPEATS_REMEMBERED;

/// Bytes from either end that are looked at.
const LOOKED_AT_BYTES: usize = 64;
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// Fingerprints of a domain's last datagrams.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    last: Vec<u64>,
    /// Where the next one goes.
    at: usize,
}

impl Repeats {
    /// Takes a datagram; whether it was here lately.
    pub(super) fn take(&mut self, datagram: &[u8]) -> bool {
        let print = fingerprint(datagram);
        if self.last.contains(&print) {
            return true;
        }
        if self.last.len() < REPEATS_REMEMBERED {
            self.last.push(print);
        } else {
            self.last[self.at] = print;
            self.at = (self.at + 1) % REPEATS_REMEMBERED;
        }
        false
    }

    /// Memory that it takes.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.last.capacity() * size_of::<u64>()
    }
}

/// Of its length and what stands at both ends. Who knows it can make two datagrams alike, and hides one of his own.
fn fingerprint(datagram: &[u8]) -> u64 {
    let first = datagram.get(..LOOKED_AT_BYTES).unwrap_or(datagram);
    let last = datagram.len().checked_sub(LOOKED_AT_BYTES).and_then(|at| datagram.get(at..)).unwrap_or(&[]);
    [first, last].into_iter().flat_map(|part| part.chunks(8)).fold(datagram.len() as u64, |sum, chunk| {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(to, byte)| *to = *byte);
        (sum.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(MIX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_here_lately_is_known_and_nothing_else() {
        let mut repeats = Repeats::default();
        let datagram = |n: u32| [&[0, 9, 0, 1][..], &n.to_be_bytes(), &[7; 1_400]].concat();
        let rounds = u32::try_from(3 * REPEATS_REMEMBERED).unwrap();
        for n in 0..rounds {
            assert!(!repeats.take(&datagram(n)), "{n}");
            assert!(repeats.take(&datagram(n)), "{n}");
        }
        assert!(!repeats.take(&datagram(0)), "long ago");
        assert!(!repeats.take(&datagram(rounds - 1)[..1_000]), "cut short it is another");
        assert!(!repeats.take(&[]) && repeats.take(&[]));
        assert_eq!(repeats.memory_bytes(), 8 * REPEATS_REMEMBERED);
    }
}
