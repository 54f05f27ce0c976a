//! The reporter's messages into the journal, and its signs of life into the registry.

use std::sync::Arc;

use crate::journal::{Journal, Message};
use crate::report::{Publisher, pb};
use crate::telemetry::{FeedHealth, FeedSnapshot, Registry};

/// See the module.
pub struct Shipping {
    journal: Arc<Journal>,
    registry: Arc<Registry>,
}

impl Shipping {
    /// Into `journal`.
    pub const fn new(journal: Arc<Journal>, registry: Arc<Registry>) -> Self {
        Self { journal, registry }
    }
}

impl Publisher for Shipping {
    fn range(&mut self, report: &pb::RangeReport) {
        self.journal.append(Message::range(report));
    }

    fn appliance(&mut self, report: &pb::ApplianceReport) {
        self.journal.append(Message::appliance(report));
        if report.total {
            return;
        }
        self.registry.window_closed(report.window_end_ns);
        let feed = |feed: &pb::Feed| FeedSnapshot {
            name: feed.name.clone(),
            health: match feed.state() {
                pb::FeedState::Live => FeedHealth::Live,
                pb::FeedState::Silent => FeedHealth::Silent,
                pb::FeedState::Down => FeedHealth::Down,
            },
        };
        self.registry.set_feeds(report.feeds.iter().map(feed).collect());
    }

    fn overflow(&self) -> Vec<(String, u64)> {
        self.journal.overflow()
    }
}
