//! What a consumer keeps, to know that no report is missing and to drop repeats.
//!
//! [`Gapless`] is told each message of an appliance's topics, in the order of their partitions, and says what is wrong with it. The rules
//! are those of docs/messages.md; `examples/gapless.rs` is a consumer that follows them by this, and `consumers/python/proof.py` the same
//! in Python.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use crate::report::pb::{ApplianceReport, RangeReport, Scope, WindowKind};

/// Who numbers reports, each on its own, from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Which run of which appliance.
    pub run: Run,
    /// Domain; prefix or customer, or what stands for the account; scope, if it is not the range alone.
    of: [String; 3],
    is_fast: bool,
}

/// A run of an appliance.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// Its name.
    pub appliance: String,
    /// Another one after each start.
    pub boot_id: u64,
}

/// Where a source is: number, part, and how many parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// `kind_sequence`.
    pub number: u64,
    /// From 1.
    pub part: u32,
    /// How many of this number.
    pub of: u32,
}

/// A window of a run, from and to nanoseconds since 1970.
type Window = (Run, bool, u64, u64);

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It came before: to be dropped.
    Repeat(Source, Place),
    /// What comes is not what is due after the last one.
    Gap(Source, Place, Place),
    /// A report ends before its last part.
    Ends(Source, Place),
    /// Of a run's accounts fewer came than its next run knows of.
    Accounts(Run, u64, u64),
    /// Of a window fewer reports of ranges came than its account says.
    Short(Run, &'static str, u64, u64, u64),
    /// Nobody counted, or not all, from one moment to another, nanoseconds since 1970: the run before was cut off.
    Uncounted(String, u64, u64),
}

/// What was proven of all that came.
#[derive(Clone, Debug, Default)]
pub struct Gapless {
    last: BTreeMap<Source, Place>,
    /// How many accounts each run had, as the next one says.
    accounts: BTreeMap<Run, u64>,
    /// How many reports of ranges each window has, as its account says, and how many came.
    windows: BTreeMap<Window, (Option<u64>, u64)>,
    sink: String,
    /// Reports that came, without repeats; those in parts once.
    pub reports: u64,
    /// That came again.
    pub repeats: u64,
    /// Where something is missing.
    pub gaps: u64,
    /// Runs that did not end by themselves.
    pub cut: u64,
    /// Messages that accounts tell fell off the journal before this sink had them.
    pub lost: u64,
}

impl Gapless {
    /// Of messages that come by this sink of the appliance, as its accounts name it: `kafka`.
    pub fn by(sink: &str) -> Self {
        Self { sink: sink.to_owned(), ..Self::default() }
    }

    /// One more message of `tailwater.v1.ranges`; what is wrong with it. One with a [repeat](Fault::is_repeat) is to be dropped.
    pub fn range(&mut self, report: &RangeReport) -> Vec<Fault> {
        let scope = if report.scope() == Scope::Own { "" } else { report.scope().as_str_name() };
        let of = if report.prefix.is_empty() { &report.customer } else { &report.prefix };
        let source = Source {
            run: Run { appliance: report.appliance.clone(), boot_id: report.boot_id },
            of: [report.domain.clone(), of.clone(), scope.to_owned()],
            is_fast: report.window_kind() == WindowKind::Fast,
        };
        let (part, of) = report.part.map_or((1, 1), |part| (part.number, part.of));
        let window = (source.run.clone(), source.is_fast, report.window_start_ns, report.window_end_ns);
        let (is_first, fault) = self.place(source, Place { number: report.kind_sequence, part, of });
        self.windows.entry(window).or_default().1 += u64::from(is_first);
        fault.into_iter().collect()
    }

    /// One more message of `tailwater.v1.appliance`; what is wrong with it. One with a [repeat](Fault::is_repeat) is to be dropped.
    pub fn account(&mut self, report: &ApplianceReport) -> Vec<Fault> {
        let run = Run { appliance: report.appliance.clone(), boot_id: report.boot_id };
        let is_fast = report.window_kind() == WindowKind::Fast;
        let source = Source { run: run.clone(), of: [String::new(), "(appliance)".to_owned(), String::new()], is_fast };
        let is_start = !self.last.contains_key(&source);
        let (_, fault) = self.place(source, Place { number: report.kind_sequence, part: 1, of: 1 });
        if fault.as_ref().is_some_and(Fault::is_repeat) {
            return fault.into_iter().collect();
        }
        // The account of everything since the start has the reports of all windows.
        if !report.total {
            let reported = report.ranges_reported + report.rollups_reported.unwrap_or(0);
            self.windows.entry((run, is_fast, report.window_start_ns, report.window_end_ns)).or_default().0 = Some(reported);
        }
        self.lost += report.journal_losses.iter().filter(|told| told.sink == self.sink).map(|told| told.total).sum::<u64>();
        let cut = report.previous_run.filter(|before| is_start && !is_fast && !before.ended);
        self.cut += u64::from(cut.is_some());
        if let Some(before) = report.previous_run {
            self.accounts.insert(Run { appliance: report.appliance.clone(), boot_id: before.boot_id }, before.sequence);
        }
        let cut = cut.map(|before| Fault::Uncounted(report.appliance.clone(), before.long_end_ns, counted_from(report)));
        fault.into_iter().chain(cut).collect()
    }

    /// What is missing of all that came until now.
    pub fn end(&mut self) -> Vec<Fault> {
        let ends = self.last.iter().filter(|(_, at)| at.part < at.of).map(|(source, at)| Fault::Ends(source.clone(), *at));
        let accounts = self.accounts.iter().filter_map(|(run, all)| {
            // The accounts of both kinds of windows are counted together.
            let of_run = self.last.iter().filter(|(source, _)| source.run == *run && source.of[1] == "(appliance)");
            let came = of_run.map(|(_, at)| at.number).sum::<u64>();
            (came < *all).then(|| Fault::Accounts(run.clone(), *all, came))
        });
        let short = self.windows.iter().filter_map(|((run, is_fast, start_ns, _), (reported, came))| {
            reported.filter(|all| came < all).map(|all| Fault::Short(run.clone(), kind(*is_fast), *start_ns, all, *came))
        });
        let faults: Vec<Fault> = ends.chain(accounts).chain(short).collect();
        self.gaps += faults.len() as u64;
        faults
    }

    /// Whether nothing is missing, once [`Gapless::end`] was asked.
    pub const fn is_whole(&self) -> bool {
        self.gaps + self.lost == 0
    }

    /// Whether it is the first part of a report that had not come, and what is wrong.
    fn place(&mut self, source: Source, at: Place) -> (bool, Option<Fault>) {
        let before = self.last.get(&source).copied().unwrap_or(Place { number: 0, part: 1, of: 1 });
        // Another number of parts replaces what came of those before.
        let is_anew = at.number == before.number && at.of != before.of;
        if at <= before && !is_anew {
            self.repeats += 1;
            return (false, Some(Fault::Repeat(source, at)));
        }
        let due = match () {
            () if is_anew => (at.number, 1),
            () if before.part < before.of => (before.number, before.part + 1),
            () => (before.number + 1, 1),
        };
        let is_first = at.number > before.number;
        self.reports += u64::from(is_first);
        self.last.insert(source.clone(), at);
        let is_gap = (at.number, at.part) != due;
        self.gaps += u64::from(is_gap);
        (is_first, is_gap.then_some(Fault::Gap(source, at, before)))
    }
}

impl Fault {
    /// Whether it is no more than a repeat, to be dropped.
    pub const fn is_repeat(&self) -> bool {
        matches!(self, Self::Repeat(..))
    }
}

/// From when on a run surely counted: it began within a window that is cut, and when is not told.
fn counted_from(first: &ApplianceReport) -> u64 {
    let is_cut = first.incomplete.as_ref().is_some_and(|of| of.reasons.iter().any(|reason| reason == "partial_window"));
    if is_cut { first.window_end_ns } else { first.window_start_ns }
}

const fn kind(is_fast: bool) -> &'static str {
    if is_fast { "fast" } else { "long" }
}

impl Display for Gapless {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reports, repeats, gaps, cut, lost, .. } = self;
        write!(to, "{reports} reports, {repeats} repeats, {gaps} gaps, {cut} runs cut off, {lost} told as lost")
    }
}

impl Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repeat(source, at) => write!(to, "repeat: {source} sequence {at}"),
            Self::Gap(source, at, before) => write!(to, "gap: {source} sequence {at} comes after {before}"),
            Self::Ends(source, at) => write!(to, "gap: {source} sequence ends with {at}"),
            Self::Accounts(run, all, came) => write!(to, "gap: {run} has {all} accounts, and {came} came"),
            Self::Short(run, kind, start_ns, all, came) => {
                write!(to, "gap: {run} {kind} window from {start_ns} has {all} reports of ranges, and {came} came")
            }
            Self::Uncounted(appliance, from_ns, to_ns) => write!(to, "nobody counted: {appliance} from {from_ns} to {to_ns}"),
        }
    }
}

impl Display for Source {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fast = if self.is_fast { "fast" } else { "" };
        let words = self.of.iter().map(String::as_str).chain([fast]).filter(|word| !word.is_empty());
        write!(to, "{}", self.run).and_then(|()| words.into_iter().try_for_each(|word| write!(to, " {word}")))
    }
}

impl Display for Run {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} {}", self.appliance, self.boot_id)
    }
}

impl Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { number, of: ..=1, .. } => write!(to, "{number}"),
            Self { number, part, of } => write!(to, "{number} part {part} of {of}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % bound
        }
    }

    fn account(number: u64, ranges_reported: u64) -> ApplianceReport {
        ApplianceReport { boot_id: 7, kind_sequence: number, window_start_ns: number, ranges_reported, ..Default::default() }
    }

    fn range(window: u64, number: u64, prefix: u64) -> RangeReport {
        let prefix = format!("192.0.2.{prefix}/32");
        RangeReport { boot_id: 7, kind_sequence: number, window_start_ns: window, prefix, ..Default::default() }
    }

    /// A run that is killed and started again within a window counted no whole one.
    #[test]
    fn nobody_counted_until_the_end_of_a_window_that_is_cut() {
        use crate::report::pb::{Incomplete, PreviousRun};
        let previous_run = Some(PreviousRun { boot_id: 6, sequence: 1, long_end_ns: 30, ..Default::default() });
        for (reason, to_ns) in [("partial_window", 40), ("feed_down", 30)] {
            let incomplete = Some(Incomplete { reasons: vec![reason.to_owned()], ..Default::default() });
            let first = ApplianceReport { window_start_ns: 30, window_end_ns: 40, incomplete, previous_run, ..account(1, 0) };
            assert_eq!(Gapless::by("kafka").account(&first), [Fault::Uncounted(String::new(), 30, to_ns)]);
        }
    }

    /// Of windows in which some ranges say something, each message may be lost, or come again.
    #[test]
    fn it_is_whole_if_and_only_if_nothing_was_lost() {
        for seed in 0..2_000 {
            let (mut dice, mut proof, mut numbers) = (Dice(seed), Gapless::by("kafka"), [0; 4]);
            let (mut lost, mut repeats, loses, windows) = (0, 0, seed % 2 == 1, 1 + seed % 5);
            for window in 1..=windows {
                let ranges: Vec<u64> = (0..4).filter(|_| dice.below(2) == 1).collect();
                // Nobody can know that the last account of all was lost.
                if window < windows && loses && dice.below(8) == 0 {
                    lost += 1;
                } else {
                    assert!(proof.account(&account(window, ranges.len() as u64)).iter().all(|fault| matches!(fault, Fault::Gap(..))));
                }
                for at in ranges {
                    numbers[usize::try_from(at).expect("few")] += 1;
                    let report = range(window, numbers[usize::try_from(at).expect("few")], at);
                    if loses && dice.below(8) == 0 {
                        lost += 1;
                        continue;
                    }
                    proof.range(&report);
                    if dice.below(4) == 0 {
                        assert!(proof.range(&report).iter().all(Fault::is_repeat));
                        repeats += 1;
                    }
                }
            }
            let total = ApplianceReport { total: true, ..account(windows + 1, 1_000) };
            assert!(lost > 0 || proof.account(&total).is_empty());
            proof.end();
            assert_eq!((proof.is_whole(), proof.repeats), (lost == 0, repeats), "seed {seed}: {proof}");
        }
    }
}
