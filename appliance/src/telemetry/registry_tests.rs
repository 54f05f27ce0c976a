//! What the registry says of what was told to it.

use super::*;

#[test]
fn ready_when_port_window_and_reporter_are() {
    let registry = Registry::new("pop1-a", "pop1", Duration::from_secs(1));
    assert_eq!(registry.snapshot().not_ready.len(), 3);
    let port = registry.port(0, "net_null0", "mirror-a");
    registry.window_opened();
    registry.reporter_beat();
    assert_eq!(registry.snapshot().not_ready, ["port 0 (net_null0) is not started"]);
    port.started.set(1);
    assert_eq!(registry.snapshot().not_ready, ["port 0 (net_null0) has no link"]);
    port.link_up.set(1);
    assert!(registry.snapshot().not_ready.is_empty());
}

#[test]
fn costs_of_stats_begin_anew_with_other_stats() {
    use crate::telemetry::cost::{LiveCosts, Meter, Part, Probe, Watch};
    let registry = Registry::new("a", "", Duration::from_secs(1));
    let live = registry.core(1, "rx");
    registry.set_stats(["a", "b"].into_iter());
    let (mut meter, mut watch) = (Meter::new(), Watch::default());
    let mut row = |row: usize, costs: &LiveCosts| {
        meter.begin(0);
        watch.turn_on();
        watch.begin();
        watch.columns();
        watch.stat(row);
        meter.lap(Part::Rx, watch.whole());
        watch.turn_off(true);
        meter.end();
        meter.show(costs);
        watch.show(costs);
    };
    let seconds = |registry: &Registry| registry.snapshot().cores[0].seconds.clone();
    // What the system held up is left out.
    let mut measured = |at: usize| {
        row(at, &live.costs);
        while seconds(&registry).stats.is_empty() {
            row(at, &live.costs);
        }
    };
    measured(1);
    let first = seconds(&registry);
    assert_eq!((first.stats.len(), &first.stats[0].0[..]), (1, "b"));
    registry.set_stats(["a", "b"].into_iter());
    assert_eq!(seconds(&registry), first, "the same ones go on");
    registry.set_stats(["b", "c"].into_iter());
    assert!(seconds(&registry).stats.is_empty());
    measured(0);
    assert_eq!(&seconds(&registry).stats[0].0[..], "b");
}

#[test]
fn sums_over_cores_and_ports() {
    let registry = Registry::new("a", "", Duration::from_secs(1));
    registry.core(1, "rx").received.add(5);
    registry.core(2, "rx").received.add(7);
    registry.port(0, "x", "f").missed.add(3);
    registry.port(1, "y", "f").missed.add(4);
    registry.window_closed(10);
    let snapshot = registry.snapshot();
    assert_eq!((snapshot.total().received, snapshot.missed(), snapshot.windows_closed), (12, 7, 1));
}
