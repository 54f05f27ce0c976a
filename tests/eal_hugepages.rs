//! `hugepages.sh` reserves, mounts and releases, and EAL takes what is there by itself. The machine's own setting is put
//! back whatever happens.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::process::Command;

use tailwater::dpdk::{Eal, EalConfig, FilePrefix, Hugepages, Mempool, PoolSpec};

const PAGES: u64 = 96;
const NUMBER: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

fn script(arguments: &str) -> (bool, String) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../hugepages.sh");
    let run = Command::new("bash").arg(path).args(arguments.split_whitespace()).output().unwrap();
    (run.status.success(), String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr))
}

fn reserved() -> u64 {
    std::fs::read_to_string(NUMBER).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn is_mounted() -> bool {
    std::fs::read_to_string("/proc/mounts").unwrap().lines().any(|line| line.contains(" hugetlbfs ") && line.contains("pagesize=2M"))
}

struct Restore {
    pages: u64,
    mounted: bool,
}

impl Drop for Restore {
    fn drop(&mut self) {
        let _ = std::fs::write(NUMBER, self.pages.to_string());
        if !self.mounted {
            let _ = Command::new("umount").arg("/dev/hugepages").status();
        }
    }
}

#[test]
fn hugepages_are_reserved_used_and_released() {
    let (well, said) = script("--help");
    assert!(well && said.contains("Example"), "{said}");
    assert!(script("").1.contains("RESERVED"), "show is the default");
    for (bad, word) in
        [("reserve", "number of pages"), ("show --size 3M", "2M or 1G"), ("bogus", "bogus"), ("reserve 1 --node 99", "node 99")]
    {
        let (well, said) = script(bad);
        assert!(!well && said.contains(word), "{bad}: {said}");
    }
    let before = Restore { pages: reserved(), mounted: is_mounted() };
    if before.pages > 0 {
        println!("SKIPPED: hugepages are in use on this machine");
        std::mem::forget(before);
        return;
    }
    let (well, said) = script(&format!("reserve {PAGES}"));
    if !well {
        println!("SKIPPED: {said}");
        return;
    }
    assert!(is_mounted() && reserved() == PAGES, "{said}");
    assert!(script("show").1.contains(&PAGES.to_string()));

    let prefix = format!("tailwater-huge-{}", std::process::id());
    let file_prefix = FilePrefix::Named(prefix.clone());
    let config = EalConfig { file_prefix, hugepages: Hugepages::Auto, memory_mb: 64, ..EalConfig::private("eal-huge", &[0]) };
    let eal = Eal::init(&config).unwrap();
    assert_eq!(eal.page_bytes(), 2 << 20);
    let pool =
        Mempool::new(&eal, PoolSpec { segments: 8_192, segment_bytes: 2_048, cache: 64, numa_node: -1, large_pages: false }).unwrap();
    let left = || {
        std::fs::read_dir("/dev/hugepages").unwrap().flatten().filter(|file| file.file_name().to_string_lossy().contains(&prefix)).count()
    };
    assert_eq!(left(), 0, "pages are given back even if the process is killed");
    assert_eq!(pool.in_use(), 0);
    drop((pool, eal));
    let (well, said) = script("release");
    assert!(well && reserved() == 0, "{said}");
    let _ = std::fs::remove_dir_all(format!("/var/run/dpdk/{prefix}"));
}
