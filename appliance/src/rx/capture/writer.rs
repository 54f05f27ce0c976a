//! Writes a pcap file with nanosecond stamps, little-endian.

use std::io::{self, Write};

/// A capture that is being written.
#[derive(Debug)]
pub struct PcapWriter<W: Write> {
    to: W,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the header. `link_type` is the list's number (1 is Ethernet); `to` had better be buffered.
    pub fn new(mut to: W, link_type: u16, snap_bytes: u32) -> io::Result<Self> {
        let mut header = [0; 24];
        header[..4].copy_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
        header[4..8].copy_from_slice(&[2, 0, 4, 0]);
        header[16..20].copy_from_slice(&snap_bytes.to_le_bytes());
        header[20..22].copy_from_slice(&link_type.to_le_bytes());
        to.write_all(&header)?;
        Ok(Self { to })
    }

    /// Appends one frame, of which `bytes` were captured. A time beyond the year 2106 does not fit the format.
    pub fn write(&mut self, time_ns: u64, wire_bytes: u32, bytes: &[u8]) -> io::Result<()> {
        let beyond = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{what} does not fit a pcap record"));
        let seconds = u32::try_from(time_ns / 1_000_000_000).map_err(|_| beyond("the time"))?;
        let fraction_ns = u32::try_from(time_ns % 1_000_000_000).map_err(|_| beyond("the time"))?;
        let captured = u32::try_from(bytes.len()).map_err(|_| beyond("the frame"))?;
        let mut header = [0; 16];
        for (place, field) in header.as_chunks_mut::<4>().0.iter_mut().zip([seconds, fraction_ns, captured, wire_bytes]) {
            *place = field.to_le_bytes();
        }
        self.to.write_all(&header)?;
        self.to.write_all(bytes)
    }

    /// Flushes, and gives the destination back.
    pub fn finish(mut self) -> io::Result<W> {
        self.to.flush()?;
        Ok(self.to)
    }
}
