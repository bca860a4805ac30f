//! A new daemon finds the sessions that the one before left: each from its own init.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::program::{EndReason, Part, Phase, Program, launch_of_unit, unit};
use super::record::{KEY, Record};
use super::user::{Ending, State, Step};
use crate::id::{LaunchId, SESSION_ZERO, SessionId};
use crate::system::turn::Turn;
use crate::system::{Effect, Recovered, System, UnackedExit};

impl System {
    /// Takes over what a user session's init kept. For Session 0: its user, if it has one; services are not looked at.
    pub(crate) fn recover_session(&mut self, turn: &mut Turn, id: SessionId, recovered: &Recovered) {
        let bytes = recovered.records.iter().find(|(key, _)| key == KEY).map(|(_, bytes)| bytes);
        let record = bytes.and_then(|bytes| Some((Record::read(bytes)?, bytes)));
        self.sessions.last = self.sessions.last.max(id.0);
        let alive: BTreeSet<LaunchId> = recovered
            .alive
            .iter()
            .filter(|alive| launch_of_unit(&alive.unit) == Some(alive.launch))
            .map(|alive| alive.launch)
            .collect();
        let Some((record, bytes)) = record else {
            return self.unknown_session(turn, id, &alive);
        };
        let programs = record.programs.clone();
        self.restore(turn.now, id, record, recovered.protocol, bytes);
        self.restore_programs(turn, id, programs, &alive, &recovered.exits);
        self.kill_again(turn, id);
        for exit in &recovered.exits {
            if self.sessions.programs.get(&exit.launch).is_some_and(|program| program.session == id) {
                self.exit_found(turn, id, exit);
            }
        }
        if id != SESSION_ZERO {
            turn.acknowledge_in(id);
        }
        self.end_what_cannot_go_on(turn, id);
    }

    /// Nobody knows whose it is.
    fn unknown_session(&mut self, turn: &mut Turn, id: SessionId, alive: &BTreeSet<LaunchId>) {
        if id != SESSION_ZERO {
            return turn.push(Effect::EndSession(id));
        }
        for launch in alive {
            turn.push(Effect::KillUnit { session: id, unit: unit(*launch) });
        }
    }

    fn restore_programs(
        &mut self,
        turn: &mut Turn,
        session: SessionId,
        programs: Vec<(LaunchId, Part, Phase)>,
        alive: &BTreeSet<LaunchId>,
        exits: &[UnackedExit],
    ) {
        let known: BTreeSet<LaunchId> = programs.iter().map(|(launch, ..)| *launch).collect();
        for launch in alive.difference(&known) {
            // Told to init and not kept: nobody waits for it.
            turn.push(Effect::kill_program(session, *launch));
        }
        for (launch, part, phase) in programs {
            let ended = exits.iter().any(|exit| exit.launch == launch);
            let phase = match phase {
                Phase::Launching | Phase::Running if alive.contains(&launch) || ended => Phase::Running,
                // It never came to exec, or its end was acknowledged.
                Phase::Launching | Phase::Running => continue,
                Phase::Left | Phase::Sweeping => phase,
            };
            self.sessions.add_program(launch, Program { session, part, phase });
            if let Part::Beside(ends) = part
                && ends.viewer.is_none()
                && phase == Phase::Running
                && !ended
            {
                // Its client went away with the daemon that was to answer it, or has left it running in pipes of its own.
                turn.push(Effect::ReleaseTerminal { session, launch });
            }
        }
    }

    fn exit_found(&mut self, turn: &mut Turn, session: SessionId, exit: &UnackedExit) {
        let happened = super::Happened::Exited { status: exit.status, remains: exit.remains };
        self.program_happened(turn, session, exit.launch, happened);
    }

    /// What the daemon before had killed, or was about to.
    fn kill_again(&mut self, turn: &mut Turn, id: SessionId) {
        let state = self.sessions.table.get(&id).map(|session| session.state);
        if let Some(State::Ending(Ending { step: Step::Killed { .. }, .. })) = state {
            self.drop_again(turn, id);
        }
    }

    fn end_what_cannot_go_on(&mut self, turn: &mut Turn, id: SessionId) {
        let Some(session) = self.sessions.table.get(&id) else { return };
        match session.state {
            State::Live { shell, .. } if !self.sessions.programs.contains_key(&shell) => {
                self.end_session(turn, id, EndReason::Lost);
            }
            // The daemon before may not have come to tell them.
            State::Ending(Ending { reason, step: Step::Asked { .. }, .. }) => {
                self.tell_to_end(turn, id, reason);
            }
            State::Live { .. } | State::Ending(_) | State::Making { .. } | State::Starting { .. } => {}
        }
    }
}
