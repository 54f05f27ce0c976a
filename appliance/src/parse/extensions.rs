//! IPv6 extension headers (RFC 8200, and the registry of IPv6 extension header types).

use super::cursor::Cursor;
use super::{Fault, ah};
use crate::limits::IP_EXTENSIONS_MAX;
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
    let mut chain = Chain { protocol: first, fragment: Fragment::None, fault: None };
    for _ in 0..IP_EXTENSIONS_MAX {
        if let Err(fault) = step(&mut chain, c) {
            chain.fault = Some(fault);
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
