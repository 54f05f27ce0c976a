//! Between its first packet and its last a thread of the data path takes no memory of the system and gives none back: not
//! for packets, not where windows end, not where another configuration comes, not where memory or rings are full, not where work is
//! shed, nor with links, with packets that come twice, and where export datagrams are taken out of the mirror.
//!
//! Both modes, without DPDK; with its loops and rings `eal_overload` and `eal_skew` count the same, and `run_steady` beside it asks the same of the running program's system calls.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod counting_allocator;
#[path = "engine_support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arrayvec::ArrayVec;
use counting_allocator::{Counted, counted, first};
use support::dice::{Dice, seeds};
use support::drive::{Event, Log, load, queues, world};
use support::reloads::{Gates, Run, work};
use support::setup::Setup;
use support::traffic::{Body, Mix, Packet, draw};
use tailwater::exports::tap::taps;
use tailwater::flows::tap::{Tapped, taps as port_taps};
use tailwater::flows::{Collector, Settings};
use tailwater::gather::Stage;
use tailwater::limits::BURST_FRAMES_MAX;
use tailwater::runtime::receiver::Receiver;
use tailwater::runtime::wiring::AnyReceiver;
use tailwater::rx::Frame;
use tailwater::units::{Epoch, LinkType};

const SHAPES: [(u32, u32); 4] = [(1, 0), (1, 2), (2, 0), (2, 2)];
const RELOADS: usize = 4;
/// Addresses that export datagrams are for.
const COLLECTORS: usize = 8;
/// Of half of the cases.
const BESIDE: &str = "[[links]]\nname = \"a\"\ncapacity_bps = 1_000_000_000\nmatch = { vlan = 100 }\n[[links]]\nname = \"b\"\n\
    capacity_bps = 1_000_000_000\nmatch = [{ src_mac = \"02:00:00:00:01:00\" }, { vlan = 666 }]\n[duplicates]\nsample = 4\n";

/// What a poll gives, made before anything is counted.
#[derive(Default)]
struct Poll {
    epoch: Option<Epoch>,
    frames: Vec<(Vec<u8>, Packet, bool, Epoch)>,
}

fn polls(dice: &mut Dice, events: &[Event<'_>]) -> Vec<Poll> {
    let (mut all, mut most) = (vec![Poll::default()], BURST_FRAMES_MAX);
    for event in events {
        match event {
            Event::Epoch(epoch) => all.push(Poll { epoch: Some(*epoch), frames: Vec::new() }),
            Event::Frame { packet, late, epoch } => {
                if all.last().is_none_or(|poll| poll.frames.len() >= most) {
                    all.push(Poll::default());
                    most = dice.of(&[1, 8, BURST_FRAMES_MAX, BURST_FRAMES_MAX]);
                }
                let poll = all.last_mut().unwrap();
                poll.frames.push((packet.frame(), (*packet).clone(), *late, *epoch));
            }
        }
    }
    all
}

/// As an lcore does it, until all is said.
fn receive<S: Stage>(receiver: &mut Receiver<S>, polls: &[Poll], (gates, i): (&Gates<'_>, usize)) {
    let mut gate = 0;
    for (n, poll) in (1_u64..).zip(polls) {
        if let Some(epoch) = poll.epoch {
            gates.pass(i, &mut gate, epoch, receiver);
            receiver.epoch(epoch);
        }
        let frames: ArrayVec<Frame<'_>, BURST_FRAMES_MAX> = poll.frames.iter().map(frame).collect();
        receiver.polled_all(frames.len() == BURST_FRAMES_MAX);
        receiver.frames(&frames);
        let busy = receiver.step();
        if !busy || n.is_multiple_of(64) {
            receiver.polled(n, 0);
            receiver.show();
            receiver.look();
        }
    }
    gates.leave(i);
    receiver.end();
}

fn frame((bytes, packet, late, epoch): &(Vec<u8>, Packet, bool, Epoch)) -> Frame<'_> {
    let wire_bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    Frame {
        bytes,
        wire_bytes,
        captured_bytes: wire_bytes,
        time_ns: packet.time_ns,
        epoch: *epoch,
        port: packet.port,
        link: LinkType::Ethernet,
        late: *late,
    }
}

struct Case {
    setup: Setup,
    later: Vec<Setup>,
    packets: Vec<Packet>,
}

impl Case {
    /// `scarce`: with less memory than `run` would take.
    fn draw(seed: u64, scarce: bool) -> Self {
        let mut dice = Dice::new(seed);
        let mut setup = Setup::of_windows(&mut dice, &[(1_000, 250)]);
        setup.memory_mb = if scarce { 1 } else { 256 };
        (setup.sheds, setup.beside) = (true, if seed.is_multiple_of(2) { BESIDE } else { "" });
        let later = (0..RELOADS).map(|_| setup.redraw(&mut dice)).collect();
        let window_ns = setup.window_ms * 1_000_000;
        let mix = Mix {
            packets: if scarce { 100_000 } else { 40_000 },
            windows: 8,
            window_ns,
            spoofed: 2,
            tunnels: true,
            late: true,
            gaps: false,
        };
        let packets = draw(&mut dice, &mix);
        Self { setup, later, packets }
    }

    /// The first that UDP goes to.
    fn collectors(&self) -> Vec<SocketAddr> {
        let to = |packet: &Packet| match packet.ip.as_ref()?.body {
            Body::Udp { ports } => Some(SocketAddr::new(packet.ip.as_ref()?.dst, ports.1)),
            _ => None,
        };
        self.packets.iter().filter_map(to).take(COLLECTORS).collect()
    }

    /// What each thread of the data path did, what came out of it, how many reloads there were, and packets for collectors.
    fn run(&self, shape: (u32, u32), waits: bool) -> (Vec<Counted>, Log, usize, u64) {
        let calendar = world(&load(&self.setup.toml(), &self.setup.csv())).calendar;
        let mut longs: Vec<u64> = self.packets.iter().map(|packet| calendar.long(calendar.epoch(packet.time_ns))).collect();
        longs.sort_unstable();
        longs.dedup();
        let at: Vec<Epoch> = longs.iter().skip(1).take(RELOADS).map(|long| calendar.first_of_long(*long)).collect();
        let (all, exported, collectors) = (Mutex::new(Vec::new()), AtomicU64::new(0), self.collectors());
        let receive = |mut receiver: AnyReceiver, i: usize, (gates, world): (&Gates<'_>, &_)| {
            // Nobody reads what is sampled for exports: the ring is full soon, and that costs no memory either.
            let (taps, _unread) = taps(1, &[3, 50], [7; 32], false);
            taps.into_iter().for_each(|tap| receiver.sample_for(tap));
            let (taps, mut tapped) = port_taps(&collectors, 1);
            taps.into_iter().for_each(|tap| receiver.take_exports_by(tap));
            let polls = polls(&mut Dice::new(i as u64), &queues(world, &self.packets, shape.0)[i]);
            let counted = counted(|| match &mut receiver {
                AnyReceiver::Own(receiver) => receive(receiver, &polls, (gates, i)),
                AnyReceiver::Sends(receiver) => receive(receiver, &polls, (gates, i)),
            });
            all.lock().unwrap().push(counted);
            exported.fetch_add(handed_over(&mut tapped), Relaxed);
        };
        let work = |mut worker| {
            let counted = counted(|| work(&mut worker));
            all.lock().unwrap().push(counted);
        };
        let run = Run { eras: (&self.setup, &self.later[..at.len()]), at: &at, shape, waits, scarce: self.setup.memory_mb < 256 };
        let (log, history) = run.on_threads(&receive, &work);
        (all.into_inner().unwrap(), log, history.eras.len() - 1, exported.into_inner())
    }
}

/// Packets for collectors, also those that found no room.
fn handed_over(tapped: &mut Tapped) -> u64 {
    let (mut collector, mut packets) = (Collector::new(&Settings::default()), 0);
    loop {
        match tapped.receive(0, &mut collector, &mut |_| ()) {
            0 => return packets + tapped.taken().full,
            more => packets += more as u64,
        }
    }
}

/// Whatever calculations there are, windows end and configurations come.
#[test]
fn the_data_path_takes_no_memory_and_gives_none_back() {
    what_is_taken_is_counted();
    let (mut coarser, mut shed, mut links) = (0, 0, 0);
    let seeds = seeds(4);
    for seed in seeds.iter().copied() {
        println!("TAILWATER_SEED={seed}");
        let ways = |shape| [(shape, true, false), (shape, false, false), (shape, false, true)];
        for (shape, waits, scarce) in SHAPES.into_iter().flat_map(ways) {
            let case = Case::draw(seed, scarce);
            let (threads, log, reloads, exported) = case.run(shape, waits);
            let total = log.appliance.iter().rfind(|report| report.total).and_then(|report| report.ledger.clone()).unwrap();
            let (received, lost) = (total.received, total.ring_dropped);
            let (memory_mb, strain) = (case.setup.memory_mb, log.strain);
            println!(
                "{shape:?}, waits {waits}, {memory_mb} MB: {reloads} reloads, {received} packets, {lost} records lost, {exported} for collectors, {strain:?}"
            );
            coarser += strain[..4].iter().sum::<u64>();
            (shed, links) = (shed + strain[4], links + log.links.len());
            assert_eq!((threads.len(), received), ((shape.0 + shape.1) as usize, case.packets.len() as u64));
            assert!(exported > 0, "no packet was for a collector");
            // Some may give way to the next, or be refused for want of room.
            assert!((reloads > 0 || scarce) && log.ranges.len() > 20);
            assert!(threads.iter().all(|counted| *counted == Counted::default()), "{threads:?}, the first:\n{}", first());
        }
    }
    assert!(coarser > 0 || seeds.len() < 4, "memory was never short");
    assert!(shed > 0 || seeds.len() < 4, "work was never shed");
    assert!(links > 0 || seeds.len() < 4, "there was no link");
}

/// The check itself: what a thread takes while it counts is seen, what it takes else is not.
fn what_is_taken_is_counted() {
    let taken = counted(|| drop(std::hint::black_box(Box::new([0_u8; 64]))));
    assert_eq!(taken, Counted { taken: 1, given_back: 1 });
    let from = first();
    assert!(from.contains("what_is_taken_is_counted"), "{from}");
    assert_eq!((counted(|| ()), first()), (Counted::default(), String::new()));
}
