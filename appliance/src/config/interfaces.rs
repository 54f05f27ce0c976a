//! `[flows.interfaces]` and `[flows] random_samplers`: where flows cross the network's edge, and whose sampling is random.

use std::collections::HashSet;
use std::net::IpAddr;

use super::walk::{Field, Section};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interfaces {
    /// `external` and `internal`, sorted: an exporter's interface, or all of them, and whether it is external.
    pub listed: Vec<(IpAddr, Option<u32>, bool)>,
    /// `external_names` and `internal_names`: patterns of names, and whether what has such a name is external.
    pub names: Vec<(String, bool)>,
    /// `metered_ingress`, `metered_egress` and `metered_both`, sorted: an exporter's interface, or all of them, and how it is metered.
    pub metered_listed: Vec<(IpAddr, Option<u32>, Metered)>,
    /// `metered`: how all others are; none: it is learned.
    pub metered: Option<Metered>,
    /// `default`: what is not listed is external.
    pub default_external: bool,
    /// Exporters whose samplers are random, though they do not say so; sorted.
    pub random: Vec<IpAddr>,
    /// So are those of all.
    pub all_random: bool,
}

/// Which flows are metered at an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metered {
    /// Those that come in by it.
    Ingress,
    /// Those that leave by it.
    Egress,
    /// All of them.
    Both,
}

impl Metered {
    /// Whether flows are metered there that leave by it, or come in.
    pub const fn meters(self, leaves: bool) -> bool {
        match self {
            Self::Ingress => !leaves,
            Self::Egress => leaves,
            Self::Both => true,
        }
    }
}

impl Default for Interfaces {
    fn default() -> Self {
        Self {
            listed: Vec::new(),
            names: Vec::new(),
            metered_listed: Vec::new(),
            metered: None,
            default_external: true,
            random: Vec::new(),
            all_random: false,
        }
    }
}

const EXAMPLE: &str = "[\"192.0.2.1/3\", \"192.0.2.2/*\"]";
const NAMES: [(&str, bool); 2] = [("external_names", true), ("internal_names", false)];
const SIDES: [(&str, bool); 2] = [("external", true), ("internal", false)];

const METERED: [(&str, Option<Metered>); 4] =
    [("learned", None), ("ingress", Some(Metered::Ingress)), ("egress", Some(Metered::Egress)), ("both", Some(Metered::Both))];
const METERED_LISTS: [(&str, Metered); 3] =
    [("metered_ingress", Metered::Ingress), ("metered_egress", Metered::Egress), ("metered_both", Metered::Both)];

/// Out of `[flows]`. `knows_names`: something is configured that names interfaces.
pub(super) fn read(flows: &Section<'_, '_>, knows_names: bool) -> Interfaces {
    let mut interfaces = Interfaces::default();
    if let Some(section) = flows.section("interfaces", "{ external = [\"192.0.2.1/3\"], default = \"internal\" }") {
        read_interfaces(section, &mut interfaces, knows_names);
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

fn read_interfaces(section: Section<'_, '_>, into: &mut Interfaces, knows_names: bool) {
    into.listed = read_lists(&section, &SIDES, "list an interface once, either as external or as internal");
    into.metered_listed = read_lists(&section, &METERED_LISTS, "list an interface once, in one of the three lists");
    into.metered = section.choice("metered", &METERED).flatten();
    for (key, external) in NAMES {
        for field in section.list(key, "[\"Transit*\", \"IX-?\"]").into_iter().flatten() {
            into.names.extend(field.text("\"Transit*\"").map(|pattern| (pattern.to_owned(), external)));
        }
    }
    if let Some((key, _)) = NAMES.iter().find(|(key, _)| section.has(key) && !knows_names) {
        section.fault(
            key,
            "asks for names of interfaces, and nothing tells them",
            "write [enrich] interfaces = \"interfaces.csv\", or [enrich.snmp]",
        );
    }
    into.default_external = section.choice("default", &SIDES).unwrap_or(true);
    section.close();
}

/// Lists of interfaces, and what stands in which; sorted.
fn read_lists<T: Copy + Ord>(section: &Section<'_, '_>, lists: &[(&'static str, T)], remedy: &str) -> Vec<(IpAddr, Option<u32>, T)> {
    let (mut seen, mut listed) = (HashSet::new(), Vec::new());
    for (key, what) in lists {
        for field in section.list(key, EXAMPLE).into_iter().flatten() {
            let Some((exporter, index)) = interface(&field) else { continue };
            if !seen.insert((exporter, index)) {
                field.fault("is listed already", remedy);
            }
            listed.push((exporter, index, *what));
        }
    }
    listed.sort_unstable();
    listed
}

/// What is said of an exporter's interface, or of all of them.
fn said<T: Copy>(listed: &[(IpAddr, Option<u32>, T)], exporter: IpAddr, index: Option<u32>) -> Option<T> {
    let at = listed.partition_point(|(other, of, _)| (*other, *of) < (exporter, index));
    listed.get(at).filter(|(other, of, _)| (*other, *of) == (exporter, index)).map(|(.., what)| *what)
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
        !self.listed.is_empty() || !self.names.is_empty() || !self.default_external
    }

    /// What is said of a name; of one that both kinds of patterns match, that it is internal.
    pub fn of_name(&self, name: &str) -> Option<bool> {
        let mut said = self.names.iter().filter(|(pattern, _)| matches(pattern, name)).map(|(_, external)| *external);
        let first = said.next()?;
        Some(first && said.all(|external| external))
    }

    /// Whether flows cross the network's edge there: what is said of the interface, else of its name, else of all of its exporter, else
    /// the default.
    pub fn is_external(&self, exporter: IpAddr, index: u32, of_name: Option<bool>) -> bool {
        let said = |index| said(&self.listed, exporter, index);
        said(Some(index)).or(of_name).or_else(|| said(None)).unwrap_or(self.default_external)
    }

    /// Whether something is said of an interface, or of all of its exporter.
    pub fn says(&self, exporter: IpAddr, index: u32) -> bool {
        [Some(index), None].into_iter().any(|index| said(&self.listed, exporter, index).is_some())
    }

    /// How an interface is metered by the operator's word: what is said of it, else of all of its exporter, else of all.
    pub fn metered(&self, exporter: IpAddr, index: u32) -> Option<Metered> {
        let said = |index| said(&self.metered_listed, exporter, index);
        said(Some(index)).or_else(|| said(None)).or(self.metered)
    }

    /// Whether an exporter's sampler is known to be random by the operator's word.
    pub fn is_random(&self, exporter: IpAddr) -> bool {
        self.all_random || self.random.binary_search(&exporter).is_ok()
    }
}

/// Whether a pattern says a whole name: `*` is anything, `?` any one character, all else itself.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            // The last star takes one more.
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As slow and plain as can be.
    fn slow(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => slow(rest, name) || !name.is_empty() && slow(pattern, &name[1..]),
            (Some((p, rest)), Some((n, left))) => (*p == '?' || p == n) && slow(rest, left),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn patterns_match_as_their_plain_reading_does(pattern in "[ab*?ä]{0,7}", name in "[abä]{0,8}") {
            let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
            prop_assert_eq!(matches(&pattern, &name), slow(&p, &n));
        }
    }

    #[test]
    fn names_say_which_side_they_are_of() {
        let names = [("Transit*", true), ("IX-?", true), ("*-lab", false)].map(|(pattern, side)| (pattern.to_owned(), side)).to_vec();
        let exporter = "192.0.2.1".parse().unwrap();
        let interfaces = Interfaces { names, listed: vec![(exporter, None, false), (exporter, Some(9), true)], ..Interfaces::default() };
        let of = |name| interfaces.of_name(name);
        let said = ["Transit Telia", "IX-1", "IX-12", "Transit-lab", "x-lab"].map(of);
        assert_eq!(said, [Some(true), Some(true), None, Some(false), Some(false)]);
        assert!(interfaces.are_configured() && interfaces.is_external(exporter, 3, Some(true)), "a name is more than its exporter");
        assert!(interfaces.is_external(exporter, 9, Some(false)) && !interfaces.is_external(exporter, 4, None));
    }

    #[test]
    fn what_is_said_of_an_interface_counts_before_what_is_said_of_its_exporter() {
        let [one, other, third]: [IpAddr; 3] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|text| text.parse().unwrap());
        let mut listed = vec![(one, Some(3), true), (one, None, false), (other, None, true), (third, Some(7), true)];
        listed.sort_unstable();
        let interfaces = Interfaces { listed, default_external: false, ..Interfaces::default() };
        let of = |exporter, index| interfaces.is_external(exporter, index, None);
        assert_eq!([of(one, 3), of(one, 4), of(other, 0), of(third, 7), of(third, 8)], [true, false, true, true, false]);
        assert!(Interfaces::default().is_external(one, 1, None) && !Interfaces::default().are_configured());
    }
}
