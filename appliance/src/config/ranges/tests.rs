//! Files as people and spreadsheets write them.

use super::*;

fn loaded(name: &str, text: &[u8]) -> Result<Vec<Range>, Faults> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    load(&file)
}

/// What is said, the folder left out.
fn tail(faults: &Faults) -> String {
    faults.to_string().rsplit('/').next().unwrap().to_owned()
}

fn range(prefix: &str, customer: &str, labels: &[(&str, &str)]) -> Range {
    let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Range { prefix: prefix.parse().unwrap(), domain: None, customer: customer.to_owned(), labels }
}

#[test]
fn both_forms_say_the_same_in_any_order_of_lines() {
    let want = [
        range("0.0.0.0/0", "rest", &[]),
        range("10.0.0.0/8", "acme", &[("plan", "premium"), ("site", "Köln, rack \"4\"")]),
        range("10.0.0.0/24", "acme", &[("plan", "2")]),
        range("::/0", "rest", &[]),
        range("2001:db8::/32", "acme", &[]),
    ];
    let csv = "\u{feff}# ranges\r\n\r\nprefix , customer,site,plan\r\n10.0.0.0/24,acme,,2\r\n\r\n::/0,rest\r\n\
        # more\r\n2001:DB8::/32, acme ,,\r\n0.0.0.0/0,rest,,\r\n10.0.0.0/8,acme,\"Köln, rack \"\"4\"\"\",premium\r\n";
    assert_eq!(loaded("r.csv", csv.as_bytes()).unwrap(), want);
    let json = "\u{feff}[{\"prefix\": \"10.0.0.0/24\", \"customer\": \"acme\", \"plan\": 2},
        {\"prefix\": \"::/0\", \"customer\": \"rest\", \"labels\": {}},
        {\"prefix\": \"2001:db8::/32\", \"customer\": \"acme\", \"site\": null}, {\"prefix\": \"0.0.0.0/0\", \"customer\": \"rest\"},
        {\"prefix\": \"10.0.0.0/8\", \"customer\": \"acme\", \"labels\": {\"site\": \"Köln, rack \\\"4\\\"\"}, \"plan\": \"premium\"}]";
    assert_eq!(loaded("r.JSON", json.as_bytes()).unwrap(), want);
}

#[test]
fn a_prefix_may_stand_once_in_each_domain() {
    let named = |prefix: &str, domain: Option<Domain>| Range { domain, ..range(prefix, "acme", &[]) };
    let want = [
        named("10.0.0.0/8", None),
        named("10.0.0.0/8", Some(Domain::Mpls(16_004))),
        named("10.0.0.0/8", Some(Domain::Vlan(100))),
        named("10.0.0.0/8", Some(Domain::Vni(7))),
        named("10.0.0.0/8", Some(Domain::Vni(5_001))),
        named("10.0.0.0/9", None),
    ];
    let csv = "domain,prefix,customer\n,10.0.0.0/9,acme\nvni=5001,10.0.0.0/8,acme\nvni=7,10.0.0.0/8,acme\n,10.0.0.0/8,acme\n\
        vlan=100,10.0.0.0/8,acme\nmpls=16004,10.0.0.0/8,acme\n";
    assert_eq!(loaded("r.csv", csv.as_bytes()).unwrap(), want);
    let object = |range: &Range| {
        let domain = range.domain.map_or_else(|| "null".to_owned(), |domain| format!("\"{domain}\""));
        format!("{{\"domain\": {domain}, \"prefix\": \"{}\", \"customer\": \"acme\"}}", range.prefix)
    };
    let json = format!("[{}]", want.iter().rev().map(object).collect::<Vec<_>>().join(","));
    assert_eq!(loaded("r.json", json.as_bytes()).unwrap(), want);
}

#[test]
fn lines_are_those_of_an_editor() {
    let csv = "# one\n\nprefix,customer,note\n\n# five\n10.0.0.0/8,acme,\"two\nlines\"\n\n10.0.0.1/8,acme\n#ten\n10.0.0.0/8,acme";
    let faults = loaded("r.csv", csv.as_bytes()).unwrap_err();
    assert_eq!(faults.list().iter().map(|f| f.line).collect::<Vec<_>>(), [9, 11], "{faults}");
    let faults = loaded("r.csv", csv.replace('\n', "\r\n").as_bytes()).unwrap_err();
    assert_eq!(faults.list().iter().map(|f| f.line).collect::<Vec<_>>(), [9, 11], "{faults}");
}

#[test]
fn what_is_no_text_is_refused_with_its_line() {
    let faults = loaded("r.csv", b"prefix,customer\n10.0.0.0/8,K\xF6ln\n").unwrap_err();
    assert_eq!(tail(&faults), "r.csv:2: holds bytes that are not UTF-8; save it as UTF-8");
    let faults = load(Path::new("/")).unwrap_err();
    assert_eq!(faults.to_string(), "/: is a directory; name a file");
    assert!(load(Path::new("/nowhere/at.all")).unwrap_err().to_string().starts_with("/nowhere/at.all: cannot be read: "));
}

#[test]
fn names_that_no_report_can_carry_are_refused() {
    let row = |customer: usize, label: usize| format!("prefix,customer,note\n10.0.0.0/8,{},{}\n", "c".repeat(customer), "n".repeat(label));
    assert!(loaded("r.csv", row(92, 4_000).as_bytes()).is_ok(), "with the label's name 4,096");
    let faults = loaded("r.csv", row(93, 4_000).as_bytes()).unwrap_err();
    let remedy = "they may have 4096 together, since each report of the range has them";
    assert_eq!(tail(&faults), format!("r.csv:2: customer: has 4097 bytes with the range's labels; {remedy}"));
}

#[test]
fn a_file_of_faults_is_cut_short() {
    let rows: String = (0..1_000).map(|i| format!("10.0.{}.{}/8,acme\n", i / 250, 1 + i % 250)).collect();
    let faults = loaded("r.csv", format!("prefix,customer\n{rows}").as_bytes()).unwrap_err();
    assert_eq!((faults.count(), faults.to_string().lines().count()), (1_000, 51));
    assert!(faults.to_string().ends_with("/r.csv: 950 more of the same kind; mend those above first"));
}

/// `cargo test --release -p tailwater --no-default-features --lib ranges -- --ignored --nocapture`
#[test]
#[ignore = "measures; run it alone, optimised"]
fn measure() {
    let v4 = (0..25_000_u32).map(|i| format!("{}/24,customer {},premium", std::net::Ipv4Addr::from((i * 601) << 8), i % 500));
    let v6 =
        (0..25_000_u128).map(|i| format!("{}/48,customer {},basic", std::net::Ipv6Addr::from((0x2001 << 112) | ((i * 77) << 80)), i % 500));
    let rows: Vec<String> = v4.chain(v6).collect();
    let object = |row: &String| {
        let fields: Vec<_> = row.split(',').collect();
        format!("{{\"prefix\": \"{}\", \"customer\": \"{}\", \"plan\": \"{}\"}}", fields[0], fields[1], fields[2])
    };
    let json = format!("[{}]", rows.iter().map(object).collect::<Vec<_>>().join(",\n"));
    for (name, text) in [("r.csv", format!("prefix,customer,plan\n{}\n", rows.join("\n"))), ("r.json", json)] {
        let start = std::time::Instant::now();
        let count = loaded(name, text.as_bytes()).unwrap().len();
        println!("{name}: {count} ranges written and read in {:?}", start.elapsed());
    }
    let stat = "[ranges]\nfile = \"ranges.csv\"\n[[stats]]\nname = \"a\"\ncalculation = \"sum\"\n\
        [[sets]]\nname = \"s\"\nmatch = { label = \"plan=premium\" }\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ranges.csv"), format!("prefix,customer,plan\n{}\n", rows.join("\n"))).unwrap();
    std::fs::write(folder.path().join("t.toml"), stat).unwrap();
    let start = std::time::Instant::now();
    let config = crate::config::load(&folder.path().join("t.toml"), &|_, _| Ok(())).unwrap();
    println!("whole configuration, hash included: {:?}", start.elapsed());
    let start = std::time::Instant::now();
    let lists = config.stat_lists();
    println!("sets: {} lists in {:?}", lists.lists.len(), start.elapsed());
}
