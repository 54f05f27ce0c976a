//! Tables as files: read again when they change, refused with line and remedy when they are faulty.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod enrich_support;

use enrich_support::mmdb::{country, database, doubled, nested, system};
use enrich_support::{Place, flow, message, replace, until};
use tailwater::enrich::Edges;
use tailwater::record::Named;

#[test]
fn files_are_read_again_and_bad_ones_are_not() {
    let place = Place::new();
    let file = place.put("c.csv", "prefix,cid\n10.0.0.0/8,1\n");
    let (mut pipeline, keeper) = place.pipeline("[enrich]\ncustomers = \"c.csv\"\nreload_s = 1");
    let keeper = keeper.unwrap();
    let mut cid = || message(&mut pipeline, &flow("8.8.8.8", "10.0.0.1"))["cid"].clone();
    assert_eq!(cid(), 1);
    replace(&file, "prefix,cid\n10.0.0.0/8,22\n");
    keeper.look();
    until("the new number", || cid() == 22);
    replace(&file, "prefix,cid\n10.0.0.0/8,333\n10.0.0.0/9,x\n");
    keeper.look();
    until("the refusal", || keeper.reloads() == (1, 1));
    assert_eq!(cid(), 22);
    replace(&file, "prefix,cid\n10.0.0.0/8,4\n");
    until("the mended one, without being told", || cid() == 4);
    ranges_and_shared_files(&place);
}

/// Ranges are watched too; and a file of which there are two tables.
fn ranges_and_shared_files(place: &Place) {
    let both = place.put("both.csv", "key,value\n443,old\n");
    let lookup = |into: &str| format!("[[enrich.lookups]]\nfile = \"both.csv\"\nby = \"src_port\"\ninto = \"{into}\"\n");
    let (mut pipeline, keeper) = place.pipeline(&format!("[enrich]\n{}{}", lookup("note"), lookup("src_country")));
    replace(&both, "key,value\n443,new!\n");
    keeper.as_ref().unwrap().look();
    until("both of them", || {
        let m = message(&mut pipeline, &flow("8.8.8.8", "10.0.0.1"));
        m["note"] == "new!" && m["src_country"] == "new!"
    });
    let ranges = place.path("ranges.csv");
    let (mut pipeline, keeper) = place.pipeline("[enrich]\ncustomers = \"ranges\"");
    let keeper = keeper.unwrap();
    let mut customer = || message(&mut pipeline, &flow("8.8.8.8", "203.0.113.5"))["customer"].clone();
    assert_eq!(customer(), "acme");
    replace(&ranges, "prefix,customer\n203.0.113.0/24,new\n");
    keeper.look();
    until("the new customer", || customer() == "new");
    let config = place.load("[enrich]\ncustomers = \"ranges\"");
    keeper.set_ranges(config.enrich.as_ref().unwrap(), &[]);
    until("no customer", || customer().is_null());
}

#[test]
fn faults_of_tables_have_lines_and_remedies() {
    let place = Place::new();
    let files = [
        ("c.csv", "prefix,cid\n10.0.0.0/8,1\n\n10.0.0.1/8,2\n10.1.0.0/16,many\n10.0.0.0/8,3\n"),
        ("i.csv", "exporter,if_index,name,colour\n"),
        ("h.csv", "key,value\n1,a\nx,b\n1,c\n"),
        ("b.csv", "prefix,origin_as\n10.0.0.0/8,1\n10.0.0.0/33,1\n"),
        ("o.json", "[{\"prefix\": \"10.0.0.0/8\", \"cid\": -1}]"),
        ("a.mmdb", "no database"),
    ];
    files.iter().for_each(|(name, text)| drop(place.put(name, text)));
    place.put("c.mmdb", database(4, &[("10.0.0.0/8", system(1, "x"))]));
    let sections = "[enrich]\ncustomers = \"c.csv\"\ninterfaces = \"i.csv\"\nbgp = \"b.csv\"\nasn = \"a.mmdb\"\ncountry = \"c.mmdb\"\n[[enrich.lookups]]\nfile = \"h.csv\"\nby = \"src_port\"";
    let said = place.faults(sections);
    for wanted in [
        "c.csv:4: prefix: \"10.0.0.1/8\" has bits beyond its length; write 10.0.0.0/8",
        "c.csv:5: cid: \"many\" is no number that fits",
        "c.csv:6: prefix: 10.0.0.0/8 stands already in line 2",
        "i.csv:1: colour: is no column of this table; it may have exporter, if_index, name, description or speed",
        "h.csv:3: key: \"x\" is no number that fits",
        "h.csv:4: key: 1 stands there already",
        "b.csv:3: prefix: \"10.0.0.0/33\" has a length beyond 32",
        "a.mmdb: cannot be used: ",
        "c.mmdb: has no record with a country (country.iso_code)",
    ] {
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
    assert!(place.faults("[enrich]\ncustomers = \"o.json\"").contains("o.json:1: cid: -1 is no number that fits"));
    // A database cut or changed anywhere is refused or read, never a panic.
    let whole = database(6, &[("10.0.0.0/8", country("DE")), ("2001:db8::/32", country("FR"))]);
    for at in 0..whole.len() {
        place.put("c.mmdb", &whole[..at]);
        assert!(!place.faults("[enrich]\ncountry = \"c.mmdb\"").is_empty());
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        place.put("c.mmdb", &changed);
        place.faults("[enrich]\ncountry = \"c.mmdb\"");
    }
}

/// What a file may do is as good a reason to read it again as what it holds.
#[test]
fn a_file_whose_rights_change_is_read_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let file = place.put("c.csv", "prefix,cid\n10.0.0.0/8,1\n");
    let (_pipeline, keeper) = place.pipeline("[enrich]\ncustomers = \"c.csv\"\nreload_s = 1");
    let keeper = keeper.unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    keeper.look();
    until("another reading", || keeper.reloads() == (1, 0));
}

/// Small files that hold networks, or records, without end are refused before they cost memory.
#[test]
fn databases_without_end_are_refused() {
    let place = Place::new();
    for (name, bytes, says) in [
        ("n.mmdb", doubled(120, &country("DE")), "leads to the same nodes again and again"),
        ("r.mmdb", nested(40), "a record takes more than 1048576 bytes"),
    ] {
        place.put(name, bytes);
        for key in ["country", "asn"] {
            let faults = place.faults(&format!("[enrich]\n{key} = \"{name}\""));
            assert!(faults.contains(says), "{name}: {faults}");
        }
    }
}

/// Interfaces are external by their names, from the file that names them and, when it changes, from the next look on.
#[test]
fn names_of_interfaces_tell_the_edge() {
    let place = Place::new();
    let row = |index: u32, name: &str| format!("192.0.2.1,{index},{name},,\n");
    let file = place.put("i.csv", format!("exporter,if_index,name,description,speed\n{}{}", row(1, "Transit A"), row(2, "Transit-lab")));
    let sections = "[enrich]\ninterfaces = \"i.csv\"\nreload_s = 1\n[flows.interfaces]\nexternal_names = [\"Transit*\"]\n\
                    internal_names = [\"*-lab\"]\ndefault = \"internal\"\n";
    let config = place.load(sections);
    let (_pipeline, keeper) = place.pipeline(sections);
    let keeper = keeper.unwrap();
    let mut edges = Edges::new(&config.interfaces, keeper.shelf()).unwrap();
    let of = |in_if: u32, out_if: u32| {
        let mut flow = flow("8.8.8.8", "10.0.0.1");
        (flow.fields.in_if, flow.fields.out_if) = (in_if, out_if);
        flow
    };
    assert_eq!((edges.of(&of(1, 2)).sides, edges.of(&of(3, 1)).sides), ([Some(true), Some(false)], [None, Some(true)]));
    replace(&file, format!("exporter,if_index,name,description,speed\n{}", row(3, "Transit B")));
    keeper.look();
    until("the new names", || {
        edges.look();
        edges.of(&of(3, 1)).sides == [Some(true), None]
    });
    let plain = place.load("[enrich]\ninterfaces = \"i.csv\"");
    assert!(Edges::new(&plain.interfaces, keeper.shelf()).is_none());
    let mut of_file = Edges::of_file(&config.interfaces, config.enrich.as_ref().unwrap()).unwrap().unwrap();
    assert_eq!(of_file.of(&of(3, 9)), Named { sides: [Some(true), None], are_unknown: false });
    let faults = place.faults("[flows.interfaces]\nexternal_names = [\"Transit*\"]");
    assert!(faults.contains("external_names: asks for names of interfaces, and nothing tells them"), "{faults}");
}
