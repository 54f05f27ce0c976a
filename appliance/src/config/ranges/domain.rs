//! A domain as people write it: what separates prefixes that several customers have.

use std::fmt;

/// Where a prefix stands: within one virtual network, VLAN or label. The order is that of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// Top MPLS label, 20 bits.
    Mpls(u32),
    /// VLAN id, outer or second, 12 bits.
    Vlan(u32),
    /// Network id of VXLAN or Geneve, 24 bits.
    Vni(u32),
}

/// Name, bits, and what makes one.
type Kind = (&'static str, u32, fn(u32) -> Domain);

const KINDS: [Kind; 3] = [("mpls", 20, Domain::Mpls), ("vlan", 12, Domain::Vlan), ("vni", 24, Domain::Vni)];

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mpls(label) => write!(f, "mpls={label}"),
            Self::Vlan(id) => write!(f, "vlan={id}"),
            Self::Vni(id) => write!(f, "vni={id}"),
        }
    }
}

/// `vni=5001`, `vlan=100` or `mpls=16004`; empty: none. Or what is wrong with it, and the remedy.
pub(super) fn parse(text: &str) -> Result<Option<Domain>, (String, String)> {
    if text.is_empty() {
        return Ok(None);
    }
    let malformed = || (format!("\"{text}\" is no domain"), "write vni=5001, vlan=100 or mpls=16004, or leave it empty".to_owned());
    let (kind, id) = text.split_once('=').ok_or_else(malformed)?;
    let (name, bits, make) = KINDS.iter().find(|(name, _, _)| *name == kind).ok_or_else(malformed)?;
    let digits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) && (id == "0" || !id.starts_with('0'));
    if !digits {
        return Err(malformed());
    }
    let number: Option<u32> = id.parse().ok().filter(|n: &u32| n >> bits == 0);
    let beyond = || (format!("\"{text}\" is out of range"), format!("it may be {name}=0 to {name}={}", (1_u32 << bits) - 1));
    number.map(|number| Some(make(number))).ok_or_else(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["mpls=0", "mpls=1048575", "vlan=0", "vlan=4095", "vni=5001", "vni=16777215"] {
            assert_eq!(parse(text).unwrap().unwrap().to_string(), text);
        }
        assert_eq!(parse(""), Ok(None));
        for bad in
            ["vni", "vni=", "vni=05", "vni=-1", "vni=+1", "vni=1 ", "VNI=1", "vrf=1", "=1", "vlan=4096", "mpls=1048576", "vni=16777216"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("mpls=9") < parse("vlan=1") && parse("vlan=9") < parse("vni=1") && parse("vni=9") < parse("vni=10"));
    }
}
