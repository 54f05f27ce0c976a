//! A prefix as people write it.

use std::net::IpAddr;

use ipnet::IpNet;

const REMEDY: &str = "write an address and a length, such as 203.0.113.0/24 or 2001:db8::/32";

/// A prefix without host bits; or what is wrong with it, and the remedy.
pub(crate) fn parse(text: &str) -> Result<IpNet, (String, String)> {
    let malformed = || (format!("\"{text}\" is no prefix"), REMEDY.to_owned());
    if text.is_empty() {
        return Err(("is missing".to_owned(), REMEDY.to_owned()));
    }
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().map_err(|_| malformed())?;
    let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
    let Some(length) = length else { return Err((format!("\"{text}\" has no length"), format!("write {text}/{bits}"))) };
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    if !digits {
        return Err(malformed());
    }
    let length = length.parse().ok().filter(|l| *l <= bits);
    let length: u8 = length.ok_or_else(|| (format!("\"{text}\" has a length beyond {bits}"), format!("it may be 0 to {bits}")))?;
    let written = IpNet::new(address, length).map_err(|_| malformed())?;
    if written.trunc() != written {
        let remedy = format!("write {}, or {address}/{bits} for this address alone", written.trunc());
        return Err((format!("\"{text}\" has bits beyond its length"), remedy));
    }
    mapped(text, address, length).map_or(Ok(written), Err)
}

/// `::ffff:203.0.113.0/120` is how some tools write an IPv4 prefix; taken as IPv6 it would match nothing.
fn mapped(text: &str, address: IpAddr, length: u8) -> Option<(String, String)> {
    let IpAddr::V6(v6) = address else { return None };
    let (v4, s) = (v6.to_ipv4_mapped().filter(|_| length >= 96 && text.contains('.'))?, v6.segments());
    let remedy = format!("write {v4}/{}; for IPv6 packets with such addresses ::ffff:{:x}:{:x}/{length}", length - 96, s[6], s[7]);
    Some((format!("\"{text}\" is an IPv4 prefix in IPv6's clothes"), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_prefixes_are_taken() {
        for good in
            ["0.0.0.0/0", "::/0", "10.0.0.0/8", "203.0.113.7/32", "2001:db8::/32", "2001:DB8:0:0::/64", "::1/128", "::ffff:cb00:7100/120"]
        {
            assert!(parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn the_remedy_is_the_canonical_form() {
        for (bad, remedy) in [
            ("203.0.113.5/24", "write 203.0.113.0/24, or 203.0.113.5/32 for this address alone"),
            ("2001:db8::1/64", "write 2001:db8::/64, or 2001:db8::1/128 for this address alone"),
            ("203.0.113.5", "write 203.0.113.5/32"),
            ("2001:db8::1", "write 2001:db8::1/128"),
            ("10.0.0.0/33", "it may be 0 to 32"),
            ("::/129", "it may be 0 to 128"),
            ("::ffff:203.0.113.0/120", "write 203.0.113.0/24; for IPv6 packets with such addresses ::ffff:cb00:7100/120"),
        ] {
            assert_eq!(parse(bad).unwrap_err().1, remedy, "{bad}");
        }
    }

    #[test]
    fn the_malformed_is_refused() {
        for bad in [
            "",
            "/",
            "/24",
            "10.0.0.0/",
            "10.0.0/24",
            "010.0.0.0/8",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0.0 /8",
            "fe80::1%eth0/128",
            "a",
            "10.0.0.0/255.0.0.0",
            "10.0.0.0/99999999999",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
