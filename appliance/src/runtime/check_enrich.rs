//! What `tailwater check` says of the tables of `[enrich]`.

use super::check::{Finding, Verdict, bad, good};
use crate::config::Config;
use crate::enrich::Tables;

/// Nothing where there are none; else each fault of each file.
pub(super) fn enrich(config: &Config) -> Vec<Finding> {
    let Some(enrich) = &config.enrich else { return Vec::new() };
    match Tables::load(enrich, &config.ranges.list) {
        Ok(_) => vec![good("enrich", "its tables can be read")],
        Err(faults) => {
            let one = |fault: &crate::config::Fault| {
                let line = if fault.line > 0 { format!(":{}", fault.line) } else { String::new() };
                let place = format!("{}{line}", fault.file.display());
                let what = if fault.key.is_empty() { fault.what.clone() } else { format!("{}: {}", fault.key, fault.what) };
                bad(Verdict::Wrong, place, what, fault.remedy.clone())
            };
            faults.list().iter().map(one).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_tables_are_found_and_good_ones_are_said() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        put("r.csv", "prefix,customer\n10.0.0.0/8,a\n");
        put("c.csv", "prefix,cid\n10.0.0.0/8,x\n");
        put("t.toml", "stats = []\n[ranges]\nfile = \"r.csv\"\n[enrich]\ncustomers = \"c.csv\"\n");
        let config = crate::config::load(&folder.path().join("t.toml"), &crate::stats::check).unwrap();
        let said: Vec<String> = enrich(&config).iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].contains("c.csv:2: cid: \"x\" is no number"), "{said:?}");
        put("c.csv", "prefix,cid\n10.0.0.0/8,7\n");
        assert!(enrich(&config)[0].to_string().starts_with("ok"));
    }
}
