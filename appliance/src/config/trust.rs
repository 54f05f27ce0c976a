//! TLS and SASL of `[sinks.kafka]`: how a broker is trusted, and how it trusts us.

use std::path::PathBuf;

use super::appliance::beside;
use super::fault::Fault;
use super::secret::{SecretPlace, is_open_to_all};
use super::walk::Section;

/// How connections to brokers are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// `tls = true`; none: in plain text.
    pub tls: Option<Tls>,
    /// `sasl`; none: nobody asks who we are, or the certificate says it.
    pub sasl: Option<Sasl>,
}

/// Certificates, as PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who must have signed the brokers' certificates; none: whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key.
    pub own: Option<Own>,
}

/// A certificate that brokers know us by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// `cert_file`
    pub cert_file: PathBuf,
    /// `key_file`
    pub key_file: PathBuf,
    /// `key_password_file`
    pub key_password: Option<SecretPlace>,
}

/// Who we are to the brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: &'static str,
    /// As the brokers know it.
    pub username: String,
    /// `password_file` or `password_env`.
    pub password: SecretPlace,
}

const MECHANISMS: [(&str, &str); 3] = [("PLAIN", "PLAIN"), ("SCRAM-SHA-256", "SCRAM-SHA-256"), ("SCRAM-SHA-512", "SCRAM-SHA-512")];

impl Trust {
    /// What works and should not be left so: what, and what mends it.
    pub fn weaknesses(&self) -> Vec<(String, String)> {
        let own = self.tls.iter().filter_map(|tls| tls.own.as_ref());
        let of_key = own.flat_map(|own| [Some(own.key_file.as_path()), own.key_password.as_ref().and_then(SecretPlace::file)]);
        let files = of_key.chain(self.sasl.iter().map(|sasl| sasl.password.file())).flatten().filter(|file| is_open_to_all(file));
        let open = files.map(|file| (format!("everybody may read {}", file.display()), format!("chmod o= {}", file.display())));
        let naked = self.sasl.as_ref().filter(|sasl| sasl.mechanism == "PLAIN" && self.tls.is_none());
        let plain = naked.map(|_| {
            ("the password goes over the network as it is: sasl = \"PLAIN\" without TLS".to_owned(), "write tls = true".to_owned())
        });
        open.chain(plain).collect()
    }
}

/// Both, and what of their files cannot be read.
pub(super) fn read(section: &Section<'_, '_>, is_embedded: bool) -> (Trust, Vec<Fault>) {
    let mut unreadable = Vec::new();
    let trust = Trust { tls: tls(section, &mut unreadable), sasl: sasl(section, &mut unreadable) };
    for (key, is_set) in [("tls", trust.tls.is_some()), ("sasl", trust.sasl.is_some())] {
        if is_embedded && is_set {
            section.fault(key, "is nothing that the embedded cluster can", "take it out, or name real brokers");
        }
    }
    for (key, kept) in [("password", "password_file = \"kafka.password\""), ("key_password", "key_password_file = \"kafka-key.password\"")]
    {
        // Looked for among what nobody took: it shall not be listed as a key that there is.
        if let Some((_, field)) = section.rest().into_iter().find(|(name, _)| name == key) {
            section.forget([key]);
            let or_env = if key == "password" { "; or password_env = \"KAFKA_PASSWORD\"" } else { "" };
            field.fault("may not stand in a configuration", format!("write it into a file, chmod 600, and here {kept}{or_env}"));
        }
    }
    (trust, unreadable)
}

fn tls(section: &Section<'_, '_>, unreadable: &mut Vec<Fault>) -> Option<Tls> {
    let is_on = section.flag("tls").unwrap_or(false);
    let mut file = |key, example: &str| {
        let field = section.take(key)?;
        let path = beside(section.book().file(), field.text(example)?);
        if !is_on {
            field.fault("is of no use without TLS", "write tls = true, or take it out");
        } else if let Err(fault) = std::fs::File::open(&path).and_then(|mut file| std::io::Read::read(&mut file, &mut [0])) {
            let remedy = "name a file in PEM that the user that runs the appliance may read";
            unreadable.push(field.later(format!("{} cannot be read: {fault}", path.display()), remedy));
        }
        Some(path)
    };
    let ca_file = file("ca_file", "\"ca.pem\"");
    let (cert_file, key_file) = (file("cert_file", "\"tailwater.pem\""), file("key_file", "\"tailwater.key\""));
    let key_password = secret_file(section, "key_password_file", "\"key.password\"", unreadable);
    for (key, has, other, wants) in [
        ("cert_file", cert_file.is_some(), "key_file", key_file.is_some()),
        ("key_file", key_file.is_some(), "cert_file", cert_file.is_some()),
        ("key_password_file", key_password.is_some(), "key_file", key_file.is_some()),
    ] {
        if has && !wants {
            section.fault(key, format!("is of no use without {other}"), format!("write {other} too, or take it out"));
        }
    }
    let own = cert_file.zip(key_file).map(|(cert_file, key_file)| Own { cert_file, key_file, key_password });
    is_on.then_some(Tls { ca_file, own })
}

fn sasl(section: &Section<'_, '_>, unreadable: &mut Vec<Fault>) -> Option<Sasl> {
    let wanted = section.take("sasl");
    let mechanism = wanted.as_ref().and_then(|field| field.choice(&MECHANISMS));
    let username = section.text("username", "\"tailwater\"");
    let file = secret_file(section, "password_file", "\"kafka.password\"", unreadable);
    let env = variable(section, "password_env", "\"KAFKA_PASSWORD\"", unreadable);
    let given = [("username", username.is_some()), ("password_file", file.is_some()), ("password_env", env.is_some())];
    let Some(wanted) = wanted else {
        for (key, _) in given.iter().filter(|(_, is_set)| *is_set) {
            section.fault(key, "is of no use without sasl", "write sasl = \"SCRAM-SHA-512\", or take it out");
        }
        return None;
    };
    if username.is_none() && !section.has("username") {
        wanted.fault("has no username", "write username = \"tailwater\"");
    }
    if file.is_some() && env.is_some() {
        section.fault("password_env", "is a second password", "keep password_file or password_env, not both");
    }
    let password = file.or(env);
    if password.is_none() && !section.has("password_file") && !section.has("password_env") && !section.has("password") {
        wanted.fault("has no password", "write password_file = \"kafka.password\", or password_env = \"KAFKA_PASSWORD\"");
    }
    Some(Sasl { mechanism: mechanism?, username: username?.to_owned(), password: password? })
}

pub(super) fn secret_file(section: &Section<'_, '_>, key: &'static str, example: &str, unreadable: &mut Vec<Fault>) -> Option<SecretPlace> {
    let field = section.take(key)?;
    let place = SecretPlace::File(beside(section.book().file(), field.text(example)?));
    unreadable.extend(place.read().err().map(|fault| field.later(fault.what, fault.remedy)));
    Some(place)
}

pub(super) fn variable(section: &Section<'_, '_>, key: &'static str, example: &str, unreadable: &mut Vec<Fault>) -> Option<SecretPlace> {
    let field = section.take(key)?;
    let name = field.text(example)?;
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        field.fault("is no name of a variable", format!("write for instance {example}: its value is set in the environment"));
        return None;
    }
    let place = SecretPlace::Env(name.to_owned());
    unreadable.extend(place.read().err().map(|fault| field.later(fault.what, fault.remedy)));
    Some(place)
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test says what it expects")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use crate::config::{self, Config};

    const HEAD: &str = "[ranges]\nfile = \"r.csv\"\n[[stats]]\nname = \"s\"\ncalculation = \"sum\"\n[[ports]]\ndevice = \"net_null0\"\n\
                        [sinks.kafka]\nbrokers = \"127.0.0.1:9092\"\n";

    fn load(folder: &std::path::Path, rows: &str) -> Config {
        std::fs::write(folder.join("r.csv"), "prefix,customer\n10.0.0.0/8,a\n").unwrap();
        std::fs::write(folder.join("t.toml"), [HEAD, rows].concat()).unwrap();
        config::load(&folder.join("t.toml"), &crate::stats::check).unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// The configuration holds places of secrets alone: one that is exchanged on disk makes it no other.
    #[test]
    fn everything_is_read_and_no_secret_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let rows = "tls = true\nca_file = \"ca\"\ncert_file = \"c\"\nkey_file = \"k\"\nkey_password_file = \"kp\"\n\
                    sasl = \"SCRAM-SHA-512\"\nusername = \"u\"\npassword_file = \"p\"\n";
        for name in ["ca", "c", "k", "kp", "p"] {
            write(name, "hunter2\n");
        }
        let config = load(folder.path(), rows);
        config.for_run().unwrap();
        assert!(!format!("{config:?} {config:#?}").contains("hunter2"));
        let kafka = config.sinks.kafka.as_ref().unwrap();
        let sasl = kafka.trust.sasl.as_ref().unwrap();
        assert_eq!((sasl.mechanism, &*sasl.username, sasl.password.read().unwrap().expose()), ("SCRAM-SHA-512", "u", "hunter2"));
        let own = kafka.trust.tls.as_ref().unwrap().own.as_ref().unwrap();
        assert_eq!(own.key_file, folder.path().join("k"));
        write("p", "another\n");
        assert_eq!(load(folder.path(), rows).sinks, config.sinks);
        std::fs::remove_file(folder.path().join("p")).unwrap();
        let without = load(folder.path(), rows);
        assert!(without.sinks == config.sinks && without.for_run().is_err(), "a reload does not mind");
    }

    /// Faults to `run` alone, all of them at once: who replays need not have the files.
    #[test]
    fn what_cannot_be_read_is_a_fault_to_run() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        let rows = "tls = true\nca_file = \"absent\"\ncert_file = \".\"\nkey_file = \"empty\"\nkey_password_file = \"empty\"\n\
                    sasl = \"PLAIN\"\nusername = \"u\"\npassword_env = \"TAILWATER_NONE_SUCH\"\n";
        let faults = load(folder.path(), rows).for_run().unwrap_err().to_string();
        let said: Vec<&str> = faults.lines().map(|line| line.split_once("t.toml:").unwrap().1).collect();
        assert_eq!(said.len(), 4, "{faults}");
        let expected = [
            "11: sinks.kafka.ca_file: ",
            "12: sinks.kafka.cert_file: ",
            "14: sinks.kafka.key_password_file: ",
            "17: sinks.kafka.password_env: ",
        ];
        assert!(said.iter().zip(expected).all(|(said, start)| said.starts_with(start)), "{faults}");
    }

    #[test]
    fn what_should_not_be_left_so_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p");
        std::fs::write(&file, "hunter2").unwrap();
        let rows = "sasl = \"PLAIN\"\nusername = \"u\"\npassword_file = \"p\"\n";
        for (mode, tls, told) in [(0o604, "", 2), (0o600, "", 1), (0o644, "tls = true\n", 1), (0o640, "tls = true\n", 0)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let weak = load(folder.path(), &[rows, tls].concat()).sinks.kafka.unwrap().trust.weaknesses();
            assert_eq!(weak.len(), told, "{weak:?}");
        }
    }
}
