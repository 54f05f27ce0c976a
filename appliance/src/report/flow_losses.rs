//! What was lost of flow records in a window, to a word and what mends it. docs/events.md has these rows in words.

use super::pb;

/// Data sets that were of no use since their template was not there, by their reasons in the account.
const UNDESCRIBED: [&str; 3] = ["no_template", "displaced", "no_room"];

/// Of a row: what, how much, cause, why, remedy.
pub(super) type Row<'a> = (&'a str, u64, &'a str, String, &'a str);

/// Rows of `losses`: what the kernel dropped, what the mirror's cores did not hand over, what lacked its template, what the journal did not
/// take, what has no topic.
pub(super) fn losses(account: &pb::FlowsAccount) -> Vec<pb::Loss> {
    let of_sets = |name: &str| account.set_drops.iter().filter(|drop| drop.name == name).map(|drop| drop.value).sum::<u64>();
    let [no_template, displaced, no_room] = UNDESCRIBED.map(of_sets);
    let lost: u64 = account.sinks.iter().map(|sink| sink.lost).sum();
    let topics = &account.refused_topics;
    let named = topics.iter().map(|topic| format!("{} ({})", topic.name, topic.value)).collect::<Vec<_>>().join(", ");
    let ports = account.ports.unwrap_or_default();
    let rows: [Row<'_>; 7] = [
        (
            "flows_kernel_dropped",
            account.kernel_dropped,
            "socket_full",
            format!("{} datagrams beside {} that were read", account.kernel_dropped, account.datagrams),
            "a larger buffer (sysctl -w net.core.rmem_max=67108864, then a restart) and a CPU of its own: the last of `cores.io`",
        ),
        (
            "flows_ring_dropped",
            ports.full,
            "ring_full",
            format!(
                "{} packets found the ring of their core full, beside {} datagrams out of the mirror that were read",
                ports.full, ports.datagrams
            ),
            "a CPU of its own for the thread that receives flows: the last of `cores.io`",
        ),
        (
            "flows_cut",
            ports.cut,
            "frame_too_long",
            format!("{} packets that are longer than what is seen of a frame, 2,048 bytes", ports.cut),
            "let the exporters send shorter datagrams, or pieces of them: an MTU of 1,500 bytes",
        ),
        (
            "flows_undescribed",
            no_template + displaced + no_room,
            if no_room + displaced > 0 { "no_room" } else { "no_template" },
            format!(
                "{no_template} sets whose template did not come, {displaced} that made room for newer ones, {no_room} without room to wait for it"
            ),
            "let the exporters send their templates more often (each minute, say), and keep `[flows] templates` on a disk",
        ),
        (
            "flows_overflow",
            lost,
            "journal_full",
            format!("{lost} flow messages fell off the journal before a sink had read them"),
            "a larger `[flows] journal_mb`, or a sink that keeps up: `lotsWaiting` of the account shows which does not",
        ),
        (
            "flows_refused",
            account.refused,
            "refused",
            format!("{} flow messages that the journal did not take", account.refused),
            "please report this",
        ),
        (
            "flows_topic_refused",
            topics.iter().map(|topic| topic.value).sum(),
            "topic_refused",
            format!("flow messages that were given up since no broker takes their topic: {named}"),
            "create these topics (kafka-topics --create --topic …) or allow them (kafka-acls --producer --topic …), or let no stream's `topic` \
             name them",
        ),
    ];
    rows.into_iter().filter(|(_, count, ..)| *count > 0).map(|of| row("flows", of)).collect()
}

pub(super) fn row(place: &str, (what, count, cause, why, remedy): Row<'_>) -> pb::Loss {
    pb::Loss {
        what: what.to_owned(),
        place: place.to_owned(),
        number: 0,
        name: place.to_owned(),
        feed: String::new(),
        count,
        cause: cause.to_owned(),
        why,
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_has_a_cause_and_a_remedy() {
        assert!(losses(&pb::FlowsAccount { datagrams: 9, flows: 9, ..Default::default() }).is_empty());
        let drop = |name: &str, value| pb::NamedCount { name: name.to_owned(), value };
        let account = pb::FlowsAccount {
            kernel_dropped: 7,
            set_drops: vec![drop("cut", 1), drop("no_template", 2), drop("no_room", 3)],
            sinks: vec![pb::FlowSinkAccount { lost: 4, ..Default::default() }],
            refused: 5,
            refused_topics: vec![drop("t", 6), drop("u", 1)],
            ports: Some(pb::FlowPorts { datagrams: 5, full: 8, cut: 9, incomplete: 10, other_port: 11, ..Default::default() }),
            ..Default::default()
        };
        let rows = losses(&account);
        let said: Vec<_> = rows.iter().map(|row| (row.what.as_str(), row.count, row.cause.as_str())).collect();
        let expected = [
            ("flows_kernel_dropped", 7, "socket_full"),
            ("flows_ring_dropped", 8, "ring_full"),
            ("flows_cut", 9, "frame_too_long"),
            ("flows_undescribed", 5, "no_room"),
            ("flows_overflow", 4, "journal_full"),
            ("flows_refused", 5, "refused"),
            ("flows_topic_refused", 7, "topic_refused"),
        ];
        assert_eq!(said, expected);
        assert!(rows.iter().all(|row| !row.remedy.is_empty() && !row.why.is_empty() && row.place == "flows"));
    }
}
