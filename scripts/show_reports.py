#!/usr/bin/python3
"""Shows what Tailwater's reports say of the range that was attacked most, and the ledger; compares with the truth of
`tailwater generate`, if it is given. Reads Kafka by tests/consumer/read_reports.py."""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def messages(brokers):
    command = ["/usr/bin/python3", "-B", str(ROOT / "tests/consumer/read_reports.py"), "--brokers", brokers]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = [json.loads(line)["message"] for line in lines]
    ranges = [m for m in found if m.get("scope") == "OWN" and m["windowKind"] == "LONG"]
    accounts = [m for m in found if "ledger" in m]
    return ranges, accounts


def stats(report):
    return {stat["name"]: stat for stat in report["stats"]}


def total(report, name):
    return stats(report)[name]["total"]


def interval(estimate, seconds):
    low, value = estimate["low"] / seconds, estimate["value"] / seconds
    high = f"{estimate['high'] / seconds:.0f}" if "high" in estimate else "?"
    return f"{value:9.0f} [{low:.0f} .. {high}]"


def seconds(report):
    return (int(report["windowEndNs"]) - int(report["windowStartNs"])) / 1e9


def show_range(reports):
    print(f"range {reports[0]['prefix']}, {reports[0]['customer']}: packets a second, towards it")
    print(f"  {'window':8}  {'passed':>9}  {'blocked, of a 1:40 sample':>32}  {'sources seen':>12}")
    for report in reports:
        clock = int(report["windowStartNs"]) // 10**9 % 86_400
        sources = stats(report)["distinct_sources"]["distinct"]["value"]["value"]
        passed, blocked = total(report, "passed_packets"), total(report, "blocked_packets")
        mark = " incomplete: " + ", ".join(report["incomplete"]["reasons"]) if "incomplete" in report else ""
        when = f"{clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}"
        print(f"  {when:8}  {passed['value'] / seconds(report):9.0f}  {interval(blocked, seconds(report)):>32}  {sources:12.0f}{mark}")


def show_sources(report):
    top = stats(report)["sources"]["top"]
    print(f"\ntop sources in its worst window (packets; all entries together hold {top['coverage']:.0%})")
    for entry in top["entries"][:10]:
        value = entry["value"]
        high = f"{value['high']:.0f}" if "high" in value else "?"
        print(f"  {entry['key']:>16}  {value['value']:8.0f}  [{value['low']:.0f} .. {high}]  {value['basis']}")


def show_ledger(account):
    ledger = {name: (value if isinstance(value, list) else int(value)) for name, value in account["ledger"].items()}
    drops = sum(int(drop["value"]) for drop in ledger["parseDrops"])
    rows = [
        ("offered = received + nic_missed", ledger["offered"], [ledger["received"], ledger["nicMissed"]]),
        ("received = parsed + parse drops", ledger["received"], [ledger["parsed"], drops]),
        ("parsed = matched + unmatched", ledger["parsed"], [ledger["matched"], ledger["unmatched"]]),
        ("records = counted + ring_dropped", ledger["records"], [ledger["counted"], ledger["ringDropped"]]),
    ]
    print("\nthe ledger of the whole run")
    for name, left, right in rows:
        print(f"  {name:34} {left:>8} = {' + '.join(map(str, right)):18} {'balances' if left == sum(right) else 'DOES NOT BALANCE'}")
    return all(left == sum(right) for _, left, right in rows)


def against_truth(ranges, account, file):
    truth = json.loads(pathlib.Path(file).read_text())["totals"]
    offered = int(account["ledger"]["received"])
    print(f"\nthe truth of the generator: {truth['frames']} frames sent, {offered} received; {truth['records']} records, "
          f"{account['ledger']['counted']} counted")
    return truth["frames"] == offered and truth["records"] == int(account["ledger"]["counted"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", required=True, metavar="HOST:PORT")
    parser.add_argument("--truth", metavar="FILE", help="what `tailwater generate` wrote")
    arguments = parser.parse_args()
    ranges, accounts = messages(arguments.brokers)
    if not ranges or not accounts or not accounts[-1]["total"]:
        sys.exit("show_reports.py: Kafka holds no complete run")
    by_prefix = {}
    for report in ranges:
        by_prefix.setdefault(report["prefix"], []).append(report)
    worst = max(by_prefix.values(), key=lambda reports: sum(total(r, "blocked_packets")["value"] for r in reports))
    show_range(worst)
    show_sources(max(worst, key=lambda report: total(report, "blocked_packets")["value"]))
    right = show_ledger(accounts[-1])
    if arguments.truth and not against_truth(ranges, accounts[-1], arguments.truth):
        print("  (a machine too slow for the sender drops frames in the kernel: nic_missed says how many)")
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
