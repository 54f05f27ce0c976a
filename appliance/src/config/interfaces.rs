//! `[flows.interfaces]` and `[flows] random_samplers`: where flows cross the network's edge, and whose sampling is random.

use std::collections::HashMap;
use std::net::IpAddr;

use super::walk::{Field, Section};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interfaces {
    /// `external` and `internal`, sorted: an exporter's interface, or all of them, and whether it is external.
    pub listed: Vec<(IpAddr, Option<u32>, bool)>,
    /// `default`: what is not listed is external.
    pub default_external: bool,
    /// Exporters whose samplers are random, though they do not say so; sorted.
    pub random: Vec<IpAddr>,
    /// So are those of all.
    pub all_random: bool,
}

impl Default for Interfaces {
    fn default() -> Self {
        Self { listed: Vec::new(), default_external: true, random: Vec::new(), all_random: false }
    }
}

const EXAMPLE: &str = "[\"192.0.2.1/3\", \"192.0.2.2/*\"]";
const SIDES: [(&str, bool); 2] = [("external", true), ("internal", false)];

/// Out of `[flows]`.
pub(super) fn read(flows: &Section<'_, '_>) -> Interfaces {
    let mut interfaces = Interfaces::default();
    if let Some(section) = flows.section("interfaces", "{ external = [\"192.0.2.1/3\"], default = \"internal\" }") {
        read_interfaces(section, &mut interfaces);
    }
    for field in flows.list("random_samplers", "[\"192.0.2.1\"], or [\"*\"] for all").into_iter().flatten() {
        if field.as_text() == Some("*") {
            interfaces.all_random = true;
        } else {
            interfaces.random.extend(exporter_of(&field));
        }
    }
    interfaces.random.sort_unstable();
    interfaces.random.dedup();
    interfaces
}

fn read_interfaces(section: Section<'_, '_>, into: &mut Interfaces) {
    let mut seen = HashMap::new();
    for (key, external) in SIDES {
        for field in section.list(key, EXAMPLE).into_iter().flatten() {
            let Some((exporter, index)) = interface(&field) else { continue };
            if seen.insert((exporter, index), external).is_some() {
                field.fault("is listed already", "list an interface once, either as external or as internal");
            }
            into.listed.push((exporter, index, external));
        }
    }
    into.listed.sort_unstable();
    into.default_external = section.choice("default", &SIDES).unwrap_or(true);
    section.close();
}

/// `192.0.2.1/3`: an exporter and the number of its interface, or `*` for all.
fn interface(field: &Field<'_, '_>) -> Option<(IpAddr, Option<u32>)> {
    let text = field.text("\"192.0.2.1/3\"")?;
    let parts = text.rsplit_once('/').and_then(|(exporter, index)| {
        let index = if index == "*" { None } else { Some(index.parse().ok()?) };
        Some((exporter.parse::<IpAddr>().ok()?.to_canonical(), index))
    });
    if parts.is_none() {
        field.fault(
            format!("\"{text}\" is no interface"),
            "write the exporter's address and the interface's number, such as \"192.0.2.1/3\", or \"192.0.2.1/*\"",
        );
    }
    parts
}

/// An exporter's address.
pub(super) fn exporter_of(field: &Field<'_, '_>) -> Option<IpAddr> {
    let text = field.text("\"192.0.2.1\"")?;
    let address = text.parse::<IpAddr>().ok();
    if address.is_none() {
        field.fault(format!("\"{text}\" is no address"), "write the exporter's, such as \"192.0.2.1\"");
    }
    address.map(|address| address.to_canonical())
}

impl Interfaces {
    /// Whether anything is said of any interface.
    pub fn are_configured(&self) -> bool {
        !self.listed.is_empty() || !self.default_external
    }

    /// Whether flows cross the network's edge there: what is said of the interface, else of all of its exporter, else the default.
    pub fn is_external(&self, exporter: IpAddr, index: u32) -> bool {
        let said = |index| {
            let at = self.listed.partition_point(|(other, of, _)| (*other, *of) < (exporter, index));
            self.listed.get(at).filter(|(other, of, _)| (*other, *of) == (exporter, index)).map(|(.., external)| *external)
        };
        said(Some(index)).or_else(|| said(None)).unwrap_or(self.default_external)
    }

    /// Whether an exporter's sampler is known to be random by the operator's word.
    pub fn is_random(&self, exporter: IpAddr) -> bool {
        self.all_random || self.random.binary_search(&exporter).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_an_interface_counts_before_what_is_said_of_its_exporter() {
        let [one, other, third]: [IpAddr; 3] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|text| text.parse().unwrap());
        let mut listed = vec![(one, Some(3), true), (one, None, false), (other, None, true), (third, Some(7), true)];
        listed.sort_unstable();
        let interfaces = Interfaces { listed, default_external: false, ..Interfaces::default() };
        let of = |exporter, index| interfaces.is_external(exporter, index);
        assert_eq!([of(one, 3), of(one, 4), of(other, 0), of(third, 7), of(third, 8)], [true, false, true, true, false]);
        assert!(Interfaces::default().is_external(one, 1) && !Interfaces::default().are_configured());
    }
}
