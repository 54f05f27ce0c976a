//! Export datagrams to a running appliance, over loopback.
#![allow(dead_code, clippy::cast_possible_truncation, reason = "not every test uses all of it; its numbers are small")]

use std::net::UdpSocket;
use std::time::Duration;

use crate::e2e_support::{Appliance, wait};

pub(crate) const LISTEN: &str = "127.0.0.1:2055";
pub(crate) const FLOWS: &str = "[flows]\nlisten = [\"udp/127.0.0.1:2055\"]\n";

/// NetFlow 5: so many records of ten bytes each, numbered.
pub(crate) fn five(first: u32, records: u16) -> Vec<u8> {
    let mut out = [&5_u16.to_be_bytes()[..], &records.to_be_bytes(), &[0; 12], &first.to_be_bytes(), &[0; 4]].concat();
    for n in 0..u32::from(records) {
        let mut record = [0_u8; 48];
        record[..4].copy_from_slice(&(first + n).to_be_bytes());
        (record[19], record[23]) = (1, 10);
        out.extend(record);
    }
    out
}

/// NetFlow 9, sequence `number`: a template (source address, octets), or a data set of two records.
pub(crate) fn nine(number: u32, is_template: bool) -> Vec<u8> {
    let mut out = [&[0, 9, 0, 1, 0, 0, 0, 9, 0, 0, 0, 9][..], &number.to_be_bytes(), &[0, 0, 0, 7]].concat();
    if is_template {
        out.extend([0, 0, 0, 16, 1, 0, 0, 2, 0, 8, 0, 4, 0, 1, 0, 4]);
    } else {
        out.extend([1, 0, 0, 20]);
        out.extend([2 * number, 2 * number + 1].into_iter().flat_map(|n| [n.to_be_bytes(), 10_u32.to_be_bytes()].concat()));
    }
    out
}

/// All of them, as fast as loopback and the appliance's socket take them without loss.
pub(crate) fn send(from: &UdpSocket, payloads: &[Vec<u8>]) {
    for (sent, payload) in payloads.iter().enumerate() {
        from.send_to(payload, LISTEN).unwrap();
        if sent % 50 == 49 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Until the appliance has had so many.
pub(crate) fn had(appliance: &Appliance, datagrams: usize) {
    let has = || appliance.metric("tailwater_flows_datagrams_total", "") as usize;
    wait(30, || has() == datagrams, || format!("{} of {datagrams} datagrams came\n{}", has(), appliance.log()));
}

/// A classic capture of UDP over raw IPv4 on loopback; what is longer than a packet goes in one all the same.
pub(crate) fn captured(payloads: &[Vec<u8>], port: u16) -> Vec<u8> {
    let mut out =
        [&0xA1B2_C3D4_u32.to_le_bytes()[..], &[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0], &65_535_u32.to_le_bytes(), &101_u32.to_le_bytes()]
            .concat();
    for payload in payloads {
        let length = |extra: usize| u16::try_from(payload.len() + extra).unwrap().to_be_bytes();
        let ip = [&[0x45, 0][..], &length(28), &[0, 1, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]].concat();
        let udp = [&port.to_be_bytes()[..], &2055_u16.to_be_bytes(), &length(8), &[0, 0]].concat();
        let size = u32::try_from(payload.len() + 28).unwrap().to_le_bytes();
        out.extend([&1_600_000_000_u32.to_le_bytes()[..], &[0; 4], &size, &size, &ip, &udp, payload].concat());
    }
    out
}
