//! Accounts as words, and merged.

use super::*;

#[test]
fn words_and_struct_agree() {
    let mut site = Site::new(2, 3, 1);
    site.ports[1].received = 7;
    site.ports[0].late = 9;
    if let Some(drop) = site.ports[1].drops.last_mut() {
        *drop = 5;
    }
    site.tags[3] = 4;
    site.lost.push((12, [99, 0, 7]));
    site.taken_over = 6;
    site.hold(Epoch(8), Epoch(9));
    site.hold(Epoch(7), Epoch(8));
    assert_eq!(site.held, Some((Epoch(7), Epoch(9))));
    (site.counted, site.lost_others, site.decisions) = (3, [1, 2, 3], Decisions([8, 2, 3, 4, 5]));
    let mut words = Vec::new();
    site.to_words(&mut words);
    assert_eq!(Site::from_words(&words), site);
    assert!(words.len() <= Site::words_max(2, 3, 1));
}

/// Of other ranges and tag rules: nothing is lost, nothing is told of the wrong range.
#[test]
fn an_account_of_another_generation_is_taken_over() {
    let (mut now, mut before) = (Site::new(1, 1, 1), Site::new(1, 3, 1));
    before.lose(&Lost { ranges: &[(7, [1, 2, 3])], others: [0; Cause::COUNT] });
    before.tags.copy_from_slice(&[10, 20, 30, 40]);
    now.tags.copy_from_slice(&[1, 2]);
    now.take_over(&before, false);
    assert_eq!((&now.tags[..], now.lost.len(), now.lost_others), (&[11, 92][..], 0, [1, 2, 3]));
    before.clear();
    before.shape(0);
    assert_eq!(before.tags, [0]);
}

/// Lists of any lengths, alike or apart, as a map would merge them.
#[test]
fn lists_of_losses_merge() {
    let mut dice = 1_u64;
    let mut draw = |n: u64| {
        dice = crate::arch::hash::spread(dice);
        u32::try_from(dice % n).unwrap()
    };
    for round in 0..300 {
        let (mut site, mut want, mut others) = (Site::of_worker(), std::collections::BTreeMap::new(), 0);
        for _ in 0..4 {
            let most = [3, 40, 1_000, 3_000][round % 4];
            let ranges: std::collections::BTreeSet<u32> = (0..draw(1_025)).map(|_| draw(most)).collect();
            let ranges: Vec<LossOfRange> = ranges.into_iter().map(|range| (range, [u64::from(range) + 1, 0, 0])).collect();
            for (range, records) in &ranges {
                let listed = want.len() < LOSING_RANGES_MAX || want.contains_key(range);
                *(if listed { want.entry(*range).or_insert(0) } else { &mut others }) += records[0];
            }
            site.lose(&Lost { ranges: &ranges, others: [0; Cause::COUNT] });
            let have: Vec<(u32, u64)> = site.lost.iter().map(|(range, records)| (*range, records[0])).collect();
            assert_eq!((have, site.lost_others[0]), (want.iter().map(|(range, n)| (*range, *n)).collect(), others), "{round}");
        }
        assert!(site.lost.capacity() < 2 * LOSING_RANGES_MAX);
    }
}

/// However often a core loses, and however long nobody hears of it.
#[test]
fn losses_stay_bounded_and_are_never_forgotten() {
    let (mut at_core, mut at_reporter) = (Site::new(1, 0, 1), Site::default());
    for n in 0..10_000_u32 {
        let mut one = Site::new(1, 0, 1);
        one.lose(&Lost { ranges: &[(n % 2_000, [1, 0, 2])], others: [0; Cause::COUNT] });
        at_core.take_over(&one, true);
        at_reporter.merge(&one);
    }
    assert_eq!((at_core.lost_total(), at_reporter.lost_total()), ([10_000, 0, 20_000], [10_000, 0, 20_000]));
    assert_eq!((at_core.lost.len(), at_reporter.lost.len()), (LOSING_RANGES_MAX, 2_000));
    let mut words = Vec::new();
    at_core.to_words(&mut words);
    assert!(words.len() <= Site::words_max(1, 0, 1));
}
