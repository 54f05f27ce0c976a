//! What was lost in a window of what the appliance itself exports, and of packet logs, to a word and what mends it. docs/events.md has
//! these rows in words.

use super::flow_losses::Row;
use super::pb;

/// Rows of `losses`: samples that cores could not hand over, datagrams that the kernel did not take, what has no domain, lines that fell
/// off the journal or did not come to it.
pub(super) fn losses(account: &pb::ExportsAccount) -> Vec<pb::Loss> {
    let logs = account.packet_logs.as_ref();
    let of_logs = |count: fn(&pb::PacketLogsAccount) -> u64| logs.map_or(0, count);
    let fell_off = of_logs(|logs| logs.sinks.iter().map(|sink| sink.lost).sum());
    let refused = of_logs(|logs| logs.refused);
    let [sampled, lost] =
        [|tap: &pb::TapCount| tap.sampled, |tap: &pb::TapCount| tap.lost].map(|of| account.taps.iter().map(of).sum::<u64>());
    let by_export = |count: fn(&pb::ExportAccount) -> u64| {
        let named = account.exports.iter().filter(|of| count(of) > 0);
        named.map(|of| format!("{} {} domain {} ({})", of.protocol, of.to, of.observation_domain, count(of))).collect::<Vec<_>>()
    };
    let sum = |count: fn(&pb::ExportAccount) -> u64| account.exports.iter().map(count).sum::<u64>();
    let logs_lost = of_logs(|logs| logs.lost);
    let of_rings = by_export(|of| of.lost).into_iter().chain((logs_lost > 0).then(|| format!("packet logs ({logs_lost})")));
    let rows: [Row<'_>; 5] = [
        (
            "exports_ring_dropped",
            lost,
            "exporter_late",
            format!("{lost} of {sampled} samples found the ring of their core full, of {}", of_rings.collect::<Vec<_>>().join(", ")),
            "a CPU of its own for the thread that exports, the first of `cores.io`; or a larger `sampling`",
        ),
        (
            "exports_send_failed",
            sum(|of| of.send_failed),
            "not_sent",
            format!("datagrams that the kernel did not take, or a host refused: {}", by_export(|of| of.send_failed).join(", ")),
            "look whether a collector listens at `to` and a route leads there; where it does, a larger buffer (sysctl -w \
             net.core.wmem_default=4194304, then a restart)",
        ),
        (
            "exports_unplaced",
            sum(|of| of.unplaced),
            "too_many_rates",
            format!("records whose sampling rate has no observation domain left: {}", by_export(|of| of.unplaced).join(", ")),
            "fewer different sampling rates in `[[tags]]`: those that are taken out of a field can be of any number",
        ),
        (
            "logs_overflow",
            fell_off,
            "journal_full",
            format!("{fell_off} lines fell off the journal before a sink had read them"),
            "a larger `[packet_logs] journal_mb`, or a sink that keeps up: `lotsWaiting` of the account shows which does not",
        ),
        ("logs_refused", refused, "refused", format!("{refused} lines that the journal did not take"), "please report this"),
    ];
    rows.into_iter().filter(|(_, count, ..)| *count > 0).map(|row| super::flow_losses::row("exports", row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_has_a_cause_and_a_remedy() {
        let well = pb::ExportsAccount {
            taps: vec![pb::TapCount { lcore: 1, sampled: 9, lost: 0 }],
            exports: vec![pb::ExportAccount { sampled: 9, left_out: 4, evicted: 3, ..Default::default() }],
            packet_logs: Some(pb::PacketLogsAccount { sampled: 9, left_out: 9, ..Default::default() }),
        };
        assert!(losses(&well).is_empty() && losses(&pb::ExportsAccount::default()).is_empty());
        let export = |protocol: &str, domain, lost| pb::ExportAccount {
            protocol: protocol.to_owned(),
            to: "192.0.2.1:4739".to_owned(),
            observation_domain: domain,
            lost,
            send_failed: 2 * lost,
            unplaced: 7,
            ..Default::default()
        };
        let account = pb::ExportsAccount {
            taps: vec![pb::TapCount { lcore: 1, sampled: 90, lost: 11 }, pb::TapCount { lcore: 2, sampled: 10, lost: 5 }],
            exports: vec![export("ipfix", 1, 4), export("ipfix", 2, 0), export("netflow9", 1, 9)],
            packet_logs: Some(pb::PacketLogsAccount {
                lost: 3,
                refused: 8,
                sinks: vec![pb::FlowSinkAccount { lost: 5, ..Default::default() }, pb::FlowSinkAccount { lost: 1, ..Default::default() }],
                ..Default::default()
            }),
        };
        let rows = losses(&account);
        let said: Vec<_> = rows.iter().map(|row| (row.what.as_str(), row.count, row.cause.as_str())).collect();
        let expected = [
            ("exports_ring_dropped", 16, "exporter_late"),
            ("exports_send_failed", 26, "not_sent"),
            ("exports_unplaced", 21, "too_many_rates"),
            ("logs_overflow", 6, "journal_full"),
            ("logs_refused", 8, "refused"),
        ];
        assert_eq!(said, expected);
        assert!(rows.iter().all(|row| !row.remedy.is_empty() && !row.why.is_empty() && row.place == "exports"));
        let why = "16 of 100 samples found the ring of their core full, of ipfix 192.0.2.1:4739 domain 1 (4), \
                   netflow9 192.0.2.1:4739 domain 1 (9), packet logs (3)";
        assert_eq!(rows[0].why, why);
    }
}
