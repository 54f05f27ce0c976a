use super::*;

const MEMINFO: &str = "MemTotal:       16384000 kB\nMemFree:          100000 kB\nMemAvailable:    4096000 kB\n";
const NEED: Need = Need { budget_mb: 4_096, pages: 2_040, dpdk_mb: 138, node: None };

/// Of 2 MB, then of 1 GB: node, reserved, free.
fn machine(small: &[(u32, u64, u64)], large: &[(u32, u64, u64)]) -> Machine {
    let pool =
        |kb: u64| move |(node, reserved, free): &(u32, u64, u64)| Pool { kb, node: *node, reserved: *reserved, free: *free, mounted: true };
    let pools = small.iter().map(pool(PAGE_2M_KB)).chain(large.iter().map(pool(PAGE_1G_KB))).collect();
    Machine { pools, ..Machine::of(MEMINFO) }
}

#[test]
fn what_is_available_counts_not_what_the_machine_has() {
    let none = machine(&[(0, 0, 0)], &[]);
    let found = none.budget("memory_mb", NEED).unwrap();
    assert!(found.verdict == Verdict::Weak && found.what.contains("only 4000 of the machine's 16000 MB are available now"), "{found}");
    assert!(none.budget("memory_mb", Need { budget_mb: 3_900, ..NEED }).is_none());
    assert!(machine(&[(0, 3_000, 3_000)], &[]).budget("memory_mb", NEED).is_none(), "hugepages are not what is available");
    let found = none.budget("memory_mb", Need { budget_mb: 20_000, ..NEED }).unwrap();
    assert!(found.verdict == Verdict::Wrong && found.remedy == "set it to at most 12000", "{found}");
}

/// `reserve` sets a total: where others hold some of what is reserved, it leaves those to them.
#[test]
fn pages_for_memory_mb_are_asked_for_beside_dpdks() {
    let found = machine(&[(0, 512, 200)], &[]).hugepages(NEED);
    assert!(
        found.what.starts_with("200 of 512 pages of 2 MB free, 0 of 0 pages of 1 GB free; 2109 pages of 2 MB needed, 69 for DPDK and 2040"),
        "{found}"
    );
    assert!(found.verdict == Verdict::Weak && found.what.contains("memory_mb takes ordinary pages"), "{found}");
    assert_eq!(
        found.remedy,
        "sudo bash hugepages.sh reserve 2109 where an appliance runs with this configuration, which holds 312 of the 512; where others \
         hold them: sudo bash hugepages.sh reserve 2421"
    );
    let found = machine(&[(0, 2_109, 2_109)], &[]).hugepages(NEED);
    assert_eq!((found.verdict, found.remedy.as_str()), (Verdict::Good, ""));
    let found = machine(&[(0, 10, 10)], &[]).hugepages(NEED);
    assert!(found.what.contains("DPDK takes ordinary pages"), "{found}");
    assert_eq!(found.remedy, "sudo bash hugepages.sh reserve 2109");
}

/// All that is needed is reserved, and held by the appliance that runs with it.
#[test]
fn beside_a_running_appliance_nothing_is_to_be_reserved() {
    let found = machine(&[(0, 2_117, 0)], &[]).hugepages(NEED);
    assert!(found.verdict == Verdict::Weak && found.what.starts_with("0 of 2117 pages"), "{found}");
    assert_eq!(
        found.remedy,
        "nothing where an appliance runs with this configuration, which holds 2117 of the 2117; where others hold them: sudo bash \
         hugepages.sh reserve 4226"
    );
}

#[test]
fn dpdk_takes_large_pages_where_they_suffice() {
    let found = machine(&[(0, 2_040, 2_040)], &[(0, 1, 1)]).hugepages(NEED);
    assert!(
        found.verdict == Verdict::Good && found.what.contains("1 of 1 pages of 1 GB free; 2040 pages of 2 MB needed, 0 for DPDK"),
        "{found}"
    );
    let mut unmounted = machine(&[(0, 2_040, 2_040)], &[(0, 1, 1)]);
    unmounted.pools[1].mounted = false;
    let found = unmounted.hugepages(NEED);
    assert!(found.verdict == Verdict::Weak && found.what.contains("2109 pages of 2 MB needed, 69 for DPDK"), "{found}");
}

#[test]
fn dpdk_takes_no_pages_that_are_not_mounted() {
    let mut unmounted = machine(&[(0, 2_109, 2_109)], &[]);
    unmounted.pools[0].mounted = false;
    let found = unmounted.hugepages(NEED);
    assert!(found.verdict == Verdict::Weak && found.remedy == "sudo bash hugepages.sh mount", "{found}");
}

/// Nothing binds memory to a node: pages of another one are taken too.
#[test]
fn pages_of_another_node_than_the_ports_are_slower() {
    let two = machine(&[(0, 4_000, 4_000), (1, 100, 50)], &[]);
    let found = two.hugepages(Need { node: Some(1), ..NEED });
    assert!(found.verdict == Verdict::Weak && found.what.ends_with("node 1, the ports', has too few: those of other nodes are slower"));
    assert!(found.what.contains("4050 of 4100 pages of 2 MB free (node 0: 4000, node 1: 50)"), "{found}");
    assert!(found.remedy.ends_with("where others hold them: sudo bash hugepages.sh reserve 2159 --node 1"), "{found}");
    let here = two.hugepages(Need { node: Some(0), ..NEED });
    assert!(here.verdict == Verdict::Good && two.budget("memory_mb", Need { node: Some(1), ..NEED }).is_none());
    assert_eq!(two.hugepages(NEED).verdict, Verdict::Good, "where the node is not known, all count");
}

#[test]
fn pools_are_read_by_node_and_size() {
    let folder = tempfile::tempdir().unwrap();
    for (node, size, reserved, free) in [("node0", "2048", "512", "200"), ("node1", "1048576", "2", "1")] {
        let at = folder.path().join(node).join(format!("hugepages/hugepages-{size}kB"));
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("nr_hugepages"), reserved).unwrap();
        fs::write(at.join("free_hugepages"), free).unwrap();
    }
    fs::create_dir_all(folder.path().join("power")).unwrap();
    let pool = |kb, node, (reserved, free), mounted| Pool { kb, node, reserved, free, mounted };
    let want = [pool(2_048, 0, (512, 200), true), pool(1_048_576, 1, (2, 1), false)];
    assert_eq!(pools(folder.path(), "none /h hugetlbfs rw,pagesize=2M 0 0"), want);
}
