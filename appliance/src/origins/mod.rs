//! Which country and which autonomous system an address belongs to.
//!
//! Databases in MaxMind's format are read once and laid out anew ([`database`], [`Spans`]): an address then costs a look and a short
//! search. Nothing is decoded for a packet, nothing allocated.

pub mod database;
mod record;
mod spans;
mod tree;

use std::path::Path;

use sha2::{Digest as _, Sha256};

pub use database::Unreadable;
pub use spans::Spans;

/// What keys of packets are looked up in. Never changes; a reload makes another one.
#[derive(Debug, Default)]
pub struct Origins {
    systems: Spans,
    countries: Spans,
    digest: String,
}

impl Origins {
    /// Of a database of AS numbers, and one of countries.
    ///
    /// # Errors
    /// One is no such database: which, and why.
    pub fn load(asn: Option<&Path>, country: Option<&Path>) -> Result<Self, Unreadable> {
        let mut hash = Sha256::new();
        let mut read = |file: Option<&Path>, what: &str, of: &dyn Fn(&serde_json::Value) -> Option<u32>| {
            let Some(file) = file else { return Ok(Spans::default()) };
            let bytes = database::bytes(file)?;
            hash.update(&bytes);
            database::numbers(file, bytes, what, of)
        };
        let systems = read(asn, database::SYSTEM, &database::system)?;
        let countries = read(country, database::COUNTRY, &|record| database::country(record).and_then(number_of))?;
        let digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { systems, countries, digest })
    }

    /// The AS number of an address of 4 or 16 bytes.
    #[inline]
    pub fn asn(&self, address: &[u8]) -> Option<u32> {
        self.systems.lookup(address)
    }

    /// Two letters of ISO 3166-1.
    #[inline]
    pub fn country(&self, address: &[u8]) -> Option<[u8; 2]> {
        let [_, _, a, b] = self.countries.lookup(address)?.to_be_bytes();
        Some([a, b])
    }

    /// SHA-256 of the files, hex: figures depend on them.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// Two letters as a number; nothing else is a country.
fn number_of(code: &str) -> Option<u32> {
    match code.as_bytes() {
        [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Some(u32::from(*a) << 8 | u32::from(*b)),
        _ => None,
    }
}
