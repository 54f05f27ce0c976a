#!/usr/bin/python3
"""Proves that no report is missing, and drops repeats: gapless.py BROKERS [RANGES_TOPIC APPLIANCE_TOPIC]. Needs kcat, protoc, python3-protobuf."""
import collections, importlib, pathlib, struct, subprocess, sys, tempfile

proto, made = pathlib.Path(__file__).resolve().parents[2] / "proto", tempfile.TemporaryDirectory()
subprocess.run(["protoc", f"--proto_path={proto}", f"--python_out={made.name}", "tailwater/v1/report.proto"], check=True)
sys.path.insert(0, made.name)
pb, last, runs, count = importlib.import_module("tailwater.v1.report_pb2"), {}, {}, collections.Counter()
told = lambda at: f"{at[0]} part {at[1]} of {at[2]}" if at[2] > 1 else str(at[0])

def tell(what, text):
    count[what] += 1
    print(text)

for topic, kind in zip(sys.argv[2:] or ["tailwater.v1.ranges", "tailwater.v1.appliance"], (pb.RangeReport, pb.ApplianceReport)):
    # %R%s: the payload's length, big endian, and the payload. KCAT_CONFIG names a file with settings of TLS and SASL.
    kcat = subprocess.Popen(["kcat", "-Cqe", "-b", sys.argv[1], "-t", topic, "-o", "beginning", "-f", "%R%s"], stdout=subprocess.PIPE)
    while length := kcat.stdout.read(4):
        r = kind.FromString(kcat.stdout.read(*struct.unpack(">I", length)))
        of = (r.domain, r.prefix or r.customer, r.scope and pb.Scope.Name(r.scope)) if kind is pb.RangeReport else ("(appliance)",)
        source = (r.appliance, str(r.boot_id), *of, r.window_kind and "fast")  # Each is numbered on its own, from 1.
        part = r.part if kind is pb.RangeReport else pb.Part()
        at, before, name = (r.kind_sequence, part.number or 1, part.of or 1), last.get(source, (0, 1, 1)), " ".join(filter(None, source))
        is_anew = at[0] == before[0] and at[2] != before[2]  # Another number of parts replaces what came of those before.
        if at <= before and not is_anew:
            tell("repeats", f"repeat: {name} sequence {told(at)}")
            continue
        if at[:2] != ((before[0], 1 if is_anew else before[1] + 1) if is_anew or before[1] < before[2] else (before[0] + 1, 1)):
            tell("gaps", f"gap: {name} sequence {told(at)} comes after {told(before)}")
        if kind is pb.ApplianceReport and (run := r.previous_run).boot_id:
            runs[r.appliance, str(run.boot_id)] = run.sequence
            if not (before[0] or r.window_kind or run.ended):
                tell("cut", f"nobody counted: {r.appliance} from {run.long_end_ns} to {r.window_start_ns}")
        count["lost"] += sum(losses.total for losses in getattr(r, "journal_losses", ()) if losses.sink == "kafka")
        last[source] = at  # Here stands what is to be done with a report, or a part of one, that is neither lost nor a repeat.
        count["reports"] += at[0] > before[0]
    if kcat.wait() != 0:
        sys.exit(f"{topic} could not be read: nothing is proven")
for source, at in last.items():
    if at[1] < at[2]:
        tell("gaps", f"gap: {' '.join(filter(None, source))} sequence ends with {told(at)}")
for run, all in runs.items():  # The accounts of both kinds of windows are counted together.
    if (read := sum(last.get((*run, "(appliance)", kind), (0,))[0] for kind in (0, "fast"))) < all:
        tell("gaps", f"gap: {' '.join(run)} has {all} accounts, and {read} came")
print(f"{count['reports']} reports, {count['repeats']} repeats, {count['gaps']} gaps, {count['cut']} runs cut off, {count['lost']} told as lost")
sys.exit(count["gaps"] + count["lost"] > 0)
