//! Reload without a restart: a signal or an admin call → a configuration that was read and checked → a generation that
//! every core counts with from a long window's edge on. What cannot be loaded changes nothing, and is told.
//!
//! Runs on the main thread, off the data path. What is asked for while another generation is on its way waits; it takes the
//! place of one that has not started, and of one that waits already: the newest file wins, and everybody gets an answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::configs::Configs;
use super::fits::{self, Start};
use super::fixed;
use super::flow_stream::FollowRanges;
use super::generations::{Decision, Generations};
use super::wiring::Cores;
use super::world::{World, setting};
use crate::admin::{Asked, Gate, Outcome};
use crate::config::{self, Config, Token};
use crate::exports::{self, Names, Shelf};
use crate::report::{Edition, PortName};
use crate::stats::plan::Period;
use crate::telemetry::Registry;
use crate::units::Epoch;

/// A window that starts so soon is looked out for.
const NEAR_NS: u64 = 1_000_000_000;

/// A configuration that can be counted with.
struct Loaded {
    config: Config,
    world: Arc<World>,
    /// Of whom reloads from now on.
    token: Option<Token>,
    /// Who wants to hear from which window on it counts.
    asked: Vec<Asked>,
}

/// See the module.
pub struct Reloader {
    /// What was started with, what it became, and on which cores: what cannot change is compared with these.
    started: (Config, Arc<World>, Cores),
    /// Newest that counts.
    counts: Config,
    /// Was sent to the cores, and does not count yet.
    coming: Option<Loaded>,
    /// The cores have it, and its first window is decided.
    decided: bool,
    /// When that window starts.
    start_ns: u64,
    /// Is to be sent.
    waiting: Option<Loaded>,
    number: u64,
    generations: Generations,
    /// Who wants to know what counted.
    configs: Configs,
    ports: Vec<PortName>,
    registry: Arc<Registry>,
    gate: Gate,
    /// Who exports samples looks there for names.
    names: Option<Shelf>,
    /// Beside the cores: to be told of ranges when they count.
    follower: Option<Arc<FollowRanges>>,
}

impl Reloader {
    /// Beside running cores.
    pub fn new(
        started: (Config, Arc<World>, Cores),
        generations: Generations,
        report: (Configs, Vec<PortName>),
        registry: Arc<Registry>,
        gate: Gate,
    ) -> Self {
        registry.generation(started.1.number, started.0.ranges.list.len());
        registry.set_stats(started.0.stats.iter().map(|stat| &stat.name[..]));
        Self {
            counts: started.0.clone(),
            number: started.1.number,
            started,
            coming: None,
            decided: false,
            start_ns: 0,
            waiting: None,
            generations,
            configs: report.0,
            ports: report.1,
            registry,
            gate,
            names: None,
            follower: None,
        }
    }

    /// With where names of each generation are to be put.
    #[must_use]
    pub fn with_names(self, names: Option<Shelf>) -> Self {
        Self { names, ..self }
    }

    /// With who else is to know the ranges, from the window on in which they count.
    #[must_use]
    pub fn with_followers(self, follower: Option<Arc<FollowRanges>>) -> Self {
        Self { follower, ..self }
    }

    /// Reads the file again. `asked`: who wants to hear what comes of it.
    pub fn reload(&mut self, asked: Option<Asked>) {
        match self.load() {
            Ok(mut loaded) => {
                self.registry.reloaded(true);
                self.gate.exchange(loaded.token.take());
                let earlier = self.waiting.take().map_or_else(Vec::new, |older| {
                    superseded(&older, &loaded);
                    older.asked
                });
                loaded.asked = earlier.into_iter().filter(|asked| !asked.is_gone()).chain(asked).collect();
                self.waiting = Some(loaded);
                self.step();
            }
            Err((outcome, text)) => {
                tracing::error!("the reload is refused and nothing has changed: {text}");
                self.registry.reloaded(false);
                if let Some(asked) = asked {
                    asked.answer(outcome, text);
                }
            }
        }
    }

    fn load(&mut self) -> Result<Loaded, (Outcome, String)> {
        let (first, world, cores) = &self.started;
        let faulty = |faults: config::Faults| (Outcome::Faulty, faults.to_string());
        let restart = |faults: config::Faults| (Outcome::NeedsRestart, faults.to_string());
        let config = config::load(&first.file, &crate::stats::check).map_err(faulty)?;
        let token = config.reload_token().map_err(faulty)?;
        fixed::check(first, &config).and_then(|()| fits::has_room(&config, world)).map_err(restart)?;
        let refusal =
            |refusal: config::Refusal| (Outcome::Faulty, format!("a stat cannot be compiled: {}: {}", refusal.key, refusal.message));
        let next = world.next(&config, self.number + 1).map_err(refusal)?;
        fits::fits(&config, Start { config: first, world, cores }, &next).map_err(restart)?;
        self.number += 1;
        Ok(Loaded { config, world: Arc::new(next), token, asked: Vec::new() })
    }

    /// Does what can be done now. Whether it is to be called again soon: something waits for cores.
    pub fn step(&mut self) -> bool {
        self.configs.look(Instant::now());
        let settled = self.generations.is_settled();
        if self.decided && self.generations.is_started() {
            self.begin();
        }
        if !self.decided && self.coming.is_some() {
            self.decide();
        }
        if self.waiting.is_some()
            && (self.coming.is_none() && settled || self.decided && self.generations.revoke())
            && let Some(loaded) = self.waiting.take()
        {
            if let Some(older) = &self.coming {
                superseded(older, &loaded);
            }
            self.send(loaded);
            self.decide();
        }
        self.waiting.is_some() || self.coming.is_some() && (!self.decided || self.start_ns < now_ns() + NEAR_NS)
    }

    /// What came counts.
    fn begin(&mut self) {
        self.decided = false;
        if let Some(loaded) = self.coming.take() {
            self.registry.generation(loaded.world.number, loaded.config.ranges.list.len());
            self.registry.set_stats(loaded.config.stats.iter().map(|stat| &stat.name[..]));
            if let Some(follow) = &self.follower {
                follow(&loaded.config.ranges.list);
            }
            self.counts = loaded.config;
        }
    }

    fn send(&mut self, loaded: Loaded) {
        let Loaded { config, world, .. } = &loaded;
        let mut setting = setting(config, world, self.configs.boot_id(), self.ports.clone(), true);
        setting.tags_anew = config.tags != self.counts.tags;
        if let Some(shelf) = &self.names {
            let feeds: Vec<String> = self.ports.iter().map(|port| port.feed.clone()).collect();
            shelf.put(Names::of(config, world.number, &feeds));
        }
        self.decided = false;
        if self.generations.send(world, Edition { setting, plans: Arc::clone(&world.plans) }) {
            self.coming = Some(loaded);
        } else {
            self.coming = None;
            self.waiting = Some(loaded);
        }
    }

    /// Once every core has it: from which window on it counts.
    fn decide(&mut self) {
        let calendar = self.started.1.calendar;
        // Cores know the time; before their first poll they know none.
        let after = |floor: Epoch| {
            let at = if floor == Epoch(0) { calendar.epoch(now_ns()) } else { floor };
            calendar.after_long(calendar.long(at))
        };
        match self.generations.decide(after) {
            Decision::Waiting => {}
            Decision::From(epoch) => {
                let (start_ns, _) = calendar.bounds_ns(Period::Fast, epoch.0);
                (self.decided, self.start_ns) = (true, start_ns);
                let Some(Loaded { config, world, asked, .. }) = &mut self.coming else { return };
                let (number, news) = (world.number, news(&self.counts, config));
                self.configs.tell(config, number, start_ns);
                let text = format!("generation {number} counts from {} (window_start_ns {start_ns}): {news}", utc(start_ns));
                tracing::info!("reloaded: {text}");
                asked.drain(..).for_each(|asked| asked.answer(Outcome::Accepted, text.clone()));
            }
            Decision::Never => {
                // Dropped, those who asked hear that the appliance stops.
                (self.coming, self.waiting) = (None, None);
            }
        }
    }
}

/// Whoever heard that the older one was accepted finds here why no report has it.
fn superseded(older: &Loaded, newer: &Loaded) {
    let (older, newer, hash) = (older.world.number, newer.world.number, &older.config.hash);
    tracing::warn!("generation {older} (config_hash {hash}) gives way to generation {newer} before it counted: no report has it");
}

/// What an operator looks for first.
fn news(before: &Config, now: &Config) -> String {
    let old: HashMap<_, _> = before.ranges.list.iter().map(|range| ((range.prefix, range.domain), range)).collect();
    let known = now.ranges.list.iter().filter_map(|range| Some((range, old.get(&(range.prefix, range.domain))?)));
    let (same, changed): (Vec<_>, Vec<_>) = known.partition(|(range, old)| range == *old);
    let (count, kept) = (now.ranges.list.len(), same.len() + changed.len());
    let ranges = format!("{count} ranges ({} added, {} removed, {} changed)", count - kept, old.len() - kept, changed.len());
    format!("{ranges}, {} stats, {} sets, config_hash {}", now.stats.len(), now.sets.len(), now.hash)
}

fn now_ns() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

/// As RFC 3339 writes it, to the millisecond.
pub(super) fn utc(ns: u64) -> String {
    let mut text = exports::log::time(ns);
    text.truncate("1970-01-01T00:00:00.000".len());
    text.push('Z');
    text
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;
