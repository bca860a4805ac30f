//! A user session's record: what a new daemon must know of it that its init does not tell. Kept in the session's own init.

use alloc::boxed::Box;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::program::{Client, EndReason, Part, Phase};
use super::user::{Ending, Seat, State, Step, UserSession};
use crate::id::{LaunchId, SessionId, ViewerId};
use crate::launch::exit::ExitStatus;
use crate::limit;
use crate::logon::wire::User;
use crate::system::turn::Turn;
use crate::system::{Effect, Recovered, System};
use crate::time::Time;

/// The format this code writes.
const VERSION: u8 = 1;
/// Its key.
pub const KEY: &str = "session";

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub user: User,
    pub created: Time,
    pub logon: Time,
    pub client: Client,
    pub connected: Time,
    pub terminal: u32,
    pub state: Kept,
    pub launch_last: u64,
    pub viewer_last: u64,
    pub programs: Vec<(LaunchId, Part, Phase)>,
}

/// A session's state as it is kept. What is only on its way to a state is not worth keeping: nobody can finish it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Kept {
    /// Not seen by anybody yet.
    Unfinished,
    /// Somebody sees it.
    Active { shell: LaunchId, viewer: ViewerId },
    /// Nobody sees it.
    Disconnected { shell: LaunchId, since: Time },
    /// It ends.
    Ending { reason: EndReason, viewer: Option<ViewerId>, status: Option<ExitStatus>, deadline: Option<Time> },
}

impl Record {
    /// Reads one. `None`: it is from a format this code does not know, or damaged.
    pub fn read(bytes: &[u8]) -> Option<Record> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest).ok(),
            _ => None,
        }
    }

    fn write(&self) -> Option<Vec<u8>> {
        let bytes = postcard::to_extend(self, alloc::vec![VERSION]).ok()?;
        (bytes.len() <= limit::RECORD_MAX).then_some(bytes)
    }
}

/// The highest number of a launch that this init knows of.
pub(crate) fn launch_last(recovered: &Recovered) -> u64 {
    let record = recovered.records.iter().find(|(key, _)| key == KEY);
    let recorded = record.and_then(|(_, bytes)| Record::read(bytes)).map(|record| record.launch_last);
    let alive = recovered.alive.iter().map(|alive| alive.launch.0);
    let exits = recovered.exits.iter().map(|exit| exit.launch.0);
    alive.chain(exits).chain(recorded).max().unwrap_or(0)
}

impl From<State> for Kept {
    fn from(state: State) -> Kept {
        match state {
            State::Making { .. } | State::Starting { .. } => Kept::Unfinished,
            State::Live { shell, seat: Seat::Active { viewer } } => Kept::Active { shell, viewer },
            State::Live { shell, seat: Seat::Disconnected { since } } => Kept::Disconnected { shell, since },
            State::Ending(Ending { reason, viewer, status, step }) => {
                let deadline = match step {
                    Step::Asked { deadline } => Some(deadline),
                    Step::Killed { .. } => None,
                };
                Kept::Ending { reason, viewer, status, deadline }
            }
        }
    }
}

impl System {
    /// Has each session's init keep its record, if it changed.
    pub(crate) fn keep_sessions(&mut self, turn: &mut Turn) {
        for id in self.sessions.take_changed() {
            let made = self.sessions.table.get(&id).is_some_and(|session| session.protocol.is_some());
            let Some(bytes) = made.then(|| self.session_record(id)).flatten() else { continue };
            let Some(session) = self.sessions.table.get_mut(&id) else { continue };
            if session.stored.as_deref() != Some(&bytes) {
                session.stored = Some(bytes.clone().into_boxed_slice());
                turn.store_session(Effect::StoreSession { session: id, bytes });
            }
        }
    }

    fn session_record(&self, id: SessionId) -> Option<Vec<u8>> {
        let session = self.sessions.table.get(&id)?;
        let programs = self.sessions.programs_of(id);
        let record = Record {
            user: User::clone(&session.user),
            created: session.created,
            logon: session.logon,
            client: session.client.clone(),
            connected: session.connected,
            terminal: session.terminal,
            state: session.state.into(),
            // Only the numbers that the session itself had: with the host's last ones every record would change with every viewer.
            launch_last: session.launch_last,
            viewer_last: session.viewer_last,
            programs: programs.map(|(launch, program)| (launch, program.part, program.phase)).collect(),
        };
        record.write()
    }

    /// Writes a session back into the table as a record has it.
    pub(super) fn restore(&mut self, now: Time, id: SessionId, record: Record, protocol: u16, bytes: &[u8]) {
        let killed = super::depart::killed(now);
        let state = match record.state {
            // The caller ends it at once.
            Kept::Unfinished => {
                State::Ending(Ending { reason: EndReason::Lost, viewer: None, status: None, step: killed })
            }
            Kept::Active { shell, viewer } => State::Live { shell, seat: Seat::Active { viewer } },
            Kept::Disconnected { shell, since } => State::Live { shell, seat: Seat::Disconnected { since } },
            Kept::Ending { reason, viewer, status, deadline } => {
                let step = deadline.map_or(killed, |deadline| Step::Asked { deadline });
                State::Ending(Ending { reason, viewer, status, step })
            }
        };
        let session = UserSession {
            user: Box::new(record.user),
            created: record.created,
            logon: record.logon,
            protocol: Some(protocol),
            state,
            client: record.client,
            connected: record.connected,
            terminal: record.terminal,
            waiters: Vec::new(),
            launch_last: record.launch_last,
            viewer_last: record.viewer_last,
            stored: Some(bytes.into()),
        };
        self.sessions.add(id, session);
        self.sessions.viewer_last = self.sessions.viewer_last.max(record.viewer_last);
        self.sessions.terminal_last = self.sessions.terminal_last.max(record.terminal);
    }
}
