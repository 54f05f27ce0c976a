//! What single elements and samples tell, by hand-made datagrams: times, sampling, discards.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test says what it expects; its numbers are small")]

mod flows_support;

use flows_support::told::{AT, REVERSE, Told, ipfix, of, options, sample, sets, sflow};
use flows_support::{collector, feed, from};
use tailwater::flows::{Address, Collector, Flow, OperatorRate, RateFrom, Settings};

const SECOND_NS: u64 = 1_000_000_000;
const AT_NS: u64 = AT as u64 * SECOND_NS;

fn one(c: &mut Collector, bytes: Vec<u8>) -> Flow {
    let flows = feed(c, &[(from(1, 2_055, AT_NS), bytes)]);
    assert_eq!(flows.len(), 1, "{}", c.ledger());
    flows.into_iter().next().unwrap()
}

/// Of one record of IPFIX.
fn told(fields: &[Told]) -> Flow {
    one(&mut collector(), ipfix(0, 0, &sets(10, fields)))
}

/// Uptimes of 32 bits from a start that is told once: right, however often they came round.
#[test]
fn uptimes_of_ipfix_come_round() {
    for days in [0u64, 1, 24, 25, 49, 50, 99, 100, 1_000] {
        let up_ms = days * 86_400_000 + 10_000;
        let init = (u64::from(AT) * 1_000 - up_ms).to_be_bytes();
        let at = |ago_ms: u64| ((up_ms - ago_ms) as u32).to_be_bytes();
        let flow = told(&[of(160, &init), of(22, &at(5_000)), of(21, &at(1_000))]);
        let times = (flow.fields.time_flow_start_ns, flow.fields.time_flow_end_ns);
        assert_eq!(times, (AT_NS - 5 * SECOND_NS, AT_NS - SECOND_NS), "{days} days");
        // A little after the header was written.
        let flow = told(&[of(160, &init), of(22, &at(5_000)), of(21, &((up_ms + 300) as u32).to_be_bytes())]);
        assert_eq!(flow.fields.time_flow_end_ns, AT_NS + 300_000_000, "{days} days");
    }
}

/// Elements 305 to 310 in options.
#[test]
fn rates_by_count_by_time_and_by_population() {
    let word = |value: u32| value.to_be_bytes().to_vec();
    let rate = |rows: &[(u16, u32)]| {
        let mut c = collector();
        let fields: Vec<Told> = rows.iter().map(|(id, value)| (*id, None, word(*value))).collect();
        c.take(&from(1, 1, 1), &ipfix(0, 0, &options(7, &fields)), &mut |_| ());
        let flow = one(&mut c, ipfix(1, 0, &sets(10, &[of(1, &[9])])));
        (flow.fields.sampling_rate, flow.fields.rate_from)
    };
    let (known, unknown) = (RateFrom::Options, (0, RateFrom::Unknown));
    assert_eq!(rate(&[(305, 1), (306, 999)]), (1_000, known));
    assert_eq!(rate(&[(305, 10), (306, 0)]), (1, known));
    assert_eq!(rate(&[(304, 2), (307, 1_000), (308, 9_000)]), (10, known));
    assert_eq!(rate(&[(307, 1_000), (308, 0)]), (1, known));
    assert_eq!(rate(&[(309, 2), (310, 64)]), (32, known));
    // Of another domain than that which tells it.
    let mut c = collector();
    c.take(&from(1, 1, 1), &ipfix(0, 0, &options(8, &[of(34, &[0, 100])])), &mut |_| ());
    let mut flow = |domain: u8| {
        let mut bytes = ipfix(1, 0, &sets(10, &[of(1, &[9])]));
        bytes[15] = domain;
        one(&mut c, bytes).fields.sampling_rate
    };
    assert_eq!([flow(7), flow(8), flow(9)], [0, 100, 0]);
    assert_eq!([rate(&[(307, 1_000)]), rate(&[(308, 9_000)]), rate(&[(306, 9)]), rate(&[(309, 1)])], [unknown; 4]);
}

/// A sample of what was dropped says so, and "no interface" is none.
#[test]
fn discards_and_packets_of_the_device_itself() {
    const OWN: u32 = 0x3FFF_FFFF;
    let frame = [0; 60];
    let told = |format: u32, words: &[u32]| one(&mut collector(), sflow(1, 9, &[sample(format, words, &frame)])).fields;
    let f = told(1, &[1, 3, 400, 400, 0, 7, 1 << 30 | 258]);
    assert_eq!((f.forwarding_status, f.discard_reason, f.in_if, f.out_if, f.sampling_rate), (0x80, 259, 7, 0, 400));
    let f = told(3, &[1, 0, 3, 400, 400, 0, 0, 7, 1, 258]);
    assert_eq!((f.forwarding_status, f.discard_reason, f.in_if, f.out_if, f.sampling_rate), (0x80, 259, 7, 0, 400));
    let f = told(1, &[1, 3, 400, 400, 0, OWN, OWN]);
    assert_eq!((f.forwarding_status, f.discard_reason, f.in_if, f.out_if), (0, 0, 0, 0));
    let f = told(3, &[1, 0, 3, 400, 400, 0, 0, OWN, 0, OWN]);
    assert_eq!((f.forwarding_status, f.discard_reason, f.in_if, f.out_if), (0, 0, 0, 0));
    let f = told(5, &[1, 0, 3, 0, OWN, OWN, 262]);
    assert_eq!((f.forwarding_status, f.discard_reason, f.in_if, f.out_if, f.sampling_rate), (0x80, 263, 0, 0, 1));
    let f = told(1, &[1, 3, 400, 400, 0, 7, 8]);
    assert_eq!((f.forwarding_status, f.in_if, f.out_if), (0, 7, 8));
}

/// The operator may name the agent of sFlow, as messages do, or where its datagrams come from.
#[test]
fn rates_of_the_operator_hold_for_agents() {
    let agent = Address::of(&[192, 0, 2, 9]);
    for exporter in [agent, from(1, 1, 1).exporter] {
        let rates = vec![OperatorRate { exporter, interface: None, rate: 77 }];
        let flow = one(
            &mut Collector::new(&Settings { rates, ..Settings::default() }),
            sflow(1, 9, &[sample(1, &[1, 3, 400, 400, 0, 7, 8], &[0; 60])]),
        );
        assert_eq!((flow.fields.sampling_rate, flow.fields.rate_from, flow.fields.sampler_address), (77, RateFrom::Operator, agent));
    }
}

/// Virtual routers, and both directions in one record (RFC 5103).
#[test]
fn vrfs_and_the_reverse_direction() {
    let word = |n: u32| n.to_be_bytes();
    let f = told(&[of(234, &word(11)), of(235, &word(12)), of(239, &[1]), of(61, &[1])]).fields;
    assert_eq!((f.ingress_vrf_id, f.egress_vrf_id, f.biflow_direction, f.direction), (11, 12, 1, 1));
    let nine =
        feed(&mut collector(), &[(from(1, 1, 1), flows_support::told::nine(0, 0, 9, &sets(9, &[of(234, &word(11)), of(235, &word(12))])))]);
    assert_eq!((nine[0].fields.ingress_vrf_id, nine[0].fields.egress_vrf_id), (11, 12));
    let reverse = |id: u16, value: &[u8]| (id, Some(REVERSE), value.to_vec());
    let ms = |ago: u64| (u64::from(AT) * 1_000 - ago).to_be_bytes();
    let whole = [
        of(1, &word(700)),
        of(6, &[2]),
        reverse(1, &word(555)),
        reverse(2, &word(5)),
        reverse(6, &[0x12]),
        reverse(5, &[0xB8]),
        reverse(192, &[61]),
        reverse(136, &[3]),
        reverse(58, &[0, 99]),
        reverse(152, &ms(100)),
        reverse(153, &ms(50)),
    ];
    let f = told(&whole).fields;
    assert_eq!((f.bytes, f.tcp_flags, f.reverse_bytes, f.reverse_packets), (700, 2, 555, 5));
    assert_eq!(
        (f.reverse_tcp_flags, f.reverse_ip_tos, f.reverse_ip_ttl, f.reverse_flow_end_reason, f.reverse_vlan),
        (0x12, 0xB8, 61, 3, 99)
    );
    assert_eq!((f.reverse_time_flow_start_ns, f.reverse_time_flow_end_ns), (AT_NS - 100_000_000, AT_NS - 50_000_000));
    // Its times in all other ways, and of the same first direction's.
    let init = (u64::from(AT) * 1_000 - 90_000).to_be_bytes();
    let ntp = |ns: u64| (((u64::from(AT) + 2_208_988_800) << 32) + (ns << 32) / SECOND_NS).to_be_bytes();
    let ways: [(u16, u16, Vec<u8>, Vec<u8>); 5] = [
        (150, 151, word(AT).to_vec(), word(AT).to_vec()),
        (154, 155, ntp(0).to_vec(), ntp(0).to_vec()),
        (156, 157, ntp(0).to_vec(), ntp(0).to_vec()),
        (158, 159, word(0).to_vec(), word(0).to_vec()),
        (22, 21, word(90_000).to_vec(), word(90_000).to_vec()),
    ];
    for (start, end, from, to) in ways {
        let f = told(&[of(160, &init), of(start, &from), of(end, &to), reverse(start, &from), reverse(end, &to)]).fields;
        let times = [f.time_flow_start_ns, f.time_flow_end_ns, f.reverse_time_flow_start_ns, f.reverse_time_flow_end_ns];
        assert_eq!(times, [AT_NS; 4], "{start}");
    }
}

/// The lowest eleven bits of a fraction in microseconds are to be ignored (RFC 7011, 6.1.9); those of nanoseconds are not.
#[test]
fn microseconds_are_no_finer_than_they_are() {
    let half = ((u64::from(AT) + 2_208_988_800) << 32) | 0x8000_0000;
    let of_both = |id: u16| {
        let [plain, filled] = [half, half | 0x7FF].map(|value| told(&[of(id, &value.to_be_bytes())]).fields.time_flow_start_ns);
        (plain, filled - plain)
    };
    let at = AT_NS + SECOND_NS / 2;
    assert_eq!([154, 324].map(of_both), [(at, 0); 2]);
    assert_eq!([156, 325].map(of_both), [(at, 476); 2]);
}

fn ipv4(last: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut header =
        vec![0x45, 0, 0, (20 + payload.len()) as u8, 0, 1, 0, 0, 60 + last, protocol, 0, 0, 192, 0, 2, last, 198, 51, 100, last];
    header.extend_from_slice(payload);
    header
}

fn ipv6(last: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0, 0, payload.len() as u8, protocol, 60 + last];
    for kind in [1, 2] {
        header.extend([0x20, 1, 0x0D, 0xB8, 0, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    header.extend_from_slice(payload);
    header
}

fn ethernet(etype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &etype.to_be_bytes(), payload].concat()
}

/// What a tunnel carries stands beside what carries it, of samples of sFlow and of frames within IPFIX.
#[test]
fn inner_headers_of_tunnels() {
    let syn = [&[0x04, 0xD2, 0, 80][..], &[0; 8], &[0x50, 2, 4, 0, 0, 0, 0, 0]].concat();
    let inner = ipv4(2, 6, &syn);
    let udp = |port: u16, payload: &[u8]| {
        [&[0xC0, 0][..], &port.to_be_bytes(), &((8 + payload.len()) as u16).to_be_bytes(), &[0, 0], payload].concat()
    };
    let vxlan = udp(4_789, &[&[8, 0, 0, 0, 0, 0, 77, 0][..], &ethernet(0x0800, &inner)].concat());
    let ways = [
        ("IP in IP", ipv4(1, 4, &inner), 4),
        ("GRE", ipv4(1, 47, &[&[0, 0, 8, 0][..], &inner].concat()), 47),
        ("VXLAN", ipv4(1, 17, &vxlan), 17),
        ("twice", ipv4(1, 4, &ipv4(3, 47, &[&[0, 0, 8, 0][..], &inner].concat())), 4),
    ];
    for (name, packet, outer) in ways {
        let frame = ethernet(0x0800, &packet);
        let sampled = one(&mut collector(), sflow(1, 9, &[sample(1, &[1, 3, 400, 400, 0, 7, 8], &frame)])).fields;
        let shown = told(&[of(312, &(frame.len() as u16).to_be_bytes()), of(315, &frame)]).fields;
        for f in [sampled, shown] {
            assert_eq!((f.proto, f.src_addr, f.etype), (outer, Address::of(&[192, 0, 2, 1]), 0x0800), "{name}");
            assert_eq!((f.has_encap, f.etype_encap, f.proto_encap, f.ip_ttl_encap), (1, 0x0800, 6, 62), "{name}");
            assert_eq!((f.src_addr_encap, f.dst_addr_encap), (Address::of(&[192, 0, 2, 2]), Address::of(&[198, 51, 100, 2])), "{name}");
            assert_eq!((f.src_port_encap, f.dst_port_encap, f.tcp_flags_encap), (1_234, 80, 2), "{name}");
        }
    }
    let frame = ethernet(0x0800, &ipv4(1, 41, &ipv6(2, 17, &udp(53, &[0; 4]))));
    let f = one(&mut collector(), sflow(1, 9, &[sample(1, &[1, 3, 400, 400, 0, 7, 8], &frame)])).fields;
    assert_eq!((f.has_encap, f.etype_encap, f.proto_encap, f.dst_port_encap, f.tcp_flags_encap), (1, 0x86DD, 17, 53, 0));
    assert_eq!(f.src_addr_encap, Address::of(&[0x20, 1, 0x0D, 0xB8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]));
    let f = one(&mut collector(), sflow(1, 9, &[sample(1, &[1, 3, 400, 400, 0, 7, 8], &ethernet(0x0800, &inner))])).fields;
    assert_eq!((f.has_encap, f.src_addr_encap, f.proto), (0, Address::NONE, 6));
}

/// What stands behind PPPoE or LLC with SNAP is read as behind Ethernet alone; of several fields of one meaning the right one counts.
#[test]
fn links_and_fields_of_one_meaning() {
    let packet = {
        let mut packet = ipv4(2, 17, &[0xC0, 0, 0, 53, 0, 8, 0, 0]);
        packet[1] = 0xB8;
        packet
    };
    let pppoe = ethernet(0x8864, &[&[0x11, 0, 0, 1][..], &(packet.len() as u16 + 2).to_be_bytes(), &[0, 0x21], &packet].concat());
    let snap = ethernet(packet.len() as u16 + 8, &[&[0xAA, 0xAA, 3, 0, 0, 0, 8, 0][..], &packet].concat());
    for frame in [pppoe, snap, ethernet(0x0800, &packet)] {
        let flow = one(&mut collector(), sflow(1, 9, &[sample(1, &[1, 3, 400, 400, 0, 7, 8], &frame)]));
        let (f, layers) = (flow.fields, flow.lists.layers.iter().map(|(kind, _)| *kind).collect::<Vec<_>>());
        assert_eq!((f.etype, f.ip_tos, f.proto, f.dst_port, f.fragment_id), (0x0800, 0xB8, 17, 53, 1));
        assert_eq!(layers, [0, 1, 4]);
    }
    for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]] {
        let mac = |last: u8| [2, 0, 0, 0, 0, last];
        let all = [of(52, &[9]), of(192, &[64]), of(56, &mac(1)), of(81, &mac(2)), of(80, &mac(3)), of(57, &mac(4))];
        let f = told(&order.map(|at: usize| all[at].clone())).fields;
        assert_eq!((f.ip_ttl, f.src_mac & 0xFF, f.dst_mac & 0xFF), (9, 1, 3), "{order:?}");
    }
    // A packet without its link; and VLANs by their newer elements.
    let f = told(&[of(313, &packet), of(243, &[0, 100]), of(254, &[0, 101])]).fields;
    assert_eq!((f.src_addr, f.dst_port, f.ip_tos, f.src_vlan, f.dst_vlan), (Address::of(&[192, 0, 2, 2]), 53, 0xB8, 100, 101));
    let f = told(&[of(58, &[0, 7]), of(243, &[0, 100]), of(254, &[0, 101]), of(59, &[0, 8])]).fields;
    assert_eq!((f.src_vlan, f.dst_vlan), (7, 8));
    assert_eq!(told(&[of(81, &[2, 0, 0, 0, 0, 2]), of(57, &[2, 0, 0, 0, 0, 4])]).fields.src_mac & 0xFF, 2);
}
