//! Keys that lie in the words of a narrow record, whatever else a configuration reads: their columns come straight from these.
//!
//! What a key is, says its row (`axes/key.rs`); a test holds these columns against it.

use crate::axes::{Key, KeySpec};
use crate::gather::packed::turned::{DSCP_BITS, DSCP_SHIFT, DST_PORT_SHIFT, FLAGS_SHIFT, FRAGMENT_SHIFT, PAYLOAD_SHIFT, TTL_SHIFT, Turned};
use crate::limits::BATCH_RECORDS_MAX;
use crate::record::Has;

/// Where a key of one part lies.
#[derive(Clone, Copy, Debug)]
pub(in crate::stats) struct Lies {
    place: Place,
    /// What a record must have, or it lacks the key.
    pub(in crate::stats) needs: Has,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// The address from this bit on, of which so many bits count.
    Address { shift: u32, mask: u32 },
    /// So many bits of the second word.
    Ports { shift: u32, bits: u32 },
    /// So many of the third.
    Small { shift: u32, bits: u32 },
    /// The wire's bytes.
    Wire,
    /// The five parts of a flow.
    Flow,
}

const NOTHING: Has = Has(0);

impl Lies {
    /// Of a key; none: it does not, or is of several parts.
    pub(in crate::stats) fn of(spec: &KeySpec) -> Option<Self> {
        let cut = !u32::MAX.checked_shr(spec.lengths().v4.into()).unwrap_or(0);
        let address = |shift, mask| (Place::Address { shift, mask }, NOTHING);
        let (port, byte) = (|shift| Place::Ports { shift, bits: 16 }, |shift| Place::Small { shift, bits: 8 });
        let (place, needs) = match spec.single()? {
            Key::SrcIp => address(0, u32::MAX),
            Key::DstIp => address(32, u32::MAX),
            Key::SrcPrefix => address(0, cut),
            Key::DstPrefix => address(32, cut),
            Key::SrcPort => (port(0), Has::PORTS),
            Key::DstPort => (port(DST_PORT_SHIFT), Has::PORTS),
            Key::Icmp => (port(0), Has::ICMP),
            Key::PayloadSize => (port(PAYLOAD_SHIFT), NOTHING),
            Key::PacketSize => (Place::Wire, NOTHING),
            Key::Protocol => (byte(0), NOTHING),
            Key::Ttl => (byte(TTL_SHIFT), NOTHING),
            Key::TcpFlags => (byte(FLAGS_SHIFT), Has::TCP_FLAGS),
            Key::Dscp => (Place::Small { shift: DSCP_SHIFT, bits: DSCP_BITS }, NOTHING),
            Key::Fragment => (Place::Small { shift: FRAGMENT_SHIFT, bits: 2 }, NOTHING),
            Key::Flow => (Place::Flow, Has::PORTS),
            Key::None
            | Key::Vlan
            | Key::InnerVlan
            | Key::MplsLabel
            | Key::Rule
            | Key::Tunnel
            | Key::RxPort
            | Key::SrcMac
            | Key::TcpOptions
            | Key::IpOptions
            | Key::TcpWindow
            | Key::TcpSeq
            | Key::Service
            | Key::Link
            | Key::SrcAsn
            | Key::DstAsn
            | Key::SrcCountry
            | Key::DstCountry
            | Key::Exporter
            | Key::InIf
            | Key::OutIf => return None,
        };
        Some(Self { place, needs })
    }

    /// Whether it is of more than four bytes.
    pub(in crate::stats) const fn is_flow(&self) -> bool {
        matches!(self.place, Place::Flow)
    }

    /// The first `N` records' keys, each as a big-endian number of four bytes: its own `width` ones, then zeros. Of flows, nothing.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, clippy::cast_possible_truncation, reason = "whole vectors come of it; 32 bits are asked for")]
    pub(in crate::stats) fn heads<const N: usize>(&self, turned: &Turned, width: usize, heads: &mut [u32; BATCH_RECORDS_MAX]) {
        match self.place {
            Place::Address { shift, mask } => {
                for at in 0..N {
                    heads[at] = ((turned.addresses[at] >> shift) as u32).swap_bytes() & mask;
                }
            }
            Place::Ports { shift, bits } => numbers::<N>(&turned.ports, (shift, bits, width), heads),
            Place::Small { shift, bits } => numbers::<N>(&turned.small, (shift, bits, width), heads),
            Place::Wire => turned.wire_bytes::<N>(heads),
            Place::Flow => {}
        }
    }
}

/// So many bits of each word from one on, as keys of so many bytes.
#[inline(always)]
#[allow(clippy::needless_range_loop, clippy::cast_possible_truncation, reason = "as above")]
fn numbers<const N: usize>(
    words: &[u64; BATCH_RECORDS_MAX],
    (shift, bits, width): (u32, u32, usize),
    heads: &mut [u32; BATCH_RECORDS_MAX],
) {
    let (mask, left) = (u32::MAX >> (32 - bits), 32 - 8 * width as u32);
    for at in 0..N {
        heads[at] = ((words[at] >> shift) as u32 & mask) << left;
    }
}

/// Keys of so many bytes, one behind the other.
#[inline(always)]
#[allow(clippy::needless_range_loop, clippy::cast_possible_truncation, reason = "as above")]
pub(super) fn bytes_of<const N: usize>(heads: &[u32; BATCH_RECORDS_MAX], width: usize, bytes: &mut [u8]) {
    match width {
        1 => {
            if let Some(keys) = bytes.first_chunk_mut::<N>() {
                for at in 0..N {
                    keys[at] = (heads[at] >> 24) as u8;
                }
            }
        }
        2 => {
            if let Some(keys) = bytes.as_chunks_mut().0.first_chunk_mut::<N>() {
                for at in 0..N {
                    keys[at] = ((heads[at] >> 16) as u16).to_be_bytes();
                }
            }
        }
        _ => {
            if let Some(keys) = bytes.as_chunks_mut().0.first_chunk_mut::<N>() {
                for at in 0..N {
                    keys[at] = heads[at].to_be_bytes();
                }
            }
        }
    }
}
