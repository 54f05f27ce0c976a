//! Files that enrichment reads, made by the tests: written from the formats' own papers, no line shared with the appliance.

#![allow(dead_code, reason = "not every test uses all")]

pub(crate) mod agent;
pub(crate) mod mmdb;
pub(crate) mod mrt;

use std::path::{Path, PathBuf};

use tailwater::config::{self, Config, FlowFormat, Framing};
use tailwater::enrich::{Keeper, Pipeline};
use tailwater::flows::{Address, Flow};

/// A folder with a configuration and what it names.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

pub(crate) const JSON: (FlowFormat, Framing) = (FlowFormat::Json, Framing::Length);

impl Place {
    /// With one range, 203.0.113.0/24 of `acme`, whose number is 7.
    pub(crate) fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.put("ranges.csv", "prefix,customer,cid\n203.0.113.0/24,acme,7\n");
        place
    }

    pub(crate) fn put(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let file = self.path(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file of a configuration with these sections.
    pub(crate) fn config(&self, sections: &str) -> PathBuf {
        self.put("t.toml", format!("stats = []\n[ranges]\nfile = \"ranges.csv\"\n{sections}\n"))
    }

    pub(crate) fn load(&self, sections: &str) -> Config {
        config::load(&self.config(sections), &tailwater::stats::check).unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// What is wrong with it, its tables included.
    pub(crate) fn faults(&self, sections: &str) -> String {
        let own = format!("{}/", self.folder.path().display());
        match config::load(&self.config(sections), &tailwater::stats::check) {
            Err(faults) => faults.to_string().replace(&own, ""),
            Ok(config) => match kept(&config) {
                Err(faults) => faults.to_string().replace(&own, ""),
                Ok(_) => String::new(),
            },
        }
    }

    /// Its pipeline, and who keeps its tables.
    pub(crate) fn pipeline(&self, sections: &str) -> (Pipeline, Option<Keeper>) {
        let config = self.load(sections);
        let keeper = kept(&config).unwrap_or_else(|faults| panic!("{faults}"));
        (Pipeline::new(&config.streams, keeper.as_ref().map(Keeper::shelf), JSON), keeper)
    }
}

fn kept(config: &Config) -> Result<Option<Keeper>, config::Faults> {
    let file = Some(config.ranges.file.clone());
    config.enrich.as_ref().map(|enrich| Keeper::start(enrich, &config.ranges.list, file, true)).transpose()
}

pub(crate) fn address(text: &str) -> Address {
    Address::from(text.parse::<std::net::IpAddr>().unwrap())
}

/// A flow of TCP between these, told by 192.0.2.1.
pub(crate) fn flow(src: &str, dst: &str) -> Flow {
    let mut flow = Flow::default();
    let f = &mut flow.fields;
    (f.src_addr, f.dst_addr, f.sampler_address) = (address(src), address(dst), address("192.0.2.1"));
    (f.proto, f.src_port, f.dst_port, f.bytes, f.packets) = (6, 443, 50_000, 1_000, 10);
    flow
}

/// The messages of a flow as JSON, one a stream.
pub(crate) fn messages(pipeline: &mut Pipeline, flow: &Flow) -> Vec<serde_json::Value> {
    let mut found = Vec::new();
    pipeline.take(flow, &mut |piece| found.push(serde_json::from_slice(piece.bytes).unwrap()));
    found
}

/// The only message of a flow.
pub(crate) fn message(pipeline: &mut Pipeline, flow: &Flow) -> serde_json::Value {
    let mut all = messages(pipeline, flow);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Until it holds, ten seconds at most.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = std::time::Instant::now();
    while !holds() {
        assert!(since.elapsed().as_secs() < 10, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Replaces a file by another one at once, as operators should.
pub(crate) fn replace(file: &Path, text: impl AsRef<[u8]>) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, file).unwrap();
}
