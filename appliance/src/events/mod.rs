//! Something is wrong, begins, goes on, ends: from accounts of the appliance to events.
//!
//! The engine is a function of the accounts that it is given, one after the other ([`Engine::judge`]): no clock, no thread. All that an
//! event says stands in those reports too, so whoever has them can judge it anew. Of windows before their reports are made it also says
//! what makes their figures doubtful ([`Engine::glance`]).
//!
//! A detector is a row of [`rules::RULES`]: what it is called, when it begins and ends, and a function that finds it in one account. Which
//! finding is but a consequence of another says [`rules::CONSEQUENCES`]. docs/events.md has both in words.

mod clock;
mod delivery;
mod diagnoses;
mod engine;
mod feeds;
mod finding;
mod flows;
mod loss;
mod rules;
mod tags;
mod together;

pub use engine::Engine;
pub use finding::{Finding, Sight, Subject, count, exact};
pub use rules::{CONSEQUENCES, RULES, Rule};
pub use tags::SilentTag;

#[cfg(test)]
mod flows_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod together_tests;
