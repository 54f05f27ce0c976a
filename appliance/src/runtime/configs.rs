//! Each configuration that counts, under its hash: on its way to whoever finds that hash in a report.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::journal::{Journal, Message};
use crate::report::{SCHEMA_VERSION, pb};

/// A part's text is no longer, unless one line of it is: brokers take a megabyte. Sinks compress by themselves.
const PART_BYTES_MAX: usize = 512 << 10;

/// What counts, and what comes: so many are told again.
const KEPT: usize = 2;
/// No sooner than so long after they were told last.
const AGAIN: Duration = Duration::from_secs(60);

/// See the module.
pub struct Configs {
    journal: Arc<Journal>,
    boot_id: u64,
    sequence: u64,
    /// What was told last, each with its whole text.
    told: VecDeque<pb::ConfigReport>,
    told_at: Instant,
    /// How many sinks had lost by then.
    lost: u64,
}

impl Configs {
    /// Of this start.
    pub fn new(journal: Arc<Journal>, boot_id: u64) -> Self {
        Self { journal, boot_id, sequence: 0, told: VecDeque::new(), told_at: Instant::now(), lost: 0 }
    }

    /// Drawn at the start.
    pub const fn boot_id(&self) -> u64 {
        self.boot_id
    }

    /// It counts from a window on; 0: from the first. What is as it was told last is not told.
    pub fn tell(&mut self, config: &Config, generation: u64, from_window_ns: u64) {
        let text = config.written();
        let text_sha256 = Sha256::digest(&text).iter().fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        if self.told.back().is_some_and(|told| (&told.config_hash, &told.text_sha256) == (&config.hash, &text_sha256)) {
            return;
        }
        let report = pb::ConfigReport {
            schema_version: SCHEMA_VERSION,
            appliance: config.appliance.name.clone(),
            pop: config.appliance.pop.clone(),
            boot_id: self.boot_id,
            sequence: 0,
            config_hash: config.hash.clone(),
            generation,
            from_window_ns,
            part: None,
            text,
            text_sha256,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        self.append(&report);
        self.told.push_back(report);
        self.told.drain(..self.told.len().saturating_sub(KEPT));
    }

    /// Tells again what fell off the journal before a sink had read it: whoever finds the hash in a report that comes later would not
    /// find what it stands for.
    pub fn look(&mut self, now: Instant) {
        let lost = self.journal.lost_configs();
        if lost == self.lost || now.saturating_duration_since(self.told_at) < AGAIN {
            return;
        }
        self.lost = lost;
        self.told_at = now;
        for report in std::mem::take(&mut self.told) {
            self.append(&report);
            self.told.push_back(report);
        }
    }

    fn append(&mut self, report: &pb::ConfigReport) {
        let parts = parts(&report.text, PART_BYTES_MAX);
        let of = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        for (part, number) in parts.into_iter().zip(1..) {
            self.sequence += 1;
            let part = pb::ConfigReport {
                schema_version: report.schema_version,
                appliance: report.appliance.clone(),
                pop: report.pop.clone(),
                boot_id: report.boot_id,
                sequence: self.sequence,
                config_hash: report.config_hash.clone(),
                generation: report.generation,
                from_window_ns: report.from_window_ns,
                part: Some(pb::Part { number, of }),
                text: part.to_owned(),
                text_sha256: report.text_sha256.clone(),
                version: report.version.clone(),
            };
            self.journal.append(Message::config(&part));
        }
    }
}

/// Cut between lines, as few as may be.
fn parts(text: &str, bytes_max: usize) -> Vec<&str> {
    let (mut parts, mut from, mut to) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        if to > from && to - from + line.len() > bytes_max {
            parts.push(&text[from..to]);
            from = to;
        }
        to += line.len();
    }
    parts.push(&text[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::journal::{Both, Bound, Kind, Next};

    #[test]
    fn parts_are_the_text_and_no_longer_than_they_may_be() {
        let text: String = (0..200).map(|n| "x".repeat(n * 7 % 90) + "\n").collect();
        for bytes_max in [1, 100, 1_000, 1 << 20] {
            let parts = parts(&text, bytes_max);
            assert_eq!(parts.concat(), text);
            let fits = |part: &&str| part.ends_with('\n') && (part.len() <= bytes_max || part.matches('\n').count() == 1);
            assert!(parts.iter().all(fits));
        }
        assert_eq!((parts("", 9), parts("a\nb", 9), parts("a\nb", 2)), (vec![""], vec!["a\nb"], vec!["a\n", "b"]));
    }

    /// Nothing of a secret is in it, wherever it was: in files, in comments, in a key that names a variable.
    #[test]
    fn a_configuration_is_told_whole_and_without_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let rows: String = (0..30_000).map(|n| format!("10.{}.{}.0/24,customer{n}\n", n / 256, n % 256)).collect();
        write("r.csv", &format!("prefix,customer\n# hunter-csv\n{rows}"));
        write("k.hex", &"5e".repeat(32));
        write("p.txt", "hunter-password\n");
        write("t.txt", "hunter-token-hunter-token\n");
        let file = folder.path().join("t.toml");
        let toml = "# hunter-comment\n[appliance]\nhash_key_file = \"k.hex\"\n[ranges]\nfile = \"r.csv\"\n[[stats]]\nname = \"s\"\n\
                    calculation = \"sum\"\n[sinks.kafka]\nbrokers = \"b:1\"\nsasl = \"PLAIN\"\nusername = \"u\"\npassword_file = \"p.txt\"\n\
                    [admin]\ntoken_file = \"t.txt\"\n";
        std::fs::write(&file, toml).unwrap();
        let config = crate::config::load(&file, &crate::stats::check).unwrap();
        let journal = Journal::new(Bound::default(), &["s"]);
        let cursor = Both::new(journal.cursors("s").unwrap());
        let mut configs = Configs::new(Arc::clone(&journal), 9);
        configs.tell(&config, 1, 0);
        let mut reports = Vec::new();
        while let Next::Message(message) = cursor.next(Duration::ZERO) {
            assert_eq!((message.kind, &message.key), (Kind::Configs, &config.hash));
            assert!(message.payload.len() < 1_000_000);
            reports.push(pb::ConfigReport::decode(&*message.payload).unwrap());
        }
        let of = u32::try_from(reports.len()).unwrap();
        assert!(of > 1, "the ranges are longer than a part");
        for (report, number) in reports.iter().zip(1..) {
            assert_eq!((report.sequence, report.part, report.boot_id), (u64::from(number), Some(pb::Part { number, of }), 9));
        }
        let text: String = reports.iter().map(|report| &report.text[..]).collect();
        let hash: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(reports.iter().all(|report| report.text_sha256 == hash));
        assert_eq!(text.lines().filter(|line| line.contains("/24,customer")).count(), 30_000);
        assert!(text.contains("calculation = \"sum\"") && text.contains("password_file = \"***\""));
        for secret in ["hunter", "5e5e5e", "p.txt", "t.txt", "k.hex"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }

    fn configured(toml: &str) -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("r.csv"), "prefix,customer\n10.0.0.0/8,a\n").unwrap();
        let file = folder.path().join("t.toml");
        std::fs::write(&file, format!("[ranges]\nfile = \"r.csv\"\n[[stats]]\nname = \"s\"\ncalculation = \"sum\"\n{toml}")).unwrap();
        let config = crate::config::load(&file, &crate::stats::check).unwrap();
        (folder, config)
    }

    /// Generations and sequences of what there is to read.
    fn read(cursor: &Both) -> Vec<(u64, u64)> {
        let mut told = Vec::new();
        while let Next::Message(message) = cursor.next(Duration::ZERO) {
            if message.kind == Kind::Configs {
                let report = pb::ConfigReport::decode(&*message.payload).unwrap();
                told.push((report.generation, report.sequence));
            }
            cursor.commit(1);
        }
        told
    }

    #[test]
    fn a_reload_that_changes_nothing_is_not_told() {
        let (_a, first) = configured("");
        let (_b, other_text) = configured("[appliance]\nhand_over = false\n");
        assert_eq!(first.hash, other_text.hash, "what changes no figure is not in the hash");
        let journal = Journal::new(Bound::default(), &["s"]);
        let cursor = Both::new(journal.cursors("s").unwrap());
        let mut configs = Configs::new(Arc::clone(&journal), 9);
        (1..=3).for_each(|generation| configs.tell(&first, generation, 0));
        (4..=5).for_each(|generation| configs.tell(&other_text, generation, 0));
        configs.tell(&first, 6, 0);
        assert_eq!(read(&cursor), [(1, 1), (4, 2), (6, 3)]);
    }

    #[test]
    fn what_fell_off_is_told_again_with_what_comes() {
        let (_a, first) = configured("");
        let (_b, second) = configured("[appliance]\nhand_over = false\n");
        let (_c, third) = configured("[appliance]\nshed = false\n");
        let journal = Journal::new(Bound { messages: 80, bytes: 1 << 20 }, &["s"]);
        let cursor = Both::new(journal.cursors("s").unwrap());
        let mut configs = Configs::new(Arc::clone(&journal), 9);
        configs.tell(&first, 1, 0);
        configs.tell(&second, 2, 0);
        configs.tell(&third, 3, 0);
        let at = |seconds| Instant::now() + Duration::from_secs(seconds);
        let flood =
            || (0..200).for_each(|n| assert!(journal.append(Message::range(&pb::RangeReport { sequence: n, ..Default::default() }))));
        configs.look(at(100));
        assert_eq!(journal.state().messages, 3, "nothing fell off");
        flood();
        assert_eq!(journal.lost_configs(), 3);
        configs.look(at(1));
        assert_eq!(journal.state().messages, 70, "once a minute at most");
        configs.look(at(100));
        configs.look(at(300));
        assert_eq!(read(&cursor), [(2, 4), (3, 5)]);
        // What was read does not fall off.
        flood();
        configs.look(at(500));
        assert_eq!(read(&cursor), []);
    }
}
