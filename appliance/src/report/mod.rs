//! Merged shards → estimates → messages.
//!
//! The reporter reads every core's stream, keeps the open windows' words, and when all cores have passed a window
//! makes figures of them, builds one message a range and one of the appliance's own account. It runs beside the data path, may allocate,
//! and never holds a core up: a stream that is full is the core's loss, counted there.

mod appliance;
mod audit;
mod belated;
mod bounded;
mod causes;
pub mod clock;
mod duplicates;
mod encode;
mod export_losses;
mod flow_losses;
mod flows;
mod loss;
mod links;
mod message;
mod open;
mod order;
mod past;
pub mod pb;
mod ports;
mod publishing;
mod range;
#[cfg(test)]
mod starved_tests;
mod reporter;
mod rollup;
mod sequences;
mod smaller;
#[cfg(test)]
mod smaller_tests;
mod spare;
mod strain;
mod telling;
mod widen;

use std::sync::Arc;

use crate::config::StatSpec;
use crate::window::ShardPlans;

#[cfg(test)]
pub(crate) use bounded::tests as bounded_tests;
pub use bounded::{ACCOUNT_BYTES_MAX, bounded};
pub use causes::lcore_held_up;
pub use clock::WallClock;
pub use encode::encode;

pub use crate::arch::KernelClock;
pub use crate::rx::keepers::Keepers;
pub use crate::rx::timeline::{ClockState, Step};
pub use audit::{AUDITED, CounterRows, Heard};
pub use flows::hidden;
pub use reporter::Reporter;
pub use smaller::smaller;
pub use strain::Strain;

/// Version of the messages' schema.
pub const SCHEMA_VERSION: u32 = 1;

/// Who reports.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Name of the appliance.
    pub appliance: String,
    /// Point of presence.
    pub pop: String,
    /// Drawn at each start; 0 in a replay.
    pub boot_id: u64,
    /// Of the configuration.
    pub config_hash: String,
    /// Of the hash key.
    pub hash_key_id: String,
    /// `system` or `capture`.
    pub clock_source: &'static str,
}

/// A range as reports name it.
#[derive(Clone, Debug)]
pub struct RangeName {
    /// Canonical, with its length.
    pub prefix: String,
    /// As in the ranges file; empty: none.
    pub domain: String,
    /// Whose it is.
    pub customer: String,
    /// Further columns of the ranges file.
    pub labels: Vec<(String, String)>,
}

impl RangeName {
    /// What it is known by, also after ranges were read anew.
    pub fn identity(&self) -> String {
        if self.domain.is_empty() { self.prefix.clone() } else { format!("{} {}", self.domain, self.prefix) }
    }
}

/// A port as reports name it.
#[derive(Clone, Debug)]
pub struct PortName {
    /// As in the configuration.
    pub device: String,
    /// The feed that it belongs to.
    pub feed: String,
    /// Below this the feed is silent.
    pub min_pps: u64,
}

/// A link as reports name it.
#[derive(Clone, Debug)]
pub struct LinkName {
    /// As configured, like all that follows.
    pub name: String,
    /// Or empty.
    pub router: String,
    /// Or empty.
    pub interface: String,
    /// Or empty.
    pub provider: String,
    /// Of the physical layer.
    pub capacity_bps: u64,
    /// Shares of it: max, target and acceptable.
    pub utilisation: [f64; 3],
    /// The largest weight that a frame may have; 1 where nothing is sampled.
    pub weight_max: u32,
    /// Whether all samplers are random.
    pub is_random: bool,
    /// Whether frames may come by it, so that it is reported.
    pub has_frames: bool,
}

impl Setting {
    /// Links that are reported, and their numbers.
    fn links_of_frames(&self) -> impl Iterator<Item = (usize, &LinkName)> {
        self.links.iter().enumerate().filter(|(_, link)| link.has_frames)
    }
}

/// A core that tells by a stream.
#[derive(Clone, Debug)]
pub struct CoreName {
    /// Its lcore.
    pub lcore: u32,
    /// `rx` or `worker`; or [`Self::FLOWS`].
    pub role: &'static str,
}

impl CoreName {
    /// Role of who analyses flow records: it is no lcore, and its counts are none of packets.
    pub const FLOWS: &'static str = "flows";

    /// Whether it has that role.
    pub fn is_of_flows(&self) -> bool {
        self.role == Self::FLOWS
    }
}

/// What is the same for every window of one generation.
pub struct Setting {
    /// Who reports.
    pub identity: Identity,
    /// In the order of their indices. What has a higher index is not a range but what matched none.
    pub ranges: Vec<RangeName>,
    /// Rows of the configuration, and behind them those of what matched no range.
    pub specs: Vec<StatSpec>,
    /// In the configuration's order.
    pub ports: Vec<PortName>,
    /// Of each tag rule, `passed` or `blocked`.
    pub tags: Vec<&'static str>,
    /// Of each tag rule, what it looks for: `tags[0] vlan=666`.
    pub tag_names: Vec<String>,
    /// The tag rules are others than those of the generation before: what was counted by their numbers is not added up.
    pub tags_anew: bool,
    /// Windows without a frame are reported too, and the first and last are marked as cut short.
    pub live: bool,
    /// An idle range says so, once each long window.
    pub heartbeat: bool,
    /// Ranges are reported together too.
    pub rollup: bool,
    /// Rows of the configuration: what stands behind them is not shown in reports of ranges.
    pub shown: usize,
    /// In the configuration's order.
    pub links: Vec<LinkName>,
    /// What is compared with the scrubber's counters, if anything is.
    pub audit: Option<crate::audit::Plan>,
    /// How packets are looked for that come twice, if they are.
    pub duplicates: Option<crate::duplicates::Plan>,
    /// The longest frame that may have been lost: what a port lets in, what a capture may hold.
    pub frame_bytes_max: u32,
    /// A window whose time is further off than this says so.
    pub clock_bound_ns: u64,
    /// Words of windows that are open, beyond which none are read while another window is reported: cores then see that the reporter is
    /// late.
    pub open_words_max: usize,
}

/// A generation, as the reporter needs it.
pub struct Edition {
    /// What reports say of themselves.
    pub setting: Setting,
    /// Compiled stats.
    pub plans: Arc<ShardPlans>,
}

/// What only the port itself knows, since the start.
#[derive(Clone, Debug, Default)]
pub struct PortHealth {
    /// Frames that the NIC, or the kernel below a vdev, dropped.
    pub missed: u64,
    /// The link is up and the device is there.
    pub up: bool,
    /// How often it was seen to go down.
    pub downs: u64,
    /// Further counters by name.
    pub counters: Vec<(String, u64)>,
    /// Of a live port, in their order.
    pub queues: Vec<QueueHealth>,
    /// Speed of its link, where the driver knows it.
    pub link_bps: Option<u64>,
}

/// What the core that polls a queue tells of it, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueHealth {
    /// From 0.
    pub queue: u32,
    /// Who polls it.
    pub lcore: u32,
    /// Frames taken.
    pub received: u64,
    /// Polls that brought as many as they might.
    pub full_polls: u64,
    /// All of them.
    pub polls: u64,
    /// For so long the system kept that core from polling any of its queues.
    pub held_ns: u64,
}

impl QueueHealth {
    /// Half of its polls left something behind.
    pub const fn is_busy(&self) -> bool {
        self.polls > 0 && self.full_polls >= self.polls.div_ceil(2)
    }
}

/// A window before its reports are made.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'a> {
    /// Long or fast.
    pub kind: pb::WindowKind,
    /// From, and up to; nanoseconds since 1970.
    pub bounds_ns: (u64, u64),
    /// By tag rule: what it looks for, and the frames that it matched.
    pub tags: &'a [(&'a str, u64)],
    /// A feed was not live, or the window is not whole: what did not come says nothing.
    pub is_disturbed: bool,
}

/// What a sink, or all of them, have of the journal: see the messages.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// By sink.
    pub sinks: Vec<pb::SinkAccount>,
    /// Absent where nothing waits for anybody: a replay.
    pub journal: Option<pb::JournalAccount>,
    /// Of the last event that was sent.
    pub events_sequence: u64,
}

/// Asked once a window.
pub trait Health: Send {
    /// Of every port, in the configuration's order.
    fn read(&mut self) -> Vec<PortHealth>;

    /// Where the clock stands that windows follow; none where their time is the capture's.
    fn clock(&mut self) -> Option<ClockState> {
        None
    }

    /// What is known of the wall clock; nothing where that is nobody's concern.
    fn wall_clock(&mut self) -> WallClock {
        WallClock::default()
    }
}

/// No port has anything to tell: a replay.
pub struct NoHealth;

impl Health for NoHealth {
    fn read(&mut self) -> Vec<PortHealth> {
        Vec::new()
    }
}

/// Where messages go.
pub trait Publisher: Send {
    /// One range, one window.
    fn range(&mut self, report: &pb::RangeReport);

    /// What cores told of a range, or of a roll-up, is merged; its report is made next.
    fn merged(&mut self) {}

    /// One link, one fast window, after its ranges.
    fn link(&mut self, _report: &pb::LinkReport) {}

    /// The appliance's account of one window, after its ranges.
    fn appliance(&mut self, report: &pb::ApplianceReport);

    /// What want of memory did to the figures of a window, fast or long, before the appliance's account of it.
    fn strained(&mut self, _is_long: bool, _of: &Strain) {}

    /// What is known of a window beside what was counted, and makes its figures doubtful: further reasons of `Incomplete`. Asked before its
    /// reports are made.
    fn doubts(&mut self, _glance: &Glance<'_>) -> Vec<&'static str> {
        Vec::new()
    }

    /// How far sinks and journal are, for an account that is just being made.
    fn delivery(&self) -> Delivery {
        Delivery::default()
    }

    /// Messages lost behind this point since the start, by sink.
    fn overflow(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    /// How far the run before this one came, where that is known.
    fn previous_run(&self) -> Option<pb::PreviousRun> {
        None
    }

    /// What became of flow records since the account of the long window before; with `total`, since the start. None are received: none.
    fn flows(&mut self, _total: bool) -> Option<pb::FlowsAccount> {
        None
    }

    /// The same of what the appliance itself exports; nothing: none.
    fn exports(&mut self, _total: bool) -> Option<pb::ExportsAccount> {
        None
    }

    /// Which those were since this was asked last.
    fn losses(&mut self) -> Vec<pb::JournalLosses> {
        Vec::new()
    }
}
