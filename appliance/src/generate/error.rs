//! What can go wrong while traffic is made.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Traffic could not be made.
#[derive(Debug)]
pub enum GenerateError {
    /// The scenario is wrong: its name or file, and every fault in it.
    Scenario(String, Vec<String>),
    /// A file could not be created or written.
    Write(PathBuf, io::Error),
}

impl GenerateError {
    pub(super) fn write(file: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Write(file.to_owned(), error)
    }

    /// Whether what was asked for was wrong (exit status 2), and not what happened (1).
    pub const fn before_start(&self) -> bool {
        matches!(self, Self::Scenario(..))
    }
}

impl std::error::Error for GenerateError {}

impl fmt::Display for GenerateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scenario(name, faults) => {
                let faults = faults.iter().map(|fault| fault.trim_end()).collect::<Vec<_>>();
                write!(f, "scenario {name}: {}", faults.join(&format!("\nscenario {name}: ")))
            }
            Self::Write(file, error) => write!(f, "{}: cannot be written: {error}", file.display()),
        }
    }
}
