//! What a flow record's counts become: rows for stats, each so many packets and bytes, and how many packets one stands for.
//!
//! Not sampled, or by a sampler that is not known to be random: a row, in pieces that fit its fields. Sampled at random 1:r: its n
//! packets are n samples, so that sums have the variance of n samples (Σ r(r−1)v²), and keys that a sample shows once are known from
//! those that it shows twice. How long each was the record does not tell, but their sum: they are taken to be as unequal as packets
//! can be, which makes Σv² the largest that there is. So there are three lengths at most, and a row for all that are alike: what a
//! record costs does not hang on what it claims.

use crate::limits::FLOW_PACKET_BYTES_MAX;
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
    /// There are so many such shares.
    pub(super) times: u64,
    /// How many packets each stands for.
    pub(super) weight: u16,
    /// Its weight can be relied on.
    pub(super) proven: bool,
}

/// Least bytes of a packet: an IPv4 header.
const LEAST_BYTES: u64 = 20;
/// The longest usual packet, the longest of Ethernet, the longest of IP.
const LARGEST_BYTES: [u64; 3] = [1_500, 9_216, 65_575];

/// Whether a record claims more than any flow has, or than its packets can hold; `rate` 0: not known.
pub fn is_implausible(packets: u64, bytes: u64, rate: u64) -> bool {
    Counts { packets, bytes, rate, is_random: false, are_totals: false }.are_implausible()
}

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

    /// Gives all shares, a dozen or two at most: times their weights they add up to packets and bytes times the rate, exactly.
    pub(super) fn share(&self, give: &mut impl FnMut(Share)) {
        let rate = self.rate.max(1);
        // So many there were at least.
        let packets = if self.packets > 0 { self.packets } else { self.bytes.div_ceil(FLOW_PACKET_BYTES_MAX) };
        let proven = self.rate > 0 && (self.is_random || rate == 1) && !self.are_half_told() && !self.are_totals;
        if rate == 1 || !proven {
            return weigh((packets, self.bytes, 1), (rate, proven), give);
        }
        let sizes = as_unequal_as_can_be(packets, self.bytes);
        sizes.into_iter().filter(|(times, _)| *times > 0).for_each(|(times, size)| weigh((1, size, times), (rate, proven), give));
    }
}

/// Shares of so many packets and bytes, so many times, each of which stands for `rate`. A weight has 16 bits: beyond, values are taken
/// several times, at a part of it, and once more at what is left over. None of the weights is 1, which would say that all of it was seen.
fn weigh((packets, bytes, times_all): (u64, u64, u64), (rate, proven): (u64, bool), give: &mut impl FnMut(Share)) {
    let times = times(rate);
    let (weight, rest) = match (rate / times, rate % times) {
        (weight, 1) => (weight - 1, times + 1),
        whole => whole,
    };
    cut((packets * times, bytes * times, times_all), (weight, proven), give);
    if rest > 0 {
        cut((packets, bytes, times_all), (rest, proven), give);
    }
}

/// In pieces of 32 bits each, as alike as can be: first those that have one packet and one byte more, then those that have one of both
/// more, then the others.
fn cut((packets, bytes, times): (u64, u64, u64), (weight, proven): (u64, bool), give: &mut impl FnMut(Share)) {
    let pieces = packets.max(bytes).div_ceil(u64::from(u32::MAX)).max(1);
    let more = [packets % pieces, bytes % pieces];
    let ends = [more[0].min(more[1]), more[0].max(more[1]), pieces];
    let piece = |all: u64, more: u64, at: u64| u32::try_from(all / pieces + u64::from(at < more)).unwrap_or(u32::MAX);
    let weight = u16::try_from(weight).unwrap_or(u16::MAX);
    let mut at = 0;
    for end in ends.into_iter().filter(|end| *end > 0) {
        if end > at {
            let (packets, bytes) = (piece(packets, more[0], at), piece(bytes, more[1], at));
            give(Share { packets, bytes, times: (end - at) * times, weight, proven });
            at = end;
        }
    }
}

/// Sizes of packets that add up, of one packet at least: so many of the largest, one between, the rest of the least.
fn as_unequal_as_can_be(packets: u64, bytes: u64) -> [(u64, u64); 3] {
    let least = LEAST_BYTES.min(bytes / packets);
    let fits = |largest: &u64| bytes <= packets.saturating_mul(*largest);
    let largest = LARGEST_BYTES.into_iter().find(fits).unwrap_or_else(|| bytes.div_ceil(packets));
    let (span, more) = ((largest - least).max(1), bytes - packets * least);
    let (large, between) = (more / span, more % span);
    let one = u64::from(between > 0);
    [(large, least + span), (one, least + between), (packets - large - one, least)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{FLOW_BYTES_MAX, FLOW_PACKETS_MAX, FLOW_RATE_MAX};
    use crate::stats::columns::Row;
    use crate::stats::interval::{Question, estimate, garwood};
    use crate::stats::weighted::{Weighted, add_row};
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
            let all = |s: &Share| u128::from(s.weight) * u128::from(s.times);
            let sum = |value: fn(&Share) -> u32| shares.iter().map(|s| all(s) * u128::from(value(s))).sum::<u128>();
            prop_assert!(shares.len() <= 18, "{} rows of one record", shares.len());
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
                let of = |s: &Share| all(s) * (u128::from(s.weight) - 1) * u128::from(value(s)).pow(2);
                shares.iter().map(of).sum::<u128>()
            };
            let equal = rate * (rate - 1);
            // What does not fit 16 bits is parted, which takes a thousandth of it at most.
            let most = |whole: u128| whole - whole / 200;
            prop_assert!(variance(|s| s.packets) >= most(equal * packets));
            prop_assert!(variance(|s| s.bytes) >= most(equal * (u128::from(counts.bytes).pow(2) / packets)));
            if rate <= 65_535 {
                prop_assert_eq!(variance(|s| s.packets), equal * packets);
            }
        }

        /// No sizes from 20 bytes to the largest have a larger sum of squares than those that are taken.
        #[test]
        fn sizes_are_as_unequal_as_can_be(sizes in proptest::collection::vec(20_u64..=1_500, 1..40)) {
            let bytes = sizes.iter().sum();
            let shares = shares(Counts { packets: sizes.len() as u64, bytes, rate: 100, is_random: true, are_totals: false });
            prop_assert_eq!(shares.iter().map(|s| s.times).sum::<u64>(), sizes.len() as u64);
            let squares = shares.iter().map(|s| u64::from(s.bytes).pow(2) * s.times).sum::<u64>();
            prop_assert!(squares >= sizes.iter().map(|size| size * size).sum::<u64>());
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
                    add_row(&mut words, &Row { key: &[], hash: 0, value, weight, times: share.times, proven: share.proven });
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
        assert_eq!(shares(one), [Share { packets: 1, bytes: 1_514, times: 1, weight: 1_000, proven: true }]);
        let unknown = shares(Counts { rate: 0, ..one });
        assert_eq!(unknown, [Share { packets: 1, bytes: 1_514, times: 1, weight: 1, proven: false }]);
        let systematic = shares(Counts { packets: 7, is_random: false, ..one });
        assert_eq!(systematic, [Share { packets: 7, bytes: 1_514, times: 1, weight: 1_000, proven: false }]);
    }

    #[test]
    fn what_no_flow_has_is_implausible() {
        let of = |packets, bytes| Counts { packets, bytes, rate: 1, is_random: false, are_totals: false }.are_implausible();
        assert!(of(1, FLOW_PACKET_BYTES_MAX + 1) && of(FLOW_PACKETS_MAX + 1, 0) && of(0, FLOW_BYTES_MAX + 1));
        assert!(!of(1, FLOW_PACKET_BYTES_MAX) && !of(FLOW_PACKETS_MAX, 0) && !of(0, FLOW_BYTES_MAX));
    }
}
