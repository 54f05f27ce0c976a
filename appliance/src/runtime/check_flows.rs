//! What `tailwater check` says of `[flows]`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use super::check::{Finding, Verdict, bad, good};
use super::flow_stream::refused;
use crate::config::Config;
use crate::flows::listen::{Held, held};
use crate::flows::{Collector, Settings, store};

/// Each address, the file of templates, and where flows go.
pub(super) fn flows(config: &Config) -> Vec<Finding> {
    let Some(flows) = &config.flows else { return Vec::new() };
    let place = |key: &[&str]| config.locate(&[&["flows"], key].concat());
    let address = |(at, address): (usize, &SocketAddr)| {
        let at = at.to_string();
        listens(format!("{}: flows.listen[{at}]", place(&["listen", &at])), *address)
    };
    let mut findings: Vec<Finding> = flows.listen.iter().enumerate().map(address).collect();
    findings.push(match &flows.templates {
        Some(file) => templates(format!("{}: flows.templates", place(&["templates"])), file, config),
        None => {
            let what = "templates are in memory alone: after a restart data waits for new ones";
            bad(
                Verdict::Weak,
                format!("{}: flows.templates", place(&[])),
                what,
                "write [journal] path, or templates = \"/var/lib/tailwater/flow-templates\"",
            )
        }
    });
    findings.extend(nowhere(config));
    findings
}

/// A port that another holds for itself is wrong; one that is shared brings a part of the exporters alone. No datagram is taken from who
/// listens there.
fn listens(about: String, address: SocketAddr) -> Finding {
    match held(address) {
        Ok(Held::Free) => good(about, format!("udp {address} is free")),
        Ok(Held::Shared) => {
            let what =
                format!("another process listens at udp {address} too: this appliance, if it runs; else each gets a part of the exporters");
            let remedy = format!("ss -ulpn 'sport = :{}' shows which; end it, or name another port", address.port());
            bad(Verdict::Weak, about, what, remedy)
        }
        Ok(Held::Alone) => {
            let (what, remedy) = refused(address, &ErrorKind::AddrInUse.into());
            bad(Verdict::Wrong, about, what, remedy)
        }
        Err(reason) => {
            let (what, remedy) = refused(address, &reason);
            bad(Verdict::Wrong, about, what, remedy)
        }
    }
}

fn templates(about: String, file: &Path, config: &Config) -> Finding {
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    // `run` makes the journal's folder.
    if config.journal.as_ref().is_some_and(|journal| journal.path == folder) && !folder.exists() {
        return good(about, format!("{} will be made", file.display()));
    }
    if let Err(fault) = store::try_out(file) {
        let remedy = if fault.kind() == ErrorKind::NotFound { "make its folder" } else { "name a file that may be written" };
        return bad(
            Verdict::Wrong,
            about,
            format!("{} cannot be written: {fault}; after a restart data would wait for new templates", file.display()),
            remedy,
        );
    }
    match Collector::new(&Settings::default()).restore(file) {
        Ok(templates) => good(about, format!("{} holds {templates} templates", file.display())),
        Err(fault) => bad(Verdict::Weak, about, format!("{}: {fault}", file.display()), format!("rm {}", file.display())),
    }
}

/// Flows that no sink takes.
fn nowhere(config: &Config) -> Option<Finding> {
    let has_none = !config.sinks.take_flows();
    let about = format!("{}: flows", config.locate(&["flows"]));
    has_none.then(|| bad(Verdict::Weak, about, "there is no sink: flows are counted and forgotten", "write [sinks.kafka], or [sinks.file]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::listen::{Bound, Listener};
    use std::net::UdpSocket;

    #[test]
    fn an_address_that_is_held_is_wrong_and_one_that_is_shared_is_weak() {
        let held = UdpSocket::bind("127.0.0.1:0").unwrap();
        let found = listens("flows.listen[0]".to_owned(), held.local_addr().unwrap());
        assert!(found.verdict == Verdict::Wrong && found.remedy.contains("ss -ulpn"), "{found}");
        let shared = Bound::open("127.0.0.1:0".parse().unwrap()).unwrap();
        let found = listens(String::new(), shared.address().unwrap());
        assert!(found.verdict == Verdict::Weak && found.what.contains("another process"), "{found}");
        let free = shared.address().unwrap();
        drop(shared);
        assert_eq!(listens(String::new(), free).verdict, Verdict::Good);
        let found = listens(String::new(), "192.0.2.77:2055".parse().unwrap());
        assert!(found.verdict == Verdict::Wrong && found.remedy.contains("no interface"), "{found}");
    }
    /// Who listens gets every datagram that comes while it is looked who is there.
    #[test]
    fn no_datagram_is_taken_from_who_listens() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0", "[::1]:0"] {
            let Ok(mut running) = Listener::open(address.parse().unwrap()) else { continue };
            let at = running.address().unwrap();
            let to = SocketAddr::from((
                if at.ip().is_ipv6() { std::net::IpAddr::from([0_u16, 0, 0, 0, 0, 0, 0, 1]) } else { [127, 0, 0, 1].into() },
                at.port(),
            ));
            let from = UdpSocket::bind((to.ip(), 0)).unwrap();
            let mut collector = Collector::new(&Settings::default());
            for _ in 0..500 {
                // From ever new ports, so that a group of two would part them.
                UdpSocket::bind((to.ip(), 0)).unwrap().send_to(&[0], to).unwrap();
                from.send_to(&[0], to).unwrap();
                assert_eq!(listens(String::new(), at).verdict, Verdict::Weak, "{at}");
                while running.receive(&mut collector, &mut |_| {}).unwrap() > 0 {}
            }
            assert_eq!(collector.ledger().datagrams, 1_000, "{at}");
        }
    }
}
