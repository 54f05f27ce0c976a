use std::sync::Arc;

use super::*;
use crate::arch::HashKey;
use crate::config;
use crate::stats;

/// 4,000 ranges: a sum of each takes 32 KB.
const HEAD: &str = "[appliance]\nmemory_mb = 64\n[ranges]\nfile = \"r.csv\"\nmax = 4000\n";
const PREMIUM: &str = "[[sets]]\nname = \"premium\"\nmatch = { label = \"plan=premium\" }\ninclude = [\"default\"]\n";
/// 64 bins: half a kilobyte a range.
fn sizes() -> String {
    let edges: Vec<String> = (1..64).map(|n| (16 * n).to_string()).collect();
    format!("[[stats]]\nname = \"sizes\"\ncalculation = \"histogram\"\nkey = \"packet_size\"\nbins = [{}]\n", edges.join(", "))
}

fn sums(count: usize) -> String {
    (0..count).map(|n| format!("[[stats]]\nname = \"sum{n}\"\ncalculation = \"sum\"\n")).collect()
}

const ROWS: &str = "prefix,customer,plan\n10.0.0.0/24,a,basic\n203.0.113.0/24,b,premium\n";

fn load(folder: &std::path::Path, text: &str) -> Config {
    load_ranges(folder, text, ROWS)
}

fn load_ranges(folder: &std::path::Path, text: &str, rows: &str) -> Config {
    std::fs::write(folder.join("r.csv"), rows).unwrap();
    std::fs::write(folder.join("t.toml"), text).unwrap();
    config::load(&folder.join("t.toml"), &stats::check).unwrap_or_else(|faults| panic!("{faults}"))
}

/// What is said of loading `new` where `first` was started, on two cores.
fn said(first: &str, new: &str) -> String {
    said_of_ranges((first, ROWS), (new, ROWS))
}

fn said_of_ranges((first, of_first): (&str, &str), (new, of_new): (&str, &str)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let config = load_ranges(folder.path(), first, of_first);
    let world = Arc::new(World::first(&config, HashKey::constant(), 1).unwrap());
    let cores = Cores { rx: vec![1, 2], workers: Vec::new() };
    assert_eq!(MemoryPlan::new(&world, &cores).lacking(&world), None, "what `run` refuses");
    let new = load_ranges(folder.path(), new, of_new);
    let next = world.next(&new, 2).unwrap();
    let text = fits(&new, Start { config: &config, world: &world, cores: &cores }, &next)
        .map_or_else(|faults| faults.to_string(), |()| String::new());
    println!("{text}");
    text
}

/// 2 MB are to spare at least: 40 more sums of 32 KB find room, 100 do not; the largest of what came is named.
#[test]
fn stats_are_added_while_their_sums_find_room() {
    let first = [HEAD, &sums(8)].concat();
    assert_eq!(said(&first, &[HEAD, &sums(48)].concat()), "");
    let text = said(&first, &[HEAD, &sums(8), &sizes(), &sums(100)[sums(8).len()..]].concat());
    assert!(text.contains("t.toml:30: stats[8] (sizes): the sums of all ranges would take "), "{text}");
    assert!(text.contains("KB that are reserved since the start; this stat takes 2000 KB more than before, the most"), "{text}");
    assert!(text.contains("this needs a restart, for which memory_mb = 64 will do; to reload the rest, leave the stat out"), "{text}");
}

/// The stat is what it was, and more ranges are of its set.
#[test]
fn it_says_where_more_ranges_keep_a_stat() {
    let of_set = |toml: String| toml.replace("calculation", "sets = [\"premium\"]\ncalculation");
    let toml = [HEAD, &sums(1), &of_set((1..30).map(|n| sizes().replace("sizes", &format!("sizes{n}"))).collect()), PREMIUM].concat();
    let rows = |premium: usize| {
        let plan = |n: usize| if n < premium { "premium" } else { "basic" };
        let row = |n: usize| format!("10.{}.{}.0/24,a,{}\n", n / 256, n % 256, plan(n));
        format!("prefix,customer,plan\n{}", (0..4_000).map(row).collect::<String>())
    };
    let text = said_of_ranges((&toml, &rows(10)), (&toml, &rows(2_000)));
    assert!(text.contains("stats[1] (sizes1): the sums of all ranges would take "), "{text}");
    assert!(text.contains("KB more than before, the most: 2000 ranges keep it, and 10 did (sets premium); this needs a restart"), "{text}");
    assert!(text.ends_with("; to reload the rest, leave ranges of the set out"), "{text}");
}

/// Where a page holds four roots and no more, longer ones are added all the same: fewer to a page, and more pages.
#[test]
fn stats_are_added_to_long_roots_too() {
    let head = HEAD.replace("4000", "100");
    let rows = |count: usize| (0..count).map(|n| sizes().replace("sizes", &format!("sizes{n}"))).collect::<String>();
    let of = |count: usize| [&head, &rows(count)[..]].concat();
    assert_eq!(said(&of(40), &of(41)), "");
    assert!(said(&of(40), &of(79)).contains("the sums of all ranges would take "));
}

/// What a restart takes is looked at too.
#[test]
fn it_says_how_much_memory_a_restart_takes() {
    let small = HEAD.replace("64", "16").replace("4000", "30000");
    let text = said(&[&small, &sums(4)[..]].concat(), &[&small, &sums(100)[..]].concat());
    let (_, least) = text.split_once("for which set memory_mb to at least ").unwrap_or_else(|| panic!("{text}"));
    let least: u64 = least.split(';').next().unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let lacking = |mb: u64| {
        let config = load(folder.path(), &[&small.replace("16", &mb.to_string()), &sums(100)[..]].concat());
        let world = World::first(&config, HashKey::constant(), 1).unwrap();
        MemoryPlan::new(&world, &Cores { rx: vec![1, 2], workers: Vec::new() }).lacking(&world)
    };
    assert_eq!(lacking(least), None);
    assert!(lacking(least / 2).unwrap().what.contains("the sums of 30000 ranges "), "{:?}", lacking(least / 2));
}

/// What is proposed is not refused, whatever the cores.
#[test]
fn the_least_memory_is_enough() {
    for (receivers, workers) in [(1, 0), (4, 0), (1, 1), (1, 8), (4, 1), (8, 8)] {
        let cores = Cores { rx: (1..=receivers).collect(), workers: (100..100 + workers).collect() };
        let plan = |mb: usize| {
            let folder = tempfile::tempdir().unwrap();
            let head = HEAD.replace("64", &mb.to_string()).replace("4000", "20000");
            let world = World::first(&load(folder.path(), &[&head, &sums(30)[..]].concat()), HashKey::constant(), 1).unwrap();
            let plan = MemoryPlan::new(&world, &cores);
            (plan.least_mb(), plan.lacking(&world))
        };
        let (least, lacking) = plan(4);
        assert!(lacking.is_some_and(|lacking| lacking.remedy.contains(&format!("at least {least}"))));
        assert_eq!(plan(least).1, None, "{receivers} receive, {workers} work");
    }
}

/// A block that is too long is some range's, of some sets, and mostly one stat's.
#[test]
fn a_block_that_is_too_long_says_whose_it_is() {
    let list = "[[stats]]\nname = \"hosts\"\ncalculation = \"topk\"\nkey = \"src_ip\"\nk = 1000\nsets = [\"premium\"]\n";
    let text = said(&[HEAD, &sums(2)].concat(), &[HEAD, &sums(2), list, PREMIUM].concat());
    assert!(text.contains("t.toml:12: stats[2] (hosts): the block of a range (203.0.113.0/24, of the sets premium) may take "), "{text}");
}

#[test]
fn what_is_proposed_for_ranges_is_enough_and_allowed() {
    for (count, proposed) in [(4, 1_000), (1_000, 1_000), (1_001, 2_000), (1_048_001, RANGES_MAX), (RANGES_MAX, RANGES_MAX)] {
        assert_eq!(proposed_max(count), proposed);
    }
}

/// Each size of root has two pages at least, which the budget knows of: with many sets of few ranges they are most of it.
#[test]
fn the_budget_knows_what_many_sets_reserve() {
    let sets = 60;
    let row = |n: usize| {
        let edges: Vec<String> = (1..40 + n).map(|edge| (16 * edge).to_string()).collect();
        format!(
            "[[stats]]\nname = \"h{n}\"\ncalculation = \"histogram\"\nkey = \"packet_size\"\nbins = [{}]\nsets = [\"s{n}\"]\n\
             [[sets]]\nname = \"s{n}\"\nmatch = {{ customer = \"c{n}\" }}\n",
            edges.join(", ")
        )
    };
    let rows: String = (0..sets).map(|n| format!("10.0.{n}.0/24,c{n},basic\n")).collect();
    let text: String = (0..sets).map(row).collect();
    for memory_mb in [4, 16, 64, 256] {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[appliance]\nmemory_mb = {memory_mb}\n[ranges]\nfile = \"r.csv\"\n{}{text}", sums(1));
        let config = load_ranges(folder.path(), &text, &["prefix,customer,plan\n", &rows].concat());
        let world = World::first(&config, HashKey::constant(), 1).unwrap();
        let plan = MemoryPlan::new(&world, &Cores { rx: vec![1, 2], workers: Vec::new() });
        assert_eq!(plan.shard.roots, world.plans.roots_least(plan.shard.roots), "{memory_mb} MB: what a shard reserves is in the plan");
        assert!(plan.worst() <= memory_mb << 20 || plan.lacking(&world).is_some(), "{memory_mb} MB");
    }
}
