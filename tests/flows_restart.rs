//! Restarts: ours, after which what exporters told is there; and exporters', told from repeats and from loss.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test says what it expects; its numbers are small")]

mod flows_support;

use flows_support::coded::set;
use flows_support::told::{ipfix, nine, of, sample, sets, sflow};
use flows_support::{collector, feed, from};
use tailwater::flows::{Collector, Gaps, SetDrop, TemplateEvent, waiting};
use tailwater::limits::HELD_BYTES_MAX;

const SECOND_NS: u64 = 1_000_000_000;
const HOUR_NS: u64 = 3_600 * SECOND_NS;
/// Of our clock.
const NOW_NS: u64 = 1_700_000_000 * SECOND_NS;

fn give(c: &mut Collector, at_ns: u64, bytes: &[u8]) -> usize {
    feed(c, &[(from(1, 2_055, at_ns), bytes.to_vec())]).len()
}

/// A template that is only refreshed is as fresh on disk as it is here, but for the bound; and refreshes write no more often.
#[test]
fn templates_that_are_only_refreshed_do_not_grow_old_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("templates");
    let [template, record] = sets(10, &[of(1, &[0, 0, 0, 9])]);
    let (mut c, mut writes) = (collector(), 0);
    // 30 hours, refreshed every ten minutes, with data between.
    for n in 0..180u64 {
        let at = NOW_NS + n * HOUR_NS / 6;
        give(&mut c, at, &ipfix(2 * n as u32, n as u32 * 600, &[template.clone(), record.clone()]));
        give(&mut c, at + SECOND_NS, &ipfix(2 * n as u32 + 1, n as u32 * 600 + 1, std::slice::from_ref(&record)));
        if c.is_changed() {
            writes += 1;
            c.save(&file).unwrap();
        }
    }
    assert!((25..=31).contains(&writes), "{writes} writes");
    // Killed and started anew, also 22 hours later: nothing waits.
    let at = NOW_NS + 30 * HOUR_NS;
    for later in [0, 22] {
        let mut next = collector();
        assert_eq!(next.restore(&file).unwrap(), 1);
        assert_eq!(give(&mut next, at + later * HOUR_NS, &ipfix(360, 0, std::slice::from_ref(&record))), 1, "{}", next.ledger());
    }
    let mut next = collector();
    next.restore(&file).unwrap();
    assert_eq!(give(&mut next, at + 25 * HOUR_NS, &ipfix(360, 0, std::slice::from_ref(&record))), 0);
    assert_eq!(next.ledger().templates[TemplateEvent::Expired as usize], 1);
}

/// An exporter of IPFIX that begins anew soon after its start counts through old numbers.
#[test]
fn an_early_restart_of_ipfix_is_none_of_the_repeats_and_hides_no_loss() {
    let [template, record] = sets(10, &[of(1, &[0, 0, 0, 9])]);
    let (both, five) = ([template, record.clone()], [record[..4].to_vec(), vec![0; 20]].concat());
    // Five records a datagram: the set's length says so.
    let five = [&five[..2], &24u16.to_be_bytes(), &five[4..]].concat();
    let mut c = collector();
    give(&mut c, NOW_NS, &ipfix(0, 0, &both));
    (0..200).for_each(|n| assert_eq!(give(&mut c, NOW_NS + 1, &ipfix(1 + 5 * n, n / 10, std::slice::from_ref(&five))), 5));
    // Late ones of the network's, a while ago: neither a restart nor lost.
    let late = ipfix(1, 1, &[five.clone(), five.clone()]);
    give(&mut c, NOW_NS + 2, &late);
    assert_eq!(c.ledger().record_gaps, Gaps { repeated: 1, ..Gaps::default() });
    (0..3).for_each(|n| assert_eq!(give(&mut c, NOW_NS + 3, &ipfix(5 * n, 100 + n, std::slice::from_ref(&five))), 5));
    assert_eq!(c.ledger().record_gaps, Gaps { repeated: 1, restarts: 1, ..Gaps::default() }, "{}", c.ledger());
    give(&mut c, NOW_NS + 4, &ipfix(100, 110, std::slice::from_ref(&five)));
    assert_eq!(c.ledger().record_gaps, Gaps { lost: 85, gaps: 1, repeated: 1, restarts: 1, ..Gaps::default() });
}

/// One of NetFlow 9 that was up for less than ten seconds, and agents of sFlow, whose sources count too.
#[test]
fn early_restarts_of_netflow_9_and_sflow() {
    let [template, record] = sets(9, &[of(1, &[0, 0, 0, 9])]);
    let mut c = collector();
    let data = std::slice::from_ref(&record);
    give(&mut c, NOW_NS, &nine(0, 0, 1_000, &[template, record.clone()]));
    for (n, after, uptime_ms) in [(1, 1, 2_000), (0, 8, 1_000), (1, 9, 2_000), (4, 10, 3_000)] {
        give(&mut c, NOW_NS, &nine(n, after, uptime_ms, data));
    }
    assert_eq!(c.ledger().datagram_gaps, Gaps { lost: 2, gaps: 1, restarts: 1, ..Gaps::default() }, "{}", c.ledger());
    let mut c = collector();
    let agent = |n: u32, uptime_ms: u32| sflow(n, uptime_ms, &[sample(1, &[n, 3, 400, n * 400, 0, 1, 2], &[0; 60])]);
    let give = |c: &mut Collector, at_s: u64, n: u32, uptime_s: u32| give(c, NOW_NS + at_s * SECOND_NS, &agent(n, uptime_s * 1_000));
    (0..500).for_each(|n| assert_eq!(give(&mut c, u64::from(n), n, 1_000 + n), 1));
    // Restarted, and 100 datagrams lost after that.
    (0..10).for_each(|n| assert_eq!(give(&mut c, 600 + u64::from(n), n, 1 + n), 1));
    give(&mut c, 620, 110, 20);
    let lost = Gaps { lost: 100, gaps: 1, restarts: 1, ..Gaps::default() };
    assert_eq!((c.ledger().datagram_gaps, c.ledger().sample_gaps), (lost, lost), "{}", c.ledger());
}

/// What waits for its template when we end waits on, and is decoded after the start; what was damaged meanwhile is counted.
#[test]
fn data_that_waits_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (templates, file) = (folder.path().join("templates"), waiting::beside(&folder.path().join("templates")));
    let mut c = collector();
    assert_eq!((c.waiting(), c.restore_waiting(&file).unwrap()), (None, 0));
    let values = |n: u8| sets(10, &[of(1, &[0, 0, 0, n])]);
    for n in 0..5u8 {
        give(&mut c, NOW_NS + u64::from(n), &ipfix(n.into(), 0, &values(n)[1..]));
    }
    give(&mut c, NOW_NS, &nine(0, 0, 9_000, &sets(9, &[of(1, &[9; 4]), of(22, &[0, 0, 0, 7])])[1..]));
    let told = c.waiting().unwrap();
    waiting::write(&file, &told).unwrap();
    c.save(&templates).unwrap();
    c.end_kept();
    assert_eq!((c.ledger().waiting, c.ledger().set_drops[SetDrop::Kept as usize], c.memory_bytes().1), (0, 6, 0));
    assert!(c.ledger().balances());
    let written = std::fs::read(&file).unwrap();
    let mut next = collector();
    assert_eq!((next.restore(&templates).unwrap(), next.restore_waiting(&file).unwrap()), (0, 6));
    assert!(file.exists() && next.ledger().balances(), "a kill loses none of it");
    assert_eq!((next.on_disk(), next.waiting_on_disk()), (6, told));
    assert_eq!((next.ledger().waiting, next.ledger().missed), (6, 6));
    let from_now = NOW_NS + 10 * SECOND_NS;
    let flows = feed(&mut next, &[(from(1, 2_055, from_now), ipfix(5, 10, &values(5)))]);
    let seen: Vec<_> = flows.iter().map(|f| (f.fields.bytes, f.fields.sequence_num, f.fields.time_received_ns)).collect();
    let then = |n: u64| (n, n as u32, NOW_NS + n);
    assert_eq!(seen, [then(0), then(1), then(2), then(3), then(4), (5, 5, from_now)]);
    let flows =
        feed(&mut next, &[(from(1, 2_055, from_now), nine(1, 10, 19_000, &sets(9, &[of(1, &[9; 4]), of(22, &[0, 0, 0, 7])])[..1]))]);
    assert_eq!((flows.len(), flows[0].fields.time_flow_start_ns), (1, NOW_NS - 9 * SECOND_NS + 7_000_000));
    assert_eq!((next.ledger().waiting, next.ledger().missed, next.ledger().released), (0, 0, 6));
    // What has gone on is not on disk when it is written anew; what came since is another's business.
    assert_eq!((next.on_disk(), next.waiting_on_disk().len()), (0, 0));
    waiting::write(&file, &next.waiting_on_disk()).unwrap();
    waiting::write(&file, &[]).unwrap();
    assert!(!file.exists());
    // Whatever byte is damaged, the rest is there, nothing panics, and each set is counted.
    for at in (0..written.len()).step_by(3) {
        let mut bytes = written.clone();
        bytes[at] ^= 0x41;
        std::fs::write(&file, &bytes).unwrap();
        let mut next = collector();
        let restored = next.restore_waiting(&file).unwrap_or(0);
        let damaged = next.ledger().set_drops[SetDrop::Damaged as usize];
        // The checksum of the whole file is another's business: each set has its own.
        assert!(restored == 6 && (8..12).contains(&at) || restored < 6 && damaged >= 1, "{at}: {restored}, {damaged}");
        assert!(next.ledger().balances() && (restored > 0 || at > 7 || !file.exists()));
    }
    for cut in 0..written.len() {
        std::fs::write(&file, &written[..cut]).unwrap();
        let mut next = collector();
        let restored = next.restore_waiting(&file).unwrap_or(0);
        assert!(restored < 6 && next.ledger().balances() && next.ledger().waiting == restored);
    }
    // What has waited too long by then is given up.
    std::fs::write(&file, &written).unwrap();
    let mut next = collector();
    next.restore_waiting(&file).unwrap();
    assert_eq!(give(&mut next, NOW_NS + HOUR_NS, &ipfix(5, 3_600, &values(5))), 1);
    assert_eq!(next.ledger().set_drops[SetDrop::NoTemplate as usize], 6, "whatever domain it is of");
}

/// Strangers whose data waits in vain fill the room for it; a new exporter's data finds room all the same, and what is too old goes.
#[test]
fn data_of_strangers_does_not_keep_that_of_exporters_from_waiting() {
    let mut c = collector();
    let junk = |exporter: u32| (from(exporter, 1, NOW_NS), ipfix(0, 0, &[set(400, &vec![7; 60_000], 0)]));
    // An exporter that is known, with something that waits.
    let [template, record] = sets(10, &[of(1, &[0, 0, 0, 9])]);
    let known = |n: u32, sets: &[Vec<u8>]| (from(1, 1, NOW_NS), ipfix(n, 0, sets));
    assert_eq!(feed(&mut c, &[known(0, &[template.clone(), record.clone()]), known(1, &[set(300, &record[4..], 0)])]).len(), 1);
    for exporter in 100..140 {
        (0..16).for_each(|_| drop(feed(&mut c, &[junk(exporter)])));
        assert!(c.memory_bytes().1 <= HELD_BYTES_MAX);
    }
    assert!(c.memory_bytes().1 > HELD_BYTES_MAX * 3 / 4, "{}", c.memory_bytes().1);
    // A new one: its data waits until its template is there; so does that of the known one.
    let new = |n: u32, sets: &[Vec<u8>]| (from(2, 1, NOW_NS), ipfix(n, 0, sets));
    assert_eq!(feed(&mut c, &[new(0, std::slice::from_ref(&record)), junk(200)]).len(), 0);
    assert_eq!(feed(&mut c, &[new(1, std::slice::from_ref(&template))]).len(), 1);
    let other = [set(2, &[&300u16.to_be_bytes()[..], &template[6..]].concat(), 0)];
    assert_eq!(feed(&mut c, &[known(2, &other)]).len(), 1);
    assert_eq!(c.ledger().set_drops[SetDrop::NoRoom as usize], 0);
    // Nobody hears of them again: each datagram of whomever lets one of them go.
    let later = from(1, 1, NOW_NS + HOUR_NS);
    (0..50).for_each(|n| drop(feed(&mut c, &[(later, ipfix(3 + n, 3_600, std::slice::from_ref(&record)))])));
    assert_eq!((c.memory_bytes().1, c.ledger().waiting), (0, 0));
}

/// A set whose template never comes, in every message, does not blind for what is lost.
#[test]
fn sets_without_template_do_not_hide_loss() {
    let [template, record] = sets(10, &[of(1, &[0, 0, 0, 9])]);
    let strange = set(999, &[1, 2, 3, 4, 5, 6, 7, 8], 0);
    let mut c = collector();
    give(&mut c, NOW_NS, &ipfix(0, 0, &[template, record.clone()]));
    // One record each, and eight at most; first none is lost, whatever the other set has, then 100 each time.
    for n in 0..10u32 {
        give(&mut c, NOW_NS, &ipfix(1 + 3 * n, n, &[record.clone(), strange.clone()]));
    }
    assert_eq!(c.ledger().record_gaps, Gaps::default());
    for n in 1..=50u32 {
        give(&mut c, NOW_NS, &ipfix(28 + 109 * n, 10 + n, &[record.clone(), strange.clone()]));
    }
    assert_eq!((c.ledger().record_gaps.lost, c.ledger().record_gaps.gaps), (5_000, 50));
}
