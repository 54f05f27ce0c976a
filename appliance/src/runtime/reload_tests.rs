use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::admin::Answer;
use crate::arch::HashKey;
use crate::journal::{Bound, Journal};
use crate::window::Coming;

const TOML: &str =
    "[appliance]\nmemory_mb = 64\n[ranges]\nfile = \"r.csv\"\nmax = 3\n[[stats]]\nname = \"packets\"\ncalculation = \"sum\"\n";

/// An appliance with two cores that do nothing but turn to epochs.
struct Bench {
    folder: tempfile::TempDir,
    reloader: Reloader,
    cores: [(Coming<Arc<World>>, Epoch, Arc<World>); 2],
    registry: Arc<Registry>,
    gate: Gate,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), TOML, &["10.0.0.0/8"]);
        let config = config::load(&folder.path().join("t.toml"), &crate::stats::check).unwrap();
        let world = Arc::new(World::first(&config, HashKey::constant(), 1).unwrap());
        let mut cores = [(); 2].map(|()| (Coming::default(), Epoch(95), Arc::clone(&world)));
        let mut generations = Generations::default();
        generations.receivers.extend(cores.iter_mut().map(|core| core.0.control()));
        let registry = Registry::new("t", "", Duration::from_secs(1));
        let gate = Gate::new(None, Arc::clone(&registry));
        let configs = Configs::new(Journal::new::<&str>(Bound::default(), &[]), 1);
        let reloader =
            Reloader::new((config, world, cores_of_two()), generations, (configs, Vec::new()), Arc::clone(&registry), gate.clone());
        Self { folder, reloader, cores, registry, gate }
    }

    fn reload(&mut self, toml: &str, ranges: &[&str]) -> Answer {
        write(self.folder.path(), toml, ranges);
        let (asked, answer) = Asked::pair();
        self.reloader.reload(Some(asked));
        answer
    }

    fn look(&mut self) {
        self.cores.iter_mut().for_each(|(coming, at, _)| coming.look(Some(*at)));
        self.reloader.step();
    }

    /// A core turns to an epoch; the number of what it counts with from then on.
    fn turn(&mut self, core: usize, to: u64) -> u64 {
        let (coming, at, world) = &mut self.cores[core];
        *at = Epoch(to);
        if let Some(next) = coming.turn(*at) {
            coming.give_back(Some(std::mem::replace(world, next)));
        }
        self.reloader.step();
        self.cores[core].2.number
    }

    fn counts(&self) -> (u64, u64) {
        let snapshot = self.registry.snapshot();
        (snapshot.reloads.generation, snapshot.ranges)
    }
}

fn cores_of_two() -> Cores {
    Cores { rx: vec![1, 2], workers: Vec::new() }
}

fn write(folder: &Path, toml: &str, ranges: &[&str]) {
    fs::write(folder.join("t.toml"), toml).unwrap();
    let rows: Vec<String> = ranges.iter().map(|range| format!("{range},a\n")).collect();
    fs::write(folder.join("r.csv"), format!("prefix,customer\n{}", rows.concat())).unwrap();
}

const A: &str = "10.0.0.0/8";
const B: &str = "192.0.2.0/24";

/// What is logged while `act` runs.
fn logged(act: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, act);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// One that was not sent yet, and one whose first window was decided already.
#[test]
fn what_gives_way_before_it_counted_is_said() {
    let text = logged(|| {
        let mut bench = Bench::new();
        let _first = bench.reload(TOML, &[A, B]);
        bench.look();
        let (_second, _third) = (bench.reload(TOML, &[B]), bench.reload(TOML, &[A]));
        (0..2).for_each(|_| bench.look());
        assert_eq!((bench.turn(0, 96), bench.turn(1, 96), bench.counts()), (4, 4, (4, 1)));
    });
    let said: Vec<&str> = text.lines().filter(|line| line.contains("gives way")).collect();
    assert_eq!(said.len(), 2, "{text}");
    assert!(
        said[0].contains("generation 2 ") && said[0].contains("gives way to generation 3 before it counted: no report has it"),
        "{text}"
    );
    assert!(said[1].contains("generation 3 ") && said[1].contains("gives way to generation 4"), "{text}");
}

/// Customers of flows are those of the ranges that count: they follow when cores have turned to a generation, not when a file changes
/// nor when a reload is accepted.
#[test]
fn who_follows_ranges_hears_of_them_when_they_count() {
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (mut bench, told) = (Bench::new(), Arc::clone(&heard));
    let follow: Arc<FollowRanges> = Arc::new(move |ranges: &[config::Range]| told.lock().unwrap().push(ranges.len()));
    bench.reloader = bench.reloader.with_followers(Some(follow));
    let _answer = bench.reload(TOML, &[A, B]);
    (0..2).for_each(|_| bench.look());
    assert!(heard.lock().unwrap().is_empty(), "accepted, and no core has turned to it");
    assert_eq!((bench.turn(0, 96), bench.turn(1, 96), bench.counts()), (2, 2, (2, 2)));
    assert_eq!(*heard.lock().unwrap(), [2]);
}

/// Without fast stats an epoch is a long window.
#[test]
fn the_newest_wins_and_everybody_hears_of_it() {
    let mut bench = Bench::new();
    let mut first = bench.reload(TOML, &[A, B]);
    let mut second = bench.reload(TOML, &[B]);
    let mut third = bench.reload(TOML, &[A, B, "198.51.100.0/24"]);
    assert!([&mut first, &mut second, &mut third].into_iter().all(|answer| answer.now().is_none()), "no core has looked");
    bench.look();
    let (outcome, text) = first.now().unwrap();
    assert!(outcome == Outcome::Accepted && text.starts_with("generation 2 counts from 1970-01-01T00:15:50.000Z"), "{text}");
    assert!(text.contains("2 ranges (1 added, 0 removed, 0 changed)"), "{text}");
    // It has not started: the newest takes its place, and the one between is never sent.
    bench.look();
    let text = third.now().unwrap().1;
    assert!(text.starts_with("generation 4 counts") && text.contains("3 ranges (2 added"), "{text}");
    assert_eq!(second.now().unwrap().1, text);
    assert_eq!((bench.turn(0, 96), bench.turn(1, 96), bench.counts()), (4, 4, (4, 3)));
}

#[test]
fn what_has_started_is_waited_for_until_all_have() {
    let mut bench = Bench::new();
    let mut first = bench.reload(TOML, &[B]);
    bench.look();
    assert!(first.now().is_some());
    assert_eq!((bench.turn(0, 96), bench.counts()), (2, (2, 1)));
    let mut second = bench.reload(TOML, &[A]);
    bench.look();
    assert!(second.now().is_none(), "a core still counts with the first");
    assert_eq!(bench.turn(1, 97), 2);
    bench.look();
    let text = second.now().unwrap().1;
    assert!(text.starts_with("generation 3 counts") && text.contains("1970-01-01T00:16:10"), "{text}");
    assert_eq!((bench.turn(1, 98), bench.turn(0, 97), bench.turn(0, 99)), (3, 2, 3));
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut bench = Bench::new();
    let cases = [
        (TOML.replace("64", "65"), "t.toml:2: appliance.memory_mb: is 65, and was 64 at the start; this needs a restart"),
        (TOML.replace("max = 3", "max = 4"), "t.toml:5: ranges.max: is 4, and was 3 at the start; this needs a restart"),
        (format!("{TOML}fast = true\n"), "t.toml:9: stats.0.fast: makes packets the first fast stat"),
        (format!("{TOML}[admin]\nlisten = \"off\"\n"), "t.toml:10: admin.listen: differs from what was started with; this needs a restart"),
        (format!("{TOML}[sinks.stdout]\n"), "sinks: differs"),
        (format!("{TOML}[[ports]]\ndevice = \"net_null0\"\n"), "ports: differs"),
    ];
    for (toml, why) in cases {
        let (outcome, text) = bench.reload(&toml, &[A]).now().unwrap();
        assert!(outcome == Outcome::NeedsRestart && text.contains(why), "{text}");
    }
    let (outcome, text) = bench.reload(TOML, &["10.0.0.1/8"]).now().unwrap();
    assert!(outcome == Outcome::Faulty && text.contains("r.csv:2: prefix:"), "{text}");
    bench.look();
    assert_eq!((bench.turn(0, 99), bench.counts(), bench.registry.snapshot().reloads.refused), (1, (1, 1), 7));
}

/// At once, though the generation is not sent yet; and not by a reload that is refused.
#[test]
fn a_token_is_exchanged() {
    let mut bench = Bench::new();
    let token = |bench: &Bench, text: &str| fs::write(bench.folder.path().join("reload.token"), text).unwrap();
    let with = format!("{TOML}[admin]\ntoken_file = \"reload.token\"\n");
    let (outcome, text) = bench.reload(&with, &[A]).now().unwrap();
    assert!(outcome == Outcome::Faulty && text.contains("t.toml:10: admin.token_file: ") && text.contains("cannot be read"), "{text}");
    assert!(bench.gate.admits(None));
    for (secret, earlier) in [("0123456789abcdef", None), ("fedcba9876543210", Some("0123456789abcdef"))] {
        token(&bench, secret);
        let _answer = bench.reload(&with, &[A]);
        assert!(bench.gate.admits(Some(secret.as_bytes())) && !bench.gate.admits(earlier.map(str::as_bytes)));
    }
    token(&bench, "0123456789abcdef");
    assert!(bench.reload(&with, &["10.0.0.1/8"]).now().is_some_and(|(outcome, _)| outcome == Outcome::Faulty));
    assert!(bench.gate.admits(Some(b"fedcba9876543210")));
    let _answer = bench.reload(TOML, &[A]);
    assert!(bench.gate.admits(None));
}

#[test]
fn who_asks_while_it_stops_is_told() {
    let mut bench = Bench::new();
    let mut answer = bench.reload(TOML, &[B]);
    bench.turn(0, Epoch::END.0);
    bench.look();
    assert!(answer.is_gone() && bench.counts() == (1, 1));
}

/// Without `max`, and with more than there is room for.
#[test]
fn more_ranges_than_there_is_room_for_need_a_restart() {
    let mut bench = Bench::new();
    bench.reloader.started.0.ranges.max = None;
    let toml = TOML.replace("max = 3\n", "");
    let (outcome, text) = bench.reload(&toml, &[A, B, "198.51.100.0/24", "203.0.113.0/24"]).now().unwrap();
    assert!(outcome == Outcome::NeedsRestart && text.contains("holds 4 ranges, more than the 3"), "{text}");
    assert!(
        text.contains(
            "write max = 1000 below [ranges] and restart: this needs a restart; `tailwater check` says what memory_mb that takes"
        ),
        "{text}"
    );
}

#[test]
fn times_are_as_the_calendar_has_them() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (1_704_067_199, "2023-12-31T23:59:59.000Z"),
        (1_709_251_200, "2024-03-01T00:00:00.000Z"),
    ] {
        assert_eq!(utc(seconds * 1_000_000_000), text);
    }
    assert_eq!(utc(1_500_000_000), "1970-01-01T00:00:01.500Z");
}
