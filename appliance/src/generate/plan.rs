//! Whose traffic it is: ranges, and the longest that an address lies in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::dice::Dice;
use super::scenario::{Family, Range, Scenario};

/// Ranges by family and prefix, without duplicates.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) ranges: Vec<Range>,
    /// Positions, the busiest range first: in the order in which the scenario names them.
    busy: Vec<usize>,
    v4: Lookup<u32>,
    v6: Lookup<u128>,
}

/// For each prefix length that occurs, longest first: its mask, and its prefixes.
type Lookup<T> = Vec<(T, HashMap<T, usize>)>;

impl Plan {
    pub(super) fn of(scenario: &Scenario) -> Self {
        let mut ranges = scenario.ranges.list.clone();
        ranges.extend((0..scenario.ranges.count).filter_map(|n| made(n, scenario.ranges.family)));
        let named = ranges.iter().map(|range| range.prefix).collect::<Vec<_>>();
        ranges.sort_by_key(|range| range.prefix);
        ranges.dedup_by_key(|range| range.prefix);
        let (mut v4, mut v6) = (Lookup::new(), Lookup::new());
        for (index, range) in ranges.iter().enumerate() {
            match range.prefix {
                IpNet::V4(net) => insert(&mut v4, net.netmask().to_bits(), net.network().to_bits(), index),
                IpNet::V6(net) => insert(&mut v6, net.netmask().to_bits(), net.network().to_bits(), index),
            }
        }
        v4.sort_by_key(|(mask, _)| std::cmp::Reverse(*mask));
        v6.sort_by_key(|(mask, _)| std::cmp::Reverse(*mask));
        let mut busy = named.iter().filter_map(|prefix| ranges.binary_search_by_key(prefix, |range| range.prefix).ok()).collect::<Vec<_>>();
        let mut seen = hashbrown::HashSet::new();
        busy.retain(|range| seen.insert(*range));
        Self { ranges, busy, v4, v6 }
    }

    /// The longest range that an address lies in.
    pub(super) fn longest(&self, address: IpAddr) -> Option<usize> {
        match address {
            IpAddr::V4(address) => self.v4.iter().find_map(|(mask, of)| of.get(&(address.to_bits() & mask))).copied(),
            IpAddr::V6(address) => self.v6.iter().find_map(|(mask, of)| of.get(&(address.to_bits() & mask))).copied(),
        }
    }

    /// Whether a prefix and any range have an address in common.
    pub(super) fn meets(&self, prefix: IpNet) -> bool {
        self.ranges.iter().any(|range| range.prefix.contains(&prefix) || prefix.contains(&range.prefix))
    }

    /// Ranges that lie in a prefix.
    pub(super) fn within(&self, prefix: IpNet) -> Vec<IpNet> {
        self.ranges.iter().map(|range| range.prefix).filter(|range| prefix.contains(range)).collect()
    }

    /// Ranges of one family by position, the busiest first.
    pub(super) fn of_family(&self, v6: bool) -> Vec<usize> {
        let is = |index: &usize| self.ranges.get(*index).is_some_and(|range| matches!(range.prefix, IpNet::V6(_)) == v6);
        self.busy.iter().copied().filter(is).collect()
    }

    /// One of the first addresses of a range, where its servers stand.
    pub(super) fn server(&self, range: usize, dice: &mut Dice) -> Option<IpAddr> {
        Some(address_in(self.ranges.get(range)?.prefix, u128::from(1 + dice.below(20))))
    }

    /// Any address that is routed and lies in no range.
    pub(super) fn outside(&self, v6: bool, dice: &mut Dice) -> IpAddr {
        loop {
            let address = if v6 { outside_v6(dice) } else { outside_v4(dice) };
            if self.longest(address).is_none() {
                return address;
            }
        }
    }
}

fn insert<T: PartialEq + Eq + std::hash::Hash>(lookup: &mut Lookup<T>, mask: T, network: T, index: usize) {
    match lookup.iter_mut().find(|(known, _)| *known == mask) {
        Some((_, of)) => _ = of.insert(network, index),
        None => lookup.push((mask, HashMap::from_iter([(network, index)]))),
    }
}

/// Made range *n*: an IPv4 of 10.0.0.0/8, or an IPv6 of 2001:db8::/32.
fn made(n: usize, family: Family) -> Option<Range> {
    let (v6, at) = match family {
        Family::Both if n % 4 == 3 => (true, n / 4),
        Family::Both => (false, n / 4 * 3 + n % 4),
        Family::V4 => (false, n),
        Family::V6 => (true, n),
    };
    let number = u32::try_from(at).ok()?;
    let prefix = if v6 {
        let address = 0x2001_0db8_u128 << 96 | u128::from(number) << 80;
        IpNet::V6(Ipv6Net::new(Ipv6Addr::from_bits(address), 48).ok()?)
    } else {
        let address = 10_u32 << 24 | number << 8;
        IpNet::V4(Ipv4Net::new(Ipv4Addr::from_bits(address), 24).ok()?)
    };
    let plan = if (n / 4).is_multiple_of(5) { "premium" } else { "standard" };
    Some(Range { prefix, customer: format!("customer-{:04}", n / 4 + 1), plan: plan.to_owned() })
}

/// Address *n* of a prefix, counted round.
pub(super) fn address_in(prefix: IpNet, n: u128) -> IpAddr {
    match prefix {
        IpNet::V4(net) => {
            let host = u32::try_from(n & u128::from(net.hostmask().to_bits())).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(net.network().to_bits() | host))
        }
        IpNet::V6(net) => IpAddr::V6(Ipv6Addr::from_bits(net.network().to_bits() | n & net.hostmask().to_bits())),
    }
}

/// Unicast that is nobody's private, shared, loopback, link-local, documentation or test address.
fn outside_v4(dice: &mut Dice) -> IpAddr {
    loop {
        let address = Ipv4Addr::from_bits(dice.u32());
        let [a, b, ..] = address.octets();
        let special = a == 0 || a >= 224 || address.is_private() || address.is_loopback() || address.is_link_local();
        let shared = (a == 100 && b & 0xc0 == 64) || (a == 198 && b & 0xfe == 18) || (a == 192 && b == 0) || address.is_documentation();
        if !special && !shared {
            return IpAddr::V4(address);
        }
    }
}

/// Of 2400::/6, where the registries' large blocks lie: a few bits of network, any host.
fn outside_v6(dice: &mut Dice) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(0x2400_u128 << 112 | dice.u128() >> 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(list: &[&str], count: usize) -> Plan {
        let mut scenario = Scenario::load("mix").unwrap();
        scenario.ranges.count = count;
        scenario.ranges.list =
            list.iter().map(|prefix| Range { prefix: prefix.parse().unwrap(), customer: String::new(), plan: String::new() }).collect();
        Plan::of(&scenario)
    }

    #[test]
    fn the_longest_prefix_wins() {
        let plan = plan(&["198.18.0.0/20", "198.18.1.0/24", "198.18.1.7/32", "2001:db8::/32", "2001:db8:1::/48"], 0);
        let of = |address: &str| plan.longest(address.parse().unwrap()).map(|at| plan.ranges[at].prefix.to_string());
        assert_eq!(of("198.18.1.7").as_deref(), Some("198.18.1.7/32"));
        assert_eq!(of("198.18.1.8").as_deref(), Some("198.18.1.0/24"));
        assert_eq!(of("198.18.15.255").as_deref(), Some("198.18.0.0/20"));
        assert_eq!(of("198.18.16.0"), None);
        assert_eq!(of("2001:db8:1::5").as_deref(), Some("2001:db8:1::/48"));
        assert_eq!(of("2001:db9::"), None);
    }

    #[test]
    fn made_ranges_are_distinct() {
        for family in [Family::Both, Family::V4, Family::V6] {
            let mut scenario = Scenario::load("mix").unwrap();
            (scenario.ranges.count, scenario.ranges.family) = (50_000, family);
            scenario.ranges.list.clear();
            let plan = Plan::of(&scenario);
            let v6 = plan.of_family(true).len();
            assert_eq!((plan.ranges.len(), v6), (50_000, [12_500, 0, 50_000][family as usize]), "{family:?}");
        }
        let mut dice = Dice::new(1, 0);
        let plan = plan(&[], 8);
        assert!((0..1_000).all(|n| plan.longest(plan.outside(n % 2 == 0, &mut dice)).is_none()));
        assert!((0..100).all(|_| plan.server(3, &mut dice).and_then(|server| plan.longest(server)) == Some(3)));
    }
}
