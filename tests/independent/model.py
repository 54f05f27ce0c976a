"""What the configuration asks for, computed of packets in the slowest and most obvious way; standard library only.

Written from docs/configuration.md and docs/messages.md. Nothing here knows batches, shards or sketches.
"""
import csv
import ipaddress
import os
import tomllib
from collections import defaultdict

from packets import Uncovered

PROTOCOLS = {"icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "icmpv6": 58, "ospf": 89, "sctp": 132}
SIZES = [64, 128, 256, 512, 1024, 1518]
WINDOWS = [0, *(1 << n for n in range(16))]
SEQS = [n << 28 for n in range(16)]
SERVICES = {"echo": 7, "daytime": 13, "qotd": 17, "chargen": 19, "dns": 53, "tftp": 69, "portmap": 111, "ntp": 123, "snmp": 161,
            "xdmcp": 177, "cldap": 389, "slp": 427, "rip": 520, "ipmi": 623, "openvpn": 1194, "mssql": 1434, "l2tp": 1701,
            "ssdp": 1900, "arms": 3283, "rdp": 3389, "stun": 3478, "wsd": 3702, "sip": 5060, "nat_pmp": 5351, "mdns": 5353,
            "coap": 5683, "bittorrent": 6881, "ubiquiti": 10001, "tp240": 10074, "memcached": 11211, "vxworks": 17185,
            "steam": 27015, "quake": 27960, "lantronix": 30718, "jenkins": 33848, "sadp": 37020, "dvr": 37810, "bacnet": 47808}
SERVICE_OF = {port: name for name, port in SERVICES.items()} | {137: "netbios", 138: "netbios", 32410: "plex", 32412: "plex", 32414: "plex"}
OTHER_SIDE = {"src_ip": "dst_ip", "src_prefix": "dst_ip", "src_mac": "dst_ip", "src_port": "dst_ip",
              "dst_ip": "src_ip", "dst_prefix": "src_ip", "dst_port": "src_ip"}


def cut(address, length):
    return str(ipaddress.ip_network((address, length), strict=False))


def flags_text(flags):
    return "".join(letter for bit, letter in enumerate("FSRPAUEC") if flags >> bit & 1) or "-"


def key_value(packet, key, lengths):
    """A key's value as the reports write it (numbers as numbers); None where the packet has no such key."""
    src_port, dst_port = packet.ports or (None, None)
    match key:
        case "none":
            return ""
        case "src_ip":
            return str(packet.src)
        case "dst_ip":
            return str(packet.dst)
        case "src_prefix":
            return cut(packet.src, lengths[packet.v6])
        case "dst_prefix":
            return cut(packet.dst, lengths[packet.v6])
        case "src_port":
            return src_port
        case "dst_port":
            return dst_port
        case "protocol":
            return packet.protocol
        case "tcp_flags":
            return None if packet.flags is None else flags_text(packet.flags)
        case "vlan":
            return packet.vlans[0] if packet.vlans else None
        case "inner_vlan":
            return packet.vlans[1] if len(packet.vlans) > 1 else None
        case "packet_size":
            return packet.wire
        case "payload_size":
            return packet.payload
        case "ttl":
            return packet.ttl
        case "dscp":
            return packet.dscp
        case "icmp":
            return None if packet.icmp is None else "{}/{}".format(*packet.icmp)
        case "fragment":
            return packet.fragment
        case "flow":
            return packet.ports and f"{packet.src}|{src_port}|{packet.dst}|{dst_port}|{packet.protocol}"
        case "rule":
            return packet.rule
        case "tunnel":
            return "none"
        case "rx_port":
            return 0
        case "src_mac":
            return packet.mac
        case "mpls_label":
            return None
        case "tcp_options":
            return packet.tcp_options
        case "ip_options":
            return packet.ip_options
        case "tcp_window":
            return None if packet.window is None else max(edge for edge in WINDOWS if edge <= packet.window)
        case "tcp_seq":
            return None if packet.seq is None else packet.seq >> 28 << 28
        case "service":
            return SERVICE_OF.get(src_port) if packet.protocol == 17 else None
    raise Uncovered(f"key {key}")


class Sum:
    """One figure: what passed, what the sampled packets stand for, and how many they are."""

    def __init__(self):
        self.passed = self.scaled = self.sampled = self.seen = self.packets = 0

    def add(self, packet, value):
        self.packets += 1
        if packet.weight == 1:
            self.passed += value
        else:
            self.sampled += 1
            self.scaled += packet.weight * value
            self.seen += value

    @property
    def value(self):
        return self.passed + self.scaled


class Stat:
    """A row of `[[stats]]`."""

    def __init__(self, row):
        self.row, self.name, self.calculation = row, row["name"], row["calculation"]
        key = row.get("key", "none")
        self.keys = key if isinstance(key, list) else [key]
        self.metric, self.decision = row.get("metric", "packets"), row.get("decision", "any")
        self.direction, self.fast = row.get("direction", "ingress"), row.get("fast", False)
        self.sets = row.get("sets", ["default"])
        self.lengths = (row.get("prefix_v4", 24), row.get("prefix_v6", 48))
        self.k, self.p = row.get("k", 20), row.get("p", 12)
        self.exact_keys = 128 if self.p >= 10 else 64
        of = row.get("of", OTHER_SIDE.get(key if isinstance(key, str) else None))
        self.of = of if isinstance(of, list) else [of]
        self.where = [(key, wanted if isinstance(wanted, list) else [wanted]) for key, wanted in row.get("where", {}).items()]

    def edges(self):
        """Inner edges of a histogram over a number; None where it is over names."""
        match self.keys:
            case ["packet_size" | "payload_size"]:
                default = SIZES
            case ["ttl"]:
                default = list(range(16, 256, 16))
            case ["dscp"]:
                default = list(range(1, 64))
            case ["tcp_window"]:
                default = WINDOWS[1:]
            case ["tcp_seq"]:
                default = SEQS[1:]
            case _:
                default = None
        bins = self.row.get("bins", default)
        if isinstance(bins, dict):
            return [bins["first"] * bins["factor"] ** n for n in range(bins["count"])]
        return None if self.labels() else bins

    def labels(self):
        """Labels of a histogram that lists them."""
        bins = self.row.get("bins")
        return bins if isinstance(bins, list) and isinstance(bins[0], str) else None

    def sub_window(self, epoch):
        """Length of a peak's sub-window in nanoseconds; `epoch`: the stat's shortest window."""
        shortest = epoch // 10**6
        usual = next(ms for ms in range(min(100, shortest), shortest + 1) if shortest % ms == 0)
        return self.row.get("sub_window_ms", usual) * 10**6

    def value(self, packet):
        """What a packet adds to the metric; 0: it does not count."""
        flags = packet.flags or 0
        match self.metric:
            case "packets" | "flows":
                return 1
            case "bytes":
                return packet.wire
            case "connections_opened":
                return int(flags & 0x12 == 0x02)
            case "connections_accepted":
                return int(flags & 0x12 == 0x12)
            case "resets":
                return int(flags & 4 != 0)
            case "fragments":
                return int(packet.fragment != "none")
        raise Uncovered(f"metric {self.metric}")

    def admits(self, packet, directions):
        if self.direction not in directions and self.direction != "any":
            return False
        if self.decision != "any" and (self.decision == "blocked") != packet.blocked:
            return False
        return all(self.has(packet, key, wanted) for key, wanted in self.where)

    def has(self, packet, key, wanted):
        for want in wanted:
            lengths = self.lengths
            if key in ("src_prefix", "dst_prefix", "src_ip", "dst_ip"):
                net = ipaddress.ip_network(want)
                if (packet.src if key.startswith("src") else packet.dst) in net:
                    return True
                continue
            if isinstance(want, str) and ".." in want:
                low, high = want.split("..")
                have = key_value(packet, key, lengths)
                if have is not None and int(low or 0) <= have and (not high or have < int(high)):
                    return True
                continue
            if key == "protocol" and isinstance(want, str) and not want.isdigit():
                want = PROTOCOLS[want]
            have = key_value(packet, key, lengths)
            if have is not None and str(have) == str(want):
                return True
        return False

    def key(self, packet):
        """As text, parts joined; None if a part is missing."""
        return self.joined(packet, ["flow"] if self.metric == "flows" else self.keys)

    def joined(self, packet, keys):
        known = packet.texts.get((*keys, self.lengths), self)
        if known is self:
            parts = [key_value(packet, key, self.lengths) for key in keys]
            known = None if None in parts else "|".join(map(str, parts))
            packet.texts[(*keys, self.lengths)] = known
        return known

    def count(self, packets):
        """Sums by key, of packets with their directions."""
        return self.sums(packets, self.key)

    def sums(self, packets, of):
        """Sums by what `of` says of a packet; None: it does not count."""
        sums = defaultdict(Sum)
        for packet, directions in packets:
            if self.admits(packet, directions) and (value := self.value(packet)) and (key := of(packet)) is not None:
                sums[key].add(packet, value)
        return sums

    def pairs(self, packets):
        """Others that each key touched."""
        others = defaultdict(set)
        for packet, directions in packets:
            if self.admits(packet, directions) and self.value(packet) and (key := self.key(packet)) is not None:
                if (other := self.joined(packet, self.of)) is not None:
                    others[key].add(other)
        return others


class Config:
    """The configuration, as far as figures depend on it."""

    def __init__(self, path):
        with open(path, "rb") as file:
            text = tomllib.load(file)
        appliance = text.get("appliance", {})
        self.window = appliance.get("window_ms", 10_000) * 10**6
        self.fast = appliance.get("fast_window_ms", 1_000) * 10**6
        self.stats = [Stat(row) for row in text["stats"]]
        self.tags, self.sets = text.get("tags", []), text.get("sets", [])
        self.epoch = self.fast if any(stat.fast for stat in self.stats) else self.window
        self.may_be_blocked = any(tag["decision"] == "blocked" for tag in self.tags)
        with open(os.path.join(os.path.dirname(path), text["ranges"]["file"]), newline="") as file:
            rows = list(csv.DictReader(file))
        self.ranges = {(row.get("domain") or "", ipaddress.ip_network(row["prefix"])): row for row in rows}
        self.domains = {domain for domain, _ in self.ranges if domain}
        if unknown := {domain for domain in self.domains if not domain.startswith("vlan=")}:
            raise Uncovered(f"domains {unknown}")
        lengths = {(net.version == 6, net.prefixlen) for _, net in self.ranges}
        self.lengths = [sorted((n for v6, n in lengths if v6 == family), reverse=True) for family in (False, True)]
        self.of_address, self.of_range = {}, {}

    def longest(self, address, domain):
        """The longest range that holds an address: in its domain, else among those without one."""
        if (address, domain) not in self.of_address:
            nets = [ipaddress.ip_network((address, n), strict=False) for n in self.lengths[address.version == 6]]
            found = (at for within in dict.fromkeys((domain, "")) for net in nets if (at := (within, net)) in self.ranges)
            self.of_address[address, domain] = next(found, None)
        return self.of_address[address, domain]

    def domain(self, packet):
        """The first of the VLANs that has ranges."""
        return next((name for vlan in packet.vlans[:2] if (name := f"vlan={vlan}") in self.domains), "")

    def decide(self, packet):
        """Applies the first tag rule that matches."""
        fields = {"vlan": packet.vlans[0] if packet.vlans else None, "inner_vlan": packet.vlans[1] if len(packet.vlans) > 1 else None,
                  "dscp": packet.dscp, "src_mac": packet.mac, "port": 0}
        for tag in self.tags:
            if unknown := set(tag["match"]) - set(fields):
                raise Uncovered(f"tag rule by {unknown}")
            if all(fields[name] == want for name, want in tag["match"].items()):
                read = lambda of: fields[of["from"]] if isinstance(of, dict) else of
                packet.blocked, packet.weight = tag["decision"] == "blocked", read(tag.get("sampling", 1)) or 1
                packet.rule, packet.random = read(tag.get("rule")), tag.get("sampler", "random") == "random"
                packet.wire -= tag.get("added_bytes", 0)
                return

    def stats_of(self, at):
        """The stats of a range: of all sets that match it with what they include, or of `default`."""
        if at not in self.of_range:
            row = self.ranges[at]
            def matches(of):
                name, _, value = of.get("label", "").partition("=")
                return of and (row["customer"] == of["customer"] if "customer" in of else row.get(name) == value)
            names = {of["name"] for of in self.sets if matches(of.get("match", {}))} or {"default"}
            while more := {name for of in self.sets if of["name"] in names for name in of.get("include", [])} - names:
                names |= more
            self.of_range[at] = [stat for stat in self.stats if names & set(stat.sets)]
        return self.of_range[at]

    def windows(self, packets):
        """Packets of each range in each window, with their directions: by kind, start, domain and prefix."""
        found, open_epoch = defaultdict(list), 0
        for packet in packets:
            open_epoch = max(open_epoch, packet.time // self.epoch)
            if packet.src is None:
                continue
            hit, domain = {}, self.domain(packet)
            for address, direction in ((packet.dst, "ingress"), (packet.src, "egress")):
                if (net := self.longest(address, domain)) is not None:
                    hit.setdefault(net, set()).add(direction)
            time = open_epoch * self.epoch
            # One that is late counts at the start of the epoch that was open.
            packet.time = max(packet.time, time)
            for at, directions in hit.items():
                found["LONG", time // self.window * self.window, *at].append((packet, directions))
                if any(stat.fast for stat in self.stats_of(at)):
                    found["FAST", time // self.fast * self.fast, *at].append((packet, directions))
        return found
