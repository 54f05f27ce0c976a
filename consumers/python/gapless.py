#!/usr/bin/python3
"""Proves that no report is missing, and drops repeats: gapless.py BROKERS [RANGES_TOPIC,… APPLIANCE_TOPIC]. Needs kcat, protoc, python3-protobuf."""
import struct, subprocess, sys
import proof

def read(topic, kind):
    """All that is in a topic now. KCAT_CONFIG names a file with settings of TLS and SASL."""
    # %R%s: the payload's length, big endian, and the payload.
    kcat = subprocess.Popen(["kcat", "-Cqe", "-b", sys.argv[1], "-t", topic, "-o", "beginning", "-f", "%R%s"], stdout=subprocess.PIPE)
    while length := kcat.stdout.read(4):
        yield kind.FromString(kcat.stdout.read(*struct.unpack(">I", length)))
    if kcat.wait() != 0:
        sys.exit(f"{topic} could not be read: nothing is proven")

def tell(faults):
    for fault in faults or ():
        print(fault)

pb = proof.messages()
kept, (ranges, accounts) = proof.Gapless(pb), sys.argv[2:] or ("tailwater.v1.ranges", "tailwater.v1.appliance")
for report in read(accounts, pb.ApplianceReport):  # Accounts first: what they tell of is there by then.
    tell(kept.account(report))
for report in (report for topic in ranges.split(",") for report in read(topic, pb.RangeReport)):
    faults = kept.range(report)
    tell(faults)
    if faults is not None:
        pass  # Here stands what is to be done with a report, or a part of one, that is no repeat.
tell(kept.end())
print("{reports} reports, {repeats} repeats, {gaps} gaps, {cut} runs cut off, {lost} told as lost".format_map(kept.count))
sys.exit(kept.count["gaps"] + kept.count["lost"] > 0)
