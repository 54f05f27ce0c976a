//! Datagrams off real sockets on loopback: all of them come, a burst at a time, with their source, and a restart needs no template.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod flows_support;

use std::net::{SocketAddr, UdpSocket};

use flows_support::{captures, collector, datagrams, feed};
use tailwater::flows::listen::{Listener, wait};
use tailwater::flows::{Address, Collector, Flow};

/// Sends and receives, in turn, so that no buffer overflows.
fn over_loopback(listener: &mut Listener, collector: &mut Collector, payloads: &[Vec<u8>]) -> Vec<Flow> {
    let to = listener.address().unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut flows, before) = (Vec::new(), collector.ledger().datagrams);
    for (sent, payload) in payloads.iter().enumerate() {
        sender.send_to(payload, SocketAddr::from(([127, 0, 0, 1], to.port()))).unwrap();
        if sent % 20 == 19 {
            listener.receive(collector, &mut |flow| flows.push(flow.clone())).unwrap();
        }
    }
    for _ in 0..200 {
        if collector.ledger().datagrams - before == payloads.len() as u64 {
            return flows;
        }
        wait(std::slice::from_ref(listener), 100).unwrap();
        listener.receive(collector, &mut |flow| flows.push(flow.clone())).unwrap();
    }
    panic!("{} of {} came", collector.ledger().datagrams - before, payloads.len())
}

#[test]
fn what_is_sent_is_read() {
    let mut listener = Listener::open("[::]:0".parse().unwrap()).unwrap();
    let mut collector = collector();
    let mut five = vec![0u8, 5, 0, 1];
    five.resize(24 + 48, 1);
    let flows = over_loopback(&mut listener, &mut collector, &vec![five; 500]);
    assert_eq!((flows.len(), collector.ledger().decoded, collector.ledger().kernel_drops), (500, 500, 0));
    // An IPv4 exporter on an IPv6 socket is an IPv4 exporter; the kernel told when the datagram came.
    assert!(flows.iter().all(|flow| flow.fields.sampler_address == Address::of(&[127, 0, 0, 1])));
    assert!(flows.iter().all(|flow| flow.fields.time_received_ns > 1_600_000_000_000_000_000));
}

/// Far more than any buffer of ours holds, with nobody reading: the socket, and how many were sent.
fn flooded(collector: &mut Collector) -> (Listener, u64) {
    let mut listener = Listener::open("127.0.0.1:0".parse().unwrap()).unwrap();
    let to = listener.address().unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut five = vec![0u8, 5, 0, 1];
    five.resize(24 + 48, 1);
    over_loopback(&mut listener, collector, &vec![five.clone(); 300]);
    five.resize(16_000, 1);
    let sent = 20_000;
    (0..sent).for_each(|_| drop(sender.send_to(&five, to)));
    (listener, sent + 300)
}

/// What the kernel drops is told at once, before what it kept is read, long after the first burst, and though nothing comes behind it;
/// datagrams then tell older counts, and that changes nothing.
#[test]
fn what_the_socket_had_no_room_for_is_counted() {
    let mut collector = collector();
    let (mut listener, sent) = flooded(&mut collector);
    assert!(listener.receive(&mut collector, &mut |_| {}).unwrap() > 0);
    let dropped = collector.ledger().kernel_drops;
    assert!(dropped > 0, "the buffer took them all");
    while listener.receive(&mut collector, &mut |_| {}).unwrap() > 0 {}
    assert_eq!((collector.ledger().datagrams + dropped, collector.ledger().kernel_drops), (sent, dropped));
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(&[0, 5, 0, 1], listener.address().unwrap()).unwrap();
    wait(std::slice::from_ref(&listener), 1_000).unwrap();
    listener.receive(&mut collector, &mut |_| {}).unwrap();
    assert_eq!((collector.ledger().datagrams + dropped, collector.ledger().kernel_drops), (sent + 1, dropped));
}

/// What nobody reads before the end is told too, as far as it came before it.
#[test]
fn what_is_left_in_the_socket_is_counted() {
    let mut collector = collector();
    let (mut listener, sent) = flooded(&mut collector);
    let (before, began) = (std::time::SystemTime::UNIX_EPOCH, collector.ledger().datagrams);
    let now_ns = u64::try_from(before.elapsed().unwrap().as_nanos()).unwrap();
    listener.receive(&mut collector, &mut |_| {}).unwrap();
    let left = listener.leave(now_ns, &mut collector).unwrap();
    assert!(left > 0 && collector.ledger().datagrams > began);
    assert_eq!(collector.ledger().datagrams + collector.ledger().kernel_drops, sent);
    assert!(collector.ledger().missed >= left);
    // Of before that moment there is nothing more; nor was there anything of before the start.
    assert_eq!(listener.leave(now_ns, &mut collector).unwrap(), 0);
    let (mut listener, _) = flooded(&mut collector);
    assert_eq!(listener.leave(1, &mut collector).unwrap(), 0);
}

#[test]
fn two_may_share_a_port() {
    let first = Listener::open("127.0.0.1:0".parse().unwrap()).unwrap();
    assert!(Listener::open(first.address().unwrap()).is_ok());
}

#[test]
fn captures_over_sockets_are_captures_read() {
    let Some(files) = captures("flows_listen") else { return };
    let mut listener = Listener::open("127.0.0.1:0".parse().unwrap()).unwrap();
    for file in files {
        let came = datagrams(&file);
        let read = feed(&mut collector(), &came);
        let payloads: Vec<Vec<u8>> = came.into_iter().map(|(_, payload)| payload).collect();
        let mut fresh = collector();
        let sent = over_loopback(&mut listener, &mut fresh, &payloads);
        // Exporters of a capture share one address here: only where there was one are the flows the same.
        if read.iter().all(|flow| flow.fields.sampler_address == read[0].fields.sampler_address) {
            let bytes = |flows: &[Flow]| flows.iter().map(|flow| flow.fields.bytes).sum::<u64>();
            assert_eq!((sent.len(), bytes(&sent)), (read.len(), bytes(&read)), "{}", file.display());
        }
    }
}
