//! PPPoE sessions (RFC 2516).

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::Next;

/// Version, type, code, session, length; then PPP's protocol field. Concentrators ignore what version, type and code say,
/// so what they would deliver is read here too.
pub(super) fn read(c: &mut Cursor<'_>) -> Result<Next, Stop> {
    let h: &[u8; 6] = c.take().ok_or(Stop::Short)?;
    c.limit(usize::from(u16::from_be_bytes([h[4], h[5]])));
    Ok(Next::Ppp)
}
