//! Tables as files: read again when they change, refused with line and remedy when they are faulty.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod enrich_support;

use enrich_support::mmdb::{country, database, system};
use enrich_support::{Place, flow, message, replace, until};

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
