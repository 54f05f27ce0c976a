//! Rounds of misfortune: `tailwater run` under steady traffic, while its broker is killed, paused, restarted and its disk filled, and
//! it is itself killed at random moments. A consumer that follows docs/messages.md finds every window once, in order, with the sums
//! that the ledger has, and knows of each gap when it was.
//!
//! `TAILWATER_ROUNDS` says how many (3), `TAILWATER_SEED` which; `scripts/rounds` asks for 20.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod e2e_support;
mod eal_support;
#[path = "e2e_support/place.rs"]
mod place;
#[path = "rounds_support/mod.rs"]
mod rounds_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use e2e_support::{Appliance, Broker, Reports, wait};
use eal_support::{in_namespace, is_able, is_inside, sh};
use place::{ANY_ADMIN, FILE, MIRROR, Place};
use rounds_support::{Stream, equal};

const PORT: u16 = 19_095;
const KAFKA: &str = "[sinks.kafka]\nbrokers = \"127.0.0.1:19095\"\n";
const JOURNAL: &str = "[journal]\npath = \"journal\"\nsize_mb = 256\n";
const STATS: &str = "[[stats]]\nname = \"sources\"\ncalculation = \"topk\"\nkey = \"dst_ip\"\n\
    [[stats]]\nname = \"bytes\"\ncalculation = \"sum\"\nmetric = \"bytes\"\nfast = true\n";
/// Of long windows; fast ones have a second.
const LONG_MS: u64 = 3_000;
/// Of traffic, for as long as it lasts.
const PPS: u32 = 2_000;
const BROKER_DISK_MB: u32 = 96;

/// xorshift64*: which misfortune, and when.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn pause(&mut self, ms_max: u64) {
        std::thread::sleep(Duration::from_millis(self.below(ms_max)));
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// A small disk for the broker, in the test's own mount namespace.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        assert!(sh(&format!("mount --make-rprivate / && mount -t tmpfs -o size={BROKER_DISK_MB}m broker {}", disk.path().display())));
        disk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) {
        sh(&format!("dd if=/dev/zero of={}/full bs=1M 2>/dev/null", self.path().display()));
    }

    fn clear(&self) {
        let _ = fs::remove_file(self.path().join("full"));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        sh(&format!("umount -l {}", self.path().display()));
    }
}

/// All that the rounds play with.
struct Stage {
    config: PathBuf,
    disk: SmallDisk,
    broker: Broker,
    appliance: Option<Appliance>,
    /// Of each run that is over, whether it ended by itself.
    ended: Vec<bool>,
}

impl Stage {
    /// One misfortune of the broker's, which runs again behind it.
    fn misfortune(&mut self, dice: &mut Dice) {
        let which = dice.below(4);
        println!("  the broker: {}", ["killed", "paused", "restarted", "its disk is full"][usize::try_from(which).unwrap()]);
        match which {
            0 => self.broker.signal("KILL"),
            1 => {
                self.broker.signal("STOP");
                dice.pause(4_000);
                self.broker.signal("CONT");
            }
            2 => self.broker.stop(),
            _ => {
                self.disk.fill();
                dice.pause(4_000);
                self.broker.signal("KILL");
                self.disk.clear();
            }
        }
        dice.pause(2_000);
        self.broker.start(PORT);
    }

    /// The appliance dies, and comes again; in one round of two it is killed once more as soon as it counts, and in one of two of these it
    /// had ended in order before that.
    fn kill(&mut self, dice: &mut Dice) {
        dice.pause(4_000);
        let which = dice.below(4);
        self.end(which == 0);
        dice.pause(1_000);
        self.appliance = Some(Appliance::counting(&self.config, &[]));
        if which < 2 {
            dice.pause(LONG_MS);
            self.end(false);
            self.appliance = Some(Appliance::counting(&self.config, &[]));
        }
    }

    fn end(&mut self, in_order: bool) {
        let Some(appliance) = self.appliance.take() else { return };
        println!("  the appliance: {}", if in_order { "ended" } else { "killed" });
        appliance.signal(if in_order { "TERM" } else { "KILL" });
        let (status, log) = appliance.ended(60);
        assert!(!in_order || status == Some(0), "{log}");
        self.ended.push(in_order);
    }
}

fn traffic(place: &Place) -> Child {
    eal_support::replay("scrubber0", &format!("--loop=0 --pps={PPS}"), &place.file("frames.pcap"))
}

#[test]
fn every_window_comes_once_and_gaps_are_known() {
    if !is_inside() && is_able() {
        Broker::fetch();
    }
    in_namespace("every_window_comes_once_and_gaps_are_known", || {
        let (rounds, seed) = (number("TAILWATER_ROUNDS", 3), number("TAILWATER_SEED", u64::from(std::process::id())));
        println!("TAILWATER_SEED={seed} TAILWATER_ROUNDS={rounds}");
        let (place, disk, mut dice) = (Place::new(), SmallDisk::new(), Dice(seed | 1));
        let ranges: String = (0..16).map(|n| format!("203.0.113.{}/28,c{}\n", n * 16, n % 3)).collect();
        fs::write(place.file("ranges.csv"), format!("prefix,customer\n{ranges}")).unwrap();
        let config = place.config(LONG_MS, &[STATS, MIRROR, ANY_ADMIN, KAFKA, JOURNAL, FILE]);
        let broker = Broker::within(disk.path());
        let address = broker.start(PORT);
        let appliance = Some(Appliance::counting(&config, &[]));
        let (mut stage, mut sending) = (Stage { config, disk, broker, appliance, ended: Vec::new() }, traffic(&place));
        for round in 1..=rounds {
            println!("round {round} of {rounds}");
            let mut other = Dice(dice.below(u64::MAX) | 1);
            if dice.below(2) == 0 {
                stage.misfortune(&mut dice);
                stage.kill(&mut other);
            } else {
                stage.kill(&mut other);
                stage.misfortune(&mut dice);
            }
        }
        sending.kill().unwrap();
        sending.wait().unwrap();
        let last = stage.appliance.take().unwrap();
        wait(120, || last.metric("tailwater_sink_behind", "sink=\"kafka\"") < 100, || last.log());
        last.stop(60);
        judge(&Stream::of_kafka(&Broker::read(&address, &[])), &place, stage.ended);
    });
}

/// What the consumer found.
fn judge(kafka: &Stream, place: &Place, mut ended: Vec<bool>) {
    println!("{} reports, {} repeated, {} windows, runs: {}", kafka.ranges.len(), kafka.repeated, kafka.windows(), kafka.runs.len());
    // The file is another reader of the same journal. It has the configurations: each run's, however short it was.
    let file = Stream::of_file(&fs::read_to_string(place.file("reports.jsonl")).unwrap());
    ended.push(true);
    assert_eq!(file.begun.len(), ended.len(), "each run left a trace");
    let starts: Vec<(u64, bool)> = file.begun.iter().copied().zip(ended).collect();
    kafka.is_gapless();
    kafka.windows_are_whole();
    for (from_ns, to_ns) in kafka.gaps(&starts) {
        println!("gap: {:.3} s from {from_ns}", (to_ns - from_ns) as f64 / 1e9);
    }
    equal(kafka, &file);
    assert!(!Reports::of(&place.file("reports.jsonl")).ranges.is_empty());
}
