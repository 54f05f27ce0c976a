use super::*;

const ONE: Who = (IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), None);
const OTHER: Who = (IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)), None);
const GUESSED: Counts = Counts { here: true, is_settled: false };

fn told(who: Who, [in_if, out_if]: [u32; 2], leaves: bool) -> Told {
    Told { who, is_v6: false, in_if, out_if, leaves, packets: 10, rate: 1, metered: [None; 2] }
}

fn metering() -> Metering {
    let mut metering = Metering::new();
    metering.turn(SECOND_NS);
    metering
}

fn here(counts: [Counts; 2]) -> [bool; 2] {
    counts.map(|counts| counts.here)
}

/// Interfaces 1 (outside) and 2 (inside), both metered in both directions: of each flow two records.
#[test]
fn a_router_that_meters_twice_counts_once_at_each_side() {
    let mut metering = metering();
    assert_eq!(metering.sides(&told(OTHER, [1, 2], false)), [Counts::SURELY; 2], "one that tells of nothing that leaves");
    for [from, to] in [[1, 2], [2, 1]] {
        metering.sides(&told(ONE, [from, to], true));
        metering.sides(&told(ONE, [from, to], false));
    }
    for [from, to] in [[1, 2], [2, 1]] {
        assert_eq!(here(metering.sides(&told(ONE, [from, to], false))), [true, false]);
        assert_eq!(here(metering.sides(&told(ONE, [from, to], true))), [false, true]);
    }
    assert_eq!(metering.sides(&told(OTHER, [1, 2], false)), [Counts::SURELY; 2]);
    // The same agent's name from elsewhere is another: nobody takes flows from a router by its name alone.
    let forged = (ONE.0, Some(OTHER.0));
    assert_eq!(here(metering.sides(&told(forged, [1, 2], true))), [true; 2]);
    // Hours later it is still known, and surely by now.
    metering.turn(20 * 3_600 * SECOND_NS);
    assert_eq!(here(metering.sides(&told(ONE, [2, 1], false))), [true, false]);
    let [came, left] = metering.sides(&told(ONE, [2, 1], true));
    assert_eq!((came.here, left), (false, Counts::SURELY));
    // It is told to meter what comes in alone: some minutes later that is known too.
    for minute in 0..8 {
        metering.turn((20 * 3_600 + 60 * minute) * SECOND_NS);
        (0..20).for_each(|_| _ = metering.sides(&told(ONE, [2, 1], false)));
    }
    assert!(metering.sides(&told(ONE, [2, 1], false))[1].here);
}

/// The first record of a flow cannot know of the second: what counts twice by that says so.
#[test]
fn what_may_count_twice_is_no_sure_figure() {
    let mut metering = metering();
    assert_eq!(metering.sides(&told(ONE, [1, 2], true)), [Counts::SURELY; 2], "nothing speaks against it yet");
    let [came, left] = metering.sides(&told(ONE, [1, 2], false));
    assert_eq!((came, left.here), (GUESSED, false), "it came in, as the first one said too");
    // For a while records come whose first half counted before.
    metering.turn(60 * SECOND_NS);
    assert_eq!(metering.sides(&told(ONE, [1, 2], false))[0], GUESSED);
    metering.turn(700 * SECOND_NS);
    assert_eq!(metering.sides(&told(ONE, [1, 2], false))[0], Counts::SURELY);
    assert!(!metering.sides(&told(ONE, [1, 2], true))[0].here);
}

/// IPv4 is metered both ways, IPv6 where it comes in.
#[test]
fn families_are_metered_apart() {
    let mut metering = metering();
    let six = |leaves| Told { is_v6: true, ..told(ONE, [2, 1], leaves) };
    for _ in 0..10 {
        metering.sides(&told(ONE, [2, 1], true));
        metering.sides(&told(ONE, [2, 1], false));
        assert_eq!(metering.sides(&six(false))[1], GUESSED, "it counts, though nobody knows yet that it is not told again");
    }
    metering.turn(400 * SECOND_NS);
    assert_eq!(metering.sides(&six(false)), [Counts::SURELY; 2]);
    assert_eq!(here(metering.sides(&told(ONE, [2, 1], false))), [true, false]);
}

/// All packets where they come in, one in a hundred where they leave: the same packets.
#[test]
fn sampling_of_one_side_does_not_hide_that_it_meters() {
    let mut metering = metering();
    for n in 0..1_000 {
        let counts = metering.sides(&told(ONE, [2, 1], false));
        if n % 10 == 0 {
            metering.sides(&Told { packets: 1, rate: 100, ..told(ONE, [2, 1], true) });
        }
        assert!(n < 20 || !counts[1].here, "{n}");
    }
}

/// After hours of silence, or beside large flows, what comes first of both records does not make the other's side forgotten.
#[test]
fn what_is_rare_or_large_is_known_no_worse() {
    let mut metering = metering();
    for hour in 0..40 {
        metering.turn((3_600 * hour + 1) * SECOND_NS);
        let large = Told { packets: 1_000_000, ..told(ONE, [2, 1], false) };
        let records: Vec<[Counts; 2]> = (0..20).map(|n| metering.sides(&if n == 3 { large } else { told(ONE, [2, 1], false) })).collect();
        let late: Vec<[Counts; 2]> =
            (0..20).map(|n| metering.sides(&Told { leaves: true, ..if n == 3 { large } else { told(ONE, [2, 1], false) } })).collect();
        if hour > 1 {
            assert!(records.iter().all(|counts| !counts[1].here), "{hour}");
            assert!(late.iter().all(|counts| counts[1] == Counts::SURELY), "{hour} {late:?}");
        }
    }
}

/// Only the outside interface is metered, in both directions; or of what leaves one flow in ten.
#[test]
fn what_is_metered_once_counts_at_both_sides() {
    let mut metering = metering();
    for _ in 0..3 {
        assert_eq!(here(metering.sides(&told(ONE, [1, 2], false))), [true; 2], "no other tells that it left");
        assert_eq!(here(metering.sides(&told(ONE, [2, 1], true))), [true; 2], "nor that it came in");
        assert_eq!(metering.sides(&told(OTHER, [1, 2], true)), [Counts::SURELY; 2]);
    }
    assert_eq!(metering.sides(&told(ONE, [1, 2], false))[0], Counts::SURELY);
    for n in 0..100 {
        if n % 10 == 5 {
            metering.sides(&told((ONE.0, Some(ONE.0)), [1, 2], true));
        }
        let [_, left] = metering.sides(&told((ONE.0, Some(ONE.0)), [1, 2], false));
        assert!(left.here || (5..10).contains(&n), "{n}");
        assert!(!left.is_settled || n < 5, "{n}: one in ten may count twice");
    }
}

/// What the operator says is no guess: each flow counts once at each side, whatever else is told.
#[test]
fn what_the_operator_says_ends_the_guess() {
    let mut metering = metering();
    let sides = |metering: &mut Metering, how: Metered, leaves| {
        let counts = metering.sides(&Told { metered: [Some(how); 2], ..told(ONE, [1, 2], leaves) });
        assert!(counts.iter().all(|counts| counts.is_settled));
        here(counts)
    };
    for _ in 0..3 {
        assert_eq!([false, true].map(|leaves| sides(&mut metering, Metered::Both, leaves)), [[true, false], [false, true]]);
        assert_eq!([false, true].map(|leaves| sides(&mut metering, Metered::Ingress, leaves)), [[true, true], [false, false]]);
        assert_eq!([false, true].map(|leaves| sides(&mut metering, Metered::Egress, leaves)), [[false, false], [true, true]]);
    }
}

#[test]
fn forged_exporters_take_no_memory_without_end() {
    let mut metering = metering();
    for n in 0..200_000_u32 {
        let who = (IpAddr::from(n.to_be_bytes()), None);
        metering.sides(&told(who, [n + 1, n + 2], true));
        metering.sides(&told(who, [n + 1, n + 2], false));
    }
    assert!(metering.exporters.len().max(metering.interfaces.len()) <= KNOWN_MAX);
    metering.turn(3 * KEPT_NS);
    assert_eq!((metering.exporters.len(), metering.interfaces.len()), (0, 0));
}
