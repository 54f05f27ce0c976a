//! Written form → validated form → each stage's own plan.
//!
//! The written form is TOML, walked with spans so that every fault names file, line, key and remedy and all faults are
//! reported at once. The validated form below is what the program holds: it can only be made by checking, and a stage
//! is handed its own few values of it, never the whole.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::axes::{DecisionAxis, DirectionAxis, KeySpec, Metric};

/// A whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it was read from.
    pub file: PathBuf,
    /// `[appliance]`
    pub appliance: Appliance,
    /// `[cores]`; absent: `plan` proposes.
    pub cores: Option<Cores>,
    /// `[[ports]]`
    pub ports: Vec<Port>,
    /// `[ranges]`
    pub ranges: Ranges,
    /// `[mirror]`
    pub mirror: Mirror,
    /// `[parse]`
    pub keys_from: KeysFrom,
    /// `[[tags]]`, in order.
    pub tags: Vec<TagRule>,
    /// `[[stats]]`, in order.
    pub stats: Vec<StatSpec>,
    /// `[[sets]]`, in order.
    pub sets: Vec<Set>,
    /// `[sinks]`
    pub sinks: Sinks,
    /// `[admin]`
    pub admin: Admin,
    /// SHA-256, lower-case hex, over ranges, stats, tags, parsing and windows; never over cores, ports or sinks.
    pub hash: String,
}

/// `[appliance]`
#[derive(Clone, Debug)]
pub struct Appliance {
    /// Default: `tailwater`.
    pub name: String,
    /// Point of presence; default empty.
    pub pop: String,
    /// Default 10,000.
    pub window_ms: u64,
    /// Default 1,000, or `window_ms` where that is less and not a multiple.
    pub fast_window_ms: u64,
    /// Budget of sketches and batches; default 1,024.
    pub memory_mb: u64,
    /// The fleet's key; absent: random at each start of `run`, constant in `replay`.
    pub hash_key: Option<[u8; 32]>,
}

/// How work is spread over cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `run-to-completion`
    RunToCompletion,
    /// `pipeline`
    Pipeline,
}

/// `[cores]`: lcore ids.
#[derive(Clone, Debug)]
pub struct Cores {
    /// Default `run-to-completion`.
    pub mode: Mode,
    /// Main lcore.
    pub main: u32,
    /// Receiving lcores.
    pub rx: Vec<u32>,
    /// Workers; empty in run-to-completion.
    pub workers: Vec<u32>,
    /// The reporter.
    pub reporter: u32,
    /// Sinks and admin.
    pub io: Vec<u32>,
}

/// One of `[[ports]]`.
#[derive(Clone, Debug)]
pub struct Port {
    /// PCI address or vdev string.
    pub device: String,
    /// Default 1.
    pub queues: u16,
    /// Default: the device.
    pub feed: String,
    /// Default 0.
    pub min_pps: u64,
}

/// `[ranges]`
#[derive(Clone, Debug)]
pub struct Ranges {
    /// CSV, or JSON by its ending; absolute, or relative to the working directory.
    pub file: PathBuf,
}

/// An encapsulation that a mirror wraps frames in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "spelled as in the configuration")]
pub enum Wrap {
    Erspan,
    Gre,
    Vxlan,
    Geneve,
    Ipip,
    GtpU,
}

/// `[mirror] length`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthFrom {
    /// The frame's length.
    Frame,
    /// Layer 2 plus the IP length.
    Ip,
}

/// `[mirror]`
#[derive(Clone, Debug)]
pub struct Mirror {
    /// What the mirror itself wraps frames in.
    pub strip: Vec<Wrap>,
    /// Outer source addresses whose wrapping is stripped.
    pub from: Vec<IpAddr>,
    /// Where bytes are read from.
    pub length: LengthFrom,
    /// What a frame without a matching tag rule is: passed, or a parse drop.
    pub untagged_passes: bool,
    /// Whether packets towards, and from, a range are mirrored.
    pub ingress: bool,
    /// See `ingress`.
    pub egress: bool,
}

/// `[parse] keys_from`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysFrom {
    /// The outermost header whose address is in a range.
    Matched,
    /// The outermost header.
    Outermost,
    /// The innermost header.
    Innermost,
}

/// A field of a frame that tags are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "spelled as in the configuration")]
pub enum TagField {
    Port,
    Vlan,
    InnerVlan,
    Dscp,
    Mpls,
    Vni,
    GreKey,
    ErspanSession,
}

/// What a frame must carry for a tag rule: all that are given.
#[derive(Clone, Debug, Default)]
pub struct TagMatch {
    /// Numbers, by field.
    pub fields: Vec<(TagField, u32)>,
    /// `src_mac`
    pub src_mac: Option<[u8; 6]>,
}

/// A number that is given, or that a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// In the configuration.
    Fixed(u32),
    /// In this field of the frame.
    From(TagField),
}

/// How the scrubber draws its sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "spelled as in the configuration")]
pub enum Sampler {
    Random,
    EveryNth,
    Hash,
}

/// One of `[[tags]]`.
#[derive(Clone, Debug)]
pub struct TagRule {
    /// `match`
    pub matches: TagMatch,
    /// `decision`
    pub blocked: bool,
    /// Default 1; at most 65,535.
    pub sampling: Given,
    /// Default `random`.
    pub sampler: Sampler,
    /// Default 0.
    pub added_bytes: u32,
    /// `rule`
    pub rule: Option<Given>,
}

/// A value of a calculation's own setting.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "TOML's own kinds")]
pub enum Setting {
    Integer(i64),
    Float(f64),
    Text(String),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    Flag(bool),
}

/// What a packet must be for a stat: every field that is given, any of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Predicate {
    /// Key and the values that it may have, as bytes of [`KeySpec::extract`]; IPv4 and IPv6 where they differ.
    pub tests: Vec<Test>,
}

/// One field of a predicate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Test {
    /// A key of one part.
    pub key: KeySpec,
    /// Values for IPv4 records, as key bytes, sorted.
    pub v4: Vec<Vec<u8>>,
    /// Values for IPv6 records, as key bytes, sorted.
    pub v6: Vec<Vec<u8>>,
}

/// One of `[[stats]]`.
#[derive(Clone, Debug)]
pub struct StatSpec {
    /// Unique.
    pub name: String,
    /// As written; `stats` knows which there are.
    pub calculation: String,
    /// Default `none`.
    pub key: KeySpec,
    /// Default `packets`.
    pub metric: Metric,
    /// Default `any`.
    pub decision: DecisionAxis,
    /// Default `ingress`.
    pub direction: DirectionAxis,
    /// `where`
    pub predicate: Option<Predicate>,
    /// Default false.
    pub fast: bool,
    /// Default `["default"]`.
    pub sets: Vec<String>,
    /// What stands beside the axes, by name: `k`, `p`, `bins`, …; the calculation checks them.
    pub settings: Vec<(String, Setting)>,
}

/// A stat's calculation refuses it: `key` is the setting or axis at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Key in the stat's table.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// What a set asks of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetMatch {
    /// `label = "plan=premium"`
    Label(String, String),
    /// `customer = "…"`
    Customer(String),
}

/// One of `[[sets]]`.
#[derive(Clone, Debug)]
pub struct Set {
    /// Unique.
    pub name: String,
    /// `match`
    pub matches: Option<SetMatch>,
    /// Further sets whose stats it holds.
    pub include: Vec<String>,
}

/// `[sinks]`
#[derive(Clone, Debug, Default)]
pub struct Sinks {
    /// `[sinks.kafka]`
    pub kafka: Option<KafkaSink>,
    /// `[sinks.file]`
    pub file: Option<FileSink>,
    /// `[sinks.stdout]`
    pub stdout: bool,
}

/// `[sinks.kafka]`
#[derive(Clone, Debug)]
pub struct KafkaSink {
    /// `host:port,…`, or `mock`.
    pub brokers: String,
    /// Default `tailwater.v1.ranges`; may hold `{customer}`.
    pub ranges_topic: String,
    /// Default `tailwater.v1.appliance`.
    pub appliance_topic: String,
    /// Default `lz4`.
    pub compression: String,
}

/// `[sinks.file]`: proto3 JSON, a message a line.
#[derive(Clone, Debug)]
pub struct FileSink {
    /// Appended to.
    pub path: PathBuf,
}

/// `[admin]`
#[derive(Clone, Debug)]
pub struct Admin {
    /// `127.0.0.1:9464` by default; `off` for none.
    pub listen: Option<std::net::SocketAddr>,
}
