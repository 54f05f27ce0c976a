use super::Verdict::{Gap, Late, Next, Odd, Repeated, Restart};
use super::*;

/// A datagram of so many units, and none that nobody knows.
fn sure(units: u32) -> (Units, Units) {
    (Units { sure: units, unsure: 0 }, Units::ONE)
}

fn of(s: &mut Sequence, number: u32, units: u32) -> Verdict {
    s.take(number, sure(units), Times::default())
}

fn sent(second: u64) -> Times {
    Times { started_ms: None, sent_ms: Some(second * 1_000) }
}

#[test]
fn gaps_lateness_and_repeats() {
    let mut s = Sequence::default();
    let mut take = |number: u32, units| of(&mut s, number, units);
    assert_eq!([take(100, 10), take(110, 5), take(135, 5)], [Next, Next, Gap(20)]);
    assert_eq!([take(120, 5), take(115, 5), take(125, 20), take(125, 5)], [Late(5), Late(5), Late(10), Repeated]);
    assert_eq!([take(140, 1), take(7, 1), take(8, 1)], [Next, Repeated, Repeated]);
}

#[test]
fn numbers_and_uptime_come_round() {
    let mut s = Sequence::default();
    assert_eq!([u32::MAX, 0, 2].map(|n| of(&mut s, n, 1)), [Next, Next, Gap(1)]);
    let mut s = Sequence::default();
    let mut take = |number: u32, started: u32| s.take(number, sure(1), Times { started_ms: Some(started), sent_ms: None });
    assert_eq!([take(1, u32::MAX), take(2, 4)], [Next, Next]);
    assert_eq!([take(0, 60_000), take(1, 60_000)], [Odd, Restart(0)]);
    // Its clock was set, and it counts on.
    assert_eq!([take(2, 160_000), take(4, 160_000)], [Next, Gap(1)]);
    // Another start, of one datagram alone, is nobody's.
    assert_eq!([take(9_000, 990_000), take(5, 160_000), take(8, 160_001), take(9, 160_002)], [Odd, Next, Gap(2), Next]);
    assert_eq!(s.misnumbered(), 1);
}

/// Without a start that is told the exporter's clock tells a new count from what comes twice, or out of turn.
#[test]
fn a_new_count_through_old_numbers_is_sent_later() {
    let mut s = Sequence::default();
    let mut take = |number: u32, second: u64| s.take(number, sure(1), sent(second));
    assert_eq!(
        [take(0, 100), take(1, 100), take(5, 101), take(3, 100), take(3, 100), take(1, 100)],
        [Next, Next, Gap(3), Late(1), Repeated, Repeated]
    );
    // Of the same second nothing can be said.
    assert_eq!([take(0, 101), take(0, 110), take(1, 110), take(11, 111)], [Repeated, Odd, Restart(0), Gap(9)]);
    // A clock that lost its time starts anew too; one that is put right does not.
    assert_eq!(
        [take(0, 5), take(1, 6), take(2, 5_000), take(1, 4_990), take(3, 4_000), take(4, 4_001)],
        [Odd, Restart(0), Next, Repeated, Next, Next]
    );
    assert_eq!(s.misnumbered(), 0);
}

/// A new count that begins within a hole of the old one fills nothing; what an exporter only stamped out of its order was late.
#[test]
fn a_new_count_within_a_hole_is_sent_later_too() {
    let mut s = Sequence::default();
    let mut take = |number: u32, second: u64| s.take(number, sure(1), sent(second));
    assert_eq!([take(0, 100), take(10, 100), take(3, 110), take(4, 110), take(5, 111)], [Next, Gap(9), Odd, Restart(0), Next]);
    assert_eq!([take(9, 112), take(7, 112), take(8, 113), take(10, 112), take(11, 114)], [Gap(3), Late(1), Odd, Late(1), Next]);
    assert_eq!((s.misnumbered(), s.holes.len()), (0, 1));
}

#[test]
fn a_new_count_is_no_loss_but_for_what_is_left_out_of_it() {
    let mut s = Sequence::default();
    assert_eq!([5_000_000, 3, 4, 5].map(|n| of(&mut s, n, 1)), [Next, Odd, Restart(0), Next]);
    assert_eq!([u32::MAX / 3, u32::MAX / 3 + 5, u32::MAX / 3 + 6].map(|n| of(&mut s, n, 1)), [Odd, Restart(4), Next]);
    // The first two in the other order.
    assert_eq!([11, 10, 12, 13].map(|n| of(&mut s, n, 1)), [Odd, Restart(0), Next, Next]);
    assert_eq!((s.misnumbered(), s.holes.len()), (0, 0));
}

/// Far ahead, or far behind: alone it changes nothing, and what is lost behind it is seen as ever.
#[test]
fn one_odd_number_is_harmless() {
    for stray in [100_000, 1 << 23, 1 << 26, u32::MAX / 2, u32::MAX - 900_000] {
        let mut s = Sequence::default();
        (0..50).for_each(|n| assert_eq!(of(&mut s, n, 1), Next));
        assert_eq!(of(&mut s, stray, 30), Odd);
        assert!(s.is_in_doubt());
        assert_eq!([53, 51, 54, 60].map(|n| of(&mut s, n, 1)), [Gap(3), Late(1), Next, Gap(5)], "{stray}");
        assert_eq!((s.misnumbered(), s.misnumbered(), s.is_in_doubt()), (1, 0, false));
        // Time and again, also twice in a row, where the second does not go on from the first.
        for n in 0..20 {
            assert_eq!(of(&mut s, stray + n * 9_000, 30), Odd);
            assert_eq!(of(&mut s, stray / 2 + n * 70_000, 30), Odd);
            assert_eq!(of(&mut s, 61 + n, 1), Next);
        }
        assert_eq!(s.misnumbered(), 40);
    }
}

#[test]
fn what_is_lost_in_one_piece_is_counted_when_the_next_confirms_it() {
    let mut s = Sequence::default();
    assert_eq!([0, 1_000_001, 1_000_002].map(|n| of(&mut s, n, 1)), [Next, Odd, Gap(1_000_000)]);
    // Something was lost behind the gap too; a late one fills it.
    assert_eq!([1_005_000, 1_005_003, 1_004_000].map(|n| of(&mut s, n, 1)), [Odd, Gap(4_997 + 2), Late(1)]);
    // Two change places at its end.
    assert_eq!([1_020_001, 1_020_000, 1_020_002].map(|n| of(&mut s, n, 1)), [Odd, Gap(1_020_000 - 1_005_004), Next]);
    assert_eq!(s.misnumbered(), 0);
}

#[test]
fn any_order_loses_nothing_in_the_end() {
    let mut s = Sequence::default();
    let order = [0u32, 3, 1, 7, 2, 5, 4, 6, 9, 8];
    let lost: i64 = order
        .iter()
        .map(|n| match of(&mut s, *n * 10, 10) {
            Gap(n) => i64::from(n),
            Late(n) => -i64::from(n),
            _ => 0,
        })
        .sum();
    assert_eq!((lost, s.holes.len()), (0, 0));
}

/// Records of a set without template are some, at most one a byte: what is beyond them is lost for sure.
#[test]
fn what_cannot_be_counted_does_not_hide_loss() {
    let mut s = Sequence::default();
    let mut take = |number: u32, units: u32, unsure: u32| s.take(number, (Units { sure: units, unsure }, Units::ONE), Times::default());
    assert_eq!([take(0, 5, 20), take(5, 5, 20), take(30, 5, 20), take(56, 5, 0)], [Next, Next, Next, Gap(1)]);
    assert_eq!([take(55, 1, 0), take(61, 0, 9), take(80, 5, 0), take(75, 0, 3)], [Late(1), Next, Gap(10), Late(1)]);
}

/// An exporter that should count records and counts datagrams, and one that does the opposite: nothing is lost, none began anew, and what
/// is lost after some datagrams is counted in what it counts.
#[test]
fn who_counts_something_else_lost_nothing() {
    for counts_datagrams in [true, false] {
        let (mut s, mut number, mut odd) = (Sequence::default(), 7_000u32, 0);
        let held = |n: u32| [24, 24, 3, 0, 1, 9, 24, 24][n as usize % 8];
        for n in 0..400 {
            let records = Units { sure: held(n), unsure: 0 };
            let units = if counts_datagrams { (records, Units::ONE) } else { (Units::ONE, records) };
            let lost = n == 300;
            number += if lost { 2 } else { 0 };
            let verdict = s.take(number, units, sent(u64::from(n / 3)));
            match verdict {
                Gap(units) => assert!(lost && units == 2, "{n}: {units}"),
                Restart(_) | Late(_) => panic!("{n}: {verdict:?}"),
                Next => assert!(!lost, "{n}"),
                Odd | Repeated => odd += 1,
            }
            number += if counts_datagrams { 1 } else { held(n) };
        }
        assert!(odd <= 16, "{odd} odd ones before it was known");
        assert!((380..=400).contains(&s.misnumbered()), "{}", s.misnumbered());
        // It mends its ways.
        for n in 0..40 {
            let records = Units { sure: held(n), unsure: 0 };
            let units = if counts_datagrams { (records, Units::ONE) } else { (Units::ONE, records) };
            let verdict = s.take(number, units, sent(200 + u64::from(n)));
            assert!(!matches!(verdict, Restart(_) | Gap(_) | Late(_)), "{n}: {verdict:?}");
            number += if counts_datagrams { held(n) } else { 1 };
        }
        s.misnumbered();
        assert_eq!((of(&mut s, number, 24), s.misnumbered()), (Next, 0));
    }
}

/// One that does not count at all, as cheap ones do not.
#[test]
fn who_does_not_count_never_begins_anew() {
    let mut s = Sequence::default();
    assert_eq!(s.take(0, sure(20), sent(0)), Next);
    (0..100).for_each(|n| assert!(matches!(s.take(0, sure(20), sent(n / 2)), Odd | Repeated), "{n}"));
}

/// A step that is of both ways, or was a true loss, is told with the next one that is of one way alone.
#[test]
fn loss_that_looks_like_another_way_to_count_is_told() {
    let mut s = Sequence::default();
    let mut take = |number: u32, records: u32| s.take(number, (Units::ONE, Units { sure: records, unsure: 0 }), Times::default());
    assert_eq!([take(0, 24), take(24, 24), take(25, 24), take(26, 1)], [Next, Odd, Gap(23), Next]);
    assert_eq!([take(27, 5), take(32, 5), take(99, 5)], [Next, Odd, Gap(4 + 66)]);
}

/// Neighbours that change places, of an exporter whose datagrams have as many records as that step: nothing is lost, and what was told lost
/// before is taken back by what fills that alone.
#[test]
fn a_step_of_another_way_to_count_may_be_two_that_changed_places() {
    for records in 1..6 {
        for late_by in 1..6_usize {
            let mut s = Sequence::default();
            let mut order: Vec<u32> = (0..60).collect();
            for at in [10, 30, 45] {
                let late = order.remove(at);
                order.insert(at + late_by, late);
            }
            let mut lost = 0;
            for number in order {
                match s.take(number, (Units::ONE, Units { sure: records, unsure: 0 }), Times::default()) {
                    Gap(units) => lost += i64::from(units),
                    Late(units) => lost -= i64::from(units),
                    Next => {}
                    Odd => assert!(s.is_in_doubt()),
                    other => panic!("{records} records, {number} late by {late_by}: {other:?}"),
                }
            }
            assert_eq!((lost, s.is_in_doubt()), (0, false), "{records} records, late by {late_by}");
        }
    }
    let mut s = Sequence::default();
    let mut take = |number: u32| s.take(number, (Units::ONE, Units { sure: 2, unsure: 0 }), Times::default());
    assert_eq!([take(0), take(4), take(5), take(7), take(2), take(8), take(9)], [Next, Gap(3), Next, Odd, Late(1), Gap(1), Next]);
}
