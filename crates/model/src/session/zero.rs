//! Session 0's life. It is made first and made again whenever its init dies; while it is not there no service is.
//!
//! ```text
//!              CreateSession           SessionCreated
//!   Absent ─────────────────▶ Making ─────────────────▶ Up ──┐ EndSession
//!                              ▲  │ SessionFailed        │   ▼
//!                 retry is due │  ▼          init died   │  Ending ── SessionEnded ──▶ Absent
//!                             Failed ◀───────────────────┘
//! ```
//!
//! The first death of an init is answered at once; those that follow quickly wait longer each time.

use alloc::string::String;
use core::time::Duration;

use super::status::{ConnectState, SessionStatus};
use crate::event::{EndCause, Event};
use crate::id::SESSION_ZERO;
use crate::limit;
use crate::system::Effect;
use crate::system::turn::Turn;
use crate::time::Time;

/// The name it enumerates as.
const NAME: &str = "Services";

/// Session 0.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionZero {
    state: State,
    /// Times in a row it could not be made or did not last.
    failures: u32,
}

#[derive(Debug, Clone, Default)]
enum State {
    /// It is not there, and nobody makes it.
    #[default]
    Absent,
    /// It is being made.
    Making { since: Time },
    /// It is there.
    Up { created: Time, protocol: u16 },
    /// It could not be made, or its init died quickly; it is tried again.
    Failed { since: Time, retry: Time, trouble: String },
    /// Its init was killed. Nobody waits longer than the deadline for it to be gone.
    Ending { created: Time, deadline: Time },
}

impl SessionZero {
    /// Has it made.
    pub fn make(&mut self, turn: &mut Turn) {
        self.state = State::Making { since: turn.now };
        turn.push(Effect::CreateSession(SESSION_ZERO));
    }

    /// A daemon before made it.
    pub fn found(&mut self, created: Time, protocol: u16) {
        self.state = State::Up { created, protocol };
    }

    /// It is made. Says whether that was waited for.
    pub fn created(&mut self, turn: &mut Turn, protocol: u16) -> bool {
        let since = match self.state {
            State::Making { since } => since,
            State::Ending { .. } => {
                // The word that it is not wanted any more crossed this one.
                turn.push(Effect::EndSession(SESSION_ZERO));
                return false;
            }
            State::Absent | State::Up { .. } | State::Failed { .. } => return false,
        };
        self.state = State::Up { created: since, protocol };
        turn.emit(Event::SessionCreated(SESSION_ZERO));
        true
    }

    /// It could not be made.
    pub fn failed(&mut self, turn: &mut Turn, reason: String) {
        let since = match self.state {
            State::Making { since } => since,
            State::Ending { .. } => {
                // It was not wanted any more.
                self.state = State::Absent;
                return;
            }
            State::Absent | State::Up { .. } | State::Failed { .. } => return,
        };
        turn.emit(Event::SessionFailed { session: SESSION_ZERO, reason: reason.clone() });
        self.failures = self.failures.saturating_add(1);
        self.state = State::Failed { since, retry: turn.now + self.delay(), trouble: reason };
    }

    /// Its init is gone. Says whether it was there.
    pub fn ended(&mut self, turn: &mut Turn) -> bool {
        let (created, cause) = match self.state {
            State::Up { created, .. } => (created, EndCause::InitDied),
            State::Making { since } => (since, EndCause::InitDied),
            State::Ending { created, .. } => (created, EndCause::Requested),
            State::Absent | State::Failed { .. } => return false,
        };
        turn.emit(Event::SessionEnded { session: SESSION_ZERO, cause });
        let lasted = turn.now.since(created) >= limit::FAILURE_RESET;
        self.failures = if lasted { 0 } else { self.failures.saturating_add(1) };
        self.state = State::Absent;
        true
    }

    /// Has it made again after its init died: at once, or after a while if that happens again and again.
    pub fn make_again(&mut self, turn: &mut Turn) {
        if self.failures <= 1 {
            self.make(turn);
        } else {
            let trouble = String::from("its init died again and again");
            self.state = State::Failed { since: turn.now, retry: turn.now + self.delay(), trouble };
        }
    }

    /// Has it ended.
    pub fn end(&mut self, turn: &mut Turn) {
        match self.state {
            State::Up { created, .. } | State::Making { since: created } => {
                turn.push(Effect::EndSession(SESSION_ZERO));
                self.state = State::Ending { created, deadline: turn.now + limit::STOP_WAIT };
            }
            State::Failed { .. } => self.state = State::Absent,
            State::Absent | State::Ending { .. } => {}
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, turn: &mut Turn) {
        match self.state {
            State::Failed { retry, .. } if retry <= turn.now => self.make(turn),
            State::Ending { deadline, .. } if deadline <= turn.now => self.state = State::Absent,
            State::Absent
            | State::Making { .. }
            | State::Up { .. }
            | State::Failed { .. }
            | State::Ending { .. } => {}
        }
    }

    /// When it must be looked at again.
    pub fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Failed { retry: due, .. } | State::Ending { deadline: due, .. } => Some(due),
            State::Absent | State::Making { .. } | State::Up { .. } => None,
        }
    }

    /// Whether services can be launched in it.
    pub fn up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// Whether it is being made.
    pub fn making(&self) -> bool {
        matches!(self.state, State::Making { .. })
    }

    /// The protocol its init speaks, while it is there.
    pub fn protocol(&self) -> Option<u16> {
        match self.state {
            State::Up { protocol, .. } => Some(protocol),
            State::Absent | State::Making { .. } | State::Failed { .. } | State::Ending { .. } => None,
        }
    }

    /// Whether nothing is left of it.
    pub fn absent(&self) -> bool {
        matches!(self.state, State::Absent)
    }

    /// When it was made.
    pub fn since(&self) -> Time {
        match self.state {
            State::Absent => Time::default(),
            State::Making { since } | State::Failed { since, .. } => since,
            State::Up { created, .. } | State::Ending { created, .. } => created,
        }
    }

    /// As it is now; nothing before it was ever asked for.
    pub fn status(&self, programs: u32) -> Option<SessionStatus> {
        let (state, protocol, trouble) = match &self.state {
            State::Absent => return None,
            State::Making { .. } => (ConnectState::Init, None, None),
            State::Up { protocol, .. } => (ConnectState::Disconnected, Some(*protocol), None),
            State::Failed { trouble, .. } => (ConnectState::Down, None, Some(trouble.clone())),
            State::Ending { .. } => (ConnectState::Down, None, None),
        };
        let (name, created) = (String::from(NAME), self.since());
        let user = None;
        Some(SessionStatus { id: SESSION_ZERO, name, state, created, protocol, programs, trouble, user })
    }

    fn delay(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        (limit::RESTART_DELAY * 2_u32.pow(doublings)).min(limit::RESTART_DELAY_MAX)
    }
}
