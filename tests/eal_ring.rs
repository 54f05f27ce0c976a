//! Frames that are fed come out as they went in: short, chained, marks and ends, on several queues and lcores.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use tailwater::dpdk::{DpdkError, Eal, EalConfig, launch};
use tailwater::limits::{FRAME_BYTES_MAX, HEADER_SLICE_BYTES_MAX};
use tailwater::rx::replay::{FrameMeta, Full, open};
use tailwater::rx::{Event, RxQueue};
use tailwater::units::{Epoch, LinkType};

const FRAMES: u64 = 20_000;

/// Every frame's bytes follow from its number.
fn bytes_of(number: u64) -> Vec<u8> {
    let length = match number % 7 {
        0 => FRAME_BYTES_MAX,
        1 => HEADER_SLICE_BYTES_MAX,
        2 => HEADER_SLICE_BYTES_MAX + 1,
        3 => 0,
        _ => 60 + usize::try_from(number % 1_400).unwrap(),
    };
    (0..length).map(|at| u8::try_from((at as u64 + number) % 251).unwrap()).collect()
}

fn meta_of(number: u64) -> FrameMeta {
    let held = u32::try_from(bytes_of(number).len()).unwrap();
    FrameMeta {
        time_ns: 1_700_000_000_000_000_000 + number,
        epoch: Epoch(number / 1_000),
        wire_bytes: held + 4,
        captured_bytes: held,
        port: u16::try_from(number % 3).unwrap(),
        link: if number.is_multiple_of(2) { LinkType::Ethernet } else { LinkType::LinuxCooked2 },
        late: number.is_multiple_of(5),
    }
}

/// Checks all that arrives on one of `step` queues; gives the frames seen.
fn receive(mut queue: RxQueue, first: u64, step: u64) -> u64 {
    let mut burst = queue.burst();
    let (mut number, mut seen, mut epoch) = (first, 0, Epoch(0));
    loop {
        queue.poll(&mut burst);
        if burst.is_empty() {
            std::thread::yield_now();
        }
        for event in burst.events() {
            match event {
                Event::Epoch(next) => {
                    assert!(next > epoch);
                    epoch = next;
                }
                Event::End => return seen,
                Event::Frame(frame) => {
                    let (meta, bytes) = (meta_of(number), bytes_of(number));
                    assert_eq!(frame.bytes, &bytes[..bytes.len().min(HEADER_SLICE_BYTES_MAX)], "frame {number}");
                    let got = (frame.time_ns, frame.epoch, frame.wire_bytes, frame.captured_bytes, frame.port, frame.link, frame.late);
                    let fed = (meta.time_ns, meta.epoch, meta.wire_bytes, meta.captured_bytes, meta.port, meta.link, meta.late);
                    assert_eq!(got, fed, "frame {number}");
                    assert_eq!(frame.epoch, epoch, "marks stand between epochs");
                    number += step;
                    seen += 1;
                }
            }
        }
    }
}

fn until_taken(mut offer: impl FnMut() -> Result<(), Full>) {
    while offer().is_err() {
        std::thread::yield_now();
    }
}

#[test]
fn fed_frames_arrive_whole_and_in_order() {
    let started = std::time::Instant::now();
    let eal = Eal::init(&EalConfig::private("eal-ring", &[0, 0, 0])).unwrap();
    println!("EAL started in {:?}", started.elapsed());
    assert!(matches!(Eal::init(&EalConfig::private("again", &[0])), Err(DpdkError::AlreadyRunning)));
    assert!(launch(&eal, 0, || ()).is_err(), "the main lcore takes no work");
    assert!(launch(&eal, 9, || ()).is_err(), "no such lcore");

    let (queues, mut feed) = open(&eal, 2).unwrap();
    let mut handles = Vec::new();
    for (at, queue) in queues.into_iter().enumerate() {
        let first = at as u64;
        handles.push(launch(&eal, 1 + u32::try_from(at).unwrap(), move || receive(queue, first, 2)).unwrap());
    }
    assert!(launch(&eal, 1, || ()).is_err(), "a busy lcore takes no work");
    let mut epoch = Epoch(0);
    for number in 0..FRAMES {
        let meta = meta_of(number);
        if meta.epoch != epoch {
            epoch = meta.epoch;
            (0..2).for_each(|queue| until_taken(|| feed.mark(queue, epoch)));
        }
        until_taken(|| feed.feed(usize::try_from(number % 2).unwrap(), meta, &bytes_of(number)));
    }
    (0..2).for_each(|queue| until_taken(|| feed.end(queue)));
    let seen: u64 = handles.into_iter().map(|handle| handle.join().unwrap()).sum();
    assert_eq!(seen, FRAMES);

    let panicked = launch(&eal, 1, || panic!("on purpose")).unwrap();
    assert!(matches!(panicked.join(), Err(DpdkError::Panicked(1))));
    drop((feed, eal));
    assert!(matches!(Eal::init(&EalConfig::private("later", &[0])), Err(DpdkError::Spent)));
}
