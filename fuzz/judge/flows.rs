//! Sequences of export datagrams against one collector.

use std::path::PathBuf;

use tailwater::flows::{Arrival, Collector, DatagramDrop, Flow, SetDrop, Settings};
use tailwater::limits::{FLOW_DOMAINS_MAX, FLOW_KNOWN_BYTES_MAX, HELD_BYTES_MAX};

use super::came::{self, Came};
use super::counts::{Counts, Seen};
use super::{bound, files, model, sflow_model, told};

/// What a collector of nothing holds, about, and how much more each byte of input may make it hold. The dearest are domains: a header of
/// 20 bytes makes one.
const HELD_BYTES_AT_FIRST: usize = 256 << 10;
const HELD_BYTES_OF_BYTE: usize = 512;
/// Flows that are written and read back.
const WRITTEN: usize = 4;

/// What came of a sequence.
struct Outcome {
    counts: Counts,
    sets: u64,
    waiting: u64,
    seen: Vec<Seen>,
    rates: Vec<u64>,
    flows: Vec<Flow>,
}

/// NetFlow of all versions, IPFIX among them; the first byte says whether ports tell exporters apart.
pub(crate) fn netflow(bytes: &[u8]) {
    let Some((settings, rest)) = bytes.split_first() else { return };
    let (came, mut model) = (came::all(rest), model::Model::new(settings & 1 == 1));
    let came: Vec<Came> = came.into_iter().filter(|came| model.take(came)).collect();
    let mut found = collect(&came, settings & 1 == 1);
    let undescribed = std::mem::take(&mut found.counts.set_drops[SetDrop::NoTemplate as usize]) + found.waiting;
    assert_eq!(undescribed, model.undescribed());
    assert_eq!(Counts { templates: without_restored(&found.counts), ..found.counts.clone() }, model.counts);
    assert_eq!(found.seen.len(), model.seen.len());
    let differs = model.seen.iter().zip(&found.seen).find(|(model, found)| !model.agrees(found));
    assert_eq!(differs, None, "the model's flow, and the collector's");
    found.flows.iter().for_each(told::check);
}

fn without_restored(counts: &Counts) -> [u64; tailwater::flows::TemplateEvent::COUNT] {
    let mut templates = counts.templates;
    templates[tailwater::flows::TemplateEvent::Restored as usize] = 0;
    templates
}

/// sFlow: datagrams of other kinds are left out.
pub(crate) fn sflow(bytes: &[u8]) {
    let mut model = sflow_model::Model::default();
    let mut came = came::all(bytes);
    came.retain(|came| matches!(came.datagram[..], [0, 0, 0, 5, ..]));
    came.iter().for_each(|came| model.take(came));
    let found = collect(&came, false);
    assert_eq!(found.counts, model.counts);
    assert_eq!(found.sets, model.sets);
    let samples = found.seen.iter().zip(&found.rates).filter_map(|(seen, rate)| {
        let values = seen.values?;
        let low = |at: usize| u32::try_from(values[at]).unwrap_or(u32::MAX);
        Some((seen.received_ns, seen.sequence, [low(6), low(7)], *rate, values[1]))
    });
    assert_eq!(samples.collect::<Vec<_>>(), model.samples);
    found.flows.iter().for_each(told::check);
}

/// Feeds a collector, which holds no more than it may; its account balances after each datagram.
fn collect(came: &[Came], per_port: bool) -> Outcome {
    let bytes: usize = came.iter().map(|came| came.datagram.len() + 32).sum();
    let mut out = Outcome {
        counts: Counts::default(),
        sets: 0,
        waiting: 0,
        seen: Vec::with_capacity(bytes),
        rates: Vec::with_capacity(bytes),
        flows: Vec::with_capacity(WRITTEN),
    };
    let (mut collector, most) = bound::most(|| feed(came, per_port, &mut out));
    assert!(most <= HELD_BYTES_AT_FIRST + HELD_BYTES_OF_BYTE * bytes, "{most} bytes held for {bytes}");
    let waiting = collector.ledger().waiting;
    out.waiting += waiting;
    out.sets += collector.ledger().sets;
    out.counts.add(collector.ledger());
    let lost = collector.ledger().set_drops[SetDrop::NoTemplate as usize] + waiting;
    collector.end();
    assert_eq!((collector.ledger().waiting, collector.memory_bytes().1), (0, 0));
    assert_eq!(collector.ledger().set_drops[SetDrop::NoTemplate as usize], lost);
    assert!(collector.ledger().balances(), "{}", collector.ledger());
    // Whoever asks for it is told.
    let _ = collector.warnings();
    out
}

fn feed(came: &[Came], per_port: bool, out: &mut Outcome) -> Collector {
    let settings = Settings { per_port, rates: Vec::new() };
    let mut collector = Collector::new(&settings);
    for came in came {
        if came.restarts {
            out.counts.add(collector.ledger());
            out.sets += collector.ledger().sets;
            out.waiting += collector.ledger().waiting;
            collector = restarted(&mut collector, &settings);
        }
        take(&mut collector, &came.from, &came.datagram, out);
    }
    collector
}

fn take(collector: &mut Collector, from: &Arrival, datagram: &[u8], out: &mut Outcome) {
    let before = collector.ledger().clone();
    collector.take(from, datagram, &mut |flow| {
        out.seen.push(Seen::of(flow));
        out.rates.push(flow.fields.sampling_rate);
        if out.flows.len() < WRITTEN {
            out.flows.push(flow.clone());
        }
        // It came when its datagram did, or waited.
        assert!(flow.fields.time_received_ns <= from.received_ns.saturating_add(3_000_000_000));
    });
    let ledger = collector.ledger();
    assert!(ledger.balances(), "{ledger}");
    assert_eq!(ledger.datagrams, before.datagrams + 1);
    let dropped = ledger.datagram_drops.iter().sum::<u64>() - before.datagram_drops.iter().sum::<u64>();
    assert_eq!(ledger.decoded + dropped, before.decoded + 1, "{:?}", DatagramDrop::ALL);
    let since = ledger.since(&before);
    assert!(since.flows + since.options + since.counters <= since.records);
    let (known, held) = collector.memory_bytes();
    assert!(known <= FLOW_KNOWN_BYTES_MAX && held <= HELD_BYTES_MAX && collector.domains() <= FLOW_DOMAINS_MAX);
}

/// What was told is on disk, and the next one reads it.
fn restarted(collector: &mut Collector, settings: &Settings) -> Collector {
    let file: PathBuf = files::put("restart", &files::kept(&collector.told()));
    let mut next = Collector::new(settings);
    next.restore(&file).unwrap();
    assert_eq!(files::sorted(&next.told()), files::sorted(&collector.told()));
    next
}
