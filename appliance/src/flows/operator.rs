//! Sampling rates that the operator sets: they hold whatever exporters say.

use std::collections::HashMap;

use super::collector::Settings;
use super::flow::Address;
use crate::config::{FlowRate, Flows};

/// One rate that the operator set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorRate {
    /// Source address of datagrams, or of sFlow the agent's.
    pub exporter: Address,
    /// Of flows that come in by this interface; else of all.
    pub interface: Option<u32>,
    /// One in so many.
    pub rate: u64,
}

impl From<FlowRate> for OperatorRate {
    fn from(rate: FlowRate) -> Self {
        Self { exporter: Address::from(rate.exporter), interface: rate.interface, rate: rate.rate }
    }
}

impl From<&Flows> for Settings {
    fn from(flows: &Flows) -> Self {
        Self { per_port: flows.per_port, rates: flows.sampling.iter().copied().map(OperatorRate::from).collect() }
    }
}

/// The operator's rates of one exporter.
#[derive(Clone, Debug, Default)]
pub(super) struct Operator {
    all: Option<u64>,
    interfaces: HashMap<u32, u64>,
}

impl Operator {
    /// Those of all exporters.
    pub(super) fn by_exporter(rates: &[OperatorRate]) -> HashMap<Address, Self> {
        let mut operators = HashMap::<Address, Self>::new();
        for row in rates {
            let operator = operators.entry(row.exporter).or_default();
            match row.interface {
                Some(interface) => drop(operator.interfaces.insert(interface, row.rate)),
                None => operator.all = Some(row.rate),
            }
        }
        operators
    }

    /// The rate for what came in by an interface.
    #[inline]
    pub(super) fn of(&self, interface: Option<u32>) -> Option<u64> {
        if self.interfaces.is_empty() {
            return self.all;
        }
        interface.and_then(|interface| self.interfaces.get(&interface).copied()).or(self.all)
    }
}

/// Those that may hold for a datagram: its agent's go before its source's.
pub(super) struct Operators<'a>([Option<&'a Operator>; 2]);

impl<'a> Operators<'a> {
    /// Of agent and source.
    pub(super) const fn new(agent: Option<&'a Operator>, source: Option<&'a Operator>) -> Self {
        Self([agent, source])
    }

    /// See [`Operator::of`].
    #[inline]
    pub(super) fn of(&self, interface: Option<u32>) -> Option<u64> {
        self.0.iter().flatten().find_map(|operator| operator.of(interface))
    }
}
