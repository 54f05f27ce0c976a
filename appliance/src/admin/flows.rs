//! Metrics of flow records, by exporter.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::metrics::{COUNTER, GAUGE, family, plain};
use crate::limits::FLOW_DELAY_BOUNDS_S;
use crate::telemetry::{ExporterSnapshot, FlowsSnapshot, GapsSnapshot, Snapshot};

pub(super) fn flows(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let Some(flows) = &snapshot.flows else { return Ok(()) };
    let of = |row: &ExporterSnapshot| vec![("exporter", row.name.clone())];
    let rows = |value: fn(&ExporterSnapshot) -> u64| flows.exporters.iter().map(move |row| (of(row), value(row)));
    family(
        to,
        COUNTER,
        "flows_datagrams",
        "Export datagrams of an exporter; beyond 256 of them they are `other`",
        rows(|row| row.datagrams),
    )?;
    family(to, COUNTER, "flows_records", "Flow messages of an exporter", rows(|row| row.flows))?;
    family(to, COUNTER, "flows_templates", "Templates that came anew, or others under the same id", rows(|row| row.templates))?;
    family(to, COUNTER, "flows_rate_unknown", "Flows whose sampling rate is not known", rows(|row| row.rate_unknown))?;
    let lost = |row: &ExporterSnapshot| u64::try_from(row.lost).unwrap_or(0);
    let help = "Units missing in the exporter's numbers (records, datagrams, samples), less what came late";
    family(to, GAUGE, "flows_sequence_lost", help, flows.exporters.iter().map(|row| (of(row), lost(row))))?;
    let errors = flows.exporters.iter().flat_map(|row| {
        let error = |(what, reason, n): &(&'static str, &'static str, u64)| {
            let labels = [of(row), vec![("of", (*what).to_owned()), ("reason", (*reason).to_owned())]].concat();
            (labels, *n)
        };
        row.errors.iter().map(error)
    });
    family(to, COUNTER, "flows_errors", "Datagrams, sets and records that were of no use", errors)?;
    gaps(to, &flows.gaps)?;
    delays(to, &flows.exporters)?;
    lane(to, flows)
}

/// By exporter and observation domain.
fn gaps(to: &mut DescriptorEncoder<'_>, rows: &[GapsSnapshot]) -> fmt::Result {
    let of = |row: &GapsSnapshot| row.labels.to_vec();
    let help = "Units missing in the numbers of an exporter's domain, less what came late; beyond 256 domains they are `other`";
    family(to, GAUGE, "flows_domain_lost", help, rows.iter().map(|row| (of(row), row.lost)))?;
    let names = [
        ("flows_domain_gaps", "Times that numbers of the domain were left out"),
        ("flows_domain_late", "Datagrams or samples of the domain that came late"),
        ("flows_domain_repeated", "Datagrams or samples of the domain that came twice"),
        ("flows_domain_restarts", "Times that the domain began to count anew"),
        ("flows_domain_misnumbered", "Numbers of the domain that are not as its protocol's standard has them"),
    ];
    for (at, (name, help)) in names.into_iter().enumerate() {
        family(to, COUNTER, name, help, rows.iter().map(|row| (of(row), row.times.get(at).copied().unwrap_or(0))))?;
    }
    Ok(())
}

/// What is not told by exporter.
fn lane(to: &mut DescriptorEncoder<'_>, flows: &FlowsSnapshot) -> fmt::Result {
    let help = "Export datagrams for which the kernel's buffer had no room";
    family(to, COUNTER, "flows_kernel_dropped", help, plain(flows.kernel_dropped))?;
    family(to, COUNTER, "flows_port_datagrams", "Export datagrams out of the mirror", plain(flows.port_datagrams))?;
    let reasons = ["ring_full", "cut", "other_port", "incomplete"].into_iter().zip(flows.port_dropped);
    let dropped = reasons.map(|(reason, count)| (vec![("reason", reason.to_owned())], count));
    family(to, COUNTER, "flows_port_dropped", "Packets and datagrams of the mirror for the same addresses that were not read", dropped)?;
    family(to, GAUGE, "flows_rates_doubted", "Data sources whose sampling rate their own totals deny", plain(flows.doubted))?;
    family(to, GAUGE, "flows_port_waiting", "Datagrams of the mirror that wait for their other pieces", plain(flows.port_waiting))?;
    family(to, COUNTER, "flows_port_copies", "Pieces of datagrams of the mirror that came twice", plain(flows.port_copies))?;
    family(to, GAUGE, "flows_sets_waiting", "Data sets that wait for their template", plain(flows.waiting))?;
    family(to, GAUGE, "flows_domains", "Exporters' domains that are known", plain(flows.domains))?;
    family(to, COUNTER, "flows_journalled", "Flow messages that the journal took", plain(flows.journalled))?;
    family(to, COUNTER, "flows_refused", "Flow messages that the journal did not take", plain(flows.refused))?;
    family(to, GAUGE, "flows_journal_lots", "Lots of flow messages that the journal holds in memory", plain(flows.lots))?;
    family(to, GAUGE, "flows_journal_bytes", "Their bytes", plain(flows.bytes))?;
    family(to, GAUGE, "flows_journal_disk_bytes", "Bytes of flow messages that the journal holds on disk", plain(flows.disk_bytes))
}

#[allow(clippy::cast_precision_loss, reason = "a time to be read")]
fn delays(to: &mut DescriptorEncoder<'_>, exporters: &[ExporterSnapshot]) -> fmt::Result {
    let told: Vec<_> = exporters.iter().filter(|row| row.delays.iter().any(|n| *n > 0)).collect();
    if told.is_empty() {
        return Ok(());
    }
    let help = "From a flow's end to when it was received";
    let mut metric = to.encode_descriptor("flows_delay_seconds", help, None, MetricType::Histogram)?;
    for row in told {
        let bounds = FLOW_DELAY_BOUNDS_S.into_iter().map(|bound| bound as f64).chain([f64::INFINITY]);
        let bins: Vec<(f64, u64)> = bounds.zip(row.delays.iter().copied()).collect();
        let (sum, count) = (row.delay_sum_ms as f64 / 1e3, row.delays.iter().sum());
        metric.encode_family(&[("exporter", row.name.clone())])?.encode_histogram::<NoLabelSet>(sum, count, &bins, None)?;
    }
    Ok(())
}
