//! The appliance's own health: logs, live counters, and what others may read of them.
//!
//! - [`log`]: `tracing` for people on a terminal, JSON otherwise.
//! - [`live`]: counters that a data path core writes once a burst and anybody reads.
//! - [`cost`]: where a core's time goes, of polls that are timed.
//! - [`pauses`]: how long a receiving core does not poll, and why.
//! - [`ages`], [`exports`]: parts of that.
//! - [`snapshot`]: the plain figures of one moment; [`registry`]: where they are taken.
//! - [`status`]: one line a second for a terminal.
//!
//! This room knows none of the later ones: they register here what they want to be seen.

pub mod ages;
pub mod cost;
pub mod exports;
pub mod flows;
pub mod live;
pub mod log;
pub mod pauses;
pub mod registry;
pub mod snapshot;
pub mod status;

pub use ages::{AGE_BOUNDS_S, Ages};
pub use exports::{ExportSnapshot, ExportsSnapshot, LogsSnapshot};
pub use flows::{ExporterSnapshot, FlowsSnapshot, GapsSnapshot};
pub use live::{CoreFigures, Counter, LiveCore, LivePart, LivePort, LiveQueue, MEMORY_PARTS, PartFigures, PortFigures};
pub use pauses::{Did, LivePauses, PAUSE_CAUSES, Pause, PauseFigures, Work, batch_ns_max};
pub use registry::Registry;
pub use snapshot::{
    AuditSnapshot, BuildInfo, CoreSeconds, CoreSnapshot, DEGRADED, EventsSnapshot, FeedHealth, FeedSnapshot, JournalSnapshot, Optics,
    PairSnapshot, PortSnapshot, ReloadSnapshot, SinkState, SinkStatus, Snapshot, WallClockSnapshot,
};
pub use status::StatusLine;
