//! From a shell on a terminal to nothing left: the shell ends, the terminal goes, somebody logs the session off.

use alloc::vec::Vec;

use super::program::{EndReason, HasTerminal, Part, Phase, View, unit};
use super::table::HangUp;
use super::user::{Ending, Seat, State, Step};
use crate::event::Event;
use crate::id::{LaunchId, RequestId, SESSION_ZERO, SessionId, ViewerId};
use crate::launch::exit::{ExitStatus, LaunchFailure, LaunchPhase};
use crate::launch::wire::{Remains, SignalTo};
use crate::limit;
use crate::session::refusal::Refusal;
use crate::system::turn::Turn;
use crate::system::{self, Effect, Reply, System};
use crate::time::Time;

/// A terminal that is gone.
const SIGHUP: u8 = 1;
/// The errno of what did not come in time.
const ETIMEDOUT: i32 = 110;

/// What init says of a user's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// exec succeeded.
    Launched,
    /// It did not come to exec.
    LaunchFailed(LaunchFailure),
    /// Its main process ended.
    Exited {
        /// How.
        status: ExitStatus,
        /// Whether other processes of its group are left.
        remains: Remains,
    },
    /// Its group has no process any more.
    GroupEmpty,
}

impl System {
    /// Something happened to a user's program.
    pub(crate) fn program_happened(
        &mut self,
        turn: &mut Turn,
        session: SessionId,
        launch: LaunchId,
        happened: Happened,
    ) {
        if let Happened::Exited { .. } = happened {
            turn.acknowledge_in(session);
        }
        if self.sessions.programs.get(&launch).is_some_and(|program| program.session != session) {
            return; // No init speaks of another's programs.
        }
        match happened {
            Happened::Launched => self.program_launched(turn, session, launch),
            Happened::LaunchFailed(failure) => self.program_failed(turn, session, launch, failure),
            Happened::Exited { status, remains } => self.program_exited(turn, launch, status, remains),
            Happened::GroupEmpty => match self.sessions.programs.get(&launch).map(|program| program.phase) {
                Some(Phase::Sweeping) => {
                    self.forget_program(turn, launch);
                    self.end_if_swept(turn, session);
                }
                Some(Phase::Launching | Phase::Running | Phase::Left) => {}
                // Given up long ago, or nobody's.
                None => turn.push(Effect::ForgetUnit { session, unit: unit(launch) }),
            },
        }
    }

    fn program_launched(&mut self, turn: &mut Turn, session: SessionId, launch: LaunchId) {
        let Some(program) = self.sessions.program_mut(launch) else {
            // Told to init by a daemon before, and not kept: nobody's.
            return turn.push(Effect::kill_program(session, launch));
        };
        if program.phase != Phase::Launching {
            return;
        }
        program.phase = Phase::Running;
        match program.part {
            Part::Shell => self.shell_launched(turn, session),
            Part::Beside(_) => self.beside_launched(turn, session, launch),
        }
    }

    fn program_failed(
        &mut self,
        turn: &mut Turn,
        session: SessionId,
        launch: LaunchId,
        failure: LaunchFailure,
    ) {
        let Some(program) = self.sessions.programs.get(&launch).cloned() else { return };
        self.forget_program(turn, launch);
        match program.part {
            Part::Shell => self.shell_failed(turn, session, failure),
            Part::Beside(ends) => {
                if let Some(asked) = ends.asked {
                    let refusal = Refusal::LaunchFailed(failure);
                    turn.reply(asked.request, Err(system::Refusal::Session(refusal)));
                }
            }
        }
        self.end_if_swept(turn, session);
    }

    fn program_exited(&mut self, turn: &mut Turn, launch: LaunchId, status: ExitStatus, remains: Remains) {
        let Some(program) = self.sessions.program_mut(launch) else { return };
        let (session, part, phase) = (program.session, program.part, program.phase);
        if phase == Phase::Launching {
            // Killed between clone and exec, with no daemon there to hear that it was launched.
            program.phase = Phase::Running;
        }
        if let Part::Beside(ends) = part {
            self.beside_ended(turn, session, launch, ends, EndReason::Left, Some(status));
        }
        match (phase, remains) {
            (Phase::Sweeping, _) => {}
            (Phase::Launching | Phase::Running | Phase::Left, Remains::Processes) => {
                if let Some(program) = self.sessions.program_mut(launch) {
                    program.phase = Phase::Left;
                }
                if let Part::Beside(_) = part {
                    // Nobody sees it any more; what it left is hung up, as by a terminal that is closed.
                    turn.push(Effect::ReleaseTerminal { session, launch });
                }
            }
            (Phase::Launching | Phase::Running | Phase::Left, Remains::Nothing) => {
                self.forget_program(turn, launch);
            }
        }
        if part == Part::Shell {
            self.shell_ended(turn, session, status);
        }
        self.kill_if_alone(turn, session);
        self.end_if_swept(turn, session);
    }

    /// A session without its shell is over, and everything in it.
    fn shell_ended(&mut self, turn: &mut Turn, id: SessionId, status: ExitStatus) {
        let Some(session) = self.sessions.session_mut(id) else { return };
        match &mut session.state {
            State::Ending(ending) => ending.status = Some(status),
            State::Live { .. } | State::Starting { .. } | State::Making { .. } => {
                let expected = session.expected_by();
                let (viewer, step) = (session.viewer(), killed(turn.now));
                let reason = EndReason::Left;
                session.state = State::Ending(Ending { reason, viewer, status: Some(status), step });
                if let Some(logon) = expected {
                    self.turn_back(turn, logon, "the shell ended before it was seen");
                }
                self.kill_session(turn, id);
            }
        }
    }

    /// Begins the end of a session: its programs are told. A session that is just being made is dropped.
    pub(crate) fn end_session(&mut self, turn: &mut Turn, id: SessionId, reason: EndReason) {
        let Some(session) = self.sessions.session_mut(id) else { return };
        match session.state {
            State::Making { logon } | State::Starting { logon, .. } => {
                self.turn_back(turn, logon, "the session was logged off while it was being made");
                return self.drop_session(turn, id);
            }
            State::Live { .. } => {}
            State::Ending(_) => return,
        }
        let (viewer, deadline) = (session.viewer(), turn.now + limit::LOGOFF_WAIT);
        let step = Step::Asked { deadline };
        session.state = State::Ending(Ending { reason, viewer, status: None, step });
        self.tell_to_end(turn, id, reason);
    }

    /// The programs of a session are told that it ends.
    pub(super) fn tell_to_end(&mut self, turn: &mut Turn, id: SessionId, reason: EndReason) {
        for launch in self.sessions.alive_in(id) {
            let (signal, to) = (SIGHUP, SignalTo::Group);
            turn.push(Effect::SignalProgram { session: id, launch, signal, to });
        }
        let shell = self.sessions.programs_of(id).find(|(_, program)| program.part == Part::Shell);
        if let (EndReason::HungUp, Some((launch, _))) = (reason, shell) {
            // The kernel hangs up what still has it open, whatever it does about the signal.
            turn.push(Effect::ReleaseTerminal { session: id, launch });
        }
        self.kill_if_alone(turn, id);
    }

    /// Ends a session that nobody has seen, without asking.
    pub(super) fn drop_session(&mut self, turn: &mut Turn, id: SessionId) {
        let Some(session) = self.sessions.session_mut(id) else { return };
        let (reason, step) = (EndReason::LoggedOff, killed(turn.now));
        session.state = State::Ending(Ending { reason, viewer: None, status: None, step });
        self.kill_session(turn, id);
    }

    /// A new daemon kills again what the one before had killed, or was about to.
    pub(super) fn drop_again(&mut self, turn: &mut Turn, id: SessionId) {
        for (_, program) in self.sessions.programs.iter_mut().filter(|(_, program)| program.session == id) {
            if program.phase == Phase::Sweeping {
                program.phase = Phase::Left;
            }
        }
        self.kill_session(turn, id);
    }

    /// What was told to end has ended before its time was over.
    fn kill_if_alone(&mut self, turn: &mut Turn, id: SessionId) {
        let Some(session) = self.sessions.session_mut(id) else { return };
        let State::Ending(ending) = &mut session.state else { return };
        if matches!(ending.step, Step::Asked { .. }) && self.sessions.alive_in(id).next().is_none() {
            self.kill_ending(turn, id);
        }
    }

    fn kill_ending(&mut self, turn: &mut Turn, id: SessionId) {
        if let Some(State::Ending(ending)) = self.sessions.session_mut(id).map(|session| &mut session.state) {
            ending.step = killed(turn.now);
        }
        self.kill_session(turn, id);
    }

    /// Everything in it goes: with its init, or in Session 0 group by group.
    fn kill_session(&mut self, turn: &mut Turn, id: SessionId) {
        if id != SESSION_ZERO {
            return turn.push(Effect::EndSession(id));
        }
        let reason = self.reason_beside(id);
        let launches: Vec<LaunchId> = self.sessions.programs_of(id).map(|(launch, _)| launch).collect();
        for launch in launches {
            if let Some(program) = self.sessions.program_mut(launch)
                && program.phase != Phase::Sweeping
            {
                let (part, _) = (program.part, core::mem::replace(&mut program.phase, Phase::Sweeping));
                if let Part::Beside(ends) = part {
                    self.beside_ended(turn, id, launch, ends, reason, None);
                }
                turn.push(Effect::KillUnit { session: id, unit: unit(launch) });
            }
        }
        self.end_if_swept(turn, id);
    }

    /// A user's session in Session 0 is over when nothing of his is left there.
    fn end_if_swept(&mut self, turn: &mut Turn, id: SessionId) {
        let killed = |state: State| matches!(state, State::Ending(Ending { step: Step::Killed { .. }, .. }));
        let over = self.sessions.table.get(&id).is_some_and(|session| killed(session.state));
        if id == SESSION_ZERO && over && self.sessions.programs_of(id).next().is_none() {
            self.session_gone(turn, id);
        }
    }

    /// A user session's init is gone, and everything with it.
    pub(crate) fn user_session_ended(&mut self, turn: &mut Turn, id: SessionId) {
        let Some(session) = self.sessions.session_mut(id) else { return };
        if !session.ending() {
            let expected = session.expected_by();
            let (viewer, step, reason) = (session.viewer(), killed(turn.now), EndReason::InitDied);
            session.state = State::Ending(Ending { reason, viewer, status: None, step });
            if let Some(logon) = expected {
                self.turn_back(turn, logon, "the session's init died");
            }
        }
        self.session_gone(turn, id);
    }

    /// Nothing is left of a session: everybody who waits for that hears it.
    pub(super) fn session_gone(&mut self, turn: &mut Turn, id: SessionId) {
        let reason = self.reason_beside(id);
        let launches: Vec<LaunchId> = self.sessions.programs_of(id).map(|(launch, _)| launch).collect();
        for launch in launches {
            if let Some(program) = self.sessions.remove_program(launch)
                && let Part::Beside(ends) = program.part
            {
                self.beside_ended(turn, id, launch, ends, reason, None);
            }
        }
        let Some(session) = self.sessions.table.remove(&id) else { return };
        let State::Ending(ending) = session.state else { return };
        if let Some(viewer) = ending.viewer {
            let view = View::Ended { reason: ending.reason, status: ending.status };
            turn.push(Effect::TellViewer { session: id, viewer, view });
        }
        if session.protocol.is_some() {
            turn.emit(Event::SessionLogoff {
                session: id,
                account: session.user.name.clone(),
                reason: ending.reason,
            });
            if id != SESSION_ZERO {
                turn.emit(Event::SessionEnded { session: id, cause: ending.reason.into() });
            }
        }
        if id == SESSION_ZERO {
            turn.push(Effect::UnstoreSession(id));
        }
        for waiter in session.waiters {
            turn.reply(waiter, Ok(Reply::Done));
        }
    }

    /// Why the programs beside the shell end with their session: they did not leave by themselves, even if the shell did.
    fn reason_beside(&self, id: SessionId) -> EndReason {
        match self.sessions.table.get(&id).map(|session| session.state) {
            Some(State::Ending(ending)) if ending.reason != EndReason::Left => ending.reason,
            Some(_) | None => EndReason::LoggedOff,
        }
    }

    fn forget_program(&mut self, turn: &mut Turn, launch: LaunchId) {
        if let Some(program) = self.sessions.remove_program(launch) {
            turn.push(Effect::ForgetUnit { session: program.session, unit: unit(launch) });
            turn.push(Effect::ReleaseTerminal { session: program.session, launch });
        }
    }

    /// A viewer's client is gone.
    pub(crate) fn viewer_gone(&mut self, turn: &mut Turn, viewer: ViewerId) {
        let Some((id, launch)) = self.sessions.of_viewer(viewer) else { return };
        match launch {
            Some(launch) => self.beside_hung_up(turn, id, launch),
            None => self.shell_hung_up(turn, id),
        }
    }

    fn shell_hung_up(&mut self, turn: &mut Turn, id: SessionId) {
        let Some(session) = self.sessions.session_mut(id) else { return };
        match &mut session.state {
            State::Live { seat, .. } => {
                *seat = Seat::Disconnected { since: turn.now };
                turn.emit(Event::SessionDisconnected(id));
                if self.sessions.policy.hang_up == HangUp::Logoff {
                    self.end_session(turn, id, EndReason::HungUp);
                }
            }
            State::Ending(ending) => ending.viewer = None,
            State::Making { .. } | State::Starting { .. } => {}
        }
    }

    fn beside_hung_up(&mut self, turn: &mut Turn, session: SessionId, launch: LaunchId) {
        let Some(program) = self.sessions.program_mut(launch) else { return };
        let Part::Beside(ends) = &mut program.part else { return };
        ends.viewer = None;
        if ends.terminal == HasTerminal::Yes {
            turn.push(Effect::ReleaseTerminal { session, launch });
        }
    }

    fn beside_ended(
        &mut self,
        turn: &mut Turn,
        session: SessionId,
        launch: LaunchId,
        ends: super::program::Ends,
        reason: EndReason,
        status: Option<ExitStatus>,
    ) {
        if let Some(viewer) = ends.viewer {
            turn.push(Effect::TellViewer { session, viewer, view: View::Ended { reason, status } });
        }
        if let Some(asked) = ends.asked {
            turn.reply(asked.request, Err(system::Refusal::Session(Refusal::Ending)));
        }
        if let Some(program) = self.sessions.program_mut(launch)
            && let Part::Beside(ends) = &mut program.part
        {
            (ends.viewer, ends.asked) = (None, None);
        }
    }

    /// The client of a conversation is gone, or the conversation itself.
    pub(crate) fn logon_gone(&mut self, turn: &mut Turn, logon: crate::id::LogonId) {
        self.logons.table.remove(&logon);
        let waiting = self.sessions.table.iter().find(|(_, session)| session.expected_by() == Some(logon));
        if let Some(id) = waiting.map(|(id, _)| *id) {
            self.drop_session(turn, id);
        }
    }

    /// Does what is due about sessions and conversations.
    pub(crate) fn tick_sessions(&mut self, turn: &mut Turn) {
        let now = turn.now;
        let late = self
            .sessions
            .table
            .iter()
            .filter(|(_, session)| session.deadline().is_some_and(|due| due <= now));
        for (id, state) in late.map(|(id, session)| (*id, session.state)).collect::<Vec<_>>() {
            match state {
                State::Ending(Ending { step: Step::Killed { .. }, .. }) => self.session_gone(turn, id),
                _ => self.kill_ending(turn, id),
            }
        }
        self.tick_launches(turn);
        let late = self.logons.table.iter().filter(|(_, logon)| logon.deadline <= now);
        for logon in late.map(|(id, _)| *id).collect::<Vec<_>>() {
            turn.push(Effect::EndConversation(logon));
            self.logon_gone(turn, logon);
        }
    }

    /// Whoever waits too long for a program to run is told that it does not.
    fn tick_launches(&mut self, turn: &mut Turn) {
        let asked = self.sessions.programs.values().filter_map(|program| program.part.asked());
        let late: Vec<RequestId> =
            asked.filter(|asked| asked.until <= turn.now).map(|asked| asked.request).collect();
        for id in late {
            self.abandon_in_sessions(turn, id);
            let failure = LaunchFailure { phase: LaunchPhase::Exec, errno: ETIMEDOUT };
            turn.reply(id, Err(system::Refusal::Session(Refusal::LaunchFailed(failure))));
        }
    }

    /// Every user is logged off: the host shuts down.
    pub(crate) fn end_all_sessions(&mut self, turn: &mut Turn) {
        for id in self.sessions.table.keys().copied().collect::<Vec<_>>() {
            self.end_session(turn, id, EndReason::Shutdown);
        }
    }

    /// Every user session is killed: the time for a shutdown is over.
    pub(crate) fn kill_all_sessions(&mut self, turn: &mut Turn) {
        self.end_all_sessions(turn);
        let asked = |state: State| matches!(state, State::Ending(Ending { step: Step::Asked { .. }, .. }));
        let all = self.sessions.table.iter().filter(|(_, session)| asked(session.state));
        for id in all.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.kill_ending(turn, id);
        }
    }

    /// A client that waited is gone.
    pub(crate) fn abandon_in_sessions(&mut self, turn: &mut Turn, id: RequestId) {
        for session in self.sessions.table.values_mut() {
            session.waiters.retain(|other| *other != id);
        }
        let waiting =
            self.sessions.programs.iter_mut().find_map(|(launch, program)| match &mut program.part {
                Part::Beside(ends) if ends.asked.is_some_and(|asked| asked.request == id) => {
                    ends.asked = None;
                    Some((program.session, *launch))
                }
                Part::Beside(_) | Part::Shell => None,
            });
        if let Some((session, launch)) = waiting {
            turn.push(Effect::kill_program(session, launch));
        }
    }
}

/// It was killed now.
pub(super) fn killed(now: Time) -> Step {
    Step::Killed { until: now + limit::STOP_WAIT }
}

impl From<EndReason> for crate::event::EndCause {
    fn from(reason: EndReason) -> crate::event::EndCause {
        match reason {
            EndReason::InitDied => crate::event::EndCause::InitDied,
            EndReason::Left
            | EndReason::LoggedOff
            | EndReason::HungUp
            | EndReason::Shutdown
            | EndReason::Lost => crate::event::EndCause::Requested,
        }
    }
}
