//! `config_hash`: SHA-256 over what results depend on, in a canonical form.
//!
//! Ranges (their content, wherever and however it was written), stats, sets, tags, parsing and windows; never cores,
//! ports, sinks, names, memory or heartbeats: those change no figure. Every text is preceded by its length and every list by its count, so
//! that no two configurations have the same form.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::{
    Config, Flows, Given, Interfaces, KeysFrom, LengthFrom, Link, Mirror, Predicate, Range, SetMatch, Setting, StatSpec, TagMatch, TagRule,
};
use crate::axes::key::Key;
use crate::axes::{KeySpec, Source};

/// Changes whenever the form does.
const VERSION: &str = "tailwater configuration 2";

/// Lower-case hex.
pub(super) fn of(config: &Config) -> String {
    let mut form = Form(Sha256::new());
    form.text(VERSION);
    form.number(config.appliance.window_ms);
    form.number(config.appliance.fast_window_ms);
    form.parsing(config.keys_from, &config.mirror);
    form.list(&config.tags, Form::tag);
    if !config.links.is_empty() {
        form.list(&config.links, Form::link);
    }
    form.list(&config.stats, Form::stat);
    form.list(&config.sets, |form, set| {
        form.text(&set.name);
        match &set.matches {
            None => form.number(0),
            Some(SetMatch::Label(name, value)) => form.texts(&["label", name, value]),
            Some(SetMatch::Customer(customer)) => form.texts(&["customer", customer]),
        }
        form.list(&set.include, |form, name| form.text(name));
    });
    form.list(&config.ranges.list, Form::range);
    if config.interfaces != Interfaces::default() {
        form.interfaces(&config.interfaces);
    }
    config.flows.iter().for_each(|flows| form.told(flows));
    form.hex()
}

struct Form(Sha256);

impl Form {
    fn number(&mut self, n: u64) {
        self.0.update(n.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn texts(&mut self, texts: &[&str]) {
        self.list(texts, |form, text| form.text(text));
    }

    fn list<T>(&mut self, list: &[T], each: impl Fn(&mut Self, &T)) {
        self.number(list.len() as u64);
        for item in list {
            each(self, item);
        }
    }

    fn parsing(&mut self, keys_from: KeysFrom, mirror: &Mirror) {
        self.text(match keys_from {
            KeysFrom::Matched => "matched",
            KeysFrom::Outermost => "outermost",
            KeysFrom::Innermost => "innermost",
        });
        self.list(&mirror.strip, |form, wrap| form.text(&format!("{wrap:?}")));
        self.list(&mirror.from, |form, address| form.text(&address.to_string()));
        self.text(match mirror.length {
            LengthFrom::Frame => "frame",
            LengthFrom::Ip => "ip",
        });
        for flag in [mirror.untagged_passes, mirror.ingress, mirror.egress] {
            self.number(u64::from(flag));
        }
    }

    fn given(&mut self, given: Given) {
        match given {
            Given::Fixed(n) => self.number(u64::from(n)),
            Given::From(field) => self.text(field.name()),
        }
    }

    fn matches(&mut self, matches: &TagMatch) {
        self.list(&matches.fields, |form, (field, n)| {
            form.text(field.name());
            form.number(u64::from(*n));
        });
        self.bytes(matches.src_mac.as_ref().map_or(&[], |mac| &mac[..]));
    }

    /// What tells packets of links apart; not what else is known of these.
    fn link(&mut self, link: &Link) {
        self.text("link");
        self.text(&link.name);
        match &link.matches[..] {
            [one] => self.matches(one),
            all => self.list(all, Self::matches),
        }
        if let Some((exporter, if_index)) = link.of_flows {
            self.text(&exporter.to_string());
            self.number(u64::from(if_index));
        }
    }

    fn interfaces(&mut self, of: &Interfaces) {
        self.text("interfaces");
        self.number(u64::from(of.default_external));
        self.list(&of.listed, |form, (exporter, if_index, external)| {
            form.text(&exporter.to_string());
            form.text(&if_index.map_or_else(|| "*".to_owned(), |index| index.to_string()));
            form.number(u64::from(*external));
        });
        self.number(u64::from(of.all_random));
        self.list(&of.random, |form, exporter| form.text(&exporter.to_string()));
        if of.metered.is_some() || !of.metered_listed.is_empty() {
            self.text("metered");
            self.number(of.metered.map_or(0, |how| how as u64 + 1));
            self.list(&of.metered_listed, |form, (exporter, if_index, how)| {
                form.text(&exporter.to_string());
                form.text(&if_index.map_or_else(|| "*".to_owned(), |index| index.to_string()));
                form.number(*how as u64);
            });
        }
        if !of.names.is_empty() {
            self.text("names");
            self.list(&of.names, |form, (pattern, external)| {
                form.text(pattern);
                form.number(u64::from(*external));
            });
        }
    }

    /// What holds whatever exporters say; nothing where the operator said nothing.
    fn told(&mut self, flows: &Flows) {
        if flows.per_port {
            self.text("per_port");
        }
        if !flows.sampling.is_empty() {
            self.text("sampling");
            let mut rates: Vec<_> = flows.sampling.iter().map(|rate| (rate.exporter, rate.interface, rate.rate)).collect();
            rates.sort_unstable();
            self.list(&rates, |form, (exporter, interface, rate)| {
                form.text(&exporter.to_string());
                form.text(&interface.map_or_else(|| "*".to_owned(), |index| index.to_string()));
                form.number(*rate);
            });
        }
    }

    fn tag(&mut self, rule: &TagRule) {
        self.matches(&rule.matches);
        self.number(u64::from(rule.blocked));
        self.given(rule.sampling);
        self.text(&format!("{:?}", rule.sampler));
        self.number(u64::from(rule.added_bytes));
        self.list(rule.rule.as_slice(), |form, given| form.given(*given));
    }

    fn stat(&mut self, stat: &StatSpec) {
        self.texts(&[&stat.name, &stat.calculation, stat.metric.name(), stat.decision.name(), stat.direction.name()]);
        self.key(&stat.key);
        self.list(stat.predicate.as_slice(), Self::predicate);
        self.number(u64::from(stat.fast));
        self.list(&stat.sets, |form, set| form.text(set));
        self.list(&stat.settings, |form, (name, setting)| {
            form.text(name);
            form.setting(setting);
        });
        if stat.source == Source::Flows {
            self.text("flows");
        }
        if stat.of_lengths != stat.key.lengths() {
            self.text("of");
            self.number(u64::from(stat.of_lengths.v4));
            self.number(u64::from(stat.of_lengths.v6));
        }
    }

    fn key(&mut self, key: &KeySpec) {
        self.text(&key.name());
        if key.parts().iter().any(|k| matches!(k, Key::SrcPrefix | Key::DstPrefix)) {
            self.number(u64::from(key.lengths().v4));
            self.number(u64::from(key.lengths().v6));
        }
        if let Some(origins) = key.origins() {
            self.text(origins.digest());
        }
    }

    fn predicate(&mut self, predicate: &Predicate) {
        self.list(&predicate.tests, |form, test| {
            form.key(&test.key);
            for spans in [&test.v4, &test.v6] {
                form.list(spans, |form, (low, high)| {
                    form.bytes(low);
                    form.bytes(high);
                });
            }
        });
    }

    fn setting(&mut self, setting: &Setting) {
        match setting {
            Setting::Integer(n) => self.text(&n.to_string()),
            Setting::Float(n) => self.number(n.to_bits()),
            Setting::Text(text) => self.text(text),
            Setting::Flag(flag) => self.number(u64::from(*flag)),
            Setting::Integers(list) => self.list(list, |form, n| form.text(&n.to_string())),
            Setting::Texts(list) => self.list(list, |form, text| form.text(text)),
            Setting::Table(rows) => self.list(rows, |form, (name, n)| form.texts(&[name, &n.to_string()])),
            Setting::Floats(list) => self.list(list, |form, n| form.number(n.to_bits())),
        }
    }

    fn range(&mut self, range: &Range) {
        let domain = range.domain.map_or_else(String::new, |domain| domain.to_string());
        self.texts(&[&range.prefix.to_string(), &domain, &range.customer]);
        self.list(&range.labels, |form, (name, value)| form.texts(&[name, value]));
    }

    fn hex(self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in self.0.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}
