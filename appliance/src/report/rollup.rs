//! What reports call ranges that are counted together.

use std::collections::HashMap;

use super::{RangeName, Setting, pb};
use crate::classify::{Of, Scope, Scopes};
use crate::stats::plan::Plan;
use crate::window::ShardPlans;

/// A subtree has the name of the range that holds the others; a customer has no prefix.
pub(super) fn name(setting: &Setting, scope: &Scope) -> RangeName {
    match &scope.of {
        Of::Subtree(range) => setting.ranges[*range as usize].clone(),
        Of::Customer(customer) => {
            RangeName { prefix: String::new(), domain: String::new(), customer: customer.clone(), labels: Vec::new() }
        }
    }
}

/// What it is known by, also after ranges were read anew: no range is called so.
pub(super) fn identity(setting: &Setting, scope: &Scope) -> String {
    match &scope.of {
        Of::Subtree(range) => format!("subtree {}", setting.ranges[*range as usize].identity()),
        Of::Customer(customer) => format!("customer {customer}"),
    }
}

/// Of all.
pub(super) fn identities(setting: &Setting, scopes: &Scopes) -> impl Iterator<Item = String> {
    scopes.list().iter().map(|scope| identity(setting, scope))
}

/// As the messages spell it.
pub(super) const fn kind(scope: &Scope) -> pb::Scope {
    match scope.of {
        Of::Subtree(_) => pb::Scope::Subtree,
        Of::Customer(_) => pb::Scope::Customer,
    }
}

/// The plan whose stats a roll-up has, among others.
pub(super) fn model(plans: &ShardPlans, at: usize) -> &Plan {
    &plans.plans[plans.rollups[at].model]
}

/// Roll-ups that are of the same ranges in two generations, and the rows of the later one that they keep: of others the windows
/// before say nothing, for another range may have brought its own keys.
pub(super) fn kept((before, old): (&Setting, &ShardPlans), (now, new): (&Setting, &ShardPlans)) -> HashMap<String, Vec<usize>> {
    let members = |setting: &Setting, scope: &Scope| -> Vec<String> {
        let mut all: Vec<String> = scope.members.iter().map(|range| setting.ranges[*range as usize].identity()).collect();
        all.sort_unstable();
        all
    };
    let of_old = old.scopes.list().iter().map(|scope| (identity(before, scope), scope));
    let known: HashMap<String, &Scope> = of_old.collect();
    let of_new = new.scopes.list().iter().enumerate().filter_map(|(at, scope)| {
        let name = identity(now, scope);
        let same = known.get(&name).is_some_and(|earlier| members(before, earlier) == members(now, scope));
        let rows = new.rollups[at].stats.iter().map(|i| model(new, at).stats()[*i].spec).collect();
        same.then_some((name, rows))
    });
    of_new.collect()
}
