//! The life of events: held off until they are sure, kept one through flapping, ended when it stays quiet.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::finding::{Finding, Sight, Subject};
use super::rules::{Becomes, CONSEQUENCES, Common, RULES, Rule};
use super::tags::TagWatch;
use super::together::{self, OWN_MAX};
use crate::report::{Glance, SCHEMA_VERSION, pb};

/// An event that goes on is sent again after so long.
const AGAIN_NS: u64 = 60_000_000_000;
/// It ends after so many windows that do not show it,
const CLEAR_WINDOWS: u32 = 3;
/// and so long; twice as long each time that it came back meanwhile, up to eight times.
const CLEAR_NS: u64 = 10_000_000_000;
const RETURNS_MAX: u32 = 3;

type Key = (&'static str, Subject);

/// Something that was found, and may be an event.
#[derive(Debug)]
struct Watched {
    finding: Finding,
    started_ns: u64,
    updated_ns: u64,
    first: pb::Evidence,
    last: pb::Evidence,
    windows: u64,
    /// Windows in a row that did not show it,
    clear: u32,
    /// and how often it came back behind such.
    returns: u32,
    open: Option<Open>,
}

/// An event that was sent.
#[derive(Clone, Debug)]
struct Open {
    id: String,
    sent_ns: u64,
    /// The highest that was sent.
    severity: pb::Severity,
    follows: String,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Engine {
    watched: BTreeMap<Key, Watched>,
    tags: TagWatch,
    before: Option<pb::ApplianceReport>,
    /// Of a long window; it may come behind fast ones that began later.
    long: Option<pb::ApplianceReport>,
    sequence: u64,
}

/// What is found, and what it follows on, if on anything.
type Found<'a> = (&'a Rule, Finding, Option<Key>);

impl Engine {
    /// Looks at a window before its reports are made: what makes its figures doubtful.
    pub fn glance(&mut self, glance: &Glance<'_>) -> Vec<&'static str> {
        if self.tags.look(glance) { vec!["tag_silent"] } else { Vec::new() }
    }

    /// What an account gives rise to. Of windows that were judged in parts, and of totals, nothing.
    pub fn judge(&mut self, report: &pb::ApplianceReport) -> Vec<pb::Event> {
        if !report.total && report.window_kind() == pb::WindowKind::Long {
            self.long = Some(report.clone());
        }
        let judged_ns = self.before.as_ref().map_or(0, |before| before.window_end_ns);
        if report.total || report.window_start_ns < judged_ns {
            return Vec::new();
        }
        let silent_tags = self.tags.silent();
        let sight = Sight { report, before: self.before.as_ref(), long: self.long.as_ref(), silent_tags: &silent_tags };
        let found: Vec<(&Rule, Finding)> = RULES.iter().flat_map(|rule| (rule.find)(&sight).into_iter().map(move |f| (rule, f))).collect();
        let events = self.step(report, found);
        self.before = Some(report.clone());
        events
    }

    /// How many events of each kind have begun and not ended.
    pub fn open(&self) -> BTreeMap<&'static str, u64> {
        let mut open: BTreeMap<&'static str, u64> = RULES.iter().map(|rule| (rule.kind, 0)).collect();
        for ((kind, _), _) in self.watched.iter().filter(|(_, watched)| watched.open.is_some()) {
            *open.entry(kind).or_default() += 1;
        }
        open
    }

    /// Number of the last event that was made.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    fn step(&mut self, report: &pb::ApplianceReport, found: Vec<(&Rule, Finding)>) -> Vec<pb::Event> {
        let (mut events, mut seen, mut told) = (Vec::new(), Vec::new(), Vec::new());
        let causes = self.causes(&found, report);
        for (rule, finding) in found {
            let becomes = causes.iter().find_map(|(kind, cause)| Some((kind, cause, consequence((kind, cause), (rule.kind, &finding))?)));
            match becomes {
                Some((_, _, Becomes::Nothing)) => seen.push(self.event_of((rule.kind, finding.subject), report)),
                // By then the cause has an event: causes stand before their consequences. Of two that may each cause the other the second.
                Some((kind, cause, Becomes::Follower)) => told.push((rule, finding, Some((*kind, cause.subject.clone())))),
                None => told.push((rule, finding, None)),
            }
        }
        for (rule, finding, follows) in self.together(told, report) {
            let key = (rule.kind, finding.subject.clone());
            seen.push(key.clone());
            let follows = follows.map_or_else(String::new, |cause| self.id(&cause));
            let of = match (rule.of_long, &self.long) {
                (true, Some(long)) => evidence(long),
                _ => evidence(report),
            };
            let watched = self.watched.entry(key).or_insert_with_key(|_| Watched::new(report, &of, finding.clone()));
            watched.seen(report, of, finding);
            if let Some(state) = watched.tells(rule, report, follows) {
                events.push(watched.message(rule.kind, state, report));
            }
        }
        self.end(report, &seen, &mut events);
        for event in &mut events {
            self.sequence += 1;
            event.sequence = self.sequence;
        }
        events
    }

    /// What this window shows, and what began before and has not ended: what comes of a cause may outlast it by a window or two.
    fn causes(&self, found: &[(&Rule, Finding)], report: &pb::ApplianceReport) -> Vec<(&'static str, Finding)> {
        let all = together::subject(report);
        // What is together is shown by each that it is made of.
        let is_shown = |kind: &str, of: &Subject| found.iter().any(|(rule, f)| rule.kind == kind && (f.subject == *of || *of == all));
        let open = self.watched.iter().filter(|((kind, of), watched)| watched.open.is_some() && !is_shown(kind, of));
        let open = open.map(|((kind, _), watched)| (*kind, watched.finding.clone()));
        found.iter().map(|(rule, finding)| (rule.kind, finding.clone())).chain(open).collect()
    }

    /// Its own event, or that of its kind together.
    fn event_of(&self, key: Key, report: &pb::ApplianceReport) -> Key {
        let all = (key.0, together::subject(report));
        if !self.watched.contains_key(&key) && self.watched.contains_key(&all) { all } else { key }
    }

    /// Of a kind of which there are too many, what has no event of its own is one finding; so is what joins it.
    fn together<'a>(&self, found: Vec<Found<'a>>, report: &pb::ApplianceReport) -> Vec<Found<'a>> {
        let all = together::subject(report);
        let mut told = Vec::new();
        for of_kind in found.chunk_by(|(rule, ..), (next, ..)| rule.kind == next.kind) {
            let (rule, ..) = of_kind[0];
            let is_own = |(kind, subject): &&Key| *kind == rule.kind && *subject != all;
            let own = self.watched.keys().filter(is_own).count();
            let is_new = |(rule, finding, _): &&Found<'a>| !self.watched.contains_key(&(rule.kind, finding.subject.clone()));
            let new: Vec<Finding> = of_kind.iter().filter(is_new).map(|(_, finding, _)| finding.clone()).collect();
            let is_together = own + new.len() > OWN_MAX || self.watched.contains_key(&(rule.kind, all.clone()));
            if !new.is_empty() && is_together {
                told.extend(of_kind.iter().filter(|found| !is_new(found)).cloned());
                told.extend(together::together(new, all.clone()).map(|finding| (rule, finding, None)));
            } else {
                told.extend(of_kind.iter().cloned());
            }
        }
        told
    }

    /// What this window does not show.
    fn end(&mut self, report: &pb::ApplianceReport, seen: &[Key], events: &mut Vec<pb::Event>) {
        self.watched.retain(|key, watched| {
            if seen.contains(key) {
                return true;
            }
            watched.clear += 1;
            // What is held off must be seen in each window.
            let is_over = watched.open.is_none() || watched.is_over(report.window_end_ns);
            if is_over && watched.open.is_some() {
                events.push(watched.message(key.0, pb::EventState::Ended, report));
            }
            !is_over
        });
    }

    fn id(&self, key: &Key) -> String {
        self.watched.get(key).and_then(|watched| watched.open.as_ref()).map_or_else(String::new, |open| open.id.clone())
    }
}

/// What the second becomes of the first, if it follows from it.
fn consequence((kind, cause): (&str, &Finding), (other, finding): (&str, &Finding)) -> Option<Becomes> {
    let is_common = |common: Common| match common {
        Common::Feed => cause.feed.is_none() || finding.feed.is_none() || cause.feed == finding.feed,
        Common::Subject => cause.subject == finding.subject,
    };
    let row = CONSEQUENCES.iter().find(|(from, to, common, _)| (*from, *to) == (kind, other) && is_common(*common));
    row.map(|(.., becomes)| *becomes)
}

impl Watched {
    fn new(report: &pb::ApplianceReport, of: &pb::Evidence, finding: Finding) -> Self {
        let (first, started_ns) = (of.clone(), report.window_start_ns);
        Self { finding, started_ns, updated_ns: 0, last: first.clone(), first, windows: 0, clear: 0, returns: 0, open: None }
    }

    /// A window shows it.
    fn seen(&mut self, report: &pb::ApplianceReport, of: pb::Evidence, finding: Finding) {
        self.returns += u32::from(self.clear > 0 && self.returns < RETURNS_MAX);
        (self.finding, self.clear) = (finding, 0);
        (self.updated_ns, self.last) = (report.window_end_ns, of);
        self.windows += 1;
    }

    /// Whether that is to be told.
    fn tells(&mut self, rule: &Rule, report: &pb::ApplianceReport, follows: String) -> Option<pb::EventState> {
        let (severity, now_ns) = (self.finding.severity, report.window_end_ns);
        let Some(open) = &mut self.open else {
            if self.windows < u64::from(rule.begins_after) {
                return None;
            }
            let id = id(report.boot_id, (rule.kind, &self.finding.subject), self.started_ns);
            self.open = Some(Open { id, sent_ns: now_ns, severity, follows });
            return Some(pb::EventState::Begun);
        };
        // What is but to be known need not be said again.
        let is_due = severity > pb::Severity::Info && now_ns.saturating_sub(open.sent_ns) >= AGAIN_NS;
        if severity <= open.severity && !is_due {
            return None;
        }
        (open.sent_ns, open.severity) = (now_ns, severity.max(open.severity));
        Some(pb::EventState::Ongoing)
    }

    const fn is_over(&self, now_ns: u64) -> bool {
        self.clear >= CLEAR_WINDOWS && now_ns.saturating_sub(self.updated_ns) >= CLEAR_NS << self.returns
    }

    fn message(&self, kind: &str, state: pb::EventState, report: &pb::ApplianceReport) -> pb::Event {
        let Finding { subject, severity, cause, figures, summary, remedy, feed: _ } = self.finding.clone();
        let Open { id, severity: highest, follows, .. } = self.open.clone().unwrap_or_else(Open::none);
        let has_ended = state == pb::EventState::Ended;
        pb::Event {
            schema_version: SCHEMA_VERSION,
            appliance: report.appliance.clone(),
            pop: report.pop.clone(),
            boot_id: report.boot_id,
            sequence: 0,
            window_start_ns: report.window_start_ns,
            window_end_ns: report.window_end_ns,
            window_kind: report.window_kind,
            config_hash: report.config_hash.clone(),
            id,
            kind: kind.to_owned(),
            subject: Some(pb::EventSubject { r#type: subject.kind.to_owned(), name: subject.name }),
            state: state.into(),
            severity: if has_ended { highest } else { severity }.into(),
            started_ns: self.started_ns,
            updated_ns: self.updated_ns,
            ended_ns: has_ended.then_some(self.updated_ns),
            windows: self.windows,
            figures,
            evidence: if self.first == self.last { vec![self.first.clone()] } else { vec![self.first.clone(), self.last.clone()] },
            cause,
            summary: if has_ended {
                format!("over, last seen {} s ago; it was: {summary}", (report.window_end_ns - self.updated_ns) / 1_000_000_000)
            } else {
                summary
            },
            remedy: if has_ended { String::new() } else { remedy },
            follows,
        }
    }
}

impl Open {
    const fn none() -> Self {
        Self { id: String::new(), sent_ns: 0, severity: pb::Severity::Info, follows: String::new() }
    }
}

/// The same for an event's whole life, and no other's.
fn id(boot_id: u64, (kind, subject): (&str, &Subject), started_ns: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(boot_id.to_be_bytes());
    hash.update(started_ns.to_be_bytes());
    for part in [kind, subject.kind, &subject.name] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut hex = String::with_capacity(32);
    for byte in hash.finalize().iter().take(16) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn evidence(report: &pb::ApplianceReport) -> pb::Evidence {
    pb::Evidence {
        topic: "appliance".to_owned(),
        key: report.appliance.clone(),
        sequence: report.sequence,
        window_start_ns: report.window_start_ns,
        window_end_ns: report.window_end_ns,
    }
}
