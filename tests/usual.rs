//! The short path for usual frames against the walk: whatever a frame is, what comes of it is the same.
//!
//! `TAILWATER_SEED` chooses the seed. Frames are those of the captures, the same with bytes changed, and frames that are made
//! to be nearly usual.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

#[allow(dead_code, reason = "shared by several tests")]
mod captures;
mod usual_support;

use captures::Held;
use tailwater::arch::hash::spread;
use tailwater::units::LinkType;
use usual_support::{alike, configurations, judge_runs, world};

/// How many of them the short path takes, by bursts of few and of many frames.
fn judge(name: &str, held: &[Held]) -> usize {
    for toml in configurations() {
        let world = world(&toml);
        [5, 150].iter().for_each(|run| judge_runs(name, held, *run, &toml, &world));
    }
    held.iter().filter(|held| alike(name, held)).count()
}

fn seed() -> u64 {
    std::env::var("TAILWATER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_secs()
    })
}

/// Of a capture's frames so many have bytes changed, from all over it.
const CHANGED_FRAMES: usize = 3_000;

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        spread(self.0)
    }
    fn below(&mut self, n: u64) -> usize {
        usize::try_from(self.next() % n).unwrap()
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64)]
    }
    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// A frame that is usual, but perhaps for one thing or two.
fn nearly(dice: &mut Dice) -> Held {
    let mut bytes = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, dice.of(&[1, 1, 2])];
    for _ in 0..dice.of(&[0, 0, 0, 1, 1, 2, 2, 3]) {
        bytes.extend(dice.of(&[[0x81, 0x00], [0x88, 0xA8], [0x91, 0x00], [0x93, 0x00]]));
        bytes.extend(dice.of(&[[0x00, 0x03], [0x20, 0x07], [0x00, 0x00], [0xFF, 0xFF], [0x00, 0x64]]));
    }
    let protocol = dice.of(&[6, 6, 17, 17, 17, 1, 58, 47, 4, 41, 132, 0, 44, 51]);
    let upper = upper(dice, protocol);
    let padding = dice.of(&[0, 0, 0, 6, 40]);
    if dice.one_in(3) {
        let claimed = u16::try_from(upper.len()).unwrap().wrapping_add(dice.of(&[0, 0, 0, 0, 1, 0xFFFF, 100]));
        bytes.extend([0x86, 0xDD, dice.of(&[0x60, 0x62, 0x6F, 0x40]), dice.byte(), 0, 0]);
        bytes.extend(if dice.one_in(20) { [0, 0] } else { claimed.to_be_bytes() });
        bytes.extend([protocol, dice.byte()]);
        for _ in 0..2 {
            // Either side may be in a range, and so may both.
            bytes.extend(dice.of(&[[0x20, 0x01, 0x0D, 0xB8], [0x20, 0x01, 0x0D, 0xB8], [0x26, 0x20, 0x00, 0x00]]));
            bytes.extend([0, dice.of(&[0, 1, 2, 3])]);
            bytes.extend((0..10).map(|_| dice.byte()));
        }
    } else {
        let options = dice.of(&[0, 0, 0, 0, 0, 4, 40]);
        let total = u16::try_from(20 + options + upper.len()).unwrap().wrapping_add(dice.of(&[0, 0, 0, 0, 0, 1, 0xFFFF, 100]));
        let fragment = dice.of(&[0, 0, 0, 0x4000, 0x8000, 0x2000, 0x0001, 0x2001]);
        bytes.extend([0x08, 0x00, 0x40 | u8::try_from(5 + options / 4).unwrap(), dice.of(&[0, 40, 41, 0xFF])]);
        bytes.extend(if dice.one_in(30) { [0, 0] } else { total.to_be_bytes() });
        bytes.extend([0, 1]);
        bytes.extend(u16::to_be_bytes(fragment));
        bytes.extend([dice.byte(), protocol, 0, 0]);
        bytes.extend([dice.of(&[10, 192, 1, 250]), dice.of(&[9, 168, 1]), dice.byte(), dice.byte()]);
        bytes.extend([dice.of(&[10, 192, 1, 250]), dice.of(&[9, 168, 1]), dice.byte(), dice.byte()]);
        bytes.extend(std::iter::repeat_n(1, options));
    }
    bytes.extend(upper);
    bytes.extend(std::iter::repeat_n(0, padding));
    if dice.one_in(10) {
        bytes.truncate(dice.below(bytes.len() as u64 + 1));
    }
    let more = if dice.one_in(50) { dice.of(&[66_000, 140_000]) } else { dice.of(&[0, 0, 0, 0, 1, 2_000]) };
    Held { wire_bytes: u32::try_from(bytes.len() + more).unwrap(), bytes, link: LinkType::Ethernet }
}

fn upper(dice: &mut Dice, protocol: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..dice.of(&[8, 8, 20, 20, 24, 60, 7, 19, 100])).map(|_| dice.byte()).collect();
    match protocol {
        6 if bytes.len() > 12 => bytes[12] = dice.of(&[0x50, 0x50, 0x50, 0x60, 0xF0, 0x40, 0x00]),
        17 if bytes.len() > 5 => {
            let port: u16 = dice.of(&[53, 443, 4_789, 2_152, 6_081, 6_635, 4_754, 4_790, 80, 12_345]);
            bytes[2..4].copy_from_slice(&port.to_be_bytes());
            let length = u16::try_from(bytes.len()).unwrap();
            let length = dice.of(&[length, length, length, 0, 7, 1, 9_000]);
            bytes[4..6].copy_from_slice(&length.to_be_bytes());
        }
        _ => {}
    }
    bytes
}

#[test]
fn frames_that_are_nearly_usual() {
    let seed = seed();
    println!("TAILWATER_SEED={seed}");
    let mut dice = Dice(seed << 32);
    let held: Vec<Held> = (0..30_000).map(|_| nearly(&mut dice)).collect();
    let taken = judge("made", &held);
    println!("{taken} of {} are taken", held.len());
    assert!(taken > held.len() / 20 && taken < held.len() / 2);
}

/// Untagged IPv4, which is read in columns, and now and then something else between.
#[test]
fn frames_that_are_mostly_plain() {
    let seed = seed();
    println!("TAILWATER_SEED={seed}");
    let mut dice = Dice(seed << 32 | 1 << 31);
    let made: Vec<Held> = (0..20_000).map(|_| nearly(&mut dice)).collect();
    let is_plain = |held: &&Held| held.bytes.get(12..14) == Some(&[8, 0]) && alike("made", held);
    let plain: Vec<&Held> = made.iter().filter(is_plain).collect();
    let one = |dice: &mut Dice| {
        let of = if dice.one_in(5) { &made[dice.below(20_000)] } else { plain[dice.below(plain.len() as u64)] };
        // Of another link it is something else.
        let link = if dice.one_in(40) { LinkType::RawIp } else { of.link };
        Held { bytes: of.bytes.clone(), link, ..*of }
    };
    let held: Vec<Held> = (0..20_000).map(|_| one(&mut dice)).collect();
    let taken = judge("mostly plain", &held);
    assert!(plain.len() > 100 && taken > held.len() / 2, "{} of {taken}", plain.len());
}

#[test]
fn frames_of_captures() {
    let Some(folder) = captures::folder("frames_of_captures") else { return };
    let seed = seed();
    println!("TAILWATER_SEED={seed}");
    let (mut dice, mut all, mut taken) = (Dice(seed << 32), 0, 0);
    for file in captures::files(&folder) {
        let held = captures::frames(&file);
        let some = held.iter().step_by(held.len().div_ceil(CHANGED_FRAMES).max(1)).filter(|held| !held.bytes.is_empty());
        let changed: Vec<Held> = some.map(|held| changed(&mut dice, held)).collect();
        all += held.len();
        taken += judge(&file.display().to_string(), &held);
        judge(&format!("{}, changed", file.display()), &changed);
    }
    println!("{taken} of {all} are taken");
    assert!(taken > all / 4, "{taken} of {all}");
}

/// With a few bytes of its headers changed.
fn changed(dice: &mut Dice, held: &Held) -> Held {
    let mut bytes = held.bytes.clone();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len().min(64) as u64);
        bytes[at] = if dice.one_in(2) { dice.byte() } else { bytes[at] ^ 1 << dice.below(8) };
    }
    Held { bytes, ..*held }
}
