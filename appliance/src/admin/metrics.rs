//! A snapshot as OpenMetrics text.
//!
//! Every name begins with `tailwater_`. Counters count since the start of the process, and their names end in `_total`.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::exports::exports;
use super::flows::flows;
use crate::rx::keepers::Discipline;
use crate::telemetry::pauses::pause_bin_ns;
use crate::telemetry::{
    AGE_BOUNDS_S, Ages, AuditSnapshot, CoreSnapshot, DEGRADED, FeedHealth, MEMORY_PARTS, PAUSE_CAUSES, PairSnapshot, PartFigures,
    PauseFigures, PortFigures, SinkState, SinkStatus, Snapshot,
};

/// Encodes everything that the snapshot holds.
pub fn open_metrics(snapshot: Snapshot) -> String {
    let mut registry = Registry::with_prefix("tailwater");
    registry.register_collector(Box::new(Metrics(snapshot)));
    let mut text = String::new();
    match text::encode(&mut text, &registry) {
        Ok(()) => text,
        // A String takes all that is written to it.
        Err(fmt::Error) => String::from("# EOF\n"),
    }
}

#[derive(Debug)]
struct Metrics(Snapshot);

/// Labels and value of one line.
type Row = (Vec<(&'static str, String)>, u64);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(snapshot) = self;
        appliance(&mut encoder, snapshot)?;
        memory(&mut encoder, snapshot)?;
        reloads(&mut encoder, snapshot)?;
        cores(&mut encoder, snapshot)?;
        costs(&mut encoder, snapshot)?;
        ports(&mut encoder, snapshot)?;
        feeds(&mut encoder, snapshot)?;
        events(&mut encoder, snapshot)?;
        audit(&mut encoder, snapshot)?;
        duplicates(&mut encoder, snapshot)?;
        sinks(&mut encoder, snapshot)?;
        flows(&mut encoder, snapshot)?;
        exports(&mut encoder, snapshot)
    }
}

pub(super) fn family(
    encoder: &mut DescriptorEncoder<'_>,
    kind: MetricType,
    name: &str,
    help: &str,
    rows: impl IntoIterator<Item = Row>,
) -> fmt::Result {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in rows {
        if labels.is_empty() {
            line(&mut metric, kind, value)?;
        } else {
            line(&mut metric.encode_family(&labels)?, kind, value)?;
        }
    }
    Ok(())
}

fn line(to: &mut MetricEncoder<'_>, kind: MetricType, value: u64) -> fmt::Result {
    match kind {
        MetricType::Counter => to.encode_counter::<NoLabelSet, u64, u64>(&value, None),
        _ => to.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX)),
    }
}

pub(super) const COUNTER: MetricType = MetricType::Counter;
pub(super) const GAUGE: MetricType = MetricType::Gauge;

pub(super) fn plain(value: u64) -> [Row; 1] {
    [(Vec::new(), value)]
}

fn appliance(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let build = vec![("version", snapshot.build.version.to_owned()), ("features", snapshot.build.features.to_owned())];
    family(to, GAUGE, "build_info", "What was built; always 1", [(build, 1)])?;
    let name = vec![("appliance", snapshot.appliance.clone()), ("pop", snapshot.pop.clone())];
    family(to, GAUGE, "appliance_info", "Which appliance this is; always 1", [(name, 1)])?;
    family(to, GAUGE, "uptime_seconds", "Time since the start", plain(snapshot.uptime.as_secs()))?;
    family(to, GAUGE, "ready", "1 if /readyz says so", plain(u64::from(snapshot.not_ready.is_empty())))?;
    family(to, GAUGE, "ranges", "Ranges in use", plain(snapshot.ranges))?;
    family(to, COUNTER, "windows_closed", "Windows that the reporter closed", plain(snapshot.windows_closed))?;
    let end_seconds = snapshot.last_window_end_ns / 1_000_000_000;
    family(to, GAUGE, "last_window_end_timestamp_seconds", "End of the last closed window", plain(end_seconds))?;
    clock(to, snapshot)?;
    family(to, COUNTER, "journal_appended", "Reports appended to the journal", plain(snapshot.journal.appended))?;
    family(to, GAUGE, "journal_messages", "Reports that the journal holds in memory", plain(snapshot.journal.messages))?;
    family(to, GAUGE, "journal_bytes", "Bytes that the journal holds in memory", plain(snapshot.journal.bytes))?;
    family(to, GAUGE, "journal_disk_bytes", "Bytes that the journal holds on disk", plain(snapshot.journal.disk_bytes))?;
    family(to, GAUGE, "journal_unsynced", "Reports that have not reached the journal's disk yet", plain(snapshot.journal.unsynced))?;
    family(to, GAUGE, "journal_disk_refuses", "1 while the journal's disk takes nothing", plain(u64::from(snapshot.journal.is_refused)))
}

/// What windows follow, and who keeps that.
fn clock(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let (help, wall) = ("How far the time of the reports is ahead of the wall clock", &snapshot.wall_clock);
    to.encode_descriptor("clock_offset_nanoseconds", help, None, GAUGE)?.encode_gauge(&snapshot.clock_offset_ns)?;
    family(to, COUNTER, "clock_jumps", "Steps of the wall clock, suspended time included", plain(snapshot.clock_jumps))?;
    let states = ["unknown", "synced", "unsynced"].into_iter().enumerate();
    let sync = states.map(|(at, state)| (vec![("state", state.to_owned())], u64::from(usize::from(wall.sync) == at)));
    family(to, GAUGE, "clock_sync", "1 for what the kernel says of its clock", sync)?;
    let help = "What the kernel estimates the error of its clock to be, where that is told";
    family(to, GAUGE, "clock_error_nanoseconds", help, wall.error_ns.map(|ns| (Vec::new(), ns)))?;
    let by = Discipline::ALL.map(|by| (vec![("by", by.name().to_owned())], u64::from(wall.disciplined_by == by.name())));
    family(to, GAUGE, "clock_disciplined_by", "1 for who keeps the wall clock, by the daemons that run", by)?;
    let Some((phc, ahead_ns)) = &wall.phc else { return Ok(()) };
    let help = "How far the wall clock is ahead of the hardware clock that it follows, both as UTC";
    let mut metric = to.encode_descriptor("clock_phc_offset_nanoseconds", help, None, GAUGE)?;
    metric.encode_family(&[("phc", phc.as_str())])?.encode_gauge(ahead_ns)
}

/// The budget, and what became coarser or incomplete.
fn memory(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    family(to, GAUGE, "memory_budget_bytes", "memory_mb: all that the data path takes", plain(snapshot.memory_budget_bytes))?;
    let help = "Of that, in use by logs, roots and sketches; slots, rings and streams are not in it";
    family(to, GAUGE, "memory_used_bytes", help, plain(snapshot.memory_used_bytes))?;
    let rows = |value: fn(&PartFigures) -> u64| {
        snapshot.cores.iter().flat_map(move |core| {
            let parts = MEMORY_PARTS.into_iter().zip(&core.figures.memory).filter(|(_, part)| part.size > 0);
            parts.map(move |(name, part)| {
                let labels = vec![("lcore", core.lcore.to_string()), ("role", core.role.clone()), ("part", name.to_owned())];
                (labels, value(part))
            })
        })
    };
    family(to, GAUGE, "core_memory_used_bytes", "Memory of a core that is in use, by part", rows(|part| part.used))?;
    family(to, GAUGE, "core_memory_high_bytes", "The most that was in use since the start", rows(|part| part.high))?;
    family(to, GAUGE, "core_memory_size_bytes", "What the core has of it", rows(|part| part.size))?;
    let degraded = DEGRADED.into_iter().zip(snapshot.degraded).map(|(how, n)| (vec![("how", how.to_owned())], n));
    family(to, COUNTER, "degraded_figures", "Figures that want of memory or time made coarser", degraded)?;
    let incomplete = snapshot.incomplete.iter().map(|(reason, n)| (vec![("reason", reason.clone())], *n));
    family(to, COUNTER, "incomplete_reports", "Incomplete reports of ranges, by reason", incomplete)?;
    let help = "Incomplete reports of ranges in the last long window";
    family(to, GAUGE, "last_window_incomplete_reports", help, plain(snapshot.incomplete_last_window))
}

fn reloads(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let reloads = &snapshot.reloads;
    family(to, GAUGE, "generation", "Configuration that counts; 1 is the one that was started with", plain(reloads.generation))?;
    let results = [("accepted", reloads.accepted), ("refused", reloads.refused), ("denied", reloads.denied)];
    let rows = results.map(|(result, n)| (vec![("result", result.to_owned())], n));
    family(to, COUNTER, "reloads", "Reloads of the configuration", rows)?;
    let last = |value: fn(Duration, bool) -> u64| reloads.last.map(|(time, accepted)| (Vec::new(), value(time, accepted)));
    family(to, GAUGE, "last_reload_timestamp_seconds", "When the last reload was", last(|time, _| time.as_secs()))?;
    family(to, GAUGE, "last_reload_accepted", "1 if the last reload was accepted", last(|_, accepted| u64::from(accepted)))
}

fn cores(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let labels = |at: usize| vec![("lcore", snapshot.cores[at].lcore.to_string()), ("role", snapshot.cores[at].role.clone())];
    let figures: Vec<Vec<_>> = snapshot.cores.iter().map(|core| core.figures.named().collect()).collect();
    for (row, (name, help, _)) in snapshot.total().named().enumerate() {
        let rows = figures.iter().enumerate().map(|(at, core)| (labels(at), core[row].2));
        family(to, COUNTER, &format!("core_{name}"), help, rows)?;
    }
    let by_reason = snapshot.cores.iter().enumerate().flat_map(|(at, core)| {
        let named = snapshot.drop_reasons.iter().zip(core.figures.drops);
        named.map(move |(reason, frames)| {
            let mut labels = labels(at);
            labels.push(("reason", (*reason).to_owned()));
            (labels, frames)
        })
    });
    family(to, COUNTER, "core_parse_drops_by_reason", "Frames without a readable IP header, by reason", by_reason)?;
    pauses(to, snapshot)
}

/// How long receiving cores did not poll, and why.
fn pauses(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let polling: Vec<_> = snapshot.cores.iter().filter(|core| core.figures.pauses.count() > 0).collect();
    let labels = |core: &CoreSnapshot| vec![("lcore", core.lcore.to_string()), ("role", core.role.clone())];
    if !polling.is_empty() {
        let help = "From a receiving core's poll of its queues to the next";
        let mut metric = to.encode_descriptor("core_pause_seconds", help, None, MetricType::Histogram)?;
        for core in &polling {
            let pauses = &core.figures.pauses;
            let bin = |(at, n): (usize, &u64)| (pause_bin_ns(at).map_or(f64::INFINITY, seconds), *n);
            let bins: Vec<(f64, u64)> = pauses.bins.iter().enumerate().map(bin).collect();
            let sum = seconds(pauses.total_ns.iter().sum());
            metric.encode_family(&labels(core))?.encode_histogram::<NoLabelSet>(sum, pauses.count(), &bins, None)?;
        }
    }
    let rows = |value: fn(&PauseFigures) -> [u64; PAUSE_CAUSES.len()]| {
        let of = move |core: &&CoreSnapshot| {
            let (labels, values) = (labels(core), value(&core.figures.pauses));
            PAUSE_CAUSES.into_iter().zip(values).map(move |(cause, ns)| ([labels.clone(), vec![("cause", cause.to_owned())]].concat(), ns))
        };
        polling.iter().flat_map(of).collect::<Vec<_>>()
    };
    let help = "Time from poll to poll, by what the core did meanwhile";
    family(to, COUNTER, "core_paused_nanoseconds", help, rows(|pauses| pauses.total_ns))?;
    let help = "The longest pause since the start, by what the core did meanwhile";
    family(to, GAUGE, "core_longest_pause_nanoseconds", help, rows(|pauses| pauses.longest_ns))
}

#[allow(clippy::cast_precision_loss, reason = "a time to be read")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// Where the time of cores goes, estimated from polls that were timed.
fn costs(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let labels = |core: &CoreSnapshot| vec![("lcore", core.lcore.to_string()), ("role", core.role.clone())];
    let timed = snapshot.cores.iter().filter(|core| core.seconds.polls > 0);
    let polls = timed.clone().map(|core| (labels(core), core.seconds.polls));
    family(to, COUNTER, "core_timed_polls", "Polls of which the parts were timed", polls)?;
    let stages = timed.clone().flat_map(|core| {
        core.seconds.stages.iter().map(move |(stage, seconds)| ([labels(core), vec![("stage", (*stage).to_owned())]].concat(), *seconds))
    });
    times(to, "stage_seconds", "Time of a core by stage, estimated from timed polls", stages.collect())?;
    let stats = timed.flat_map(|core| {
        core.seconds.stats.iter().map(move |(stat, seconds)| ([labels(core), vec![("stat", stat.clone())]].concat(), *seconds))
    });
    times(to, "stat_seconds", "Time of a core by stat, estimated from timed polls", stats.collect())
}

fn times(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, rows: Vec<(Vec<(&'static str, String)>, f64)>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let mut metric = to.encode_descriptor(name, help, None, COUNTER)?;
    for (labels, value) in rows {
        metric.encode_family(&labels)?.encode_counter::<NoLabelSet, f64, f64>(&value, None)?;
    }
    Ok(())
}

fn ports(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let rows = |value: fn(&PortFigures) -> u64| {
        snapshot.ports.iter().map(move |port| {
            let labels = vec![("port", port.port.to_string()), ("device", port.device.clone()), ("feed", port.feed.clone())];
            (labels, value(&port.figures))
        })
    };
    family(to, COUNTER, "port_offered", "Frames that reached the port", rows(|port| port.offered))?;
    family(to, COUNTER, "port_received", "Frames that the driver handed out", rows(|port| port.received))?;
    family(to, COUNTER, "port_missed", "Frames that the NIC, or the kernel below a vdev, dropped", rows(|port| port.missed))?;
    family(to, GAUGE, "port_started", "1 once the port was started", rows(|port| u64::from(port.started)))?;
    family(to, GAUGE, "port_link_up", "1 while the link is up", rows(|port| u64::from(port.link_up)))?;
    optics(to, snapshot)
}

fn optics(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    if snapshot.optics.is_empty() {
        return Ok(());
    }
    let of = |port: u32| vec![("port", port.to_string())];
    let mut metric = to.encode_descriptor("port_temperature_celsius", "Temperature of the port's transceiver", None, GAUGE)?;
    for (port, optics) in &snapshot.optics {
        metric.encode_family(&of(*port))?.encode_gauge(&optics.temperature_c)?;
    }
    let lanes = snapshot.optics.iter().flat_map(|(port, optics)| {
        let lane = move |(lane, nw): (usize, &u64)| ([of(*port), vec![("lane", lane.to_string())]].concat(), *nw);
        optics.rx_power_nw.iter().enumerate().map(lane)
    });
    family(to, GAUGE, "port_rx_power_nanowatts", "Light that comes into the port's transceiver, by lane", lanes)
}

fn feeds(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let states = [(FeedHealth::Live, "live"), (FeedHealth::Silent, "silent"), (FeedHealth::Down, "down")];
    let rows = snapshot.feeds.iter().flat_map(|feed| {
        states
            .iter()
            .map(|(health, word)| (vec![("feed", feed.name.clone()), ("state", (*word).to_owned())], u64::from(feed.health == *health)))
    });
    family(to, GAUGE, "feed_state", "1 for the state that the feed is in", rows)
}

fn events(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let events = &snapshot.events;
    let open = events.open.iter().map(|(kind, n)| (vec![("kind", (*kind).to_owned())], *n));
    family(to, GAUGE, "events_open", "Events that have begun and not ended", open)?;
    let sent = events.sent.iter().map(|((kind, state), n)| (vec![("kind", kind.clone()), ("state", state.to_lowercase())], *n));
    family(to, COUNTER, "events", "Messages of events", sent)?;
    let losses = events.losses.iter().map(|((what, cause), n)| (vec![("what", what.clone()), ("cause", cause.clone())], *n));
    family(to, COUNTER, "losses", "Frames and records lost, by where it came from", losses)
}

fn audit(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let Some(AuditSnapshot { keys, rows, found_of_all, stale }) = &snapshot.audit else { return Ok(()) };
    let keys = keys.iter().map(|(verdict, n)| (vec![("verdict", (*verdict).to_owned())], *n));
    family(to, GAUGE, "audit_keys", "Ranges or rules whose sampling is audited, by verdict", keys)?;
    let rows = rows.iter().map(|(result, n)| (vec![("result", result.clone())], *n));
    family(to, GAUGE, "audit_rows", "Rows of the scrubber's counters since the start, by what became of them", rows)?;
    family(to, GAUGE, "audit_found_of_all", "Sampling rates of which all keys together say that they are others", plain(*found_of_all))?;
    family(to, GAUGE, "audit_stale", "1 while the scrubber's counters do not come", plain(u64::from(*stale)))
}

fn duplicates(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let rows = |value: fn(&PairSnapshot) -> u64| {
        let ports = |pair: &PairSnapshot| vec![("first", pair.ports[0].clone()), ("second", pair.ports[1].clone())];
        snapshot.pairs.iter().map(move |pair| (ports(pair), value(pair)))
    };
    let help = "Distinct packets of a pair of ports that were sampled in the last long window";
    family(to, GAUGE, "duplicates_sampled", help, rows(|pair| pair.sampled))?;
    family(to, GAUGE, "duplicates_seen_twice", "Of those the ones that came twice", rows(|pair| pair.twice))?;
    family(to, GAUGE, "duplicates_alarm", "1 while they are more than alarm_share", rows(|pair| u64::from(pair.is_alarm)))
}

fn sinks(to: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let rows = |value: fn(&SinkStatus) -> u64| snapshot.sinks.iter().map(move |sink| (vec![("sink", sink.name.clone())], value(sink)));
    let info = snapshot.sinks.iter().map(|sink| (vec![("sink", sink.name.clone()), ("address", sink.address.clone())], 1));
    family(to, GAUGE, "sink_info", "Where a sink delivers to; always 1", info)?;
    family(to, GAUGE, "sink_up", "1 while the sink delivers", rows(|sink| u64::from(sink.state == SinkState::Up)))?;
    family(to, COUNTER, "sink_delivered", "Reports delivered", rows(|sink| sink.delivered))?;
    family(to, COUNTER, "sink_failed", "Reports that were refused and given up", rows(|sink| sink.failed))?;
    family(to, COUNTER, "sink_flows_delivered", "Flow messages delivered", rows(|sink| sink.flows))?;
    family(to, COUNTER, "sink_flows_failed", "Flow messages that were refused and given up", rows(|sink| sink.flows_failed))?;
    family(to, COUNTER, "sink_logs_delivered", "Packet logs delivered (for Kafka: acknowledged)", rows(|sink| sink.logs))?;
    family(to, COUNTER, "sink_logs_failed", "Packet logs that were refused and given up", rows(|sink| sink.logs_failed))?;
    family(to, GAUGE, "sink_log_lots_behind", "Lots of packet logs that wait for the sink", rows(|sink| sink.log_lots_behind))?;
    let topics = snapshot.sinks.iter().flat_map(|sink| {
        sink.topics_failed.iter().map(|(topic, flows)| (vec![("sink", sink.name.clone()), ("topic", topic.clone())], *flows))
    });
    family(to, COUNTER, "sink_flows_topic_refused", "Of those the ones whose topic brokers refuse", topics)?;
    let of_reason = |sink: &SinkStatus| {
        let name = sink.name.clone();
        sink.refused
            .iter()
            .map(move |(reason, count)| (vec![("sink", name.clone()), ("reason", (*reason).to_owned())], *count))
            .collect::<Vec<_>>()
    };
    family(to, COUNTER, "sink_refused", "Messages that were given up, by reason", snapshot.sinks.iter().flat_map(of_reason))?;
    family(to, GAUGE, "sink_flow_lots_behind", "Lots of flow messages that wait for the sink", rows(|sink| sink.lots_behind))?;
    family(to, COUNTER, "sink_retried", "Attempts that were made again", rows(|sink| sink.retried))?;
    family(to, COUNTER, "sink_overflow", "Reports that fell off the journal unread", rows(|sink| sink.overflow))?;
    family(to, GAUGE, "sink_behind", "Reports that wait for the sink", rows(|sink| sink.behind))?;
    let help = "Age of reports when the sink has delivered them, from their window's end";
    ages(to, ("sink_report_age_seconds", help), &snapshot.sinks, |sink| &sink.ages)?;
    let help = "Age of the oldest packet that a report may hold when the sink has delivered it: from its window's start";
    ages(to, ("sink_packet_age_seconds", help), &snapshot.sinks, |sink| &sink.packet_ages)
}

/// How old reports are when they are acknowledged.
#[allow(clippy::cast_precision_loss, reason = "a time to be read")]
fn ages(
    to: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    sinks: &[SinkStatus],
    of: impl Fn(&SinkStatus) -> &[(&'static str, Ages)],
) -> fmt::Result {
    let all: Vec<_> = sinks.iter().flat_map(|sink| of(sink).iter().map(move |(kind, ages)| (sink, *kind, ages))).collect();
    if all.is_empty() {
        return Ok(());
    }
    let mut metric = to.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (sink, kind, ages) in all {
        let labels = vec![("sink", sink.name.clone()), ("window", kind.to_owned())];
        let bounds = AGE_BOUNDS_S.into_iter().chain([f64::INFINITY]);
        let bins: Vec<(f64, u64)> = bounds.zip(ages.counts).collect();
        metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(ages.sum_us as f64 / 1e6, ages.count(), &bins, None)?;
    }
    Ok(())
}
