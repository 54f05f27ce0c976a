//! All tables together, and what they add to a flow.

use std::collections::HashSet;
use std::sync::Arc;

use super::bgp::{self, Route};
use super::customers::{self, Customer};
use super::geo::{self, As};
use super::interfaces::{self, Interface, Interfaces};
use super::lookups::{self, Texts};
use super::prefixes::Prefixes;
use super::protocols::Protocols;
use crate::config::{Customers, Enrich, Faults, Lookup, Range};
use crate::flows::{Added, Address, Flow, Remote, Text, value};

/// Tables as they were read, each shared: another one beside it costs the others nothing.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    pub(super) customers: Option<Arc<Prefixes<Customer>>>,
    pub(super) systems: Option<Arc<Prefixes<As>>>,
    pub(super) countries: Option<Arc<Prefixes<Text>>>,
    pub(super) interfaces: Option<Arc<Interfaces>>,
    pub(super) asked: Option<Arc<Interfaces>>,
    /// Exporters that have not answered yet.
    pub(super) unheard: Arc<HashSet<Address>>,
    pub(super) routes: Option<Arc<Prefixes<Route>>>,
    pub(super) lookups: Vec<(Lookup, Arc<Texts>)>,
    protocols: Option<Arc<Protocols>>,
    prefers_table: bool,
    normalises: bool,
}

/// One that is read from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Customers,
    Systems,
    Countries,
    Interfaces,
    Routes,
    Lookup(usize),
}

impl Tables {
    /// All that the configuration names; `ranges` are the appliance's own.
    ///
    /// # Errors
    /// All that is wrong in any of the files.
    pub fn load(enrich: &Enrich, ranges: &[Range]) -> Result<Self, Faults> {
        let mut tables = Self {
            protocols: enrich.protocol_names.then(Arc::default),
            prefers_table: enrich.prefers_table,
            normalises: enrich.normalise,
            ..Self::default()
        };
        let mut faults = Faults::default();
        for (table, _) in files(enrich) {
            tables.read(table, enrich).unwrap_or_else(|wrong| faults.join(wrong));
        }
        if enrich.customers == Some(Customers::Ranges) {
            tables.set_ranges(ranges);
        }
        faults.or(tables)
    }

    /// All that is wrong in any of the files, for who has no use of the tables.
    pub fn faults(enrich: &Enrich) -> Faults {
        Self::load(enrich, &[]).err().unwrap_or_default()
    }

    /// Customers are those of these ranges.
    pub(super) fn set_ranges(&mut self, ranges: &[Range]) {
        self.customers = Some(Arc::new(customers::of_ranges(ranges)));
    }

    /// Reads one file again; if it is faulty, what was there stays.
    pub(super) fn read(&mut self, table: Table, enrich: &Enrich) -> Result<(), Faults> {
        match table {
            Table::Customers => {
                if let Some(Customers::File(file)) = &enrich.customers {
                    self.customers = Some(Arc::new(customers::load(file)?));
                }
            }
            Table::Systems => self.systems = enrich.asn.as_deref().map(geo::systems).transpose()?.map(Arc::new),
            Table::Countries => self.countries = enrich.country.as_deref().map(geo::countries).transpose()?.map(Arc::new),
            Table::Interfaces => self.interfaces = enrich.interfaces.as_deref().map(interfaces::load).transpose()?.map(Arc::new),
            Table::Routes => self.routes = enrich.bgp.as_deref().map(bgp::load).transpose()?.map(Arc::new),
            Table::Lookup(at) => {
                let Some(lookup) = enrich.lookups.get(at) else { return Ok(()) };
                let texts = Arc::new(lookups::load(lookup)?);
                match self.lookups.iter_mut().find(|(own, _)| own == lookup) {
                    Some((_, own)) => *own = texts,
                    None => self.lookups.push((lookup.clone(), texts)),
                }
            }
        }
        Ok(())
    }

    /// Adds what is known to a flow.
    pub fn enrich(&self, flow: &mut Flow, added: &mut Added) {
        if let Some(customers) = &self.customers {
            sides(customers, flow, added);
        }
        self.geography(flow, added);
        self.routing(flow);
        self.names(flow, added);
        self.interfaces(flow, added);
        if let Some(protocols) = &self.protocols {
            added.proto_name = protocols.name(flow.fields.proto);
        }
        for (lookup, texts) in &self.lookups {
            let text = texts.of(&value(flow, added, lookup.by.number)).cloned();
            if let (Some(text), Some(into)) = (text, added.text_mut(lookup.into.name)) {
                *into = text;
            }
        }
        if self.normalises {
            normalise(flow, added);
        }
    }

    fn geography(&self, flow: &Flow, added: &mut Added) {
        let Some(countries) = &self.countries else { return };
        let f = &flow.fields;
        added.src_country = countries.of(&f.src_addr).cloned().unwrap_or_default();
        added.dst_country = countries.of(&f.dst_addr).cloned().unwrap_or_default();
        added.remote_country = match added.remote {
            Remote::Neither => Text::NONE,
            Remote::Src => added.src_country.clone(),
            Remote::Dst => added.dst_country.clone(),
        };
    }

    /// AS and next hop: of the routing table, else of the database, where the exporter told none, or whatever it told.
    fn routing(&self, flow: &mut Flow) {
        let f = &mut flow.fields;
        let route = |address: &Address| self.routes.as_ref().and_then(|routes| routes.of(address));
        let (src, dst) = (route(&f.src_addr), route(&f.dst_addr));
        let system = |address: &Address| self.systems.as_ref().and_then(|systems| systems.of(address)).map(|system| system.number);
        let origin = |route: Option<&Route>, address: &Address| {
            route.map(|route| route.origin).filter(|origin| *origin != 0).or_else(|| system(address))
        };
        for (own, route, address) in [(&mut f.src_as, src, &f.src_addr), (&mut f.dst_as, dst, &f.dst_addr)] {
            if (*own == 0 || self.prefers_table)
                && let Some(origin) = origin(route, address)
            {
                *own = origin;
            }
        }
        let hop = dst.map(|route| route.next_hop).filter(|hop| !hop.is_void());
        for own in [&mut f.next_hop, &mut f.bgp_next_hop] {
            if (own.is_void() || self.prefers_table)
                && let Some(hop) = hop
            {
                *own = hop;
            }
        }
    }

    /// Organisations, where the database has the AS that the flow has.
    fn names(&self, flow: &Flow, added: &mut Added) {
        let Some(systems) = &self.systems else { return };
        let f = &flow.fields;
        let name = |address: &Address, number: u32| {
            systems.of(address).filter(|system| system.number == number).map_or(Text::NONE, |system| system.name.clone())
        };
        (added.src_as_name, added.dst_as_name) = (name(&f.src_addr, f.src_as), name(&f.dst_addr, f.dst_as));
    }

    fn interfaces(&self, flow: &Flow, added: &mut Added) {
        if self.interfaces.is_none() && self.asked.is_none() {
            return;
        }
        let f = &flow.fields;
        let one = |number: u32| {
            let of = |table: &Interfaces, who: Address| table.get(&(who, number)).cloned();
            let either = |table: &Option<Arc<Interfaces>>| {
                let table = table.as_ref()?;
                of(table, f.sampler_address).or_else(|| of(table, f.exporter_address))
            };
            either(&self.interfaces).or_else(|| either(&self.asked)).unwrap_or_default()
        };
        let Interface { name, description, speed } = one(f.in_if);
        (added.src_if_name, added.src_if_desc, added.src_if_speed) = (name, description, speed);
        let Interface { name, description, speed } = one(f.out_if);
        (added.dst_if_name, added.dst_if_desc, added.dst_if_speed) = (name, description, speed);
    }
}

/// Customers of both sides, and whose the flow is.
fn sides(customers: &Prefixes<Customer>, flow: &Flow, added: &mut Added) {
    let (src, dst) = (customers.of(&flow.fields.src_addr), customers.of(&flow.fields.dst_addr));
    if let Some(src) = src {
        (added.src_cid, added.src_customer) = (src.cid, src.name.clone());
    }
    if let Some(dst) = dst {
        (added.dst_cid, added.dst_customer) = (dst.cid, dst.name.clone());
    }
    if let Some(own) = dst.or(src) {
        (added.cid, added.customer) = (own.cid, own.name.clone());
    }
    added.remote = match (src.is_some(), dst.is_some()) {
        (false, true) => Remote::Src,
        (true, false) => Remote::Dst,
        _ => Remote::Neither,
    };
}

/// Counts times the rate, where it is known.
fn normalise(flow: &mut Flow, added: &mut Added) {
    let f = &mut flow.fields;
    if f.sampling_rate > 0 {
        f.bytes = f.bytes.saturating_mul(f.sampling_rate);
        f.packets = f.packets.saturating_mul(f.sampling_rate);
        added.normalized = true;
    }
}

/// The files that tables are read from.
pub(super) fn files(enrich: &Enrich) -> Vec<(Table, std::path::PathBuf)> {
    let customers = match &enrich.customers {
        Some(Customers::File(file)) => Some(file),
        _ => None,
    };
    let single = [
        (Table::Customers, customers),
        (Table::Systems, enrich.asn.as_ref()),
        (Table::Countries, enrich.country.as_ref()),
        (Table::Interfaces, enrich.interfaces.as_ref()),
        (Table::Routes, enrich.bgp.as_ref()),
    ];
    let lookups = (0..).map(Table::Lookup).zip(enrich.lookups.iter().map(|lookup| Some(&lookup.file)));
    single.into_iter().chain(lookups).filter_map(|(table, file)| Some((table, file?.clone()))).collect()
}
