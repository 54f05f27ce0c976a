//! A report that is too large for a broker, as several that are not: the same window, other stats.

use prost::Message as _;

use crate::journal::{Kind, Message};
use crate::report::pb;

/// What a part's number adds to its length, at most: keys, lengths and two numbers.
const NUMBERING_BYTES: usize = 16;
/// What a stat's place in a report adds to it, at most: a key of two bytes and a length.
const PLACE_BYTES: usize = 7;

/// One message of several that a report goes as.
#[derive(Debug)]
pub(super) struct Part {
    /// As protobuf.
    pub(super) payload: Vec<u8>,
    /// The stat in it, if it is but one: it cannot be split further.
    pub(super) only: Option<String>,
}

/// Parts of at most `bytes_max` each, as far as single stats allow; stats of the names in `without` are left out. None: it
/// cannot be split, or nothing is left of it.
pub(super) fn split(message: &Message, bytes_max: usize, without: &[String]) -> Option<Vec<Part>> {
    if message.kind != Kind::Ranges {
        return None;
    }
    let mut report = pb::RangeReport::decode(&*message.payload).ok()?;
    let mut stats = std::mem::take(&mut report.stats);
    stats.retain(|stat| !without.contains(&stat.name));
    let room = bytes_max.saturating_sub(report.encoded_len() + NUMBERING_BYTES);
    let groups = groups(stats, room);
    let of = u32::try_from(groups.len()).ok().filter(|of| *of > 0)?;
    let part = |(number, stats): (u32, Vec<pb::Stat>)| {
        let only = if let [one] = &stats[..] { Some(one.name.clone()) } else { None };
        let part = (of > 1).then_some(pb::Part { number, of });
        Part { payload: pb::RangeReport { stats, part, ..report.clone() }.encode_to_vec(), only }
    };
    Some((1..).zip(groups).map(part).collect())
}

/// In their order, as many in one as there is room for, but one at least.
fn groups(stats: Vec<pb::Stat>, room: usize) -> Vec<Vec<pb::Stat>> {
    let (mut groups, mut left): (Vec<Vec<pb::Stat>>, usize) = (Vec::new(), 0);
    for stat in stats {
        let bytes = stat.encoded_len() + PLACE_BYTES;
        match groups.last_mut() {
            Some(group) if bytes <= left => {
                group.push(stat);
                left -= bytes;
            }
            _ => {
                groups.push(vec![stat]);
                left = room.saturating_sub(bytes);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(sizes: &[usize]) -> Message {
        let sketch = |bytes: usize| pb::stat::Figure::Distinct(pb::Distinct { sketch: vec![7; bytes], ..Default::default() });
        let stat = |(n, bytes): (usize, &usize)| pb::Stat { name: format!("s{n}"), figure: Some(sketch(*bytes)), ..Default::default() };
        let stats = sizes.iter().enumerate().map(stat).collect();
        Message::range(&pb::RangeReport { sequence: 5, prefix: "192.0.2.0/24".to_owned(), stats, ..Default::default() })
    }

    #[test]
    fn parts_have_every_stat_once_and_are_no_longer_than_they_may() {
        let sizes: Vec<usize> = (0..60).map(|n| n * 37 % 900).collect();
        let message = report(&sizes);
        let whole = pb::RangeReport::decode(&*message.payload).unwrap();
        for bytes_max in [1_000, 1_500, 4_000, 20_000, 1 << 20] {
            let parts = split(&message, bytes_max, &[]).unwrap();
            let of = u32::try_from(parts.len()).unwrap();
            let mut stats = Vec::new();
            for (part, number) in parts.iter().zip(1..) {
                assert!(part.payload.len() <= bytes_max, "{} of {bytes_max}", part.payload.len());
                let mut report = pb::RangeReport::decode(&*part.payload).unwrap();
                assert_eq!(report.part.take(), (of > 1).then_some(pb::Part { number, of }));
                stats.append(&mut report.stats);
                assert_eq!(report, pb::RangeReport { stats: Vec::new(), ..whole.clone() });
            }
            assert_eq!(stats, whole.stats);
        }
        assert_eq!(split(&message, 1 << 20, &[]).unwrap().len(), 1);
    }

    #[test]
    fn one_stat_stays_in_one_piece_and_some_are_left_out() {
        let message = report(&[10, 5_000, 10]);
        let parts = split(&message, 1_000, &[]).unwrap();
        let only: Vec<_> = parts.iter().map(|part| part.only.as_deref()).collect();
        assert_eq!(only, [Some("s0"), Some("s1"), Some("s2")]);
        let rest = split(&message, 1_000, &["s1".to_owned()]).unwrap();
        assert_eq!((rest.len(), &rest[0].only), (1, &None));
        assert!(split(&report(&[9]), 1, &["s0".to_owned()]).is_none());
        assert!(split(&Message::appliance(&pb::ApplianceReport::default()), 1, &[]).is_none());
    }
}
