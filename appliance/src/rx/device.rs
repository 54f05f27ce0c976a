//! What a port's `device` names, and what its driver needs beside what was written.

use std::path::Path;

use super::capture::Capture;
use crate::dpdk::SEGMENT_BYTES;
use crate::limits::FRAME_BYTES_MAX;

/// Bytes of the kernel's packet ring for each queue of `net_af_packet`, where the device string does not say: at 200,000
/// small packets a second, 160 ms. (The driver takes as much again for sending, which stays untouched.)
const KERNEL_RING_BYTES: u32 = 64 << 20;
/// `TPACKET2_HDRLEN - sizeof(struct sockaddr_ll)`: what the driver takes off a ring's frame for its own check.
const DRIVER_HEADER_BYTES: u32 = 32;
/// What the kernel itself takes in front of an Ethernet frame.
const KERNEL_HEADER_BYTES: u32 = 66;
/// The driver's own `framesz`.
const FRAMESZ_DEFAULT: u32 = 2_048;
/// Bytes of the smallest segments.
const SEGMENT_BYTES_MIN: u16 = 192;
/// Ethernet header and two VLAN tags.
const LAYER2_BYTES: u32 = 22;

/// A port's device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// A PCI address in full: `0000:3b:00.0`.
    Pci(String),
    /// A vdev.
    Vdev(Vdev),
}

/// A vdev as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vdev {
    /// `net_af_packet0`
    pub name: String,
    /// `net_af_packet`
    pub driver: String,
    /// In order; a key may stand several times.
    pub arguments: Vec<(String, String)>,
}

impl DeviceName {
    /// Reads a device as written in the configuration.
    pub fn read(written: &str) -> Self {
        match pci_address(written) {
            Some(address) => Self::Pci(address),
            None => Self::Vdev(Vdev::read(written)),
        }
    }
}

/// `[domain:]bus:device.function`, in hexadecimal.
fn pci_address(written: &str) -> Option<String> {
    let parts: Vec<&str> = written.split([':', '.']).collect();
    let shape = |parts: &[&str]| {
        let widths = [4, 2, 2, 1];
        parts.iter().zip(widths).all(|(part, width)| part.len() == width && part.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let full = match parts.len() {
        4 => written.to_owned(),
        3 => format!("0000:{written}"),
        _ => return None,
    };
    let parts: Vec<&str> = full.split([':', '.']).collect();
    let separators: String = full.chars().filter(|c| !c.is_ascii_hexdigit()).collect();
    (shape(&parts) && separators == "::.").then(|| full.to_lowercase())
}

impl Vdev {
    fn read(written: &str) -> Self {
        let mut words = written.split(',').map(str::trim);
        let name = words.next().unwrap_or_default().to_owned();
        let driver = name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let pair =
            |word: &str| word.split_once('=').map_or_else(|| (word.to_owned(), String::new()), |(k, v)| (k.to_owned(), v.to_owned()));
        Self { name, driver, arguments: words.filter(|word| !word.is_empty()).map(pair).collect() }
    }

    /// The first value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.arguments.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn number(&self, key: &str) -> Option<u32> {
        self.get(key)?.parse().ok()
    }

    fn default(&mut self, key: &str, value: impl ToString) {
        if self.get(key).is_none() {
            self.arguments.push((key.to_owned(), value.to_string()));
        }
    }

    /// As EAL wants it.
    pub fn words(&self) -> String {
        let arguments =
            self.arguments.iter().map(|(key, value)| if value.is_empty() { format!(",{key}") } else { format!(",{key}={value}") });
        std::iter::once(self.name.clone()).chain(arguments).collect()
    }

    /// Fills in what was left open: as many driver queues as are polled, and a packet ring that holds the interface's
    /// frames. What was written stays.
    pub fn complete(&mut self, queues: u16, interface_mtu: Option<u32>) {
        match self.driver.as_str() {
            "net_af_packet" => {
                if queues > 1 {
                    self.default("qpairs", queues);
                }
                if ["framesz", "blocksz", "framecnt"].iter().all(|key| self.get(key).is_none()) {
                    let framesz = framesz_for(interface_mtu.unwrap_or(1_500));
                    self.default("framesz", framesz);
                    self.default("blocksz", framesz.max(64 << 10));
                    self.default("framecnt", KERNEL_RING_BYTES / framesz);
                }
            }
            "net_af_xdp" if queues > 1 => self.default("queue_count", queues),
            _ => {}
        }
    }

    /// What is wrong with polling `queues` queues of it, with the remedy.
    pub fn queues_fault(&self, queues: u16) -> Option<String> {
        let count = |keys: &[&str]| self.arguments.iter().filter(|(name, _)| keys.contains(&name.as_str())).count();
        let (has, how) = match self.driver.as_str() {
            "net_pcap" => match count(&["rx_pcap", "rx_iface", "rx_iface_in"]) {
                0 => return None,
                files => (files, "give `rx_pcap=…` once for each queue"),
            },
            "net_af_packet" => (usize::try_from(self.number("qpairs").unwrap_or(1)).ok()?, "set `qpairs` to the number of queues"),
            "net_af_xdp" => (usize::try_from(self.number("queue_count").unwrap_or(1)).ok()?, "set `queue_count` to the number of queues"),
            _ => return None,
        };
        let has_one = if has == 1 { "1 queue".to_owned() } else { format!("{has} queues") };
        match usize::from(queues).cmp(&has) {
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(format!("{} has {has_one}, {queues} are asked for: {how}", self.name)),
            std::cmp::Ordering::Less => Some(format!("{} has {has_one}, only {queues} would be polled: set `queues = {has}`", self.name)),
        }
    }

    /// Name of the kernel interface that it receives from.
    pub fn interface(&self) -> Option<&str> {
        match self.driver.as_str() {
            "net_af_packet" | "net_af_xdp" | "net_tap" => self.get("iface"),
            "net_pcap" => ["rx_iface", "rx_iface_in", "iface"].iter().find_map(|key| self.get(key)),
            _ => None,
        }
    }

    /// Bytes that one segment must hold. A capture that is played over and over lies close together: memory that is
    /// walked through takes fewer pages.
    pub fn segment_bytes(&self) -> u16 {
        if let Some((_, longest)) = self.preloaded() {
            return u16::try_from(longest)
                .map_or(SEGMENT_BYTES, |bytes| bytes.saturating_add(63) & !63)
                .clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES);
        }
        let need = match self.driver.as_str() {
            "net_af_packet" => self.number("framesz").unwrap_or(FRAMESZ_DEFAULT).saturating_sub(DRIVER_HEADER_BYTES),
            _ => 0,
        };
        u16::try_from(need).unwrap_or(u16::MAX - 256).clamp(SEGMENT_BYTES, u16::MAX - 256)
    }

    /// A frame of this length or more may have been cut.
    pub fn cut_bytes(&self) -> u32 {
        match self.driver.as_str() {
            "net_af_packet" => self.number("framesz").unwrap_or(FRAMESZ_DEFAULT).saturating_sub(KERNEL_HEADER_BYTES),
            _ => u32::MAX,
        }
    }

    /// Whether it copies frames, and only copies them: then it is one to it what memory a pool is made of.
    pub fn copies(&self) -> bool {
        matches!(self.driver.as_str(), "net_pcap" | "net_af_packet" | "net_null" | "net_tap")
    }

    /// Segments that it fills before the first poll, for each queue, beside its descriptors: `infinite_rx` holds its whole
    /// file, and AF_XDP's fill and completion rings hold 4,096.
    pub fn preloaded_segments(&self) -> u32 {
        if self.driver == "net_af_xdp" { 6_144 } else { self.preloaded().map_or(0, |(frames, _)| frames) }
    }

    /// Frames of the largest file that `infinite_rx` plays, and the longest of all: each must fit one segment.
    fn preloaded(&self) -> Option<(u32, u32)> {
        if self.driver != "net_pcap" || self.get("infinite_rx").is_none_or(|value| value == "0") {
            return None;
        }
        let files = self.arguments.iter().filter(|(key, _)| key == "rx_pcap");
        files.map(|(_, file)| frames_of(Path::new(file))).reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))
    }
}

/// Frames of a capture, and the longest. Of one that cannot be read nothing: the driver says what is wrong with it.
fn frames_of(file: &Path) -> (u32, u32) {
    let Ok(mut capture) = Capture::open(file) else { return (0, 0) };
    let (mut frames, mut longest) = (0_u32, 0);
    while let Ok(Some(frame)) = capture.next_frame() {
        frames = frames.saturating_add(1);
        longest = longest.max(u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX));
    }
    (frames, longest)
}

/// The smallest power of two that holds a frame of the interface, up to the longest frame that we take.
fn framesz_for(mtu: u32) -> u32 {
    let longest = u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX);
    let frame = mtu.saturating_add(LAYER2_BYTES).min(longest);
    (frame + KERNEL_HEADER_BYTES).next_power_of_two().max(FRAMESZ_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vdev(written: &str) -> Vdev {
        match DeviceName::read(written) {
            DeviceName::Vdev(vdev) => vdev,
            DeviceName::Pci(address) => panic!("{address} is no vdev"),
        }
    }

    #[test]
    fn pci_addresses_are_told_from_vdevs() {
        for (written, full) in [("0000:3b:00.0", "0000:3b:00.0"), ("3B:00.1", "0000:3b:00.1")] {
            assert_eq!(DeviceName::read(written), DeviceName::Pci(full.into()));
        }
        for written in ["net_pcap0,rx_pcap=a:b.c", "", "0000:3b:00", "000:3b:00.0", "3b.00:0", "0000:3g:00.0", "::."] {
            assert!(matches!(DeviceName::read(written), DeviceName::Vdev(_)), "{written}");
        }
    }

    #[test]
    fn words_stay_as_written() {
        for written in ["net_null0", "net_pcap0,rx_pcap=a.pcap,rx_pcap=b=c.pcap,infinite_rx=1", "net_tap7,iface=t0"] {
            assert_eq!(vdev(written).words(), written);
        }
        let read = vdev("net_af_xdp12, iface=veth0");
        assert_eq!((read.driver.as_str(), read.interface()), ("net_af_xdp", Some("veth0")));
    }

    #[test]
    fn af_packet_gets_a_ring_that_holds_the_interface() {
        let mut small = vdev("net_af_packet0,iface=v");
        small.complete(2, Some(1_500));
        assert_eq!(small.words(), "net_af_packet0,iface=v,qpairs=2,framesz=2048,blocksz=65536,framecnt=32768");
        assert_eq!((small.segment_bytes(), small.cut_bytes()), (2_048, 1_982));
        let mut jumbo = vdev("net_af_packet0,iface=v");
        jumbo.complete(1, Some(9_000));
        assert_eq!(jumbo.words(), "net_af_packet0,iface=v,framesz=16384,blocksz=65536,framecnt=4096");
        assert_eq!(jumbo.segment_bytes(), 16_352);
        let mut own = vdev("net_af_packet0,iface=v,framesz=4096,blocksz=16384");
        own.complete(1, Some(9_000));
        assert_eq!((own.segment_bytes(), own.cut_bytes()), (4_064, 4_030));
        assert_eq!(framesz_for(u32::MAX), 16_384);
    }

    #[test]
    fn a_capture_that_is_played_over_and_over_is_held_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pcap");
        let mut pcap = crate::rx::capture::PcapWriter::new(Vec::new(), 1, 65_535).unwrap();
        (0..300_000_u64).for_each(|n| pcap.write(n, 60, &[0; 60]).unwrap());
        pcap.write(300_000, 300, &[0; 300]).unwrap();
        std::fs::write(&path, pcap.finish().unwrap()).unwrap();
        let once = vdev(&format!("net_pcap0,rx_pcap={}", path.display()));
        assert_eq!((once.preloaded_segments(), once.segment_bytes()), (0, SEGMENT_BYTES));
        let again = vdev(&format!("net_pcap0,rx_pcap={},infinite_rx=1", path.display()));
        assert_eq!((again.preloaded_segments(), again.segment_bytes()), (300_001, 320));
    }

    #[test]
    fn queues_must_match_what_the_driver_has() {
        assert_eq!(vdev("net_pcap0,rx_pcap=a,rx_pcap=b").queues_fault(2), None);
        assert!(vdev("net_pcap0,rx_pcap=a").queues_fault(2).unwrap().contains("once for each queue"));
        assert!(vdev("net_pcap0,rx_pcap=a,rx_pcap=b").queues_fault(1).unwrap().contains("queues = 2"));
        assert!(vdev("net_af_packet0,iface=v,qpairs=4").queues_fault(2).unwrap().contains("only 2"));
        assert_eq!(vdev("net_null0").queues_fault(9), None);
    }
}
