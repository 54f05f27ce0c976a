#!/usr/bin/python3
"""Compares what `tailwater flows` and GoFlow2 write of the same datagrams, field by field of GoFlow2's own .proto;
`bash scripts/goflow2` runs it.

Each capture's export datagrams go over loopback to both, from an address and a port for each exporter, one at a time. A
difference has to have its row in docs/flows.md (Against GoFlow2), as ROWS has them; any other is printed, and the exit code is 1."""

import collections
import pathlib
import signal
import socket
import subprocess
import sys
import time

FLOW, SAMPLES, OURS = 22055, 22056, 22057
SFLOW, V5, V9, IPFIX = 1, 2, 3, 4


def datagrams(capture):
    """Of each UDP datagram that an exporter may have sent: who sent it, whether it is sFlow, its octets."""
    fields = ["-e", "ip.src", "-e", "ipv6.src", "-e", "udp.srcport", "-e", "udp.payload"]
    command = ["tshark", "-r", capture, "-Y", "udp && !icmp && !icmpv6", "-T", "fields", "-E", "occurrence=f", *fields]
    told = subprocess.run(command, capture_output=True, text=True)
    if told.returncode != 0:
        sys.exit(f"tshark cannot read {capture}: {told.stderr}")
    for line in told.stdout.splitlines():
        v4, v6, port, payload = line.split("\t")
        octets = bytes.fromhex(payload.replace(":", ""))
        if len(octets) > 20 and octets[:2] in (b"\0\5", b"\0\x09", b"\0\x0a"):
            yield (v4 + v6, int(port)), False, octets
        elif octets[:4] == b"\0\0\0\5":
            yield (v4 + v6, int(port)), True, octets


def waiting(port):
    """Octets in the queue of the socket that is bound to this port of loopback; none where nobody is."""
    for line in pathlib.Path("/proc/net/udp").read_text().splitlines()[1:]:
        words = line.split()
        if words[1] == f"0100007F:{port:04X}":
            return int(words[4].split(":")[1], 16)
    return None


def until(true, what):
    end = time.monotonic() + 10
    while not true():
        if time.monotonic() > end:
            sys.exit(f"{what} took more than ten seconds")
        time.sleep(0.002)


def messages(kind, octets):
    """Length-prefixed messages."""
    at, found = 0, []
    while at < len(octets):
        length = shift = 0
        while True:
            byte = octets[at]
            at, length, shift = at + 1, length | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        found.append(kind.FromString(octets[at : at + length]))
        at += length
    return found


def start(tailwater, goflow2, ours, theirs):
    """Both at work."""
    listen = f"netflow://127.0.0.1:{FLOW}?count=1&workers=1,sflow://127.0.0.1:{SAMPLES}?count=1&workers=1"
    to_file = ["-format", "bin", "-transport", "file", "-transport.file", theirs, "-transport.file.sep", ""]
    commands = [
        ([tailwater, "flows", "--listen", f"udp/127.0.0.1:{OURS}", "--format", "protobuf"], ours),
        ([goflow2, "-listen", listen, *to_file, "-addr", "", "-loglevel", "error"], "/dev/null"),
    ]
    for command, out in commands:
        with open(out, "wb") as to:
            yield subprocess.Popen(command, stdout=to, stderr=subprocess.DEVNULL)


def end(running):
    for process in running:
        process.send_signal(signal.SIGTERM)
    for process in running:
        try:
            status = process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            status = "none: it had to be killed"
        if status != 0:
            sys.exit(f"{process.args[0]} ended with status {status}")


def send(capture):
    """Each datagram to both, once they have taken the one before."""
    sockets = {}
    for (address, port), is_sflow, octets in datagrams(capture):
        if (address, port) not in sockets:
            number = len({of for of, _ in sockets} | {address})
            own = next((sock.getsockname()[0] for (of, _), sock in sockets.items() if of == address), f"127.1.0.{number}")
            sockets[address, port] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sockets[address, port].bind((own, port))
        for to in (OURS, SAMPLES if is_sflow else FLOW):
            sockets[address, port].sendto(octets, ("127.0.0.1", to))
            until(lambda to=to: waiting(to) == 0, "a datagram")
    for sock in sockets.values():
        sock.close()


def both(capture, kind, tailwater, goflow2, folder):
    """What ours and GoFlow2 wrote of a capture."""
    ours, theirs = folder / "ours.bin", folder / "theirs.bin"
    theirs.unlink(missing_ok=True)
    if any(waiting(port) is not None for port in (FLOW, SAMPLES, OURS)):
        sys.exit(f"another program listens at one of the UDP ports {FLOW}, {SAMPLES}, {OURS} of loopback")
    running = []
    try:
        running.extend(start(tailwater, goflow2, ours, theirs))
        until(lambda: None not in map(waiting, (FLOW, SAMPLES, OURS)), "the start")
        send(capture)
        time.sleep(0.3)
    finally:
        end(running)
    return messages(kind, ours.read_bytes()), messages(kind, theirs.read_bytes() if theirs.exists() else b"")


def by_datagram(found):
    of = collections.defaultdict(list)
    for message in found:
        # Of sFlow GoFlow2 has the agent's address, of the others the datagram's source, as ours.
        sampler = message.sampler_address.hex() if message.type != SFLOW else ""
        of[message.type, sampler, message.observation_domain_id, message.sequence_num].append(message)
    return of


def unread(it, its):
    """Whether GoFlow2 took the export's time, in seconds, for one that it does not read."""
    return it % 10**9 == 0 and its.time_flow_end_ns in (it, 0) or its.time_flow_end_ns < its.time_flow_start_ns


TIMES = ("time_flow_start_ns", "time_flow_end_ns")
# Why a field may differ, by the rows of docs/flows.md: of which protocols, and what is so of our value, GoFlow2's, and GoFlow2's message.
ROWS = {
    "times that it ignores": (TIMES, (V9, IPFIX), lambda us, it, its: unread(it, its)),
    "uptime that has come round": (TIMES, (V9,), lambda us, it, its: abs(us - it) == 2**32 * 10**6),
    "fractions of a second, their low bits": (TIMES, (IPFIX,), lambda us, it, its: abs(us - it) < 1000),
    "the time of a sample is that of its receipt": (TIMES, (SFLOW,), lambda us, it, its: abs(us - it) < 5 * 10**9),
    "the whole tag of a sampled frame": (("vlan_id",), (SFLOW,), lambda us, it, its: it & 0xFFF == us),
    "elements 243 and 254": (("vlan_id", "src_vlan", "dst_vlan"), (V9, IPFIX), lambda us, it, its: it == 0),
    "all segments": (("as_path",), (SFLOW,), lambda us, it, its: us[: len(it)] == it),
    "bytes of other elements": (("bytes", "packets"), (V9, IPFIX), lambda us, it, its: it == 0),
    "a frame within IPFIX": (("bytes", "packets"), (IPFIX,), lambda us, it, its: us == 0),
    "labels as far as they are used": (
        ("mpls_label",),
        (V9, IPFIX),
        lambda us, it, its: us[: len(it)] == it[: len(us)] and not any(it[len(us) :]),
    ),
    "rates by sampler and interface": (("sampling_rate",), (V9, IPFIX), lambda us, it, its: True),
    "the transport's protocol": (("proto",), (SFLOW,), lambda us, it, its: its.etype == 0x86DD),
    "layers": (("layer_stack", "layer_size"), (SFLOW,), lambda us, it, its: True),
    "what is no interface": (("in_if", "out_if"), (SFLOW,), lambda us, it, its: us == 0 and it >= 2**30 - 1),
    "256 without addresses": (("etype",), (V9, IPFIX), lambda us, it, its: not any(its.src_addr + its.dst_addr)),
    "discarded": (("forwarding_status",), (SFLOW,), lambda us, it, its: (us, it) == (128, 0)),
    "type and code of the port or frame": (("icmp_type", "icmp_code"), (V5, SFLOW), lambda us, it, its: it == 0),
    "frames that begin with IP": (None, (SFLOW,), lambda us, it, its: not its.src_addr and not its.layer_stack),
}


def row(field, us, it):
    """The row that says why this field differs; none if there is no such row."""
    values = [list(value) if hasattr(value, "append") else value for value in (getattr(us, field), getattr(it, field))]
    for name, (fields, kinds, true) in ROWS.items():
        if us.type in kinds and (fields is None or field in fields) and true(*values, it):
            return name
    return None


def compare(ours, theirs, told):
    """How many messages were set beside each other. A datagram of which GoFlow2 wrote nothing is a row of its own."""
    ours, theirs = by_datagram(ours), by_datagram(theirs)
    beside = 0
    for key in ours.keys() | theirs.keys():
        # One of whose sets lacks its template, or whose samples were all discarded.
        discarded = all(us.forwarding_status == 128 for us in ours[key])
        if len(ours[key]) > len(theirs[key]) == 0 and (key[0] in (V9, IPFIX) or discarded):
            told["a datagram of which it wrote nothing"].append((key, len(ours[key])))
        elif len(ours[key]) != len(theirs[key]):
            told[None].append((key, f"ours {len(ours[key])}, GoFlow2's {len(theirs[key])}"))
        for us, it in zip(ours[key], theirs[key]):
            beside += 1
            for field in (field.name for field in us.DESCRIPTOR.fields if field.name != "time_received_ns"):
                if getattr(us, field) != getattr(it, field):
                    told[row(field, us, it)].append((key, field, getattr(us, field), getattr(it, field)))
    return beside


def main():
    goflow2, tailwater, folder = (pathlib.Path(word) for word in sys.argv[1:4])
    sys.path.insert(0, str(folder))
    import flow_pb2

    why, unexplained, total = collections.Counter(), 0, 0
    for capture in map(pathlib.Path, sys.argv[4:]):
        told = collections.defaultdict(list)
        ours, theirs = both(capture, flow_pb2.FlowMessage, tailwater, goflow2, folder)
        beside = compare(ours, theirs, told)
        print(f"{capture.name}: {len(ours)} ours, {len(theirs)} GoFlow2's, {beside} compared", flush=True)
        total += beside
        if beside == 0 and capture.name.startswith("ours-"):
            sys.exit(f"{capture}: nothing of what is exported here was compared")
        for case in told.pop(None, ()):
            unexplained += 1
            print("  UNEXPLAINED", *case)
        why.update({name: len(cases) for name, cases in told.items()})
    for name, count in why.most_common():
        print(f"{count} values: {name}")
    print(f"{total} messages compared, {unexplained} values differ without a row in docs/flows.md")
    sys.exit(unexplained > 0 or total == 0)


main()
