//! What a packet adds to a statistic: one row a metric.

use crate::arch::lanes;
use crate::limits::BATCH_RECORDS_MAX;
use crate::record::{Fragment, Has, Record};

/// A metric of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// One for each packet.
    Packets,
    /// Bytes on the wire.
    Bytes,
    /// TCP SYN without ACK.
    ConnectionsOpened,
    /// TCP SYN with ACK.
    ConnectionsAccepted,
    /// TCP RST.
    Resets,
    /// Pieces of a larger packet.
    Fragments,
    /// Distinct 5-tuples; with `sum` only.
    Flows,
}

/// What the program knows of a metric.
pub struct MetricRow {
    /// The metric.
    pub metric: Metric,
    /// As in the configuration.
    pub name: &'static str,
    /// What one packet adds; zero means that the packet does not count.
    pub value: fn(&Record) -> u32,
    /// The same of up to 64 records: a mask of those that count.
    pub column: fn(&[Record], &mut [u32; BATCH_RECORDS_MAX]) -> u64,
}

macro_rules! row {
    ($metric:ident, $name:literal, $value:expr) => {
        MetricRow { metric: Metric::$metric, name: $name, value: $value, column: |records, out| column(records, out, $value) }
    };
}

/// One loop for each metric.
#[inline]
fn column(records: &[Record], out: &mut [u32; BATCH_RECORDS_MAX], value: impl Fn(&Record) -> u32) -> u64 {
    let (ours, rest) = out.split_at_mut(records.len().min(BATCH_RECORDS_MAX));
    // Four at a time: most of what is done for each is counting.
    let ((fours, few), (our_fours, our_few)) = (records.as_chunks::<4>(), ours.as_chunks_mut::<4>());
    our_fours.iter_mut().zip(fours).for_each(|(slots, records)| *slots = std::array::from_fn(|i| value(&records[i])));
    our_few.iter_mut().zip(few).for_each(|(slot, record)| *slot = value(record));
    rest.fill(0);
    lanes::nonzero(out)
}

/// Every metric.
pub const METRICS: &[MetricRow] = &[
    row!(Packets, "packets", |_| 1),
    row!(Bytes, "bytes", |r| r.wire_bytes),
    row!(ConnectionsOpened, "connections_opened", |r| syn(r, 0)),
    row!(ConnectionsAccepted, "connections_accepted", |r| syn(r, ACK)),
    row!(Resets, "resets", |r| u32::from(r.has.all(Has::TCP_FLAGS) && r.tcp_flags & RST != 0)),
    row!(Fragments, "fragments", |r| u32::from(r.fragment != Fragment::None)),
    row!(Flows, "flows", |_| 1),
];

/// TCP flags that metrics look at.
pub const SYN: u8 = 0x02;
/// See [`SYN`].
pub const RST: u8 = 0x04;
/// See [`SYN`].
pub const ACK: u8 = 0x10;

fn syn(record: &Record, ack: u8) -> u32 {
    u32::from(record.has.all(Has::TCP_FLAGS) && record.tcp_flags & (SYN | ACK) == SYN | ack)
}

impl Metric {
    /// The metric of that name.
    pub fn named(name: &str) -> Option<Self> {
        METRICS.iter().find(|row| row.name == name).map(|row| row.metric)
    }

    /// Its row.
    pub fn row(self) -> &'static MetricRow {
        &METRICS[self as usize]
    }

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        self.row().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (i, row) in METRICS.iter().enumerate() {
            assert_eq!(row.metric as usize, i, "{}", row.name);
        }
    }
}
