//! What both readings of a sequence of datagrams must agree in.

use tailwater::flows::{DatagramDrop, Flow, Ledger, RecordDrop, SetDrop, TemplateEvent};

use super::model::fold;

/// Where everything went.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) datagram_drops: [u64; DatagramDrop::COUNT],
    pub(crate) template_sets: u64,
    pub(crate) data_sets: u64,
    pub(crate) released: u64,
    pub(crate) set_drops: [u64; SetDrop::COUNT],
    pub(crate) flows: u64,
    pub(crate) options: u64,
    pub(crate) counters: u64,
    pub(crate) record_drops: [u64; RecordDrop::COUNT],
    pub(crate) templates: [u64; TemplateEvent::COUNT],
}

impl Counts {
    /// What a collector says, once more.
    pub(crate) fn add(&mut self, ledger: &Ledger) {
        fn more<const N: usize>(to: &mut [u64; N], of: &[u64; N]) {
            to.iter_mut().zip(of).for_each(|(to, of)| *to += of);
        }
        more(&mut self.datagram_drops, &ledger.datagram_drops);
        more(&mut self.set_drops, &ledger.set_drops);
        more(&mut self.record_drops, &ledger.record_drops);
        more(&mut self.templates, &ledger.templates);
        self.template_sets += ledger.template_sets;
        self.data_sets += ledger.data_sets;
        self.released += ledger.released;
        self.flows += ledger.flows;
        self.options += ledger.options;
        self.counters += ledger.counters;
    }
}

/// What is compared of a flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) received_ns: u64,
    pub(crate) version: u32,
    pub(crate) domain: u32,
    pub(crate) sequence: u32,
    /// Packets, bytes, protocol, flags, ports, interfaces, AS numbers, addresses; none: they are not compared.
    pub(crate) values: Option<[u64; 12]>,
}

impl Seen {
    /// What a flow says.
    pub(crate) fn of(flow: &Flow) -> Self {
        let f = &flow.fields;
        Self {
            received_ns: f.time_received_ns,
            version: f.export_version,
            domain: f.observation_domain_id,
            sequence: f.sequence_num,
            values: Some([
                f.packets,
                f.bytes,
                f.proto.into(),
                f.tcp_flags.into(),
                f.src_port.into(),
                f.dst_port.into(),
                f.in_if.into(),
                f.out_if.into(),
                f.src_as.into(),
                f.dst_as.into(),
                fold(f.src_addr.bytes()),
                fold(f.dst_addr.bytes()),
            ]),
        }
    }

    /// Whether a flow is what the model says.
    pub(crate) fn agrees(&self, flow: &Self) -> bool {
        let alike = Self { values: self.values.and(flow.values), ..*flow };
        *self == alike
    }
}
