//! What is exported of frames, at one moment.

/// One export, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportSnapshot {
    /// Protocol and address.
    pub name: String,
    /// Frames sampled.
    pub sampled: u64,
    /// Of them those for which there was no room.
    pub lost: u64,
    /// Of them those that it does not tell.
    pub left_out: u64,
    /// Flow records, or flow samples.
    pub records: u64,
    /// Datagrams.
    pub datagrams: u64,
    /// Of them those that the kernel did not take, or that a host refused.
    pub failed: u64,
    /// Flows told early for want of room.
    pub evicted: u64,
    /// Records that were not sent: too many rates.
    pub unplaced: u64,
    /// Flows held.
    pub held: u64,
}

/// Packet logs, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogsSnapshot {
    /// Frames sampled.
    pub sampled: u64,
    /// Of them those for which there was no room.
    pub lost: u64,
    /// Of them those that are not logged.
    pub left_out: u64,
    /// Lines that the journal took.
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

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportsSnapshot {
    /// By row of the configuration.
    pub exports: Vec<ExportSnapshot>,
    /// None are configured: none.
    pub logs: Option<LogsSnapshot>,
}
