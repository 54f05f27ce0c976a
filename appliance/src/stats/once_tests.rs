use std::collections::BTreeMap;

use super::*;
use crate::arch::hash::spread;
use crate::stats::pool::Budget;

/// Hashes in this order, over shards in turn, each of which has so many bytes.
fn kept(hashes: &[u64], shards: usize, bytes: usize) -> Shown {
    let mut sum = Sum::default();
    for shard in 0..shards {
        let (mut pool, mut budget, mut root) = (Pool::with_bytes(bytes), Budget::of_bytes(bytes), 0);
        let mut memory = Memory { pool: &mut pool, budget: &mut budget };
        hashes.iter().skip(shard).step_by(shards).for_each(|hash| add(&mut root, &mut memory, *hash, 40));
        let mut words = Vec::new();
        export(root, &pool, &mut words);
        assert!(words.len() <= EXPORT_WORDS_MAX);
        words.push(7);
        assert_eq!(sum.absorb(&words), [7], "what follows is left");
        release(root, &mut pool);
        assert_eq!(pool.used_bytes(), 0);
    }
    sum.shown().unwrap()
}

/// Of so many keys, of which each third comes twice and each fifth at least three times.
fn hashes(keys: u64) -> Vec<u64> {
    let mut all: Vec<u64> = (1..=keys).map(|key| spread(key * 977) | 1).collect();
    let twice: Vec<u64> = all.iter().step_by(3).copied().collect();
    let more: Vec<u64> = all.iter().step_by(5).flat_map(|hash| [*hash; 2]).collect();
    all.extend(twice.into_iter().chain(more));
    all.sort_unstable_by_key(|hash| spread(*hash));
    all
}

/// What is kept and how often it came, by the definition.
fn truth(hashes: &[u64]) -> (u32, Vec<(u64, u16)>) {
    let mut times = BTreeMap::<u64, usize>::new();
    hashes.iter().for_each(|hash| *times.entry(*hash).or_default() += 1);
    let of = |level: u32| times.iter().filter(move |(hash, _)| hash.leading_zeros() >= level);
    let level = (0..64).find(|level| of(*level).count() <= KEPT_MAX).unwrap();
    (level, of(level).map(|(hash, times)| (*hash, [MORE, 40, TWICE].get(*times).copied().unwrap_or(MORE))).collect())
}

#[test]
fn what_is_kept_depends_on_the_keys_alone() {
    for keys in [0, 1, 5, 100, 256, 257, 3_000, 60_000] {
        let forward = hashes(keys);
        let (level, want) = truth(&forward);
        let backward: Vec<u64> = forward.iter().rev().copied().collect();
        for (order, shards) in [(&forward, 1), (&backward, 1), (&forward, 2), (&backward, 7), (&forward, 16)] {
            assert_eq!(kept(order, shards, 1 << 16), Shown { level, keys: want.clone(), short: false }, "{keys} keys, {shards} shards");
        }
    }
}

#[test]
fn without_memory_fewer_are_kept_and_it_says_so() {
    let all = hashes(3_000);
    let (level, want) = truth(&all);
    for bytes in [256, 512, 1_024] {
        let shown = kept(&all, 2, bytes);
        assert!(shown.short && shown.level > level && shown.level < 20, "{bytes}: {} not {level}", shown.level);
        let fewer: Vec<_> = want.iter().filter(|(hash, _)| is_kept(*hash, shown.level)).copied().collect();
        assert_eq!(shown.keys, fewer, "those that are kept are counted as ever");
    }
    let none = kept(&all, 1, 128);
    assert_eq!(none, Shown { level: LEVEL_NONE, keys: Vec::new(), short: true });
    assert_eq!(missed(&none, &Question { weight_max: 40, value_max: 1, random: true, twins: false }, 0), None);
}

/// With one rate and all keys kept the end is that of a negative binomial variable: failures before one success more.
#[test]
fn the_end_is_that_of_failures_before_a_success() {
    for rate in [2_u16, 3, 40, 1_000] {
        for once in [0_usize, 1, 5, 50, 200] {
            let keys = (0..once as u64).map(|hash| (hash + 1, rate)).chain([(900, MORE), (901, TWICE)]).collect();
            let question = Question { weight_max: u32::from(rate), value_max: 1, random: true, twins: false };
            let have = missed(&Shown { level: 0, keys, short: false }, &question, 0).unwrap();
            let p = 1.0 / f64::from(rate);
            // Its probabilities from zero on, by their logarithms.
            let (mut log, mut below, mut n) = ((once as f64 + 1.0) * p.ln(), 0.0, 0.0);
            while below + f64::exp(log) < 1.0 - TAIL {
                below += f64::exp(log);
                n += 1.0;
                log += ((once as f64 + n) / n * (1.0 - p)).ln();
            }
            assert!(have >= n && have <= n * 1.01 + 2.0, "{once} at one in {rate}: {have}, not {n}");
        }
    }
}

#[test]
fn what_is_lost_and_what_is_heavier_may_hide_more() {
    let question = |weight_max| Question { weight_max, value_max: 1, random: true, twins: false };
    let of = |level: u32, weight_max, lost| {
        let keys = (1..=20).map(|hash| (hash, 40)).collect();
        missed(&Shown { level, keys, short: false }, &question(weight_max), lost).unwrap()
    };
    // Twenty once more are as twenty lost ones.
    let forty = missed(&Shown { level: 0, keys: (1..=40).map(|hash| (hash, 40)).collect(), short: false }, &question(40), 0);
    assert_eq!(Some(of(0, 40, 20)), forty);
    assert!(of(0, 40, 0) < of(0, 100, 0) && of(0, 100, 0) < of(1, 100, 0));
    assert!(of(5, 40, 1_000) - of(5, 40, 0) < 39_000.0 * 1.3, "lost ones are not thinned");
}
