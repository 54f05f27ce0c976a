//! `[mirror]` and `[parse]`: what the mirror did to frames, and which header counts.

use std::net::IpAddr;

use super::tags::TagRule;
use super::walk::Section;

/// An encapsulation that a mirror wraps frames in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "spelled as in the configuration")]
pub enum Wrap {
    Erspan,
    Gre,
    Vxlan,
    Geneve,
    Ipip,
    GtpU,
}

impl Wrap {
    /// All of them, with their spelling.
    pub const ALL: [(&'static str, Self); 6] = [
        ("erspan", Self::Erspan),
        ("gre", Self::Gre),
        ("vxlan", Self::Vxlan),
        ("geneve", Self::Geneve),
        ("ipip", Self::Ipip),
        ("gtpu", Self::GtpU),
    ];
}

/// `[mirror] length`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthFrom {
    /// The frame's length.
    Frame,
    /// Layer 2 plus the IP length.
    Ip,
}

/// `[mirror]`
#[derive(Clone, Debug)]
pub struct Mirror {
    /// What the mirror itself wraps frames in.
    pub strip: Vec<Wrap>,
    /// Outer source addresses whose wrapping is stripped.
    pub from: Vec<IpAddr>,
    /// Where bytes are read from.
    pub length: LengthFrom,
    /// What a frame without a matching tag rule is: passed, or a parse drop.
    pub untagged_passes: bool,
    /// Whether packets towards, and from, a range are mirrored.
    pub ingress: bool,
    /// See `ingress`.
    pub egress: bool,
}

impl Default for Mirror {
    fn default() -> Self {
        Self { strip: Vec::new(), from: Vec::new(), length: LengthFrom::Frame, untagged_passes: true, ingress: true, egress: true }
    }
}

/// `[parse] keys_from`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeysFrom {
    /// The outermost header whose address is in a range.
    #[default]
    Matched,
    /// The outermost header.
    Outermost,
    /// The innermost header.
    Innermost,
}

const LENGTHS: [(&str, LengthFrom); 2] = [("frame", LengthFrom::Frame), ("ip", LengthFrom::Ip)];
const UNTAGGED: [(&str, bool); 2] = [("passed", true), ("drop", false)];
const DIRECTIONS: [(&str, bool); 2] = [("ingress", true), ("egress", false)];
const KEYS_FROM: [(&str, KeysFrom); 3] =
    [("matched", KeysFrom::Matched), ("outermost", KeysFrom::Outermost), ("innermost", KeysFrom::Innermost)];

/// `[mirror]`, or its defaults.
pub(super) fn read(root: &Section<'_, '_>) -> Mirror {
    let mut mirror = Mirror::default();
    let Some(section) = root.section("mirror", "[mirror]") else { return mirror };
    for wrap in section.list("strip", "[\"erspan\"]").into_iter().flatten() {
        mirror.strip.extend(wrap.choice(&Wrap::ALL));
    }
    mirror.from = endpoints(&section);
    if !mirror.strip.is_empty() && section.take("from").is_none() {
        section.fault(
            "from",
            "is missing beside strip: nothing would be stripped",
            "list the mirror's own addresses, such as from = [\"192.0.2.10\"]",
        );
    }
    mirror.length = section.choice("length", &LENGTHS).unwrap_or(mirror.length);
    mirror.untagged_passes = section.choice("untagged", &UNTAGGED).unwrap_or(mirror.untagged_passes);
    if let Some(field) = section.take("directions") {
        let given: Vec<_> = field.list("[\"ingress\", \"egress\"]").into_iter().flatten().map(|f| f.choice(&DIRECTIONS)).collect();
        if given.is_empty() && field.value().is_some_and(toml_edit::Value::is_array) {
            field.fault("is empty: no packet could match", "name ingress, egress or both");
        }
        (mirror.ingress, mirror.egress) = (given.contains(&Some(true)), given.contains(&Some(false)));
    }
    section.close();
    mirror
}

/// A mirror whose every frame would be dropped.
pub(super) fn judge(root: &Section<'_, '_>, mirror: &Mirror, tags: &[TagRule]) {
    if !mirror.untagged_passes && tags.is_empty() && root.take("tags").is_none() {
        let at = root.section("mirror", "[mirror]").map(|s| s.at_key("untagged"));
        let (what, remedy) = ("is \"drop\" without any tag rule: every frame would be dropped", "write [[tags]], or untagged = \"passed\"");
        root.book().fault(&at.unwrap_or_else(|| root.at_key("mirror")), what, remedy);
    }
}

fn endpoints(section: &Section<'_, '_>) -> Vec<IpAddr> {
    let mut from = Vec::new();
    for field in section.list("from", "[\"192.0.2.10\"]").into_iter().flatten() {
        let Some(text) = field.text("\"192.0.2.10\"") else { continue };
        match text.parse() {
            Ok(address) => from.push(address),
            Err(_) => {
                field.fault(format!("\"{text}\" is no IP address"), "write one address, without a prefix length, such as \"192.0.2.10\"")
            }
        }
    }
    from
}

/// `[parse]`, or its defaults.
pub(super) fn read_keys_from(root: &Section<'_, '_>) -> KeysFrom {
    let Some(section) = root.section("parse", "[parse]") else { return KeysFrom::Matched };
    let from = section.choice("keys_from", &KEYS_FROM).unwrap_or(KeysFrom::Matched);
    section.close();
    from
}
