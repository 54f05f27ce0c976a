//! Keeps tables new: one thread looks whether files have changed, another asks exporters for their interfaces. Neither is ever waited
//! for by who has flows. A file that is faulty changes nothing, and is told once.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::interfaces::Interfaces;
use super::shelf::Shelf;
use super::snmp;
use super::tables::{Table, Tables, files};
use crate::config::{Customers, Enrich, Faults, Range, Snmp, ranges};
use crate::flows::Address;
use crate::limits::INTERFACES_ASKED_MAX;

/// How often threads look whether they shall end.
const NAP: Duration = Duration::from_millis(50);

/// While exporters are asked, what they said is given on so often.
const SHELVE: Duration = Duration::from_secs(5);

/// Who did not answer is asked again after so long, then after twice as long, and so on.
const AGAIN: Duration = Duration::from_secs(5);

/// See the module. Dropped, its threads end when they have read or heard what they are at; nobody waits for that.
pub struct Keeper {
    shelf: Arc<Shelf>,
    orders: Arc<Orders>,
}

/// What threads are told, and what they tell.
#[derive(Debug, Default)]
struct Orders {
    stop: AtomicBool,
    look: AtomicBool,
    reloads: AtomicU64,
    failures: AtomicU64,
}

/// What tells that a file is another one, or may be read now and could not before: when it was written, when anything of it changed (its
/// rights too), its length and number.
type Stamp = Option<(SystemTime, (i64, i64), u64, u64)>;

fn stamp(file: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    let data = std::fs::metadata(file).ok()?;
    Some((data.modified().ok()?, (data.ctime(), data.ctime_nsec()), data.len(), data.ino()))
}

impl Keeper {
    /// Reads all tables and starts to keep them. `ranges_file`: read again when it changes, by who has no other way to reload ranges.
    /// `ask_first`: exporters are asked before this returns, for who has no time to wait later.
    ///
    /// # Errors
    /// All that is wrong in any of the files.
    pub fn start(enrich: &Enrich, ranges: &[Range], ranges_file: Option<PathBuf>, ask_first: bool) -> Result<Self, Faults> {
        let mut stamps: HashMap<PathBuf, Stamp> = files(enrich).into_iter().map(|(_, file)| (file.clone(), stamp(&file))).collect();
        let ranges_file = ranges_file.filter(|_| enrich.customers == Some(Customers::Ranges));
        stamps.extend(ranges_file.iter().map(|file| (file.clone(), stamp(file))));
        let shelf = Arc::new(Shelf::new(Tables::load(enrich, ranges)?));
        let orders = Arc::new(Orders::default());
        let keeper = Self { shelf, orders };
        if let Some(settings) = &enrich.snmp {
            let mut asking = Asking { settings: settings.clone(), known: HashMap::new(), silent: HashMap::new() };
            asking.shelve(&keeper.shelf);
            if ask_first {
                asking.round(&settings.exporters, &keeper.shelf, &keeper.orders);
            }
            let (shelf, orders) = (Arc::clone(&keeper.shelf), Arc::clone(&keeper.orders));
            spawn("enrich-snmp", move || asking.run(&shelf, &orders, ask_first));
        }
        let watch = Watch { enrich: enrich.clone(), ranges_file, stamps };
        let (shelf, orders) = (Arc::clone(&keeper.shelf), Arc::clone(&keeper.orders));
        spawn("enrich-files", move || watch.run(&shelf, &orders));
        Ok(keeper)
    }

    /// Where pipelines find the tables.
    pub fn shelf(&self) -> Arc<Shelf> {
        Arc::clone(&self.shelf)
    }

    /// Files are looked at now, not only when it is time.
    pub fn look(&self) {
        self.orders.look.store(true, Ordering::Relaxed);
    }

    /// Customers are those of these ranges from now on, if they are those of ranges at all: for who reloads ranges itself.
    pub fn set_ranges(&self, enrich: &Enrich, ranges: &[Range]) {
        self.follow_ranges(enrich)(ranges);
    }

    /// The same for who has no hold of this one.
    pub fn follow_ranges(&self, enrich: &Enrich) -> impl Fn(&[Range]) + use<> {
        let (shelf, is_meant) = (Arc::clone(&self.shelf), enrich.customers == Some(Customers::Ranges));
        move |ranges| {
            if is_meant {
                let mut tables = Tables::default();
                tables.set_ranges(ranges);
                shelf.change(|own| own.customers = tables.customers);
            }
        }
    }

    /// Files that were read again, and those that were refused.
    pub fn reloads(&self) -> (u64, u64) {
        (self.orders.reloads.load(Ordering::Relaxed), self.orders.failures.load(Ordering::Relaxed))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.orders.stop.store(true, Ordering::Relaxed);
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) {
    if let Err(fault) = std::thread::Builder::new().name(name.to_owned()).spawn(body) {
        tracing::error!("{name}: no thread: {fault}; tables stay as they are");
    }
}

impl Orders {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Rests; true if it is time to end.
    fn rest(&self, time: Duration, may_wake: bool) -> bool {
        let since = Instant::now();
        while !self.is_over() && since.elapsed() < time {
            if may_wake && self.look.swap(false, Ordering::Relaxed) {
                break;
            }
            std::thread::sleep(NAP.min(time));
        }
        self.is_over()
    }
}

/// Files, and what they were when they were read.
struct Watch {
    enrich: Enrich,
    ranges_file: Option<PathBuf>,
    stamps: HashMap<PathBuf, Stamp>,
}

impl Watch {
    fn run(mut self, shelf: &Shelf, orders: &Orders) {
        while !orders.rest(Duration::from_secs(self.enrich.reload_s), true) {
            shelf.forget();
            let changed = self.changed();
            for (table, file) in files(&self.enrich).into_iter().filter(|(_, file)| changed.contains(file)) {
                let told = self.read(table, shelf);
                tell(&file, told, orders);
            }
            if let Some(file) = self.ranges_file.clone().filter(|file| changed.contains(file)) {
                let read = ranges::load(&file).map(|list| {
                    let mut tables = Tables::default();
                    tables.set_ranges(&list);
                    shelf.change(|own| own.customers = tables.customers);
                });
                tell(&file, read, orders);
            }
        }
    }

    /// Files that are others than they were; several tables may be of one.
    fn changed(&mut self) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        for (file, before) in &mut self.stamps {
            let now = stamp(file);
            if *before != now {
                *before = now;
                changed.push(file.clone());
            }
        }
        changed
    }

    /// Into a copy, which is then put in place.
    fn read(&self, table: Table, shelf: &Shelf) -> Result<(), Faults> {
        let mut tables = shelf.copy();
        tables.read(table, &self.enrich)?;
        shelf.change(|own| match table {
            Table::Customers => own.customers = tables.customers,
            Table::Systems => own.systems = tables.systems,
            Table::Countries => own.countries = tables.countries,
            Table::Interfaces => own.interfaces = tables.interfaces,
            Table::Routes => own.routes = tables.routes,
            Table::Lookup(_) => own.lookups = tables.lookups,
        });
        Ok(())
    }
}

fn tell(file: &Path, read: Result<(), Faults>, orders: &Orders) {
    match read {
        Ok(()) => {
            orders.reloads.fetch_add(1, Ordering::Relaxed);
            tracing::info!("{}: read again", file.display());
        }
        Err(faults) => {
            orders.failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!("what was read before stays in use: {faults}");
        }
    }
}

/// Who is asked by SNMP, and what came of it.
struct Asking {
    settings: Snmp,
    known: HashMap<SocketAddr, Interfaces>,
    silent: HashMap<SocketAddr, String>,
}

impl Asking {
    fn run(mut self, shelf: &Shelf, orders: &Orders, asked: bool) {
        let (all, refresh) = (self.settings.exporters.clone(), Duration::from_secs(self.settings.refresh_s));
        if !asked {
            self.round(&all, shelf, orders);
        }
        loop {
            let (since, mut again) = (Instant::now(), AGAIN);
            while let Some(left) = refresh.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) {
                let silent: Vec<SocketAddr> = all.iter().filter(|exporter| self.silent.contains_key(exporter)).copied().collect();
                if orders.rest(if silent.is_empty() { left } else { again.min(left) }, false) {
                    return;
                }
                if !silent.is_empty() {
                    self.round(&silent, shelf, orders);
                    again *= 2;
                }
            }
            self.round(&all, shelf, orders);
        }
    }

    /// Asks each of these once. What one said before stays, if it does not answer.
    fn round(&mut self, exporters: &[SocketAddr], shelf: &Shelf, orders: &Orders) {
        let community = match self.settings.community.read() {
            Ok(community) => community,
            Err(fault) => return self.cannot_ask(exporters, &fault.to_string()),
        };
        let mut told = Instant::now();
        for exporter in exporters.iter().copied() {
            if orders.is_over() {
                return;
            }
            match snmp::walk(exporter, community.expose(), &self.settings) {
                Ok(interfaces) => {
                    self.silent.remove(&exporter);
                    self.learn(exporter, interfaces);
                    if told.elapsed() >= SHELVE {
                        told = Instant::now();
                        self.shelve(shelf);
                    }
                }
                Err(fault) => {
                    if self.silent.insert(exporter, fault.clone()).as_ref() != Some(&fault) {
                        tracing::warn!("snmp {exporter}: {fault}; open its port 161 to us, and look at community and address");
                    }
                }
            }
        }
        self.shelve(shelf);
    }

    /// Nobody can be asked: told once, and tried again.
    fn cannot_ask(&mut self, exporters: &[SocketAddr], fault: &str) {
        let is_known = exporters.iter().map(|exporter| self.silent.insert(*exporter, fault.to_owned()));
        if is_known.filter(|before| before.as_deref() != Some(fault)).count() > 0 {
            tracing::error!("enrich.snmp.community_file: {fault}");
        }
    }

    /// What an exporter said takes the place of what it said before, as far as there is room.
    fn learn(&mut self, exporter: SocketAddr, mut interfaces: Interfaces) {
        self.known.remove(&exporter);
        let room = INTERFACES_ASKED_MAX.saturating_sub(self.known.values().map(HashMap::len).sum());
        if interfaces.len() > room {
            tracing::warn!(
                "snmp {exporter}: of its {} interfaces {room} are kept: {INTERFACES_ASKED_MAX} is the bound of all",
                interfaces.len()
            );
            interfaces = interfaces.into_iter().take(room).collect();
        }
        self.known.insert(exporter, interfaces);
    }

    /// Pipelines find what is known: one map of all, and not one an exporter that answers.
    fn shelve(&self, shelf: &Shelf) {
        let all: Arc<Interfaces> = Arc::new(self.known.values().flatten().map(|(key, one)| (*key, one.clone())).collect());
        let unheard = self.settings.exporters.iter().filter(|exporter| !self.known.contains_key(exporter));
        let unheard: Arc<HashSet<Address>> = Arc::new(unheard.map(|exporter| Address::from(exporter.ip())).collect());
        shelf.change(|tables| (tables.asked, tables.unheard) = (Some(all), unheard));
    }
}
