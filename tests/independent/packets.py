"""Reads captures and what their packets say, by the RFCs; standard library only.

Plain traffic alone: Ethernet with any VLANs, IPv4, IPv6, and behind them TCP, UDP, ICMP or what has no ports. Anything else raises
`Uncovered`: this reader then has no opinion.
"""
import ipaddress
import struct


class Uncovered(Exception):
    """The reader does not know what this frame is."""


VLAN_TYPES = {0x8100, 0x88A8}
IP_TYPES = {0x0800, 0x86DD}
# Carry no IP: ARP, RARP, slow protocols, LLDP, Ethernet's own loop test.
SILENT_TYPES = {0x0806, 0x8035, 0x8809, 0x88CC, 0x9000}
# Have no ports here: IGMP, IP-in-IP, IPv6-in-IP, GRE, ESP, no next header, EIGRP, OSPF, PIM, VRRP, L2TP.
PORTLESS = {2, 4, 41, 47, 50, 59, 88, 89, 103, 112, 115}
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
# Options by kind, and extension headers by protocol number, in the order in which they are written.
TCP_OPTIONS = {2: "MSS", 4: "SACK", 8: "TS", 3: "WS", 5: "BLOCKS", 19: "MD5", 29: "AO", 28: "UTO", 30: "MPTCP", 34: "TFO"}
IPV4_OPTIONS = {7: "RR", 68: "TS", 130: "SEC", 133: "SEC", 134: "SEC", 131: "LSRR", 137: "SSRR", 136: "SID", 148: "RA"}
EXTENSIONS = {0: "HOP", 43: "ROUTE", 44: "FRAG", 60: "DEST"}
ORDER = [*TCP_OPTIONS.values()], ["RR", "TS", "SEC", "LSRR", "SSRR", "SID", "RA", *EXTENSIONS.values()]


def frames(path):
    """Yields time in nanoseconds, length on the wire and bytes, of a classic Ethernet capture."""
    with open(path, "rb") as file:
        head = file.read(24)
        magics = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}
        for order in "<>":
            magic = struct.unpack(order + "I", head[:4])[0] if len(head) == 24 else 0
            if magic in magics:
                break
        else:
            raise Uncovered("no classic capture")
        if struct.unpack(order + "I", head[20:])[0] & 0xFFFF != 1:
            raise Uncovered("no Ethernet")
        while len(record := file.read(16)) == 16:
            seconds, fraction, held, wire = struct.unpack(order + "IIII", record)
            data = file.read(held)
            if len(data) < held:
                return
            yield seconds * 10**9 + fraction * magics[magic], wire, data


def write(path, records):
    """Writes a classic capture with nanoseconds."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for time, wire, data in records:
            file.write(struct.pack("<IIII", time // 10**9, time % 10**9, len(data), wire) + data)


class Packet:
    """What one frame says; a field that it lacks is None."""

    __slots__ = ("time", "wire", "mac", "vlans", "v6", "src", "dst", "protocol", "ttl", "dscp", "fragment",
                 "ports", "flags", "icmp", "payload", "tcp_options", "ip_options", "window", "seq", "blocked", "weight", "rule", "random", "texts")

    def __init__(self, time, wire, data):
        self.time, self.wire = time, wire
        self.ports = self.flags = self.icmp = self.rule = self.tcp_options = self.ip_options = self.window = self.seq = None
        self.blocked, self.weight, self.random, self.fragment, self.texts = False, 1, True, "none", {}
        self.mac = ":".join(f"{byte:02x}" for byte in data[6:12])
        self.vlans, at = [], 12
        kind = number(data, at, 2)
        while kind in VLAN_TYPES:
            self.vlans.append(number(data, at + 2, 2) & 0xFFF)
            at += 4
            kind = number(data, at, 2)
        if kind in SILENT_TYPES:
            self.src = None
            return
        if kind not in IP_TYPES:
            raise Uncovered(f"type {kind:04x}")
        self.v6 = kind == 0x86DD
        (self.ipv6 if self.v6 else self.ipv4)(data, at + 2)

    def ipv4(self, data, at):
        header = (data[at] & 15) * 4 if len(data) > at else 0
        total, pieces = number(data, at + 2, 2), number(data, at + 6, 2)
        if data[at] >> 4 != 4 or header < 20 or total < header or total > self.wire - at:
            raise Uncovered("a doubtful IPv4 header")
        self.src, self.dst = (ipaddress.IPv4Address(number(data, at + 12 + 4 * n, 4)) for n in (0, 1))
        self.ttl, self.dscp, self.protocol = data[at + 8], data[at + 1] >> 2, data[at + 9]
        self.ip_options = options(data, at + 20, at + header, IPV4_OPTIONS, ORDER[1])
        self.piece(pieces & 0x1FFF, pieces >> 13 & 1)
        self.transport(data, at + header, total - header)

    def ipv6(self, data, at):
        body = number(data, at + 4, 2)
        if data[at] >> 4 != 6 or body == 0 or body > self.wire - at - 40:
            raise Uncovered("a doubtful IPv6 header")
        self.src, self.dst = (ipaddress.IPv6Address(number(data, at + 8 + 16 * n, 16)) for n in (0, 1))
        self.ttl, self.dscp, self.protocol = data[at + 7], (number(data, at, 2) >> 6) & 63, data[at + 6]
        at, met = at + 40, set()
        while self.protocol in (0, 43, 44, 60):
            length = 8 if self.protocol == 44 else 8 * (number(data, at + 1, 1) + 1)
            if length > body or len(data) < at + length:
                raise Uncovered("a doubtful extension")
            met.add(EXTENSIONS[self.protocol])
            if self.protocol == 44:
                pieces = number(data, at + 2, 2)
                self.piece(pieces >> 3, pieces & 1)
            self.protocol, at, body = data[at], at + length, body - length
            if self.fragment == "later":
                break
        self.ip_options = written(met, ORDER[1])
        self.transport(data, at, body)

    def piece(self, offset, more):
        self.fragment = "later" if offset else "first" if more else "none"

    def transport(self, data, at, body):
        self.payload = body
        if self.fragment == "later":
            return
        if self.protocol in (TCP, UDP):
            least = 20 if self.protocol == TCP else 8
            if body < least or len(data) < at + least:
                raise Uncovered("a short transport header")
            self.ports = number(data, at, 2), number(data, at + 2, 2)
            header = data[at + 12] >> 4 << 2 if self.protocol == TCP else 8
            if header < least or header > body:
                raise Uncovered("a doubtful TCP header")
            self.flags = data[at + 13] if self.protocol == TCP else None
            self.payload = body - header
            if self.protocol == TCP:
                self.seq, self.window = number(data, at + 4, 4), number(data, at + 14, 2)
                self.tcp_options = options(data, at + 20, at + header, TCP_OPTIONS, ORDER[0])
        elif self.protocol in (ICMP, ICMP6):
            if body < 8 or len(data) < at + 4:
                raise Uncovered("a short ICMP header")
            self.icmp, self.payload = (data[at], data[at + 1]), body - 8
        elif self.protocol not in PORTLESS:
            raise Uncovered(f"protocol {self.protocol}")


def options(data, at, end, names, order):
    """Which options stand there, as reports write it; None where the frame was cut before they end."""
    if len(data) < end:
        return None
    met = set()
    while at < end and data[at] != 0:
        length = 1
        if data[at] != 1:
            met.add(names.get(data[at], "OTHER"))
            length = data[at + 1] if at + 1 < end else 0
            if length < 2 or at + length > end:
                met.add("BAD")
                break
        at += length
    return written(met, order)


def written(met, order):
    return ",".join(name for name in [*order, "OTHER", "BAD"] if name in met) or "-"


def number(data, at, width):
    if len(data) < at + width:
        raise Uncovered("cut short")
    return int.from_bytes(data[at:at + width], "big")
