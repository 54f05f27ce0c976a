//! What of flows is missing and when, what comes twice, and what is nobody's.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test says what it expects; its numbers are small")]

mod flows_support;

use flows_support::{collector, feed, from};
use tailwater::flows::{Collector, SetDrop};

/// A template of one field: octets.
const OCTETS: [u8; 8] = [1, 0, 0, 1, 0, 1, 0, 4];

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &(4 + body.len() as u16).to_be_bytes(), body].concat()
}

/// The template as that of another id.
fn template(version: u16, id: u16) -> Vec<u8> {
    let own = id.to_be_bytes();
    set(if version == 9 { 0 } else { 2 }, &[&own[..], &OCTETS[2..]].concat())
}

fn datagram(version: u16, sequence: u32, domain: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let second = if version == 9 { sets.len() } else { 16 + body.len() } as u16;
    let uptime: &[u8] = if version == 9 { &[0, 0, 0xEA, 0x60] } else { &[] };
    let words = [1_700_000_000, sequence, domain].map(u32::to_be_bytes).concat();
    [&version.to_be_bytes()[..], &second.to_be_bytes(), uptime, &words, &body].concat()
}

fn nine(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    datagram(9, sequence, 1, sets)
}

/// What the network doubles is given again, marked, and changes nothing that is counted; a restart is no repeat.
#[test]
fn datagrams_that_come_twice_are_marked_and_no_others() {
    let mut c = collector();
    let repeated =
        |c: &mut Collector, bytes: &[u8]| feed(c, &[(from(1, 1, 1), bytes.to_vec())]).iter().map(|f| f.repeated).collect::<Vec<_>>();
    // Held and doubled, late and doubled: each once.
    let held = nine(0, &[set(256, &[0, 0, 0, 5])]);
    assert!(repeated(&mut c, &held).is_empty() && repeated(&mut c, &held).is_empty());
    assert_eq!((c.ledger().waiting, c.ledger().missed), (2, 1));
    assert_eq!(repeated(&mut c, &nine(1, &[template(9, 256)])), [false, true]);
    let of = |n: u32| nine(n, &[set(256, &[0, 0, 0, n as u8])]);
    for (n, is_repeated) in [(2, false), (2, true), (4, false), (3, false), (3, true), (4, true), (2, true), (5, false)] {
        assert_eq!(repeated(&mut c, &of(n)), [is_repeated], "{n}");
    }
    assert_eq!((c.ledger().repeated, c.ledger().missed, c.ledger().flows), (5, 0, 10), "{}", c.ledger());
    assert_eq!((c.ledger().datagram_gaps.lost, c.ledger().datagram_gaps.restarts), (0, 0));
    // IPFIX has no time of its own start: one that counts anew through old numbers has another export time.
    let ten = |n: u32, second: u8| {
        let mut bytes = datagram(10, n, 1, &[template(10, 256), set(256, &[0, 0, 0, 7])]);
        bytes[7] = second;
        bytes
    };
    (0..50).for_each(|n| assert_eq!(repeated(&mut c, &ten(n, 1)), [false]));
    (0..50).for_each(|n| assert_eq!(repeated(&mut c, &ten(n, 2)), [false], "{n}"));
    assert_eq!(repeated(&mut c, &ten(49, 2)), [true]);
    assert!(c.ledger().balances());
}

/// What is missing rises, whatever comes late of earlier windows; within a window what comes after all is not missing.
#[test]
fn nothing_late_hides_what_is_newly_lost() {
    let mut c = collector();
    let give = |c: &mut Collector, at: u64, n: u32| c.take(&from(1, 1, at), &nine(n, &[set(256, &[0, 0, 0, n as u8])]), &mut |_| ());
    c.take(&from(1, 1, 5), &nine(0, &[template(9, 256)]), &mut |_| ());
    give(&mut c, 10, 1);
    [(12, 4), (13, 2), (14, 3)].into_iter().for_each(|(at, n)| give(&mut c, at, n));
    assert_eq!((c.ledger().missed, c.ledger().refilled), (0, 0), "put in order within the window");
    assert_eq!((c.missed_since_ns(), c.missed_since_ns()), (Some(10), None));
    give(&mut c, 20, 8);
    assert_eq!(c.ledger().missed, 3);
    c.turn();
    // Three come late, and three others are lost: the ledger's `lost` stays, what is missing does not.
    [(30, 5), (31, 6), (32, 7), (33, 12)].into_iter().for_each(|(at, n)| give(&mut c, at, n));
    assert_eq!((c.ledger().datagram_gaps.lost, c.ledger().missed, c.ledger().refilled), (3, 6, 3));
    assert_eq!(c.missed_since_ns(), Some(14), "the gap of then may have begun there");
    // What waits is missing where it came, not where it is given up, nor where its template comes.
    let wait = |c: &mut Collector, at: u64, n: u32, id: u16| c.take(&from(1, 1, at), &nine(n, &[set(id, &[0; 4])]), &mut |_| ());
    wait(&mut c, 40, 13, 300);
    wait(&mut c, 41, 14, 301);
    assert_eq!(c.ledger().missed, 8);
    c.take(&from(1, 1, 42), &nine(15, &[template(9, 300)]), &mut |_| ());
    assert_eq!((c.ledger().missed, c.ledger().refilled), (7, 3));
    c.turn();
    c.take(&from(1, 1, 43), &nine(16, &[template(9, 301)]), &mut |_| ());
    assert_eq!((c.ledger().missed, c.ledger().refilled), (7, 4));
    wait(&mut c, 44, 17, 302);
    c.turn();
    c.end();
    assert_eq!((c.ledger().missed, c.ledger().set_drops[SetDrop::NoTemplate as usize]), (8, 1));
}

/// A stranger's junk makes no figure incomplete, an exporter's does.
#[test]
fn junk_of_strangers_is_counted_and_is_no_loss() {
    let mut c = collector();
    let junk: [&[u8]; 4] =
        [b"<34>Oct 11 22:14:15 su: failed", &[0, 5, 0], &[], &[0, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 77, 0, 5, 1]];
    junk.iter().for_each(|bytes| c.take(&from(7, 1, 1), bytes, &mut |_| ()));
    assert_eq!((c.ledger().junk, c.ledger().missed), (4, 0), "{}", c.ledger());
    assert_eq!(c.ledger().datagram_drops.iter().sum::<u64>(), 3);
    c.take(&from(7, 1, 1), &nine(1, &[template(9, 256)]), &mut |_| ());
    c.take(&from(7, 1, 1), junk[0], &mut |_| ());
    assert_eq!((c.ledger().junk, c.ledger().missed), (4, 1));
    // Data of a stranger waits, and is missing meanwhile.
    c.take(&from(8, 1, 1), &nine(1, &[set(256, &[0; 4])]), &mut |_| ());
    assert_eq!((c.ledger().junk, c.ledger().missed), (4, 2));
}
