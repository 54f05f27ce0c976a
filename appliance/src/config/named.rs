//! What one section names and another one asks for: links, and the files of tables.

use std::cell::RefCell;
use std::net::IpAddr;

use super::enrich::Enrich;
use super::walk::Book;

/// An exporter, and the number that it gives an interface.
pub(super) type Interface = (IpAddr, u32);

/// What was named so far.
#[derive(Default)]
pub(super) struct Named {
    links: RefCell<Vec<(String, Option<Interface>)>>,
    tables: RefCell<Option<Enrich>>,
}

impl Book<'_> {
    /// `[enrich]` as far as it could be read: files that are not there are left out.
    pub(super) fn tables(&self) -> Option<Enrich> {
        self.named.tables.borrow().clone()
    }

    pub(super) fn name_tables(&self, enrich: &Enrich) {
        *self.named.tables.borrow_mut() = Some(enrich.clone());
    }

    /// Names of `[[links]]` that were read.
    pub(super) fn links(&self) -> Vec<String> {
        self.named.links.borrow().iter().map(|(name, _)| name.clone()).collect()
    }

    /// `[[links]]` that were read, and the interface by which flows come or go by each, if it has one.
    pub(super) fn name_links(&self, links: Vec<(String, Option<Interface>)>) {
        *self.named.links.borrow_mut() = links;
    }

    /// One more.
    pub(super) fn name_link(&self, name: &str) {
        self.named.links.borrow_mut().push((name.to_owned(), None));
    }

    /// The link of that name: by which interface flows come or go, if by any; none: there is no such link.
    pub(super) fn link(&self, name: &str) -> Option<Option<Interface>> {
        self.named.links.borrow().iter().find(|(link, _)| link == name).map(|(_, interface)| *interface)
    }
}
