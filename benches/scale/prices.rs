//! Prices of a packet, as `plan` measured them.

use std::collections::BTreeMap;

use tailwater::runtime::plan::{Account, ShapeAccount};

/// Nanoseconds a packet.
pub(crate) struct Prices {
    /// Of a core that receives and works.
    pub(crate) alone_ns: f64,
    /// Of both, to take a frame from a queue.
    pub(crate) rx_ns: f64,
    /// Of one that receives and sends batches to one worker each.
    pub(crate) receives_ns: f64,
    pub(crate) sends_ns: f64,
    takes_ns: f64,
    /// Of any worker that has a part of a batch: unpacking.
    unpacks_ns: f64,
    /// Of all stats together: keys and hashes, kernels, closing.
    counts_ns: f64,
    /// Shares of that by row of the configuration, and by kind of calculation.
    pub(crate) stats: Vec<f64>,
    pub(crate) kinds: Vec<f64>,
}

impl Prices {
    pub(crate) fn of(account: &Account, shape: &ShapeAccount) -> Self {
        let at = account.shapes.iter().position(|other| other.shape == shape.shape).unwrap_or(0);
        let (mut stats, mut kinds) = (Vec::new(), BTreeMap::<&str, f64>::new());
        let sum: f64 = account.bill.iter().map(|price| price.ns[at]).sum();
        for price in account.bill.iter().filter(|price| price.ns[at] > 0.0) {
            stats.push(price.ns[at] / sum);
            *kinds.entry(&price.calculation[..]).or_default() += price.ns[at] / sum;
        }
        let stage = |name: &str| shape.costs.stages.iter().find(|(known, _)| *known == name).map_or(0.0, |(_, ns)| *ns);
        let (sends_ns, takes_ns, unpacks_ns) = (shape.costs.sends_ns, shape.costs.takes_ns, stage("shard"));
        Self {
            alone_ns: shape.ns_per_packet,
            rx_ns: stage("rx"),
            receives_ns: shape.costs.receives_ns,
            sends_ns,
            takes_ns,
            unpacks_ns,
            counts_ns: shape.costs.works_ns - takes_ns - unpacks_ns,
            stats,
            kinds: kinds.into_values().collect(),
        }
    }

    /// Of a worker that has all of a batch.
    pub(crate) fn works_ns(&self) -> f64 {
        self.part_ns(1.0)
    }

    /// Of a worker that has this share of a batch's stats. Keys and hashes are taken to be parted like the stats: that flatters
    /// whoever parts them.
    pub(crate) fn part_ns(&self, share: f64) -> f64 {
        self.takes_ns + self.unpacks_ns + share * self.counts_ns
    }
}
