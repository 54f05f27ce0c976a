//! Generations on their way to all cores and the reporter, and back.

use std::sync::Arc;

use super::world::World;
use crate::analyse::FlowSides;
use crate::report::Edition;
use crate::units::Epoch;
use crate::window::{Compiled, Control, Start};

/// The control's ends, and what is on its way. At most one is: what every core holds is what it uses and what comes.
#[derive(Default)]
pub struct Generations {
    /// Of receiving cores.
    pub receivers: Vec<Control<Arc<World>>>,
    /// Of shards.
    pub shards: Vec<Control<Compiled>>,
    /// Of who analyses flow records, and of its shard.
    pub flows: Option<(Control<Arc<FlowSides>>, Control<Compiled>)>,
    /// Of the reporter.
    pub reporter: Option<Control<Edition>>,
    coming: Option<Arc<Start>>,
}

/// What is to be said of the generation that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Some cores have not looked yet.
    Waiting,
    /// It counts from this epoch on.
    From(Epoch),
    /// Cores have ended.
    Never,
}

impl Generations {
    /// Sends one to everybody: all memory that they need for it is taken here. False, and nothing comes of it, while
    /// another is on its way.
    pub fn send(&mut self, world: &Arc<World>, edition: Edition) -> bool {
        if self.coming.as_ref().is_some_and(|start| !start.is_revoked()) && !self.is_settled() {
            return false;
        }
        let start = Arc::new(Start::new());
        let mut sent = self.reporter.as_mut().is_none_or(|end| end.send(&start, edition));
        for end in &mut self.shards {
            sent &= end.send(&start, Compiled::new(&world.plans));
        }
        if let Some((sides, shard)) = &mut self.flows {
            let plans = world.flow_plans.as_ref();
            sent &=
                plans.is_some_and(|plans| shard.send(&start, Compiled::new(plans)) && sides.send(&start, Arc::clone(&world.flow_sides)));
        }
        for end in &mut self.receivers {
            sent &= end.send(&start, Arc::clone(world));
        }
        if !sent {
            start.revoke();
        }
        self.coming = Some(start);
        sent
    }

    /// Decides from which epoch on the one that comes counts, if everybody has it. `after`: the first epoch of the long
    /// window after one's.
    pub fn decide(&self, after: impl Fn(Epoch) -> Epoch) -> Decision {
        let ends = self.receivers.len() + self.shards.len() + 2 * usize::from(self.flows.is_some()) + usize::from(self.reporter.is_some());
        match &self.coming {
            Some(start) if start.holders() == ends => start.decide(after).map_or(Decision::Never, Decision::From),
            Some(_) if self.is_abandoned() => Decision::Never,
            _ => Decision::Waiting,
        }
    }

    /// Whether whoever turns to epochs is gone.
    fn is_abandoned(&self) -> bool {
        self.receivers.iter().any(Control::is_abandoned) || self.flows.as_ref().is_some_and(|(sides, _)| sides.is_abandoned())
    }

    /// Takes back the one that comes; false if there is none that could be.
    pub fn revoke(&self) -> bool {
        self.coming.as_ref().is_some_and(|start| start.revoke())
    }

    /// Whether the one that came last counts already.
    pub fn is_started(&self) -> bool {
        self.coming.as_ref().is_some_and(|start| start.is_started())
    }

    /// Frees what nobody uses any more; true if nobody has, or awaits, another generation than the one in use.
    pub fn is_settled(&mut self) -> bool {
        let mut settled = self.reporter.as_mut().is_none_or(Control::collect);
        self.shards.iter_mut().for_each(|end| settled &= end.collect());
        self.receivers.iter_mut().for_each(|end| settled &= end.collect());
        if let Some((sides, shard)) = &mut self.flows {
            settled &= sides.collect() & shard.collect();
        }
        settled
    }
}
