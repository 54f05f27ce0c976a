#!/usr/bin/python3
"""Reads Tailwater's reports from Kafka, independently of Tailwater: kcat fetches, Google's own protobuf decodes.

    read_reports.py --brokers 127.0.0.1:9092                  every message of both topics, a line of JSON each
    read_reports.py --brokers 127.0.0.1:9092 --sums           totals per range and stat, and the ledger's sums

The messages' classes are made by protoc from ../../proto (or --proto DIR) into a temporary folder at each call.
Needs the Debian packages kcat, protobuf-compiler and python3-protobuf; scripts/setup installs them.
Exit status: 0 well, 1 a fault while reading, 2 bad usage.
"""

import argparse
import collections
import importlib
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
# Key length, partition and offset as text; then the key; then the payload's length, big endian, and the payload.
FRAMING = "%K %p %o\n%k%R%s"
ABSENT = 0xFFFFFFFF


def die(text):
    sys.exit(f"read_reports.py: {text}")


def message_types(proto):
    """The generated module of report.proto."""
    if shutil.which("protoc") is None:
        die("protoc is missing; run scripts/setup, or: apt-get install protobuf-compiler")
    with tempfile.TemporaryDirectory() as folder:
        files = [str(path) for path in sorted(proto.rglob("*.proto"))]
        subprocess.run(["protoc", f"--proto_path={proto}", f"--python_out={folder}", *files], check=True)
        sys.path.insert(0, folder)
        return importlib.import_module("tailwater.v1.report_pb2")


def exactly(stream, count):
    data = stream.read(count)
    if len(data) != count:
        die(f"kcat ended in the middle of a message: {len(data)} of {count} bytes")
    return data


def frames(stream):
    """(key, partition, offset, payload) of each message that kcat prints."""
    while line := stream.readline():
        key_length, partition, offset = (int(word) for word in line.split())
        key = exactly(stream, max(key_length, 0)).decode()
        (length,) = struct.unpack(">I", exactly(stream, 4))
        yield key, partition, offset, b"" if length == ABSENT else exactly(stream, length)


def consume(brokers, topic, count):
    """Every message from the topic's beginning to its present end, or `count` of them however long they take."""
    if shutil.which("kcat") is None:
        die("kcat is missing; run scripts/setup, or: apt-get install kcat")
    stop = ["-e"] if count is None else ["-c", str(count)]
    command = ["kcat", "-C", "-q", "-b", brokers, "-t", topic, "-o", "beginning", "-f", FRAMING, *stop]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as kcat:
        yield from frames(kcat.stdout)
    if kcat.returncode != 0:
        die(f"kcat ended with status {kcat.returncode}; its message stands above")


def read(arguments, types):
    """(topic, key, message) in the order in which they are fetched."""
    kinds = [(arguments.ranges_topic, types.RangeReport), (arguments.appliance_topic, types.ApplianceReport)]
    for topic, kind in kinds:
        if topic:
            for key, _, _, payload in consume(arguments.brokers, topic, arguments.count):
                yield topic, key, kind.FromString(payload)


def as_json(message):
    from google.protobuf import json_format

    return json_format.MessageToDict(message, including_default_value_fields=True)


def print_messages(arguments, types):
    for topic, key, message in read(arguments, types):
        print(json.dumps({"topic": topic, "key": key, "message": as_json(message)}))


def print_sums(arguments, types):
    """Adds up what adds up. Repeated reports are counted once, and said; so are gaps in the sequence numbers."""
    ranges = collections.defaultdict(lambda: {"reports": 0, "stats": collections.defaultdict(float)})
    ledger, seen, numbers = collections.Counter(), set(), collections.defaultdict(set)
    windows, repeated, unbalanced, wrong_keys = 0, 0, 0, 0
    for _, key, message in read(arguments, types):
        is_range = isinstance(message, types.RangeReport)
        name = (message.prefix or message.customer) if is_range else message.appliance
        wrong_keys += key != name
        if not is_range and message.total:
            continue
        source = (is_range, message.appliance, message.boot_id, name, (message.scope, message.domain) if is_range else ())
        part = (message.part.number, message.part.of) if is_range else ()
        if (source, message.sequence, part) in seen:
            repeated += 1
            continue
        seen.add((source, message.sequence, part))
        numbers[source].add(message.sequence)
        if is_range:
            add_range(ranges[name], message, types)
        elif message.window_kind == types.LONG:
            windows += 1
            unbalanced += not balances(message.ledger)
            add_ledger(ledger, message.ledger)
    gaps = sum(max(each) - min(each) + 1 - len(each) for each in numbers.values())
    print(json.dumps({
        "ranges": ranges, "ledger": ledger, "windows": windows, "repeated": repeated,
        "gaps": gaps, "unbalanced": unbalanced, "wrong_keys": wrong_keys,
    }, sort_keys=True))


def add_range(total, report, types):
    if report.window_kind != types.LONG or report.scope != types.OWN:
        return
    total["reports"] += 1
    for stat in report.stats:
        if stat.WhichOneof("figure") == "total":
            total["stats"][stat.name] += stat.total.value


LEDGER = ["offered", "received", "nic_missed", "parsed", "matched", "unmatched", "records", "counted", "ring_dropped", "late", "overdue"]


def balances(ledger):
    drops = sum(each.value for each in ledger.parse_drops)
    return (
        ledger.offered == ledger.received + ledger.nic_missed
        and ledger.received == ledger.parsed + drops
        and ledger.parsed == ledger.matched + ledger.unmatched
        and ledger.records == ledger.counted + ledger.ring_dropped
    )


def add_ledger(total, ledger):
    for name in LEDGER:
        total[name] += getattr(ledger, name)
    total["parse_drops"] += sum(each.value for each in ledger.parse_drops)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True, metavar="HOST:PORT")
    parser.add_argument("--ranges-topic", default="tailwater.v1.ranges", help="empty: none")
    parser.add_argument("--appliance-topic", default="tailwater.v1.appliance", help="empty: none")
    parser.add_argument("--count", type=int, help="messages to wait for in each topic; without it: up to the present end")
    parser.add_argument("--sums", action="store_true", help="totals instead of messages")
    parser.add_argument("--proto", type=pathlib.Path, default=PROTO, metavar="DIR")
    arguments = parser.parse_args()
    try:
        import google.protobuf  # noqa: F401
    except ImportError:
        die("Python's protobuf is missing; run scripts/setup, or: apt-get install python3-protobuf")
    types = message_types(arguments.proto)
    (print_sums if arguments.sums else print_messages)(arguments, types)


if __name__ == "__main__":
    main()
