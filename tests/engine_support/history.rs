//! Which configuration counts when.

use super::dice::Dice;
use super::rows;
use super::setup::{DOMAINS, RANGES, Row, Setup, row};

/// Configurations, each with the time from which on it counts.
#[derive(Clone, Debug)]
pub struct History {
    pub eras: Vec<(u64, Setup)>,
}

impl History {
    /// One for all times.
    pub fn of(setup: &Setup) -> Self {
        Self { eras: vec![(0, setup.clone())] }
    }

    /// Which counts at a time.
    pub fn index(&self, time_ns: u64) -> usize {
        self.eras.partition_point(|(first_ns, _)| *first_ns <= time_ns) - 1
    }

    /// What counts at a time.
    pub fn at(&self, time_ns: u64) -> &Setup {
        &self.eras[self.index(time_ns)].1
    }

    /// The first: windows are its.
    pub fn first(&self) -> &Setup {
        &self.eras[0].1
    }
}

impl Setup {
    /// What an operator may make of it while it runs: ranges added, removed and moved to other customers and sets, stats
    /// added, removed and changed.
    pub fn redraw(&self, dice: &mut Dice) -> Self {
        let mut new = self.clone();
        let more = [("0.0.0.0/0", false, ""), ("::/0", true, ""), ("8.8.8.0/29", true, ""), ("10.1.2.0/30", false, "")];
        let domains = DOMAINS.iter().copied().filter(|_| self.ranges.iter().any(|range| !range.2.is_empty()));
        let all = RANGES.iter().copied().chain(more).chain(domains);
        let kept = |(prefix, premium, domain)| (!dice.one_in(3)).then(|| (prefix, premium != dice.one_in(4), domain));
        new.ranges = all.filter_map(kept).collect();
        if new.ranges.is_empty() {
            new.ranges.push(RANGES[0]);
        }
        new.moved = new.ranges.iter().map(|(prefix, _, _)| *prefix).filter(|_| dice.one_in(3)).collect();
        new.rows.retain(|_| !dice.one_in(6));
        for n in 0..usize::try_from(dice.below(6)).unwrap() {
            let mut added = row(dice, n);
            added.name = format!("added{n}-{}", dice.below(1 << 40));
            // A first fast stat needs shorter epochs, and those a restart.
            added.fast &= self.any_fast();
            new.rows.push(added);
        }
        for row in new.rows.iter_mut().filter(|row| row.calculation == "new_keys") {
            // Under its old name something else.
            if dice.one_in(4) {
                let other = rows::new_keys(dice, 0);
                *row = Row { name: row.name.clone(), fast: row.fast, ..other };
            }
        }
        if new.rows.is_empty() {
            new.rows.push(self.rows[0].clone());
        }
        new.keys_from = dice.of(&["matched", "matched", "outermost", "innermost"]);
        (new.ingress, new.egress) = dice.of(&[(true, true), (true, true), (true, false), (false, true)]);
        new.drops_untagged = dice.one_in(3);
        new
    }
}
