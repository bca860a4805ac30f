//! All sessions of users and all their programs.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::program::{Part, Phase, Program};
use super::status::{ConnectState, SessionStatus};
use super::user::{Seat, State, UserSession};
use crate::id::{LaunchId, SESSION_ZERO, SessionId, ViewerId};
use crate::limit;
use crate::time::Time;

/// What host.toml says about sessions of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How sessions are separated.
    pub isolation: Isolation,
    /// Sessions one user may have at a time.
    pub per_user: u32,
    /// What a terminal that goes away does to its session.
    pub hang_up: HangUp,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { isolation: Isolation::Vista, per_user: 1, hang_up: HangUp::Logoff }
    }
}

/// How sessions are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Services have Session 0 to themselves.
    #[default]
    Vista,
    /// The first user shares it with them, as on Windows XP, and its walls are down.
    Xp,
}

/// What a terminal that goes away does to its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUp {
    /// It is hung up, as a terminal on Linux: the session is logged off.
    Logoff,
    /// It is disconnected, as on Windows: everything in it runs on.
    Disconnect,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions {
    /// By number.
    pub table: BTreeMap<SessionId, UserSession>,
    /// By launch.
    pub programs: BTreeMap<LaunchId, Program>,
    /// The rules in force.
    pub policy: Policy,
    /// The number of the last session made.
    pub last: u32,
    /// The number of the last viewer.
    pub viewer_last: u64,
    /// The number of the last attachment.
    pub terminal_last: u32,
    /// Sessions that, or whose programs, were changed in this turn: their records may have to be written.
    changed: BTreeSet<SessionId>,
}

impl Sessions {
    /// A session, to be changed.
    pub fn session_mut(&mut self, id: SessionId) -> Option<&mut UserSession> {
        let session = self.table.get_mut(&id)?;
        self.changed.insert(id);
        Some(session)
    }

    /// A session that is new.
    pub fn add(&mut self, id: SessionId, session: UserSession) {
        self.changed.insert(id);
        self.table.insert(id, session);
    }

    /// A program, to be changed.
    pub fn program_mut(&mut self, launch: LaunchId) -> Option<&mut Program> {
        let program = self.programs.get_mut(&launch)?;
        self.changed.insert(program.session);
        Some(program)
    }

    /// A program that is new.
    pub fn add_program(&mut self, launch: LaunchId, program: Program) {
        self.changed.insert(program.session);
        self.programs.insert(launch, program);
    }

    /// A program that is gone.
    pub fn remove_program(&mut self, launch: LaunchId) -> Option<Program> {
        let program = self.programs.remove(&launch)?;
        self.changed.insert(program.session);
        Some(program)
    }

    /// What was changed since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<SessionId> {
        core::mem::take(&mut self.changed)
    }

    /// The next session's number: never one that was used.
    pub fn next_id(&mut self) -> Option<SessionId> {
        self.last = self.last.checked_add(1)?;
        Some(SessionId(self.last))
    }

    /// The next viewer's number, for one in this session.
    pub fn next_viewer(&mut self, session: SessionId) -> ViewerId {
        self.viewer_last += 1;
        let number = self.viewer_last;
        if let Some(session) = self.session_mut(session) {
            session.viewer_last = number;
        }
        ViewerId(number)
    }

    /// Sessions of a uid that do not end.
    pub fn of_user(&self, uid: u32) -> impl Iterator<Item = (SessionId, &UserSession)> {
        self.table
            .iter()
            .filter(move |(_, session)| session.user.uid == uid && !session.ending())
            .map(|(id, session)| (*id, session))
    }

    /// The session a user comes back to: one he left, the one left last; else the one he is in.
    pub fn to_come_back_to(&self, uid: u32) -> Option<SessionId> {
        let rank = |session: &UserSession| match session.state {
            State::Live { seat: Seat::Disconnected { since }, .. } => Some((1, since)),
            State::Live { seat: Seat::Active { .. }, .. } => Some((0, session.connected)),
            State::Making { .. } | State::Starting { .. } | State::Ending(_) => None,
        };
        let ranked = self.of_user(uid).filter_map(|(id, session)| Some((rank(session)?, id)));
        ranked.max().map(|(_, id)| id)
    }

    /// The programs of a session.
    pub fn programs_of(&self, session: SessionId) -> impl Iterator<Item = (LaunchId, &Program)> {
        self.programs
            .iter()
            .filter(move |(_, program)| program.session == session)
            .map(|(launch, program)| (*launch, program))
    }

    /// The programs of a session whose main process is, or may be, alive.
    pub fn alive_in(&self, session: SessionId) -> impl Iterator<Item = LaunchId> {
        let alive = |program: &Program| matches!(program.phase, Phase::Launching | Phase::Running);
        self.programs_of(session).filter(move |(_, program)| alive(program)).map(|(launch, _)| launch)
    }

    /// The session and the launch of a viewer.
    pub fn of_viewer(&self, viewer: ViewerId) -> Option<(SessionId, Option<LaunchId>)> {
        let beside = self.programs.iter().find_map(|(launch, program)| match program.part {
            Part::Beside(ends) if ends.viewer == Some(viewer) => Some((program.session, Some(*launch))),
            Part::Beside(_) | Part::Shell => None,
        });
        let shell = || {
            let found = self.table.iter().find(|(_, session)| session.viewer() == Some(viewer));
            found.map(|(id, _)| (*id, None))
        };
        beside.or_else(shell)
    }

    /// When something must be done.
    pub fn deadline(&self) -> Option<Time> {
        let sessions = self.table.values().filter_map(UserSession::deadline);
        let launches = self.programs.values().filter_map(|program| Some(program.part.asked()?.until));
        sessions.chain(launches).min()
    }

    /// All of them as they are now, by number; the one in Session 0 is not among them.
    pub fn statuses(&self) -> Vec<SessionStatus> {
        self.table.keys().filter_map(|id| self.status(*id)).collect()
    }

    /// One of them as it is now; the one in Session 0 is not among them.
    pub fn status(&self, id: SessionId) -> Option<SessionStatus> {
        let session = self.table.get(&id).filter(|_| id != SESSION_ZERO)?;
        Some(SessionStatus {
            id,
            name: session.name(),
            state: session.connect_state(),
            created: session.created,
            protocol: session.protocol,
            programs: self.count_alive(id),
            trouble: None,
            user: Some(Box::new(session.user_status())),
        })
    }

    fn count_alive(&self, id: SessionId) -> u32 {
        u32::try_from(self.alive_in(id).count()).unwrap_or(u32::MAX)
    }

    /// What Session 0's user, if it has one, adds to its status.
    pub fn add_to_zero(&self, zero: &mut SessionStatus) {
        let Some(session) = self.table.get(&SESSION_ZERO) else { return };
        zero.user = Some(Box::new(session.user_status()));
        zero.programs += self.count_alive(SESSION_ZERO);
        if zero.state == ConnectState::Disconnected && session.connect_state() == ConnectState::Active {
            zero.state = ConnectState::Active;
        }
    }

    /// Panics if the state is impossible.
    pub fn check_invariants(&self) {
        assert!(self.table.len() <= limit::SESSIONS_MAX, "too many sessions");
        let mut viewers = Vec::new();
        for (id, session) in &self.table {
            assert!(id.0 <= self.last, "session {id} has a number that was not given");
            assert!(session.viewer_last <= self.viewer_last);
            viewers.extend(session.viewer());
            if let Some(shell) = session.shell() {
                let program = self.programs.get(&shell).expect("a session's shell is a program");
                assert_eq!((program.session, program.part), (*id, Part::Shell));
                let launching = matches!(session.state, State::Starting { .. });
                assert_eq!(program.phase == Phase::Launching, launching, "session {id}: {program:?}");
            }
            if let State::Making { .. } = session.state {
                assert_eq!(self.programs_of(*id).count(), 0, "a program in a session that is not made");
            }
            let beside = self.programs_of(*id).filter(|(_, program)| program.part != Part::Shell).count();
            assert!(beside <= limit::PROGRAMS_MAX, "too many programs in session {id}");
        }
        for (launch, program) in &self.programs {
            let session = self.table.get(&program.session).expect("a program is in a session");
            assert!(launch.0 <= session.launch_last, "{launch:?} may be given again");
            if let Part::Beside(ends) = program.part {
                viewers.extend(ends.viewer);
                let launching = program.phase == Phase::Launching;
                assert!(launching || ends.asked.is_none(), "somebody waits for what runs: {program:?}");
                assert!(!launching || ends.viewer.is_none(), "somebody sees what does not run: {program:?}");
            }
        }
        let all = viewers.len();
        viewers.sort_unstable();
        viewers.dedup();
        assert_eq!(viewers.len(), all, "two things have one viewer");
        assert!(viewers.iter().all(|viewer| viewer.0 <= self.viewer_last));
    }
}

impl UserSession {
    /// `Terminal#3` while a terminal is attached, as Windows' `RDP-Tcp#3`; nothing else has a name.
    fn name(&self) -> String {
        match self.connect_state() {
            ConnectState::Active => format!("Terminal#{}", self.terminal),
            ConnectState::Disconnected | ConnectState::Down | ConnectState::Init => String::new(),
        }
    }
}
