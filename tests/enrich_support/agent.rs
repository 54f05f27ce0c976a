//! An SNMP agent that answers GetBulk (RFC 3416) out of a list, on loopback.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a row holds.
#[derive(Clone)]
pub(crate) enum Held {
    Text(&'static str),
    Gauge(u32),
}

/// Answers until it is dropped; the first questions are lost, as on a bad day.
pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Agent {
    /// `rows` in the order of their names.
    pub(crate) fn start(community: &'static str, rows: Vec<(Vec<u32>, Held)>, lost: u64) -> Self {
        Self::new(community, rows, (lost, None))
    }

    /// Its first answer comes so late.
    #[allow(dead_code, reason = "one test asks for it")]
    pub(crate) fn late(community: &'static str, rows: Vec<(Vec<u32>, Held)>, by: std::time::Duration) -> Self {
        Self::new(community, rows, (0, Some(by)))
    }

    fn new(community: &'static str, rows: Vec<(Vec<u32>, Held)>, (lost, mut late): (u64, Option<std::time::Duration>)) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
        let (address, asked, stop) = (socket.local_addr().unwrap(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, end) = (Arc::clone(&asked), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut bytes = [0u8; 2_048];
            while !end.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut bytes) else { continue };
                if counter.fetch_add(1, Ordering::Relaxed) < lost {
                    continue;
                }
                late.take().into_iter().for_each(std::thread::sleep);
                if let Some(answer) = answer(&bytes[..length], community, &rows) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        Self { address, asked, stop, thread: Some(thread) }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Tag, value, rest.
fn cut(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, from) = match bytes[1] {
        0x81 => (usize::from(bytes[2]), 3),
        0x82 => (usize::from(bytes[2]) << 8 | usize::from(bytes[3]), 4),
        short => (usize::from(short), 2),
    };
    (bytes[0], &bytes[from..from + length], &bytes[from + length..])
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[tag, 0x82, high, low], value].concat()
}

fn whole(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn name(bytes: &[u8]) -> Vec<u32> {
    let mut parts = vec![u32::from(bytes[0]) / 40, u32::from(bytes[0]) % 40];
    let mut part = 0;
    for byte in &bytes[1..] {
        part = part << 7 | u32::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            parts.push(part);
            part = 0;
        }
    }
    parts
}

fn spelled(parts: &[u32]) -> Vec<u8> {
    let mut out = vec![u8::try_from(parts[0] * 40 + parts[1]).unwrap()];
    for part in &parts[2..] {
        let mut groups = vec![u8::try_from(part & 0x7F).unwrap()];
        let mut rest = part >> 7;
        while rest > 0 {
            groups.push(u8::try_from(rest & 0x7F).unwrap() | 0x80);
            rest >>= 7;
        }
        out.extend(groups.into_iter().rev());
    }
    out
}

fn answer(question: &[u8], community: &str, rows: &[(Vec<u32>, Held)]) -> Option<Vec<u8>> {
    let (_, message, _) = cut(question);
    let (_, version, rest) = cut(message);
    let (_, given, rest) = cut(rest);
    let (kind, pdu, _) = cut(rest);
    if version != [1] || given != community.as_bytes() || kind != 0xA5 {
        return None;
    }
    let (_, id, rest) = cut(pdu);
    let (_, _, rest) = cut(rest);
    let (_, repetitions, rest) = cut(rest);
    let (_, bindings, _) = cut(rest);
    let (_, binding, _) = cut(bindings);
    let asked = name(cut(binding).1);
    let mut found: Vec<u8> = Vec::new();
    let behind = rows.iter().filter(|(own, _)| *own > asked).take(whole(repetitions));
    for (own, held) in behind {
        let value = match held {
            Held::Text(text) => tlv(4, text.as_bytes()),
            Held::Gauge(number) => tlv(0x42, &[&[0][..], &number.to_be_bytes()].concat()),
        };
        found.extend(tlv(0x30, &[tlv(6, &spelled(own)), value].concat()));
    }
    if found.is_empty() {
        found = tlv(0x30, &[tlv(6, &spelled(&asked)), vec![0x82, 0]].concat());
    }
    let pdu = [tlv(2, id), tlv(2, &[0]), tlv(2, &[0]), tlv(0x30, &found)].concat();
    Some(tlv(0x30, &[tlv(2, &[1]), tlv(4, community.as_bytes()), tlv(0xA2, &pdu)].concat()))
}
