//! Lines → the body of a request: framed, compressed.

use std::io::Write as _;

use crate::config::{BodyFraming, Compression, HttpsSink};

/// A body, and what its headers say of it.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) content_type: &'static str,
    pub(super) encoding: Option<&'static str>,
}

/// Fast, and most of what there is to gain.
const GZIP_LEVEL: u32 = 4;
const ZSTD_LEVEL: i32 = 3;

/// Of whole lines.
pub(super) fn make(config: &HttpsSink, lines: &[u8]) -> Body {
    let (plain, content_type) = match &config.framing {
        BodyFraming::Lines => (lines.to_vec(), "application/x-ndjson"),
        BodyFraming::SplunkHec { index, source, sourcetype } => {
            let said = [("index", index), ("source", source), ("sourcetype", sourcetype)];
            (events(lines, &said), "application/json")
        }
    };
    // Memory takes what is written: where a compressor refuses all the same, the body goes as it is.
    let packed = match config.compression {
        Compression::None => None,
        Compression::Gzip => gzip(&plain).map(|bytes| (bytes, "gzip")),
        Compression::Zstd => zstd::bulk::compress(&plain, ZSTD_LEVEL).ok().map(|bytes| (bytes, "zstd")),
    };
    match packed {
        Some((bytes, encoding)) => Body { bytes, content_type, encoding: Some(encoding) },
        None => Body { bytes: plain, content_type, encoding: None },
    }
}

fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(plain.len() / 4), flate2::Compression::new(GZIP_LEVEL));
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

/// Events of Splunk's HTTP Event Collector: an object each, one behind the other.
fn events(lines: &[u8], said: &[(&str, &Option<String>)]) -> Vec<u8> {
    let mut tail = String::new();
    for (key, value) in said.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
        tail += &format!(",\"{key}\":{}", serde_json::Value::from(value.as_str()));
    }
    let mut out = Vec::with_capacity(lines.len() + lines.len() / 8);
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        out.push(b'{');
        if let Some((seconds, millis)) = time_of(line) {
            out.extend_from_slice(format!("\"time\":{seconds}.{millis:03},").as_bytes());
        }
        out.extend_from_slice(b"\"event\":");
        out.extend_from_slice(line);
        out.extend_from_slice(tail.as_bytes());
        out.extend_from_slice(b"}\n");
    }
    out
}

/// When it was, if the line says so: seconds since 1970, milliseconds. Quotes within texts are escaped, so a key is found as it stands.
fn time_of(line: &[u8]) -> Option<(u64, u64)> {
    const KEYS: [&[u8]; 3] = [b"\"time_received_ns\":\"", b"\"time_ns\":\"", b"\"windowEndNs\":\""];
    let Some(at) = KEYS.iter().find_map(|key| Some(line.windows(key.len()).position(|part| part == *key)? + key.len())) else {
        // A packet log begins with it, as RFC 3339.
        let text = line.strip_prefix(b"{\"Timestamp\":\"")?.split(|byte| *byte == b'"').next()?;
        let ns = crate::audit::counters::time_ns(std::str::from_utf8(text).ok()?)?;
        return Some((ns / 1_000_000_000, ns / 1_000_000 % 1_000));
    };
    let digits = line.get(at..)?.split(|byte| !byte.is_ascii_digit()).next()?;
    let ns: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((ns / 1_000_000_000, ns / 1_000_000 % 1_000))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const LINES: &[u8] = b"{\"time_received_ns\":\"1700000000123456789\",\"bytes\":\"1\"}\n{\"note\":\"\\\"time_ns\\\":\\\"5\\\"\"}\n";

    #[test]
    fn what_is_packed_comes_out_again() {
        let made = |compression| make(&HttpsSink { compression, ..HttpsSink::to("https://x") }, LINES);
        assert_eq!((&made(Compression::None).bytes[..], made(Compression::None).encoding), (LINES, None));
        let (packed, mut plain) = (made(Compression::Gzip), Vec::new());
        flate2::read::GzDecoder::new(&packed.bytes[..]).read_to_end(&mut plain).unwrap();
        assert_eq!((&plain[..], packed.encoding, packed.content_type), (LINES, Some("gzip"), "application/x-ndjson"));
        let packed = made(Compression::Zstd);
        assert_eq!((&zstd::bulk::decompress(&packed.bytes, 1_000).unwrap()[..], packed.encoding), (LINES, Some("zstd")));
    }

    #[test]
    fn events_hold_the_lines_with_their_times() {
        let framing = BodyFraming::SplunkHec { index: Some("a\"b".to_owned()), source: None, sourcetype: Some("_json".to_owned()) };
        let config = HttpsSink { compression: Compression::None, framing, ..HttpsSink::to("https://x") };
        let made = make(&config, LINES);
        let read: Vec<serde_json::Value> = serde_json::Deserializer::from_slice(&made.bytes).into_iter().map(Result::unwrap).collect();
        assert_eq!((read.len(), made.content_type), (2, "application/json"));
        assert_eq!(
            (&read[0]["time"], &read[0]["index"], &read[0]["sourcetype"]),
            (&1_700_000_000.123.into(), &"a\"b".into(), &"_json".into())
        );
        assert_eq!(read[0]["event"]["bytes"], "1");
        assert!(read[1].get("time").is_none() && read[1].get("source").is_none(), "{}", read[1]);
        let packet = b"{\"Timestamp\":\"2025-01-02T03:04:05.678901234Z\",\"Port\":0}";
        assert_eq!(time_of(packet), Some((1_735_787_045, 678)));
    }
}
