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

/// More than the kernel may hold of a socket: what it dropped is told with the next datagram that it takes, also after thousands that
/// went well.
#[test]
fn what_the_kernel_dropped_is_counted() {
    let mut listener = Listener::open("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut collector = collector();
    let mut five = vec![0u8, 5, 0, 1];
    five.resize(24 + 48, 1);
    over_loopback(&mut listener, &mut collector, &vec![five.clone(); 1_000]);
    let (to, sender) = (listener.address().unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let held = 2 * (tailwater::limits::UDP_RECEIVE_BYTES / 1_400);
    let long = vec![0xFF; 1_400];
    (0..2 * held).for_each(|_| _ = sender.send_to(&long, to).unwrap());
    while listener.receive(&mut collector, &mut |_| {}).unwrap() > 0 {}
    sender.send_to(&five, to).unwrap();
    wait(std::slice::from_ref(&listener), 1_000).unwrap();
    listener.receive(&mut collector, &mut |_| {}).unwrap();
    let (came, dropped) = (collector.ledger().datagrams, collector.ledger().kernel_drops);
    assert!(dropped > 0);
    assert_eq!(came + dropped, 1_000 + 2 * held as u64 + 1);
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
