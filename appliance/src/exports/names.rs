//! Names behind the numbers of samples: of ranges, rules, links and ports, by generation.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Config;
use crate::limits::NAMES_KEPT_MAX;

/// Of one generation.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Its number.
    pub generation: u64,
    /// Prefix, domain (or nothing) and customer of each range.
    pub ranges: Vec<(String, String, String)>,
    /// Tag rules, as reports name them.
    pub tags: Vec<String>,
    /// Links.
    pub links: Vec<String>,
    /// Feed of each port.
    pub feeds: Vec<String>,
    /// Of the appliance.
    pub appliance: String,
    /// Its point of presence.
    pub pop: String,
}

impl Names {
    /// Of a configuration that is this generation, with these feeds.
    pub fn of(config: &Config, generation: u64, feeds: &[String]) -> Self {
        let range = |range: &crate::config::Range| {
            let domain = range.domain.map_or_else(String::new, |domain| domain.to_string());
            (crate::axes::key::network_text(&range.prefix), domain, range.customer.clone())
        };
        Self {
            generation,
            ranges: config.ranges.list.iter().map(range).collect(),
            tags: config.tags.iter().enumerate().map(|(row, rule)| format!("tags[{row}] {}", rule.matches)).collect(),
            links: config.links.iter().map(|link| link.name.clone()).collect(),
            feeds: feeds.to_vec(),
            appliance: config.appliance.name.clone(),
            pop: config.appliance.pop.clone(),
        }
    }
}

/// From who makes generations to who reads samples of them: the last few.
#[derive(Clone, Debug, Default)]
pub struct Shelf(Arc<Mutex<VecDeque<Arc<Names>>>>);

impl Shelf {
    /// Samples of this generation may come from now on.
    pub fn put(&self, names: Names) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(Arc::new(names));
        while kept.len() > NAMES_KEPT_MAX {
            kept.pop_front();
        }
    }

    /// Those of a generation; none: it was too long ago.
    pub fn of(&self, generation: u64) -> Option<Arc<Names>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|names| names.generation == generation).cloned()
    }
}
