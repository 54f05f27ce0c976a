//! Which interfaces cross the network's edge, by their names: what `external_names` and `internal_names` of `[flows.interfaces]` make of
//! the names that tables have.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::interfaces::Interfaces as Table;
use super::shelf::Shelf;
use crate::config::{Enrich, Faults, Interfaces};
use crate::flows::{Address, Flow};
use crate::record::Named;

/// Interfaces of which it is remembered what their names say; who invents more has them looked up again.
const REMEMBERED_MAX: usize = 1 << 16;

/// Of one thread that has flows.
#[derive(Debug)]
pub struct Edges {
    rules: Interfaces,
    shelf: Arc<Shelf>,
    version: u64,
    tables: [Option<Arc<Table>>; 2],
    /// Exporters that have not told any names yet.
    unheard: Arc<HashSet<Address>>,
    known: HashMap<(Address, Address, u32), Option<bool>>,
}

impl Edges {
    /// By these rules and the tables of a shelf; none: no rule asks for names.
    pub fn new(rules: &Interfaces, shelf: Arc<Shelf>) -> Option<Self> {
        let mut edges =
            Self { rules: rules.clone(), shelf, version: 0, tables: [None, None], unheard: Arc::default(), known: HashMap::new() };
        edges.look();
        (!rules.names.is_empty()).then_some(edges)
    }

    /// The same with the names of the file alone: nobody is asked.
    ///
    /// # Errors
    /// The file is faulty.
    pub fn of_file(rules: &Interfaces, enrich: &Enrich) -> Result<Option<Self>, Faults> {
        if rules.names.is_empty() {
            return Ok(None);
        }
        let mut tables = super::tables::Tables::default();
        tables.read(super::tables::Table::Interfaces, enrich)?;
        Ok(Self::new(rules, Arc::new(Shelf::new(tables))))
    }

    /// Takes newer names, if there are some: at the edge of a window, so that none has both. Never waits for who is changing them.
    pub fn look(&mut self) {
        let version = self.shelf.version.load(Ordering::Acquire);
        if version != self.version
            && let Ok(tables) = self.shelf.tables.try_lock()
        {
            (self.tables, self.version) = ([tables.interfaces.clone(), tables.asked.clone()], version);
            self.unheard = Arc::clone(&tables.unheard);
            self.known.clear();
        }
    }

    /// What the names of a flow's interfaces say.
    pub fn of(&mut self, flow: &Flow) -> Named {
        let f = &flow.fields;
        let sides = [f.in_if, f.out_if].map(|number| self.side(f.sampler_address, f.exporter_address, number));
        Named { sides, are_unknown: !self.unheard.is_empty() && self.is_unheard(flow, sides) }
    }

    /// Whether a name would decide that nobody has told yet.
    fn is_unheard(&self, flow: &Flow, sides: [Option<bool>; 2]) -> bool {
        let f = &flow.fields;
        let Some(exporter) = f.sampler_address.ip().map(|address| address.to_canonical()) else { return false };
        let waits = |(number, side): (u32, Option<bool>)| number > 0 && side.is_none() && !self.rules.says(exporter, number);
        let is_unheard = [f.sampler_address, f.exporter_address].iter().any(|address| self.unheard.contains(address));
        is_unheard && [(f.in_if, sides[0]), (f.out_if, sides[1])].into_iter().any(waits)
    }

    fn side(&mut self, sampler: Address, exporter: Address, number: u32) -> Option<bool> {
        let key = (sampler, exporter, number);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let mut found = self.tables.iter().flatten().flat_map(|table| [sampler, exporter].map(|who| table.get(&(who, number))));
        let side = found.find_map(|found| found).and_then(|interface| self.rules.of_name(&interface.name));
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        self.known.insert(key, side);
        side
    }
}
