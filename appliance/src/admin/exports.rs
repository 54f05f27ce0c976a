//! Metrics of what the appliance itself exports.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::metrics::{COUNTER, GAUGE, family, plain};
use crate::telemetry::{ExportSnapshot, LogsSnapshot, Snapshot};

pub(super) fn exports(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let Some(all) = &snapshot.exports else { return Ok(()) };
    let rows = |value: fn(&ExportSnapshot) -> u64| {
        all.exports.iter().map(move |row| (vec![("export", row.name.clone())], value(row))).collect::<Vec<_>>()
    };
    family(to, COUNTER, "export_sampled", "Frames sampled for an export", rows(|row| row.sampled))?;
    family(to, COUNTER, "export_lost", "Samples for which there was no room on their way", rows(|row| row.lost))?;
    family(to, COUNTER, "export_left_out", "Samples that are no packets, or not those asked for", rows(|row| row.left_out))?;
    family(to, COUNTER, "export_records", "Flow records, or flow samples", rows(|row| row.records))?;
    family(to, COUNTER, "export_datagrams", "Datagrams, those that failed too", rows(|row| row.datagrams))?;
    family(to, COUNTER, "export_send_failed", "Datagrams that the kernel did not take, or a host refused", rows(|row| row.failed))?;
    family(to, COUNTER, "export_evicted", "Flows told early, since flows_max was reached", rows(|row| row.evicted))?;
    family(to, COUNTER, "export_unplaced", "Records not sent: more rates than domains", rows(|row| row.unplaced))?;
    family(to, GAUGE, "export_flows", "Flows held", rows(|row| row.held))?;
    all.logs.as_ref().map_or(Ok(()), |of| logs(to, of))
}

fn logs(to: &mut DescriptorEncoder<'_>, of: &LogsSnapshot) -> fmt::Result {
    family(to, COUNTER, "packet_logs_sampled", "Frames sampled for packet logs", plain(of.sampled))?;
    family(to, COUNTER, "packet_logs_lost", "Samples for which there was no room on their way", plain(of.lost))?;
    family(to, COUNTER, "packet_logs_left_out", "Samples that `where` does not ask for", plain(of.left_out))?;
    family(to, COUNTER, "packet_logs_journalled", "Lines that the journal took", plain(of.journalled))?;
    family(to, COUNTER, "packet_logs_refused", "Lines that the journal did not take", plain(of.refused))?;
    family(to, GAUGE, "packet_logs_journal_lots", "Lots of lines that the journal holds in memory", plain(of.lots))?;
    family(to, GAUGE, "packet_logs_journal_bytes", "Their bytes", plain(of.bytes))?;
    family(to, GAUGE, "packet_logs_journal_disk_bytes", "Bytes of lines that the journal holds on disk", plain(of.disk_bytes))
}
