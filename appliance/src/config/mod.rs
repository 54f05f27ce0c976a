//! Written form → validated form → each stage's own plan.
//!
//! The written form is TOML, walked with spans so that every fault names file, line, key and remedy and all faults are
//! reported at once. The validated form below is what the program holds: it can only be made by checking, and a stage
//! is handed its own few values of it, never the whole. One file a section: its types, and how it is read.

mod appliance;
mod audit;
mod cores;
mod duplicates;
mod enrich;
mod exports;
mod fault;
mod flow_predicate;
mod flows;
mod hash;
mod https;
mod interfaces;
mod journal;
pub mod kafka;
mod links;
mod looked_up;
mod mirror;
mod named;
mod predicate;
pub mod ranges;
mod secret;
mod sets;
pub mod sinks;
mod stats;
pub mod streams;
mod tags;
#[cfg(test)]
mod tests;
mod topics;
mod trust;
mod walk;
mod written;

use std::path::{Path, PathBuf};

pub use appliance::{Appliance, Windows};
pub use audit::{Audit, AuditBy, Counters};
pub use cores::{Cores, Mode, Port};
pub use duplicates::Duplicates;
pub use enrich::{Customers, Enrich, Lookup, Snmp};
pub use exports::{Export, ExportProtocol, PacketLogs};
pub use fault::{Fault, Faults, near};
pub(crate) use fault::{Lines, any_of, read_text};
#[cfg(test)]
pub(crate) use flow_predicate::is_asked as flow_asks;
pub use flow_predicate::{Among, FlowOf, FlowPredicate, FlowTest};
pub use flows::{FlowRate, Flows, listen_address, sampling_rate};
pub use https::{BodyFraming, Compression, Credentials, HttpsSink};
pub use interfaces::{Interfaces, Metered};
pub use journal::Journal;
pub use kafka::KafkaSink;
pub use links::Link;
pub use mirror::{KeysFrom, LengthFrom, Mirror, Wrap};
pub use predicate::{Predicate, Span, Test};
pub(crate) use ranges::record_start;
pub use ranges::{Domain, Range, Ranges};
pub use secret::{NoSecret, Secret, SecretPlace};
pub use sets::{Set, SetMatch, StatLists};
pub use sinks::{Admin, FileSink, Sinks, Token};
pub use stats::{Refusal, Setting, StatSpec};
pub use streams::{FieldChoice, FlowFormat, Framing, Stream};
pub use tags::{Given, Sampler, TagField, TagMatch, TagRule};
pub use trust::{Own, Sasl, Tls, Trust};
pub use written::address;

use crate::axes::Source;
use topics::Parts;
use walk::{Book, Section};

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
    /// `[ranges]`, read.
    pub ranges: Ranges,
    /// `[mirror]`
    pub mirror: Mirror,
    /// `[parse]`
    pub keys_from: KeysFrom,
    /// `[[tags]]`, in order.
    pub tags: Vec<TagRule>,
    /// `[[links]]`, in order.
    pub links: Vec<Link>,
    /// `[flows.interfaces]` and who samples at random.
    pub interfaces: Interfaces,
    /// `[[stats]]`, in order.
    pub stats: Vec<StatSpec>,
    /// `[[sets]]`, in order.
    pub sets: Vec<Set>,
    /// `[audit]`; none: sampling is taken as configured.
    pub audit: Option<Audit>,
    /// `[duplicates]`; none: they are not looked for.
    pub duplicates: Option<Duplicates>,
    /// `[flows]`; none: no export datagrams are received.
    pub flows: Option<Flows>,
    /// `[enrich]`; none: flows say what their exporters told.
    pub enrich: Option<Enrich>,
    /// `[[streams]]`, in order; none: one has all flows.
    pub streams: Vec<Stream>,
    /// `[[exports]]`, in order.
    pub exports: Vec<Export>,
    /// `[packet_logs]`; none: no packets are logged.
    pub packet_logs: Option<PacketLogs>,
    /// `[journal]`; none: reports wait in memory.
    pub journal: Option<Journal>,
    /// `[sinks]`
    pub sinks: Sinks,
    /// `[admin]`
    pub admin: Admin,
    /// SHA-256, lower-case hex, over ranges, stats, tags, parsing and windows; never over cores, ports or sinks.
    pub hash: String,
    /// What the file said, as others may read it.
    text: String,
}

/// Asks a calculation whether it can make a stat in windows of these lengths: `Err` names the setting or axis that it
/// refuses.
pub type StatCheck<'a> = dyn Fn(&StatSpec, Windows) -> Result<(), Refusal> + 'a;

/// Reads a configuration and the files that it names: ranges and hash key. Machine, NICs and brokers are not looked at.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(path: &Path, stat_check: &StatCheck<'_>) -> Result<Config, Faults> {
    load_with(path, stat_check, &|_| Faults::default())
}

/// What is wrong in the files that `[enrich]` names.
pub type TableCheck<'a> = dyn Fn(&Enrich) -> Faults + 'a;

/// The same; where anything is wrong, tables are looked at too, as far as they are there, so that their faults are told with the others.
/// Where nothing is, who needs the tables reads them, and says what is wrong.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load_with(path: &Path, stat_check: &StatCheck<'_>, table_check: &TableCheck<'_>) -> Result<Config, Faults> {
    let document = walk::parse(path)?;
    let book = Book::new(path, document.raw());
    let config = read(Section::root(&book, document.as_table()), stat_check);
    let config = config.map(|config| Config { text: written::toml(document.as_table()), ..config });
    let tables = book.tables();
    let mut faults = book.into_faults();
    if let Some(enrich) = tables.filter(|_| !faults.is_empty()) {
        faults.join_new(table_check(&enrich));
    }
    faults.sort(path);
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(faults),
    }
}

/// All sections, each noting its own faults; `None` only where some were noted.
fn read(root: Section<'_, '_>, stat_check: &StatCheck<'_>) -> Option<Config> {
    let file = root.book().file().to_owned();
    let appliance = appliance::read(&root);
    let cores = cores::read(&root);
    let ports = cores::read_ports(&root);
    let ranges = ranges::read(&root);
    let mirror = mirror::read(&root);
    let keys_from = mirror::read_keys_from(&root);
    let tags = tags::read(&root);
    mirror::judge(&root, &mirror, &tags);
    let links = links::read(&root);
    let enrich = enrich::read(&root);
    let sets = sets::read(&root);
    let windows = appliance.as_ref().map_or_else(Windows::default, Appliance::windows);
    let stats = stats::read(&root, &sets, &|spec| stat_check(spec, windows));
    if root.rows("stats").is_empty() && appliance.as_ref().is_some_and(|appliance| appliance.heartbeat) {
        root.fault(
            "stats",
            "are none, and with appliance.heartbeat every range would be called idle",
            "set heartbeat = false, or write a stat",
        );
    }
    let streams = streams::read(&root);
    let journal = journal::read(&root);
    let knows_names = enrich.as_ref().map_or_else(|| root.has("enrich"), |enrich| enrich.interfaces.is_some() || enrich.snmp.is_some());
    let (flows, interfaces) = flows::read(&root, journal.as_ref(), knows_names);
    let exports = exports::read(&root);
    let packet_logs = exports::read_logs(&root, journal.as_ref());
    let mut sinks = sinks::read(&root);
    if let Some(kafka) = &mut sinks.kafka {
        kafka.flows_have_one_topic = streams.is_empty();
    }
    let admin = sinks::read_admin(&root);
    let audit = audit::read(&root, &tags, sinks.kafka.as_ref());
    let duplicates = duplicates::read(&root, &mirror);
    topics::judge(
        &root,
        &Parts { sinks: &sinks, flows: flows.as_ref(), streams: &streams, audit: audit.as_ref(), logs: packet_logs.as_ref() },
    );
    root.close();
    let (appliance, ranges) = (appliance?, ranges?);
    let mut config = Config {
        file,
        appliance,
        cores,
        ports,
        ranges,
        mirror,
        keys_from,
        tags,
        links,
        interfaces,
        stats,
        sets,
        audit,
        duplicates,
        flows,
        enrich,
        streams,
        exports,
        packet_logs,
        journal,
        sinks,
        admin,
        hash: String::new(),
        text: String::new(),
    };
    config.hash = hash::of(&config);
    Some(config)
}

impl Config {
    /// What `run` needs beyond what `replay` does.
    ///
    /// # Errors
    /// There is no port, or the token, a secret or a certificate cannot be read.
    pub fn for_run(&self) -> Result<(), Faults> {
        if self.ports.is_empty() {
            let (what, remedy) =
                ("are missing", "write [[ports]] and below it device = \"0000:3b:00.0\", or a vdev such as \"net_af_packet0,iface=eth1\"");
            let key = "ports".to_owned();
            return Err(Faults::one(Fault { file: self.file.clone(), line: 0, key, what: what.to_owned(), remedy: remedy.to_owned() }));
        }
        let flows = self.stats.iter().position(|stat| stat.source == Source::Flows);
        if let Some(at) = flows.filter(|_| self.flows.is_none()) {
            let (row, what) = (at.to_string(), "counts flow records, and none are received");
            let (line, key) = (self.line(&["stats", &row]).unwrap_or(0), format!("stats[{at}] ({})", self.stats[at].name));
            let remedy = "write [flows] and below it listen = [\"udp/2055\"], or remove the stat".to_owned();
            return Err(Faults::one(Fault { file: self.file.clone(), line, key, what: what.to_owned(), remedy }));
        }
        let of_kafka = self.sinks.kafka.iter().flat_map(|kafka| &kafka.unreadable);
        let unreadable = of_kafka.chain(self.sinks.https.iter().flat_map(|https| &https.unreadable)).cloned();
        let token = self.admin.token.iter().filter_map(|token| token.as_ref().err().cloned());
        let mut faults = Faults::default();
        unreadable.chain(token).for_each(|fault| faults.add(fault));
        faults.or(())
    }

    /// Asked of whoever reloads over HTTP; none: nobody is asked.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn reload_token(&self) -> Result<Option<Token>, Faults> {
        self.admin.token.clone().transpose().map_err(Faults::one)
    }

    /// The whole as text that others may read: TOML without comments, places of secrets blotted out, and behind a line `# ranges` the
    /// ranges as CSV.
    pub fn written(&self) -> String {
        let ranges = written::ranges(&self.ranges.list).unwrap_or_else(|fault| format!("# ranges cannot be written: {fault}\n"));
        format!("{}{ranges}", self.text)
    }

    /// Whether a stat counts flow records.
    pub fn analyses_flows(&self) -> bool {
        self.stats.iter().any(|stat| stat.source == Source::Flows)
    }

    /// The same without stats of flow records, where nobody gives any: what is not observed is absent, never zero. The hash stays.
    #[must_use]
    pub fn without_flows(mut self) -> Self {
        self.stats.retain(|stat| stat.source == Source::Packets);
        self
    }

    /// Whether anything is reported in fast windows.
    pub fn has_fast_windows(&self) -> bool {
        let audited = self.audit.as_ref().is_some_and(|audit| audit.by != AuditBy::Tag);
        audited || self.links.iter().any(Link::has_frames) || self.stats.iter().any(|stat| stat.fast)
    }

    /// The largest weight that a blocked record can have; 1 where nothing is sampled.
    pub fn weight_max(&self) -> u16 {
        self.tags.iter().map(TagRule::weight_max).max().unwrap_or(1)
    }

    /// `file:line` of a key, for what only the machine can refuse; the file alone if it cannot be read again.
    pub fn locate(&self, path: &[&str]) -> String {
        let file = self.file.display();
        self.line(path).map_or_else(|| file.to_string(), |line| format!("{file}:{line}"))
    }

    /// Line of a key, from 1; a row of several is named by its number, from 0.
    pub fn line(&self, path: &[&str]) -> Option<usize> {
        let document = walk::parse(&self.file).ok()?;
        let item = path.iter().try_fold(document.as_item(), |item, key| item.get(key).or_else(|| item.get(key.parse::<usize>().ok()?)))?;
        let start = item.span()?.start;
        Some(document.raw().get(..start)?.matches('\n').count() + 1)
    }

    /// Names of the sets whose stats a range keeps.
    pub fn sets_of(&self, range: &Range) -> Vec<&str> {
        sets::of(&self.sets, range)
    }

    /// Which stats each range keeps.
    pub fn stat_lists(&self) -> StatLists {
        StatLists::new(&self.stats, &self.sets, &self.ranges.list)
    }
}
