"""Judges what `tailwater replay` printed by an independent computation. Standard library only.

    judge.py thin FULL SAMPLED RATE SEED               keeps each tagged frame (outer VLAN 666) with a chance of 1 in RATE
    judge.py judge CONFIG SAMPLED FULL REPORTS         FULL: the capture before the sampling, or `-`

The last line is JSON: figures compared, faults, and for each calculation how many 95 % intervals there were and how many held the truth.
"""
import base64
import ipaddress
import json
import random
import sys
from collections import Counter

import packets as wire
from calculations import Calculations
from model import Config, Sum
from packets import Uncovered



def thin(full, sampled, rate, seed):
    draw = random.Random(int(seed))
    blocked = lambda data: data[12:14] == b"\x81\x00" and int.from_bytes(data[14:16], "big") & 0xFFF == 666
    wire.write(sampled, (frame for frame in wire.frames(full) if not blocked(frame[2]) or draw.randrange(int(rate)) == 0))


def read(config, path, weigh):
    """Packets of a capture; `weigh`: a sampled one stands for others."""
    packets = []
    for time, length, data in wire.frames(path):
        packet = wire.Packet(time, length, data)
        if packet.src is not None:
            config.decide(packet)
            packet.weight = packet.weight if weigh else 1
        packets.append(packet)
    return packets


class Judge(Calculations):
    """Compares one report after the other."""

    def __init__(self, config, windows):
        self.config, self.windows, self.compared, self.faults = config, windows, 0, []
        self.intervals, self.held, self.unknown = Counter(), Counter(), Counter()
        self.where, self.at, self.packets, self.truth = "", None, None, None

    def fault(self, what):
        self.faults.append(f"{self.where}: {what}")

    def same(self, what, have, want):
        self.compared += 1
        if have != want:
            self.fault(f"{what}: {have}, not {want}")

    def holds(self, what, is_so):
        self.compared += 1
        if not is_so:
            self.fault(what)

    def report(self, report, at, packets, truth):
        kind, start, domain, net = self.at = at
        self.packets, self.truth = packets, truth
        stats = [stat for stat in self.config.stats_of((domain, net)) if kind == "LONG" or stat.fast]
        self.where = f"{kind} {start} {domain} {net}"
        self.same("incomplete", report.get("incomplete"), None)
        self.same("stats", [stat["name"] for stat in report["stats"]], [stat.name for stat in stats])
        for stat, have in zip(stats, report["stats"]):
            self.where = f"{kind} {start} {domain} {net} {stat.name}"
            seen, there = stat.count(packets), None if truth is None else stat.count(truth)
            judge = getattr(self, stat.calculation, None)
            if judge is None:
                self.unknown[stat.calculation] += 1
            else:
                judge(stat, have, seen, there)

    def may_be_sampled(self, stat):
        return stat.decision != "passed" and self.config.may_be_blocked

    def estimate(self, kind, stat, have, seen, truth):
        """One weighted figure: its value, its basis, and whether its bounds hold what was there before the sampling."""
        self.same("value", have["value"], seen.value)
        if not self.may_be_sampled(stat):
            self.same("exact", (have["low"], have.get("high"), have["basis"], have["confidence"]), (seen.value, seen.value, "EXACT", "SURE"))
            return
        self.holds(f"low and high: {have}", seen.passed + seen.seen <= have["low"] <= have["value"] <= have.get("high", float("inf")) or seen.sampled == 0)
        self.bounds(kind, have, truth)

    def bounds(self, kind, have, truth):
        if truth is None:
            return
        held = have["low"] <= truth <= have.get("high", float("inf"))
        if have["confidence"] == "SURE":
            self.holds(f"a sure bound does not hold {truth}: {have}", held)
        elif truth > 0 or have["value"] > 0:
            self.intervals[kind] += 1
            self.held[kind] += held

    def sum(self, stat, have, seen, truth):
        if stat.metric == "flows":
            return self.number(stat, have["total"], seen, truth)
        total = lambda sums: None if sums is None else sum(of.value for of in sums.values())
        self.estimate("sum bytes" if stat.metric == "bytes" else "sum packets", stat, have["total"], added(seen.values()), total(truth))

    def histogram(self, stat, have, seen, truth):
        bins, edges, labels = have["histogram"]["bins"], stat.edges(), stat.labels()
        if labels:
            self.same("labels", [of["label"] for of in bins], [*labels, "other"])
            other = lambda sums: added(of for key, of in sums.items() if key not in labels)
            for of, label in zip(bins, [*labels, None]):
                within = lambda sums: sums.get(label, Sum()) if label else other(sums)
                self.estimate("histogram", stat, of["value"], within(seen), None if truth is None else within(truth).value)
            return
        if edges is None:
            self.same("labels", sorted(of["label"] for of in bins), sorted(seen))
            for of in bins:
                self.estimate("histogram", stat, of["value"], seen.get(of["label"], Sum()), None if truth is None else truth[of["label"]].value)
            return
        bounds = list(zip([0, *edges], [*edges, None]))
        self.same("edges", [(of["low"], of.get("high")) for of in bins], bounds)
        for of, (low, high) in zip(bins, bounds):
            within = lambda sums: added(value for key, value in sums.items() if low <= int(key) and (high is None or int(key) < high))
            self.estimate("histogram", stat, of["value"], within(seen), None if truth is None else within(truth).value)

    def topk(self, stat, have, seen, truth):
        top = have["top"]
        entries, listed = top["entries"], top["entries"] + top.get("reserve", [])
        self.estimate("sum bytes" if stat.metric == "bytes" else "sum packets", stat, top["all"], added(seen.values()), None if truth is None else added(truth.values()).value)
        values = [entry["value"]["value"] for entry in listed]
        self.holds("order", values == sorted(values, reverse=True))
        exact = len(seen) <= max(128, 4 * stat.k)
        self.same("entries", len(entries), min(stat.k, len(seen)))
        if exact:
            largest = sorted((of.value for of in seen.values()), reverse=True)
            self.same("the largest", values, [float(value) for value in largest[:len(listed)]])
        for entry in listed:
            counted, of = {name: int(value) for name, value in entry["sufficient"].items()}, seen.get(entry["key"])
            if of is None:
                self.fault(f"{entry['key']} was never there")
                continue
            for name, unseen, truly in (("passed", "unseenPassed", of.passed), ("scaled", "unseenScaled", of.scaled),
                                        ("sampledPackets", "unseenSampledPackets", of.sampled)):
                self.holds(f"{entry['key']}: {name} is not {truly}: {entry}", counted[name] <= truly <= counted[name] + (0 if exact else int(entry[unseen])))
            self.bounds("top-K", entry["value"], None if truth is None else truth[entry["key"]].value)
        names = {entry["key"] for entry in listed}
        absent = [of for key, of in seen.items() if key not in names]
        self.holds("absent keys are bounded", all(of.passed <= int(top["absentHighPassed"]) and of.scaled <= int(top["absentHighScaled"]) for of in absent))

    def distinct(self, stat, have, seen, truth, bounded=True):
        have = have["distinct"]
        self.same("sampled", int(have["sampledPackets"]), sum(of.sampled for of in seen.values()))
        told = lambda name, width: [have[name][at:at + width] for at in range(0, len(have[name]), width)]
        have |= {name: base64.b64decode(have.get(name, "")) for name in ("shownHashes", "shownCounts")}
        hashes, counts = told("shownHashes", 8), sorted(int.from_bytes(of, "big") for of in told("shownCounts", 2))
        shown = [of for of in seen.values() if of.sampled] if bounded and self.may_be_sampled(stat) else []
        self.holds("hashes ascend", hashes == sorted(set(hashes)) and len(hashes) == len(counts))
        if len(shown) <= 256:
            want = sorted(of.scaled // max(of.seen, 1) if of.sampled == 1 else int(of.sampled == 2) for of in shown)
            self.same("shown", (have.get("shownLevel", 0), counts), (0, want))
        else:
            level = have["shownLevel"]
            kept = all(int.from_bytes(of, "big") < 1 << 64 - level for of in hashes)
            self.holds(f"{len(hashes)} of {len(shown)} at {level}", kept and 0 < len(hashes) <= 256 and len(hashes) << level < 4 * len(shown))
        self.number(stat, have["value"], seen, truth, bounded)

    def number(self, stat, have, seen, truth, bounded=True):
        """How many different keys."""
        many, sampled = len(seen), self.may_be_sampled(stat)
        if many <= stat.exact_keys:
            self.same("keys", have["value"], many)
            self.same("low", have["low"], many)
            if not sampled:
                self.same("high", have["high"], many)
        else:
            error = 1.04 / (1 << stat.p) ** 0.5
            self.holds(f"{have['value']} keys, not {many}", abs(have["value"] - many) <= 5 * error * many)
            self.bounds("distinct", have, many)
        if sampled and not bounded:
            self.same("no high of a sample", have.get("high"), None)
        elif sampled:
            once = sum(of.sampled == 1 for of in seen.values())
            self.holds(f"{once} keys once: {have}", have.get("high", 0) >= many * 0.9 + (0 if many > 256 else 39 * (once + 1)))
            self.bounds("distinct of a sample", have, None if truth is None else len(truth))
        if many <= stat.exact_keys and truth is not None:
            self.holds(f"{len(truth)} keys are fewer than {have['low']}", have["low"] <= len(truth))


def added(sums):
    whole = Sum()
    for of in sums:
        for name in ("passed", "scaled", "sampled", "seen", "packets"):
            setattr(whole, name, getattr(whole, name) + getattr(of, name))
    return whole


def judge(config, sampled, full, reports):
    config = Config(config)
    windows = config.windows(read(config, sampled, True))
    truth = None if full == "-" else config.windows(read(config, full, False))
    judge, left = Judge(config, windows), dict(windows)
    with open(reports) as file:
        for line in file:
            report = json.loads(line)
            if "ledger" in report:
                continue
            at = report["windowKind"], int(report["windowStartNs"]), report.get("domain", ""), ipaddress.ip_network(report["prefix"])
            packets = left.pop(at, None)
            if packets is None:
                judge.fault(f"{at}: a report that no packet explains")
            else:
                judge.report(report, at, packets, None if truth is None else truth[at])
    judge.faults += [f"{at}: no report" for at in left]
    return {"compared": judge.compared, "faults": len(judge.faults), "shown": judge.faults[:10], "intervals": judge.intervals,
            "held": judge.held, "unknown": judge.unknown}


def main():
    match sys.argv[1:]:
        case ["thin", full, sampled, rate, seed]:
            thin(full, sampled, rate, seed)
        case ["judge", config, sampled, full, reports]:
            try:
                print(json.dumps(judge(config, sampled, full, reports)))
            except Uncovered as why:
                print(json.dumps({"uncovered": str(why)}))
        case _:
            sys.exit(__doc__)


main()
