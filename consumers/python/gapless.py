#!/usr/bin/python3
"""Proves that no report is missing, and drops repeats: gapless.py BROKERS [RANGES_TOPIC APPLIANCE_TOPIC]. Needs kcat, protoc, python3-protobuf."""

import importlib
import pathlib
import struct
import subprocess
import sys
import tempfile

proto = pathlib.Path(__file__).resolve().parents[2] / "proto"
with tempfile.TemporaryDirectory() as made:
    subprocess.run(["protoc", f"--proto_path={proto}", f"--python_out={made}", "tailwater/v1/report.proto"], check=True)
    sys.path.insert(0, made)
    pb = importlib.import_module("tailwater.v1.report_pb2")
topics = sys.argv[2:] or ["tailwater.v1.ranges", "tailwater.v1.appliance"]
last, parts, count = {}, {}, {"reports": 0, "repeats": 0, "gaps": 0, "runs cut off": 0}


def lacking(source, number):
    """A report of which parts are missing is as good as none."""
    have = parts.get(source, set())
    if any(len(have) < of for _, of in have):
        count["gaps"] += 1
        print("gap: {} {} {}{} sequence {}: parts are missing".format(*source, number))


for topic, kind in zip(topics, (pb.RangeReport, pb.ApplianceReport)):
    # %R%s: the payload's length, big endian, and the payload. KCAT_CONFIG names a file with settings of TLS and SASL.
    kcat = subprocess.Popen(["kcat", "-Cqe", "-b", sys.argv[1], "-t", topic, "-o", "beginning", "-f", "%R%s"], stdout=subprocess.PIPE)
    while length := kcat.stdout.read(4):
        report = kind.FromString(kcat.stdout.read(*struct.unpack(">I", length)))
        domain, prefix = (report.domain, report.prefix or report.customer) if kind is pb.RangeReport else ("", "(appliance)")
        # A roll-up is a source of its own, beside the range or customer that it is named after.
        if kind is pb.RangeReport and report.scope != pb.OWN:
            prefix += " " + pb.Scope.Name(report.scope)
        # Fast windows may overtake long ones: each kind is numbered on its own.
        prefix += " fast" if report.window_kind == pb.FAST else ""
        source, number = (report.appliance, report.boot_id, domain, prefix), report.kind_sequence
        part = (report.part.number, report.part.of) if kind is pb.RangeReport else (0, 0)
        name, before = f"{report.appliance} {report.boot_id} {domain}{prefix} sequence", last.get(source, 0)
        if number < before or (number == before and part in parts[source]):
            count["repeats"] += 1
            print(f"repeat: {name} {number}")
            continue
        # What came between a run that was cut off and the next one: a gap that no number shows.
        if number == 1 and before == 0 and kind is pb.ApplianceReport and report.window_kind == pb.LONG and report.HasField("previous_run") and not report.previous_run.ended:
            count["runs cut off"] += 1
            print(f"nobody counted: {report.appliance} from {report.previous_run.long_end_ns} to {report.window_start_ns}")
        if number > before:
            lacking(source, before)
        if number > before + 1:
            count["gaps"] += 1
            print(f"gap: {name} {before + 1} to {number - 1}")
        count["reports"] += number > before
        # Another number of parts is another attempt: what the one before brought is replaced.
        parts[source] = {one for one in parts.get(source, ()) if number == before and one[1] == part[1]} | {part}
        last[source] = number  # Here stands what is to be done with a report that is neither lost nor a repeat.
    if kcat.wait() != 0:
        sys.exit(f"{topic} could not be read: nothing is proven")
for source, number in last.items():
    lacking(source, number)
print(", ".join(f"{n} {what}" for what, n in count.items()))
sys.exit(count["gaps"] > 0)
