//! What `tailwater check` says of `[flows]`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use super::check::{Finding, Verdict, bad, good};
use super::flow_stream::refused;
use crate::config::Config;
use crate::flows::listen::{Bound, is_shared};
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

/// A port that another holds for itself is wrong; one that is shared brings a part of the exporters alone.
fn listens(about: String, address: SocketAddr) -> Finding {
    match Bound::open(address) {
        Err(reason) => {
            let (what, remedy) = refused(address, &reason);
            bad(Verdict::Wrong, about, what, remedy)
        }
        Ok(socket) => {
            drop(socket);
            if is_shared(address) {
                let what = format!(
                    "another process listens at udp {address} too: this appliance, if it runs; else each gets a part of the exporters"
                );
                let remedy = format!("ss -ulpn 'sport = :{}' shows which; end it, or name another port", address.port());
                return bad(Verdict::Weak, about, what, remedy);
            }
            good(about, format!("udp {address} is free"))
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
}
