//! PPP's protocol field (RFC 1661), perhaps with address and control before it (RFC 1662) and compressed to one byte.

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::Next;

const IPV4: u16 = 0x0021;
const IPV6: u16 = 0x0057;
const MPLS_UNICAST: u16 = 0x0281;
const MPLS_MULTICAST: u16 = 0x0283;
const BRIDGED: u16 = 0x0031;

/// The protocol field; an odd first byte is the whole of it.
pub(super) fn read(c: &mut Cursor<'_>) -> Result<Next, Stop> {
    if c.peek() == Some(&[0xFF, 0x03]) {
        c.skip(2).ok_or(Stop::Short)?;
    }
    let &[first] = c.take().ok_or(Stop::Short)?;
    let protocol = if first & 1 == 1 {
        u16::from(first)
    } else {
        let &[second] = c.take().ok_or(Stop::Short)?;
        u16::from_be_bytes([first, second])
    };
    match protocol {
        IPV4 | IPV6 => Ok(Next::Ip),
        MPLS_UNICAST | MPLS_MULTICAST => Ok(Next::Mpls),
        BRIDGED => bridged(c),
        _ => Err(Stop::NonIp),
    }
}

/// RFC 3518: flags and MAC type; type 1 is Ethernet.
fn bridged(c: &mut Cursor<'_>) -> Result<Next, Stop> {
    let h: &[u8; 2] = c.take().ok_or(Stop::Short)?;
    if h[1] == 1 { Ok(Next::Ethernet) } else { Err(Stop::NonIp) }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{eth, inner4, join, labels, packet};

    #[test]
    fn address_and_control_may_stand_before_the_protocol() {
        for head in [&[0xFF, 3, 0, 0x21][..], &[0, 0x21], &[0x21], &[0xFF, 3, 0x21]] {
            assert_eq!(packet(&eth(0x880B, &join(&[head, &inner4(1)]))).headers().len(), 1);
        }
        assert_eq!(packet(&eth(0x880B, &join(&[&[2, 0x81], &labels(&[9], &inner4(1))]))).link.mpls_label, Some(9));
        assert_eq!(packet(&eth(0x880B, &join(&[&[0, 0x31, 0, 1], &eth(0x0800, &inner4(1))]))).headers().len(), 1);
    }
}
