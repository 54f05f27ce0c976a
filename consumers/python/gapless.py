#!/usr/bin/python3
"""Proves that no report is missing, and drops repeats: gapless.py BROKERS [RANGES_TOPIC APPLIANCE_TOPIC]. Needs kcat, protoc, python3-protobuf."""

import importlib, pathlib, struct, subprocess, sys, tempfile

proto, made = pathlib.Path(__file__).resolve().parents[2] / "proto", tempfile.TemporaryDirectory()
subprocess.run(["protoc", f"--proto_path={proto}", f"--python_out={made.name}", "tailwater/v1/report.proto"], check=True)
sys.path.insert(0, made.name)
pb = importlib.import_module("tailwater.v1.report_pb2")
last, parts, count = {}, {}, {"reports": 0, "repeats": 0, "gaps": 0, "runs cut off": 0}


def tell(what, text):
    count[what] += 1
    print(text)


def lacking(source):  # A report of which parts are missing is as good as none.
    if any(len(parts[source]) < of for _, of in parts.get(source, ())):
        tell("gaps", f"gap: {' '.join(filter(None, source))} sequence {last[source]}: parts are missing")


for topic, kind in zip(sys.argv[2:] or ["tailwater.v1.ranges", "tailwater.v1.appliance"], (pb.RangeReport, pb.ApplianceReport)):
    # %R%s: the payload's length, big endian, and the payload. KCAT_CONFIG names a file with settings of TLS and SASL.
    kcat = subprocess.Popen(["kcat", "-Cqe", "-b", sys.argv[1], "-t", topic, "-o", "beginning", "-f", "%R%s"], stdout=subprocess.PIPE)
    while length := kcat.stdout.read(4):
        r = kind.FromString(kcat.stdout.read(*struct.unpack(">I", length)))
        of = (r.domain, r.prefix or r.customer, r.scope and pb.Scope.Name(r.scope)) if kind is pb.RangeReport else ("(appliance)",)
        source = (r.appliance, str(r.boot_id), *of, r.window_kind and "fast")  # Each is numbered on its own, from 1.
        name, number, before = " ".join(filter(None, source)), r.kind_sequence, last.get(source, 0)
        part = (r.part.number, r.part.of) if kind is pb.RangeReport else (0, 0)
        if number < before or (number == before and part in parts[source]):
            tell("repeats", f"repeat: {name} sequence {number}")
            continue
        if kind is pb.ApplianceReport and r.HasField("previous_run") and not (r.previous_run.ended or r.window_kind or before):
            tell("runs cut off", f"nobody counted: {r.appliance} from {r.previous_run.long_end_ns} to {r.window_start_ns}")
        if number > before:
            lacking(source)
            count["reports"] += 1
        if number > before + 1:
            tell("gaps", f"gap: {name} sequence {before + 1} to {number - 1}")
        # Another number of parts is another attempt: what the one before brought is replaced.
        parts[source] = {one for one in parts.get(source, ()) if number == before and one[1] == part[1]} | {part}
        last[source] = number  # Here stands what is to be done with a report that is neither lost nor a repeat.
    if kcat.wait() != 0:
        sys.exit(f"{topic} could not be read: nothing is proven")
for source in last:
    lacking(source)
print(", ".join(f"{n} {what}" for what, n in count.items()))
sys.exit(count["gaps"] > 0)
