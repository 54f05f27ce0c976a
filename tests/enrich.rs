//! Enrichment and streams through the pipeline that `flows` and `run` have, on tables that the tests make, against models that are
//! too slow to be wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod enrich_support;

use enrich_support::agent::{Agent, Held};
use enrich_support::mmdb::{Datum, country, database, system};
use enrich_support::{Place, address, flow, message, messages, mrt};
use prost::Message as _;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use serde_json::json;
use tailwater::enrich::Edges;
use tailwater::flows::pb::FlowMessage;
use tailwater::record::Named;

#[test]
fn customers_are_the_ranges() {
    let place = Place::new();
    place.put(
        "ranges.csv",
        "prefix,customer,cid\n203.0.113.0/24,acme,7\n203.0.113.64/26,inner,\n198.51.100.0/24,42,\n2001:db8::/32,six,9\n",
    );
    let (mut pipeline, _keeper) = place.pipeline("[enrich]\ncustomers = \"ranges\"");
    let m = message(&mut pipeline, &flow("8.8.8.8", "203.0.113.5"));
    assert_eq!((&m["cid"], &m["dst_cid"], &m["customer"], &m["remote_addr"]), (&json!(7), &json!(7), &json!("acme"), &json!("Src")));
    assert!(m.get("src_cid").is_none() && m.get("stream").is_none(), "{m}");
    let m = message(&mut pipeline, &flow("203.0.113.70", "8.8.8.8"));
    assert_eq!((&m["src_customer"], &m["customer"], &m["remote_addr"]), (&json!("inner"), &json!("inner"), &json!("Dst")));
    assert!(m.get("cid").is_none(), "a range without a number: {m}");
    let m = message(&mut pipeline, &flow("203.0.113.5", "198.51.100.1"));
    assert_eq!((&m["src_cid"], &m["dst_cid"], &m["cid"], m.get("remote_addr")), (&json!(7), &json!(42), &json!(42), None));
    assert_eq!(message(&mut pipeline, &flow("2001:db8::1", "2a00::1"))["cid"], 9);
    assert_eq!(m["proto_name"], "TCP");
}

#[test]
fn customers_of_files_in_csv_and_json() {
    let place = Place::new();
    place.put("c.csv", "# ours\nprefix,cid,customer\n10.0.0.0/8,1,\n10.1.0.0/16,2,two\n\n2001:db8::/32,3,\n");
    place.put("a.json", "[{\"prefix\": \"10.0.0.0/8\", \"cid\": 1}, {\"prefix\": \"10.1.0.0/16\", \"cid\": 2, \"customer\": \"two\"}, {\"prefix\": \"2001:db8::/32\", \"cid\": 3}]");
    place.put("o.json", "{\"10.0.0.0/8\": 1, \"10.1.0.0/16\": 2, \"2001:db8::/32\": 3}");
    for (file, name) in [("c.csv", json!("two")), ("a.json", json!("two")), ("o.json", json!(null))] {
        let (mut pipeline, _keeper) = place.pipeline(&format!("[enrich]\ncustomers = \"{file}\""));
        let cid = |m: &serde_json::Value| m["cid"].clone();
        assert_eq!(cid(&message(&mut pipeline, &flow("8.8.8.8", "10.2.0.1"))), 1, "{file}");
        let m = message(&mut pipeline, &flow("8.8.8.8", "10.1.0.1"));
        assert_eq!((cid(&m), m["dst_customer"].clone()), (json!(2), name), "{file}");
        assert_eq!(cid(&message(&mut pipeline, &flow("2001:db8::1", "::1"))), 3, "{file}");
    }
}

#[test]
fn databases_tell_country_and_as() {
    let place = Place::new();
    let countries = [("192.0.2.0/24", country("DE")), ("203.0.113.0/25", country("FR")), ("2001:db8::/33", country("JP"))];
    let other = Datum::Map(vec![("registered_country", Datum::Map(vec![("iso_code", Datum::Text("US"))]))]);
    for version in [4, 6] {
        let mut rows: Vec<_> = countries.iter().filter(|(net, _)| version == 6 || !net.contains(':')).cloned().collect();
        rows.push(("9.0.0.0/8", other.clone()));
        place.put("country.mmdb", database(version, &rows));
        place
            .put("asn.mmdb", database(version, &[("192.0.2.0/24", system(64_500, "Example")), ("203.0.113.0/24", system(64_501, "Acme"))]));
        let sections = "[enrich]\ncustomers = \"ranges\"\nasn = \"asn.mmdb\"\ncountry = \"country.mmdb\"";
        let (mut pipeline, _keeper) = place.pipeline(sections);
        let m = message(&mut pipeline, &flow("192.0.2.9", "203.0.113.5"));
        assert_eq!((&m["src_country"], &m["dst_country"], &m["remote_country"]), (&json!("DE"), &json!("FR"), &json!("DE")), "{version}");
        assert_eq!((&m["src_as"], &m["dst_as"], &m["src_as_name"]), (&json!(64_500), &json!(64_501), &json!("Example")));
        let mut told = flow("192.0.2.9", "203.0.113.200");
        told.fields.src_as = 3_320;
        let m = message(&mut pipeline, &told);
        assert_eq!((&m["src_as"], m.get("src_as_name"), m.get("dst_country")), (&json!(3_320), None, None), "{m}");
        assert_eq!(message(&mut pipeline, &flow("9.9.9.9", "203.0.113.200"))["src_country"], "US");
        if version == 6 {
            assert_eq!(message(&mut pipeline, &flow("2001:db8::1", "2001:db8:8000::1"))["src_country"], "JP");
        }
        let (mut pipeline, _keeper) = place.pipeline(&format!("{sections}\nprefer = \"table\""));
        assert_eq!(message(&mut pipeline, &told)["src_as"], 64_500);
    }
}

/// A table of countries against a walk over its networks, at their edges and beside them.
#[test]
fn every_network_of_a_database_is_found() {
    let seed = seed();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let codes = ["AA", "BB", "CC", "DD"];
    let mut rows: Vec<(String, &str)> = Vec::new();
    for at in 0..300_u32 {
        let length = 8 + random.next_u32() % 17;
        let net = std::net::Ipv4Addr::from((at / 2) << 24 | (at % 2) << 23 | random.next_u32() & 0x007F_0000);
        let net = ipnet::Ipv4Net::new(net, u8::try_from(length.max(9)).unwrap()).unwrap().trunc();
        rows.push((net.to_string(), codes[random.next_u32() as usize % 4]));
    }
    rows.dedup_by(|a, b| a.0 == b.0);
    let data: Vec<(&str, Datum)> = rows.iter().map(|(net, code)| (&net[..], country(code))).collect();
    let place = Place::new();
    place.put("c.mmdb", database(6, &data));
    let (mut pipeline, _keeper) = place.pipeline("[enrich]\ncountry = \"c.mmdb\"");
    for _ in 0..5_000 {
        let (net, _) = &rows[random.next_u32() as usize % rows.len()];
        let net: ipnet::Ipv4Net = net.parse().unwrap();
        let near = [u32::from(net.network()), u32::from(net.broadcast())][random.next_u32() as usize % 2];
        let asked = std::net::Ipv4Addr::from(near.wrapping_add(random.next_u32() % 3).wrapping_sub(1));
        let slow = rows.iter().find(|(net, _)| net.parse::<ipnet::Ipv4Net>().unwrap().contains(&asked)).map(|(_, code)| json!(code));
        let found = message(&mut pipeline, &flow(&asked.to_string(), "127.0.0.1")).get("src_country").cloned();
        assert_eq!(found, slow, "{asked}, ENRICH_SEED={seed}");
    }
}

fn seed() -> u64 {
    let seed = std::env::var("ENRICH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(11);
    println!("ENRICH_SEED={seed}");
    seed
}

#[test]
fn routes_of_mrt_and_csv() {
    let place = Place::new();
    let sequence = |path: &[u32]| (2_u8, path.to_vec());
    let rib = [
        mrt::peers(),
        mrt::prefix(
            "192.0.2.0/24",
            false,
            &[
                (vec![sequence(&[64_500, 64_501, 64_502])], "10.0.0.3"),
                (vec![sequence(&[64_510, 64_511])], "10.0.0.2"),
                (vec![sequence(&[64_520, 64_521])], "10.0.0.4"),
            ],
        ),
        mrt::prefix("192.0.2.128/25", true, &[(vec![sequence(&[64_500]), (1, vec![1, 2])], "10.0.0.9")]),
        mrt::prefix("198.51.100.0/24", false, &[(vec![(3, vec![65_001]), sequence(&[64_530]), (1, vec![4_200_000_000])], "10.0.0.5")]),
        mrt::prefix("2001:db8::/32", false, &[(vec![sequence(&[64_540])], "2001:db8:f::1")]),
        mrt::prefix("203.0.113.0/24", false, &[(vec![sequence(&[64_550])], "10.0.0.6"), (vec![], "10.0.0.7")]),
        mrt::prefix("0.0.0.0/0", false, &[]),
    ]
    .concat();
    place.put("rib.mrt", &rib);
    place.put("rib.csv", "prefix,origin_as,next_hop\n192.0.2.0/24,64511,10.0.0.2\n192.0.2.128/25,0,10.0.0.9\n198.51.100.0/24,4200000000,10.0.0.5\n2001:db8::/32,64540,2001:db8:f::1\n203.0.113.0/24,4200000500,10.0.0.7\n");
    for file in ["rib.mrt", "rib.csv"] {
        let (mut pipeline, _keeper) = place.pipeline(&format!("[enrich]\nbgp = \"{file}\""));
        let m = message(&mut pipeline, &flow("198.51.100.9", "192.0.2.1"));
        let of = |m: &serde_json::Value, key: &str| m.get(key).cloned().unwrap_or_default();
        assert_eq!((of(&m, "src_as"), of(&m, "dst_as")), (json!(4_200_000_000_u32), json!(64_511)), "{file}");
        assert_eq!((of(&m, "next_hop"), of(&m, "bgp_next_hop")), (json!("10.0.0.2"), json!("10.0.0.2")), "{file}");
        let m = message(&mut pipeline, &flow("8.8.8.8", "192.0.2.200"));
        assert_eq!((of(&m, "dst_as"), of(&m, "bgp_next_hop")), (json!(null), json!("10.0.0.9")), "a set has no origin: {file}");
        let m = message(&mut pipeline, &flow("8.8.8.8", "203.0.113.1"));
        assert_eq!((of(&m, "dst_as"), of(&m, "bgp_next_hop")), (json!(mrt::PEER_AS), json!("10.0.0.7")), "its peer's own: {file}");
        let mut told = flow("::1", "2001:db8::1");
        told.fields.next_hop = address("2001:db8::ffff");
        let m = message(&mut pipeline, &told);
        assert_eq!((of(&m, "dst_as"), of(&m, "next_hop")), (json!(64_540), json!("2001:db8::ffff")), "{file}");
        assert_eq!(of(&m, "bgp_next_hop"), json!("2001:db8:f::1"), "{file}");
        let (mut pipeline, _keeper) = place.pipeline(&format!("[enrich]\nbgp = \"{file}\"\nprefer = \"table\""));
        assert_eq!(of(&message(&mut pipeline, &told), "next_hop"), json!("2001:db8:f::1"), "{file}");
    }
    // Cut anywhere it is refused or a table of fewer prefixes, and never more than that.
    for length in 0..rib.len() {
        place.put("rib.mrt", &rib[..length]);
        let said = place.faults("[enrich]\nbgp = \"rib.mrt\"");
        assert!(said.is_empty() || said.contains("rib.mrt: is no MRT at byte") || said.contains("holds no unicast table"), "{said}");
    }
    place.put("rib.mrt", b"\x1F\x8B\x08 packed");
    assert!(place.faults("[enrich]\nbgp = \"rib.mrt\"").contains("is packed; unpack it first"));
}

#[test]
fn interfaces_of_csv_and_lookups() {
    let place = Place::new();
    place.put("if.csv", "exporter,if_index,name,description,speed\n192.0.2.1,3,et-0/0/1,\"Transit, A\",100000\n192.0.2.1,4,et-0/0/2,,\n");
    place.put("hosts.csv", "key,value\n203.0.113.0/24,hosting\n203.0.113.5,web \"1\"\n");
    place.put("ports.csv", "key,value\n443,https\n");
    place.put("protos.csv", "key,value\nTCP,the reliable one\n");
    let lookups = "[[enrich.lookups]]\nfile = \"hosts.csv\"\nby = \"dst_addr\"\n[[enrich.lookups]]\nfile = \"ports.csv\"\nby = \"src_port\"\ninto = \"src_if_desc\"\n\
                   [[enrich.lookups]]\nfile = \"protos.csv\"\nby = \"proto_name\"\ninto = \"dst_as_name\"";
    let (mut pipeline, _keeper) = place.pipeline(&format!("[enrich]\ninterfaces = \"if.csv\"\n{lookups}"));
    let mut told = flow("8.8.8.8", "203.0.113.5");
    (told.fields.in_if, told.fields.out_if) = (3, 4);
    let m = message(&mut pipeline, &told);
    assert_eq!((&m["src_if_name"], &m["src_if_speed"], &m["dst_if_name"]), (&json!("et-0/0/1"), &json!(100_000), &json!("et-0/0/2")));
    assert_eq!((&m["note"], &m["src_if_desc"], m.get("dst_if_desc")), (&json!("web \"1\""), &json!("https"), None));
    assert_eq!(m["dst_as_name"], "the reliable one");
    told.fields.dst_addr = address("203.0.113.6");
    (told.fields.src_port, told.fields.sampler_address, told.fields.exporter_address) = (80, address("10.9.9.9"), address("192.0.2.1"));
    let m = message(&mut pipeline, &told);
    assert_eq!((&m["note"], &m["src_if_desc"], &m["src_if_name"]), (&json!("hosting"), &json!("Transit, A"), &json!("et-0/0/1")));
}

/// An answer that comes behind its time is not taken for that of the next question, and so on to the end.
#[test]
fn an_agent_that_is_late_once_is_understood() {
    let rows = vec![(vec![1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1, 7], Held::Text("ae7"))];
    let agent = Agent::late("hush", rows, std::time::Duration::from_millis(250));
    let place = Place::new();
    place.put("community", "hush\n");
    let exporter = agent.address;
    let (mut pipeline, _keeper) =
        place.pipeline(&format!("[enrich.snmp]\nexporters = [\"{exporter}\"]\ncommunity_file = \"community\"\ntimeout_ms = 200"));
    let mut told = flow("8.8.8.8", "203.0.113.5");
    (told.fields.sampler_address, told.fields.in_if) = (address("127.0.0.1"), 7);
    assert_eq!(message(&mut pipeline, &told)["src_if_name"], json!("ae7"));
}

#[test]
fn interfaces_are_asked_by_snmp() {
    let row = |column: u32, index: u32, held: Held| (vec![1, 3, 6, 1, 2, 1, 31, 1, 1, 1, column, index], held);
    let mut rows = Vec::new();
    rows.extend((1..=60).map(|index| row(1, index, Held::Text(if index == 59 { "ge-59" } else { "other" }))));
    rows.push(row(1, 70_000, Held::Text("ae0")));
    rows.push(row(15, 59, Held::Gauge(40_000)));
    rows.push(row(15, 70_000, Held::Gauge(4_000_000_000)));
    rows.push(row(18, 59, Held::Text("to the core")));
    let agent = Agent::start("hush", rows, 1);
    let place = Place::new();
    place.put("community", "hush\n");
    let exporter = agent.address;
    let (mut pipeline, _keeper) =
        place.pipeline(&format!("[enrich.snmp]\nexporters = [\"{exporter}\"]\ncommunity_file = \"community\"\ntimeout_ms = 300"));
    let mut told = flow("8.8.8.8", "203.0.113.5");
    (told.fields.sampler_address, told.fields.in_if, told.fields.out_if) = (address("127.0.0.1"), 59, 70_000);
    let m = message(&mut pipeline, &told);
    assert_eq!((&m["src_if_name"], &m["src_if_desc"], &m["src_if_speed"]), (&json!("ge-59"), &json!("to the core"), &json!(40_000)));
    assert_eq!((&m["dst_if_name"], &m["dst_if_speed"]), (&json!("ae0"), &json!(4_000_000_000_u32)));
    // The wrong community is answered by nobody, and holds nobody up for ever.
    place.put("community", "wrong\n");
    let (mut pipeline, _keeper) =
        place.pipeline(&format!("[enrich.snmp]\nexporters = [\"{exporter}\"]\ncommunity_file = \"community\"\ntimeout_ms = 50"));
    assert!(message(&mut pipeline, &told).get("src_if_name").is_none());
    assert!(!place.load("[enrich.snmp]\nexporters = [\"192.0.2.1\"]\ncommunity_file = \"community\"").written().contains("\"community\""));
}

/// An exporter that is silent at first is asked again within seconds; until then it is said that names are not known which decide.
#[test]
fn a_silent_exporter_is_asked_again() {
    let rows = vec![(vec![1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1, 7], Held::Text("Transit A"))];
    let agent = Agent::start("hush", rows, 3);
    let place = Place::new();
    place.put("community", "hush\n");
    let exporter = agent.address;
    let sections = format!(
        "[enrich.snmp]\nexporters = [\"{exporter}\"]\ncommunity_file = \"community\"\ntimeout_ms = 50\n\
         [flows.interfaces]\nexternal_names = [\"Transit*\"]\nexternal = [\"127.0.0.1/9\"]\ndefault = \"internal\"\n"
    );
    let config = place.load(&sections);
    let (_pipeline, keeper) = place.pipeline(&sections);
    let keeper = keeper.unwrap();
    let mut edges = Edges::new(&config.interfaces, keeper.shelf()).unwrap();
    let mut told = flow("8.8.8.8", "10.0.0.1");
    (told.fields.sampler_address, told.fields.in_if, told.fields.out_if) = (address("127.0.0.1"), 7, 9);
    assert_eq!(edges.of(&told), Named { sides: [None; 2], are_unknown: true });
    let mut listed = told.clone();
    listed.fields.in_if = 9;
    assert!(!edges.of(&listed).are_unknown, "nobody waits for what a list says");
    let mut other = told.clone();
    other.fields.sampler_address = address("192.0.2.77");
    other.fields.exporter_address = address("192.0.2.77");
    assert!(!edges.of(&other).are_unknown, "who is not asked will not answer");
    let since = std::time::Instant::now();
    while edges.of(&told).are_unknown {
        assert!(since.elapsed().as_secs() < 60, "asked {} times", agent.asked.load(std::sync::atomic::Ordering::Relaxed));
        std::thread::sleep(std::time::Duration::from_millis(50));
        edges.look();
    }
    assert_eq!(edges.of(&told).sides, [Some(true), None]);
}

#[test]
fn counts_are_normalised_where_the_rate_is_known() {
    let place = Place::new();
    let (mut pipeline, _keeper) = place.pipeline("[enrich]\nnormalise = true\nprotocol_names = false");
    let mut told = flow("8.8.8.8", "203.0.113.5");
    let m = message(&mut pipeline, &told);
    assert_eq!((&m["bytes"], m.get("normalized"), m.get("proto_name")), (&json!("1000"), None, None));
    told.fields.sampling_rate = 40;
    let m = message(&mut pipeline, &told);
    assert_eq!((&m["bytes"], &m["packets"], &m["sampling_rate"]), (&json!("40000"), &json!("400"), &json!("40")));
    assert_eq!(m["normalized"], "Yes");
    told.fields.bytes = u64::MAX / 2;
    assert_eq!(message(&mut pipeline, &told)["bytes"], u64::MAX.to_string());
}

#[test]
fn streams_split_drop_hide_and_reduce() {
    let place = Place::new();
    place.put("pan.key", "152217 8d33a4cf80130a5b1649907d10d8988f8379796527 62574c2d2a842202\n".replace(' ', ""));
    let streams = "[enrich]\ncustomers = \"ranges\"\n[[streams]]\nname = \"noise\"\nwhere = { dst_port = [9] }\ndrop = true\n\
                   [[streams]]\nname = \"customers\"\nwhere = { customer = [\"acme\"] }\ntopic = \"flows.{customer}.{proto_name}\"\n\
                   keep = [\"src_addr\", \"dst_addr\", \"bytes\", \"stream\"]\nanonymise = { fields = [\"src_addr\"], method = \"crypto-pan\", key_file = \"pan.key\" }\n\
                   [[streams]]\nname = \"rest\"\ndrop_fields = [\"proto\", \"bytes\"]\nformat = \"protobuf\"\nframing = \"bare\"\n\
                   anonymise = [{ fields = [\"src_addr\", \"sampler_address\"], method = \"truncate\", v4_bits = 16 }]\n";
    let (mut pipeline, _keeper) = place.pipeline(streams);
    let take = |pipeline: &mut tailwater::enrich::Pipeline, flow: &tailwater::flows::Flow| {
        let mut found = Vec::new();
        pipeline.take(flow, &mut |p| found.push((p.stream.to_owned(), p.topic.map(str::to_owned), p.bytes.to_vec())));
        found
    };
    let found = take(&mut pipeline, &flow("128.11.68.132", "203.0.113.5"));
    assert_eq!(found.len(), 2);
    assert_eq!((&found[0].0[..], found[0].1.as_deref()), ("customers", Some("flows.acme.TCP")));
    let line = String::from_utf8(found[0].2.clone()).unwrap();
    assert_eq!(line, "{\"bytes\":\"1000\",\"src_addr\":\"135.242.180.132\",\"dst_addr\":\"203.0.113.5\",\"stream\":\"customers\"}\n");
    assert_eq!((&found[1].0[..], found[1].1.as_deref()), ("rest", None));
    let rest = FlowMessage::decode(&found[1].2[..]).unwrap();
    assert_eq!((rest.src_addr, rest.sampler_address, rest.dst_addr), (vec![128, 11, 0, 0], vec![192, 0, 0, 0], vec![203, 0, 113, 5]));
    assert_eq!((rest.proto, rest.bytes, rest.packets, &rest.stream[..]), (0, 0, 10, "rest"));
    let mut noise = flow("128.11.68.132", "203.0.113.5");
    noise.fields.dst_port = 9;
    assert!(take(&mut pipeline, &noise).is_empty());
    assert_eq!(take(&mut pipeline, &flow("8.8.8.8", "8.8.4.4")).len(), 1);
    let counts: Vec<_> = pipeline.counts().map(|(name, counts)| (name.to_owned(), counts.written, counts.dropped)).collect();
    assert_eq!(counts, [("noise".to_owned(), 0, 1), ("customers".to_owned(), 1, 0), ("rest".to_owned(), 2, 0)]);
    assert!(pipeline.to_string().ends_with("streams: 0 flows in none"));
}

#[test]
fn one_in_so_many_is_drawn_and_says_so() {
    let place = Place::new();
    let run = || {
        let (mut pipeline, _keeper) = place.pipeline("[[streams]]\nname = \"few\"\nsample = 10");
        let told = flow("8.8.8.8", "203.0.113.5");
        let drawn: Vec<usize> = (0..20_000).filter(|_| messages(&mut pipeline, &told).iter().any(|m| m["record_sampling"] == 10)).collect();
        let (_, counts) = pipeline.counts().next().unwrap();
        assert_eq!((counts.written, counts.written + counts.left_out), (drawn.len() as u64, 20_000));
        drawn
    };
    let drawn = run();
    // Binomial: 2,000 within five standard deviations of 42; and no pattern of ten.
    assert!((1_790..=2_210).contains(&drawn.len()), "{}", drawn.len());
    assert!((0..10).all(|at| drawn.iter().filter(|n| *n % 10 == at).count() > 100));
    assert_eq!(drawn, run(), "the same each time");
}

/// So many topics as values, up to the bound.
#[test]
fn a_stranger_cannot_make_topics_without_end() {
    let place = Place::new();
    let (mut pipeline, _keeper) = place.pipeline("[[streams]]\nname = \"ports\"\ntopic = \"p.{dst_port}\"");
    let mut topics = std::collections::BTreeSet::new();
    let mut told = flow("8.8.8.8", "203.0.113.5");
    for port in 0..10_000 {
        told.fields.dst_port = port;
        pipeline.take(&told, &mut |piece| topics.extend([piece.topic.unwrap().to_owned()]));
    }
    assert_eq!(topics.len(), 4_097);
    assert!(topics.contains("p.none") && topics.contains("p.other") && topics.contains("p.4095") && !topics.contains("p.4096"));
    let (_, counts) = pipeline.counts().next().unwrap();
    assert_eq!(counts.topics_refused, 10_000 - 4_096);
}

/// Names are those of Kafka, whatever a text holds, and long ones stay within its bound and apart.
#[test]
fn topics_are_named_whatever_fields_hold() {
    let place = Place::new();
    let fields = ["{stream}", "{note}", "{customer}", "{src_mac}", "{src_addr}"].join(".");
    place.put("n.csv", format!("key,value\n1,{}\n2,{}\n3,ä/ö\n", "long ".repeat(90), "long ".repeat(91)));
    let (mut pipeline, _keeper) = place.pipeline(&format!(
        "[enrich]\n[[enrich.lookups]]\nfile = \"n.csv\"\nby = \"in_if\"\n[[streams]]\nname = \"a b\"\ntopic = \"t.{fields}\"\n[[streams]]\nname = \"c\"\ntopic = \"t.{{stream}}\""
    ));
    let mut told = flow("2001:db8::1", "203.0.113.5");
    let mut topics = Vec::new();
    for in_if in 1..=3 {
        told.fields.in_if = in_if;
        pipeline.take(&told, &mut |piece| topics.push(piece.topic.unwrap().to_owned()));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    assert!(topics.iter().all(|topic| topic.len() <= 249 && topic.chars().all(legal)), "{topics:?}");
    assert!(topics[0].starts_with("t.a_b-") && topics[0].contains(".none.") && topics[0] != topics[2], "{topics:?}");
    assert_eq!((&topics[1][..], topics.len()), ("t.c", 6));
}
