//! What keys of packets are looked up in: read when the first key asks, and shared by all of a configuration.

use std::cell::{OnceCell, RefCell};
use std::path::PathBuf;
use std::sync::Arc;

use super::fault::Faults;
use super::walk::{At, Book};
use crate::axes::Key;
use crate::origins::{Origins, Unreadable};

/// Where countries and AS of packets are looked up.
#[derive(Clone, Debug, Default)]
pub(super) struct Databases {
    pub(super) asn: Option<PathBuf>,
    pub(super) country: Option<PathBuf>,
}

/// The databases, and what they became.
#[derive(Default)]
pub(super) struct LookedUp {
    databases: RefCell<Databases>,
    origins: OnceCell<Option<Arc<Origins>>>,
}

impl Book<'_> {
    /// What keys may be looked up in, from here on.
    pub(super) fn name_databases(&self, databases: Databases) {
        *self.looked_up.databases.borrow_mut() = databases;
    }

    /// What a key is looked up in, if it is. A fault where there is no such database.
    pub(super) fn origins(&self, at: &At, parts: &[Key]) -> Option<Arc<Origins>> {
        let databases = self.looked_up.databases.borrow().clone();
        for part in parts.iter().filter(|part| part.is_looked_up()) {
            let is_asn = matches!(part, Key::SrcAsn | Key::DstAsn);
            let (own, what, key) = if is_asn { (&databases.asn, "AS", "asn") } else { (&databases.country, "country", "country") };
            if own.is_none() {
                let remedy = format!("write [enrich] and below it {key} = \"{key}.mmdb\"");
                self.fault(at, format!("needs a database of each address's {what}"), remedy);
                return None;
            }
        }
        if parts.iter().any(|part| part.is_looked_up()) {
            self.looked_up.origins.get_or_init(|| self.read_all(&databases)).clone()
        } else {
            None
        }
    }

    fn read_all(&self, databases: &Databases) -> Option<Arc<Origins>> {
        match Origins::load(databases.asn.as_deref(), databases.country.as_deref()) {
            Ok(origins) => Some(Arc::new(origins)),
            Err(Unreadable { file, what, remedy }) => {
                self.join(Faults::of_file(&file, what, remedy));
                None
            }
        }
    }
}
