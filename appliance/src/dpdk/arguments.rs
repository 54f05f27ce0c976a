//! What EAL is asked for, and the words in which EAL wants it.

use std::collections::BTreeSet;

use super::error::DpdkError;
use super::memory::Memory;
use crate::limits::LCORES_MAX;

/// Which process owns EAL's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilePrefix {
    /// One process at a time under this name; a second is refused with the first's pid.
    Named(String),
    /// Nothing is shared and no file is left: any number of such processes run side by side.
    Private,
}

/// Whether hugepages are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hugepages {
    /// Where enough are free and mounted; else ordinary pages, with one warning.
    Auto,
    /// Ordinary pages, silently.
    Never,
}

/// An lcore and the CPUs that it may run on. Several lcores may share a CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LcorePin {
    /// EAL's number.
    pub lcore: u32,
    /// Never empty.
    pub cpus: Vec<usize>,
}

/// What [`super::Eal::init`] starts.
#[derive(Clone, Debug)]
pub struct EalConfig {
    /// Stands in EAL's log.
    pub program: String,
    /// Which process owns EAL's files.
    pub file_prefix: FilePrefix,
    /// All lcores; `main_lcore` must be one of them.
    pub lcores: Vec<LcorePin>,
    /// The lcore that the calling thread becomes.
    pub main_lcore: u32,
    /// PCI addresses that may be opened. Empty: the PCI bus is not looked at.
    pub pci: Vec<String>,
    /// Memory for pools and rings, MB. With ordinary pages a fixed reservation (touched as used); with hugepages what must be free.
    pub memory_mb: u32,
    /// Whether hugepages are used.
    pub hugepages: Hugepages,
}

impl EalConfig {
    /// For a process that reads no NIC: one lcore on each of `cpus` (which may repeat), the first being main.
    pub fn private(program: &str, cpus: &[usize]) -> Self {
        let pins = cpus.iter().zip(0u32..);
        Self {
            program: program.to_owned(),
            file_prefix: FilePrefix::Private,
            lcores: pins.map(|(&cpu, lcore)| LcorePin { lcore, cpus: vec![cpu] }).collect(),
            main_lcore: 0,
            pci: Vec::new(),
            memory_mb: 256,
            hugepages: Hugepages::Never,
        }
    }

    /// The faults that EAL would answer with its usage text.
    pub(super) fn check(&self) -> Result<(), DpdkError> {
        let usable: BTreeSet<usize> = core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
        let mut seen = BTreeSet::new();
        for pin in &self.lcores {
            let lcore = pin.lcore;
            if !seen.insert(lcore) {
                return Err(DpdkError::bad(format!("lcore {lcore} stands twice"), "name each lcore once"));
            }
            if usize::try_from(lcore).is_ok_and(|lcore| lcore >= LCORES_MAX) {
                return Err(DpdkError::bad(format!("lcore {lcore} is too high"), format!("lcores are 0 to {}", LCORES_MAX - 1)));
            }
            if pin.cpus.is_empty() {
                return Err(DpdkError::bad(format!("lcore {lcore} has no CPU"), "name at least one"));
            }
            if let Some(cpu) = pin.cpus.iter().find(|cpu| !usable.is_empty() && !usable.contains(cpu)) {
                let remedy = format!("this process may use CPUs {usable:?}: choose among them, or widen its cpuset");
                return Err(DpdkError::bad(format!("lcore {lcore} wants CPU {cpu}"), remedy));
            }
        }
        if !seen.contains(&self.main_lcore) {
            return Err(DpdkError::bad(format!("main lcore {} is not among the lcores", self.main_lcore), "add it"));
        }
        self.check_names()
    }

    fn check_names(&self) -> Result<(), DpdkError> {
        let plain = |text: &str| !text.is_empty() && !text.contains(['/', '\0', '%']) && text.len() < 64;
        if let FilePrefix::Named(prefix) = &self.file_prefix
            && !plain(prefix)
        {
            return Err(DpdkError::bad(format!("file prefix `{prefix}`"), "use up to 63 letters, digits, dashes"));
        }
        match self.program.contains('\0') || self.pci.iter().any(|address| address.contains('\0')) {
            true => Err(DpdkError::bad("a name holds a zero byte", "remove it")),
            false => Ok(()),
        }
    }

    /// EAL's command line.
    pub(super) fn arguments(&self, memory: &Memory) -> Vec<String> {
        let mut line = vec![self.program.clone(), "--lcores".into(), self.lcores_argument()];
        line.extend(["--main-lcore".into(), self.main_lcore.to_string(), "--no-telemetry".into()]);
        match self.pci.is_empty() {
            true => line.push("--no-pci".into()),
            false => line.extend(self.pci.iter().flat_map(|address| ["-a".to_owned(), address.clone()])),
        }
        let private = self.file_prefix == FilePrefix::Private;
        if let FilePrefix::Named(prefix) = &self.file_prefix {
            line.extend(["--file-prefix".into(), prefix.clone()]);
        }
        match memory {
            Memory::Ordinary { .. } => {
                line.extend(["--no-huge".into(), "-m".into(), self.memory_mb.max(16).to_string()]);
                // `--in-memory` is refused beside `--no-huge`.
                line.extend(private.then(|| "--no-shconf".to_owned()));
            }
            Memory::Huge { .. } if private => line.push("--in-memory".into()),
            Memory::Huge { directory, .. } => {
                // Pages go back to the machine even if this process is killed.
                line.push("--huge-unlink=always".into());
                if let Some(directory) = directory {
                    line.extend(["--huge-dir".into(), directory.display().to_string()]);
                }
            }
        }
        line
    }

    fn lcores_argument(&self) -> String {
        let pin = |pin: &LcorePin| match pin.cpus.as_slice() {
            [cpu] => format!("{}@{cpu}", pin.lcore),
            cpus => format!("{}@({})", pin.lcore, cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")),
        };
        self.lcores.iter().map(pin).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn line(config: &EalConfig, memory: &Memory) -> String {
        config.arguments(memory).join(" ")
    }

    #[test]
    fn a_private_process_shares_nothing() {
        let config = EalConfig::private("replay", &[0, 1, 1]);
        let ordinary = line(&config, &Memory::Ordinary { why: String::new() });
        assert_eq!(ordinary, "replay --lcores 0@0,1@1,2@1 --main-lcore 0 --no-telemetry --no-pci --no-huge -m 256 --no-shconf");
        let huge = line(&config, &Memory::Huge { page_bytes: 2 << 20, directory: None });
        assert!(huge.ends_with("--no-pci --in-memory"), "{huge}");
    }

    #[test]
    fn a_named_process_locks_its_prefix() {
        let config = EalConfig {
            file_prefix: FilePrefix::Named("pop1".into()),
            pci: vec!["0000:3b:00.0".into()],
            lcores: vec![LcorePin { lcore: 0, cpus: vec![0, 1] }],
            ..EalConfig::private("run", &[])
        };
        let memory = Memory::Huge { page_bytes: 1 << 30, directory: Some(PathBuf::from("/mnt/huge1G")) };
        let expected = "run --lcores 0@(0,1) --main-lcore 0 --no-telemetry -a 0000:3b:00.0 --file-prefix pop1 \
                        --huge-unlink=always --huge-dir /mnt/huge1G";
        assert_eq!(line(&config, &memory), expected);
        assert!(!line(&config, &Memory::Ordinary { why: String::new() }).contains("shconf"));
    }

    #[test]
    fn faults_are_told_before_eal_sees_them() {
        let good = EalConfig::private("x", &[0]);
        assert!(good.check().is_ok());
        let twice = EalConfig { lcores: [good.lcores.clone(), good.lcores.clone()].concat(), ..good.clone() };
        let far = EalConfig::private("x", &[0, 4_000]);
        let main = EalConfig { main_lcore: 7, ..good.clone() };
        let prefix = EalConfig { file_prefix: FilePrefix::Named("a/b".into()), ..good };
        for (config, word) in [(twice, "twice"), (far, "CPU 4000"), (main, "main lcore 7"), (prefix, "a/b")] {
            let said = config.check().expect_err(word).to_string();
            assert!(said.contains(word), "{said}");
        }
    }
}
