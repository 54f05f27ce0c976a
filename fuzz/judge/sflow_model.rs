//! sFlow 5 read slowly and plainly (sflow.org/sflow_version_5.txt), by places within the datagram.

use tailwater::flows::{DatagramDrop, SetDrop};

use super::came::Came;
use super::counts::Counts;

/// What is compared of a sample: when it came, its datagram's number, interfaces, rate, length of the packet.
pub(crate) type Sample = (u64, u32, [u32; 2], u64, u64);

/// All that was read.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) counts: Counts,
    pub(crate) samples: Vec<Sample>,
    pub(crate) sets: u64,
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]])).collect()
}

/// What stands behind so many bytes, which are filled up to a multiple of four where there is as much.
fn behind(rest: &[u8], bytes: usize) -> &[u8] {
    rest.get(bytes.next_multiple_of(4)..).unwrap_or(&rest[bytes..])
}

impl Model {
    /// Reads a datagram of sFlow.
    pub(crate) fn take(&mut self, came: &Came) {
        let (bytes, w) = (&came.datagram, words(&came.datagram));
        let agent = match w.get(1) {
            None => return self.counts.datagram_drops[DatagramDrop::Short as usize] += 1,
            Some(0) => 0,
            Some(1) => 1,
            Some(2) => 4,
            Some(_) => return self.counts.datagram_drops[DatagramDrop::Malformed as usize] += 1,
        };
        // Version, kind of address, address, sub-agent, number, uptime, samples.
        let header = 2 + agent + 4;
        if w.len() < header {
            return self.counts.datagram_drops[DatagramDrop::Short as usize] += 1;
        }
        let (number, count) = (w[header - 3], u64::from(w[header - 1]));
        let (mut rest, mut left) = (&bytes[header * 4..], count);
        while left > 0 && rest.len() >= 8 {
            left -= 1;
            self.sets += 1;
            let (format, length) = (words(rest)[0], words(rest)[1] as usize);
            rest = &rest[8..];
            if length > rest.len() {
                self.counts.set_drops[SetDrop::Cut as usize] += 1;
                break;
            }
            self.sample(came, number, format, &rest[..length]);
            rest = behind(rest, length);
        }
        // Whatever the header says, a datagram has no room for more samples, of eight bytes each at least.
        let missing = left.min(65_535 / 8);
        self.sets += missing;
        self.counts.set_drops[SetDrop::Missing as usize] += missing;
    }

    fn sample(&mut self, came: &Came, number: u32, format: u32, body: &[u8]) {
        let (w, bad) = (words(body), SetDrop::BadSample as usize);
        let of_kind = |kind: u32, value: u32| if kind == 0 && value != 0x3FFF_FFFF { value } else { 0 };
        let split = |word: u32| of_kind(word >> 30, word);
        // Where the records begin, behind their count.
        let (head, interfaces, rate) = match format {
            1 if w.len() >= 8 => (8, [split(w[5]), split(w[6])], u64::from(w[2])),
            3 if w.len() >= 11 => (11, [of_kind(w[6], w[7]), of_kind(w[8], w[9])], u64::from(w[3])),
            5 if w.len() >= 8 => (8, [of_kind(0, w[4]), of_kind(0, w[5])], 1),
            2 if w.len() >= 2 => return self.counted(),
            4 if w.len() >= 3 => return self.counted(),
            1..=5 => return self.counts.set_drops[bad] += 1,
            _ => return self.counts.set_drops[SetDrop::OtherSample as usize] += 1,
        };
        let (length, whole) = length_of(w[head - 1], &body[head * 4..]);
        if !whole && length == 0 {
            return self.counts.set_drops[bad] += 1;
        }
        self.counts.data_sets += 1;
        self.counts.flows += 1;
        self.samples.push((came.from.received_ns, number, interfaces, rate, length));
    }

    fn counted(&mut self) {
        self.counts.data_sets += 1;
        self.counts.counters += 1;
    }
}

/// The length of the packet that the records tell, and whether all of them are there.
fn length_of(count: u32, mut rest: &[u8]) -> (u64, bool) {
    // The frame's own goes before that of an Ethernet record, and this before that of the packet in it.
    let (mut length, mut of) = (0, 0);
    for _ in 0..count {
        let w = words(rest);
        let (Some(format), Some(bytes)) = (w.first(), w.get(1)) else { return (length, false) };
        let bytes = *bytes as usize;
        rest = &rest[8..];
        if bytes > rest.len() {
            return (length, false);
        }
        let record = words(&rest[..bytes]);
        let told = match format {
            1 if record.len() >= 4 => (3, record[1]),
            2 if !record.is_empty() => (2, record[0]),
            3 | 4 if !record.is_empty() => (1, record[0]),
            _ => (0, 0),
        };
        if told.1 > 0 && told.0 >= of {
            (of, length) = (told.0, u64::from(told.1));
        }
        rest = behind(rest, bytes);
    }
    (length, true)
}
