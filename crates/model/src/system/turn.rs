//! One call of `handle`: what it has to do, collected in order.
//!
//! Records go out first, so that nothing visible happens that a new daemon would not know of; then everything else in
//! the order it was decided; then, at the very end, what only makes sense once the records are out.

use alloc::string::String;
use alloc::vec::Vec;

use super::effect::Effect;
use super::request::{Refusal, Reply};
use crate::event::Event;
use crate::id::{RequestId, SessionId};
use crate::time::Time;

/// See the module.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The moment of the call.
    pub now: Time,
    /// Whether exits were taken note of.
    pub acknowledge: Acknowledge,
    acknowledged: Vec<SessionId>,
    host: Option<Effect>,
    stores: Vec<Effect>,
    effects: Vec<Effect>,
    replies: Vec<Effect>,
    last: Vec<Effect>,
}

/// Whether init may forget the exits it reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledge {
    /// Some were reported in this turn.
    Yes,
    /// None was.
    No,
}

impl Turn {
    /// A turn that has nothing to do yet.
    pub fn new(now: Time) -> Turn {
        Turn {
            now,
            acknowledge: Acknowledge::No,
            acknowledged: Vec::new(),
            host: None,
            stores: Vec::new(),
            effects: Vec::new(),
            replies: Vec::new(),
            last: Vec::new(),
        }
    }

    /// Something to do, after everything decided so far.
    pub fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Something to tell.
    pub fn emit(&mut self, event: Event) {
        self.effects.push(Effect::Emit(event));
    }

    /// A record to keep.
    pub fn store(&mut self, key: String, bytes: Vec<u8>) {
        self.stores.push(Effect::Store { key, bytes });
    }

    /// A user session's record to keep.
    pub fn store_session(&mut self, store: Effect) {
        self.stores.push(store);
    }

    /// Exits of this session were taken note of.
    pub fn acknowledge_in(&mut self, session: SessionId) {
        if session == crate::id::SESSION_ZERO {
            self.acknowledge = Acknowledge::Yes;
        } else if !self.acknowledged.contains(&session) {
            self.acknowledged.push(session);
        }
    }

    /// The host's record: before all others, because what they say may depend on it (a shutdown, reserved numbers).
    pub fn store_host(&mut self, key: String, bytes: Vec<u8>) {
        self.host = Some(Effect::Store { key, bytes });
    }

    /// An answer.
    pub fn reply(&mut self, id: RequestId, result: Result<Reply, Refusal>) {
        self.replies.push(Effect::Reply { id, result });
    }

    /// Something that must come after every record and every answer.
    pub fn push_last(&mut self, effect: Effect) {
        self.last.push(effect);
    }

    /// All of it, in order.
    pub fn into_effects(self) -> Vec<Effect> {
        let mut all: Vec<Effect> = self.host.into_iter().chain(self.stores).collect();
        all.extend(self.effects);
        all.extend(self.replies);
        if self.acknowledge == Acknowledge::Yes {
            all.push(Effect::AcknowledgeExits);
        }
        all.extend(self.acknowledged.into_iter().map(Effect::AcknowledgeIn));
        all.extend(self.last);
        all
    }
}
