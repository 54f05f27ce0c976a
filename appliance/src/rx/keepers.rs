//! Who keeps the wall clock: daemons that run, by their names, and the hardware clock that PTP's have it follow. Off the data path, now and
//! then.
//!
//! The kernel says whether its clock is disciplined, never by whom. So names are looked for in `/proc/PID/comm`: in a container, or where
//! `/proc` hides what others run (`hidepid`), they are not seen.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::phc;
pub use super::phc::Phc;

/// A daemon is started or stopped rarely, and to look for it costs as many small reads as there are processes.
const NAMES_EACH: Duration = Duration::from_secs(60);
/// Processes that are looked at, at most.
const PROCESSES_MAX: usize = 65_536;

/// What a daemon sets a clock by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Ntp,
    Ptp,
}

/// A process's name as the kernel keeps it (15 bytes of it), the daemon's, and what it speaks.
const DAEMONS: [(&str, &str, Protocol); 13] = [
    ("chronyd", "chronyd", Protocol::Ntp),
    ("ntpd", "ntpd", Protocol::Ntp),
    ("ntp-daemon", "ntpd-rs", Protocol::Ntp),
    ("ntpsec", "ntpsec", Protocol::Ntp),
    ("openntpd", "openntpd", Protocol::Ntp),
    (PHC2SYS, PHC2SYS, Protocol::Ptp),
    ("ptp4l", "ptp4l", Protocol::Ptp),
    ("ptpd", "ptpd", Protocol::Ptp),
    ("ptpd2", "ptpd2", Protocol::Ptp),
    ("sfptpd", "sfptpd", Protocol::Ptp),
    ("statime", "statime", Protocol::Ptp),
    ("systemd-timesyn", "systemd-timesyncd", Protocol::Ntp),
    // It starts others of these, of both kinds, which are seen too.
    ("timemaster", "timemaster", Protocol::Ptp),
];

/// What has the wall clock follow a hardware clock, whatever that one follows.
const PHC2SYS: &str = "phc2sys";

/// What is known of who keeps the clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keepers {
    /// Daemons that run, by name, ascending; none where nobody can tell.
    pub daemons: Option<Vec<&'static str>>,
    /// The hardware clock that the wall clock follows, where one of those has it do so and it can be read.
    pub phc: Option<Phc>,
}

/// In the messages' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discipline {
    /// No such daemon is seen, and the kernel says that nobody disciplines its clock.
    None,
    /// Daemons of NTP alone.
    Ntp,
    /// Daemons of PTP alone.
    Ptp,
    /// Daemons of both kinds: one of PTP may set a hardware clock that one of NTP reads.
    Both,
    /// None is seen, but the kernel does not say that there is none.
    Unknown,
}

impl Discipline {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ntp => "ntp",
            Self::Ptp => "ptp",
            Self::Both => "both",
            Self::Unknown => "unknown",
        }
    }

    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Ntp, Self::Ptp, Self::Both, Self::Unknown];
}

impl Keepers {
    fn has(&self, protocol: Protocol) -> bool {
        let of = |name: &&str| DAEMONS.iter().any(|(_, daemon, speaks)| daemon == name && *speaks == protocol);
        self.daemons.iter().flatten().any(of)
    }

    /// By the daemons that run; `is_unsynced`: the kernel says that nobody disciplines its clock.
    pub fn discipline(&self, is_unsynced: bool) -> Discipline {
        match (self.has(Protocol::Ntp), self.has(Protocol::Ptp)) {
            (true, true) => Discipline::Both,
            (true, false) => Discipline::Ntp,
            (false, true) => Discipline::Ptp,
            (false, false) if is_unsynced && self.daemons.is_some() => Discipline::None,
            (false, false) => Discipline::Unknown,
        }
    }

    /// Whether the wall clock follows a hardware clock and nothing else.
    pub fn is_of_phc(&self) -> bool {
        self.daemons.iter().flatten().any(|name| *name == PHC2SYS) && !self.has(Protocol::Ntp)
    }

    /// Whether it may: by `phc2sys`, or by a daemon of NTP that reads what one of PTP sets.
    fn may_follow(&self) -> bool {
        self.is_of_phc() || self.has(Protocol::Ntp) && self.has(Protocol::Ptp)
    }
}

/// Looks for them.
#[derive(Debug)]
pub struct Lookout {
    processes: PathBuf,
    devices: PathBuf,
    looked_at: Option<Instant>,
    seen: Keepers,
}

impl Default for Lookout {
    fn default() -> Self {
        Self::at(Path::new("/proc"), Path::new("/dev"))
    }
}

impl Lookout {
    /// In folders that are like `/proc` and `/dev`.
    pub fn at(processes: &Path, devices: &Path) -> Self {
        Self { processes: processes.to_owned(), devices: devices.to_owned(), looked_at: None, seen: Keepers::default() }
    }

    /// What there is now; `tai_s`: what the kernel was told of how far TAI is ahead of UTC. To be called about once a second: names are
    /// looked for once a minute, and hardware clocks read only where one is followed.
    pub fn look(&mut self, tai_s: i32) -> &Keepers {
        if self.looked_at.is_none_or(|at| at.elapsed() >= NAMES_EACH) {
            self.looked_at = Some(Instant::now());
            self.seen.daemons = running(&self.processes);
        }
        self.seen.phc = if self.seen.may_follow() { phc::nearest(&phc::read_all(&self.devices), tai_s) } else { None };
        &self.seen
    }
}

/// Names of such daemons among the processes; none where there is no list of them.
fn running(processes: &Path) -> Option<Vec<&'static str>> {
    let is_process = |entry: &std::fs::DirEntry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
    let all = std::fs::read_dir(processes).ok()?.flatten().filter(is_process).take(PROCESSES_MAX);
    // One that has ended meanwhile has no name.
    let names = all.filter_map(|process| std::fs::read_to_string(process.path().join("comm")).ok());
    let daemon = |name: String| DAEMONS.iter().find(|(comm, ..)| *comm == name.trim_end()).map(|(_, daemon, _)| *daemon);
    let mut found: Vec<_> = names.filter_map(daemon).collect();
    found.sort_unstable();
    found.dedup();
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder like `/proc`, of processes of these names.
    fn processes(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (pid, name) in names.iter().enumerate() {
            let process = folder.path().join(format!("{}", 100 + pid));
            std::fs::create_dir(&process).unwrap();
            std::fs::write(process.join("comm"), format!("{name}\n")).unwrap();
        }
        std::fs::create_dir(folder.path().join("sys")).unwrap();
        std::fs::write(folder.path().join("sys/comm"), "chronyd\n").unwrap();
        std::fs::create_dir(folder.path().join("99")).unwrap(); // It has ended meanwhile.
        folder
    }

    #[test]
    fn who_runs_is_known_by_name() {
        let rows: [(&[&str], &[&str], Discipline, bool); 9] = [
            (&["systemd", "bash"], &[], Discipline::Unknown, false),
            (&["systemd-timesyn"], &["systemd-timesyncd"], Discipline::Ntp, false),
            (&["chronyd", "chronyd", "bash"], &["chronyd"], Discipline::Ntp, false),
            (&["ntpd", "ntp-daemon"], &["ntpd", "ntpd-rs"], Discipline::Ntp, false),
            (&["ptp4l"], &["ptp4l"], Discipline::Ptp, false),
            (&["phc2sys", "ptp4l"], &["phc2sys", "ptp4l"], Discipline::Ptp, true),
            (&["chronyd", "ptp4l"], &["chronyd", "ptp4l"], Discipline::Both, false),
            (&["timemaster", "chronyd", "ptp4l", "phc2sys"], &["chronyd", "phc2sys", "ptp4l", "timemaster"], Discipline::Both, false),
            (&["chronyd2", "xntpd", "ptp4l-watch"], &[], Discipline::Unknown, false),
        ];
        for (names, expected, discipline, is_of_phc) in rows {
            let (folder, devices) = (processes(names), tempfile::tempdir().unwrap());
            let mut lookout = Lookout::at(folder.path(), devices.path());
            let keepers = lookout.look(37);
            assert_eq!(keepers.daemons.as_deref(), Some(expected), "{names:?}");
            assert_eq!((keepers.discipline(false), keepers.is_of_phc(), &keepers.phc), (discipline, is_of_phc, &None), "{names:?}");
            let unsynced = if discipline == Discipline::Unknown { Discipline::None } else { discipline };
            assert_eq!(keepers.discipline(true), unsynced, "{names:?}");
        }
    }

    #[test]
    fn without_a_list_nobody_knows() {
        let mut lookout = Lookout::at(Path::new("/nowhere/proc"), Path::new("/nowhere/dev"));
        let keepers = lookout.look(0);
        assert_eq!((keepers, keepers.discipline(true)), (&Keepers::default(), Discipline::Unknown));
    }

    #[test]
    fn names_fit_what_the_kernel_keeps_and_this_machine_can_be_asked() {
        assert!(DAEMONS.iter().all(|(comm, ..)| comm.len() <= 15) && DAEMONS.is_sorted_by_key(|(_, daemon, _)| *daemon));
        assert!(Lookout::default().look(0).daemons.is_some());
    }
}
