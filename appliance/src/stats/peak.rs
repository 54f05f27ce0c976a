//! `peak`: the highest rate in any sub-window, and when it was.
//!
//! A window is cut into sub-windows of equal length, each with a sum of its own, so shards merge by adding sub-window by
//! sub-window. A packet belongs to the sub-window of its time; one that is late, counted in a window after its own, to
//! the first.
//!
//! Of a sample: with m sub-windows the peak is not below any of their lower ends at .025/m (Bonferroni), and not above
//! the largest of their upper ends at .025, since the busiest one's own end holds it. The value is the largest estimate,
//! and of few samples too high: chance chose it.

use std::collections::BTreeMap;

use super::columns::View;
use super::figure::{Estimate, Figure, Peak as Figures, Unseen};
use super::interval::{Question, estimate, estimate_key};
use super::pool::{Handle, Memory, Pool};
use super::stretch::{Stretch, chunk};
use super::weighted::{self, SAMPLED_WORDS, Weighted};
use super::{Calculation, Closing, Context, Exhausted, Kernel, Summary, settings};
use crate::axes::Metric;
use crate::config::{Refusal, StatSpec, Windows};
use crate::limits::PEAK_SUB_WINDOWS_MAX;

/// Length of a sub-window where the row says nothing and the windows allow it.
const SUB_WINDOW_MS: u64 = 100;
const NS_IN_MS: u64 = 1_000_000;
/// Sums of sub-windows in which there was nothing.
static ZEROS: [u64; ZEROS_LEN] = [0; ZEROS_LEN];
const ZEROS_LEN: usize = 1_024;
const _: () = assert!(ZEROS_LEN as u64 == PEAK_SUB_WINDOWS_MAX, "as many as there are sub-windows");
/// Root: start of the window, chunk of plain sums, chunk of sampled ones.
const ROOT_WORDS: usize = 3;

/// The calculation.
pub struct Peak;

impl Calculation for Peak {
    fn name(&self) -> &'static str {
        "peak"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["sub_window_ms"]
    }

    fn reads_times(&self) -> bool {
        true
    }

    fn compile(&self, spec: &StatSpec, context: &Context) -> Result<Box<dyn Kernel>, Refusal> {
        if spec.metric == Metric::Flows {
            return Err(settings::refusal("metric", "`flows` goes with `sum` only"));
        }
        let sub_window_ms = sub_window_ms(spec, context.windows)?;
        let window_ms = shortest_ms(spec, context.windows);
        let count = usize::try_from(window_ms / sub_window_ms).unwrap_or(1);
        Ok(Box::new(PeakKernel { sub_window_ms, count, sampled: context.sampled() }))
    }
}

/// The shortest window that the stat is kept in.
const fn shortest_ms(spec: &StatSpec, windows: Windows) -> u64 {
    if spec.fast { windows.fast_window_ms } else { windows.window_ms }
}

/// The row's own, or the shortest from 100 ms on that divides the window and is long enough.
fn sub_window_ms(spec: &StatSpec, windows: Windows) -> Result<u64, Refusal> {
    let (shortest, longest) = (shortest_ms(spec, windows), windows.window_ms);
    let least = longest.div_ceil(PEAK_SUB_WINDOWS_MAX);
    if least > shortest {
        let message = format!(
            "a fast `peak` has at most {PEAK_SUB_WINDOWS_MAX} sub-windows in window_ms, and fast_window_ms makes more: leave `fast` out, or lengthen fast_window_ms to {least}"
        );
        return Err(settings::refusal("fast", message));
    }
    let usual = SUB_WINDOW_MS.min(shortest).max(least);
    let divides = |ms: &u64| shortest.is_multiple_of(*ms);
    let default = (usual..=shortest).find(divides).unwrap_or(shortest);
    let chosen = settings::integer(spec, "sub_window_ms", default, least..=shortest)?;
    if divides(&chosen) {
        return Ok(chosen);
    }
    let near = (chosen..=shortest).find(divides).unwrap_or(shortest);
    Err(settings::refusal("sub_window_ms", format!("must divide the window of {shortest} ms, as {near} does")))
}

struct PeakKernel {
    sub_window_ms: u64,
    /// Sub-windows of a block.
    count: usize,
    sampled: bool,
}

impl PeakKernel {
    /// Which sub-window a time is in.
    fn sub_window(&self, time_ns: u64, start_ns: u64) -> usize {
        let since = time_ns.saturating_sub(start_ns) / (self.sub_window_ms * NS_IN_MS);
        usize::try_from(since).unwrap_or(usize::MAX).min(self.count - 1)
    }

    /// The sums of a kind, made when they are needed.
    fn sums<'a>(slot: &mut u64, memory: &'a mut Memory<'_>, words: usize) -> Result<&'a mut [u64], Exhausted> {
        if *slot == 0 {
            *slot = memory.alloc(words).ok_or(Exhausted)?.word();
        }
        Ok(memory.pool.get_mut(Handle::from_word(*slot)))
    }
}

impl Kernel for PeakKernel {
    fn root_words(&self) -> usize {
        ROOT_WORDS
    }

    fn keeps_keys(&self) -> bool {
        false
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        let [start, plain, sampled] = root else { return Ok(()) };
        *start = view.start_ns();
        for (place, row) in view.placed() {
            let at = self.sub_window(view.time_ns(place), *start);
            if row.is_sampled() && self.sampled {
                let sums = Self::sums(sampled, memory, self.count * SAMPLED_WORDS)?;
                weighted::add(&mut sums[at * SAMPLED_WORDS..][..SAMPLED_WORDS], row.value, row.weight, row.proven);
            } else {
                let sums = Self::sums(plain, memory, self.count)?;
                sums[at] = sums[at].saturating_add(row.value * row.weight);
            }
        }
        Ok(())
    }

    /// Start, the plain sums or as many zeros, the sampled ones if there are any.
    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        self.export_some(root, pool, Stretch::WHOLE, out);
    }

    fn export_some(&self, root: &[u64], pool: &Pool, stretch: Stretch, out: &mut Vec<u64>) -> Option<usize> {
        let [start, plain, sampled] = root else { return None };
        let (plain, sampled) = (if *plain == 0 { &ZEROS } else { chunk(pool, *plain) }, chunk(pool, *sampled));
        let sampled = &sampled[..sampled.len().min(self.count * SAMPLED_WORDS)];
        stretch.copy(&[&[*start], &plain[..self.count], sampled], out)
    }

    fn export_words_max(&self) -> usize {
        1 + self.count * (1 + if self.sampled { SAMPLED_WORDS } else { 0 })
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        root[1..].iter().for_each(|word| pool.free(Handle::from_word(*word)));
    }

    fn summary(&self) -> Box<dyn Summary> {
        Box::new(PeakSummary { sub_window_ms: self.sub_window_ms, count: self.count, sums: BTreeMap::new() })
    }
}

/// By the sub-windows' starts: a long window of a fast stat is made of many short ones.
struct PeakSummary {
    sub_window_ms: u64,
    count: usize,
    sums: BTreeMap<u64, Weighted>,
}

impl PeakSummary {
    /// Of a window with so many sub-windows.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn peak(&self, question: &Question, count: u64) -> Figures {
        // What was not counted at all may still have been there, unsampled.
        let empty = (count > self.sums.len() as u64).then(Weighted::default);
        let all = || self.sums.values().chain(&empty);
        let busiest = self.sums.iter().rev().max_by_key(|(_, sum)| sum.total());
        let (start_ns, sum) = busiest.map_or_else(Default::default, |(start, sum)| (*start, *sum));
        // Where one sub-window's rate is unknown, another may be the true peak.
        let question = Question { random: question.random && all().all(|sum| sum.unproven == 0), ..*question };
        let low = all().map(|sum| estimate_key(sum, &Unseen::default(), count, &question).low).fold(0.0, f64::max);
        let high = all().map(|sum| estimate(sum, &question).high).reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))).flatten();
        let of_busiest = estimate(&sum, &question);
        let scale = |n: f64| n * 1_000.0 / self.sub_window_ms as f64;
        let rate = Estimate { value: scale(of_busiest.value), low: scale(low), high: high.map(scale), ..of_busiest };
        Figures { rate, start_ns, sub_window_ms: self.sub_window_ms, series: self.sums.iter().map(|(at, sum)| (*at, *sum)).collect() }
    }
}

impl Summary for PeakSummary {
    fn absorb(&mut self, words: &[u64]) {
        let Some((start_ns, rest)) = words.split_first() else { return };
        let (plain, sampled) = rest.split_at(self.count.min(rest.len()));
        let start = |at: usize| start_ns.saturating_add(at as u64 * self.sub_window_ms * NS_IN_MS);
        for (at, passed) in plain.iter().enumerate().filter(|(_, n)| **n > 0) {
            self.sums.entry(start(at)).or_default().merge(&Weighted::from_words(&[*passed]));
        }
        for (at, words) in sampled.chunks_exact(SAMPLED_WORDS).enumerate().filter(|(_, words)| words[1] > 0) {
            self.sums.entry(start(at)).or_default().merge(&Weighted::from_words(words));
        }
    }

    fn figure(&self, question: &Question) -> Figure {
        Figure::Peak(self.peak(question, self.count as u64))
    }

    fn close(&self, question: &Question, closing: &mut Closing<'_>) -> Figure {
        let (start_ns, end_ns) = closing.window_ns;
        let count = (end_ns - start_ns) / (self.sub_window_ms * NS_IN_MS);
        Figure::Peak(self.peak(question, count.max(1)))
    }
}
