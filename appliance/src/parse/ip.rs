//! An IP header of either version, and IP in IP.

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk};
use super::{ipv4, ipv6};

/// By the version: the types that announce IP do not always say it right, and MPLS says nothing.
#[inline]
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let &[first] = c.peek().ok_or(Stop::ShortIp)?;
    match first >> 4 {
        4 => ipv4::read(c, w),
        6 => ipv6::read(c, w),
        _ => Err(Stop::BadIp),
    }
}
