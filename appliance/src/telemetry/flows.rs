//! Flow records, as one moment has them.

/// One exporter of flow records, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExporterSnapshot {
    /// Its address, or `other`.
    pub name: String,
    /// Datagrams.
    pub datagrams: u64,
    /// Flows.
    pub flows: u64,
    /// Templates that came anew, or others.
    pub templates: u64,
    /// Units of its numbers that are missing now.
    pub lost: i64,
    /// Flows of unknown sampling rate.
    pub rate_unknown: u64,
    /// What was of no use: of what (`datagram`, `set`, `record`), why, and how many.
    pub errors: Vec<(&'static str, &'static str, u64)>,
    /// Flows by delay, in bins.
    pub delays: Vec<u64>,
    /// All delays together.
    pub delay_sum_ms: u64,
}

/// What sequence numbers told of one exporter's observation domain, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GapsSnapshot {
    /// Its address (or `other`), protocol and domain, and what is counted: `datagrams`, `records`, `samples`.
    pub labels: [(&'static str, String); 4],
    /// Units that are missing now.
    pub lost: u64,
    /// Times that something was missing; came late; came twice; that it began anew; that a number was none of its standard's.
    pub times: [u64; 5],
}

/// Flow records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowsSnapshot {
    /// By address; the last are all others.
    pub exporters: Vec<ExporterSnapshot>,
    /// By domain; the last are all others.
    pub gaps: Vec<GapsSnapshot>,
    /// Datagrams that the kernel dropped.
    pub kernel_dropped: u64,
    /// Of packets in the mirror: datagrams that were read; and packets that were not, by reason.
    pub port_datagrams: u64,
    /// `ring_full`, `cut`, `other_port`, and datagrams in pieces that were `incomplete`.
    pub port_dropped: [u64; 4],
    /// Datagrams that wait for their other pieces.
    pub port_waiting: u64,
    /// Data sources whose sampling rate their exporter's own totals deny.
    pub doubted: u64,
    /// Pieces that came again.
    pub port_copies: u64,
    /// Sets that wait for their template.
    pub waiting: u64,
    /// Exporters' domains that are known.
    pub domains: u64,
    /// Flow messages that the journal took.
    pub journalled: u64,
    /// And did not.
    pub refused: u64,
    /// Lots that its lane holds in memory,
    pub lots: u64,
    /// their bytes,
    pub bytes: u64,
    /// and those on disk.
    pub disk_bytes: u64,
}
