"""Peaks, quantiles, entropies, fan-outs and new keys as docs/figures.md defines them, for the judge; standard library only."""
import math
from fractions import Fraction


def entropy(values):
    """Shannon's, in bits."""
    whole = sum(values)
    return math.fsum(-value / whole * math.log2(value / whole) for value in values if value)


def quantile(sums, rank):
    """The smallest value that at least this share does not exceed."""
    whole, below = sum(of.value for of in sums.values()), 0
    for value in sorted(sums):
        below += sums[value].value
        if below > 0 and below >= Fraction(str(rank)) * whole:
            return value
    return None


def bin_of(value):
    """One a value below 128; beyond, 64 a doubling."""
    width = 1 if value < 128 else 1 << value.bit_length() - 7
    return value // width * width, value // width * width + width


def sufficient(of):
    return [int(of.get(name, 0)) for name in ("passed", "scaled", "sampledPackets", "seen")]


class Calculations:
    """What the judge knows beyond sums, histograms, top-K and distinct."""

    def exactly(self, have, want):
        self.same("exact", (have["low"], have.get("high"), have["confidence"]), (want, want, "SURE"))

    def peak(self, stat, have, seen, truth):
        length = stat.sub_window(self.config.fast if stat.fast else self.config.window)
        start = lambda packet: None if stat.key(packet) is None else packet.time // length * length
        series, rate = stat.sums(self.packets, start), lambda value: value * 1e9 / length
        self.same("length", int(have["peak"]["subWindowMs"]) * 10**6, length)
        told = [(int(of["startNs"]), sufficient(of["sufficient"])) for of in have["peak"]["series"]]
        self.same("series", told, [(at, [of.passed, of.scaled, of.sampled, of.seen]) for at, of in sorted(series.items())])
        highest = max((of.value for of in series.values()), default=0)
        self.same("value", have["total"]["value"], rate(highest))
        if highest:
            self.same("when", int(have["peak"]["startNs"]), min(at for at, of in series.items() if of.value == highest))
        if not self.may_be_sampled(stat):
            self.exactly(have["total"], rate(highest))
        elif self.truth is not None:
            self.bounds("peak", have["total"], rate(max((of.value for of in stat.sums(self.truth, start).values()), default=0)))

    def quantiles(self, stat, have, seen, truth):
        by_number = lambda sums: None if sums is None else {int(key): of for key, of in sums.items()}
        seen, truth, bins = by_number(seen), by_number(truth), {}
        for value, of in seen.items():
            whole = bins.setdefault(bin_of(value), [0, 0, 0, 0])
            bins[bin_of(value)] = [a + b for a, b in zip(whole, (of.passed, of.scaled, of.sampled, of.seen))]
        told = [((int(of["low"]), int(of["high"])), sufficient(of["sufficient"])) for of in have["quantiles"]["bins"]]
        self.same("bins", told, sorted(bins.items()))
        ranks = stat.row.get("ranks", [0.5, 0.9, 0.99]) if seen else []
        self.same("ranks", [of["rank"] for of in have["quantiles"]["quantiles"]], ranks)
        for rank, of in zip(ranks, have["quantiles"]["quantiles"]):
            value = quantile(seen, rank)
            low, high = bin_of(value)
            self.holds(f"rank {rank} is {value}: {of}", low <= of["value"]["value"] < high and abs(of["value"]["value"] - value) <= 0.01 * value)
            if not self.may_be_sampled(stat):
                self.exactly_within(of["value"], low, high - 1)
            elif truth:
                self.bounds("quantiles", of["value"], quantile(truth, rank))

    def exactly_within(self, have, low, high):
        self.same("sure bounds", (have["low"], have.get("high"), have["confidence"]), (low, high, "SURE"))

    def entropy(self, stat, have, seen, truth):
        have, want = have["entropy"]["value"], entropy([of.value for of in seen.values()])
        whole, exact = sum(of.value for of in seen.values()), len(seen) <= stat.row.get("keys", 1024)
        near = lambda a, b: a is not None and abs(a - b) < 1e-6
        ordered = have["low"] <= have["value"] + 1e-9 and have["value"] <= have.get("high", math.inf) + 1e-9
        self.holds(f"{want} bits: {have}", ordered)
        if not self.may_be_sampled(stat):
            if exact:
                self.holds(f"{want} bits: {have}", near(have["value"], want) and near(have["low"], want) and near(have.get("high"), want))
            elif whole:
                self.holds(f"never above {want} bits: {have}", have["low"] <= want + 1e-6)
                self.bounds("entropy", have, want)
        elif truth:
            if exact and stat.decision == "blocked" and stat.metric == "packets":
                sampled = sum(of.sampled for of in seen.values())
                want += (len(seen) - 1) / (2 * sampled * math.log(2)) if sampled else 0
                self.holds(f"{want} bits with what a sample lacks: {have}", near(have["value"], want) or near(have["value"], have.get("high", -1)))
            self.bounds("entropy of a sample", have, entropy([of.value for of in truth.values()]))

    def fanout(self, stat, have, seen, truth):
        top, others = have["top"], stat.pairs(self.packets)
        there = None if self.truth is None else stat.pairs(self.truth)
        pairs, listed = sum(map(len, others.values())), top["entries"] + top.get("reserve", [])
        exact, values = top["pairsLevel"] == 0, [entry["value"]["value"] for entry in listed]
        self.same("all pairs are kept", exact, pairs <= stat.row.get("pairs", 2048))
        self.holds("order", values == sorted(values, reverse=True))
        if exact:
            largest = sorted(map(len, others.values()), reverse=True)
            self.same("entries", len(top["entries"]), min(stat.k, len(others)))
            self.same("the largest", values, [float(many) for many in largest[:len(listed)]])
            self.same("pairs", top["all"]["value"], pairs)
            share = sum(values[:len(top["entries"])]) / pairs if pairs else 0
            self.holds(f"coverage {top['coverage']}, not {share}", abs(top["coverage"] - share) < 1e-9)
        for entry in listed:
            key, of = entry["key"], entry["value"]
            self.holds(f"{key} was never there", key in others)
            if exact:
                self.same(key, of["value"], len(others[key]))
            if self.may_be_sampled(stat):
                self.same("no high of a sample", of.get("high"), None)
                self.holds(f"{key} touched fewer than {of['low']}", not exact or there is None or of["low"] <= len(there[key]))
            elif exact:
                self.exactly(of, len(others[key]))
            else:
                self.bounds("fanout", of, len(others[key]))

    def known(self, stat, covers):
        """Keys of so many windows before this one."""
        kind, start, *at = self.at
        length = self.config.window if kind == "LONG" else self.config.fast
        before = (self.windows.get((kind, start - n * length, *at), ()) for n in range(1, covers + 1))
        return set().union(*(stat.count(packets) for packets in before))

    def new_keys(self, stat, have, seen, truth):
        have = have["newKeys"]
        covers, asked = int(have["coversWindows"]), stat.row.get("windows", 360)
        kind, start, *at = self.at
        length = self.config.window if kind == "LONG" else self.config.fast
        # Since it was seen first, or again after so long that it had been forgotten.
        began = sorted(began for of, began, *where in self.windows if of == kind and where == at and began <= start)
        idle = zip([-math.inf, *began], began)
        past = [(start - now) // length for before, now in idle if now - before > asked * length]
        self.holds(f"{covers} windows of {past}", min(asked, past[-1]) <= covers <= min(2 * asked, past[0]))
        self.distinct(stat, {"distinct": have["keys"]}, seen, truth, bounded=False)
        if covers > 10_000:
            return
        known = self.known(stat, covers)
        want, of = len(seen.keys() - known), have["value"]
        if len(seen) <= stat.exact_keys and len(known) <= stat.exact_keys:
            self.same("new", of["value"], want)
        if self.may_be_sampled(stat):
            self.same("of a sample", (of["low"], of.get("high")), (0, None))
        elif len(seen) <= stat.exact_keys and len(known) <= stat.exact_keys:
            self.exactly(of, want)
        else:
            self.bounds("new_keys", of, want)
