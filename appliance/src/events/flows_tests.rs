//! What was lost of flow records and exports, by accounts of long windows.

use super::tests::{SECOND, window};
use super::*;
use crate::report::pb;

#[test]
fn flow_records_that_were_lost_are_one_event_for_each_thing() {
    let mut engine = Engine::default();
    let loss = |what: &str, cause: &str| pb::Loss {
        what: what.to_owned(),
        place: "flows".to_owned(),
        count: 3,
        cause: cause.to_owned(),
        remedy: "mend it".to_owned(),
        ..Default::default()
    };
    let mut told = Vec::new();
    for n in 0..60_u64 {
        told.extend(engine.judge(&window(n)));
        if n % 10 == 0 && n > 0 {
            let mut long =
                pb::ApplianceReport { window_kind: pb::WindowKind::Long.into(), window_start_ns: (n - 10) * SECOND, ..window(n - 1) };
            (long.sequence, long.window_end_ns) = (1_000 + n, n * SECOND);
            if n <= 20 {
                let of_exports = |what, cause| pb::Loss { place: "exports".to_owned(), ..loss(what, cause) };
                long.losses = vec![
                    loss("flows_kernel_dropped", "socket_full"),
                    loss("flows_ring_dropped", "ring_full"),
                    loss("flows_undescribed", "no_template"),
                    of_exports("exports_ring_dropped", "exporter_late"),
                    of_exports("exports_send_failed", "not_sent"),
                ];
            }
            told.extend(engine.judge(&long));
        }
    }
    let begun: Vec<_> = told.iter().filter(|event| event.state() == pb::EventState::Begun).collect();
    let said: Vec<_> = begun.iter().map(|event| (&event.kind[..], &event.cause[..], event.severity())).collect();
    let expected = [
        ("flows_loss", "socket_full", pb::Severity::Critical),
        ("flows_loss", "ring_full", pb::Severity::Critical),
        ("flows_loss", "no_template", pb::Severity::Warning),
        ("exports_loss", "exporter_late", pb::Severity::Critical),
        ("exports_loss", "not_sent", pb::Severity::Warning),
    ];
    assert_eq!(said, expected, "and no loss of a core");
    let (first, figure) = (begun[3], &begun[3].figures[0]);
    assert_eq!(first.subject, Some(pb::EventSubject { r#type: "exports".to_owned(), name: "exports_ring_dropped".to_owned() }));
    assert_eq!((&figure.name[..], &figure.unit[..], first.evidence[0].sequence), ("exports_ring_dropped", "samples", 1_010));
    assert_eq!(told.iter().filter(|event| event.state() == pb::EventState::Ended).count(), 5);
}
