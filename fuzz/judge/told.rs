//! A flow as it is written, read back by others: prost's decoder, and a parser of JSON.

use prost::Message as _;
use serde_json::Value;
use tailwater::flows::pb::FlowMessage;
use tailwater::flows::{Flow, LeftOut, json, protobuf, text};

/// Panics where they differ.
pub(crate) fn check(flow: &Flow) {
    let (mut wire, mut framed, mut scratch, mut line, mut again) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    protobuf::write(flow, &mut wire);
    protobuf::write_framed(flow, &mut scratch, &mut framed);
    json::write(flow, &mut line);
    assert_eq!(text::unframed(&framed), Some(&wire[..]));
    assert!(text::json_of(&wire, LeftOut::default(), &mut again), "what was written is no message");
    assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&line));
    let read = FlowMessage::decode(&wire[..]).unwrap();
    same(flow, &read);
    assert_eq!(FlowMessage::decode(&read.encode_to_vec()[..]).unwrap(), read);
    let line: Value = serde_json::from_slice(&line).unwrap();
    let wide = |name: &str| line.get(name).map_or(0, |value| value.as_str().unwrap().parse().unwrap());
    assert_eq!(wide("bytes"), flow.fields.bytes);
    assert_eq!(wide("packets"), flow.fields.packets);
    assert_eq!(wide("time_flow_start_ns"), flow.fields.time_flow_start_ns);
}

fn same(flow: &Flow, read: &FlowMessage) {
    let f = &flow.fields;
    assert_eq!((read.bytes, read.packets, read.sampling_rate), (f.bytes, f.packets, f.sampling_rate));
    assert_eq!((read.time_received_ns, read.time_flow_start_ns), (f.time_received_ns, f.time_flow_start_ns));
    assert_eq!((read.time_flow_end_ns, read.sequence_num), (f.time_flow_end_ns, f.sequence_num));
    assert_eq!((&read.src_addr[..], &read.dst_addr[..]), (f.src_addr.bytes(), f.dst_addr.bytes()));
    assert_eq!((read.src_port, read.dst_port, read.proto), (f.src_port, f.dst_port, f.proto));
    assert_eq!((read.src_mac, read.dst_mac, read.etype), (f.src_mac, f.dst_mac, f.etype));
    assert_eq!((read.src_as, read.dst_as, read.in_if, read.out_if), (f.src_as, f.dst_as, f.in_if, f.out_if));
    assert_eq!(read.as_path, flow.lists.as_path[..]);
    assert_eq!(read.bgp_communities, flow.lists.bgp_communities[..]);
    assert_eq!(read.mpls_label, flow.lists.mpls_label[..]);
}
