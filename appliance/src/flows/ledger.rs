//! Where everything went: datagrams, sets and records, each either used or dropped under a reason.

use std::fmt;

use super::port_taken::PortTaken;
use crate::parse::reasons;

/// No datagram has more samples: each has eight bytes before its own.
const SAMPLES_OF_DATAGRAM_MAX: u64 = 65_535 / 8;

reasons! {
    /// Why a datagram was of no use.
    DatagramDrop {
        /// It ends within its header.
        Short = "short",
        /// Of a version that is not read.
        Version = "version",
        /// Its header contradicts itself, or what is there.
        Malformed = "malformed",
    }
}

reasons! {
    /// Why a set of a datagram (of sFlow: a sample) was of no use.
    SetDrop {
        /// It claims more than the datagram holds.
        Cut = "cut",
        /// Its length is below its header's.
        BadLength = "bad_length",
        /// An id that nobody has given a meaning.
        ReservedId = "reserved_id",
        /// Its template did not come.
        NoTemplate = "no_template",
        /// It waits on disk, for the next start.
        Kept = "kept",
        /// It waited on disk, and was damaged there.
        Damaged = "damaged",
        /// It waited for its template, and had to make room for newer ones.
        Displaced = "displaced",
        /// There was no room to wait for its template.
        NoRoom = "no_room",
        /// A sample that contradicts itself.
        BadSample = "bad_sample",
        /// A sample of a kind that is not read.
        OtherSample = "other_sample",
        /// A sample that the header counted, and the datagram ends before.
        Missing = "missing",
    }
}

reasons! {
    /// Why a record was of no use.
    RecordDrop {
        /// It claims more than its set holds.
        Cut = "cut",
        /// The header counted it, and the datagram ends before.
        Missing = "missing",
    }
}

reasons! {
    /// What happens to templates.
    TemplateEvent {
        /// Came for the first time.
        New = "new",
        /// Came again, the same.
        Refreshed = "refreshed",
        /// Came again, another.
        Changed = "changed",
        /// Another, from another port of the same address: two exporters share it, and want to be told apart by port.
        Conflict = "conflict",
        /// Was not sent again for too long.
        Expired = "expired",
        /// Was to be withdrawn, which is not done over UDP (RFC 7011, 8.4): it stays.
        WithdrawalIgnored = "withdrawal_ignored",
        /// Had to go, for want of room.
        Evicted = "evicted",
        /// Was restored from disk.
        Restored = "restored",
        /// Ends too early.
        Cut = "cut",
        /// Has too many fields.
        TooLong = "too_long",
        /// Its records would have no length.
        Empty = "empty",
        /// Its id is none of a template's: below 256.
        ReservedId = "reserved_id",
        /// Of options: its scope has more fields than it has itself.
        BadScope = "bad_scope",
    }
}

/// What sequence numbers told, in units of their protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Units missing, less what came late.
    pub lost: u64,
    /// Times that something was missing.
    pub gaps: u64,
    /// Datagrams (or samples) that came late.
    pub late: u64,
    /// That came twice.
    pub repeated: u64,
    /// Times that an exporter began anew.
    pub restarts: u64,
    /// Numbers that neither go on from those before nor are gone on from by those behind, and those of who counts something else.
    pub misnumbered: u64,
}

/// The whole account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Datagrams that came.
    pub datagrams: u64,
    /// Datagrams that were read.
    pub decoded: u64,
    /// Those that were not.
    pub datagram_drops: [u64; DatagramDrop::COUNT],
    /// Sets (samples) that were begun.
    pub sets: u64,
    /// Sets that hold templates.
    pub template_sets: u64,
    /// Sets whose records were read, held ones included.
    pub data_sets: u64,
    /// Sets that wait for their template.
    pub waiting: u64,
    /// Those that were of no use.
    pub set_drops: [u64; SetDrop::COUNT],
    /// Sets that waited and were read after all.
    pub released: u64,
    /// Records that were begun.
    pub records: u64,
    /// Flows given.
    pub flows: u64,
    /// Records of options.
    pub options: u64,
    /// Counter samples of sFlow.
    pub counters: u64,
    /// Those that were of no use.
    pub record_drops: [u64; RecordDrop::COUNT],
    /// What happened to templates.
    pub templates: [u64; TemplateEvent::COUNT],
    /// Flows whose sampling rate is not known.
    pub rate_unknown: u64,
    /// Sampling rates that were told anew or changed.
    pub rates_told: u64,
    /// Records of options whose rate holds for less than the domain, and for no interface nor sampler: it is not used.
    pub rates_ignored: u64,
    /// Exporters' domains that had to go, for want of room.
    pub domains_evicted: u64,
    /// Records of datagrams (NetFlow 5 and 7, IPFIX).
    pub record_gaps: Gaps,
    /// Datagrams (NetFlow 9, sFlow).
    pub datagram_gaps: Gaps,
    /// Samples (sFlow).
    pub sample_gaps: Gaps,
    /// Datagrams that the kernel dropped before we could read them (`SO_RXQ_OVFL`, `SO_MEMINFO`), or with the socket at the end.
    pub kernel_drops: u64,
    /// Datagrams that the network repeated, byte by byte: their flows are given, marked so.
    pub repeated: u64,
    /// Datagrams that were of no use, of addresses that never sent any that was.
    pub junk: u64,
    /// What flows may be short of, in units of whatever is missing: numbers left out, what was of no use, what waits. Within one window
    /// what comes after all is taken off again; of an earlier window it is not.
    pub missed: u64,
    /// Of what was missed in earlier windows: what came after all.
    pub refilled: u64,
    /// Of the mirror's packets.
    pub ports: PortTaken,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Records,
    Datagrams,
    Samples,
}

impl Ledger {
    /// What a number said; `is_own`: of what was late, it was missed in the window that is open.
    pub(super) fn number(&mut self, unit: Unit, verdict: super::sequence::Verdict, is_own: bool) {
        use super::sequence::Verdict;
        self.gaps_of(unit).take(verdict);
        match verdict {
            Verdict::Gap(units) | Verdict::Restart(units) => self.missed += u64::from(units),
            Verdict::Late(units) => self.came_after_all(u64::from(units), is_own),
            Verdict::Next | Verdict::Repeated | Verdict::Odd => {}
        }
    }

    /// So many numbers were not as the standard has them.
    pub(super) const fn misnumbered(&mut self, unit: Unit, numbers: u32) {
        self.gaps_of(unit).misnumbered += numbers as u64;
    }

    const fn gaps_of(&mut self, unit: Unit) -> &mut Gaps {
        match unit {
            Unit::Records => &mut self.record_gaps,
            Unit::Datagrams => &mut self.datagram_gaps,
            Unit::Samples => &mut self.sample_gaps,
        }
    }

    /// What was missed is there; `is_own`: it was in this window.
    pub(super) const fn came_after_all(&mut self, units: u64, is_own: bool) {
        if is_own {
            self.missed = self.missed.saturating_sub(units);
        } else {
            self.refilled += units;
        }
    }

    /// Times that numbers were left out.
    pub(super) const fn gaps(&self) -> u64 {
        self.record_gaps.gaps + self.datagram_gaps.gaps + self.sample_gaps.gaps
    }

    pub(super) fn drop_datagram(&mut self, reason: DatagramDrop) {
        count(&mut self.datagram_drops, reason as usize);
        self.missed += 1;
    }

    pub(super) fn drop_set(&mut self, reason: SetDrop) {
        count(&mut self.set_drops, reason as usize);
        // What waited in vain was missed when it began to wait.
        self.missed += u64::from(!matches!(reason, SetDrop::NoTemplate | SetDrop::Kept | SetDrop::Displaced));
    }

    /// A set waits for its template.
    pub(super) const fn hold(&mut self) {
        self.waiting += 1;
        self.missed += 1;
    }

    /// It is read after all; `is_own`: it came in this window.
    pub(super) const fn release(&mut self, is_own: bool, repeated: bool) {
        self.waiting -= 1;
        self.released += 1;
        if !repeated {
            self.came_after_all(1, is_own);
        }
    }

    /// Samples that the header counted, and that are not there; no more than a datagram has room for, whatever it says.
    pub(super) fn miss_sets(&mut self, sets: u64) {
        let sets = sets.min(SAMPLES_OF_DATAGRAM_MAX);
        self.sets += sets;
        self.set_drops[SetDrop::Missing as usize] += sets;
        self.missed += sets;
    }

    pub(super) fn drop_records(&mut self, reason: RecordDrop, records: u64) {
        self.records += records;
        self.missed += records;
        if let Some(counter) = self.record_drops.get_mut(reason as usize) {
            *counter += records;
        }
    }

    pub(super) fn template(&mut self, event: TemplateEvent) {
        count(&mut self.templates, event as usize);
    }

    /// What came since another moment. `waiting` is that of now; what came late may make `lost` wrap around below zero.
    pub fn since(&self, before: &Self) -> Self {
        fn less<const N: usize>(now: [u64; N], before: [u64; N]) -> [u64; N] {
            std::array::from_fn(|at| now[at].wrapping_sub(before[at]))
        }
        let scalars = |of: &Self| {
            let Self { datagrams, decoded, sets, template_sets, data_sets, released, records, flows, options, counters, .. } = *of;
            let Self { rate_unknown, rates_told, rates_ignored, domains_evicted, kernel_drops, .. } = *of;
            let first = [datagrams, decoded, sets, template_sets, data_sets, released, records, flows, options, counters];
            (first, [rate_unknown, rates_told, rates_ignored, domains_evicted, kernel_drops])
        };
        let ((now, now_more), (then, then_more)) = (scalars(self), scalars(before));
        let [datagrams, decoded, sets, template_sets, data_sets, released, records, flows, options, counters] = less(now, then);
        let [rate_unknown, rates_told, rates_ignored, domains_evicted, kernel_drops] = less(now_more, then_more);
        Self {
            datagrams,
            decoded,
            datagram_drops: less(self.datagram_drops, before.datagram_drops),
            sets,
            template_sets,
            data_sets,
            waiting: self.waiting,
            set_drops: less(self.set_drops, before.set_drops),
            released,
            records,
            flows,
            options,
            counters,
            record_drops: less(self.record_drops, before.record_drops),
            templates: less(self.templates, before.templates),
            rate_unknown,
            rates_told,
            rates_ignored,
            domains_evicted,
            record_gaps: self.record_gaps.since(before.record_gaps),
            datagram_gaps: self.datagram_gaps.since(before.datagram_gaps),
            sample_gaps: self.sample_gaps.since(before.sample_gaps),
            kernel_drops,
            repeated: self.repeated - before.repeated,
            junk: self.junk - before.junk,
            missed: self.missed.wrapping_sub(before.missed),
            refilled: self.refilled - before.refilled,
            ports: self.ports.since(before.ports),
        }
    }

    /// Whether all that came is accounted for: datagrams, sets and records each.
    pub fn balances(&self) -> bool {
        let sum = |drops: &[u64]| drops.iter().sum::<u64>();
        self.datagrams == self.decoded + sum(&self.datagram_drops)
            && self.sets == self.template_sets + self.data_sets + self.waiting + sum(&self.set_drops)
            && self.records == self.flows + self.options + self.counters + sum(&self.record_drops)
            && self.ports.balances()
    }
}

fn count(counters: &mut [u64], at: usize) {
    if let Some(counter) = counters.get_mut(at) {
        *counter += 1;
    }
}

impl Gaps {
    pub(super) const fn add(&mut self, more: Self) {
        let Self { lost, gaps, late, repeated, restarts, misnumbered } = more;
        self.lost = self.lost.wrapping_add(lost);
        (self.gaps, self.late, self.repeated) = (self.gaps + gaps, self.late + late, self.repeated + repeated);
        (self.restarts, self.misnumbered) = (self.restarts + restarts, self.misnumbered + misnumbered);
    }

    /// `lost` wraps, as what comes late may be of before.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            lost: self.lost.wrapping_sub(before.lost),
            gaps: self.gaps - before.gaps,
            late: self.late - before.late,
            repeated: self.repeated - before.repeated,
            restarts: self.restarts - before.restarts,
            misnumbered: self.misnumbered - before.misnumbered,
        }
    }

    pub(super) fn take(&mut self, verdict: super::sequence::Verdict) {
        use super::sequence::Verdict;
        match verdict {
            Verdict::Next | Verdict::Odd => {}
            Verdict::Gap(units) => (self.lost, self.gaps) = (self.lost + u64::from(units), self.gaps + 1),
            Verdict::Late(units) => (self.lost, self.late) = (self.lost.saturating_sub(u64::from(units)), self.late + 1),
            Verdict::Repeated => self.repeated += 1,
            Verdict::Restart(units) => {
                self.restarts += 1;
                (self.lost, self.gaps) = (self.lost + u64::from(units), self.gaps + u64::from(units > 0));
            }
        }
    }
}

impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, gaps, late, repeated, restarts, misnumbered } = self;
        write!(f, "{lost} lost in {gaps} gaps, {late} late, {repeated} repeated, {restarts} restarts")?;
        if *misnumbered > 0 { write!(f, ", {misnumbered} misnumbered") } else { Ok(()) }
    }
}

/// Counters that are not zero, by name.
fn named<const N: usize>(counters: &[u64; N], names: [&str; N]) -> String {
    let rows = counters.iter().zip(names).filter(|(count, _)| **count > 0);
    let text = rows.map(|(count, name)| format!("{name} {count}")).collect::<Vec<_>>().join(", ");
    if text.is_empty() { "none".to_owned() } else { text }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drops = named(&self.datagram_drops, DatagramDrop::ALL.map(DatagramDrop::name));
        writeln!(f, "datagrams: {} = {} decoded + dropped ({drops})", self.datagrams, self.decoded)?;
        let drops = named(&self.set_drops, SetDrop::ALL.map(SetDrop::name));
        let Self { sets, template_sets, data_sets, waiting, released, .. } = self;
        writeln!(f, "sets: {sets} = {template_sets} of templates + {data_sets} of data + {waiting} waiting + dropped ({drops})")?;
        let drops = named(&self.record_drops, RecordDrop::ALL.map(RecordDrop::name));
        let Self { records, flows, options, counters, .. } = self;
        writeln!(f, "records: {records} = {flows} flows + {options} of options + {counters} of counters + dropped ({drops})")?;
        let templates = named(&self.templates, TemplateEvent::ALL.map(TemplateEvent::name));
        writeln!(f, "templates: {templates}; {released} sets waited for theirs; {} domains evicted", self.domains_evicted)?;
        let Self { rates_told, rates_ignored, rate_unknown, .. } = self;
        writeln!(f, "sampling: {rates_told} rates told, {rates_ignored} ignored, {rate_unknown} flows of unknown rate")?;
        writeln!(f, "gaps of datagrams: {}", self.datagram_gaps)?;
        writeln!(f, "gaps of records: {}", self.record_gaps)?;
        writeln!(f, "gaps of samples: {}", self.sample_gaps)?;
        write!(f, "kernel: {} datagrams dropped; {} came twice, {} were nobody's", self.kernel_drops, self.repeated, self.junk)?;
        write!(f, "{}", self.ports)
    }
}
