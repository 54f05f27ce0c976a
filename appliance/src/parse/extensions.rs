//! IPv6 extension headers (RFC 8200, and the registry of IPv6 extension header types).

use super::cursor::Cursor;
use super::{Fault, ah};
use crate::limits::IP_EXTENSIONS_MAX;
use crate::options::IpOptions;
use crate::record::Fragment;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// Where a chain of extension headers led.
pub(super) struct Chain {
    /// What stands at its end; where it could not be followed, the last next-header value that was read.
    pub(super) protocol: u8,
    /// What its fragment header says.
    pub(super) fragment: Fragment,
    /// Which headers it has.
    pub(super) options: IpOptions,
    /// Why it could not be followed.
    pub(super) fault: Option<Fault>,
}

/// Whether a protocol number is a header that is walked here. ESP is none: nothing behind it can be read.
#[inline]
pub(super) const fn is_one(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION | ah::PROTOCOL | MOBILITY | HIP | SHIM6)
}

/// Follows the chain that begins with `first`, to the upper layer or to a later fragment's unknown content.
pub(super) fn walk(first: u8, c: &mut Cursor<'_>) -> Chain {
    let mut chain = Chain { protocol: first, fragment: Fragment::None, options: IpOptions(0), fault: None };
    for _ in 0..IP_EXTENSIONS_MAX {
        if let Err(fault) = step(&mut chain, c) {
            chain.fault = Some(fault);
            chain.options = IpOptions::UNREAD;
            return chain;
        }
        if chain.fragment == Fragment::Later || !is_one(chain.protocol) {
            return chain;
        }
        if ends(chain.protocol, c) {
            return chain;
        }
    }
    chain.fault = Some(Fault::ExtensionDepth);
    chain.options.0 |= IpOptions::BAD;
    chain
}

/// Mobility, HIP and Shim6 control messages are protocols of their own where nothing follows them, as their standards
/// ask; only what hides something behind them is walked through.
fn ends(protocol: u8, c: &Cursor<'_>) -> bool {
    matches!(protocol, MOBILITY | HIP | SHIM6) && c.peek::<1>().is_none_or(|&[next]| next == NO_NEXT_HEADER)
}

fn step(chain: &mut Chain, c: &mut Cursor<'_>) -> Result<(), Fault> {
    let this = chain.protocol;
    if ends(this, c) {
        return Ok(());
    }
    let &[next, length] = c.peek().ok_or(Fault::TruncatedExtension)?;
    chain.protocol = next;
    chain.options.0 |= IpOptions::header_bit(this);
    let bytes = match this {
        FRAGMENT => {
            let h: &[u8; 4] = c.peek().ok_or(Fault::TruncatedExtension)?;
            chain.fragment = fragment(u16::from_be_bytes([h[2], h[3]]), chain.fragment);
            8
        }
        ah::PROTOCOL => ah::bytes(length),
        _ => 8 + 8 * usize::from(length),
    };
    c.skip(bytes).ok_or(Fault::TruncatedExtension)
}

/// Offset zero and nothing more to come is an atomic fragment (RFC 6946): not fragmented.
const fn fragment(field: u16, before: Fragment) -> Fragment {
    match (field >> 3, field & 1) {
        (0, 0) => before,
        (0, _) => Fragment::First,
        _ => Fragment::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{eth, inner4, join, packet, udp, v6};
    use super::super::{Fault, IpHeader, Parsed};
    use crate::record::Fragment;

    fn read(first: u8, chain: &[&[u8]]) -> Parsed {
        packet(&eth(0x86DD, &v6(1, first, &join(chain))))
    }

    fn header(first: u8, chain: &[&[u8]]) -> IpHeader {
        read(first, chain).headers()[0]
    }

    #[test]
    fn each_kind_leads_to_the_transport() {
        let dns = udp(53, b"123");
        for kind in [0, 43, 60, 135, 139, 140] {
            let h = header(kind, &[&[60, 1], &[0; 14], &[17, 0, 0, 0, 0, 0, 0, 0], &dns]);
            assert_eq!((h.protocol, h.ports, h.payload_bytes), (17, Some((1000, 53)), 3), "{kind}");
        }
        let h = header(51, &[&[17, 4], &[0; 22], &dns]);
        assert_eq!((h.protocol, h.ports), (17, Some((1000, 53))));
    }

    #[test]
    fn what_ends_a_chain() {
        assert_eq!(header(0, &[&[59, 0, 0, 0, 0, 0, 0, 0]]).protocol, 59);
        assert_eq!(header(60, &[&[50, 0, 0, 0, 0, 0, 0, 0], &[0; 32]]).protocol, 50);
        for control in [135, 139, 140] {
            assert_eq!(header(control, &[&[59, 1], &[0; 14]]).protocol, control);
            assert_eq!(header(60, &[&[control, 0, 0, 0, 0, 0, 0, 0], &[59, 1], &[0; 14]]).protocol, control);
        }
    }

    #[test]
    fn fragments() {
        let of = |field: u16| header(44, &[&[17, 0], &field.to_be_bytes(), &[0, 0, 0, 9], &udp(53, b"123")]);
        assert_eq!((of(0).fragment, of(0).ports), (Fragment::None, Some((1000, 53))));
        assert_eq!((of(1).fragment, of(1).ports), (Fragment::First, Some((1000, 53))));
        assert_eq!((of(6).fragment, of(6).ports), (Fragment::None, Some((1000, 53))));
        for later in [8, 9, 0xFFF8] {
            assert_eq!((of(later).fragment, of(later).protocol, of(later).ports, of(later).payload_bytes), (Fragment::Later, 17, None, 11));
        }
    }

    #[test]
    fn a_later_fragment_of_a_tunnel_has_no_inner_header() {
        let parsed = read(44, &[&[4, 0, 0, 8, 0, 0, 0, 9], &inner4(1)]);
        assert_eq!((parsed.headers().len(), parsed.headers()[0].protocol), (1, 4));
        assert_eq!(read(44, &[&[4, 0, 0, 1, 0, 0, 0, 9], &inner4(1)]).headers().len(), 2);
    }

    #[test]
    fn chains_that_end_too_early_or_too_late() {
        let parsed = read(0, &[&[17, 9, 0, 0, 0, 0, 0, 0]]);
        assert_eq!((parsed.headers()[0].protocol, parsed.fault), (17, Some(Fault::TruncatedExtension)));
        assert_eq!(read(43, &[&[17]]).headers()[0].protocol, 43);
        let long = [60, 0, 0, 0, 0, 0, 0, 0].repeat(17);
        let parsed = read(60, &[&long, &udp(53, b"123")]);
        assert_eq!((parsed.headers()[0].ports, parsed.fault), (None, Some(Fault::ExtensionDepth)));
    }
}
