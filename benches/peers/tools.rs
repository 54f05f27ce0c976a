//! How each tool is run, and what of our job it does.

use std::cell::RefCell;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;

use tailwater::rx::capture::{Capture as Reader, PcapWriter};

use super::support::captures::Capture;
use super::support::sets;

/// Frames of the capture whose cost is the tool's start and end.
const FEW: usize = 10;
/// Seconds that a tool may take.
const PATIENCE_S: &str = "120";

/// A tool.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// Programs that it takes.
    programs: &'static [&'static str],
    /// What it does of our job.
    pub(crate) share: &'static str,
    /// Whether it aggregates per network or flow.
    pub(crate) aggregates: bool,
    /// Shell commands, over `$pcap`, `$dir` and `$port`.
    commands: &'static str,
}

/// All of them.
pub(crate) const TOOLS: [Tool; 6] = [
    Tool {
        name: "pmacctd",
        programs: &["pmacctd"],
        share: "longest prefix of the same 10,000 networks, packets and bytes of each: 2 of 24 stats",
        aggregates: true,
        commands: "pmacctd -f $dir/pmacctd.conf -I $pcap",
    },
    Tool {
        name: "nfpcapd",
        programs: &["nfpcapd", "nfdump"],
        share: "a table of flows on disk, then nfdump adds up packets, bytes and flows by /24: 3 of 24 stats, no ranges, no connections, nothing distinct or bounded",
        aggregates: true,
        commands: "nfpcapd -r $pcap -l $dir/flows && nfdump -R $dir/flows -q -A dstip4/24 -O packets -n 0 -o 'fmt:%da %pkt %byt %fl'",
    },
    Tool {
        name: "softflowd",
        programs: &["softflowd"],
        share: "a table of flows, sent as NetFlow v9: another tool has yet to add up, 0 of 24 stats",
        aggregates: true,
        commands: "softflowd -r $pcap -n 127.0.0.1:$port -v 9 -m 2000000 -d -p $dir/softflowd.pid -c none",
    },
    Tool {
        name: "argus",
        programs: &["argus", "racluster"],
        share: "a table of flows with much about each, on disk, then racluster adds up packets and bytes by /24: 2 of 24 stats, no ranges",
        aggregates: true,
        commands: "argus -r $pcap -w $dir/argus.out && racluster -r $dir/argus.out -m daddr/24 -s daddr pkts bytes",
    },
    Tool {
        name: "tcpstat",
        programs: &["tcpstat"],
        share: "packets and bytes of everything, a second each: no ranges, no keys",
        aggregates: false,
        commands: "tcpstat -r $pcap -o '%n %N\\n' 1",
    },
    Tool {
        name: "tcpdump",
        programs: &["tcpdump"],
        share: "reads and writes frames: none",
        aggregates: false,
        commands: "tcpdump -r $pcap -w /dev/null",
    },
];

impl Tool {
    /// Whether it is installed.
    pub(crate) fn is_there(&self) -> bool {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        self.programs.iter().all(|program| path.split(':').any(|folder| Path::new(folder).join(program).is_file()))
    }
}

/// What tools read and write.
pub(crate) struct Bench {
    folder: PathBuf,
    binary: PathBuf,
    configuration: PathBuf,
    pcap: PathBuf,
    few: PathBuf,
    frames: u64,
    ranges: usize,
    /// Takes what softflowd sends.
    collector: UdpSocket,
    wrong: RefCell<Option<String>>,
}

impl Bench {
    /// On this capture.
    pub(crate) fn new(root: &Path, binary: &Path, capture: &Capture) -> Self {
        let folder = root.join("target/bench-line/peers");
        std::fs::create_dir_all(&folder).expect("a folder");
        let networks: String = capture.shares.keys().map(|prefix| format!("{prefix}\n")).collect();
        std::fs::write(folder.join("networks"), networks).expect("networks");
        let shown = folder.display();
        let pmacctd = format!(
            "daemonize: false\nplugins: print[p]\naggregate[p]: dst_net\npmacctd_net: file\nnetworks_file: {shown}/networks\n\
             print_output_file[p]: {shown}/pmacctd.out\nprint_refresh_time[p]: 3600\nprint_cache_entries: 262139\n\
             plugin_pipe_size: 268435456\nplugin_buffer_size: 65536\n"
        );
        std::fs::write(folder.join("pmacctd.conf"), pmacctd).expect("a configuration");
        let configuration = folder.join("replay.toml");
        std::fs::write(&configuration, sets::configuration(24, &capture.ranges, 10_000)).expect("a configuration");
        let few = folder.join("few.pcap");
        std::fs::write(&few, first(&capture.pcap)).expect("a capture");
        let collector = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let (pcap, binary, frames, ranges) = (capture.pcap.clone(), binary.to_owned(), capture.frames, capture.shares.len());
        Self { folder, binary, configuration, pcap, few, frames, ranges, collector, wrong: RefCell::new(None) }
    }

    /// Nanoseconds of CPU that a tool takes for a packet.
    pub(crate) fn run(&self, tool: &Tool) -> f64 {
        let few = self.cpu_ns(tool.commands, &self.few);
        let all = self.cpu_ns(tool.commands, &self.pcap);
        if tool.name == "pmacctd" {
            self.check_pmacctd();
        }
        (all - few) / self.frames as f64
    }

    /// Likewise `tailwater replay`.
    pub(crate) fn replay(&self) -> f64 {
        let commands = format!("{} replay --config {} --pcap $pcap", self.binary.display(), self.configuration.display());
        (self.cpu_ns(&commands, &self.pcap) - self.cpu_ns(&commands, &self.few)) / self.frames as f64
    }

    /// User and system time of commands, and of all that they started and waited for.
    fn cpu_ns(&self, commands: &str, pcap: &Path) -> f64 {
        let script = format!(
            "PATH=$PATH:/usr/sbin:/sbin; rm -rf \"$dir/flows\" \"$dir/argus.out\"; mkdir -p \"$dir/flows\"; TIMEFORMAT='took %3U %3S'\n\
             time {{ {{ {commands}; }} > \"$dir/said\" 2>&1; }}"
        );
        let mut command = Command::new("timeout");
        command.arg(PATIENCE_S).args(["bash", "-c", &script]).env("pcap", pcap).env("dir", &self.folder);
        let port = self.collector.local_addr().expect("a port").port();
        let ran = command.env("port", port.to_string()).output().expect("bash");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        let took = said.lines().find_map(|line| {
            let (user, system) = line.strip_prefix("took ")?.split_once(' ')?;
            Some(user.parse::<f64>().ok()? + system.parse::<f64>().ok()?)
        });
        if !ran.status.success() || took.is_none() {
            let output = std::fs::read_to_string(self.folder.join("said")).unwrap_or_default();
            self.fault(format!("{commands}: {} {said} {output}", ran.status));
        }
        took.unwrap_or(f64::NAN) * 1e9
    }

    fn fault(&self, text: String) {
        self.wrong.borrow_mut().get_or_insert(text);
    }

    /// What was wrong with a tool's run, if anything was.
    pub(crate) fn wrong(&self) -> Option<String> {
        self.wrong.borrow().clone()
    }

    /// Whether pmacctd did what is said of it: all networks, all packets.
    fn check_pmacctd(&self) {
        let text = std::fs::read_to_string(self.folder.join("pmacctd.out")).unwrap_or_default();
        let packets = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
        let counts: Vec<u64> = text.lines().skip(1).filter_map(packets).collect();
        if (counts.len(), counts.iter().sum::<u64>()) != (self.ranges, self.frames) {
            self.fault(format!("pmacctd counted {} packets in {} networks", counts.iter().sum::<u64>(), counts.len()));
        }
    }
}

/// A capture of the first frames of another.
fn first(pcap: &Path) -> Vec<u8> {
    let mut from = Reader::open(pcap).expect("a capture");
    let mut to = PcapWriter::new(Vec::new(), 1, 65_535).expect("memory");
    for _ in 0..FEW {
        let frame = from.next_frame().expect("a frame").expect("as many frames");
        to.write(frame.time_ns, frame.wire_bytes, frame.bytes).expect("memory");
    }
    to.finish().expect("memory")
}
