//! Who gives to whom, and when.

use super::*;

/// Takes what there is up to an epoch.
fn taken(of: &mut Handover<u32>, latest: u64) -> Vec<(u32, u64, u32)> {
    std::iter::from_fn(|| of.take(Epoch(latest), |what, epoch, level| (*what, epoch.0, level))).collect()
}

fn polls(of: &mut Handover<u32>, n: u32, is_full: bool) {
    (0..n).for_each(|_| of.polled(is_full));
}

fn put(of: &mut Handover<u32>, epoch: u64, n: u32, level: u32) -> bool {
    let gave = of.give(|what| {
        *what = n;
        Some((Epoch(epoch), level))
    });
    gave.is_some()
}

/// Whether it would give, and to somebody.
fn gives(of: &mut Handover<u32>) -> bool {
    of.give(|_| None) == Some(false)
}

/// Gives as many as are taken, numbered.
fn give(of: &mut Handover<u32>, epoch: u64, first: u32) -> u32 {
    let mut n = first;
    while put(of, epoch, n, 0) {
        n += 1;
    }
    n - first
}

#[test]
fn a_core_gives_where_it_is_behind_and_another_has_time() {
    let mut cores = handovers(2, |_| 0);
    let [hot, idle] = &mut cores[..] else { panic!() };
    polls(hot, BEHIND_MAX * 2, true);
    assert!(!gives(hot), "nobody has said that it has time");
    polls(idle, FREE_POLLS, false);
    assert_eq!(give(hot, 7, 0), 8, "as many as a ring holds");
    assert_eq!(taken(idle, 7).len(), 8);
    assert_eq!(give(hot, 7, 8), 8, "boxes come back");
    polls(idle, 1, true);
    assert_eq!(taken(idle, 7), (8..16).map(|n| (n, 7, 0)).collect::<Vec<_>>(), "what was sent is taken, whatever comes");
    assert!(!gives(hot), "it has its own work now");
    polls(idle, FREE_POLLS - 1, false);
    assert!(!gives(hot));
    polls(idle, 1, false);
    assert!(gives(hot));
    polls(hot, BEHIND_MAX - GIVE_POLLS + 1, false);
    assert!(!gives(hot), "it keeps up");
    assert!(!gives(idle));
}

#[test]
fn a_box_that_is_not_filled_stays() {
    let mut cores = handovers(2, |_| 0);
    polls(&mut cores[0], GIVE_POLLS, true);
    polls(&mut cores[1], FREE_POLLS, false);
    (0..100).for_each(|_| assert!(gives(&mut cores[0])));
    assert_eq!(give(&mut cores[0], 1, 0), 8);
}

#[test]
fn those_that_have_time_take_turns() {
    let mut cores = handovers(4, |_| 0);
    polls(&mut cores[1], GIVE_POLLS, true);
    polls(&mut cores[0], FREE_POLLS, false);
    polls(&mut cores[3], FREE_POLLS, false);
    assert_eq!(give(&mut cores[1], 1, 0), 16);
    let of = |core: &mut Handover<u32>| taken(core, 1).into_iter().map(|(n, ..)| n).collect::<Vec<_>>();
    assert_eq!(of(&mut cores[0]), (1..16).step_by(2).collect::<Vec<_>>());
    assert_eq!(of(&mut cores[3]), (0..16).step_by(2).collect::<Vec<_>>());
    assert!(taken(&mut cores[2], 9).is_empty());
}

/// The giver's clock has come to the next epoch, the taker's not yet.
#[test]
fn no_box_is_taken_before_its_epoch() {
    let mut cores = handovers(2, |_| 0);
    let [hot, idle] = &mut cores[..] else { panic!() };
    polls(hot, GIVE_POLLS, true);
    polls(idle, FREE_POLLS, false);
    for (n, epoch) in [(0, 1), (1, 1), (2, 2), (3, 3)] {
        assert!(put(hot, epoch, n, n));
    }
    assert_eq!(taken(idle, 1), [(0, 1, 0), (1, 1, 1)]);
    assert_eq!(taken(idle, 1), []);
    assert_eq!(taken(idle, 3), [(2, 2, 2), (3, 3, 3)]);
}

#[test]
fn what_is_on_its_way_at_the_end_is_taken() {
    let mut cores = handovers(3, |_| 0);
    polls(&mut cores[0], GIVE_POLLS, true);
    polls(&mut cores[1], FREE_POLLS, false);
    give(&mut cores[0], 1, 0);
    cores[1].close();
    assert!(!cores[1].is_over(), "others may still give");
    cores[0].close();
    cores[2].close();
    assert!(!gives(&mut cores[0]));
    assert!(!cores[1].is_over() && cores[0].is_over() && cores[2].is_over());
    assert_eq!(taken(&mut cores[1], u64::MAX).len(), 8);
    assert!(cores[1].is_over());
}

#[test]
fn a_core_sends_no_more_than_its_bursts() {
    for cores in 0..130 {
        let all = handovers(cores, |_| ());
        for one in &all {
            assert_eq!((one.ways.len(), one.inboxes.len()), (takers_of(cores), takers_of(cores)));
            assert!(one.ways.iter().map(|way| way.spare.len()).sum::<usize>() <= HANDED_BURSTS_MAX);
        }
        assert!(handover_bytes(cores, 400) <= HANDED_BURSTS_MAX * 512);
    }
}
