//! Which shapes a configuration has something for, where they go, and that the core under measure counts what they say.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

use prost::Message as _;

use super::engine::Engine;
use super::frames::Frames;
use super::tests::{config, config_text, cores};
use super::traffic::{own_vlan, prefixes, reach, shapes};
use super::*;
use crate::config::{Domain, Given, Mode, TagField};
use crate::report::pb;

/// The small configuration, changed.
fn changed(change: impl Fn(&mut Config)) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), 64);
    change(&mut config);
    config
}

/// The small configuration, and a row of what was blocked.
fn with_blocked(folder: &std::path::Path) -> Config {
    config(folder, 64);
    let row = "\n[[stats]]\nname = \"blocked\"\ncalculation = \"sum\"\ndecision = \"blocked\"\n";
    let file = folder.join("small.toml");
    std::fs::write(&file, config_text(64) + row).unwrap();
    config::load(&file, &crate::stats::check).unwrap_or_else(|faults| panic!("{faults}"))
}

fn in_domains(config: &mut Config, those: fn(&ipnet::IpNet) -> bool) {
    config.ranges.list.iter_mut().filter(|range| those(&range.prefix)).for_each(|range| range.domain = Some(Domain::Vlan(7)));
}

fn is_v6(prefix: &ipnet::IpNet) -> bool {
    prefix.addr().is_ipv6()
}

#[test]
fn shapes_are_those_that_there_is_something_for() {
    let without = |change: fn(&mut Config)| {
        let found = shapes(&changed(change), &[]).unwrap();
        Shape::ALL.into_iter().filter(|(_, shape)| !found.contains(shape)).map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(without(|_| ()), [""; 0]);
    assert_eq!(without(|config| config.tags.clear()), ["mix"]);
    assert_eq!(without(|config| config.tags[0].blocked = false), ["mix"]);
    assert_eq!(without(|config| config.tags[0].sampling = Given::From(TagField::InnerVlan)), ["mix"]);
    assert_eq!(without(|config| config.tags[0].matches.fields.push((TagField::Port, 0))), ["mix"]);
    assert_eq!(without(|config| config.ranges.list.retain(|range| !is_v6(&range.prefix))), ["v6"]);
    assert_eq!(without(|config| in_domains(config, is_v6)), ["v6"]);
    assert_eq!(without(|config| config.ranges.list.retain(|range| is_v6(&range.prefix))), [""; 0]);
}

#[test]
fn a_shape_that_there_is_nothing_for_is_refused_by_its_name_alone() {
    let plain = changed(|config| {
        config.tags.clear();
        in_domains(config, is_v6);
    });
    let fault = |wanted: &[Shape]| shapes(&plain, wanted).err().unwrap();
    let (mix, v6) = (fault(&[Shape::Uniform, Shape::Mix]), fault(&[Shape::V6]));
    assert!(
        mix.is_configuration() && mix.to_string().contains(" tags: ") && mix.to_string().ends_with("plan without --shape mix"),
        "{mix}"
    );
    assert!(v6.to_string().contains(" ranges.file: ") && v6.to_string().ends_with("plan without --shape v6"), "{v6}");
    assert_eq!(shapes(&plain, &[Shape::Zipf, Shape::Peace]).unwrap(), [Shape::Peace, Shape::Zipf]);
    let none = shapes(&changed(|config| in_domains(config, |_| true)), &[]).err().unwrap();
    assert!(none.to_string().contains("has ranges within domains alone"), "{none}");
}

#[test]
fn a_mix_is_in_a_vlan_that_nothing_speaks_of() {
    assert_eq!(own_vlan(&changed(|_| ())), 100);
    let spoken = changed(|config| {
        config.tags[0].matches.fields = vec![(TagField::Vlan, 100), (TagField::InnerVlan, 101), (TagField::Mpls, 103)];
        config.ranges.list[0].domain = Some(Domain::Vlan(102));
    });
    assert_eq!(own_vlan(&spoken), 103);
}

#[test]
fn an_attack_on_ipv6_goes_past_all_other_ranges() {
    let (config, slice) = (changed(|_| ()), Duration::from_secs(1));
    let found = prefixes(&config, slice, Shape::V6);
    assert!(found.len() == 50 && found.iter().all(is_v6), "{found:?}");
    let of = reach(&config, slice, Shape::V6, found.len());
    assert!((of.ranges, of.all, of.beside) == (50, 50, 300) && !of.is_short(), "{of:?}");
    let uniform = reach(&config, slice, Shape::Uniform, 175);
    assert_eq!((uniform.all, uniform.beside), (350, 0));
}

#[test]
fn of_what_comes_in_a_mix_half_is_counted_as_blocked() {
    let folder = tempfile::tempdir().unwrap();
    let (config, map) = (with_blocked(folder.path()), cores(Mode::RunToCompletion, vec![1], Vec::new()));
    let world = world(&config, &map).unwrap();
    let blocked = |shape| {
        let mut engine = Engine::new(&config, &world, &Map::of(&config, &map).memory(&world)).unwrap();
        let (crowds, _) = traffic::crowds(&config, Duration::from_secs(2), shape);
        let mut frames = Frames::of(crowds.capture(shape, 20_000).unwrap()).unwrap();
        engine.window(&mut frames, 0.0, Duration::from_secs(1));
        let reports: Vec<_> = engine.sample().iter().map(|message| pb::RangeReport::decode(&*message.payload).unwrap()).collect();
        let sum = |name: &str| {
            let stats = reports.iter().flat_map(|report| &report.stats).filter(|stat| stat.name == name);
            stats.map(|stat| if let Some(pb::stat::Figure::Total(of)) = &stat.figure { of.value } else { 0.0 }).sum::<f64>()
        };
        sum("blocked") / sum("packets")
    };
    let share = blocked(Shape::Mix);
    assert!((0.45..0.55).contains(&share), "{share}");
    assert!(blocked(Shape::Uniform).abs() < 1e-9, "no other flood has blocked frames");
}

#[test]
fn rows_of_blocked_packets_have_a_price_in_a_mix() {
    let folder = tempfile::tempdir().unwrap();
    let (config, map) = (with_blocked(folder.path()), cores(Mode::RunToCompletion, vec![1], Vec::new()));
    let options = Options { seconds: 2, receives: false, frames: Some(20_000), shapes: vec![Shape::Mix, Shape::V6] };
    let account = plan(&config, &map, &options, &mut |_| ()).unwrap();
    assert_eq!(account.shapes.iter().map(|of| of.shape).collect::<Vec<_>>(), ["mix", "v6"]);
    let price = account.bill.iter().find(|price| price.stat == "blocked").unwrap();
    assert!(price.ns[0] > 0.0, "{price:?}");
    let text = account.to_string();
    assert!(text.contains("\nmix: ") && text.contains(", 50 of 50 ranges)") && !text.contains("scaled up from 50 ranges"), "{text}");
}
