//! What `check` says of links that would look idle, or half so.

use super::check::{Finding, Verdict, bad};
use crate::config::{Config, Link, TagField, TagMatch, TagRule};

/// Links that no frame can match, and those that nothing blocked can.
pub(super) fn links(config: &Config) -> Vec<Finding> {
    let ports = config.ports.len();
    let finding = |(at, link): (usize, &Link)| {
        let (what, remedy) = if ports > 0 && is_of_absent_port(link, ports) {
            let what = format!("link {} is of a port that is not there: [[ports]] are {ports}, the first is 0", link.name);
            (what, "correct match.port".to_owned())
        } else {
            let (row, tag, own) =
                config.tags.iter().enumerate().find_map(|(row, rule)| behind_tag(link, rule).map(|(tag, own)| (row, tag, own)))?;
            let what =
                format!("no frame that tags[{row}] matches by VLAN {tag} is of link {}: its own VLAN stands behind the tag's", link.name);
            (what, format!("write match = [{{ vlan = {own} }}, {{ vlan = {tag}, inner_vlan = {own} }}]"))
        };
        let place = config.locate(&["links", &at.to_string(), "match"]);
        Some(bad(Verdict::Weak, format!("{place}: links[{at}].match"), what, remedy))
    };
    config.links.iter().enumerate().filter(|(_, link)| link.has_frames()).filter_map(finding).collect()
}

fn is_of_absent_port(link: &Link, ports: usize) -> bool {
    let is_absent = |(field, n): &(TagField, u32)| *field == TagField::Port && *n as usize >= ports;
    link.matches.iter().all(|wanted| wanted.fields.iter().any(is_absent))
}

fn vlan(wanted: &TagMatch) -> Option<u32> {
    wanted.fields.iter().find(|(field, _)| *field == TagField::Vlan).map(|(_, vlan)| *vlan)
}

/// The VLAN of a tag in front of the link's own: both, where the link is known by its own alone.
fn behind_tag(link: &Link, rule: &TagRule) -> Option<(u32, u32)> {
    let tag = vlan(&rule.matches).filter(|_| rule.blocked)?;
    let own: Vec<u32> = link.matches.iter().map(vlan).collect::<Option<_>>()?;
    own.first().filter(|_| !own.contains(&tag)).map(|own| (tag, *own))
}

#[cfg(test)]
mod tests {
    use crate::config;

    fn found(links: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.toml");
        std::fs::write(folder.path().join("ranges.csv"), "prefix,customer\n192.0.2.0/24,a\n").unwrap();
        let start = "stats = []\n[ranges]\nfile = \"ranges.csv\"\n[[ports]]\ndevice = \"net_null0\"\n\
                     [[tags]]\nmatch = { vlan = 666 }\ndecision = \"blocked\"\n[[links]]\nname = \"a\"\ncapacity_bps = 1_000_000\n";
        std::fs::write(&file, format!("{start}{links}\n")).unwrap();
        let config = config::load(&file, &crate::stats::check).unwrap_or_else(|faults| panic!("{faults}"));
        super::links(&config).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_link_that_stays_idle_or_shows_nothing_blocked_is_told() {
        let behind = found("match = { vlan = 100 }");
        assert!(
            behind.len() == 1 && behind[0].contains("t.toml:12: links[0].match: no frame that tags[0] matches by VLAN 666 is of link a")
        );
        assert!(behind[0].contains("write match = [{ vlan = 100 }, { vlan = 666, inner_vlan = 100 }]"), "{behind:?}");
        assert!(found("match = { port = 1, vlan = 666 }")[0].contains("link a is of a port that is not there: [[ports]] are 1"));
        let well = ["{ port = 0 }", "{ vlan = 666 }", "[{ vlan = 100 }, { vlan = 666, inner_vlan = 100 }]", "[{ port = 7 }, { port = 0 }]"];
        for is_well in well {
            assert_eq!(found(&format!("match = {is_well}")), [""; 0]);
        }
        assert_eq!(found("exporter = \"192.0.2.1\"\nif_index = 3"), [""; 0]);
    }
}
