//! What `tailwater check` says of `[[exports]]`, `[packet_logs]` and `[sinks.https]`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::check::{Finding, Verdict, bad, good, unreadable};
use crate::config::Config;

/// Whether each collector can be reached, as far as this machine knows, where logs go, and whether secrets can be read.
pub(super) fn exports(config: &Config) -> Vec<Finding> {
    let row = |(at, export): (usize, &crate::config::Export)| {
        let about = format!("{}: exports[{at}].to", config.locate(&["exports", &at.to_string(), "to"]));
        match routed(export.to) {
            Ok(from) => good(about, format!("{} is sent to from {from}; UDP does not tell whether somebody listens", export.to)),
            Err(reason) => bad(
                Verdict::Wrong,
                about,
                format!("{} cannot be sent to: {reason}", export.to),
                "is there a route to it? name an address that this machine reaches; `run` would not start",
            ),
        }
    };
    let mut findings: Vec<Finding> = config.exports.iter().enumerate().map(row).collect();
    if config.packet_logs.is_some() && !config.sinks.take_logs() {
        let about = format!("{}: packet_logs", config.locate(&["packet_logs"]));
        let what = "there is no sink: packets are logged and forgotten";
        findings.push(bad(Verdict::Weak, about, what, "write [sinks.kafka], [sinks.file], or [sinks.https] of = [\"packets\"]"));
    }
    findings.extend(config.sinks.https.iter().flat_map(|https| &https.unreadable).map(unreadable));
    findings
}

/// The address that datagrams would leave by; none is sent.
fn routed(to: SocketAddr) -> std::io::Result<std::net::IpAddr> {
    let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::IpAddr::from(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}
