//! A window's close, from a shard to the reporter, in every order in which both can meet: `bash scripts/loom`.
//!
//! [`Shard`], [`Outlet`] and [`Stream`] are the real ones, over a stream that holds two of the longest blocks beside the accounts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

use std::sync::Arc;

use loom::thread;

use super::shard::ShardBytes;
use super::stream::{Outlet, Room, Stream, stream_of};
use super::{Calendar, Sealed, Shard, ShardPlans, Told};
use crate::arch::HashKey;
use crate::config;
use crate::gather::Stage;
use crate::record::{Has, Record};
use crate::runtime::world::World;
use crate::units::{Epoch, RangeIndex};

/// Words of an account that tells of two ranges' losses.
const ACCOUNT_WORDS: usize = 24;
const SHARD_BYTES: ShardBytes = ShardBytes { roots: 1 << 14, sketches: 1 << 14 };

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("t.toml");
    let stat = "[[stats]]\nname = \"packets\"\ncalculation = \"sum\"\n";
    std::fs::write(&config, format!("[appliance]\nfast_window_ms = 10000\n[ranges]\nfile = \"r.csv\"\n{stat}")).unwrap();
    std::fs::write(folder.path().join("r.csv"), "prefix,customer\n10.0.0.0/24,a\n10.0.1.0/24,b\n").unwrap();
    let config = config::load(&config, &crate::stats::check).unwrap_or_else(|faults| panic!("{faults}"));
    World::new(&config, HashKey::constant(), 1).unwrap()
}

/// Three batches in two epochs, then the end; gives the stream's writer back so that it is dropped behind all.
fn close_two_windows(plans: Arc<ShardPlans>, calendar: Calendar, outlet: Outlet) {
    let mut shard = Shard::new(plans, HashKey::constant(), calendar, SHARD_BYTES, outlet, 1);
    let record = [Record { weight: 1, wire_bytes: 60, has: Has::INGRESS, ..Record::default() }];
    let mut epochs = [(Epoch(1), &[][..]), (Epoch(2), &[0, 1][..]), (Epoch::END, &[0][..])].into_iter().peekable();
    while let Some((next, ranges)) = epochs.next() {
        let at = if next == Epoch::END { Epoch(2) } else { Epoch(next.0 - 1) };
        ranges.iter().for_each(|range| shard.records(RangeIndex(*range), at, &record));
        shard.advance(next);
        // The last walk is ended; the others may be overtaken by the next window.
        while shard.step() && epochs.peek().is_none() {
            thread::yield_now();
        }
    }
}

/// What the reporter heard, by epoch: records of blocks, records that the account counts, records that it tells as lost.
fn read(mut stream: Stream) -> Vec<(Epoch, [u64; 3])> {
    let (mut open, mut told) = (0, Vec::new());
    loop {
        let heard = stream.next(|message| match message {
            Told::Block(Sealed { records, .. }, body) => {
                assert!(!body.is_empty(), "a block comes whole");
                open += records;
            }
            Told::Closed { epoch, site, .. } => {
                let lost = site.lost_total().iter().sum();
                told.push((epoch, [std::mem::take(&mut open), site.counted, lost]));
            }
        });
        if !heard && stream.is_over() {
            assert_eq!(open, 0, "the account is the last of its epoch");
            return told;
        }
        if !heard {
            thread::yield_now();
        }
    }
}

fn close(preemptions: usize, waits: bool) {
    let world = world();
    let (plans, calendar) = (world.plans, world.calendar);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        let room = Room { account: ACCOUNT_WORDS, ..plans.room() };
        let (outlet, reading) = stream_of(room, 2 * room.block + room.kept(), waits);
        let plans = Arc::clone(&plans);
        let shard = thread::spawn(move || close_two_windows(plans, calendar, outlet));
        let told = read(reading);
        shard.join().unwrap();
        let epochs: Vec<Epoch> = told.iter().map(|(epoch, _)| *epoch).collect();
        assert!(epochs.is_sorted() && epochs.iter().all(|epoch| epoch.0 < 3), "{epochs:?}");
        let sum = |at: usize| told.iter().map(|(_, counts)| counts[at]).sum::<u64>();
        let (blocks, counted, lost) = (sum(0), sum(1), sum(2));
        assert_eq!((blocks, blocks + lost), (counted, 3), "what was delivered is what was counted, and the rest is told as lost: {told:?}");
        assert!(!waits || (lost == 0 && epochs.len() == 3), "who waits loses nothing: {told:?}");
    });
}

#[test]
fn accounts_follow_their_blocks_and_balance() {
    close(3, false);
}

#[test]
fn a_stream_that_waits_loses_nothing() {
    close(3, true);
}
