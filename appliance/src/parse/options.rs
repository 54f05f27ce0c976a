//! Options of IPv4 and TCP: a kind, a length and a value each, but for two kinds of padding.

use super::cursor::Cursor;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;

/// One bit a kind that stands between `from` and `to` bytes from here, at most 40 of them; `bad` beside them where a
/// length cannot be. `None` where the frame ends before.
pub(super) fn read(c: &Cursor<'_>, from: usize, to: usize, bit: fn(u8) -> u16, bad: u16) -> Option<u16> {
    let mut rest = c.between(from, to)?;
    let mut mask = 0;
    while let [kind, tail @ ..] = rest {
        match (*kind, tail) {
            (END, _) => break,
            (NO_OPERATION, _) => rest = tail,
            // The length counts kind and length.
            (kind, [length, ..]) if *length >= 2 && usize::from(*length) <= rest.len() => {
                mask |= bit(kind);
                rest = rest.get(usize::from(*length)..).unwrap_or_default();
            }
            (kind, _) => return Some(mask | bit(kind) | bad),
        }
    }
    Some(mask)
}

#[cfg(test)]
mod tests {
    use super::super::frames::{eth, join, packet, v4, v4_with, v6};
    use super::super::{IpHeader, MirrorPlan, parse};
    use crate::options::{IpOptions, Options as _, TcpOptions};
    use crate::units::LinkType;

    /// A TCP header of 20 bytes and these options, whose offset says what it should.
    fn segment(options: &[u8]) -> Vec<u8> {
        let offset = u8::try_from((20 + options.len()) * 4).unwrap();
        join(&[&[3, 232, 1, 187, 0xA0, 0, 0, 1, 0, 0, 0, 2, offset, 2, 4, 0, 0, 0, 0, 0], options])
    }

    fn of_tcp(options: &[u8]) -> IpHeader {
        packet(&eth(0x0800, &v4(1, 6, &segment(options)))).headers()[0]
    }

    #[test]
    fn kinds_of_tcp_in_any_order() {
        for (options, text) in [
            (&[2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7][..], "MSS,SACK,TS,WS"),
            (&[1, 3, 3, 7, 2, 4, 5, 180], "MSS,WS"),
            (&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0], "TS"),
            (&[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2], "BLOCKS"),
            (&[], "-"),
            (&[0, 2, 4, 5], "-"),
            (&[1; 40], "-"),
            (&[253, 4, 0, 0], "OTHER"),
            (&[2, 0, 0, 0], "MSS,BAD"),
            (&[2, 1, 0, 0], "MSS,BAD"),
            (&[2, 5, 0, 0], "MSS,BAD"),
            (&[1, 1, 1, 3], "WS,BAD"),
        ] {
            let header = of_tcp(options);
            assert_eq!((header.tcp_options.text(), header.tcp_options.known()), (text.to_owned(), true), "{options:?}");
            assert_eq!((header.tcp_window, header.tcp_seq), (11, 0xA), "{options:?}");
        }
    }

    #[test]
    fn what_was_cut_is_not_known() {
        let whole = eth(0x0800, &v4(1, 6, &segment(&[2, 4, 5, 180])));
        for (left, window) in [(4, true), (5, true), (9, false)] {
            let header = parse(&whole[..whole.len() - left], LinkType::Ethernet, &MirrorPlan::default()).unwrap().headers()[0];
            assert_eq!((header.tcp_window != IpHeader::WINDOW_UNREAD, header.tcp_options.known()), (window, false), "{left}");
        }
        let cut = eth(0x0800, &v4_with(1, 17, 0, &[7, 7, 4, 0, 0, 0, 0, 0], &[]));
        let header = parse(&cut[..cut.len() - 1], LinkType::Ethernet, &MirrorPlan::default()).unwrap().headers()[0];
        assert!(!header.ip_options.known());
    }

    #[test]
    fn options_and_extensions_of_ip() {
        let of = |options: &[u8]| packet(&eth(0x0800, &v4_with(1, 59, 0, options, &[]))).headers()[0].ip_options;
        assert_eq!(of(&[]).text(), "-");
        assert_eq!(of(&[148, 4, 0, 0]).text(), "RA");
        assert_eq!(of(&[1, 131, 3, 4, 7, 3, 4, 0]).text(), "RR,LSRR");
        assert_eq!(of(&[137, 40, 0, 0]).text(), "SSRR,BAD");
        let chain = |first: u8, chain: &[u8]| packet(&eth(0x86DD, &v6(1, first, chain))).headers()[0].ip_options;
        assert_eq!(chain(59, &[]), IpOptions(0));
        assert_eq!(chain(0, &[44, 0, 0, 0, 0, 0, 0, 0, 59, 0, 0, 1, 0, 0, 0, 9]).text(), "HOP,FRAG");
        assert_eq!(chain(60, &[59, 0, 0, 0, 0, 0, 0, 0]).text(), "DEST");
        assert!(!chain(60, &[59, 9, 0, 0, 0, 0, 0, 0]).known());
        assert_eq!(chain(60, &[60, 0, 0, 0, 0, 0, 0, 0].repeat(17)).text(), "DEST,BAD");
    }

    #[test]
    fn a_plan_may_pass_them_over() {
        let plan = MirrorPlan::default().without_options();
        let frame = eth(0x0800, &v4_with(1, 6, 0, &[148, 4, 0, 0], &segment(&[2, 4, 5, 180])));
        let header = parse(&frame, LinkType::Ethernet, &plan).unwrap().headers()[0];
        assert_eq!((header.tcp_options, header.ip_options, header.tcp_window), (TcpOptions(0), IpOptions(0), 11));
    }
}
