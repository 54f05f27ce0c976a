//! Which lane of the journal a thread of the sink delivers, and what it may hold of it.

use super::produce::IN_FLIGHT_MAX;

/// Messages handed to librdkafka and not acknowledged, of flows and packet logs: they are small and many.
const LOTS_IN_FLIGHT_MAX: usize = 200_000;

/// What one of the sink's threads delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sink) enum Part {
    /// Reports of long windows. It alone says what ails brokers while it has nothing to send.
    Reports,
    /// Reports of fast windows.
    Fast,
    /// Lots of flow messages.
    Flows,
    /// Lots of packet logs.
    Logs,
}

impl Part {
    /// Messages that librdkafka may hold, and how long, milliseconds, a topic may take to be made: flows ask again themselves.
    pub(super) const fn bounds(self) -> (usize, u32) {
        match self {
            Self::Flows => (LOTS_IN_FLIGHT_MAX, 5_000),
            Self::Logs => (LOTS_IN_FLIGHT_MAX, 30_000),
            Self::Reports | Self::Fast => (IN_FLIGHT_MAX, 30_000),
        }
    }
}
