//! What a flow record's counts become: rows for stats, each so many packets and bytes, and how many packets one stands for.
//!
//! Not sampled, or by a sampler that is not known to be random: a row, in pieces that fit its fields. Sampled at random 1:r: its n
//! packets are n samples, each a row of its own, so that sums have the variance of n samples (Σ r(r−1)v²), and keys that a sample
//! shows once are known from those that it shows twice. How long each was the record does not tell, but their sum: they are taken
//! to be as unequal as packets can be, which makes Σv² the largest that there is.

use crate::limits::{FLOW_PACKET_BYTES_MAX, FLOW_ROWS_MAX};
use crate::stats::interval::times;

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// 0: not told.
    pub(super) packets: u64,
    /// 0: not told.
    pub(super) bytes: u64,
    /// One in so many; 0: not known.
    pub(super) rate: u64,
    /// Its sampler is known to be random.
    pub(super) is_random: bool,
    /// They may hold what earlier records told.
    pub(super) are_totals: bool,
}

/// Some of a record's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) packets: u32,
    pub(super) bytes: u32,
    /// How many packets each stands for.
    pub(super) weight: u16,
    /// Its weight can be relied on.
    pub(super) proven: bool,
}

/// Least bytes of a packet: an IPv4 header.
const LEAST_BYTES: u64 = 20;
/// The longest usual packet, the longest of Ethernet, the longest of IP.
const LARGEST_BYTES: [u64; 3] = [1_500, 9_216, 65_575];

impl Counts {
    /// Nothing is told.
    pub(super) const fn are_none(&self) -> bool {
        self.packets == 0 && self.bytes == 0
    }

    /// Packets or bytes are not told, but one of them.
    pub(super) const fn are_half_told(&self) -> bool {
        (self.packets == 0) != (self.bytes == 0)
    }

    /// More than any flow has, or than its packets can hold.
    pub(super) fn are_implausible(&self) -> bool {
        let (packets_max, bytes_max) = (crate::limits::FLOW_PACKETS_MAX, crate::limits::FLOW_BYTES_MAX);
        let too_long = self.packets > 0 && self.bytes.div_ceil(FLOW_PACKET_BYTES_MAX) > self.packets;
        let rate = self.rate.max(1);
        self.packets.saturating_mul(rate) > packets_max || self.bytes.saturating_mul(rate) > bytes_max || too_long
    }

    /// Gives all shares: times their weights they add up to packets and bytes times the rate, exactly.
    pub(super) fn share(&self, give: &mut impl FnMut(Share)) {
        let rate = self.rate.max(1);
        // So many there were at least.
        let packets = if self.packets > 0 { self.packets } else { self.bytes.div_ceil(FLOW_PACKET_BYTES_MAX) };
        let proven = self.rate > 0 && (self.is_random || rate == 1) && !self.are_half_told() && !self.are_totals;
        if rate == 1 || !proven {
            return weigh((packets, self.bytes), (rate, proven), give);
        }
        let sizes = Sizes::new(packets, self.bytes);
        let rows = packets.min(FLOW_ROWS_MAX);
        let mut before = (0, 0);
        for row in 1..=rows {
            let end = packets / rows * row + (packets % rows).min(row);
            let behind = (end, sizes.of_first(end));
            weigh((behind.0 - before.0, behind.1 - before.1), (rate, proven), give);
            before = behind;
        }
    }
}

/// Shares of so many packets and bytes, each of which stands for `rate`. A weight has 16 bits: beyond, values are taken several times, at
/// a part of it, and once more at what is left over. None of the weights is 1, which would say that all of it was seen.
fn weigh((packets, bytes): (u64, u64), (rate, proven): (u64, bool), give: &mut impl FnMut(Share)) {
    let times = times(rate);
    let (weight, rest) = match (rate / times, rate % times) {
        (weight, 1) => (weight - 1, times + 1),
        whole => whole,
    };
    cut((packets * times, bytes * times), (weight, proven), give);
    if rest > 0 {
        cut((packets, bytes), (rest, proven), give);
    }
}

/// In pieces of 32 bits each, as alike as can be.
fn cut((packets, bytes): (u64, u64), (weight, proven): (u64, bool), give: &mut impl FnMut(Share)) {
    let pieces = packets.max(bytes).div_ceil(u64::from(u32::MAX)).max(1);
    let piece = |all: u64, at: u64| u32::try_from(all / pieces + u64::from(at < all % pieces)).unwrap_or(u32::MAX);
    let weight = u16::try_from(weight).unwrap_or(u16::MAX);
    for at in 0..pieces {
        give(Share { packets: piece(packets, at), bytes: piece(bytes, at), weight, proven });
    }
}

/// Sizes of packets that add up: so many of the largest, one between, the rest of the least.
struct Sizes {
    least: u64,
    span: u64,
    large: u64,
    between: u64,
}

impl Sizes {
    /// At least one packet.
    fn new(packets: u64, bytes: u64) -> Self {
        let least = LEAST_BYTES.min(bytes / packets);
        let fits = |largest: &u64| bytes <= packets.saturating_mul(*largest);
        let largest = LARGEST_BYTES.into_iter().find(fits).unwrap_or_else(|| bytes.div_ceil(packets));
        let (span, more) = (largest - least, bytes - packets * least);
        Self { least, span, large: more / span.max(1), between: more % span.max(1) }
    }

    /// Of the first so many packets together.
    fn of_first(&self, packets: u64) -> u64 {
        packets * self.least + packets.min(self.large) * self.span + if packets > self.large { self.between } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{FLOW_BYTES_MAX, FLOW_PACKETS_MAX, FLOW_RATE_MAX};
    use crate::stats::interval::{Question, estimate, garwood};
    use crate::stats::weighted::{Weighted, add};
    use proptest::prelude::*;

    fn shares(counts: Counts) -> Vec<Share> {
        let mut shares = Vec::new();
        counts.share(&mut |share| shares.push(share));
        shares
    }

    fn counts() -> impl Strategy<Value = Counts> {
        let packets = prop_oneof![0_u64..50, 0_u64..10_000, 0..=FLOW_PACKETS_MAX];
        let rate = prop_oneof![0_u64..4, 2_u64..65_536, 0..=FLOW_RATE_MAX];
        (packets, 0_u64..70_000, rate, any::<bool>(), any::<bool>()).prop_map(|(packets, mean, rate, is_random, are_totals)| {
            let packets = packets.min(FLOW_PACKETS_MAX / rate.max(1));
            let bytes = (packets.max(1) * mean).min(FLOW_BYTES_MAX / rate.max(1));
            Counts { packets, bytes, rate, is_random, are_totals }
        })
    }

    proptest! {
        #[test]
        fn shares_add_up_and_their_variance_is_none_too_small(counts in counts()) {
            prop_assume!(!counts.are_implausible() && counts.packets + counts.bytes > 0);
            let shares = shares(counts);
            let (rate, packets) = (u128::from(counts.rate.max(1)), u128::from(counts.packets));
            let sum = |value: fn(&Share) -> u32| shares.iter().map(|s| u128::from(s.weight) * u128::from(value(s))).sum::<u128>();
            if packets > 0 {
                prop_assert_eq!(sum(|s| s.packets), packets * rate);
            }
            prop_assert_eq!(sum(|s| s.bytes), u128::from(counts.bytes) * rate);
            prop_assert!(shares.iter().all(|s| s.packets > 0), "a row that is no packet would count for bytes alone");
            let proven = !counts.are_totals && (counts.rate == 1 || counts.rate > 1 && counts.is_random);
            prop_assert!(shares.iter().all(|s| s.proven == (proven && !counts.are_half_told())));
            if !proven || counts.are_half_told() || rate == 1 {
                return Ok(());
            }
            // Of samples: not less than that of as many packets of equal sizes, and of packets that of n.
            let variance = |value: fn(&Share) -> u32| {
                let of = |s: &Share| u128::from(s.weight) * (u128::from(s.weight) - 1) * u128::from(value(s)).pow(2);
                shares.iter().map(of).sum::<u128>()
            };
            let equal = rate * (rate - 1);
            // What does not fit 16 bits is parted, which takes a thousandth of it at most.
            let most = |whole: u128| whole - whole / 200;
            prop_assert!(variance(|s| s.packets) >= most(equal * packets));
            prop_assert!(variance(|s| s.bytes) >= most(equal * (u128::from(counts.bytes).pow(2) / packets)));
            if packets <= u128::from(FLOW_ROWS_MAX) && rate <= 65_535 {
                prop_assert_eq!(variance(|s| s.packets), equal * packets);
            }
        }

        /// No sizes from 20 bytes to the largest have a larger sum of squares than those that are taken.
        #[test]
        fn sizes_are_as_unequal_as_can_be(sizes in proptest::collection::vec(20_u64..=1_500, 1..40)) {
            let bytes = sizes.iter().sum();
            let shares = shares(Counts { packets: sizes.len() as u64, bytes, rate: 100, is_random: true, are_totals: false });
            prop_assert_eq!(shares.len(), sizes.len());
            let squares = |of: &mut dyn Iterator<Item = u64>| of.map(|size| size * size).sum::<u64>();
            prop_assert!(squares(&mut shares.iter().map(|s| s.bytes.into())) >= squares(&mut sizes.iter().copied()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// What is claimed to be sure is no more than the samples that came, whatever their rates, and all of it where weights hold them.
        #[test]
        fn what_is_sure_was_seen(records in proptest::collection::vec((1_u64..50, 2..=FLOW_RATE_MAX, any::<bool>()), 1..6), is_random: bool) {
            let (mut sum, mut seen, mut all) = (Weighted::default(), 0, 0_u128);
            let largest = records.iter().map(|(_, rate, is_small)| if *is_small { rate % 65_536 } else { *rate }.max(2)).max().unwrap_or(2);
            for (packets, rate, is_small) in records {
                let rate = if is_small { rate % 65_536 } else { rate }.max(2);
                for share in shares(Counts { packets, bytes: packets * 100, rate, is_random, are_totals: false }) {
                    let (weight, value) = (u64::from(share.weight), u64::from(share.packets));
                    let mut words = [0; 8];
                    add(&mut words, value, weight, share.proven);
                    sum.merge(&Weighted::from_words(&words));
                }
                (seen, all) = (seen + packets, all + u128::from(packets * rate));
            }
            prop_assert_eq!((sum.passed, u128::from(sum.scaled)), (0, all), "nothing is claimed to be exact");
            let question = Question { weight_max: u32::try_from(largest).unwrap(), value_max: 1, random: is_random, twins: false };
            let said = estimate(&sum, &question);
            if is_random {
                // No more than one would claim of the largest weight alone, as Poisson has it.
                prop_assert!(said.low <= garwood(seen as f64, 0.025).0.max(seen as f64) * largest as f64, "{said:?} of {seen}");
                prop_assert!(sum.seen / (times(largest) + 1) <= seen);
            } else {
                prop_assert!(said.low <= seen as f64 && said.high.is_none(), "{said:?} of {seen}");
                prop_assert!(largest > 65_535 || said.low == seen as f64);
            }
        }
    }

    #[test]
    fn a_sample_of_one_packet_is_that_packet() {
        let one = Counts { packets: 1, bytes: 1_514, rate: 1_000, is_random: true, are_totals: false };
        assert_eq!(shares(one), [Share { packets: 1, bytes: 1_514, weight: 1_000, proven: true }]);
        let unknown = shares(Counts { rate: 0, ..one });
        assert_eq!(unknown, [Share { packets: 1, bytes: 1_514, weight: 1, proven: false }]);
        let systematic = shares(Counts { packets: 7, is_random: false, ..one });
        assert_eq!(systematic, [Share { packets: 7, bytes: 1_514, weight: 1_000, proven: false }]);
    }

    #[test]
    fn what_no_flow_has_is_implausible() {
        let of = |packets, bytes| Counts { packets, bytes, rate: 1, is_random: false, are_totals: false }.are_implausible();
        assert!(of(1, FLOW_PACKET_BYTES_MAX + 1) && of(FLOW_PACKETS_MAX + 1, 0) && of(0, FLOW_BYTES_MAX + 1));
        assert!(!of(1, FLOW_PACKET_BYTES_MAX) && !of(FLOW_PACKETS_MAX, 0) && !of(0, FLOW_BYTES_MAX));
    }
}
