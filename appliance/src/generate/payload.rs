//! Payloads that dissectors accept as what their ports say.

use super::packet::{Fill, Packet};

/// Random bytes that payloads are cut from.
pub(super) const FILLER_BYTES: usize = 1 << 17;

/// The least bytes of a DNS query for `www.example.com`, and of an answer to it without any record.
pub(super) const DNS_QUERY_BYTES: u32 = 33;
/// Name, type, class, lifetime and length of one record.
const DNS_RECORD_BYTES: u32 = 12;
/// The shortest answer that holds a record.
pub(super) const DNS_ANSWER_BYTES_MIN: u32 = DNS_QUERY_BYTES + DNS_RECORD_BYTES + 1;
/// An answer to monlist with six entries, which is what servers send most.
pub(super) const NTP_MONLIST_BYTES: u32 = 440;
/// Request id, number, count and nothing, before what memcached says.
pub(super) const MEMCACHED_BYTES_MIN: u32 = 27;
const MEMCACHED_VALUE: &[u8] = b"VALUE x 0 1048576\r\n";
/// An entry with one attribute of no bytes, and the end of the search.
pub(super) const CLDAP_BYTES_MIN: u32 = 56;
const CLDAP_HEAD_BYTES: usize = 42;
/// Message 7, search done: success.
const CLDAP_DONE: &[u8] = &[0x30, 0x0c, 2, 1, 7, 0x65, 7, 0x0a, 1, 0, 4, 0, 4, 0];
const _: () = assert!(MEMCACHED_BYTES_MIN as usize == 8 + MEMCACHED_VALUE.len());
const _: () = assert!(CLDAP_BYTES_MIN as usize == CLDAP_HEAD_BYTES + CLDAP_DONE.len());
const DNS_NAME: &[u8] = b"\x03www\x07example\x03com\0";

/// Appends exactly the payload's bytes.
pub(super) fn write(packet: &Packet, filler: &[u8], out: &mut Vec<u8>) {
    let end = out.len() + packet.payload.bytes as usize;
    match packet.payload.fill {
        Fill::Noise => {}
        Fill::Tls => tls(packet.payload.bytes, out),
        Fill::DnsQuery => dns(packet, 0, out),
        Fill::DnsAnswer => dns_answer(packet, filler, end, out),
        Fill::QuicInitial => quic_initial(packet, out),
        Fill::Rtp => out.extend_from_slice(&[0x80, 0x60]),
        Fill::QuicShort => out.push(0x43),
        Fill::Ntp => out.push(0x23),
        // An answer of version 2 in private mode: number, implementation XNTPD, MON_GETLIST_1, 6 entries of 72 bytes.
        Fill::NtpMonlist => out.extend_from_slice(&[0x97, packet.salt.to_le_bytes()[0] & 0x7f, 3, 42, 0, 6, 0, 72]),
        Fill::Memcached => memcached(packet, out),
        Fill::Cldap => cldap(packet, filler, end, out),
    }
    out.truncate(end);
    let rest = end - out.len();
    let at = usize::from(packet.salt);
    out.extend_from_slice(filler.get(at..at + rest).unwrap_or_default());
    out.resize(end, 0);
}

/// Datagram `salt` of a value of a megabyte.
fn memcached(packet: &Packet, out: &mut Vec<u8>) {
    let [_, number] = packet.salt.to_be_bytes();
    out.extend_from_slice(&[0x12, 0x34, 0, number, 2, 0xf0, 0, 0]);
    out.extend_from_slice(MEMCACHED_VALUE);
}

/// RFC 4511, 4.5.2 in BER: an entry without a name, whose one attribute fills the answer up, then the end of the search.
fn cldap(packet: &Packet, filler: &[u8], end: usize, out: &mut Vec<u8>) {
    let text = (end - out.len()).saturating_sub(CLDAP_HEAD_BYTES + CLDAP_DONE.len());
    let mut nested = |head: &[u8], inner: usize| {
        out.extend_from_slice(head);
        out.push(0x82);
        out.extend_from_slice(&u16::try_from(inner).unwrap_or(0).to_be_bytes());
    };
    nested(&[0x30], text + 38);
    nested(&[2, 1, 7, 0x64], text + 31);
    nested(&[4, 0, 0x30], text + 25);
    nested(&[0x30], text + 21);
    nested(b"\x04\x0bdescription\x31", text + 4);
    nested(&[4], text);
    let salt = usize::from(packet.salt);
    // Letters: a dissector looks for structure in what is not.
    out.extend(filler.get(salt..salt + text).unwrap_or_default().iter().map(|byte| b'a' + (byte & 15)));
    out.extend_from_slice(CLDAP_DONE);
}

/// One record of application data.
fn tls(bytes: u32, out: &mut Vec<u8>) {
    let length = u16::try_from(bytes.saturating_sub(5)).unwrap_or(0);
    out.extend_from_slice(&[0x17, 3, 3]);
    out.extend_from_slice(&length.to_be_bytes());
}

/// RFC 9000, 17.2.2: version 1, a connection id of 8 bytes, no other, no token, the length of what follows.
fn quic_initial(packet: &Packet, out: &mut Vec<u8>) {
    let [high, low] = packet.salt.to_be_bytes();
    out.extend_from_slice(&[0xc3, 0, 0, 0, 1, 8, high, low, 1, 2, 3, 4, 5, 6, 0, 0]);
    let length = u16::try_from(packet.payload.bytes.saturating_sub(18)).unwrap_or(0);
    out.extend_from_slice(&(0x4000 | length).to_be_bytes());
}

/// Header and question; of a query, or of an answer with this many records.
fn dns(packet: &Packet, answers: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&packet.salt.to_be_bytes());
    let flags = if answers == 0 { [0x01, 0] } else { [0x81, 0x80] };
    out.extend_from_slice(&flags);
    out.extend_from_slice(&[0, 1, 0, answers, 0, 0, 0, 0]);
    out.extend_from_slice(DNS_NAME);
    out.extend_from_slice(&[0, 16, 0, 1]);
}

/// One TXT record that fills the answer up.
fn dns_answer(packet: &Packet, filler: &[u8], end: usize, out: &mut Vec<u8>) {
    dns(packet, 1, out);
    let text = end.saturating_sub(out.len() + DNS_RECORD_BYTES as usize);
    out.extend_from_slice(&[0xc0, 12, 0, 16, 0, 1, 0, 0, 0x0e, 0x10]);
    out.extend_from_slice(&u16::try_from(text).unwrap_or(0).to_be_bytes());
    let mut salt = usize::from(packet.salt);
    let mut rest = text;
    while rest > 0 {
        let string = (rest - 1).min(255);
        out.push(u8::try_from(string).unwrap_or(255));
        out.extend_from_slice(filler.get(salt..salt + string).unwrap_or_default());
        salt += string;
        rest -= string + 1;
    }
}
