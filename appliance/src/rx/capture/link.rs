//! Link types: the numbers of <https://www.tcpdump.org/linktypes.html>.

use super::CaptureFault;
use crate::units::LinkType;

/// What [`of`] knows, for an error's remedy.
pub(super) const READ: &str = "Ethernet (1), raw IP (12, 14, 101, 228, 229), Linux cooked (113, 276), loopback (0, 108)";

/// The link type of a number's low 16 bits (above them stand flags and the FCS length).
pub(super) const fn of(number: u16) -> Result<LinkType, CaptureFault> {
    Ok(match number {
        1 => LinkType::Ethernet,
        // 12 and 14 are what some systems wrote for 101; 228 and 229 are IPv4 and IPv6 alone.
        12 | 14 | 101 | 228 | 229 => LinkType::RawIp,
        113 => LinkType::LinuxCooked,
        276 => LinkType::LinuxCooked2,
        0 | 108 => LinkType::Loopback,
        other => return Err(CaptureFault::LinkType(other)),
    })
}

/// The name of a link type that is not read, as the list spells it after `LINKTYPE_`.
pub(super) const fn name(number: u16) -> Option<&'static str> {
    Some(match number {
        3 => "AX25",
        6 => "IEEE802_5",
        7 => "ARCNET_BSD",
        8 => "SLIP",
        9 => "PPP",
        10 => "FDDI",
        50 => "PPP_HDLC",
        51 => "PPP_ETHER",
        100 => "ATM_RFC1483",
        104 => "C_HDLC",
        105 => "IEEE802_11",
        107 => "FRELAY",
        114 => "LTALK",
        117 => "PFLOG",
        119 => "IEEE802_11_PRISM",
        122 => "IP_OVER_FC",
        123 => "SUNATM",
        127 => "IEEE802_11_RADIOTAP",
        129 => "ARCNET_LINUX",
        130..=137 | 141..=142 | 164 | 178..=181 | 183..=184 | 194 | 200 => "JUNIPER",
        138 => "APPLE_IP_OVER_IEEE1394",
        143 => "DOCSIS",
        144 => "LINUX_IRDA",
        147..=162 => "USER0 to USER15",
        163 => "IEEE802_11_AVS",
        166 => "PPP_PPPD",
        169 => "GPF_T",
        177 => "LINUX_LAPD",
        182 => "MFR",
        187 => "BLUETOOTH_HCI_H4",
        189 => "USB_LINUX",
        192 => "PPI",
        195 => "IEEE802_15_4_WITHFCS",
        201 => "BLUETOOTH_HCI_H4_WITH_PHDR",
        203 => "LAPD",
        204 => "PPP_WITH_DIR",
        205 => "C_HDLC_WITH_DIR",
        206 => "FRELAY_WITH_DIR",
        209 => "IPMB_LINUX",
        215 => "IEEE802_15_4_NONASK_PHY",
        220 => "USB_LINUX_MMAPPED",
        226 => "IPNET",
        227 => "CAN_SOCKETCAN",
        230 => "IEEE802_15_4_NOFCS",
        231 => "DBUS",
        239 => "NFLOG",
        240 => "NETANALYZER",
        243 => "MPEG_2_TS",
        248 => "SCTP",
        249 => "USBPCAP",
        251 => "BLUETOOTH_LE_LL",
        252 => "WIRESHARK_UPPER_PDU",
        253 => "NETLINK",
        254 => "BLUETOOTH_LINUX_MONITOR",
        266 => "USB_DARWIN",
        271 => "VSOCK",
        272 => "NORDIC_BLE",
        _ => return None,
    })
}
