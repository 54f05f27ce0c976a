//! Flow messages as the journal holds them: many to a message, each with a key of its own.
//!
//! They are small and many, so what a message costs (a lock, a frame, a checksum, a place in the queue) is paid once a lot. Bytes: the
//! form and what its messages leave out, the count (4, little-endian), then each message: the lengths of its key (2) and of its value (4), key, value.

use std::ops::Range;

/// How the values of a lot are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LotForm {
    /// Protobuf.
    Bare,
    /// Protobuf with its length before it, as a varint.
    Framed,
    /// JSON, without a line end.
    Json,
}

impl LotForm {
    /// In the order of their numbers in the journal, which never change.
    const ALL: [Self; 3] = [Self::Bare, Self::Framed, Self::Json];
}

/// The form is in the low half of its byte; in the high one, which was once zero, is what messages leave out.
const FORM_BITS: u32 = 4;

const HEAD_BYTES: usize = 5;
const ENTRY_HEAD_BYTES: usize = 6;
/// A lot has no more messages.
const MESSAGES_MAX: u32 = 4_096;

/// A lot that is being filled. Its buffer is used again and again.
#[derive(Debug)]
pub struct LotWriter {
    bytes: Vec<u8>,
    count: u32,
}

impl LotWriter {
    /// An empty one, with room for so many bytes.
    pub fn new(form: LotForm, bytes: usize) -> Self {
        let mut writer = Self { bytes: Vec::with_capacity(HEAD_BYTES + bytes), count: 0 };
        writer.bytes.push(form as u8);
        writer.bytes.resize(HEAD_BYTES, 0);
        writer
    }

    /// Its messages leave out these of what is else always written: four bits, which who reads them knows.
    #[must_use]
    pub fn leaving_out(mut self, bits: u8) -> Self {
        self.bytes[0] |= bits << FORM_BITS;
        self
    }

    /// Adds a message: both append to what they are given. False, and nothing is added: one of them is
    /// longer than may be, or the lot is full.
    pub fn put(&mut self, key: impl FnOnce(&mut Vec<u8>), value: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.count >= MESSAGES_MAX {
            return false;
        }
        let begin = self.bytes.len();
        self.bytes.resize(begin + ENTRY_HEAD_BYTES, 0);
        key(&mut self.bytes);
        let middle = self.bytes.len();
        value(&mut self.bytes);
        let lengths = u16::try_from(middle - begin - ENTRY_HEAD_BYTES).ok().zip(u32::try_from(self.bytes.len() - middle).ok());
        let head = self.bytes.get_mut(begin..begin + ENTRY_HEAD_BYTES);
        let (Some((key, value)), Some(head)) = (lengths, head) else {
            self.bytes.truncate(begin);
            return false;
        };
        head[..2].copy_from_slice(&key.to_le_bytes());
        head[2..].copy_from_slice(&value.to_le_bytes());
        self.count += 1;
        true
    }

    /// Messages in it.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Bytes in it.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// What is in it, as the payload of a journal's message; then it is empty.
    pub fn take(&mut self) -> Box<[u8]> {
        self.bytes[1..HEAD_BYTES].copy_from_slice(&self.count.to_le_bytes());
        let taken = self.bytes.as_slice().into();
        self.bytes.truncate(HEAD_BYTES);
        self.count = 0;
        taken
    }
}

/// A lot that is read.
#[derive(Clone, Copy, Debug)]
pub struct Lot<'a> {
    /// How its values are written.
    pub form: LotForm,
    /// What they leave out: see [`LotWriter::leaving_out`].
    pub left_out: u8,
    /// Messages that it says it has.
    pub count: u32,
    payload: &'a [u8],
}

impl<'a> Lot<'a> {
    /// `None`: these bytes are no lot.
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let head = payload.first_chunk::<HEAD_BYTES>()?;
        let (form, left_out) = (head[0] & ((1 << FORM_BITS) - 1), head[0] >> FORM_BITS);
        let form = *LotForm::ALL.get(usize::from(form))?;
        Some(Self { form, left_out, count: u32::from_le_bytes([head[1], head[2], head[3], head[4]]), payload })
    }

    /// Where in the payload key and value of each message are. Ends where an entry claims more than there is.
    pub fn places(self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let (payload, mut at) = (self.payload, HEAD_BYTES);
        std::iter::from_fn(move || {
            let head = payload.get(at..)?.first_chunk::<ENTRY_HEAD_BYTES>()?;
            let key_at = at + ENTRY_HEAD_BYTES;
            let value_at = key_at + usize::from(u16::from_le_bytes([head[0], head[1]]));
            at = value_at + u32::from_le_bytes([head[2], head[3], head[4], head[5]]) as usize;
            (at <= payload.len()).then_some((key_at..value_at, value_at..at))
        })
    }

    /// Key and value of each message.
    pub fn entries(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let payload = self.payload;
        self.places().filter_map(|(key, value)| Some((payload.get(key)?, payload.get(value)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let mut writer = LotWriter::new(LotForm::Json, 10);
        for round in 0..3_u8 {
            let texts: Vec<(Vec<u8>, Vec<u8>)> = (0..round * 7).map(|n| (vec![n; usize::from(n)], vec![n; 300 - usize::from(n)])).collect();
            for (key, value) in &texts {
                assert!(writer.put(|out| out.extend(key), |out| out.extend(value)));
            }
            assert!(!writer.put(|out| out.resize(out.len() + 70_000, 0), |_| {}), "a key of 70,000 bytes");
            assert_eq!(writer.count(), u32::from(round) * 7);
            let taken = writer.take();
            let lot = Lot::read(&taken).unwrap();
            assert_eq!((lot.form, lot.count as usize), (LotForm::Json, texts.len()));
            let read: Vec<_> = lot.entries().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
            assert_eq!(read, texts);
            // Cut anywhere, it gives what is whole.
            for end in 0..taken.len() {
                let whole = Lot::read(&taken[..end]).map_or(0, |lot| lot.entries().count());
                assert!(whole < texts.len().max(1), "{whole} of {}", texts.len());
            }
        }
        assert!(Lot::read(&[3, 0, 0, 0, 0]).is_none());
        let lots = [LotWriter::new(LotForm::Framed, 9), LotWriter::new(LotForm::Framed, 9).leaving_out(13)];
        for (mut writer, left_out) in lots.into_iter().zip([0, 13]) {
            assert!((0..2).all(|_| Lot::read(&writer.take()).is_some_and(|lot| (lot.form, lot.left_out) == (LotForm::Framed, left_out))));
        }
    }
}
