//! Bins of a histogram: half-open ones between edges, or one for each label that the configuration lists.

use super::columns::View;
use super::figure::BinOf;
use super::settings;
use crate::axes::key::{Scale, number};
use crate::axes::value;
use crate::config::{Refusal, Setting, StatSpec};
use crate::limits::{HISTOGRAM_EDGES_MAX, HISTOGRAM_LISTED_MAX};
use crate::units::Family;

/// Numbers whose bins are looked up: those of one byte, and sizes of usual packets.
const NUMBERS_SOON: u64 = 2_048;

/// What holds everything that is not listed.
const OTHER: &str = "other";

/// Which bin a key falls into.
#[derive(Clone, Debug)]
pub(super) enum Bins {
    /// Ascending edges, none of them zero: the first bin begins at zero, the last has no end.
    Edges(Edges),
    /// Labels as they are listed; behind them the bin `other`.
    Labels {
        /// In the order of the configuration.
        names: Vec<String>,
        /// Keys of these names and their positions, sorted; those of the other family are left out.
        keys: Vec<(Vec<u8>, usize)>,
    },
}

/// Edges, and the bins of the numbers that come most.
#[derive(Clone, Debug)]
pub(super) struct Edges {
    list: Vec<u64>,
    soon: Vec<u16>,
}

impl Edges {
    fn new(list: Vec<u64>) -> Self {
        let mut edges = Self { list, soon: Vec::new() };
        edges.soon = (0..NUMBERS_SOON).map(|value| u16::try_from(edges.search(value)).unwrap_or(u16::MAX)).collect();
        edges
    }

    /// The bin of a number.
    #[inline(always)]
    pub(super) fn bin(&self, value: u32) -> usize {
        match self.soon.get(value as usize) {
            Some(bin) => usize::from(*bin),
            None => self.search(value.into()),
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// The lowest number of a bin; none: there is no such bin. That of the first is zero.
    #[inline(always)]
    pub(super) fn low_of(&self, bin: usize) -> Option<u64> {
        match bin.checked_sub(1) {
            Some(edge) => self.list.get(edge).copied(),
            None => Some(0),
        }
    }

    fn search(&self, value: u64) -> usize {
        self.list.partition_point(|edge| *edge <= value)
    }
}

impl Bins {
    /// As a row asks; none: one bin for each name that comes.
    pub(super) fn read(spec: &StatSpec, family: Family) -> Result<Option<Self>, Refusal> {
        let scale = spec.key.single().map_or(Scale::Open, |key| key.row().scale);
        let setting = spec.settings.iter().find(|(name, _)| name == "bins").map(|(_, setting)| setting);
        match (setting, scale) {
            (Some(Setting::Texts(labels)), _) => labels_of(spec, labels, family).map(Some),
            (Some(Setting::Integers(list)), _) if list.is_empty() => Err(malformed()),
            (Some(setting), Scale::Number) => edges_of(setting).map(|edges| Some(Self::Edges(Edges::new(edges)))),
            (None, Scale::Number) => usual(spec).map(|edges| Some(Self::Edges(Edges::new(edges)))),
            (None, Scale::Label) => Ok(None),
            (Some(_), Scale::Label) => {
                let message = format!("`{}` has one bin a value: leave `bins` out, or list those that count, as text", spec.key.name());
                Err(settings::refusal("bins", message))
            }
            (Some(_), Scale::Open) => {
                let message = format!("`{}` is no number: list the values that have a bin, as text", spec.key.name());
                Err(settings::refusal("bins", message))
            }
            (None, Scale::Open) => {
                let message = format!(
                    "no histogram over `{}` without `bins`: it has too many values; list those that have a bin, or `topk` gives its heaviest",
                    spec.key.name()
                );
                Err(settings::refusal("bins", message))
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Edges(edges) => edges.list.len() + 1,
            Self::Labels { names, .. } => names.len() + 1,
        }
    }

    /// The bin of a record's key.
    #[inline(always)]
    pub(super) fn at(&self, view: &View<'_>, at: usize) -> usize {
        match self {
            Self::Edges(edges) => {
                let value = view.number(at);
                match usize::try_from(value).ok().and_then(|value| edges.soon.get(value)) {
                    Some(bin) => usize::from(*bin),
                    None => edges.search(value),
                }
            }
            Self::Labels { .. } => self.of(view.row(at).key),
        }
    }

    /// The bin of a key.
    pub(super) fn of(&self, key: &[u8]) -> usize {
        match self {
            Self::Edges(edges) => edges.search(number(key)),
            Self::Labels { names, keys } => {
                keys.binary_search_by(|(bytes, _)| bytes.as_slice().cmp(key)).map_or(names.len(), |i| keys[i].1)
            }
        }
    }

    /// What a bin holds, as reports say it.
    #[allow(clippy::cast_precision_loss, reason = "edges are small")]
    pub(super) fn name(&self, bin: usize) -> BinOf {
        match self {
            Self::Edges(edges) => {
                let low = if bin == 0 { 0.0 } else { edges.list[bin - 1] as f64 };
                BinOf::Numbers(low, edges.list.get(bin).map(|edge| *edge as f64))
            }
            Self::Labels { names, .. } => BinOf::Label(names.get(bin).map_or(OTHER, String::as_str).to_owned()),
        }
    }
}

fn malformed() -> Refusal {
    let message = format!(
        "must be a list of 1 to {HISTOGRAM_EDGES_MAX} whole numbers, each larger than the one before; \
         or {{ first = 64, factor = 2, count = 10 }}; or a list of labels as text, such as [\"80\", \"443\"]"
    );
    settings::refusal("bins", message)
}

/// Edges as they are listed, or as a first one, a factor and how many.
fn edges_of(setting: &Setting) -> Result<Vec<u64>, Refusal> {
    let edges = match setting {
        Setting::Integers(list) => {
            let edges: Vec<u64> = list.iter().filter_map(|n| u64::try_from(*n).ok()).collect();
            let right = edges.len() == list.len() && edges.len() <= HISTOGRAM_EDGES_MAX && edges.windows(2).all(|pair| pair[0] < pair[1]);
            if right { edges } else { return Err(malformed()) }
        }
        Setting::Table(rows) => exponential(rows)?,
        _ => return Err(malformed()),
    };
    // An edge at zero makes no bin below it.
    Ok(edges.into_iter().filter(|edge| *edge > 0).collect())
}

/// `{ first = 64, factor = 2, count = 10 }`: 64, 128, … 32768.
fn exponential(rows: &[(String, i64)]) -> Result<Vec<u64>, Refusal> {
    const NAMES: [&str; 3] = ["count", "factor", "first"];
    let refuse = |message: String| settings::refusal("bins", message);
    if let Some((name, _)) = rows.iter().find(|(name, _)| !NAMES.contains(&name.as_str())) {
        return Err(refuse(format!("has the unknown key \"{name}\"; it may hold first, factor and count")));
    }
    let read = |name: &str, bounds: std::ops::RangeInclusive<u64>| {
        let value = rows.iter().find(|(n, _)| n == name).and_then(|(_, n)| u64::try_from(*n).ok()).filter(|n| bounds.contains(n));
        value.ok_or_else(|| refuse(format!("`{name}` must be a whole number from {} to {}", bounds.start(), bounds.end())))
    };
    let (first, factor) = (read("first", 1..=u64::from(u32::MAX))?, read("factor", 2..=u64::from(u16::MAX))?);
    let count = read("count", 1..=HISTOGRAM_EDGES_MAX as u64)?;
    let mut edges = vec![first];
    while (edges.len() as u64) < count {
        let next = edges.last().and_then(|edge| edge.checked_mul(factor)).filter(|edge| *edge <= u64::from(u32::MAX));
        let Some(next) = next else {
            let most = edges.len();
            return Err(refuse(format!(
                "has edges beyond 4294967295, which no key reaches: with this first and factor `count` may be 1 to {most}"
            )));
        };
        edges.push(next);
    }
    Ok(edges)
}

fn usual(spec: &StatSpec) -> Result<Vec<u64>, Refusal> {
    spec.key.single().and_then(value::usual_edges).ok_or_else(|| {
        let message =
            format!("give the edges of the bins over `{}`, such as [1024, 49152], or labels such as [\"80\", \"443\"]", spec.key.name());
        settings::refusal("bins", message)
    })
}

fn labels_of(spec: &StatSpec, labels: &[String], family: Family) -> Result<Bins, Refusal> {
    let refuse = |message: String| Err(settings::refusal("bins", message));
    if spec.key.width(family) == 0 {
        return Err(settings::refusal("key", "a histogram spreads over a key: name one, such as \"packet_size\""));
    }
    if labels.len() > HISTOGRAM_LISTED_MAX {
        return refuse(format!("has {} labels; it may have 1 to {HISTOGRAM_LISTED_MAX}", labels.len()));
    }
    let mut keys: Vec<(Vec<u8>, usize)> = Vec::new();
    for (i, label) in labels.iter().enumerate() {
        if label == OTHER {
            return refuse(format!("lists \"{OTHER}\", which is the bin of all that is not listed: leave it out"));
        }
        if labels[..i].contains(label) {
            return refuse(format!("lists \"{label}\" twice: leave one out"));
        }
        let [own, another] =
            [family, if family == Family::V4 { Family::V6 } else { Family::V4 }].map(|family| value::label(&spec.key, label, family));
        match (own, another) {
            (Ok(Some(bytes)), _) => keys.push((bytes, i)),
            (Ok(None), Ok(Some(_))) => {}
            (Err(canonical), _) | (_, Err(canonical)) => {
                return refuse(format!("lists \"{label}\", which reports write as \"{canonical}\": write it so"));
            }
            (Ok(None), Ok(None)) => return refuse(not_of(spec, label)),
        }
    }
    keys.sort_unstable();
    Ok(Bins::Labels { names: labels.to_vec(), keys })
}

fn not_of(spec: &StatSpec, label: &str) -> String {
    let parts: Vec<String> = spec.key.parts().iter().map(|part| value::example(*part)).collect();
    format!("lists \"{label}\", which is no value of `{}`: write {}", spec.key.name(), parts.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axes::{Key, Metric};

    fn spec(parts: &[Key], bins: Option<Setting>) -> StatSpec {
        let spec = StatSpec::new("histogram", parts, Metric::Packets);
        match bins {
            Some(bins) => spec.with("bins", bins),
            None => spec,
        }
    }

    fn table(first: i64, factor: i64, count: i64) -> Setting {
        Setting::Table(vec![("count".to_owned(), count), ("factor".to_owned(), factor), ("first".to_owned(), first)])
    }

    #[test]
    fn bins_that_are_looked_up_are_those_that_are_searched() {
        for list in [vec![], vec![1, 2, 3], vec![64, 128, 2_047, 2_048, 9_000], (1..16).map(|n| n * 16).collect()] {
            let edges = Edges::new(list);
            let of = |value: u64| edges.list.iter().filter(|edge| **edge <= value).count();
            assert!((0..).zip(&edges.soon).all(|(value, bin)| usize::from(*bin) == of(value)));
            assert!((0..10_000).all(|value| edges.search(value) == of(value)));
        }
    }

    #[test]
    fn exponential_edges() {
        let read = |setting| Bins::read(&spec(&[Key::PacketSize], Some(setting)), Family::V4);
        let Ok(Some(Bins::Edges(edges))) = read(table(64, 2, 5)) else { panic!("no edges") };
        assert_eq!(edges.list, [64, 128, 256, 512, 1_024]);
        let Ok(Some(Bins::Edges(edges))) = read(table(1, 10, 10)) else { panic!("no edges") };
        assert_eq!(edges.list.last(), Some(&1_000_000_000));
        for (first, factor, count) in [(0, 2, 3), (1, 1, 3), (1, 2, 0), (1, 2, 257), (1, 10, 11), (-1, 2, 3), (1, 65_536, 2)] {
            assert!(read(table(first, factor, count)).is_err(), "{first} {factor} {count}");
        }
    }

    #[test]
    fn labels_of_any_key_and_all_else() {
        let texts = |labels: &[&str]| Some(Setting::Texts(labels.iter().map(|label| (*label).to_owned()).collect()));
        let bins = |parts: &[Key], labels: &[&str], family| Bins::read(&spec(parts, texts(labels)), family).unwrap().unwrap();
        let sources = bins(&[Key::SrcIp], &["192.0.2.9", "2001:db8::1", "192.0.2.1"], Family::V4);
        assert_eq!((sources.count(), sources.of(&[192, 0, 2, 1]), sources.of(&[192, 0, 2, 9]), sources.of(&[192, 0, 2, 2])), (4, 2, 0, 3));
        assert_eq!((sources.name(1), sources.name(3)), (BinOf::Label("2001:db8::1".to_owned()), BinOf::Label("other".to_owned())));
        let pairs = bins(&[Key::Service, Key::Protocol], &["dns|17"], Family::V6);
        assert_eq!((pairs.of(&[4, 17]), pairs.of(&[4, 6])), (0, 1));
    }
}
