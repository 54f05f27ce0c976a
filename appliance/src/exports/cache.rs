//! Flows of sampled packets, until they are told: a bounded table.
//!
//! A flow is told when no packet of it came for so long (idle), when it is so old (active; what comes after is told again), when the table
//! is full and its last packet is the oldest of all, and at the end. Counts are those of the samples: who reads them multiplies.

use super::sample::Sample;
use crate::flows::lru::Lru;
use crate::record::{Has, Record};

/// Packets of one flow have these in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Addresses; IPv4 in the first four bytes.
    pub src: [u8; 16],
    /// Likewise.
    pub dst: [u8; 16],
    /// Ports; of ICMP its type and code in the high and low byte of the first one. 0: none.
    pub ports: [u16; 2],
    /// Outer VLAN id; 0: none.
    pub vlan: u16,
    /// Index of the port that it came in by.
    pub rx_port: u16,
    /// For how many packets each stands, as tag rules say.
    pub weight: u16,
    /// Protocol.
    pub protocol: u8,
    /// IPv6.
    pub v6: bool,
    /// The ports are an ICMP type and code.
    pub icmp: bool,
    /// The scrubber dropped it.
    pub blocked: bool,
}

/// What was sampled of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// When its first packet came, nanoseconds since 1970.
    pub first_ns: u64,
    /// And its last.
    pub last_ns: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes of their IP packets.
    pub bytes: u64,
    /// Of all its packets.
    pub tcp_flags: u8,
    /// Of its first packet.
    pub dscp: u8,
}

/// Why a flow is told: numbers of IPFIX's element 136.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// No packet came for so long.
    Idle = 1,
    /// It is old, and may go on.
    Active = 2,
    /// The appliance ends.
    Forced = 4,
    /// There is no room.
    Room = 5,
}

/// See the module.
pub struct Cache {
    flows: Lru<Key, Flow>,
    flows_max: usize,
    active_ns: u64,
    idle_ns: u64,
    now_ns: u64,
    evicted: u64,
}

impl Cache {
    /// Of so many flows at most, with these timeouts.
    pub fn new(flows_max: usize, active_ns: u64, idle_ns: u64) -> Self {
        Self { flows: Lru::new(), flows_max: flows_max.max(1), active_ns, idle_ns, now_ns: 0, evicted: 0 }
    }

    /// Flows held.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.flows.len() == 0
    }

    /// Flows that were told for want of room.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The latest time that it has heard of.
    pub const fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Takes a packet. What is not one is left out: see [`Sample::is_packet`].
    pub fn take(&mut self, sample: &Sample, told: &mut impl FnMut(&Key, &Flow, End)) {
        let Record { time_ns, tcp_flags, dscp, .. } = sample.record;
        self.turn(time_ns, told);
        let (key, bytes) = (Key::of(&sample.record), u64::from(sample.ip_bytes));
        let begun = Flow { first_ns: time_ns, last_ns: time_ns, packets: 1, bytes, tcp_flags, dscp };
        let active_ns = self.active_ns;
        if let Some(flow) = self.flows.get(&key) {
            if time_ns.saturating_sub(flow.first_ns) >= active_ns {
                told(&key, flow, End::Active);
                *flow = begun;
                return;
            }
            // Cores do not tell in the order of time.
            (flow.first_ns, flow.last_ns) = (flow.first_ns.min(time_ns), flow.last_ns.max(time_ns));
            (flow.packets, flow.bytes, flow.tcp_flags) = (flow.packets + 1, flow.bytes + bytes, flow.tcp_flags | tcp_flags);
            return;
        }
        if self.flows.len() >= self.flows_max
            && let Some((key, flow)) = self.flows.evict()
        {
            self.evicted += 1;
            told(&key, &flow, End::Room);
        }
        self.flows.insert(key, begun);
    }

    /// It is so late: tells what has rested.
    pub fn turn(&mut self, now_ns: u64, told: &mut impl FnMut(&Key, &Flow, End)) {
        self.now_ns = self.now_ns.max(now_ns);
        let (now_ns, idle_ns) = (self.now_ns, self.idle_ns);
        while self.flows.oldest_entry().is_some_and(|(_, flow)| now_ns.saturating_sub(flow.last_ns) >= idle_ns)
            && let Some((key, flow)) = self.flows.evict()
        {
            told(&key, &flow, End::Idle);
        }
    }

    /// Tells all.
    pub fn end(&mut self, told: &mut impl FnMut(&Key, &Flow, End)) {
        while let Some((key, flow)) = self.flows.evict() {
            told(&key, &flow, End::Forced);
        }
    }
}

impl Key {
    fn of(record: &Record) -> Self {
        let has = |what| record.has.all(what);
        let (icmp, ports) = (has(Has::ICMP), has(Has::PORTS));
        Self {
            src: record.src,
            dst: record.dst,
            ports: [if icmp || ports { record.src_port } else { 0 }, if ports { record.dst_port } else { 0 }],
            vlan: if has(Has::VLAN) { record.vlan } else { 0 },
            rx_port: record.rx_port,
            weight: record.weight.max(1),
            protocol: record.protocol,
            v6: has(Has::V6),
            icmp,
            blocked: has(Has::BLOCKED),
        }
    }
}
