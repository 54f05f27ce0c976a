//! `fanout`: the keys that touch most distinct others: scanners, carpet bombers.
//!
//! Pairs of a key and another are told apart by a hash of both. While there are few of them, all are kept: exact.
//! Beyond, only pairs whose hash starts with ever more zero bits are kept (distinct sampling, Gibbons, 2001), so that
//! one in 2^level stands for all. How many packets a pair has does not matter: a heavy key that touches few others
//! takes no room from one that touches many, and a key with F others is missed with a chance of (1 - 2^-level)^F. Which
//! pairs are kept depends on the pairs alone, so shards merge by union, and neither order nor spreading matters.
//!
//! A sample of packets shows a part of the pairs: its figures are lower bounds.

use hashbrown::HashMap;

use super::columns::View;
use super::figure::{Basis, Confidence, Estimate, Fanout as Figures, FanoutEntry, Figure};
use super::interval::{Question, garwood};
use super::pool::{Memory, Pool};
use super::stretch::Stretch;
use super::table::{self, Table};
use super::{Calculation, Context, Exhausted, Kernel, Summary, settings};
use crate::arch::hash::spread;
use crate::axes::key::KEYS;
use crate::axes::{Key, KeySpec, Metric};
use crate::config::{Refusal, StatSpec};
use crate::limits::{FANOUT_PAIRS_MAX, KEY_PARTS_MAX, TOP_K_MAX};
use crate::units::Family;

/// Keys shown where the row says nothing.
const K_DEFAULT: u64 = 20;
/// Pairs kept where the row says nothing.
const PAIRS_DEFAULT: u64 = 2_048;
/// Share of windows whose truth may lie outside one end.
const TAIL: f64 = 0.025;
/// Root: a table, and the level.
const ROOT_WORDS: usize = table::ROOT_WORDS + 1;
const LEVEL: usize = table::ROOT_WORDS;
/// No pair has a hash of more zero bits.
const LEVEL_MAX: u64 = 63;

/// The calculation.
pub struct Fanout;

impl Calculation for Fanout {
    fn name(&self) -> &'static str {
        "fanout"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["of", "k", "pairs"]
    }

    fn other_key(&self, spec: &StatSpec) -> Option<KeySpec> {
        others(spec).ok()
    }

    fn compile(&self, spec: &StatSpec, context: &Context) -> Result<Box<dyn Kernel>, Refusal> {
        if spec.key.single() == Some(Key::None) {
            return Err(settings::refusal("key", "`fanout` ranks keys: name one, such as \"src_ip\""));
        }
        if spec.metric != Metric::Packets {
            return Err(settings::refusal(
                "metric",
                "`fanout` counts pairs of keys: leave `metric` out; `where` says which packets show them",
            ));
        }
        others(spec)?;
        let k = settings::integer(spec, "k", K_DEFAULT, 1..=TOP_K_MAX as u64)?;
        let pairs = settings::integer(spec, "pairs", PAIRS_DEFAULT, 16..=FANOUT_PAIRS_MAX as u64)?;
        let key_words = spec.key.width(context.family).div_ceil(8);
        let size = |n: u64| usize::try_from(n).unwrap_or(FANOUT_PAIRS_MAX);
        let table = Table { entry_words: 1 + key_words };
        Ok(Box::new(FanoutKernel { key: spec.key.clone(), family: context.family, k: size(k), pairs: size(pairs), table }))
    }
}

/// What the row says of `of`, or the other side.
fn others(spec: &StatSpec) -> Result<KeySpec, Refusal> {
    let has_prefix = spec.key.parts().iter().any(|key| matches!(key, Key::SrcPrefix | Key::DstPrefix));
    let lengths = if has_prefix { spec.key.lengths() } else { spec.of_lengths };
    let Some(names) = settings::names(spec, "of", KEY_PARTS_MAX)? else {
        let all = |side: &[Key]| spec.key.parts().iter().all(|key| side.contains(key));
        if all(&[Key::SrcIp, Key::SrcPrefix, Key::SrcMac, Key::SrcPort, Key::SrcAsn, Key::SrcCountry]) {
            return Ok(KeySpec::new(vec![Key::DstIp], lengths));
        }
        if all(&[Key::DstIp, Key::DstPrefix, Key::DstPort, Key::DstAsn, Key::DstCountry]) {
            return Ok(KeySpec::new(vec![Key::SrcIp], lengths));
        }
        return Err(settings::refusal("of", format!("say which others a `{}` touches, such as of = \"dst_ip\"", spec.key.name())));
    };
    let mut parts = Vec::new();
    for name in &names {
        match Key::named(name).filter(|key| *key != Key::None) {
            Some(key) if key.is_looked_up() => {
                return Err(settings::refusal("of", format!("names `{name}`, which is looked up: name what packets have themselves")));
            }
            Some(key) if parts.contains(&key) => return Err(settings::refusal("of", format!("names `{name}` twice"))),
            Some(key) => parts.push(key),
            None => {
                let known: Vec<_> = KEYS.iter().filter(|row| row.key != Key::None && !row.key.is_looked_up()).map(|row| row.name).collect();
                return Err(settings::refusal("of", format!("there is no \"{name}\"; it may be {}", known.join(", "))));
            }
        }
    }
    if parts.iter().all(|key| spec.key.parts().contains(key)) {
        return Err(settings::refusal("of", "is the key itself, which touches one of them: name another"));
    }
    Ok(KeySpec::new(parts, lengths))
}

struct FanoutKernel {
    key: KeySpec,
    family: Family,
    k: usize,
    pairs: usize,
    table: Table,
}

/// Of a key's and another's keyed hashes; never zero.
const fn pair_hash(key: u64, other: u64) -> u64 {
    let hash = spread(key.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ other);
    if hash == 0 { 1 } else { hash }
}

/// Whether a pair is kept at a level.
const fn is_kept(hash: u64, level: u64) -> bool {
    hash.leading_zeros() as u64 >= level
}

impl FanoutKernel {
    /// Keeps half of the pairs.
    fn thin(&self, root: &mut [u64], pool: &mut Pool) {
        root[LEVEL] += 1;
        let level = root[LEVEL];
        self.table.retain(root, pool, |hash| is_kept(hash, level));
    }
}

impl Kernel for FanoutKernel {
    fn root_words(&self) -> usize {
        ROOT_WORDS
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        for (place, row) in view.placed() {
            let hash = pair_hash(row.hash, view.other(place).1);
            while is_kept(hash, root[LEVEL]) {
                match self.table.entry(root, memory, hash) {
                    Ok(entry) => {
                        write_key(row.key, &mut entry[1..]);
                        break;
                    }
                    Err(_) if root[0] != 0 && root[LEVEL] < LEVEL_MAX => self.thin(root, memory.pool),
                    Err(exhausted) => return Err(exhausted),
                }
            }
            while Table::len(root) > self.pairs {
                self.thin(root, memory.pool);
            }
        }
        Ok(())
    }

    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        self.export_some(root, pool, Stretch::WHOLE, out);
    }

    fn export_some(&self, root: &[u64], pool: &Pool, stretch: Stretch, out: &mut Vec<u64>) -> Option<usize> {
        self.table.export(&root[LEVEL..ROOT_WORDS], root, pool, (stretch, out))
    }

    fn export_words_max(&self) -> usize {
        1 + self.pairs * self.table.entry_words
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        Table::release(root, pool);
    }

    fn summary(&self) -> Box<dyn Summary> {
        let (key, family) = (self.key.clone(), self.family);
        let entry_words = self.table.entry_words;
        Box::new(FanoutSummary { key, family, k: self.k, pairs_max: self.pairs, entry_words, level: 0, pairs: HashMap::new() })
    }
}

/// A key's bytes as words, so that words order as bytes do.
fn write_key(bytes: &[u8], out: &mut [u64]) {
    for (word, chunk) in out.iter_mut().zip(bytes.chunks(8)) {
        let value = chunk.iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
        *word = value << (8 * (8 - chunk.len()));
    }
}

struct FanoutSummary {
    key: KeySpec,
    family: Family,
    k: usize,
    pairs_max: usize,
    entry_words: usize,
    level: u64,
    /// By hash: the key's words.
    pairs: HashMap<u64, Vec<u64>>,
}

impl Summary for FanoutSummary {
    fn absorb(&mut self, words: &[u64]) {
        let Some((level, entries)) = words.split_first() else { return };
        self.level = self.level.max(*level);
        for entry in entries.chunks_exact(self.entry_words) {
            self.pairs.insert(entry[0], entry[1..].to_vec());
        }
        let mut level = self.level;
        self.pairs.retain(|hash, _| is_kept(*hash, level));
        while self.pairs.len() > self.pairs_max && level < LEVEL_MAX {
            level += 1;
            self.pairs.retain(|hash, _| is_kept(*hash, level));
        }
        self.level = level;
    }

    fn figure(&self, question: &Question) -> Figure {
        let mut by_key: HashMap<&[u64], Vec<u64>> = HashMap::new();
        self.pairs.iter().for_each(|(hash, key)| by_key.entry(key).or_default().push(*hash));
        let mut sorted: Vec<(&[u64], Vec<u64>)> = by_key.into_iter().collect();
        sorted.iter_mut().for_each(|(_, hashes)| hashes.sort_unstable());
        sorted.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(b.0)));
        let keys = sorted.len();
        let entry = |(key, pairs): (&[u64], Vec<u64>)| {
            let value = self.estimate(pairs.len(), keys, question);
            FanoutEntry { key: self.key.text(&self.bytes(key), self.family), value, pairs }
        };
        let left_out = sorted.get(2 * self.k).map_or(0, |(_, pairs)| pairs.len());
        let absent = if self.level == 0 { Some(count(left_out)) } else { self.estimate(left_out, keys, question).high };
        let held: usize = sorted.iter().take(self.k).map(|(_, pairs)| pairs.len()).sum();
        let mut entries = sorted.into_iter().take(2 * self.k).map(entry);
        let shown: Vec<FanoutEntry> = entries.by_ref().take(self.k).collect();
        let coverage = if self.pairs.is_empty() { 0.0 } else { count(held) / count(self.pairs.len()) };
        let all = self.estimate(self.pairs.len(), 1, question);
        Figure::Fanout(Figures { entries: shown, reserve: entries.collect(), coverage, all, absent, level: self.level })
    }
}

impl FanoutSummary {
    fn bytes(&self, words: &[u64]) -> Vec<u8> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
        bytes.truncate(self.key.width(self.family));
        bytes
    }

    /// Of so many kept pairs of a key, one of so many keys that were looked at (Bonferroni: it is shown because it is
    /// large; and each of them stands for those of which no pair was kept).
    #[allow(clippy::cast_possible_truncation, reason = "at most 63")]
    fn estimate(&self, pairs: usize, keys: usize, question: &Question) -> Estimate {
        let (pairs, sampled) = (count(pairs), question.weight_max > 1);
        if self.level == 0 {
            let estimate = Estimate::exact(pairs);
            return if sampled { Estimate { high: None, basis: Basis::Sampled, ..estimate } } else { estimate };
        }
        let scale = 2_f64.powi(self.level as i32);
        let (low, high) = garwood(pairs, TAIL / (count(keys.max(1)) * scale));
        let basis = if sampled { Basis::SampledSketched } else { Basis::Sketched };
        let (low, high) = ((low * scale).floor().max(pairs), (high * scale).ceil());
        Estimate { value: pairs * scale, low, high: (!sampled).then_some(high), basis, confidence: Confidence::P95 }
    }
}

#[allow(clippy::cast_precision_loss, reason = "small")]
fn count(n: usize) -> f64 {
    n as f64
}
