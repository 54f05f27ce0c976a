//! A report that is too large for a broker, as several that are not: the same window, other stats.

use prost::Message as _;

use crate::journal::{Kind, Message};
use crate::report::{pb, smaller};

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
    /// No stat is in it.
    pub(super) is_bare: bool,
}

/// A report in parts.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) parts: Vec<Part>,
    /// Names of stats that are in none.
    pub(super) left_out: Vec<String>,
}

/// Parts of at most `bytes_max` each, as far as single stats allow. `room` says of a stat and the bytes of a part with it alone how many it
/// may be at most, if that is known: then it is made smaller, or left out. A consumer knows attempts apart by how many parts they have: so
/// there are not as many as one of `given_up`, and the last ones are empty if need be. None: it cannot be split.
pub(super) fn split(
    message: &Message,
    (bytes_max, given_up): (usize, &[usize]),
    mut room: impl FnMut(&str, usize) -> Option<usize>,
) -> Option<Cut> {
    if message.kind != Kind::Ranges {
        return None;
    }
    let mut report = pb::RangeReport::decode(&*message.payload).ok()?;
    let mut stats = std::mem::take(&mut report.stats);
    if stats.is_empty() {
        return None;
    }
    let shell = report.encoded_len() + NUMBERING_BYTES + PLACE_BYTES;
    stats.retain_mut(|stat| {
        let most = room(&stat.name, shell + stat.encoded_len());
        let fits = most.is_none_or(|most| smaller(stat, most.saturating_sub(shell)));
        if !fits {
            report.stats_left_out.push(std::mem::take(&mut stat.name));
        }
        fits
    });
    let mut groups = groups(stats, bytes_max.saturating_sub(report.encoded_len() + NUMBERING_BYTES));
    while given_up.contains(&groups.len()) {
        groups.push(Vec::new());
    }
    let of = u32::try_from(groups.len()).ok()?;
    let part = |(number, stats): (u32, Vec<pb::Stat>)| {
        let only = if let [one] = &stats[..] { Some(one.name.clone()) } else { None };
        let (is_bare, part) = (stats.is_empty(), (of > 1).then_some(pb::Part { number, of }));
        Part { payload: pb::RangeReport { stats, part, ..report.clone() }.encode_to_vec(), only, is_bare }
    };
    Some(Cut { parts: (1..).zip(groups).map(part).collect(), left_out: report.stats_left_out.clone() })
}

/// In their order, as many in one as there is room for, but one at least; of none one that is empty.
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
    if groups.is_empty() {
        groups.push(Vec::new());
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
            let parts = split(&message, (bytes_max, &[]), |_, _| None).unwrap().parts;
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
        assert_eq!(split(&message, (1 << 20, &[]), |_, _| None).unwrap().parts.len(), 1);
    }

    #[test]
    fn one_stat_stays_in_one_piece_and_what_has_no_room_is_left_out() {
        let message = report(&[10, 5_000, 10]);
        let cut = split(&message, (1_000, &[]), |_, _| None).unwrap();
        let only: Vec<_> = cut.parts.iter().map(|part| part.only.as_deref()).collect();
        assert_eq!((only, cut.left_out.len()), (vec![Some("s0"), Some("s1"), Some("s2")], 0));
        let rest = split(&message, (1_000, &[]), |_, bytes| (bytes > 5_000).then_some(4_000)).unwrap();
        assert_eq!((rest.parts.len(), &rest.parts[0].only, &rest.left_out[..]), (1, &None, &["s1".to_owned()][..]));
        let told = pb::RangeReport::decode(&*rest.parts[0].payload).unwrap();
        assert_eq!((told.stats.len(), told.stats_left_out, told.part), (2, rest.left_out, None));
        // Another attempt has another number of parts.
        let again = split(&message, (1_000, &[3, 4]), |_, _| None).unwrap();
        let last = pb::RangeReport::decode(&*again.parts[4].payload).unwrap();
        assert_eq!((again.parts.len(), last.stats.len(), last.part), (5, 0, Some(pb::Part { number: 5, of: 5 })));
        // A report of which nothing is left says so: no number is missing.
        let bare = split(&report(&[9]), (1, &[]), |_, _| Some(0)).unwrap();
        assert!(bare.parts.len() == 1 && bare.parts[0].is_bare);
        assert!(split(&report(&[]), (1, &[]), |_, _| None).is_none());
        assert!(split(&Message::appliance(&pb::ApplianceReport::default()), (1, &[]), |_, _| None).is_none());
    }
}
