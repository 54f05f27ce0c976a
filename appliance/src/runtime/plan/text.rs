//! The account as people read it.

use std::fmt;

use super::account::{Account, ShapeAccount, StatPrice};
use super::maps::BoxAccount;
use super::proposals::Proposal;

/// Rows of the bill that are written; the rest is summed up.
const BILLED_MAX: usize = 40;
/// What timed polls may come to, against what the thread ran, without a word.
const DISTURBED: f64 = 1.1;
/// Width of a column: of what is told in nanoseconds, and of what that is of, at least.
const FIGURE_CHARS: usize = 7;
const NAME_CHARS: usize = 16;

/// Megabytes a second of a 1-gigabit link.
const GIGABIT_MB: f64 = 125.0;

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, ranges, stats, window_ms, receiving, .. } = self;
        writeln!(f, "{file}: {ranges} ranges, {stats} stats, windows of {} s, on this machine", *window_ms as f64 / 1e3)?;
        writeln!(f, "receiving: {receiving}")?;
        self.unpriced.iter().try_for_each(|what| writeln!(f, "not priced: {what}"))?;
        writeln!(f)?;
        self.shapes.iter().try_for_each(|shape| writeln!(f, "{:10} {}", shape.shape, shape.about))?;
        self.capacity(f)?;
        self.proposed(f)?;
        self.stages(f)?;
        self.bill(f)
    }
}

/// `rx 2 + workers 4`
fn cores(of: &BoxAccount) -> String {
    if of.workers == 0 { format!("{} rx", of.rx) } else { format!("{} rx + {} workers", of.rx, of.workers) }
}

impl Account {
    fn capacity(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nMillions of packets a second; what is full first as load grows, and how much of all else is used then:")?;
        for of_shape in &self.shapes {
            let ShapeAccount { shape, core_mpps, ns_per_packet, window, ranges, of_ranges, pipeline_efficiency, .. } = of_shape;
            writeln!(
                f,
                "\n{shape}: {core_mpps:.2} a core ({ns_per_packet:.1} ns a packet, from {:.0} % of a window, {ranges} of {of_ranges} ranges)",
                window * 100.0
            )?;
            for of in &of_shape.boxes {
                let own = match of {
                    BoxAccount { configured: true, .. } => "as configured".to_owned(),
                    BoxAccount { wants_queues: 0, .. } => "as many cores".to_owned(),
                    BoxAccount { wants_queues, .. } => format!("as many cores; wants {wants_queues} queues"),
                };
                if of.rx == 0 {
                    writeln!(f, "  {:18} wants two cores of the data path at least", of.mode)?;
                    continue;
                }
                let limits: Vec<String> = of.limits.iter().map(|limit| format!("{} {:.0} %", limit.resource, limit.used * 100.0)).collect();
                writeln!(f, "  {:18} {:7.2} with {} ({own}); first: {}", of.mode, of.mpps, cores(of), of.first.resource)?;
                writeln!(f, "  {:18} {}", "", limits.join(", "))?;
                if of.ring_ms > 0.0 {
                    writeln!(f, "  {:18} a ring to a worker holds {:.2} ms", "", of.ring_ms)?;
                }
            }
            let percent = pipeline_efficiency * 100.0;
            writeln!(
                f,
                "  of a core's time a pipeline turns {percent:.0} % into packets, against run-to-completion: handing over takes the rest"
            )?;
            self.reports(f, of_shape)?;
        }
        Ok(())
    }

    /// Core maps, to be pasted.
    fn proposed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nCore maps: the best of each mode that these cores can have, by the shape that it carries least of:")?;
        for Proposal { mode, mpps, shape, full, cores_mpps, wants_queues, wants_memory_mb, wants_cpus, absent, toml } in &self.core_maps {
            write!(f, "\n# {mpps:.2} million packets a second at least ({shape})")?;
            if let Some(full) = full {
                write!(f, "; {full} is full there, at {:.0} % of what these cores carry", mpps / cores_mpps * 100.0)?;
                if *full == "reporter" {
                    write!(f, " (where every range reports at any load, fewer stats or a longer window help, not less traffic)")?;
                }
            }
            if *wants_queues > 0 {
                write!(f, "; wants {wants_queues} queues of [[ports]]")?;
            }
            if *wants_memory_mb > 0 {
                write!(f, "; wants memory_mb = {wants_memory_mb} at least")?;
            }
            if !absent.is_empty() {
                write!(f, "; CPUs {absent:?} are not on this machine, or not ours")?;
            }
            match toml {
                Some(toml) => write!(f, "\n{toml}")?,
                None => writeln!(
                    f,
                    "\n# {mode}: [cores] would want {wants_cpus} CPUs, and there are fewer: `run` without [cores] takes what fits"
                )?,
            }
        }
        Ok(())
    }

    /// What the end of a window takes, of all ranges.
    fn reports(&self, f: &mut fmt::Formatter<'_>, of: &ShapeAccount) -> fmt::Result {
        let ShapeAccount { report_s, merge_s, reports, report_bytes, degraded, ranges, of_ranges, .. } = of;
        let megabytes = *report_bytes as f64 / 1e6;
        writeln!(f, "  a window's report takes {report_s:.2} s of one core, {merge_s:.2} of it again for each further shard's blocks")?;
        let rate = megabytes * 1e3 / self.window_ms.max(1) as f64;
        let of_link = rate / GIGABIT_MB * 100.0;
        write!(f, "  a sink gets {reports} messages, {megabytes:.1} MB: {rate:.2} MB/s, {of_link:.1} % of a gigabit; ")?;
        match self.kafka_bytes_per_second {
            Some(rate) => write!(f, "a Kafka inside this process took {:.0} MB/s", rate / 1e6)?,
            None => write!(f, "what it can take was not measured")?,
        }
        if *degraded > 0 {
            write!(f, "; {degraded} figures coarser for want of memory")?;
        }
        writeln!(f)?;
        if of.at_most {
            writeln!(
                f,
                "  reporter, sketches, messages and bytes were scaled up from {ranges} ranges to {of_ranges}, and are so much at most; logs for time alone"
            )?;
        } else if ranges < of_ranges {
            writeln!(f, "  reporter, logs, sketches, messages and bytes were scaled up from {ranges} ranges to {of_ranges}")?;
        }
        Ok(())
    }

    fn stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nNanoseconds a packet by stage, run-to-completion:\n")?;
        let names = self.shapes.first().map_or(&[][..], |shape| &shape.costs.stages);
        self.head(f, "stage")?;
        for (row, (name, _)) in names.iter().enumerate() {
            self.row(f, name, self.shapes.iter().map(|shape| shape.costs.stages[row].1))?;
        }
        self.row(f, "all", self.shapes.iter().map(|shape| shape.ns_per_packet))?;
        let disturbed = self.shapes.iter().map(|shape| shape.costs.timed).fold(0.0, f64::max);
        if disturbed > DISTURBED {
            writeln!(
                f,
                "\nThis machine had other work: what was timed came to up to {:.0} % of what ran, and was scaled.",
                disturbed * 100.0
            )?;
        }
        writeln!(f, "\n`other` is what the thread ran and no stage was timed at: the loop, and what stages did not wait for.")
    }

    fn bill(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nNanoseconds a packet by row of the configuration, the dearest first; share of all at worst:\n")?;
        self.head(f, "stat")?;
        for price in self.bill.iter().take(BILLED_MAX) {
            self.priced(f, &billed(price), price.ns.iter().copied(), &format!(" {:5.1} %", price.share * 100.0))?;
        }
        let rest = self.bill.iter().skip(BILLED_MAX);
        if rest.clone().next().is_some() {
            let sum = |shape: usize| rest.clone().map(|price| price.ns[shape]).sum::<f64>();
            self.row(f, &format!("{} more", rest.clone().count()), (0..self.shapes.len()).map(sum))?;
        }
        let sum = |shape: usize| self.bill.iter().map(|price| price.ns[shape]).sum::<f64>();
        self.row(f, "all stats", (0..self.shapes.len()).map(sum))?;
        writeln!(f, "\nKeys and hashes that stats share are in `columns`: a row that alone reads a key saves its part of that too.")
    }

    fn head(&self, f: &mut fmt::Formatter<'_>, first: &str) -> fmt::Result {
        write!(f, "{first:width$}", width = self.name_chars())?;
        self.shapes.iter().try_for_each(|of| write!(f, " {:>width$}", of.shape, width = chars(of)))?;
        writeln!(f)
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, name: &str, values: impl Iterator<Item = f64>) -> fmt::Result {
        self.priced(f, name, values, "")
    }

    fn priced(&self, f: &mut fmt::Formatter<'_>, name: &str, values: impl Iterator<Item = f64>, behind: &str) -> fmt::Result {
        write!(f, "{name:width$}", width = self.name_chars())?;
        values.zip(&self.shapes).try_for_each(|(ns, of)| write!(f, " {ns:width$.2}", width = chars(of)))?;
        writeln!(f, "{behind}")
    }

    /// Of the first column: of the longest name in the bill.
    fn name_chars(&self) -> usize {
        self.bill.iter().take(BILLED_MAX).map(|price| billed(price).chars().count()).fold(NAME_CHARS, usize::max)
    }
}

/// A row of the configuration, in the bill.
fn billed(price: &StatPrice) -> String {
    format!("{} ({})", price.stat, price.calculation)
}

/// Of a shape's column.
fn chars(of: &ShapeAccount) -> usize {
    of.shape.len().max(FIGURE_CHARS)
}
