//! One message as it lies in a segment. docs/journal.md describes the bytes.

use super::{Kind, Message, WindowOf};

/// What every frame begins with: where bytes are damaged, the next frame is looked for by it.
pub(super) const MAGIC: [u8; 4] = *b"TWJ1";
/// Magic, length of the body, position, checksum.
pub(super) const HEAD_BYTES: usize = 20;
/// Kind, lane, lengths of key and customer, the window.
const BODY_HEAD_BYTES: usize = 22;
/// No message is longer. A length above that is damage.
pub(super) const BODY_BYTES_MAX: usize = 256 << 20;

/// What a frame holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A message.
    Message(Message),
    /// Nothing: what had the positions from this one's up to here fell off before the disk had it.
    Gap(u64),
}

/// What the bytes at some place are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A position, what is there, and the bytes of its frame.
    Frame(u64, Content, usize),
    /// Perhaps a frame, if there are so many bytes in all.
    Cut(usize),
    /// No frame.
    Damaged,
}

/// Appends the frame of a message.
pub(super) fn encode(position: u64, message: &Message, out: &mut Vec<u8>) {
    let window = message.window;
    encode_body(
        position,
        [kind_code(message.kind), u8::from(message.is_fast)],
        (window.start_ns, window.end_ns),
        [&message.key, &message.customer],
        out,
        &message.payload,
    );
}

/// Appends a frame that says that nothing is there from a position on up to another.
pub(super) fn encode_gap((from, to): (u64, u64), out: &mut Vec<u8>) {
    encode_body(from, [GAP, 0], (from, to), ["", ""], out, &[]);
}

fn encode_body(position: u64, code: [u8; 2], (start, end): (u64, u64), texts: [&str; 2], out: &mut Vec<u8>, payload: &[u8]) {
    let begin = out.len();
    out.extend(MAGIC);
    out.extend([0; HEAD_BYTES - MAGIC.len()]);
    let [key, customer] = texts.map(|text| &text.as_bytes()[..text.len().min(usize::from(u16::MAX))]);
    let short = |text: &[u8]| u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes();
    out.extend(code);
    out.extend(short(key));
    out.extend(short(customer));
    out.extend(start.to_le_bytes());
    out.extend(end.to_le_bytes());
    out.extend(key);
    out.extend(customer);
    out.extend(payload);
    let len = u32::try_from(out.len() - begin - HEAD_BYTES).unwrap_or(u32::MAX);
    let head = &mut out[begin..];
    head[4..8].copy_from_slice(&len.to_le_bytes());
    head[8..16].copy_from_slice(&position.to_le_bytes());
    let sum = checksum(head);
    head[16..20].copy_from_slice(&sum.to_le_bytes());
}

/// CRC-32 (IEEE 802.3) of a whole frame but its magic and the checksum itself.
fn checksum(frame: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&frame[4..16]);
    crc.update(&frame[HEAD_BYTES..]);
    crc.finalize()
}

/// What the first of these bytes are.
pub(super) fn decode(bytes: &[u8]) -> Found {
    let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else {
        let is_begun = bytes.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic);
        return if is_begun { Found::Cut(HEAD_BYTES) } else { Found::Damaged };
    };
    let len = u32_at(head, 4) as usize;
    if head[..4] != MAGIC || !(BODY_HEAD_BYTES..=BODY_BYTES_MAX).contains(&len) {
        return Found::Damaged;
    }
    let Some(frame) = bytes.get(..HEAD_BYTES + len) else { return Found::Cut(HEAD_BYTES + len) };
    if checksum(frame) != u32_at(head, 16) {
        return Found::Damaged;
    }
    let position = u64_at(head, 8);
    body(position, &frame[HEAD_BYTES..]).map_or(Found::Damaged, |content| Found::Frame(position, content, frame.len()))
}

fn body(position: u64, body: &[u8]) -> Option<Content> {
    let (head, rest) = body.split_first_chunk::<BODY_HEAD_BYTES>()?;
    let kind = match head[0] {
        GAP => return Some(u64_at(head, 14)).filter(|to| *to > position).map(Content::Gap),
        code => *Kind::ALL.get(usize::from(code))?,
    };
    let len = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let (key, rest) = rest.split_at_checked(len(2))?;
    let (customer, payload) = rest.split_at_checked(len(4))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let window = WindowOf { start_ns: u64_at(head, 6), end_ns: u64_at(head, 14) };
    Some(Content::Message(Message {
        kind,
        is_fast: head[1] == 1,
        key: text(key),
        customer: text(customer),
        payload: payload.into(),
        window,
    }))
}

/// In the place of a kind.
const GAP: u8 = 255;

/// Its place in [`Kind::ALL`].
const fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Ranges => 0,
        Kind::Appliance => 1,
        Kind::Links => 2,
        Kind::Events => 3,
        Kind::Configs => 4,
        Kind::Flows => 5,
        Kind::Logs => 6,
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(key: &str, payload: &[u8]) -> Message {
        Message {
            kind: Kind::Appliance,
            is_fast: true,
            key: key.to_owned(),
            customer: "c".to_owned(),
            payload: payload.into(),
            window: WindowOf { start_ns: 7, end_ns: u64::MAX },
        }
    }

    /// The bytes of docs/journal.md.
    #[test]
    fn a_frame_lies_as_documented() {
        let mut bytes = Vec::new();
        let message = Message { kind: Kind::Ranges, is_fast: false, window: WindowOf { start_ns: 1, end_ns: 2 }, ..message("k", b"xy") };
        encode(3, &message, &mut bytes);
        let crc = u32_at(&bytes, 16);
        assert_eq!(bytes[..16], *b"TWJ1\x1a\0\0\0\x03\0\0\0\0\0\0\0");
        assert_eq!(bytes[20..], *b"\0\0\x01\0\x01\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0kcxy");
        assert_eq!(crc, crc32fast::hash(&[&bytes[4..16], &bytes[20..]].concat()));
    }

    #[test]
    fn every_kind_is_read_as_what_was_written() {
        for kind in Kind::ALL {
            let (mut bytes, message) = (Vec::new(), Message { kind, ..message("k", b"xy") });
            encode(3, &message, &mut bytes);
            assert_eq!(decode(&bytes), Found::Frame(3, Content::Message(message), bytes.len()));
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_damage_is_seen(
            key in "\\PC{0,40}", payload in prop::collection::vec(any::<u8>(), 0..300), position: u64, at: prop::sample::Index, bit in 0..8_u8,
        ) {
            let (message, mut bytes) = (message(&key, &payload), vec![9]);
            encode(position, &message, &mut bytes);
            let frame = &mut bytes[1..];
            for cut in 0..frame.len() {
                prop_assert!(matches!(decode(&frame[..cut]), Found::Cut(n) if n > cut && n <= frame.len()), "cut at {}", cut);
            }
            prop_assert_eq!(decode(frame), Found::Frame(position, Content::Message(message), frame.len()));
            let at = at.index(frame.len());
            frame[at] ^= 1 << bit;
            // A length that became larger asks for more bytes, of which there are none.
            prop_assert!(matches!(decode(frame), Found::Damaged | Found::Cut(_)));
        }

        #[test]
        fn a_gap_is_read_as_one(from in 0..u64::MAX, to: u64) {
            let mut bytes = Vec::new();
            encode_gap((from, to), &mut bytes);
            let found = if to > from { Found::Frame(from, Content::Gap(to), bytes.len()) } else { Found::Damaged };
            prop_assert_eq!(decode(&bytes), found);
        }

        #[test]
        fn nothing_stops_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let magic = [&MAGIC[..], &bytes].concat();
            prop_assert!(!matches!(decode(&magic), Found::Frame(..)));
            prop_assert!(!matches!(decode(&bytes), Found::Frame(..)));
        }
    }
}
