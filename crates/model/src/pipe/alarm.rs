//! Squatting: somebody serves, or wants to serve, a name that is another's (windows-semantics 6.5). Windows leaves it to the victim to
//! treat error 5 as an alarm; here the host raises it, at most once a name and [`limit::PIPE_ALARM_QUIET`].

use alloc::collections::BTreeMap;
use serde::{Deserialize, Serialize};

use super::name::PipeName;
use crate::access::{Caller, Origin};
use crate::event::Event;
use crate::limit;
use crate::system::turn::Turn;
use crate::time::Time;

/// Why somebody may not serve a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Squat {
    /// A service's file has it for that service.
    Reserved,
    /// Somebody else serves it.
    Foreign,
    /// He wants to be the first to serve it, and somebody else is: he may be the victim.
    NotFirst,
}

/// When an alarm was last raised, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alarms(BTreeMap<PipeName, Time>);

impl Alarms {
    /// Raises one, unless this name's was raised just now.
    pub fn raise(&mut self, turn: &mut Turn, name: &PipeName, caller: &Caller, why: Squat) {
        let quiet = |last: &Time| turn.now.since(*last) < limit::PIPE_ALARM_QUIET;
        if self.0.get(name).is_some_and(quiet) {
            return;
        }
        if self.0.len() >= limit::PIPE_ALARMS_MAX && !self.0.contains_key(name) {
            let oldest = self.0.iter().min_by_key(|(_, last)| **last).map(|(name, _)| name.clone());
            oldest.map(|name| self.0.remove(&name));
        }
        self.0.insert(name.clone(), turn.now);
        let session = match &caller.origin {
            Origin::Outside => None,
            Origin::Session { id, .. } => Some(*id),
        };
        turn.emit(Event::PipeRefused { name: name.clone(), session, uid: caller.uid, why });
    }

    /// How many names are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
