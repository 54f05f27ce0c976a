//! Which traffic a configuration is measured under, and where that goes.

use std::time::Duration;

use hashbrown::HashSet;
use ipnet::IpNet;

use super::maps::Reach;
use super::{PlanError, fault};
use crate::config::{Config, Domain, Given, TagField};
use crate::generate::{Crowds, Marks, Shape};

/// Of a configuration's ranges, those that traffic goes to at most: the generator takes long for more. And at least.
const RANGES_MAX: usize = 50_000;
const RANGES_MIN: usize = 64;
/// VLAN of all frames of a mix, or the first behind it that is free, up to the last that there is.
const OWN_VLAN: u16 = 100;
const VLAN_MAX: u16 = 4_094;

/// Shapes that are wanted, or all, that there is something for.
///
/// # Errors
/// There is nothing for any of them, or for one that is asked for by name.
pub(super) fn shapes(config: &Config, wanted: &[Shape]) -> Result<Vec<Shape>, PlanError> {
    let mut found = Vec::new();
    for (_, shape) in Shape::ALL {
        match lacking(config, shape) {
            None if wanted.is_empty() || wanted.contains(&shape) => found.push(shape),
            Some(fault) if wanted.contains(&shape) => return Err(fault),
            _ => {}
        }
    }
    lacking(config, Shape::Peace).map_or(Ok(found), Err)
}

/// What a configuration lacks for a shape.
fn lacking(config: &Config, shape: Shape) -> Option<PlanError> {
    let file = &["ranges", "file"][..];
    let (key, what, remedy) = match shape {
        Shape::Mix if marks(config).is_none() => (
            &["tags"][..],
            "has no rule for blocked frames that is a VLAN with a fixed rate, and a mix has those",
            "plan without --shape mix",
        ),
        _ if plain(config, shape).next().is_some() => return None,
        Shape::V6 => (file, "has no range of IPv6 without a domain", "plan without --shape v6"),
        _ => {
            let what = "has ranges within domains alone, and traffic for those cannot be made";
            (file, what, "plan with ranges that have no domain")
        }
    };
    Some(fault(config, key, what.to_owned(), remedy.to_owned()))
}

/// Whose traffic of a shape is, and how much of the whole that is.
pub(super) fn crowds(config: &Config, slice: Duration, shape: Shape) -> (Crowds, Reach) {
    let prefixes = prefixes(config, slice, shape);
    let reach = reach(config, slice, shape, prefixes.len());
    (Crowds::new(prefixes.into_iter(), marks(config)), reach)
}

/// Ranges that a shape can go to: those that need no tunnel or tag to be told apart.
fn plain(config: &Config, shape: Shape) -> impl Iterator<Item = IpNet> {
    let list = config.ranges.list.iter().filter(|range| range.domain.is_none()).map(|range| range.prefix);
    list.filter(move |prefix| shape.goes_to(prefix))
}

/// Where traffic goes. Where there is no time for a whole window, to fewer ranges, so that each has as many packets as in one.
pub(super) fn prefixes(config: &Config, slice: Duration, shape: Shape) -> Vec<IpNet> {
    let all = plain(config, shape).count();
    let wanted = in_time(config, slice, all).min(RANGES_MAX);
    let taken = |at: usize| at * wanted / all.max(1) != (at + 1) * wanted / all.max(1);
    plain(config, shape).enumerate().filter(|(at, _)| taken(*at)).map(|(_, prefix)| prefix).collect()
}

/// Of so many ranges, those that there is time for.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
fn in_time(config: &Config, slice: Duration, all: usize) -> usize {
    let share = slice.as_secs_f64() * 1e3 / config.appliance.window_ms.max(1) as f64;
    ((all as f64 * share.min(1.0)) as usize).max(RANGES_MIN.min(all))
}

/// Of traffic of a shape to so many ranges.
#[allow(clippy::cast_precision_loss, reason = "a ratio")]
pub(super) fn reach(config: &Config, slice: Duration, shape: Shape, ranges: usize) -> Reach {
    let plain = plain(config, shape).count();
    let in_time = plain as f64 / in_time(config, slice, plain).max(1) as f64;
    let all = config.ranges.list.iter().filter(|range| shape.goes_to(&range.prefix)).count();
    Reach { ranges, all, beside: config.ranges.list.len() - all, in_time }
}

/// How what was blocked is marked, where that is a VLAN and a constant rate.
pub(super) fn marks(config: &Config) -> Option<Marks> {
    config.tags.iter().filter(|rule| rule.blocked).find_map(|rule| {
        let [(TagField::Vlan, vlan)] = rule.matches.fields[..] else { return None };
        let Given::Fixed(rate) = rule.sampling else { return None };
        let (blocked, sampling) = (u16::try_from(vlan).ok()?, u16::try_from(rate).ok()?);
        rule.matches.src_mac.is_none().then(|| Marks { blocked, sampling, own: own_vlan(config) })
    })
}

/// Of a mirror that tags all that it gives: a VLAN that no rule, link or range speaks of; where there is none, 0.
pub(super) fn own_vlan(config: &Config) -> u16 {
    let of_links = config.links.iter().flat_map(|link| &link.matches);
    let matches = config.tags.iter().map(|rule| &rule.matches).chain(of_links);
    let is_vlan = |field| matches!(field, TagField::Vlan | TagField::InnerVlan);
    let of_matches = matches.flat_map(|of| &of.fields).filter_map(|(field, value)| is_vlan(*field).then_some(*value));
    let of_ranges = config.ranges.list.iter().filter_map(|range| match range.domain {
        Some(Domain::Vlan(vlan)) => Some(vlan),
        _ => None,
    });
    let named: HashSet<u32> = of_matches.chain(of_ranges).collect();
    (OWN_VLAN..=VLAN_MAX).find(|vlan| !named.contains(&u32::from(*vlan))).unwrap_or(0)
}
