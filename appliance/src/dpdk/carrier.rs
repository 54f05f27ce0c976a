//! How often a kernel interface lost or found its carrier: what a look at the link now and then does not see. Asked by netlink, since
//! `/sys/class/net` may be another network namespace's.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

/// Attribute of a link, `linux/if_link.h`.
const IFLA_CARRIER_CHANGES: u16 = 35;
/// `struct nlmsghdr`, and `struct ifinfomsg` behind it.
const HEADER_BYTES: usize = 16;
const MESSAGE_BYTES: usize = HEADER_BYTES + 16;
/// An answer is some 2 KB.
const ANSWER_BYTES_MAX: usize = 32_768;

/// Times that the carrier of the interface with this number went or came, since it was made; none if there is none.
pub fn interface_carrier_changes(index: u32) -> Option<u64> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: makes a descriptor or says that it cannot.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
    // SAFETY: nobody else has this descriptor.
    let mut socket = (socket >= 0).then(|| unsafe { File::from_raw_fd(socket) })?;
    socket.write_all(&request(index)).ok()?;
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    // The kernel has answered by the time it took the request.
    let length = socket.read(&mut answer).ok()?;
    changes_in(answer.get(..length)?)
}

/// `RTM_GETLINK` of one interface.
fn request(index: u32) -> [u8; MESSAGE_BYTES] {
    let mut request = [0; MESSAGE_BYTES];
    let length = u32::try_from(MESSAGE_BYTES).unwrap_or(0);
    request[..4].copy_from_slice(&length.to_ne_bytes());
    request[4..6].copy_from_slice(&libc::RTM_GETLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&u16::try_from(libc::NLM_F_REQUEST).unwrap_or(0).to_ne_bytes());
    request[HEADER_BYTES + 4..HEADER_BYTES + 8].copy_from_slice(&index.to_ne_bytes());
    request
}

fn changes_in(answer: &[u8]) -> Option<u64> {
    let half = |at: usize, of: &[u8]| Some(u16::from_ne_bytes(of.get(at..at + 2)?.try_into().ok()?));
    if half(4, answer)? != libc::RTM_NEWLINK {
        return None;
    }
    let mut rest = answer.get(MESSAGE_BYTES..)?;
    while let (Some(length), Some(kind)) = (half(0, rest).map(usize::from), half(2, rest)) {
        if kind == IFLA_CARRIER_CHANGES {
            return Some(u64::from(u32::from_ne_bytes(rest.get(4..length)?.try_into().ok()?)));
        }
        // Each begins at a multiple of four; one that is shorter than its head is none.
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_never_changes_and_what_is_not_there_is_none() {
        let loopback = super::super::interface_index("lo").unwrap();
        let told = std::fs::read_to_string("/sys/class/net/lo/carrier_changes").unwrap();
        assert_eq!(interface_carrier_changes(loopback).map(|changes| changes.to_string()).as_deref(), Some(told.trim()));
        assert_eq!(interface_carrier_changes(u32::MAX >> 1), None);
    }

    #[test]
    fn an_answer_cut_anywhere_is_none() {
        let mut answer = vec![0; MESSAGE_BYTES];
        answer[4..6].copy_from_slice(&libc::RTM_NEWLINK.to_ne_bytes());
        // A name of five bytes with its padding, then the number.
        for (length, kind, data) in [(9_u16, 3_u16, &b"eth0\0\0\0\0"[..]), (8, IFLA_CARRIER_CHANGES, &7_u32.to_ne_bytes())] {
            [length, kind].iter().for_each(|half| answer.extend(half.to_ne_bytes()));
            answer.extend(data);
        }
        assert_eq!(changes_in(&answer), Some(7));
        assert!((0..answer.len()).all(|length| changes_in(&answer[..length]).is_none()));
        let last = answer.len() - 8;
        (0..=255).for_each(|byte| {
            answer[last] = byte;
            let _ = changes_in(&answer);
        });
    }
}
