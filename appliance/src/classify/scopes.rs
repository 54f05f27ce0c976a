//! Roll-ups: which ranges are counted together, and what tells a packet between two of them from one that comes from outside.
//!
//! A scope is a range with all those of its customer that are nested in it, or a customer with all its ranges. Scopes of a range
//! lie within each other, the customer's outermost. A packet between two ranges is a record of each: who adds up both has it
//! twice. So the record of the range that it comes from goes to a *twin* of that range, one for each of its scopes: to that of
//! the innermost scope that has both ends. All that a range and its twins have is the range's; and who counts packets of any
//! direction in a scope leaves out those twins whose packets have both ends in it, for their other ends are in it too.

use std::collections::HashMap;

use crate::config::{Domain, Range};

/// No scope, no twin.
const NONE: u32 = u32::MAX;

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// The range with this index, and those of its customer and domain that are nested in it.
    Subtree(u32),
    /// All ranges of this customer.
    Customer(String),
}

/// One roll-up.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Whose packets.
    pub of: Of,
    /// Its ranges, ascending; two at least.
    pub members: Vec<u32>,
    /// The next larger one; of a customer's none.
    parent: u32,
    /// How many are larger.
    depth: u16,
}

/// What is known of a range.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Its innermost scope.
    scope: u32,
    /// Its first twin, of its customer's scope; those of smaller ones follow.
    twins: u32,
}

/// A range behind an index that may be that of a twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The range.
    pub range: u32,
    /// Of a twin, how many scopes are larger than the innermost one that has both ends of its packets.
    pub within: Option<u16>,
}

/// All scopes of a generation; none where roll-ups are not asked for.
#[derive(Clone, Debug, Default)]
pub struct Scopes {
    /// Subtrees in the order of their ranges, then customers by name.
    list: Vec<Scope>,
    places: Vec<Place>,
    /// Of twins, which stand behind the ranges.
    twins: Vec<Owner>,
}

impl Scopes {
    /// `ranges` in the order of [`crate::config::ranges::load`]. `needs`: whether a range keeps a figure that is not told by the
    /// directions of its packets, so that twins are needed.
    pub fn new(ranges: &[Range], needs: impl Fn(usize) -> bool) -> Self {
        let parents = parents(ranges);
        let mut scopes = Self { list: named(ranges, &parents), ..Self::default() };
        scopes.link(ranges, &parents);
        for (at, place) in scopes.places.iter_mut().enumerate().filter(|(at, place)| place.scope != NONE && needs(*at)) {
            place.twins = index(ranges.len() + scopes.twins.len());
            let depth = scopes.list[place.scope as usize].depth;
            scopes.twins.extend((0..=depth).map(|within| Owner { range: index(at), within: Some(within) }));
        }
        scopes
    }

    /// Puts every range into its scopes.
    fn link(&mut self, ranges: &[Range], parents: &[u32]) {
        let (mut subtrees, mut customers) = (HashMap::new(), HashMap::new());
        for (scope, at) in self.list.iter().zip(0..) {
            match &scope.of {
                Of::Subtree(range) => _ = subtrees.insert(*range, at),
                Of::Customer(name) => _ = customers.insert(name.clone(), at),
            }
        }
        let around = |range: u32| {
            let parent = parents[range as usize];
            let of_customer = || customers.get(&ranges[range as usize].customer).copied().unwrap_or(NONE);
            if parent == NONE { of_customer() } else { subtrees.get(&parent).copied().unwrap_or(NONE) }
        };
        // A range comes behind those that it is nested in: their depths are known.
        for (range, at) in &subtrees.iter().map(|(range, at)| (*range, *at)).collect::<std::collections::BTreeMap<u32, u32>>() {
            let parent = around(*range);
            let depth = self.list.get(parent as usize).map_or(0, |scope| scope.depth + 1);
            let scope = &mut self.list[*at as usize];
            (scope.parent, scope.depth) = (parent, depth);
        }
        for range in 0..index(ranges.len()) {
            let scope = subtrees.get(&range).copied().unwrap_or_else(|| around(range));
            self.places.push(Place { scope, twins: NONE });
            let mut at = scope;
            while let Some(scope) = self.list.get_mut(at as usize) {
                scope.members.push(range);
                at = scope.parent;
            }
        }
    }

    /// Every one: subtrees in the order of their ranges, then customers by name.
    pub fn list(&self) -> &[Scope] {
        &self.list
    }

    /// Those that a range is in, the smallest first: positions in [`Self::list`].
    pub fn around(&self, range: u32) -> impl Iterator<Item = usize> {
        let known = |at: u32| (at != NONE).then_some(at);
        let innermost = self.places.get(range as usize).and_then(|place| known(place.scope));
        std::iter::successors(innermost, move |at| known(self.list[*at as usize].parent)).map(|at| at as usize)
    }

    /// How many twins there are. They have the indices behind those of the ranges.
    pub const fn twins(&self) -> usize {
        self.twins.len()
    }

    /// The range of each twin, in their order.
    pub fn owners(&self) -> impl Iterator<Item = u32> {
        self.twins.iter().map(|twin| twin.range)
    }

    /// Whose an index is.
    pub fn owner(&self, index: u32) -> Owner {
        let twin = (index as usize).checked_sub(self.places.len()).and_then(|at| self.twins.get(at));
        twin.copied().unwrap_or(Owner { range: index, within: None })
    }

    /// Whether a range's packets to others of its scopes are kept apart anywhere.
    #[inline]
    pub const fn part(&self) -> bool {
        !self.twins.is_empty()
    }

    /// Where a packet counts for the range that it comes from, if it goes to that other range: at the range itself or at a twin.
    pub fn source(&self, from: u32, to: u32) -> u32 {
        let (Some(one), Some(other)) = (self.places.get(from as usize), self.places.get(to as usize)) else { return from };
        if one.twins == NONE {
            return from;
        }
        let (mut here, mut there) = (one.scope, other.scope);
        while here != there {
            let (Some(a), Some(b)) = (self.list.get(here as usize), self.list.get(there as usize)) else { return from };
            if a.depth >= b.depth {
                here = a.parent;
            } else {
                there = b.parent;
            }
        }
        self.list.get(here as usize).map_or(from, |common| one.twins + u32::from(common.depth))
    }
}

impl Scope {
    /// Whether packets of a twin have both ends in this scope, one of those of the twin's range.
    pub fn has_both(&self, owner: Owner) -> bool {
        owner.within.is_some_and(|within| within >= self.depth)
    }
}

fn index(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(NONE)
}

/// Of each range, the smallest one around it of the same customer and domain.
fn parents(ranges: &[Range]) -> Vec<u32> {
    let mut open: HashMap<Option<Domain>, Vec<u32>> = HashMap::new();
    let parent = |(range, at): (&Range, u32)| {
        let around = open.entry(range.domain).or_default();
        while around.pop_if(|last| !ranges[*last as usize].prefix.contains(&range.prefix)).is_some() {}
        let parent = around.iter().rev().find(|other| ranges[**other as usize].customer == range.customer).copied();
        around.push(at);
        parent.unwrap_or(NONE)
    };
    ranges.iter().zip(0..).map(parent).collect()
}

/// Scopes that there are, without their ranges.
fn named(ranges: &[Range], parents: &[u32]) -> Vec<Scope> {
    let mut subtrees: Vec<u32> = parents.iter().copied().filter(|parent| *parent != NONE).collect();
    subtrees.sort_unstable();
    subtrees.dedup();
    let mut customers: Vec<&str> = ranges.iter().map(|range| &range.customer[..]).collect();
    customers.sort_unstable();
    let several = customers.chunk_by(|a, b| a == b).filter(|ranges| ranges.len() > 1).map(|ranges| Of::Customer(ranges[0].to_owned()));
    let all = subtrees.into_iter().map(Of::Subtree).chain(several);
    all.map(|of| Scope { of, members: Vec::new(), parent: NONE, depth: 0 }).collect()
}

#[cfg(test)]
#[path = "scopes_tests.rs"]
mod tests;
