//! A port that is a virtual function: whether its physical function lets it see frames that are not for its own MAC.
//!
//! Promiscuous mode of a virtual function is a word of the physical one's (`trust`), which its driver may grant without saying no: the port
//! starts, and the mirror's frames do not come. So it is looked at before.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::check::{Finding, Verdict, bad, good};

/// Where the kernel shows PCI devices.
pub(super) const DEVICES: &str = "/sys/bus/pci/devices";

/// A virtual function, as seen from the physical one.
#[derive(Debug, PartialEq, Eq)]
struct VirtualFunction {
    number: u32,
    /// PCI address of the physical function.
    of: String,
    /// Its interface; none: it is not in this kernel's hands, or in another namespace.
    interface: Option<String>,
}

/// Nothing if the device is no virtual function.
pub(super) fn trust(address: &str) -> Option<Finding> {
    let function = find(Path::new(DEVICES), address)?;
    let shown = |interface: &String| {
        let output =
            Command::new("ip").args(["-d", "link", "show", "dev", interface]).output().ok().filter(|output| output.status.success());
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let shown = function.interface.as_ref().and_then(shown);
    Some(judge(address, &function, shown.as_deref()))
}

/// By the kernel's links: from the virtual function to its physical one, and from there to all virtual ones.
fn find(devices: &Path, address: &str) -> Option<VirtualFunction> {
    let name = |link: &Path| Some(fs::read_link(link).ok()?.file_name()?.to_string_lossy().into_owned());
    let of = name(&devices.join(address).join("physfn"))?;
    let physical = devices.join(&of);
    let number = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().strip_prefix("virtfn")?.parse::<u32>().ok();
    let is_ours = |entry: &fs::DirEntry| name(&entry.path()).as_deref() == Some(address);
    let number = fs::read_dir(&physical).ok()?.flatten().filter(is_ours).find_map(|entry| number(&entry))?;
    let interface = fs::read_dir(physical.join("net")).ok().and_then(|mut entries| entries.next()?.ok());
    Some(VirtualFunction { number, of, interface: interface.map(|entry| entry.file_name().to_string_lossy().into_owned()) })
}

/// What `ip -d link show` says of the physical function's interface.
fn judge(address: &str, function: &VirtualFunction, shown: Option<&str>) -> Finding {
    let VirtualFunction { number, of, interface } = function;
    let about = format!("ports: {address}: virtual function {number} of {of}");
    let mend = |interface: &str| format!("sudo ip link set {interface} vf {number} trust on");
    let trusted = shown.and_then(|shown| trusted(shown, *number));
    match (interface.as_deref(), trusted) {
        (_, Some(true)) => good(about, "trusted"),
        (Some(interface), Some(false)) => {
            let what = "not trusted: it is shown frames for its own MAC alone, and the mirror's are not";
            bad(Verdict::Wrong, about, what, mend(interface))
        }
        (interface, _) => {
            let what = "whether it is trusted cannot be read here";
            let remedy = format!("where {of} is in the kernel's hands (a guest's host): {}", mend(interface.unwrap_or("INTERFACE")));
            bad(Verdict::Weak, about, what, remedy)
        }
    }
}

/// `vf 3 … trust on,` on the line of the function.
fn trusted(shown: &str, number: u32) -> Option<bool> {
    let line = shown.lines().map(str::trim_start).find_map(|line| line.strip_prefix(&format!("vf {number} ")))?;
    let mut words = line.split([' ', ',']).filter(|word| !word.is_empty()).skip_while(|word| *word != "trust");
    match words.nth(1)? {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// iproute2 6.1 on i40e, and 5.10 on mlx5.
    const NEW: &str = "5: ens3f0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP mode DEFAULT group default qlen 1000\n    \
        link/ether 3c:fd:fe:00:00:01 brd ff:ff:ff:ff:ff:ff promiscuity 0 minmtu 68 maxmtu 9702 addrgenmode eui64 numtxqueues 64\n    \
        vf 0     link/ether 02:00:5e:10:00:01 brd ff:ff:ff:ff:ff:ff, spoof checking on, link-state auto, trust off\n    \
        vf 1     link/ether 02:00:5e:10:00:02 brd ff:ff:ff:ff:ff:ff, spoof checking off, link-state auto, trust on\n    \
        vf 10    link/ether 02:00:5e:10:00:03 brd ff:ff:ff:ff:ff:ff, spoof checking on, link-state auto, trust on\n";
    const OLD: &str = "7: enp59s0f0np0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n    vf 0     link/ether 00:00:00:00:00:00 brd \
        ff:ff:ff:ff:ff:ff, spoof checking off, link-state auto, trust off, query_rss off\n    vf 1 MAC 00:00:00:00:00:00, link-state auto\n";

    #[test]
    fn trust_is_read_of_the_right_function() {
        assert_eq!([0, 1, 10, 2].map(|n| trusted(NEW, n)), [Some(false), Some(true), Some(true), None]);
        assert_eq!([0, 1].map(|n| trusted(OLD, n)), [Some(false), None]);
        assert_eq!(trusted("", 0), None);
    }

    #[test]
    fn a_virtual_function_is_known_by_the_kernels_links() {
        let folder = tempfile::tempdir().unwrap();
        let devices = folder.path();
        for device in ["0000:3b:00.0", "0000:3b:02.0", "0000:3b:02.1"] {
            fs::create_dir(devices.join(device)).unwrap();
        }
        fs::create_dir_all(devices.join("0000:3b:00.0/net/ens3f0")).unwrap();
        for (number, function) in [(0, "0000:3b:02.0"), (1, "0000:3b:02.1")] {
            symlink(format!("../{function}"), devices.join(format!("0000:3b:00.0/virtfn{number}"))).unwrap();
            symlink("../0000:3b:00.0", devices.join(function).join("physfn")).unwrap();
        }
        let found = find(devices, "0000:3b:02.1").unwrap();
        let of = VirtualFunction { number: 1, of: "0000:3b:00.0".to_owned(), interface: Some("ens3f0".to_owned()) };
        assert_eq!(found, of);
        assert_eq!(find(devices, "0000:3b:00.0"), None, "a physical function");
        assert_eq!(find(devices, "0000:99:00.0"), None);
        fs::remove_dir_all(devices.join("0000:3b:00.0/net")).unwrap();
        assert_eq!(find(devices, "0000:3b:02.1"), Some(VirtualFunction { interface: None, ..of }));
    }

    #[test]
    fn one_that_is_not_trusted_fails_with_the_command_that_mends_it() {
        let function = |number, interface: Option<&str>| VirtualFunction {
            number,
            of: "0000:3b:00.0".to_owned(),
            interface: interface.map(str::to_owned),
        };
        let judged = |number, interface, shown| judge("0000:3b:02.0", &function(number, interface), shown);
        let wrong = judged(0, Some("ens3f0"), Some(NEW));
        assert_eq!((wrong.verdict, &wrong.remedy[..]), (Verdict::Wrong, "sudo ip link set ens3f0 vf 0 trust on"));
        assert_eq!(judged(1, Some("ens3f0"), Some(NEW)).verdict, Verdict::Good);
        for (interface, shown) in [(None, None), (Some("ens3f0"), None), (Some("ens3f0"), Some(""))] {
            let weak = judged(0, interface, shown);
            assert!(weak.verdict == Verdict::Weak && weak.remedy.contains(" vf 0 trust on"), "{weak}");
        }
    }
}
