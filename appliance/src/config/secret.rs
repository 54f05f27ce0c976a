//! Secrets: where one is kept, and its text. The configuration holds the place alone; who needs the text reads it.

use std::fmt;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Permission of a file that lets everybody read it.
const ALL_MAY_READ: u32 = 0o004;

/// A secret's text. Nothing prints it, and its memory is overwritten when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself, for the one who must have it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    /// A file of one line.
    File(PathBuf),
    /// A variable of the process's environment.
    Env(String),
}

/// No secret could be read: what is wrong, and what mends it. Holds nothing of the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct NoSecret {
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub remedy: &'static str,
}

impl SecretPlace {
    /// The secret as it is now.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it is no line of text.
    pub fn read(&self) -> Result<Secret, NoSecret> {
        match self {
            Self::File(file) => read_file(file),
            // The name is not told: who takes it for the place of the secret itself has written that there.
            Self::Env(name) => {
                let text = std::env::var(name).map(Zeroizing::new).map_err(|_| NoSecret {
                    what: "names no variable of the environment that holds text".to_owned(),
                    remedy: "write a variable's name here, and set it for the appliance, in the service's EnvironmentFile say",
                })?;
                line(&text, "the variable")
            }
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Env(_) => None,
        }
    }
}

fn read_file(file: &Path) -> Result<Secret, NoSecret> {
    let bytes = std::fs::read(file).map(Zeroizing::new).map_err(|fault| {
        let remedy = match fault.kind() {
            ErrorKind::NotFound => "write the secret into it, one line, chmod 600",
            _ => "let the user that runs the appliance read it, and nobody else",
        };
        NoSecret { what: format!("{} cannot be read: {fault}", file.display()), remedy }
    })?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => line(text, &file.display().to_string()),
        Err(_) => Err(NoSecret { what: format!("{} is no text", file.display()), remedy: "save it as UTF-8" }),
    }
}

/// One line, which may end in a line break; blanks are the secret's own.
fn line(text: &str, place: &str) -> Result<Secret, NoSecret> {
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    let refuse = |what: &str| Err(NoSecret { what: format!("{place} {what}"), remedy: "it must hold the secret, one line" });
    match text {
        "" => refuse("is empty"),
        text if text.contains(['\n', '\0']) => refuse("holds more than one line"),
        text => Ok(Secret(Zeroizing::new(text.to_owned()))),
    }
}

/// Whether everybody on this machine may read a file that nobody else should.
pub(super) fn is_open_to_all(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|file| file.permissions().mode() & ALL_MAY_READ != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let place = SecretPlace::File(folder.path().join("p"));
        let read = |text: &[u8]| {
            std::fs::write(folder.path().join("p"), text).unwrap();
            place.read()
        };
        for (text, secret) in [("a b\n", "a b"), (" ab\r\n", " ab"), ("ab", "ab"), ("ü", "ü")] {
            let got = read(text.as_bytes()).unwrap();
            assert_eq!((got.expose(), format!("{got} {got:?} {got:#?}").as_str()), (secret, "*** *** ***"));
        }
        for (text, what) in
            [(&b""[..], "is empty"), (b"\n", "is empty"), (b"hunter2\nb", "more than one line"), (b"hunter2\xFF", "no text")]
        {
            let fault = read(text).unwrap_err();
            assert!(fault.to_string().contains(what) && !format!("{fault} {fault:?}").contains("hunter2"), "{fault}");
        }
        let fault = SecretPlace::Env("hunter2".to_owned()).read().unwrap_err().to_string();
        assert!(fault.contains("names no variable") && !fault.contains("hunter2"), "{fault}");
        assert!(SecretPlace::Env("PATH".to_owned()).read().is_ok());
        assert!(SecretPlace::File("/nowhere/p".into()).read().unwrap_err().remedy.contains("chmod 600"));
    }

    #[test]
    fn a_file_that_all_may_read_is_told_from_one_that_is_kept() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, open) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_open_to_all(file.path()), open, "{mode:o}");
        }
    }
}
