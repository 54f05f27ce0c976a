//! The parser against real captures whose truth was computed by independent tools.

mod captures;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tailwater::parse::{IpHeader, MirrorPlan, Parsed, parse_into};
use tailwater::record::Fragment;

#[derive(Default, Debug)]
struct Tally {
    numbers: BTreeMap<&'static str, u64>,
    outer_proto: BTreeMap<String, u64>,
    inner_proto: BTreeMap<String, u64>,
    inner_version: BTreeMap<String, u64>,
    vlans: BTreeMap<String, u64>,
    addresses: BTreeMap<&'static str, BTreeSet<(bool, [u8; 16])>>,
}

impl Tally {
    fn add(&mut self, name: &'static str, count: u64) {
        *self.numbers.entry(name).or_default() += count;
    }

    fn address(&mut self, name: &'static str, header: &IpHeader, address: [u8; 16]) {
        self.addresses.entry(name).or_default().insert((header.v6, address));
    }

    fn packet(&mut self, parsed: &Parsed) {
        let outer = &parsed.headers()[0];
        let inner = parsed.headers().last().unwrap();
        self.add(if outer.v6 { "ipv6_packets" } else { "ipv4_packets" }, 1);
        *self.outer_proto.entry(outer.protocol.to_string()).or_default() += 1;
        *self.inner_proto.entry(inner.protocol.to_string()).or_default() += 1;
        *self.inner_version.entry(if inner.v6 { "6" } else { "4" }.into()).or_default() += 1;
        self.address("distinct_src_outermost", outer, outer.src);
        self.address("distinct_dst_outermost", outer, outer.dst);
        self.address("distinct_src_innermost_ext", inner, inner.src);
        self.address("distinct_dst_innermost_ext", inner, inner.dst);
        self.add("fragments_outer", (outer.fragment != Fragment::None).into());
        self.add("fragments_any", parsed.headers().iter().any(|h| h.fragment != Fragment::None).into());
        self.add("tcp_syn_no_ack_outer", outer.tcp_flags.is_some_and(|f| f & 0x12 == 2).into());
        self.add("tcp_syn_no_ack", inner.tcp_flags.is_some_and(|f| f & 0x12 == 2).into());
        self.add("tcp_syn_ack", inner.tcp_flags.is_some_and(|f| f & 0x12 == 0x12).into());
        self.add("l3_bytes_outer", outer.ip_bytes.into());
    }
}

fn tally(capture: &captures::Capture) -> Tally {
    let plan = MirrorPlan::default();
    let mut t = Tally::default();
    let mut parsed = Parsed::default();
    let link = capture.link().unwrap();
    let dump = std::env::var_os("DUMP").is_some();
    for (i, frame) in capture.frames.iter().enumerate() {
        t.add("frames", 1);
        t.add("wire_bytes", frame.wire_bytes.into());
        let result = parse_into(&frame.bytes, frame.wire_bytes, link, &plan, &mut parsed);
        for id in parsed.link.vlan_ids() {
            *t.vlans.entry(id.to_string()).or_default() += 1;
        }
        match result {
            Ok(()) => t.packet(&parsed),
            Err(_) => t.add("non_ip_frames", 1),
        }
        if dump {
            let mut line = format!("{}\t{result:?}\t{:?}\t{:?}", i + 1, parsed.fault, parsed.link.vlan_ids());
            for h in parsed.headers() {
                line += &format!(
                    "\t{:?} {} frag={:?} flags={:?} ports={:?} {}",
                    h.tunnel, h.protocol, h.fragment, h.tcp_flags, h.ports, h.payload_bytes
                );
            }
            println!("{line}");
        }
    }
    t
}

fn counts(value: &Value) -> BTreeMap<String, u64> {
    value.as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.as_u64().unwrap())).collect()
}

#[test]
fn counts_equal_the_truth() {
    let Some(folder) = captures::folder("counts_equal_the_truth") else { return };
    let mut judged = 0;
    for path in captures::files(&folder, &["packets", "attacks", "encap", "malformed"]) {
        if let Ok(only) = std::env::var("ONLY")
            && !path.display().to_string().contains(&only)
        {
            continue;
        }
        let truth: Value = serde_json::from_slice(&std::fs::read(path.with_extension("truth.json")).unwrap()).unwrap();
        let truth = &truth["packets"];
        let Some(capture) = captures::read(&path) else { continue };
        if truth.is_null() || capture.link().is_none() {
            continue;
        }
        judged += 1;
        let have = tally(&capture);
        let mut bad = Vec::new();
        for name in [
            "frames",
            "wire_bytes",
            "ipv4_packets",
            "ipv6_packets",
            "non_ip_frames",
            "fragments_outer",
            "fragments_any",
            "tcp_syn_no_ack_outer",
            "tcp_syn_no_ack",
            "tcp_syn_ack",
            "l3_bytes_outer",
        ] {
            let (want, have) = (truth[name].as_u64().unwrap(), have.numbers.get(name).copied().unwrap_or(0));
            if want != have {
                bad.push(format!("{name} {want} {have}"));
            }
        }
        for name in ["distinct_src_outermost", "distinct_dst_outermost", "distinct_src_innermost_ext", "distinct_dst_innermost_ext"] {
            let (want, have) = (truth[name].as_u64().unwrap(), have.addresses.get(name).map_or(0, |s| s.len() as u64));
            if want != have {
                bad.push(format!("{name} {want} {have}"));
            }
        }
        for (name, have) in [
            ("outer_proto", &have.outer_proto),
            ("innermost_ext_proto", &have.inner_proto),
            ("innermost_ext_ip_version", &have.inner_version),
            ("vlan_ids_outer", &have.vlans),
        ] {
            let want = counts(&truth[name]);
            if want != *have {
                bad.push(format!("{name} {want:?} {have:?}"));
            }
        }
        if !bad.is_empty() {
            let p = truth["crosscheck_dpkt"]["agree"].as_bool() == Some(true);
            println!(
                "{} agree={p} malformed={} truncated={}",
                path.file_name().unwrap().display(),
                truth["malformed_frames"],
                truth["truncated_frames"]
            );
            for line in bad {
                println!("    {line}");
            }
        }
    }
    println!("{judged} judged");
}
