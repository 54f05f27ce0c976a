//! `tailwater flows` as it is called: what stands on stdout and stderr, and with which status it ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use prost::Message;
use tailwater::flows::pb::FlowMessage;

fn flows() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
    command.arg("flows").env_remove("RUST_LOG");
    command
}

/// NetFlow 5: so many records of ten bytes each.
fn five(records: u16) -> Vec<u8> {
    let mut out = [5u16.to_be_bytes(), records.to_be_bytes()].concat();
    out.resize(24, 0);
    let mut record = [0u8; 48];
    (record[0], record[19], record[23]) = (10, 1, 10);
    out.extend((0..records).flat_map(|_| record));
    out
}

/// A classic capture of UDP over raw IPv4.
fn capture(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut out =
        [&0xA1B2_C3D4u32.to_le_bytes()[..], &[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0], &65_535u32.to_le_bytes(), &101u32.to_le_bytes()]
            .concat();
    for payload in payloads {
        let length = |extra: usize| u16::try_from(payload.len() + extra).unwrap();
        let ip = [&[0x45, 0][..], &length(28).to_be_bytes(), &[0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 7, 192, 0, 2, 8]].concat();
        let udp = [&[0x30, 0x39, 0x12, 0x34][..], &length(8).to_be_bytes(), &[0, 0]].concat();
        let size = u32::from(length(28)).to_le_bytes();
        out.extend([&1u32.to_le_bytes()[..], &[0; 4], &size, &size, &ip, &udp, payload].concat());
    }
    out
}

fn run(bytes: &[u8], more: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    flows().args(more).arg("--pcap").arg(file.path()).output().unwrap()
}

#[test]
fn a_line_a_flow_and_nothing_else_on_stdout() {
    let out = run(&capture(&[five(3), b"no export at all, but long enough".to_vec(), five(2)]), &[]);
    assert_eq!(out.status.code(), Some(0));
    let lines: Vec<serde_json::Value> =
        out.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    assert!(lines.iter().all(|line| line["bytes"] == "10" && line["sampling_rate"] == "0" && line["sampler_address"] == "192.0.2.7"));
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(stderr.contains("datagrams: 2 = 2 decoded") && stderr.contains("5 flows of unknown rate"), "{stderr}");
    assert!(stderr.contains("gaps by domain: 1 with any\n  192.0.2.7 netflow5 0: records 0 lost in 0 gaps"), "{stderr}");
}

#[test]
fn a_capture_cut_short_is_a_warning() {
    let whole = capture(&[five(3), five(2)]);
    let out = run(&whole[..whole.len() - 5], &[]);
    assert_eq!((out.status.code(), out.stdout.iter().filter(|b| **b == b'\n').count()), (Some(0), 3));
    assert!(String::from_utf8(out.stderr).unwrap().contains("middle of a record"));
}

#[test]
fn protobuf_with_lengths_and_the_operators_rate() {
    let out = run(&capture(&[five(2)]), &["--format", "protobuf", "--sampling", "192.0.2.7=500"]);
    let mut rest = &out.stdout[..];
    for _ in 0..2 {
        let message = FlowMessage::decode_length_delimited(&mut rest).unwrap();
        assert_eq!((message.bytes, message.sampling_rate, message.src_addr.to_vec()), (10, 500, vec![10, 0, 0, 0]));
    }
    assert!(rest.is_empty());
}

#[test]
fn bad_usage_is_two() {
    let status = |arguments: &[&str]| flows().args(arguments).output().unwrap().status.code();
    assert_eq!(status(&[]), Some(2));
    assert_eq!(status(&["--pcap", "/nowhere/at/all.pcap"]), Some(2));
    assert_eq!(status(&["--listen", "tcp/2055"]), Some(2));
    assert_eq!(status(&["--listen", "192.0.2.99:2055"]), Some(2));
    assert_eq!(status(&["--pcap", "x", "--sampling", "192.0.2.7=0"]), Some(2));
    assert_eq!(run(b"no capture", &[]).status.code(), Some(2));
    let help = flows().arg("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("Example:"));
}

/// A pipe that nobody reads any more, as behind `head`.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn who_reads_no_more_ends_it_without_a_complaint() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), capture(&vec![five(30); 200])).unwrap();
    let out = flows().arg("--pcap").arg(file.path()).stdout(closed()).output().unwrap();
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.code() == Some(0) && !stderr.contains("roken pipe"), "{stderr}");
    for mut command in [Command::new(env!("CARGO_BIN_EXE_tailwater")), flows()] {
        // What is a single line, or many.
        let is_flows = command.get_args().count() > 0;
        if is_flows {
            command.args(["--top", "src_addr", "--pcap"]).arg(file.path())
        } else {
            command.args(["generate", "--list"])
        };
        let out = command.stdout(closed()).output().unwrap();
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.code() == Some(0) && !stderr.contains("roken pipe"), "{stderr}");
    }
    // One that listens ends by the first flow that nobody reads, and keeps its templates.
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("templates");
    let (mut child, mut stderr, port) = listening_to(&kept, closed());
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(&five(4), format!("127.0.0.1:{port}")).unwrap();
    let mut account = String::new();
    stderr.read_to_string(&mut account).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{account}");
    assert!(account.contains("datagrams: 1 = 1 decoded") && !account.contains("roken pipe") && kept.exists(), "{account}");
}

/// One that listens and keeps templates there; its stderr, and its port.
fn listening(templates: &Path) -> (Child, BufReader<ChildStderr>, String) {
    listening_to(templates, Stdio::piped())
}

fn listening_to(templates: &Path, stdout: Stdio) -> (Child, BufReader<ChildStderr>, String) {
    let mut command = flows();
    command.args(["--listen", "127.0.0.1:0", "--templates"]).arg(templates).stdout(stdout).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let port = line.split("127.0.0.1:").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
    (child, stderr, port)
}

/// Ends it; what is still on stdout, and its account.
fn ended(mut child: Child, stdout: &mut impl Read, mut stderr: BufReader<ChildStderr>) -> (String, String) {
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let (mut rest, mut account) = (String::new(), String::new());
    stdout.read_to_string(&mut rest).unwrap();
    stderr.read_to_string(&mut account).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    (rest, account)
}

#[test]
fn sigterm_ends_listening_with_the_account_and_keeps_templates() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("templates");
    let (mut child, stderr, port) = listening(&kept);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(&five(4), format!("127.0.0.1:{port}")).unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    assert!(first.contains("\"NETFLOW_V5\""), "{first}");
    let (rest, account) = ended(child, &mut stdout, stderr);
    assert_eq!(rest.lines().count(), 3);
    assert!(account.contains("datagrams: 1 = 1 decoded"), "{account}");
    assert!(kept.exists());
}

/// Stopped while more comes than the socket holds, then ended: what was read and what was not are all that was sent, though nothing came
/// behind it.
#[test]
fn what_came_before_sigterm_is_read_or_told_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, stderr, port) = listening(&folder.path().join("templates"));
    let signal = |name: &str| assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    signal("-STOP");
    let (sender, mut datagram, sent) = (UdpSocket::bind("127.0.0.1:0").unwrap(), five(1), 20_000);
    datagram.resize(16_000, 0);
    (0..sent).for_each(|_| drop(sender.send_to(&datagram, format!("127.0.0.1:{port}"))));
    signal("-TERM");
    signal("-CONT");
    let mut stdout = child.stdout.take().unwrap();
    let (_, account) = ended(child, &mut stdout, stderr);
    let number = |behind: &str| account.split(behind).nth(1).unwrap().split(' ').next().unwrap().parse::<u64>().unwrap();
    let (read, dropped) = (number("datagrams: "), number("kernel: "));
    assert!(read > 0 && dropped > 0 && read + dropped == sent, "{account}");
}

/// Sets of NetFlow 9: a template of source address and octets, and a record of it.
const TEMPLATE: [u8; 16] = [0, 0, 0, 16, 1, 0, 0, 2, 0, 8, 0, 4, 0, 1, 0, 4];
const DATA: [u8; 12] = [1, 0, 0, 12, 192, 0, 2, 5, 0, 0, 0, 77];

fn nine(sets: &[u8]) -> Vec<u8> {
    [&[0, 9, 0, 1, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 7][..], sets].concat()
}

/// Killed as soon as a template is on disk, which needs no time to go by: the next one knows it.
#[test]
fn a_template_is_on_disk_when_it_was_told_and_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("templates");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut child, _stderr, port) = listening(&kept);
    sender.send_to(&nine(&TEMPLATE), format!("127.0.0.1:{port}")).unwrap();
    let known = || tailwater::flows::Collector::new(&tailwater::flows::Settings::default()).restore(&kept).unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while known() == 0 {
        assert!(std::time::Instant::now() < until, "it is not written");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (mut child, stderr, port) = listening(&kept);
    sender.send_to(&nine(&DATA), format!("127.0.0.1:{port}")).unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("\"bytes\":\"77\""), "{line}");
    ended(child, &mut stdout, stderr);
}

/// A file that is none of ours is taken away for good: its folder is synced behind that, as `strace` sees it.
#[test]
fn what_is_taken_away_is_away_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, calls) = (folder.path().join("templates"), folder.path().join("calls"));
    std::fs::write(folder.path().join("templates.waiting"), "a stranger's").unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=unlink,unlinkat,openat,fsync", "-o"]).arg(&calls).arg(env!("CARGO_BIN_EXE_tailwater"));
    command.args(["flows", "--listen", "127.0.0.1:0", "--top", "src_addr", "--every", "10ms", "--count", "1", "--templates"]).arg(&kept);
    match command.env_remove("RUST_LOG").output() {
        Ok(out) if out.status.success() => {}
        other => return println!("skipped: strace is not there, or may not look: {other:?}"),
    }
    let calls = std::fs::read_to_string(calls).unwrap();
    let lines: Vec<&str> = calls.lines().skip_while(|line| !(line.contains("unlink") && line.contains("templates.waiting\""))).collect();
    let own = format!("\"{}\"", folder.path().display());
    let opened = lines.get(1).filter(|line| line.contains("openat") && line.contains(&own));
    let handle = opened.and_then(|line| line.rsplit("= ").next()).unwrap_or_else(|| panic!("the folder is not opened: {calls}"));
    assert!(lines[2].contains(&format!("fsync({handle})")), "{calls}");
}

/// What waits for its template at SIGTERM waits on, and comes out when the next one gets the template.
#[test]
fn data_that_waits_at_sigterm_is_decoded_after_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("templates");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut child, stderr, port) = listening(&kept);
    sender.send_to(&nine(&DATA), format!("127.0.0.1:{port}")).unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // What came before the signal is read.
    let (rest, account) = ended(child, &mut stdout, stderr);
    assert!(rest.is_empty() && account.contains("0 waiting + dropped (kept 1)"), "{account}");
    let (mut child, stderr, port) = listening(&kept);
    sender.send_to(&nine(&TEMPLATE), format!("127.0.0.1:{port}")).unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let flow: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&flow["src_addr"], &flow["bytes"]), (&"192.0.2.5".into(), &"77".into()), "{line}");
    let (_, account) = ended(child, &mut stdout, stderr);
    assert!(account.contains("1 sets waited for theirs"), "{account}");
}
