//! Keys and metrics of flow records: which a record can tell, and how they are read of its rows.
//!
//! What a packet and a flow record both have is read of the row's [`Record`](crate::record::Record), by the same code. The rest
//! stands here. A key that a record does not tell is absent, never zero.

use super::key::{Key, KeySpec};
use super::metric::Metric;
use crate::record::FlowRow;

/// What a stat counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Source {
    /// Packets of the mirror.
    #[default]
    Packets,
    /// Flow records of exporters.
    Flows,
}

impl Source {
    /// Both, with their spelling.
    pub const ALL: [(&'static str, Self); 2] = [("packets", Self::Packets), ("flows", Self::Flows)];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        super::name_in(&Self::ALL, self)
    }

    /// Whether it has a key.
    pub const fn has_key(self, key: Key) -> bool {
        match key {
            Key::Exporter | Key::InIf | Key::OutIf => matches!(self, Self::Flows),
            Key::InnerVlan
            | Key::PayloadSize
            | Key::Rule
            | Key::Tunnel
            | Key::RxPort
            | Key::TcpOptions
            | Key::IpOptions
            | Key::TcpWindow
            | Key::TcpSeq => matches!(self, Self::Packets),
            _ => true,
        }
    }

    /// Whether it has a metric. The TCP flags of a flow record are those of all its packets together: how many had SYN, nobody knows.
    pub const fn has_metric(self, metric: Metric) -> bool {
        matches!(self, Self::Packets) || matches!(metric, Metric::Packets | Metric::Bytes | Metric::Flows)
    }
}

impl Metric {
    /// What a row of a flow record adds; zero: it does not count.
    pub const fn of_flow(self, row: &FlowRow) -> u32 {
        match self {
            Self::Packets => row.packets,
            Self::Bytes => row.bytes,
            Self::Flows => 1,
            Self::ConnectionsOpened | Self::ConnectionsAccepted | Self::Resets | Self::Fragments => 0,
        }
    }
}

impl KeySpec {
    /// Writes the key of a row into `out`, as many bytes as it has; false if a part is missing.
    pub fn extract_flow(&self, row: &FlowRow, out: &mut [u8]) -> bool {
        let family = row.record.family();
        let mut rest = out;
        for part in self.parts() {
            let (head, tail) = rest.split_at_mut((part.row().width)(family));
            let has = match part {
                Key::Exporter => copy(&row.exporter, head),
                Key::InIf => copy(&row.in_if.to_be_bytes(), head),
                Key::OutIf => copy(&row.out_if.to_be_bytes(), head),
                _ => tells(row, *part) && self.part(*part, &row.record, head),
            };
            if !has {
                return false;
            }
            rest = tail;
        }
        true
    }
}

fn copy(from: &[u8], out: &mut [u8]) -> bool {
    out.copy_from_slice(from);
    true
}

/// Whether the record told what a packet always has.
const fn tells(row: &FlowRow, key: Key) -> bool {
    match key {
        Key::PacketSize => row.tells(FlowRow::SIZE),
        Key::Ttl => row.tells(FlowRow::TTL),
        Key::Fragment => row.tells(FlowRow::FRAGMENT),
        Key::Protocol => row.tells(FlowRow::PROTOCOL),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axes::key::Lengths;
    use crate::record::{Has, Record};

    #[test]
    fn keys_of_flows_and_those_that_a_record_does_not_tell() {
        let mut exporter = [0; 16];
        exporter[10..].copy_from_slice(&[255, 255, 192, 0, 2, 1]);
        let record = Record { src_port: 53, dst_port: 4_242, has: Has::PORTS, protocol: 17, ttl: 64, ..Record::default() };
        let row = FlowRow { record, packets: 3, bytes: 300, times: 1, exporter, in_if: 7, out_if: 65_537, told: FlowRow::PROTOCOL };
        let text = |parts: &[Key]| {
            let spec = KeySpec::new(parts.to_vec(), Lengths::default());
            let mut bytes = vec![0; spec.width(record.family())];
            spec.extract_flow(&row, &mut bytes).then(|| spec.text(&bytes, record.family()))
        };
        assert_eq!(text(&[Key::Exporter, Key::InIf, Key::OutIf]).as_deref(), Some("192.0.2.1|7|65537"));
        assert_eq!(text(&[Key::DstPort, Key::InIf]).as_deref(), Some("4242|7"));
        assert_eq!((text(&[Key::Ttl]), text(&[Key::PacketSize]), text(&[Key::Fragment])), (None, None, None));
        assert_eq!(text(&[Key::Protocol]).as_deref(), Some("17"));
        assert_eq!([Metric::Packets, Metric::Bytes, Metric::Flows, Metric::Resets].map(|metric| metric.of_flow(&row)), [3, 300, 1, 0]);
    }
}
