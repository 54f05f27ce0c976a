//! `[cores]` and `[[ports]]`: what runs where. Whether the machine has them is `check`'s business.

use super::walk::{Field, Section};
use crate::limits::{LCORES_MAX, PORTS_MAX};

/// How work is spread over cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `run-to-completion`
    RunToCompletion,
    /// `pipeline`
    Pipeline,
}

impl Mode {
    /// All of them, with their spelling.
    pub const ALL: [(&'static str, Self); 2] = [("run-to-completion", Self::RunToCompletion), ("pipeline", Self::Pipeline)];

    /// As it is written.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }
}

/// `[cores]`: lcore ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Default `run-to-completion`.
    pub mode: Mode,
    /// Main lcore.
    pub main: u32,
    /// Receiving lcores.
    pub rx: Vec<u32>,
    /// Workers; empty in run-to-completion.
    pub workers: Vec<u32>,
    /// The reporter.
    pub reporter: u32,
    /// Sinks and admin; empty: they share the main lcore's CPU.
    pub io: Vec<u32>,
}

/// One of `[[ports]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// PCI address or vdev string.
    pub device: String,
    /// Default 1.
    pub queues: u16,
    /// Default: the device.
    pub feed: String,
    /// Default 0.
    pub min_pps: u64,
}

const CORE: std::ops::RangeInclusive<u64> = 0..=LCORES_MAX as u64 - 1;
/// Receive queues of one port: no known NIC has use for more, and the core map could not poll them.
const QUEUES_MAX: u64 = 128;

/// `None` where the section is absent, or where a fault was noted.
pub(super) fn read(root: &Section<'_, '_>) -> Option<Cores> {
    let section = root.section("cores", "[cores]")?;
    let mut used = Used::default();
    let mode = section.take("mode").map_or(Some(Mode::RunToCompletion), |f| f.choice(&Mode::ALL));
    let main = section.require("main", "main = 0: the main lcore").and_then(|f| used.one(&f));
    let rx = section.require("rx", "rx = [1]: the lcores that receive").and_then(|f| used.list(&f, "rx = [1]"));
    let workers = workers(&section, mode, &mut used);
    let reporter = section.require("reporter", "reporter = 2: the lcore that reports").and_then(|f| used.one(&f));
    let io = section.take("io").map_or(Some(Vec::new()), |f| used.list(&f, "io = [3]"));
    section.close();
    Some(Cores { mode: mode?, main: main?, rx: rx?, workers: workers?, reporter: reporter?, io: io? })
}

fn workers(section: &Section<'_, '_>, mode: Option<Mode>, used: &mut Used) -> Option<Vec<u32>> {
    match (mode?, section.take("workers")) {
        (Mode::RunToCompletion, None) => Some(Vec::new()),
        (Mode::RunToCompletion, Some(f)) => {
            f.fault(
                "has no place in the mode run-to-completion, where receiving lcores do the work",
                "remove it, or write mode = \"pipeline\"",
            );
            None
        }
        (Mode::Pipeline, Some(f)) => used.list(&f, "workers = [2, 3]"),
        (Mode::Pipeline, None) => {
            section.fault("workers", "is missing in the mode pipeline", "write workers = [2, 3], or mode = \"run-to-completion\"");
            None
        }
    }
}

/// Which lcore has which place.
#[derive(Default)]
struct Used(Vec<(u32, String)>);

impl Used {
    fn one(&mut self, field: &Field<'_, '_>) -> Option<u32> {
        let core = u32::try_from(field.integer(&CORE)?).ok()?;
        if let Some((_, place)) = self.0.iter().find(|(c, _)| *c == core) {
            field.fault(format!("lcore {core} is used twice: it already stands in {place}"), "give each place an lcore of its own");
        }
        self.0.push((core, field.at.key.clone()));
        Some(core)
    }

    fn list(&mut self, field: &Field<'_, '_>, example: &str) -> Option<Vec<u32>> {
        let list = field.list(example)?;
        if list.is_empty() {
            field.fault("is empty", format!("name one lcore at least, such as {example}"));
        }
        list.iter().map(|f| self.one(f)).collect()
    }
}

/// `[[ports]]`
pub(super) fn read_ports(root: &Section<'_, '_>) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    for mut row in root.rows("ports") {
        let device = row.require("device", "device = \"0000:3b:00.0\", or a vdev such as \"net_af_packet0,iface=eth1\"");
        let device = device.and_then(|f| f.text("\"0000:3b:00.0\"")).unwrap_or_default().to_owned();
        row.named(&device);
        let queues = row.integer("queues", 1..=QUEUES_MAX).and_then(|q| u16::try_from(q).ok()).unwrap_or(1);
        let feed = row.text("feed", "\"mirror-a\"").map_or_else(|| device.clone(), str::to_owned);
        let min_pps = row.integer("min_pps", 0..=u64::from(u32::MAX)).unwrap_or(0);
        let name = |p: &str| p.split(',').next().unwrap_or_default().to_owned();
        if !device.is_empty() && ports.iter().any(|p| name(&p.device) == name(&device)) {
            row.fault("device", format!("{} is named twice", name(&device)), "give each port a device of its own");
        }
        if ports.len() == PORTS_MAX {
            row.fault("device", format!("is one port more than the {PORTS_MAX} that an appliance may have"), "remove it");
        }
        row.close();
        ports.push(Port { device, queues, feed, min_pps });
    }
    ports
}
