//! Values of keys as the configuration writes them: the other way of a key's text.

use std::net::IpAddr;

use super::key::{Key, KeySpec, Lengths, Scale};
use super::text;
use crate::options::{IpOptions, Options as _, TcpOptions};
use crate::units::Family;

/// How many bits a key's number has; none: its values are no numbers.
pub const fn number_bits(key: Key) -> Option<u32> {
    match key {
        Key::Dscp => Some(6),
        Key::Protocol | Key::Ttl => Some(8),
        Key::Vlan | Key::InnerVlan => Some(12),
        Key::SrcPort | Key::DstPort | Key::RxPort | Key::TcpWindow => Some(16),
        Key::MplsLabel => Some(20),
        Key::PacketSize | Key::PayloadSize | Key::Rule | Key::TcpSeq | Key::SrcAsn | Key::DstAsn => Some(32),
        Key::InIf | Key::OutIf => Some(32),
        Key::None | Key::SrcIp | Key::DstIp | Key::SrcPrefix | Key::DstPrefix | Key::Flow | Key::SrcMac => None,
        Key::TcpFlags | Key::Icmp | Key::Fragment | Key::Tunnel | Key::TcpOptions | Key::IpOptions | Key::Service => None,
        Key::SrcCountry | Key::DstCountry | Key::Exporter => None,
        Key::Link => Some(8),
    }
}

/// Whether a packet can have this number: of buckets only their lower edges.
pub const fn is_possible(key: Key, number: u64) -> bool {
    match key {
        Key::TcpWindow => number == 0 || number.is_power_of_two(),
        Key::TcpSeq => number.is_multiple_of(1 << 28),
        _ => true,
    }
}

/// Edges of a histogram over the key, where the configuration gives none.
pub fn usual_edges(key: Key) -> Option<Vec<u64>> {
    match key {
        // Sizes: the RMON buckets.
        Key::PacketSize | Key::PayloadSize => Some(vec![64, 128, 256, 512, 1_024, 1_518]),
        Key::Ttl => Some((1..16).map(|n| n * 16).collect()),
        Key::Dscp => Some((1..64).collect()),
        Key::TcpWindow => Some((0..16).map(|n| 1 << n).collect()),
        Key::TcpSeq => Some((1..16).map(|n| n << 28).collect()),
        _ => None,
    }
}

/// What a value of the key looks like, for whoever wrote another.
pub fn example(key: Key) -> String {
    let number = |bits: u32| format!("a whole number from 0 to {}", (1_u64 << bits) - 1);
    let fixed = match key {
        Key::TcpWindow => "0, or a power of two up to 32768: the lower edge of a bucket",
        Key::TcpSeq => "a multiple of 268435456 (2^28) below 2^32: the lower edge of a bucket",
        Key::TcpFlags => "letters of FSRPAUEC, such as \"SA\", or \"-\" for none",
        Key::Link => "the name of one of [[links]], such as \"transit-a\"",
        Key::SrcCountry | Key::DstCountry => "two capital letters of ISO 3166-1, such as \"DE\"",
        Key::Icmp => "type/code, such as \"8/0\"",
        Key::SrcMac => "six bytes in hex, such as \"02:00:5e:10:00:01\"",
        Key::Exporter => "the address of an exporter, such as \"192.0.2.1\"",
        Key::SrcIp | Key::DstIp => "an address such as \"192.0.2.10\"",
        Key::SrcPrefix | Key::DstPrefix => "a prefix of the key's length, such as \"198.51.100.0/24\"",
        Key::Flow => "src|src_port|dst|dst_port|protocol, such as \"192.0.2.1|53|203.0.113.5|4242|17\"",
        Key::TcpOptions => return format!("names of {} joined by commas, or \"-\" for none", TcpOptions::NAMES.join(",")),
        Key::IpOptions => return format!("names of {} joined by commas, or \"-\" for none", IpOptions::NAMES.join(",")),
        Key::Fragment | Key::Tunnel | Key::Service => return format!("one of {}", words(key).join(", ")),
        _ => return number_bits(key).map_or_else(String::new, number),
    };
    fixed.to_owned()
}

/// The words that a key of one byte may be.
pub fn words(key: Key) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for byte in 0..=u8::MAX {
        let word = (key.row().text)(&[byte], &Lengths::default());
        if !word.is_empty() && !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// The bytes of a value for records of one family; none if it is no value of the key, or one of the other family.
pub fn read(key: Key, text: &str, family: Family) -> Option<Vec<u8>> {
    match key {
        Key::None => None,
        Key::SrcIp | Key::DstIp => address(text, family),
        Key::SrcPrefix | Key::DstPrefix => address(text.split_once('/')?.0, family),
        Key::Exporter => Some(exporter(text.parse().ok()?).to_vec()),
        Key::Flow => flow(text, family),
        Key::SrcMac => mac(text).map(Vec::from),
        Key::SrcCountry | Key::DstCountry => {
            Some(text.as_bytes().to_vec()).filter(|b| b.len() == 2 && b.iter().all(u8::is_ascii_uppercase))
        }
        Key::TcpFlags => text::read_flags(text).map(|flags| vec![flags]),
        Key::Icmp => pair(text).map(Vec::from),
        Key::TcpOptions => TcpOptions::read(text).map(|mask| mask.0.to_be_bytes().to_vec()),
        Key::IpOptions => IpOptions::read(text).map(|mask| mask.0.to_be_bytes().to_vec()),
        Key::Fragment | Key::Tunnel | Key::Service => {
            (0..=u8::MAX).find(|byte| (key.row().text)(&[*byte], &Lengths::default()) == text && !text.is_empty()).map(|byte| vec![byte])
        }
        _ => number(key, text.parse().ok()?, family),
    }
}

/// The bytes of a number.
pub fn number(key: Key, number: u64, family: Family) -> Option<Vec<u8>> {
    let fits = number_bits(key).is_some_and(|bits| number >> bits == 0) && is_possible(key, number);
    fits.then(|| number.to_be_bytes()[8 - (key.row().width)(family)..].to_vec())
}

/// Six bytes in hex, parted by colons or dashes.
pub fn mac(text: &str) -> Option<[u8; 6]> {
    let byte = |part: &str| if part.len() == 2 && !part.starts_with('+') { u8::from_str_radix(part, 16).ok() } else { None };
    let bytes: Option<Vec<u8>> = text.split([':', '-']).map(byte).collect();
    bytes?.try_into().ok()
}

fn address(text: &str, family: Family) -> Option<Vec<u8>> {
    match (text.parse().ok()?, family) {
        (IpAddr::V4(a), Family::V4) => Some(a.octets().to_vec()),
        (IpAddr::V6(a), Family::V6) => Some(a.octets().to_vec()),
        _ => None,
    }
}

/// An exporter's address as its key has it.
pub fn exporter(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn pair(text: &str) -> Option<[u8; 2]> {
    let (kind, code) = text.split_once('/')?;
    Some([kind.parse().ok()?, code.parse().ok()?])
}

fn flow(text: &str, family: Family) -> Option<Vec<u8>> {
    let parts: Vec<_> = text.split('|').collect();
    let [src, src_port, dst, dst_port, protocol] = parts[..] else { return None };
    let (src, dst) = (address(src, family)?, address(dst, family)?);
    let (src_port, dst_port): (u16, u16) = (src_port.parse().ok()?, dst_port.parse().ok()?);
    let protocol: u8 = protocol.parse().ok()?;
    Some([&src[..], &src_port.to_be_bytes(), &dst, &dst_port.to_be_bytes(), &[protocol]].concat())
}

/// A value of a whole key, parts joined by `|`, as reports write it; none if it is no value for records of this family.
///
/// # Errors
/// It is one, but reports write it so.
pub fn label(key: &KeySpec, text: &str, family: Family) -> Result<Option<Vec<u8>>, String> {
    let mut rest: Vec<&str> = text.split('|').collect();
    let mut bytes = Vec::new();
    for part in key.parts() {
        let count = if *part == Key::Flow { 5 } else { 1 };
        if rest.len() < count {
            return Ok(None);
        }
        let own: Vec<&str> = rest.drain(..count).collect();
        let Some(value) = read(*part, &own.join("|"), family) else { return Ok(None) };
        bytes.extend(value);
    }
    if !rest.is_empty() {
        return Ok(None);
    }
    let canonical = key.text(&bytes, family);
    if canonical == text { Ok(Some(bytes)) } else { Err(canonical) }
}

/// Whether values of the key may be given as ranges.
pub fn has_ranges(key: Key) -> bool {
    key.row().scale == Scale::Number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axes::key::KEYS;

    #[test]
    fn every_text_is_read_back() {
        for row in KEYS.iter().filter(|row| row.key != Key::None) {
            for family in [Family::V4, Family::V6] {
                let spec = KeySpec::new(vec![row.key], Lengths { v4: 32, v6: 128 });
                for fill in [0, 1, 2] {
                    let letters = matches!(row.key, Key::SrcCountry | Key::DstCountry);
                    let bytes = vec![if letters { b'A' + fill } else { fill }; spec.width(family)];
                    let text = spec.text(&bytes, family);
                    let possible = !matches!(row.key, Key::TcpWindow | Key::TcpSeq) || fill == 0;
                    let want =
                        (possible && number_bits(row.key).is_none_or(|bits| text.parse::<u64>().unwrap() >> bits == 0)).then_some(bytes);
                    assert_eq!(label(&spec, &text, family), Ok(want), "{} {text}", row.name);
                }
            }
            assert!(!example(row.key).is_empty(), "{}", row.name);
        }
    }

    #[test]
    fn labels_are_whole_and_canonical() {
        let spec = KeySpec::new(vec![Key::SrcPrefix, Key::DstPort], Lengths::default());
        assert_eq!(label(&spec, "198.51.100.0/24|443", Family::V4), Ok(Some(vec![198, 51, 100, 0, 1, 187])));
        assert_eq!(label(&spec, "198.51.100.0/24|443", Family::V6), Ok(None));
        assert_eq!(label(&spec, "198.51.100.0/25|0443", Family::V4), Err("198.51.100.0/24|443".to_owned()));
        for text in ["198.51.100.0/24", "198.51.100.0|443|1", "", "|", "x|443", "198.51.100.0/24|65536"] {
            assert_eq!(label(&spec, text, Family::V4), Ok(None), "{text}");
        }
    }
}
